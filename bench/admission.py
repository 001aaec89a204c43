#!/usr/bin/python3
"""Measures what an admission review costs without network: each stage, by the size of the review,
beside cJSON_Parse() of the same bytes; and the worst pods beside the median of recorded reviews.
Processor time of one thread, the best of many runs."""
import re
import subprocess
import sys

import table

REVIEWS = {"small": "019-create-pods-bare.json", "median": "002-create-pods-coderun-job.json",
           "400 env": "017-create-pods-env-400.json", "250 KB": "018-create-pods-annotation-250k.json"}
STAGES = ("parse", "decide", "respond", "all stages")
WORST = (8192, 65536, 1433600)
ROWS = (*(f"{stage}, {size}" for size in REVIEWS for stage in STAGES),
        *(f"worst pod of {bytes_} bytes" for bytes_ in WORST))
CONFIG = table.ROOT / "manifests/base/config.yaml"
RECORDED = table.ROOT / "tests/data/reviews"


def output(program, *arguments):
    return subprocess.run([table.BUILD / "bench" / program, *arguments], capture_output=True,
                          text=True, check=True).stdout


def measure_stages(table_):
    lines = output("stages", CONFIG, *(RECORDED / name for name in REVIEWS.values())).splitlines()
    for size, line in zip(REVIEWS, lines, strict=True):
        _, *times, cjson = map(float, line.split())
        for stage, time in zip(STAGES, times, strict=True):
            table_.add("admission", f"{stage}, {size}", time, "µs", "cJSON_Parse", cjson)


def measure_worst(table_):
    text = output("review", CONFIG, *sorted(RECORDED.glob("*.json")))
    median = float(re.search(r"^median of .*: ([\d.]+) µs", text).group(1))
    for size in WORST:
        worst = float(re.search(rf"^{size} bytes: at most ([\d.]+) µs", text, re.M).group(1))
        table_.add("admission", f"worst pod of {size} bytes", worst, "µs/KiB",
                   "median of recorded", median)


def measure(table_):
    measure_stages(table_)
    measure_worst(table_)


if __name__ == "__main__":
    sys.exit(table.main_of("admission"))
