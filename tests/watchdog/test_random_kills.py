"""kill -9 at random moments: no termination is lost while a watchdog runs, none is reported twice,
and nothing hangs. Each trial has its own watchdog, shim and socket name."""
import concurrent.futures
import os
import random
import signal
import subprocess
import time

import pytest

from conftest import HANG, PROGRAM, SANITIZED, VICTIM, Watch, children, wait_until

TRIALS = 15 if SANITIZED else 80  # for each of the three victims
SIGNALED = 128 + signal.SIGKILL
DONE = 7  # the command's own end


class Trial:
    """An agent that prints for up to 40 ms and then ends; somebody is killed within 60 ms."""

    def __init__(self, pod, seed):
        chance = random.Random(seed)
        self.runtime = chance.uniform(0, 0.04)
        self.moment = chance.uniform(0, 0.06)
        self.pod = pod
        self.socket = f"round-{seed}"
        self.flags = ("--socket", self.socket)
        self.watch = Watch(self.start("watch", "--mode", "classic", "--restart-policy", "Never",
                                      "--container", "main", *self.flags,
                                      stdout=subprocess.PIPE))
        wait_until(self.is_listening, self.socket)
        self.shim = self.start("run", "--name", "main", *self.flags, "--", VICTIM, "print",
                               str(int(self.runtime * 1000)), stdout=subprocess.DEVNULL)

    def start(self, *words, **options):
        return self.pod.start((PROGRAM, *words), stderr=subprocess.PIPE, **options)

    def is_listening(self):
        with open(f"/proc/{self.pod.holder.pid}/net/unix") as table:
            return any(line.endswith(f" @{self.socket}\n") for line in table)

    def command(self):
        """The command's pid; None: it has ended before it could be seen."""
        found = wait_until(lambda: self.shim.poll() is not None or
                           [pid for pid in children(self.shim.pid) if is_victim(pid)], self.socket)
        return found[0] if isinstance(found, list) else None

    def kill(self, who):
        pid = {"command": self.command, "shim": lambda: self.command() and self.shim.pid,
               "watchdog": lambda: self.watch.pid}[who]()
        time.sleep(self.moment)
        try:
            os.kill(pid or self.shim.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # its own end was first

    def finish(self):
        """Codes of shim and watchdog, and the watchdog's lines."""
        code = self.shim.wait(timeout=HANG)
        watchdog_code = self.watch.ended()
        for stream in (self.shim.stderr, self.watch.process.stdout, self.watch.process.stderr):
            stream.close()
        return code, watchdog_code, self.watch.lines


def is_victim(pid):
    """The command. LeakSanitizer has a child too, at the end: whoever kills that one hangs it."""
    try:
        return os.readlink(f"/proc/{pid}/exe") == str(VICTIM)
    except OSError:
        return False


def play(pod, who, seed):
    a_trial = Trial(pod, seed)
    a_trial.kill(who)
    return a_trial.finish()


@pytest.mark.parametrize("who", ["command", "shim", "watchdog"])
def test_killed_at_a_random_moment(pod, who):
    seeds = [random.SystemRandom().getrandbits(48) for _ in range(TRIALS)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda seed: play(pod, who, seed), seeds))
    killed = 0
    for seed, (code, watchdog_code, lines) in zip(seeds, results):
        output = [(line["event"], line.get("exit_code"), line["error_type"]) for line in lines]
        what = (who, seed, code, watchdog_code, output)
        if who == "watchdog":
            assert code == DONE, what  # the agent has not noticed
            assert output in ([], [("end", DONE, "Error")]), what
            killed += watchdog_code == -signal.SIGKILL
            continue
        assert watchdog_code == 0 and len(lines) == 1, what
        if who == "command":
            assert output[0] == ("end", code, "Error" if code == DONE else "Killed"), what
            assert code in (DONE, SIGNALED), what
        elif code == -signal.SIGKILL:
            # It may have told the end before.
            assert output[0] in (("end", None, "Killed"), ("end", DONE, "Error")), what
        else:
            assert code == DONE and output[0] == ("end", DONE, "Error"), what
        killed += code != DONE
    assert killed >= TRIALS / 5, f"{killed} of {TRIALS}: the moments are no test"
