"""The watchdog beside shims: what it prints, when it ends, whom it refuses."""
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from conftest import (AGENT_USER, JUMPING, PROGRAM, VICTIM, WATCHDOG_USER, children, kill,
                      only_child)
from strangers import (ACK, DEADLINE, EXIT, FLUSH, HELLO, LEAVING, SILENT, TAIL, WELCOME,
                       connect, hostile_ring, message, say)
from waiting import HANG, wait_for_ring, wait_until

CLASSIC = ("--mode", "classic", "--restart-policy", "Never")
POD = {"LASTWORD_POD_NAME": "agent-7", "LASTWORD_POD_NAMESPACE": "team", "LASTWORD_POD_UID": "u-1",
       "LASTWORD_NODE_NAME": "node-3"}
PANIC = ("echo working; echo \"thread 'main' panicked at src/main.rs:4:5:\" >&2; "
         "echo 'index out of bounds: the len is 3' >&2; exit 101")


def seconds_of(text):
    import datetime
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# ---- Lines ----

def test_end_line(pod):
    watch = pod.watch(*CLASSIC, "--owner", "Job/nightly-1", "--context", "task_id=42",
                      "--context", "workflow_id=wf", environment=POD)
    before = time.time()
    code, out, err = pod.run("sh", "-c", PANIC, user=1234)
    assert (code, out) == (101, b"working\n") and b"panicked" in err
    line = watch.next()
    assert watch.ended() == 0 and watch.lines == [line] and watch.errors == ""
    expected = {
        "event": "end", "source": "watchdog", "container": "main", "shim_instance": 1,
        "pod": "agent-7", "namespace": "team", "uid": "u-1", "node": "node-3",
        "owner": "Job/nightly-1", "task_id": "42", "workflow_id": "wf",
        "error_type": "Panic", "evidence": "statement", "exit_code": 101, "oom_kills": 0,
        "summary": "thread 'main' panicked at src/main.rs:4:5: index out of bounds: "
                   "the len is 3",
        "payload_snippet": "thread 'main' panicked at src/main.rs:4:5:\n"
                           "index out of bounds: the len is 3",
        "shim_uid": 1234, "log_bytes_total": 8 + 77 - 1}
    expected["log_bytes_total"] = len(out) + len(err)
    assert {key: line[key] for key in expected} == expected
    # stdout and stderr are two pipes: each in its own order.
    assert sorted(line["log_tail"].splitlines()) == sorted((out + err).decode().splitlines())
    assert before - 1 <= seconds_of(line["started_at"]) <= seconds_of(line["finished_at"]) \
        <= seconds_of(line["time"]) <= time.time() + 1
    assert 0 < line["duration_seconds"] < HANG and 0 <= line["cpu_seconds"] < HANG
    assert line["max_rss_bytes"] > 100_000 and len(line["fingerprint"]) == 16
    assert "signal" not in line and "reports_lost" not in line


def test_signal_and_success(pod):
    watch = pod.watch(*CLASSIC[:2], "--restart-policy", "OnFailure")
    assert pod.run(VICTIM, "kill", str(signal.SIGSEGV))[0] == 139
    line = watch.next()
    assert (line["exit_code"], line["signal"], line["error_type"]) == (139, "SIGSEGV", "Segfault")
    assert pod.run("/no/such")[0] == 127
    line = watch.next()
    assert (line["exit_code"], line["error_type"]) == (127, "StartError")
    assert line["payload_snippet"] == "cannot execute /no/such: No such file or directory"
    assert pod.run("true")[0] == 0
    line = watch.next()
    assert (line["exit_code"], line["error_type"], line["shim_instance"]) == (0, "Completed", 3)
    assert watch.ended() == 0  # exit 0 is final


def test_secrets_never_leave(pod):
    """Neither from the output, nor from the context, nor what the admin's own pattern names."""
    token = "ghp_" + "a1B2" * 9
    watch = pod.watch(*CLASSIC, "--context", f"repository=https://bot:{'s3cr3t' * 3}@host/x",
                      "--redact", "corp_[a-z0-9]{8}", environment={"LASTWORD_POD_NAME": token})
    pod.run("sh", "-c", f"echo token is {token}; echo corp_12345678; echo password=hunter22; exit 1")
    line = json.dumps(watch.next())
    for secret in (token, "s3cr3t", "corp_12345678", "hunter22"):
        assert secret not in line
    assert "[redacted" in line and watch.ended() == 0


