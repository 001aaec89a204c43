#!/usr/bin/python3
"""Tries the watchdog for arm64 under qemu's user emulation: the file is static and small, exit
codes and output pass through unchanged, an exit is reported. Prints what it saw; exit 1 if anything is wrong."""
import json
import pathlib
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/arm64/bin/lastword-watchdog"
EMULATED = ("qemu-aarch64-static", str(PROGRAM))
SOCKET = ("--socket", "lastword-arm64")
MACHINE_AARCH64 = 183  # elf.h, EM_AARCH64
SIZE_MAX = 200_000
HANG = 60


def run(*words):
    return subprocess.run([*EMULATED, "run", "--name", "main", *SOCKET, "--", *words],
                          capture_output=True, timeout=HANG)


def main():
    program = PROGRAM.read_bytes()
    machine, = struct.unpack_from("<H", program, 18)
    assert machine == MACHINE_AARCH64, f"machine {machine}"
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


if __name__ == "__main__":
    sys.exit(main())
