"""--silence-after with wrappers that wait for the step before theirs: Tekton's entrypoint and Argo's
emissary, played by a script of the same name."""
import pytest

from conftest import HANG

# Waits for the file, without a child and, as emissary does, with a log on stderr; then starts the
# step from another thread, as Go's runtime may.
WRAPPER = """#!/usr/bin/python3
import os, subprocess, sys, threading, time
arguments = sys.argv[1:]
for flag in ("-wait_file", "--wait_file"):
    if flag in arguments:
        while not os.path.exists(arguments[arguments.index(flag) + 1]):
            time.sleep(0.01)
if arguments[0] == "emissary":
    while not os.path.exists("exitcode"):
        print("waiting for dependency", file=sys.stderr, flush=True)
        time.sleep(0.05)
codes = []
step = arguments[arguments.index("--") + 1:]
thread = threading.Thread(target=lambda: codes.append(subprocess.call(step)))
thread.start()
thread.join()
sys.exit(codes[0])
"""
WAYS = {"tekton": ("entrypoint", "-wait_file", "exitcode", "-entrypoint", "sh", "--"),
        "tekton-two-dashes": ("entrypoint", "-post_file", "x", "--wait_file", "exitcode", "--"),
        "argo": ("argoexec", "emissary", "--loglevel", "info", "--")}


@pytest.fixture
def wrapped(pod, tmp_path):
    def run(way, script, released_after="sleep 2.5"):
        """The step behind the wrapper, which a step before it releases."""
        name, *arguments = WAYS[way] if way in WAYS else way
        program = tmp_path / name
        program.write_text(WRAPPER)
        program.chmod(0o755)
        tmp_path.chmod(0o777)
        pod.start(("sh", "-c", f"{released_after}; touch {tmp_path}/exitcode"))
        return pod.run(program, *arguments, "sh", "-c", script, cwd=tmp_path, user=None,
                       flags=("--silence-after", "1s", "--on-silence", "kill"))
    return run


@pytest.mark.parametrize("way", WAYS)
def test_waiting_for_a_step_is_no_silence(pod, wrapped, way):
    watch = pod.watch("--mode", "classic", "--restart-policy", "Never")
    code, out, _ = wrapped(way, "echo 1; echo 2; exit 3")
    assert (code, out) == (3, b"1\n2\n")
    assert watch.next()["exit_code"] == 3
    assert watch.ended() == 0 and len(watch.lines) == 1


@pytest.mark.parametrize("way", WAYS)
def test_silence_of_the_step_counts(pod, wrapped, way):
    watch = pod.watch("--mode", "classic", "--restart-policy", "Never")
    code, out, _ = wrapped(way, f"echo begun; exec sleep {10 * HANG}")
    assert (code, out) == (143, b"begun\n")
    silent, end = watch.next(), watch.next()
    assert (silent["event"], end["event"], end["error_type"]) == ("silent-agent", "end", "Stalled")
    assert end["duration_seconds"] > 2.5 and silent["silence_seconds"] >= 1
    assert watch.ended() == 0


@pytest.mark.parametrize("way", [("entrypoint", "-post_file", "x", "--"), ("argoexec", "wait", "--"),
                                 ("other", "-wait_file", "exitcode", "--"),
                                 ("entrypoint", "--", "sh", "-wait_file", "exitcode", "--")])
def test_other_commands_are_silent_from_the_start(pod, wrapped, way):
    watch = pod.watch("--mode", "classic", "--restart-policy", "Never")
    code, _, _ = wrapped(way, f"exec sleep {10 * HANG}", released_after=f"exec sleep {10 * HANG}")
    assert code == 143 and watch.next()["event"] == "silent-agent"
    assert watch.next()["error_type"] == "Stalled" and watch.ended() == 0
