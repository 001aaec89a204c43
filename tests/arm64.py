#!/usr/bin/python3
"""Tries the programs for arm64 under qemu's user emulation. The watchdog: the file is static and small,
exit codes and output pass through unchanged, an exit is reported. The servers, with nothing but what is
in their image: each says its version, the command line checks the configuration, and the webhook answers
a review as the one of this machine does. Prints what it saw; exit 1 if anything is wrong."""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/shared"))
import webhook_process  # noqa: E402

IMAGE = ROOT / "build/arm64/rootfs/servers"
QEMU = ("qemu-aarch64-static", "-L", str(IMAGE))
SERVERS = ("lastword", "lastword-webhook", "lastword-observer")
REVIEW = ROOT / "tests/data/reviews/002-create-pods-coderun-job.json"
PROGRAM = ROOT / "build/arm64/bin/lastword-watchdog"
EMULATED = ("qemu-aarch64-static", str(PROGRAM))
SOCKET = ("--socket", "lastword-arm64")
MACHINE_AARCH64 = 183  # elf.h, EM_AARCH64
SIZE_MAX = 200_000
HANG = 60


def run(*words):
    return subprocess.run([*EMULATED, "run", "--name", "main", *SOCKET, "--", *words],
                          capture_output=True, timeout=HANG)


def check_machine(path):
    machine, = struct.unpack_from("<H", path.read_bytes(), 18)
    assert machine == MACHINE_AARCH64, f"{path}: machine {machine}"


def response_of(folder, build):
    """What the webhook of that build responds to a review."""
    webhook_process.BUILD = build
    webhook = webhook_process.Webhook(folder, (ROOT / "manifests/base/config.yaml").read_text())
    try:
        status, _, body = webhook.post("/mutate?timeout=30s", REVIEW.read_bytes())
        assert status == 200, body
        return json.loads(body)
    finally:
        webhook.stop()


def try_servers():
    for name in SERVERS:
        check_machine(IMAGE / "usr/bin" / name)
        done = subprocess.run([*QEMU, IMAGE / "usr/bin" / name, "--version"], capture_output=True,
                              text=True, timeout=HANG)
        assert done.returncode == 0 and done.stdout.startswith(f"{name} "), done
    done = subprocess.run([*QEMU, IMAGE / "usr/bin/lastword", "check", "-c",
                           IMAGE / "etc/lastword/config.yaml"], capture_output=True, text=True,
                          timeout=HANG)
    assert done.returncode == 0 and ": ok, " in done.stdout, done
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "bin").mkdir()
        emulated = folder / "bin/lastword-webhook"
        emulated.write_text(f'#!/bin/sh\nexec {" ".join(QEMU)} {IMAGE}/usr/bin/lastword-webhook "$@"\n')
        emulated.chmod(0o755)
        responses = []
        for name, build in (("emulated", folder), ("own", ROOT / "build")):
            (folder / name).mkdir()
            responses.append(response_of(folder / name, build))
    assert responses[0]["response"]["patchType"] == "JSONPatch"
    assert responses[0] == responses[1]
    libraries = [path for path in IMAGE.rglob("*.so*") if path.is_file()]
    print(f"arm64: the servers run with the {len(libraries)} libraries of their image; "
          "the webhook's answer to a review is that of this machine's")


def main():
    program = PROGRAM.read_bytes()
    check_machine(PROGRAM)
    assert len(program) <= SIZE_MAX, f"{len(program)} bytes"
    assert b"/lib/ld" not in program, "it is not static"

    for code in (0, 1, 101, 255):
        assert run("sh", "-c", f"exit {code}").returncode == code
    assert run("sh", "-c", "kill -SEGV $$").returncode == 139
    assert run("/no/such/program").returncode == 127

    watch = subprocess.Popen([*EMULATED, "watch", "--mode", "classic", "--restart-policy", "Never",
                              "--container", "main", *SOCKET], stdout=subprocess.PIPE)
    done = subprocess.run([*EMULATED, "run", "--name", "main", "--wait", "30s", *SOCKET, "--", "sh",
                           "-c", "seq 20000; echo panic: no >&2; exit 3"], capture_output=True,
                          timeout=HANG)
    assert done.returncode == 3
    assert done.stdout == b"".join(b"%d\n" % i for i in range(1, 20001))
    out, _ = watch.communicate(timeout=HANG)
    line = json.loads(out)
    assert (line["exit_code"], watch.returncode) == (3, 0)
    assert line["log_bytes_total"] == len(done.stdout) + len(done.stderr)
    print(f"arm64: {len(program)} bytes, exit codes, output and the end line are right")
    try_servers()


if __name__ == "__main__":
    sys.exit(main())
