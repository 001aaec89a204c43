#!/usr/bin/python3
"""Measures what the watchdog costs an agent: output through the shim and through cat, start with and
without it, the time until an exit is reported, memory, idle wake-ups, size.

One run measures pairs in turn; on a shared machine only ratios and differences within a run mean
anything. BENCH_MEGABYTES (default 400; a quarter where pieces are tiny) is the length of one
measurement, BENCH_ROUNDS (default 15) their number."""
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = str(ROOT / "build/bin/lastword-watchdog")
AGENT = str(ROOT / "build/bench/agent")
MEGABYTES = int(os.environ.get("BENCH_MEGABYTES", "400"))
BYTES = {65536: MEGABYTES << 20, 4096: MEGABYTES << 20, 100: MEGABYTES << 18}  # of each piece size
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
SOCKET = ("--socket", f"lastword-bench-{os.getpid()}")
SHIM = (PROGRAM, "run", "--name", "main", *SOCKET, "--")
IDLE_SECONDS = 5
STARTS = 200
ENDS = 100


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
    print(f"  pieces of {piece:5} bytes, {len(cpus)} processor{'s'[:len(cpus) > 1]}: "
          f"{rates['run']:5.0f} MB/s, cat {rates['cat']:5.0f} MB/s: "
          f"{100 * rates['run'] / rates['cat']:.0f} %")


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
    late = sorted(w - b for w, b in zip(wrapped, bare))
    print(f"  {median(wrapped) - median(bare):.2f} ms later than without (medians "
          f"{median(wrapped):.2f}, {median(bare):.2f}); pair by pair 95 % within "
          f"{late[len(late) * 95 // 100]:.2f} ms")


class Watch:
    """The watchdog beside all of this, and when its lines came."""

    def __init__(self):
        self.process = subprocess.Popen([PROGRAM, "watch", "--container", "main", *SOCKET],
                                        stdout=subprocess.PIPE)
        self.lines = []
        self.came = threading.Semaphore(0)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic_ns(), line))
            self.came.release()

    def clear(self):
        time.sleep(0.2)
        self.lines.clear()
        while self.came.acquire(blocking=False):
            pass


def end_latency(watch):
    """From the command's last act to its line being read; and to its parent knowing, for scale."""
    reported, known = [], []
    for _ in range(ENDS):
        watch.clear()
        done = subprocess.run([*SHIM, AGENT, "now"], stdout=subprocess.PIPE)
        known.append((time.monotonic_ns() - int(done.stdout)) / 1e6)
        assert watch.came.acquire(timeout=60)
        moment, line = watch.lines[-1]
        assert json.loads(line)["exit_code"] == 1
        reported.append((moment - int(done.stdout)) / 1e6)
    reported.sort()
    print(f"  median {median(reported):.2f} ms, worst of {ENDS} {reported[-1]:.2f} ms "
          f"(the shim's parent knows after {median(known):.2f} ms)")


def memory(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    private = kib["Private_Clean"] + kib["Private_Dirty"]
    return f"resident {kib['Rss']} KiB, proportional {kib['Pss']} KiB, private {private} KiB"


def wakeups(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    switches = sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", status))
    return switches, int(fields[11]) + int(fields[12])


def idle(watch):
    shim = subprocess.Popen([*SHIM, AGENT, "wait"])
    time.sleep(1)
    pids = {"run": shim.pid, "watch": watch.process.pid}
    before = {name: wakeups(pid) for name, pid in pids.items()}
    time.sleep(IDLE_SECONDS)
    for name, pid in pids.items():
        after = wakeups(pid)
        print(f"  {name:5} {memory(pid)}; in {IDLE_SECONDS} s idle {after[0] - before[name][0]} "
              f"wake-ups, {after[1] - before[name][1]} ticks of CPU")
    shim.terminate()
    shim.wait()


def instructions():
    """Of the shim alone for a megabyte of output, and for a command that does nothing."""
    def count(*command):
        done = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", *SHIM, *command],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        found = re.search(r"^(\d+),", done.stderr, re.M)
        return int(found.group(1)) if found else None
    try:
        counted = count("true")
    except FileNotFoundError:
        counted = None
    print(f"  {counted} in user space for run -- true" if counted
          else "  not measured, perf counts none on this machine")


def main():
    print(f"size of the program: {os.path.getsize(PROGRAM)} bytes")
    watch = Watch()
    time.sleep(0.2)
    print("memory with one container, and idle:")
    idle(watch)
    print("an agent's start:")
    start_delay()
    print("from its end to the line:")
    end_latency(watch)
    print("its output through the shim, beside the same through cat:")
    processors = os.sched_getaffinity(0)
    for piece in BYTES:
        throughput(piece, {min(processors)})
        throughput(piece, processors)
    print(f"memory of watch after {len(watch.lines)} more lines: {memory(watch.process.pid)}")
    print("instructions:")
    instructions()
    watch.process.terminate()
    return watch.process.wait()


if __name__ == "__main__":
    sys.exit(main())
