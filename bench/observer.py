#!/usr/bin/python3
"""Measures the observer with bench/api_server.c, which runs on the same machine and compares each
record with the termination that it is about.

Two runs of two replicas each. The first has the terminations of 100,000 agent pods an hour, 28 a
second: what a termination costs the API server, the leader and the other replica. The second has as
many terminations as the API server can publish: the rate at which one leader writes records, each
with its notification. A fifth of the agents has no watchdog: the observer reads their own logs.

BENCH_PODS (default 2000), BENCH_RATE (28), BENCH_SECONDS_OF_TERMINATIONS (20) and BENCH_BURST (4000
terminations) change the size. `observer.py --details` prints all figures of the first run."""
import datetime
import json
import os
import pathlib
import sys
import tempfile

import table

import scale

PODS = int(os.environ.get("BENCH_PODS", "2000"))
RATE = int(os.environ.get("BENCH_RATE", "28"))
SECONDS = int(os.environ.get("BENCH_SECONDS_OF_TERMINATIONS", "20"))
BURST = int(os.environ.get("BENCH_BURST", "4000"))
BURST_PODS = 10000
BURST_RATE = 5000
UNWRAPPED = 20                         # percent
MEMORY_LIMIT = 256                     # MiB: of the observer, in manifests/base/observer.yaml
STREAMS = ("list", "watch", "lease")   # not caused by a single termination
KINDS = ("log", "follow", "record_post", "record_get", "status", "event")
WATCHDOG_LIMIT = 5000                  # ms: in which a termination should be recorded
ROWS = ("records at the given rate", "lag of a record, p50", "lag of a record, p99",
        "records in a burst", "processor time of a termination, leader",
        "processor time of a termination, other replica", "peak memory, leader",
        "peak memory in the burst, leader",
        *(f"requests for a termination, {kind}" for kind in KINDS), "requests for a termination",
        "record as posted", "record as stored")


def run(pods, terminations, rate):
    with tempfile.TemporaryDirectory(prefix="lastword-bench-") as folder:
        figures = scale.run(pathlib.Path(folder), pods, terminations, rate, drop=20000, replicas=2,
                            seconds=terminations / rate + 300, unwrapped=UNWRAPPED)
    assert figures["recorded"] == terminations and not figures["wrong"], figures
    return figures


def managed_fields(value):
    """The fields of an object as the API server stores for each who owns them (FieldsV1). Lists are
    atomic in a custom resource that says nothing else."""
    return {f"f:{key}": managed_fields(member) if isinstance(member, dict) else {}
            for key, member in value.items()}


def stored(record):
    """Bytes of a record in etcd: the API server stores custom resources as JSON, with metadata that
    it adds and the fields of its two writers, the record's and the status's."""
    now = datetime.datetime.utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"notifications": [{"receiver": name, "state": "Delivered", "time": now}
                                for name in ("event-pod", "event-owner")]}

    def entry(fields, **more):
        return {"manager": "lastword-observer", "operation": "Update",
                "apiVersion": record["apiVersion"], "time": now, "fieldsType": "FieldsV1",
                "fieldsV1": managed_fields(fields), **more}
    own = {key: value for key, value in record.items() if key not in ("apiVersion", "kind")}
    own["metadata"] = {key: value for key, value in record["metadata"].items()
                       if key not in ("name", "namespace")}
    whole = {**record, "status": {**record.get("status", {}), **status},
             "metadata": {**record["metadata"], "uid": "0" * 36, "creationTimestamp": now,
                          "generation": 1,
                          "managedFields": [entry(own),
                                            entry({"status": status}, subresource="status")]}}
    return len(json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode())


def posted(record):
    return len(json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode())


def of(figures, leader):
    return next(one for one in figures["observers"] if one["leader"] == leader)


def measure(table_):
    def add(what, value, unit, peer=None, peer_value=None):
        table_.add("observer", what, value, unit, peer, peer_value)
    terminations = RATE * SECONDS
    calm = run(PODS, terminations, RATE)
    add("records at the given rate", terminations * 1e3 / calm["milliseconds"], "records/s",
        "terminations", RATE)
    for point in ("p50", "p99"):
        add(f"lag of a record, {point}", calm["lag_milliseconds"][point], "ms", "the goal",
            WATCHDOG_LIMIT)
    burst = run(BURST_PODS, BURST, BURST_RATE)
    add("records in a burst", BURST * 1e3 / burst["milliseconds"], "records/s",
        "100,000 pods/h", 100000 / 3600)
    for name, leader in (("leader", True), ("other replica", False)):
        add(f"processor time of a termination, {name}",
            of(burst, leader)["processor_seconds"] / BURST * 1e3, "ms")
    for what, figures in (("peak memory, leader", calm),
                          ("peak memory in the burst, leader", burst)):
        add(what, of(figures, True)["peak_memory"] / 2**20, "MiB", "the observer's limit",
            MEMORY_LIMIT)
    requests = {kind: n / terminations for kind, n in calm["requests"].items()
                if kind not in STREAMS}
    for kind in KINDS:
        add(f"requests for a termination, {kind}", requests[kind], "requests")
    add("requests for a termination", sum(requests.values()), "requests")
    add("record as posted", posted(calm["record"]), "bytes")
    add("record as stored", stored(calm["record"]), "bytes", "etcd's limit", 1536 * 1024)
    return calm


def main():
    calm = measure(table.Table({"observer": ROWS}))
    if sys.argv[1:] == ["--details"]:
        print(json.dumps(calm, indent=1))


if __name__ == "__main__":
    sys.exit(main())