def test_secret_that_the_ring_has_cut(pod):
    """The ring's first line may be the second half of a secret."""
    watch = pod.watch(*CLASSIC, "--ring-size", "4096", "--tail", "8192")
    secret = "x9Y" * 100
    filler = "filler\\n" * ((4096 - 150) // 7)
    pod.run("sh", "-c", f"printf 'password={secret}\\n'; printf '{filler}'; exit 1")
    line = watch.next()
    assert line["log_bytes_total"] > 4096 and "x9Y" not in line["log_tail"]
    assert line["log_tail"].startswith("filler\n")


@pytest.mark.parametrize("script,tail", [
    ("b'one\\0two\\0'", "one\ufffdtwo\ufffd"),                       # find -print0
    ("'failed'.encode('utf-16-le')", "\ufffd".join("failed") + "\ufffd"),
    ("'a\\x7fb\\x80c\\x9bd'.encode()", "a\ufffdb\ufffdc\ufffdd"),    # DEL and C1, as UTF-8
    ("b'a\\x9bd'", "a\ufffdd"),
    ("'a\\u2028b\\u2029c'.encode()", "a\ufffdb\ufffdc"),
    ("'\\u202eevil\\u2066\\u2069\\u200f'.encode()", "\ufffdevil\ufffd\ufffd\ufffd"),
    ("'\\x1b[31mred\\t€ \\U0001f600\\u200d'.encode()", "\x1b[31mred\t€ \U0001f600\u200d"),
])
def test_text_that_is_not_clean(pod, script, tail):
    """Characters that no text for people may have are replaced, in the tail and in the snippet; all
    that follows them stays."""
    watch = pod.watch(*CLASSIC)
    pod.run("python3", "-c", f"import os; os.write(1, {script} + b'\\nERROR: ' + {script}); "
            "os._exit(1)")
    line = watch.next()
    assert line["log_tail"] == f"{tail}\nERROR: {tail}"
    unsafe = {0, 0x7f, *range(0x80, 0xa0), 0x61c, 0x200e, 0x200f, *range(0x2028, 0x202f),
              *range(0x2066, 0x206a)}
    assert line["payload_snippet"].startswith("ERROR: ")
    assert not unsafe & set(map(ord, line["payload_snippet"] + line["summary"]))
    assert watch.ended() == 0


def test_long_output_keeps_lines_short(pod):
    """Whatever the agent prints, a line fits into what container runtimes take."""
    watch = pod.watch("--mode", "classic", "--restart-policy", "Always", "--tail", "8192",
                      *(word for i in range(32) for word in ("--context", f"k{i}=" + "\x01" * 250)))
    for script in ("os.write(1, b'\\x01' * 70000)", "os.write(1, b'\\\"' * 70000)",
                   "os.write(1, bytes(range(256)) * 300)", "os.write(1, '€'.encode() * 30000)",
                   "os.write(1, b'\\\\n' * 70000)"):
        pod.run("python3", "-c", f"import os\n{script}\nos._exit(1)")
        assert watch.next()["event"] == "end"  # and Watch checks each line's length
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_silence_and_deadline_are_reported(pod):
    watch = pod.watch(*CLASSIC)
    flags = ("--silence-after", "1s", "--deadline", "3s")
    code, _, _ = pod.run("sh", "-c", "echo on it; sleep 3.5; echo done; exit 3", flags=flags)
    assert code == 3  # told, not killed
    silent, deadline, end = (watch.next() for _ in range(3))
    assert (silent["event"], deadline["event"], end["event"]) == ("silent-agent", "deadline", "end")
    assert silent["log_tail"] == "on it\n" and 1 <= silent["silence_seconds"] < HANG
    assert 3 <= deadline["duration_seconds"] < HANG and "error_type" not in deadline
    assert end["log_tail"] == "on it\ndone\n" and end["error_type"] == "Error"
    assert (end["silences"], end["deadline_exceeded_at"]) == (1, deadline["time"])
    assert "silences" not in silent and "deadline_exceeded_at" not in deadline
    assert watch.ended() == 0


def test_an_end_says_what_was_reported_of_its_run(pod):
    """Each silence counts, also where the shim is killed; the next run begins anew."""
    watch = pod.watch(*CLASSIC[:2], "--restart-policy", "OnFailure")
    process = pod.shim("sh", "-c", "echo a; sleep 0.6; echo b; exec sleep 60",
                       flags=("--silence-after", "200ms"))
    first, second = watch.next(), watch.next()
    assert first["event"] == second["event"] == "silent-agent"
    kill(process.pid)
    end = watch.next()
    assert (end["event"], end["silences"]) == ("end", 2) and "deadline_exceeded_at" not in end
    assert pod.run("true", flags=("--silence-after", "20s"))[0] == 0
    end = watch.next()
    assert end["event"] == "end" and "silences" not in end
    assert watch.ended() == 0


@pytest.mark.parametrize("flag,cause", [("deadline", "Timeout"), ("silence", "Stalled")])
@pytest.mark.parametrize("stubborn", [False, True])
def test_kill_when_configured(pod, flag, cause, stubborn):
    watch = pod.watch(*CLASSIC)
    length = "--deadline" if flag == "deadline" else "--silence-after"
    # Time enough to get ready for the signal.
    flags = (length, "1500ms", f"--on-{flag}", "kill", "--grace", "300ms")
    command = (VICTIM, "hold", "ignore" if stubborn else "default", str(int(signal.SIGTERM)),
               str(HANG * 1000))
    code, _, _ = pod.run(*command, flags=flags)
    number = signal.SIGKILL if stubborn else signal.SIGTERM
    assert code == 128 + number
    reported, end = watch.next(), watch.next()
    assert reported["event"] == ("deadline" if flag == "deadline" else "silent-agent")
    assert (end["error_type"], end["signal"]) == (cause, number.name)
    assert watch.ended() == 0


def test_shim_that_is_killed(pod):
    """EOF without a word: known at once, with the last output."""
    watch = pod.watch(*CLASSIC)
    process = pod.shim("sh", "-c", "echo my last words; exec sleep 60")
    assert process.stdout.readline() == b"my last words\n"
    time.sleep(0.05)
    kill(process.pid)
    line = watch.next()
    assert (line["error_type"], line["log_tail"]) == ("Killed", "my last words\n")
    assert "exit_code" not in line and line["duration_seconds"] > 0
    assert watch.ended() == 0


def test_end_after_termination(pod):
    """SIGTERM to the shim: the handler's farewell and the code are there."""
    watch = pod.watch("--mode", "native")
    process = pod.shim("python3", "-uc", "import signal,sys,time\n"
                       "def bye(*a): print('bye'); sys.exit(143)\n"
                       "signal.signal(signal.SIGTERM, bye); print('ready')\n"
                       "time.sleep(60)")
    assert process.stdout.readline() == b"ready\n"
    kill(process.pid, signal.SIGTERM)
    line = watch.next()
    assert (line["exit_code"], line["error_type"]) == (143, "Terminated")
    assert line["log_tail"] == "ready\nbye\n"
    process = pod.shim("sleep", "60")
    only_child(process.pid)
    time.sleep(0.1)
    kill(process.pid, signal.SIGTERM)
    line = watch.next()
    assert (line["exit_code"], line["error_type"], line["signal"]) == (143, "Terminated", "SIGTERM")
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_wall_clock_that_jumps(pod):
    """By years, at every look: lengths of time, waits and kills are the monotonic clock's."""
    watch = pod.watch(*CLASSIC[:2], "--restart-policy", "OnFailure", program=JUMPING)
    start = time.monotonic()
    flags = ("--silence-after", "1s", "--deadline", "3s", "--on-deadline", "kill")
    code, out, _ = pod.run("sh", "-c", "echo on it; exec sleep 60", flags=flags, program=JUMPING)
    took = time.monotonic() - start
    assert (code, out) == (128 + signal.SIGTERM, b"on it\n")
    silent, deadline, end = (watch.next() for _ in range(3))
    assert (silent["event"], deadline["event"]) == ("silent-agent", "deadline")
    assert 1 <= silent["silence_seconds"] < took
    assert 3 <= deadline["duration_seconds"] <= end["duration_seconds"] < took
    assert end["error_type"] == "Timeout"
    times = [seconds_of(line[key]) for line in watch.lines
             for key in ("time", "started_at", "finished_at") if key in line]
    assert max(times) - min(times) > 86400  # the clock did jump
    assert pod.run("true", program=JUMPING)[0] == 0
    assert watch.next()["exit_code"] == 0 and watch.ended() == 0


# ---- The sidecar's lifecycle ----

def test_native_exits_only_after_sigterm(pod):
    watch = pod.watch("--mode", "native", "--start-timeout", "100ms")
    pod.run("true")
    assert watch.next()["error_type"] == "Completed"
    time.sleep(0.5)
    assert watch.process.poll() is None
    start = time.monotonic()
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0 and time.monotonic() - start < HANG / 2


def test_native_with_an_agent_that_runs_on(pod):
    """Told to end it says what is open, within 2 s."""
    watch = pod.watch("--mode", "native")
    process = pod.shim("sh", "-c", "echo still here; exec sleep 60")
    assert process.stdout.readline() == b"still here\n"
    time.sleep(0.1)
    start = time.monotonic()
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0
    assert 1 < time.monotonic() - start < HANG / 2
    assert [line["event"] for line in watch.lines] == ["flush"]
    assert watch.lines[0]["log_tail"] == "still here\n"
    assert process.poll() is None  # the agent has not noticed


@pytest.mark.parametrize("policy,codes,over", [
    ("Never", [0], True), ("Never", [1], True), ("OnFailure", [0], True), ("OnFailure", [1], False),
    ("OnFailure", [1, 2, 0], True), ("Always", [0], False), ("Always", [0, 1], False)])
def test_classic_ends_with_the_final_end(pod, policy, codes, over):
    watch = pod.watch("--mode", "classic", "--restart-policy", policy, "--grace", "2s")
    for number, code in enumerate(codes):
        assert watch.process.poll() is None
        assert pod.run(VICTIM, "exit", str(code))[0] == code
        line = watch.next()
        assert (line["exit_code"], line["shim_instance"]) == (code, number + 1)
    if not over:
        time.sleep(0.3)
        assert watch.process.poll() is None
        watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_classic_policies_of_single_containers(pod):
    watch = pod.watch("--mode", "classic", "--restart-policy", "Always", "--container", "a=Never",
                      "--container", "b=OnFailure")
    for name, code in (("a", 1), ("b", 0)):
        assert watch.process.poll() is None
        pod.run(VICTIM, "exit", str(code), name=name)
        assert watch.next()["container"] == name
    assert watch.ended() == 0


def test_classic_without_agents(pod):
    """None comes within the start timeout: it may have ended before; the pod must not be held."""
    start = time.monotonic()
    watch = pod.watch(*CLASSIC, "--start-timeout", "400ms")
    assert watch.ended() == 0 and watch.lines == []
    assert time.monotonic() - start >= 0.4
    # One of two: the other is waited for to its end.
    watch = pod.watch(*CLASSIC, "--start-timeout", "3s", "--container", "a", "--container", "b")
    pod.run("sleep", "3.5", name="b")
    assert watch.ended() == 0 and [line["container"] for line in watch.lines] == ["b"]


def test_classic_stays_for_the_ends_of_a_deletion(pod):
    """SIGTERM goes to all containers at once: the agents' ends come after it."""
    watch = pod.watch("--mode", "classic", "--restart-policy", "Always", "--grace", "30s")
    process = pod.shim("sh", "-c", "trap 'sleep 1; echo bye; exit 143' TERM; echo ready; "
                       "while :; do sleep 0.05; done")
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.1)
    watch.signal(signal.SIGTERM)
    kill(process.pid, signal.SIGTERM)
    line = watch.next()
    assert (line["exit_code"], line["error_type"]) == (143, "Terminated")
    assert line["log_tail"] == "ready\nbye\n"
    assert watch.ended() == 0


