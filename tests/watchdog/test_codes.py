"""What the command ends with is what the shim ends with."""
import concurrent.futures
import os
import re
import signal
import subprocess

from conftest import HANG, PROGRAM, SANITIZED, VICTIM


def run(*words, **options):
    return subprocess.run(words, capture_output=True, timeout=HANG, **options)


def wrapped(*command):
    return run(PROGRAM, "run", "--name", "main", "--socket", "nobody", "--", *command)


def code(process):
    """As the kubelet and shells tell it."""
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def beside(arguments):
    bare, shimmed = run(VICTIM, *arguments), wrapped(VICTIM, *arguments)
    return arguments, (code(bare), bare.stdout, bare.stderr), (code(shimmed), shimmed.stdout,
                                                               shimmed.stderr)


def compare(cases):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for arguments, bare, shimmed in pool.map(beside, cases):
            assert shimmed == bare, arguments
            yield arguments, shimmed


def test_all_exit_codes():
    # The sanitized build's starts are slow, and its code is the same for all.
    for (_, number), shimmed in compare([("exit", str(n))
                                         for n in range(0, 256, 15 if SANITIZED else 1)]):
        assert shimmed == (int(number), b"", b"")


def ignored_by_children():
    """What a child of ours ignores from its start: whoever started us may have left some, and
    glibc's posix_spawn(), which make uses, leaves its own signal 32."""
    status = run("cat", "/proc/self/status").stdout.decode()
    bits = int(status.split("SigIgn:")[1].split()[0], 16)
    return {n for n in range(1, 65) if bits >> (n - 1) & 1}


def test_all_signals():
    """A signal that the command gives itself: 128+n, where its default is to end."""
    alone = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
    stops = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    alone |= ignored_by_children()
    for (_, number), (exit_code, _, _) in compare([("kill", str(n))
                                                   for n in range(1, 65, 5 if SANITIZED else 1)
                                                   if n not in stops]):
        assert exit_code == (0 if int(number) in alone else 128 + int(number)), number


def test_what_cannot_be_executed(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    missing_interpreter = tmp_path / "script"
    missing_interpreter.write_text("#!/no/such/interpreter\n")
    missing_interpreter.chmod(0o755)
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF" + b"\0" * 100)
    broken.chmod(0o755)
    for command, expected, words in (
            ("/no/such/program", 127, "No such file or directory"),
            ("no-such-program", 127, "No such file or directory"),
            (str(plain), 126, "Permission denied"),
            (str(tmp_path), 126, "Permission denied"),
            (str(missing_interpreter), 127, "No such file or directory"),
            ("", 127, "No such file or directory"),
            # glibc's execvp() gives it to a shell; musl's, which the product has, does not.
            *([] if SANITIZED else [(str(broken), 126, "Exec format error")])):
        done = wrapped(command)
        assert done.returncode == expected, command
        assert done.stderr.decode() == f"lastword: cannot execute {command}: {words}\n"
        assert done.stdout == b""


def test_usage():
    assert run(PROGRAM, "run", "--name", "x").returncode == 2
    assert run(PROGRAM, "run", "--name", "x", "--").returncode == 2
    done = run(PROGRAM)
    assert done.returncode == 2 and b"--help" in done.stderr
    assert b"run [flags]" in run(PROGRAM, "--help").stdout
    assert run(PROGRAM, "run", "--help").returncode == 0
    assert run(PROGRAM, "--version").stdout.startswith(b"lastword-watchdog ")


def test_bad_flags_never_stop_the_command():
    done = run(PROGRAM, "run", "--nonsense", "--deadline", "soon", "--name=main", "--grace", "-1s",
               "--on-deadline", "maybe", "--wait", "--", "sh", "-c", "echo fine; exit 7")
    assert (done.returncode, done.stdout) == (7, b"fine\n")
    words = done.stderr.decode()
    for part in ("ignoring --nonsense: no such flag", "ignoring --deadline soon: ",
                 "ignoring --grace -1s: ",
                 "ignoring --on-deadline maybe: expected kill or report",
                 "ignoring --wait: it has no value"):
        assert part in words


def test_the_world_of_the_command(tmp_path):
    """Environment, directory, limits, umask, descriptors, priority: as without the shim."""
    script = ("env | grep -v ^_= | sort; pwd; ulimit -a; umask; ls -l /proc/self/fd | wc -l; "
              "nice; cat; grep -E 'Sig(Ign|Cgt)|NoNewPrivs|Seccomp' /proc/self/status; "
              "grep -c ^Cap /proc/$$/status; cut -d' ' -f 8 /proc/self/stat")
    options = {"cwd": tmp_path, "input": b"text for stdin\n",
               "env": {**os.environ, "A": "1=2\n3", "EMPTY": ""}}
    def ignore():
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        os.nice(3)
        os.umask(0o27)
    options.update(preexec_fn=ignore, restore_signals=False)
    shim = (PROGRAM, "run", "--name", "main", "--socket", "nobody", "--")
    bare, shimmed = (run(*words, "sh", "-c", script, **options) for words in ((), shim))
    assert shimmed.stdout == bare.stdout
    assert (shimmed.returncode, shimmed.stderr) == (bare.returncode, bare.stderr)
    assert b"text for stdin" in bare.stdout
    ignored = int(re.search(rb"SigIgn:\t([0-9a-f]+)", bare.stdout).group(1), 16)
    for number in (signal.SIGUSR2, signal.SIGPIPE):
        assert ignored >> (number - 1) & 1

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # a shell would not keep it
    try:
        bare, shimmed = (run(*words, "grep", "SigBlk", "/proc/self/status", restore_signals=False)
                         for words in ((), shim))
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    assert shimmed.stdout == bare.stdout == b"SigBlk:\t0000000000000200\n"
