#!/usr/bin/python3
"""Measures what two replicas of the observer need for 10,000 pods and 200 terminations a second for a
minute.

The API server is bench/api_server.c, on the same machine: both share its processors. Every record
is compared with the termination that it is about. A fifth of the agents has no watchdog: their last
words are in their own logs, which of a deleted pod are gone with it. BENCH_PODS, BENCH_RATE,
BENCH_SECONDS and BENCH_UNWRAPPED change the size."""
import os
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/observer"), str(ROOT / "tests/shared")]
import scale  # noqa: E402

PODS = int(os.environ.get("BENCH_PODS", "10000"))
RATE = int(os.environ.get("BENCH_RATE", "200"))
UNWRAPPED = int(os.environ.get("BENCH_UNWRAPPED", "20"))  # percent
SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
STREAMS = ("list", "watch", "lease")  # not caused by a single termination


def main():
    terminations = RATE * SECONDS
    with tempfile.TemporaryDirectory() as folder:
        figures = scale.run(pathlib.Path(folder), PODS, terminations, RATE, drop=20000,
                            replicas=2, seconds=SECONDS + 600, unwrapped=UNWRAPPED)
    requests = figures["requests"]
    lag = figures["lag_milliseconds"]
    per_termination = sum(n for kind, n in requests.items() if kind not in STREAMS) / terminations
    print(f"{PODS} pods, {RATE} terminations a second for {SECONDS} s")
    print(f"  recorded {figures['recorded']} of {terminations}; missing {figures['missing']}, "
          f"wrong {figures['wrong']}, unexpected {figures['unexpected']}, "
          f"posted again {figures['again']}; notified {figures['notified']}")
    print(f"  evidence: watchdog {figures['source_watchdog']}, log {figures['source_log']}, "
          f"kubelet {figures['source_kubelet']}; without their last words: "
          f"{figures['without_last_words']}")
    print("  lag from published to recorded: "
          + ", ".join(f"{name} {value} ms" for name, value in lag.items()))
    print(f"  API requests for each termination: {per_termination:.2f} ("
          + ", ".join(f"{kind} {n / terminations:.2f}" for kind, n in requests.items()
                      if n and kind not in STREAMS) + ")")
    print("  and in all: " + ", ".join(f"{kind} {requests[kind]}" for kind in STREAMS))
    for observer in figures["observers"]:
        used = observer["processor_seconds"]
        print(f"  {'leader' if observer['leader'] else 'other '}: peak "
              f"{observer['peak_memory'] / 2**20:.1f} MiB, {used:.1f} s of processor, "
              f"{used / terminations * 1000:.2f} ms for each termination")
    return 0 if figures["recorded"] == terminations and not figures["wrong"] else 1


if __name__ == "__main__":
    sys.exit(main())