def test_classic_gives_up_before_the_grace_period_ends(pod):
    """2 s before, so that it ends with 0 and not with a kill."""
    watch = pod.watch("--mode", "classic", "--restart-policy", "Never", "--grace", "3s")
    process = pod.shim(VICTIM, "hold", "ignore", str(int(signal.SIGTERM)), str(HANG * 1000))
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.1)
    start = time.monotonic()
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0
    assert 1 <= time.monotonic() - start < HANG / 2
    assert [line["event"] for line in watch.lines] == ["flush"]


def test_terminated_before_anything(pod):
    for mode in ("native", "classic"):
        watch = pod.watch("--mode", mode)
        watch.signal(signal.SIGTERM)
        assert watch.ended() == 0 and watch.lines == []


# ---- Restarts ----

def test_agent_that_is_restarted(pod):
    watch = pod.watch("--mode", "native")
    for number in range(1, 6):
        pod.run("sh", "-c", f"echo run {number}; exit {number}")
        line = watch.next()
        assert (line["shim_instance"], line["exit_code"], line["log_tail"]) == \
            (number, number, f"run {number}\n")
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_watchdog_that_comes_later(pod):
    """The agent starts at once; the shim hands over what it has kept."""
    process = pod.shim("sh", "-c", "echo early words; read line; exit 9", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"early words\n"
    time.sleep(0.3)
    watch = pod.watch(*CLASSIC)
    wait_for_ring(watch.pid)
    process.communicate(b"\n", timeout=HANG)
    line = watch.next()
    assert (line["exit_code"], line["log_tail"], line["log_bytes_total"]) == (9, "early words\n", 12)
    assert line["duration_seconds"] > 0.3 and watch.ended() == 0


def test_watchdog_that_comes_at_the_very_end(pod):
    """Not connected when the command ends: the end is told all the same, with the shim's tail."""
    process = pod.shim("sh", "-c", "echo early words; read x; exit 9", stdin=subprocess.PIPE)
    time.sleep(1.3)  # by now the shim's tries are far between
    watch = pod.watch(*CLASSIC)
    process.communicate(b"\n", timeout=HANG)
    line = watch.next()
    assert (line["exit_code"], line["log_tail"]) == (9, "early words\n")
    assert watch.ended() == 0


def test_watchdog_that_is_restarted_while_the_last_output_is_carried(pod):
    """A slow reader of stdout holds the shim, for 5 s; the next watchdog, which waits for the socket,
    reports the end."""
    watch = pod.watch(*CLASSIC)
    second = pod.watch(*CLASSIC, listening=False)
    wait_until(lambda: "cannot listen" in second.errors, "the second watchdog")
    # More than one pipe holds, less than two.
    process = pod.shim("python3", "-c", "import os\nos.read(0, 1)\n"
                       "os.write(1, b'word\\n' * 20_000)\nos._exit(9)", stdin=subprocess.PIPE)
    only_child(process.pid)
    process.stdin.write(b"\n")
    process.stdin.flush()
    wait_until(lambda: not children(process.pid), "the command's end")
    kill(watch.pid)
    watch.process.wait()
    wait_until(pod.sockets, "the socket")
    assert process.communicate(timeout=HANG)[0].startswith(b"word\n") and process.returncode == 9
    line = second.next()
    assert line["exit_code"] == 9 and line["log_tail"].endswith("word\n")
    assert second.ended() == 0


def test_quick_agent_waits_for_a_classic_watchdog(pod):
    """run --wait: in classic mode the watchdog's container starts after the agent's."""
    start = time.monotonic()
    process = pod.shim("sh", "-c", "echo quick; exit 5", flags=("--wait", "50s"))
    time.sleep(0.5)
    watch = pod.watch(*CLASSIC)
    assert process.wait(timeout=HANG) == 5
    line = watch.next()
    assert (line["exit_code"], line["log_tail"]) == (5, "quick\n")
    assert time.monotonic() - start < 40 and watch.ended() == 0


def test_waiting_shim_is_to_terminate(pod):
    process = pod.shim("sh", "-c", "echo quick; exit 5", flags=("--wait", "50s"))
    assert process.stdout.readline() == b"quick\n"
    time.sleep(0.3)
    start = time.monotonic()
    kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=HANG) == 5 and time.monotonic() - start < 40


