#!/usr/bin/python3
"""Computes what 100,000 agent pods an hour in 5,000 namespaces cost webhook, API server, etcd and
observer, from the rows of build/bench.csv. `make bench` first; `scale_model.py [CSV]` prints each
figure with its formula, and docs/performance.md has the same table.

The model's assumptions are the constants below. Each agent terminates once. A failed termination has a
record; one that succeeded has none and needs no request but the reading of its report, so the share of
failures says nearly all: 100 % is the bound, 10 % a day that is still bad."""
import math
import pathlib
import sys

import table

PODS_AN_HOUR = 100_000
NAMESPACES = 5_000
POD_MINUTES = 20              # how long a pod lives
POD_EVENTS = 8                # changes of its status that a watch sends
POD_BYTES = 8_000             # of one of them: a pod as in the median review
RECORD_TTL_HOURS = 168        # the observer's --record-ttl
RECORD_CAP = 1_000            # --record-cap: of a namespace
EVENT_BYTES = 1_200           # of a stored Event
EVENT_TTL_HOURS = 1           # the API server's --event-ttl
ETCD_BYTES = 2 << 30          # etcd's default quota
REQUEST_SECONDS = 0.010       # of a request to a busy API server
REQUESTS_AT_A_TIME = 42       # the observer's bound
POD_MEMORY = 2048             # bytes: the observer's bound
LEADER_LOAD = 0.5             # how much of its ceiling a leader should use
KINDS = ("log", "follow", "record_post", "record_get", "status", "event")


def show(value, unit):
    for size, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if unit == "bytes" and value >= size:
            return f"{table.number(value / size)} {name}"
    return f"{table.number(value)} {unit}"


class Model:
    """Collects lines: what, formula with its figures, result."""

    def __init__(self, rows):
        self.rows = rows
        self.lines = []

    def row(self, name):
        section, _, what = name.partition(": ")
        return self.rows[section, what]["value"]

    def line(self, what, formula, value, unit):
        self.lines.append((what, formula, show(value, unit)))
        return value


def add_webhook(model, rate):
    processor = model.row("webhook: processor time of a review, median, beside canned")
    ceiling = model.row("webhook: keep-alive, median, beside canned")
    model.line("pods", f"{PODS_AN_HOUR:,} / 3,600 s", rate, "/s")
    model.line("webhook, processor", f"{rate:.1f}/s × {processor:.0f} µs", rate * processor / 1e4,
               "% of a core")
    model.line("webhook, ceiling of one replica (its clients on the same cores)",
               f"{ceiling:,.0f}/s / {rate:.1f}/s", ceiling / rate, "times this load")


def add_api_server(model, rate):
    total = 0
    for kind in KINDS:
        requests = model.row(f"observer: requests for a termination, {kind}")
        total += model.line(f"API server, {kind.replace('_', ' ')} requests", f"{rate:.1f}/s × {requests:.2f}",
                            rate * requests, "/s")
    model.line("API server, requests in all", "the sum", total, "/s")
    model.line("API server, watch of pods",
               f"2 replicas × {rate:.1f}/s × {POD_EVENTS} changes × {POD_BYTES:,} bytes",
               2 * rate * POD_EVENTS * POD_BYTES / 1e6, "MB/s")
    return total / rate


def add_etcd(model, rate):
    stored = model.row("observer: record as stored")
    events = model.row("observer: requests for a termination, event")
    for percent in (100, 10):
        of_namespace = PODS_AN_HOUR / NAMESPACES * percent / 100
        kept = min(of_namespace * RECORD_TTL_HOURS, RECORD_CAP)
        model.line(f"etcd, records if {percent} % fail",
                   f"{NAMESPACES:,} × min({of_namespace:g}/h × {RECORD_TTL_HOURS} h, {RECORD_CAP}) "
                   f"× {stored:,.0f} bytes", NAMESPACES * kept * stored, "bytes")
        model.line(f"etcd, the --record-ttl that fills half of {ETCD_BYTES >> 30} GiB if {percent} % "
                   "fail",
                   f"{ETCD_BYTES >> 31} GiB / ({PODS_AN_HOUR * percent // 100:,}/h × "
                   f"{stored:,.0f} bytes)",
                   ETCD_BYTES / 2 / (PODS_AN_HOUR * percent / 100 * stored), "h")
    model.line("etcd, Events, at most",
               f"{PODS_AN_HOUR:,}/h × {events:.2f} × {EVENT_TTL_HOURS} h × {EVENT_BYTES:,} bytes",
               PODS_AN_HOUR * events * EVENT_TTL_HOURS * EVENT_BYTES, "bytes")
    model.line("etcd, writes", f"{rate:.1f}/s × (record + status + {events:.2f} Events + deletion)",
               rate * (3 + events), "/s")


def add_observer(model, rate, requests):
    pods = PODS_AN_HOUR * POD_MINUTES / 60
    base = model.row("observer: peak memory, leader")
    for name in ("leader", "other replica"):
        processor = model.row(f"observer: processor time of a termination, {name}")
        model.line(f"observer, processor of the {name}", f"{rate:.1f}/s × {processor:.2f} ms",
                   rate * processor / 10, "% of a core")
    model.line("observer, memory, at most",
               f"{base:.0f} MiB + {PODS_AN_HOUR:,} × {POD_MINUTES} min × {POD_MEMORY} bytes",
               base * (1 << 20) + pods * POD_MEMORY, "bytes")
    burst = model.row("observer: records in a burst")
    slow = REQUESTS_AT_A_TIME / (requests * REQUEST_SECONDS)
    model.line("ceiling of one leader, measured", "`observer: records in a burst`", burst,
               "records/s")
    model.line("ceiling of one leader at 10 ms a request",
               f"{REQUESTS_AT_A_TIME} at a time / ({requests:.2f} × {REQUEST_SECONDS} s)", slow,
               "records/s")
    ceiling = min(burst, slow)
    model.line("shards that are needed", f"{rate:.1f}/s / ({ceiling:.0f}/s × {LEADER_LOAD:g})",
               math.ceil(rate / (ceiling * LEADER_LOAD)), "")
    model.line("pods an hour that one leader serves, half loaded",
               f"{ceiling:.0f}/s × {LEADER_LOAD:g} × 3,600 s", ceiling * LEADER_LOAD * 3600, "")


def compute(rows):
    model = Model(rows)
    rate = PODS_AN_HOUR / 3600
    add_webhook(model, rate)
    requests = add_api_server(model, rate)
    add_etcd(model, rate)
    add_observer(model, rate, requests)
    return model.lines


def markdown(rows):
    return "| what | formula | result |\n|---|---|---|\n" + "".join(
        f"| {what} | {formula} | {result.strip()} |\n" for what, formula, result in compute(rows))


def main(arguments):
    for what, formula, result in compute(table.read(pathlib.Path(arguments[0]) if arguments
                                                     else table.CSV)):
        print(f"{what:64} {formula:72} {result}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
