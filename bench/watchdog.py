#!/usr/bin/python3
"""Measures what the watchdog costs an agent: output through the shim and through cat, start with and
without it, the time until an exit is reported, memory, idle wake-ups, size.

Pairs are measured in turn; on a shared machine only ratios within a run mean anything. BENCH_MEGABYTES
(default 100; a quarter where pieces are tiny) is the length of one measurement, BENCH_ROUNDS (3) their
number."""
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import threading
import time

import table

PROGRAM = str(table.BUILD / "bin/lastword-watchdog")
AGENT = str(table.BUILD / "bench/agent")
MEGABYTES = int(os.environ.get("BENCH_MEGABYTES", "100"))
BYTES = {65536: MEGABYTES << 20, 4096: MEGABYTES << 20, 100: MEGABYTES << 18}  # of each piece size
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SOCKET = ("--socket", f"lastword-bench-{os.getpid()}")
SHIM = (PROGRAM, "run", "--name", "main", *SOCKET, "--")
IDLE_SECONDS = 2
STARTS = 100
ENDS = 100
MEMORY_LIMIT = 16 * 1024  # KiB: of the sidecar, in manifests/base/config.yaml
SHIM_VOLUME = 1024        # KiB: the emptyDir of the shim
ROWS = ("size of the program", "private memory of the shim", "private memory of the sidecar",
        "private memory of the sidecar after the load", "wake-ups when idle",
        "delay of the start", "exit to report, median", "exit to report, worst",
        *(f"output in pieces of {piece} bytes, {processors}" for piece in BYTES
          for processors in ("one processor", "all processors")))


def median(values):
    return statistics.median(values)


def pipeline(*commands):
    """Runs commands joined by pipes; seconds until the last one ends."""
    start = time.monotonic()
    processes = []
    before = subprocess.DEVNULL
    for command in commands:
        last = command is commands[-1]
        process = subprocess.Popen(command, stdin=before,
                                   stdout=subprocess.DEVNULL if last else subprocess.PIPE)
        if processes:
            before.close()
        before = process.stdout
        processes.append(process)
    for process in reversed(processes):
        assert process.wait() == 0, process.args
    return time.monotonic() - start


def throughput(piece, cpus):
    """All rounds' bytes by all rounds' time: a single round is fast or slow by how its processes
    happen to be spread over the processors."""
    writer = (AGENT, "write", str(BYTES[piece]), str(piece))
    reader = (AGENT, "read")
    seconds = {"cat": 0, "run": 0}
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    for _ in range(ROUNDS):
        seconds["cat"] += pipeline(writer, ("cat",), reader)
        seconds["run"] += pipeline((*SHIM, *writer), reader)
    os.sched_setaffinity(0, before)
    rates = {name: ROUNDS * BYTES[piece] / 1e6 / taken for name, taken in seconds.items()}
    return rates["run"], rates["cat"]


def start_seconds(*prefix):
    start = time.monotonic_ns()
    done = subprocess.run([*prefix, AGENT, "now"], stdout=subprocess.PIPE)
    assert done.returncode == 1
    return (int(done.stdout) - start) / 1e6


def start_delay():
    bare, wrapped = [], []
    for _ in range(STARTS):
        bare.append(start_seconds())
        wrapped.append(start_seconds(*SHIM))
    return median(wrapped) - median(bare), median(bare)


class Watch:
    """The watchdog beside all of this, and when its reports came."""

    def __init__(self):
        self.process = subprocess.Popen([PROGRAM, "watch", "--container", "main", *SOCKET],
                                        stdout=subprocess.PIPE)
        self.reports = []
        self.came = threading.Semaphore(0)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.reports.append((time.monotonic_ns(), line))
            self.came.release()

    def clear(self):
        time.sleep(0.2)
        self.reports.clear()
        while self.came.acquire(blocking=False):
            pass


def exit_latencies(watch):
    """Milliseconds from the command's last act to its report being read; and until the shim's parent
    knows, for scale."""
    reported, known = [], []
    for _ in range(ENDS):
        watch.clear()
        done = subprocess.run([*SHIM, AGENT, "now"], stdout=subprocess.PIPE)
        known.append((time.monotonic_ns() - int(done.stdout)) / 1e6)
        assert watch.came.acquire(timeout=60)
        moment, report = watch.reports[-1]
        assert json.loads(report)["exit_code"] == 1
        reported.append((moment - int(done.stdout)) / 1e6)
    return reported, median(known)


def private_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    return kib["Private_Clean"] + kib["Private_Dirty"]


def wakeups(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", status))


def measure_idle(table_, watch):
    shim = subprocess.Popen([*SHIM, AGENT, "wait"])
    time.sleep(0.5)
    pids = (shim.pid, watch.process.pid)
    before = sum(map(wakeups, pids))
    time.sleep(IDLE_SECONDS)
    woken = sum(map(wakeups, pids)) - before
    for name, pid in zip(("shim", "sidecar"), pids):
        table_.add("watchdog", f"private memory of the {name}", private_kib(pid), "KiB",
                   "the sidecar's limit", MEMORY_LIMIT)
    table_.add("watchdog", "wake-ups when idle", woken / IDLE_SECONDS, "per second")
    shim.terminate()
    shim.wait()


def measure_output(table_):
    processors = os.sched_getaffinity(0)
    for piece in BYTES:
        for name, cpus in (("one processor", {min(processors)}), ("all processors", processors)):
            run, cat = throughput(piece, cpus)
            table_.add("watchdog", f"output in pieces of {piece} bytes, {name}", run, "MB/s", "cat",
                       cat)


def measure(table_):
    table_.add("watchdog", "size of the program", os.path.getsize(PROGRAM) / 1024, "KiB",
               "the shim's volume", SHIM_VOLUME)
    watch = Watch()
    try:
        time.sleep(0.2)
        measure_idle(table_, watch)
        delay, bare = start_delay()
        table_.add("watchdog", "delay of the start", delay, "ms", "the start itself", bare)
        reported, known = exit_latencies(watch)
        table_.add("watchdog", "exit to report, median", median(reported), "ms", "wait() in the parent",
                   known)
        table_.add("watchdog", "exit to report, worst", max(reported), "ms", "wait() in the parent",
                   known)
        measure_output(table_)
        table_.add("watchdog", "private memory of the sidecar after the load",
                   private_kib(watch.process.pid), "KiB", "the sidecar's limit", MEMORY_LIMIT)
    finally:
        watch.process.terminate()
        watch.process.wait()


if __name__ == "__main__":
    sys.exit(table.main_of("watchdog"))
