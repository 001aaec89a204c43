"""The tests pass whatever signals their parent ignores or blocks."""
import pathlib
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STATUS = """
import pathlib

def test_signals():
    fields = dict(line.split(":\\t", 1) for line in
                  pathlib.Path("/proc/self/status").read_text().splitlines() if ":\\t" in line)
    print("ignored", fields["SigIgn"], "blocked", fields["SigBlk"])
"""
# A bit for each signal that counts: Python ignores two for itself, and two of glibc's own (32, 33)
# may be left ignored by posix_spawn(3).
COUNTED = sum(1 << (number - 1) for number in
              signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ})


def ignore_and_block_all():
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def test_tests_do_not_inherit_ignored_signals(tmp_path):
    folder = tmp_path / "tests"
    folder.mkdir()
    for name in ("tests/conftest.py", "tests/shared/default_signals.py"):
        (folder / pathlib.Path(name).name).write_text((ROOT / name).read_text())
    (folder / "test_status.py").write_text(STATUS)
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-c", "/dev/null",
         "--rootdir", tmp_path, folder], preexec_fn=ignore_and_block_all, restore_signals=False,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    words = next(line for line in done.stdout.splitlines() if "ignored" in line).split()
    for what in ("ignored", "blocked"):
        assert int(words[words.index(what) + 1], 16) & COUNTED == 0, words