def test_watchdog_that_is_restarted(pod):
    """The ring is taken over by the next one."""
    watch = pod.watch(*CLASSIC)
    process = pod.shim("sh", "-c", "echo one; read x; echo two; read x; exit 6",
                       stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"one\n"
    time.sleep(0.1)
    kill(watch.pid)
    watch.process.wait()
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"two\n"
    second = pod.watch(*CLASSIC)
    wait_for_ring(second.pid)
    process.communicate(b"\n", timeout=HANG)
    line = second.next()
    assert (line["exit_code"], line["log_tail"], line["log_bytes_total"]) == (6, "one\ntwo\n", 8)
    assert second.ended() == 0 and watch.lines == []


def test_termination_is_remembered_for_a_later_watchdog(pod):
    process = pod.shim("python3", "-uc", "import signal,sys,time\n"
                       "signal.signal(signal.SIGTERM, lambda *a: print('got it'))\n"
                       "print('ready')\nsys.stdin.read(1)\nsys.exit(1)", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    kill(process.pid, signal.SIGTERM)
    assert process.stdout.readline() == b"got it\n"
    watch = pod.watch(*CLASSIC)
    wait_for_ring(watch.pid)
    process.communicate(b"\n", timeout=HANG)
    line = watch.next()
    assert line["exit_code"] == 1 and line["log_tail"] == "ready\ngot it\n"
    assert watch.ended() == 0


# ---- Others on the socket ----

def test_second_shim_of_a_name_is_refused(pod):
    """An impostor beside the live one gets nothing; the live one's end is told."""
    watch = pod.watch(*CLASSIC)
    process = pod.shim("sh", "-c", "echo real; read x; exit 3", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"real\n"
    time.sleep(0.1)
    impostor = connect(pod)
    say(impostor, message(HELLO), message(EXIT, ended=1))
    assert impostor.communicate(timeout=HANG)[0] == b"closed\n"
    process.communicate(b"\n", timeout=HANG)
    line = watch.next()
    assert (line["exit_code"], line["shim_uid"]) == (3, AGENT_USER)
    assert watch.ended() == 0 and len(watch.lines) == 1


def test_unknown_name_is_refused(pod):
    watch = pod.watch("--mode", "native")
    for name in (b"other", b"", b"mai", b"mainn"):
        stranger = connect(pod)
        say(stranger, message(HELLO, name))
        assert stranger.communicate(timeout=HANG)[0] == b"closed\n"
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0 and watch.lines == []


GARBAGE = [b"", b"x", b"\0" * 151, b"\xff" * 152, message(HELLO, magic=1), message(HELLO, layout=2),
           message(0), message(12), message(65535), message(HELLO, b"a" * 64),
           message(HELLO, b"a\nb"), message(HELLO, b"\xff"), message(WELCOME), message(ACK),
           message(EXIT), message(TAIL) + b"x" * 40000, b"\0" * 60000]


def test_garbage_closes_the_connection_and_nothing_else(pod):
    watch = pod.watch(*CLASSIC)
    process = pod.shim("sh", "-c", "echo real; read x; exit 3", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"real\n"
    for data in GARBAGE:
        stranger = connect(pod)
        say(stranger, data)
        out, _ = stranger.communicate(timeout=HANG)
        assert out == b"closed\n", data
    process.communicate(b"\n", timeout=HANG)
    assert watch.next()["exit_code"] == 3
    assert watch.ended() == 0 and len(watch.lines) == 1


@pytest.mark.parametrize("data", [message(HELLO), message(WELCOME), message(ACK), message(FLUSH),
                                  b"\xff" * 200])
def test_garbage_from_a_greeted_shim(pod, data):
    """Its own report suffers: it counts as vanished."""
    watch = pod.watch(*CLASSIC)
    stranger = connect(pod)
    say(stranger, message(HELLO), data)
    assert stranger.communicate(timeout=HANG)[0] == b"got %d\nclosed\n" % WELCOME
    assert watch.next()["error_type"] == "Killed"
    assert watch.ended() == 0


def test_shim_that_cannot_start_the_command(pod):
    """No process to be had: the command takes the shim's own, and nothing is told of its end."""
    watch = pod.watch("--mode", "native")
    done = pod.start(("setpriv", "--reuid=4321", "--regid=4321", "--clear-groups",
                      "prlimit", "--nproc=0", "--", PROGRAM, "run", "--name", "main", "--",
                      VICTIM, "exit", "9"), stderr=subprocess.PIPE)
    assert done.wait(timeout=HANG) == 9
    assert b"fork: Resource temporarily unavailable; running" in done.stderr.read()
    assert pod.run(VICTIM, "exit", "4")[0] == 4
    line = watch.next()
    assert (line["exit_code"], line["shim_instance"]) == (4, 2)
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0 and len(watch.lines) == 1


def test_command_that_takes_the_shims_process_inherits_no_orphans(pod):
    """What the shim has made of its process is undone."""
    script = ("import ctypes\nkept = ctypes.c_int(9)\n"
              "ctypes.CDLL(None).prctl(37, ctypes.byref(kept))  # PR_GET_CHILD_SUBREAPER\n"
              "print(kept.value)")
    done = pod.start(("setpriv", "--reuid=4321", "--regid=4321", "--clear-groups",
                      "prlimit", "--nproc=0", "--", PROGRAM, "run", "--name", "main", "--",
                      "/usr/bin/python3", "-c", script), stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE)
    out, err = done.communicate(timeout=HANG)
    assert out == b"0\n" and b"without lastword" in err


@pytest.mark.parametrize("last,reported", [(message(EXIT, ended=1, exit_code=7), 7),
                                       (message(LEAVING), None)])
def test_last_message_of_one_that_did_not_read_ours(pod, last, reported):
    """It closes with a message of ours unread: the kernel tells that before what it had sent."""
    watch = pod.watch("--mode", "native")
    shim = pod.start(("/usr/bin/python3", "-c",
                      "import select,socket,sys\n"
                      "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                      f"s.connect('\\0lastword'); s.send({message(HELLO)!r})\n"
                      "select.select([s], [], []); print('welcomed', flush=True)\n"
                      f"sys.stdin.readline(); s.send({last!r})\n"),
                     user=4000, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert shim.stdout.readline() == b"welcomed\n"
    watch.signal(signal.SIGSTOP)
    shim.communicate(b"\n", timeout=HANG)
    watch.signal(signal.SIGCONT)
    assert pod.run(VICTIM, "exit", "4")[0] == 4
    assert [watch.next()["exit_code"] for _ in range(1 if reported is None else 2)] == \
        [*([] if reported is None else [reported]), 4]
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_absurd_values_become_possible_ones(pod):
    watch = pod.watch("--mode", "native")
    most, least = (1 << 63) - 1, -(1 << 63)
    for sign, big, small in ((1, most, (1 << 31) - 1), (-1, least, -(1 << 31))):
        stranger = connect(pod)
        say(stranger, message(HELLO, started_at=big, duration=big, signal=small, pid=small),
            message(SILENT, duration=big), message(DEADLINE, duration=big),
            message(TAIL, total=(1 << 64) - 1 if sign > 0 else 0) + b"first\nmy tail\xff\n",
            message(EXIT, ended=small, exit_code=small, signal=small, killed_by_us=small,
                    started_at=big, finished_at=big, duration=big, max_rss=big, cpu=big,
                    oom_kills=big, total=(1 << 64) - 1))
        assert stranger.communicate(timeout=HANG)[0] == b"got %d\nclosed\n" % WELCOME
        lines = [watch.next() for _ in range(3)]
        assert [line["event"] for line in lines] == ["silent-agent", "deadline", "end"]
        assert 0 <= lines[2]["exit_code"] <= 255 and "signal" not in lines[2]
        # Where more is said to have been, the first line may be the end of a secret.
        assert lines[2]["log_tail"] == ("" if sign > 0 else "first\n") + "my tail\ufffd\n"
        assert all(line.get(key, 0) >= 0 for line in lines
                   for key in ("duration_seconds", "silence_seconds", "max_rss_bytes",
                               "cpu_seconds", "oom_kills"))
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_silent_strangers_do_not_keep_shims_out(pod):
    """Connections that say nothing are dropped for new ones."""
    watch = pod.watch(*CLASSIC)
    script = ("import socket,time\nkeep = []\n"
              "for i in range(300):\n"
              "    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
              "    s.connect('\\0lastword'); keep.append(s)\n"
              "print('there', flush=True); time.sleep(60)")
    strangers = pod.start(("/usr/bin/python3", "-c", script), user=4000, stdout=subprocess.PIPE)
    assert strangers.stdout.readline() == b"there\n"
    assert pod.run("sh", "-c", "exit 8")[0] == 8
    assert watch.next()["exit_code"] == 8
    assert watch.ended() == 0
    assert watch.errors == ""


def test_forged_events_cannot_flood(pod):
    """A container may print some hundred lines at once, then one a second; what is left out is
    counted."""
    watch = pod.watch("--mode", "native")
    stranger = connect(pod)
    say(stranger, message(HELLO), *[message(SILENT)] * 2000, message(EXIT, ended=1, exit_code=1))
    stranger.communicate(timeout=HANG)
    time.sleep(1.5)
    assert pod.run(VICTIM, "exit", "7")[0] == 7
    lines = []
    while not lines or lines[-1].get("exit_code") != 7:
        lines.append(watch.next())
    assert 100 < len(lines) < 400 and lines[-1]["reports_lost"] > 1600
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_ring_is_sealed(pod):
    """Nobody can cut it under the watchdog's feet, or make it grow."""
    watch = pod.watch("--mode", "native")
    process = hostile_ring(pod, "for change in (0, size - 1, size + 1):\n"
                           "    try: os.ftruncate(fd, change); print('changed')\n"
                           "    except PermissionError: print('refused')\n"
                           "try: fcntl.fcntl(fd, 1033, 0x10); print('sealed')\n"
                           "except PermissionError: print('refused')\n")
    assert process.communicate(timeout=HANG)[0] == b"refused\n" * 4
    assert watch.next()["error_type"] == "Killed"
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


@pytest.mark.parametrize("header", [
    (0, 0, 0, 0, 0), (2**64 - 1,) * 5, (65536, 2**64 - 1, 0, 0, 0), (65536, 0, 2**64 - 1, 0, 0),
    (1, 10, 10, 0, 0), (2**63, 2**63, 2**63, -1 % 2**64, 5), (65536, 100000, 50, 0, 0),
    (65536, 50, 100000, 0, 0)])
def test_hostile_ring(pod, header):
    """Whatever stands in its header: a line, nothing read from elsewhere, nobody dies."""
    watch = pod.watch("--mode", "native")
    process = hostile_ring(pod, "m[64:] = b'E' * (size - 64)\n"
                           f"m[:48] = struct.pack('=Q5Q', 1, *{header!r})\n")
    process.communicate(timeout=HANG)
    line = watch.next()
    assert line["error_type"] == "Killed" and set(line["log_tail"]) <= {"E"}
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


def test_ring_that_changes_while_it_is_read(pod):
    watch = pod.watch("--mode", "native")
    process = hostile_ring(pod, "r = random.Random(1)\n"
                           f"flush = {message(FLUSH)!r}\n"
                           "end = time.monotonic() + 1\n"
                           "if os.fork():\n"
                           "    while time.monotonic() < end: m[:4096] = r.randbytes(4096)\n"
                           "else:\n"
                           "    for i in range(100):\n"
                           "        f = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                           "        f.connect('\\0lastword'); f.send(flush); f.recv(4096)\n")
    process.communicate(timeout=HANG)
    lines = [watch.next() for _ in range(101)]
    assert [line["event"] for line in lines] == ["flush"] * 100 + ["end"]
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


# ---- What it runs on ----

def test_socket_that_is_taken(pod):
    """Somebody was there first: said once, tried again; shims do not trust another user."""
    squatter = pod.start(("/usr/bin/python3", "-c",
                          "import socket,time\n"
                          "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                          "s.bind('\\0lastword'); s.listen(9); print('there', flush=True)\n"
                          "time.sleep(60)"), user=4000, stdout=subprocess.PIPE)
    assert squatter.stdout.readline() == b"there\n"
    watch = pod.watch(*CLASSIC, listening=False)
    process = pod.shim("sh", "-c", "echo mine; read x; exit 2", stdin=subprocess.PIPE,
                       flags=("--watchdog-uid", str(WATCHDOG_USER)))
    assert process.stdout.readline() == b"mine\n"
    time.sleep(0.3)
    squatter.kill()
    squatter.wait()
    wait_until(pod.sockets, "the socket")
    wait_for_ring(watch.pid)
    process.communicate(b"\n", timeout=HANG)
    line = watch.next()
    assert (line["exit_code"], line["log_tail"]) == (2, "mine\n")
    assert watch.ended() == 0
    taken, there = watch.errors.splitlines()
    assert taken.startswith('lastword: cannot listen on the socket "lastword" of this pod; the '
                            "watchdog tries again every second, agents run without it: Address ")
    assert there == "lastword: the watchdog listens on its socket now"


def test_stdout_that_nobody_reads(pod):
    """The watchdog answers and ends all the same; what it kept comes out whole."""
    read_end, write_end = os.pipe()
    process = pod.start((PROGRAM, "watch", "--container", "main", "--mode", "native"),
                        user=WATCHDOG_USER, stdout=write_end, stderr=subprocess.PIPE)
    os.close(write_end)
    wait_until(pod.sockets, "the socket")
    for _ in range(60):  # of about 5 KB: more than the pipe and the stdout queue hold
        start = time.monotonic()
        assert pod.run("python3", "-c", "print('x' * 4000); exit(1)")[0] == 1
        assert time.monotonic() - start < HANG / 2
    lines = []
    with open(read_end, "rb") as stream:
        while len(lines) < 10:  # room again
            lines.append(json.loads(stream.readline()))
        assert pod.run("sh", "-c", "exit 2")[0] == 2
        process.send_signal(signal.SIGTERM)
        lines += [json.loads(line) for line in stream]
    assert process.wait(timeout=HANG) == 0
    assert [line["exit_code"] for line in lines] == [1] * (len(lines) - 1) + [2]
    assert len(lines) + lines[-1]["reports_lost"] == 61 and len(lines) >= 20


def test_bad_flags_never_stop_it(pod):
    watch = pod.watch("--nonsense", "--mode", "modern", "--container", "main=Sometimes",
                      "--container", "a" * 64, "--container", "agent", "--container", "agent",
                      "--redact", "[", "--context", "novalue", "--ring-size", "big", "--tail", "-1",
                      "--grace", "long")
    assert pod.run("sh", "-c", "exit 4", name="agent")[0] == 4
    assert watch.next()["exit_code"] == 4
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0
    for words in ("ignoring --nonsense: no such flag", "ignoring --mode modern: expected native or classic",
                  "main=Sometimes: expected Always, OnFailure or Never",
                  ": expected a name of at most 63 bytes",
                  "--container agent: it was named before", "ignoring --redact [: ",
                  "--context novalue: expected KEY=VALUE", "ignoring --ring-size big: ",
                  "ignoring --grace long: "):
        assert words in watch.errors, words


def test_idle_takes_no_time(pod):
    """No polling: with an agent connected that prints nothing neither side wakes up."""
    watch = pod.watch("--mode", "native")
    process = pod.shim("sleep", "60", flags=("--deadline", "1h", "--silence-after", "1h"))
    time.sleep(0.5)

    def switches(pid):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return [line.split()[1] for line in status.splitlines() if "ctxt_switches" in line]

    before = switches(watch.pid), switches(process.pid)
    time.sleep(1.5)
    assert (switches(watch.pid), switches(process.pid)) == before
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0
