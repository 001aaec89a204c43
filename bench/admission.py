#!/usr/bin/python3
"""Measures what an admission review costs without network: each stage, by the size of the review,
beside cJSON_Parse() of the same bytes; and the worst pods beside the median of recorded reviews.
Processor time of one thread: of the stages the median of many runs, of the worst pods
the best of some."""
import re
import subprocess
import sys

import table

REVIEWS = {"small": "019-create-pods-bare.json", "median": "002-create-pods-coderun-job.json",
           "400 env": "017-create-pods-env-400.json", "250 KB": "018-create-pods-annotation-250k.json"}
STAGES = ("parse", "decide", "respond", "all stages")
WORST = (8192, 65536, 1433600)
PEERS = ("cJSON_Parse", *(["before"] if table.BEFORE else []))
ROWS = (*(f"{stage}, {size}, beside {peer}" for size in REVIEWS for stage in STAGES
          for peer in PEERS),
        *(f"worst pod of {bytes_} bytes, beside the median review" for bytes_ in WORST))
CONFIG = table.ROOT / "manifests/base/config.yaml"
RECORDED = table.ROOT / "tests/data/reviews"


def output(build, program, *arguments):
    return subprocess.run([build / "bench" / program, *arguments], capture_output=True, text=True,
                          check=True).stdout


def stages(build):
    """For each size: the times of the stages, and cJSON's."""
    config = build.parent / "manifests/base/config.yaml"
    lines = output(build, "stages", config, *(RECORDED / name for name in REVIEWS.values()))
    return {size: [float(time) for time in line.split()[1:]]
            for size, line in zip(REVIEWS, lines.splitlines(), strict=True)}


def measure_stages(table_):
    found = stages(table.BUILD)
    before = stages(table.BEFORE) if table.BEFORE else None
    for size, (*times, cjson) in found.items():
        for number, (stage, time) in enumerate(zip(STAGES, times, strict=True)):
            table_.add("admission", f"{stage}, {size}, beside cJSON_Parse", time, "µs",
                       "cJSON_Parse", cjson)
            if before:
                table_.add("admission", f"{stage}, {size}, beside before", time, "µs", "before",
                           before[size][number])


def measure_worst(table_):
    text = output(table.BUILD, "review", CONFIG, *sorted(RECORDED.glob("*.json")))
    median = float(re.search(r"^median of .*: ([\d.]+) µs", text).group(1))
    for size in WORST:
        worst = float(re.search(rf"^{size} bytes: at most ([\d.]+) µs", text, re.M).group(1))
        table_.add("admission", f"worst pod of {size} bytes, beside the median review", worst,
                   "µs/KiB", "the median review", median)


def measure(table_):
    measure_stages(table_)
    measure_worst(table_)


if __name__ == "__main__":
    sys.exit(table.main_of("admission"))
