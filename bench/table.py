#!/usr/bin/python3
"""The one table of `make bench`: its rows, how they are printed, and the CSV file.

A row has a section, what was measured, its value and unit; where there is something to compare it
with in the same run, also the peer, the peer's value and the ratio of the two. A peer is another
program that did the same job in turn, or a limit. On a shared machine only ratios mean anything.

Each bench/SECTION.py declares its rows in ROWS, in the order of the table, and measures them in
measure(table). Documents name rows as `SECTION: what`; tests/project/test_performance.py checks that
each is declared.

Run as a program, it measures the sections that are named (all without names), prints the table and
writes build/bench.csv: `table.py [SECTION…]`. `table.py --documents` writes the figures of
build/bench.csv into the tables of docs/ instead: those between `<!-- bench: SECTION -->` and
`<!-- end of bench -->`.

BENCH_BEFORE=OTHER/build measures the programs of another commit's tree as one more peer, "before"."""
import csv
import importlib
import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("LASTWORD_BUILD", ROOT / "build"))
# The build folder of another commit, to be measured beside this one.
BEFORE = pathlib.Path(os.environ["BENCH_BEFORE"]) if "BENCH_BEFORE" in os.environ else None
CSV = BUILD / "bench.csv"
SECTIONS = ("admission", "webhook", "watchdog", "diagnosis", "observer")
COLUMNS = ("section", "what", "value", "unit", "peer", "peer_value", "ratio")
DOCUMENTS = ("docs/performance.md", "docs/watchdog.md")
BLOCK = re.compile(r"(<!-- bench: ([a-z ]+) -->\n).*?(<!-- end of bench -->)", re.S)
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests/shared"), str(ROOT / "tests/observer")]


def number(value):
    """Three significant digits, no exponent: 1234 -> 1,234; 0.0123 -> 0.0123."""
    if not isinstance(value, (int, float)):
        return str(value)
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


class Table:
    """Prints each row when it is added."""

    def __init__(self, declared=None):
        self.declared = declared  # {section: whats}; None: any
        self.rows = []

    def add(self, section, what, value, unit, peer=None, peer_value=None):
        assert self.declared is None or what in self.declared[section], (section, what)
        ratio = value / peer_value if peer_value else None
        row = (section, what, value, unit, peer, peer_value, ratio)
        self.rows.append(row)
        beside = f"{peer} {number(peer_value)}" if peer else ""
        print(f"  {section + ': ' + what:56}{number(value):>11} {unit:22}{beside:34}"
              f"{show_ratio(ratio):>7}", flush=True)

    def value(self, section, what):
        return next(row[2] for row in self.rows if row[:2] == (section, what))

    def missing(self):
        have = {row[:2] for row in self.rows}
        return [(section, what) for section, whats in (self.declared or {}).items()
                for what in whats if (section, what) not in have]

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([["" if cell is None else f"{cell:.6g}" if isinstance(cell, float)
                               else cell for cell in row] for row in self.rows])


def show_ratio(ratio):
    if ratio is None:
        return ""
    if ratio >= 2:
        return f"{number(float(f'{ratio:.2g}'))}×"
    return f"{ratio * 100:.0f} %" if ratio >= 0.01 else f"{ratio * 100:.2g} %"


def read(path=CSV):
    """The rows of a CSV file, by (section, what)."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["section"] == "machine":
            continue  # a version is no number
        for column in ("value", "peer_value", "ratio"):
            try:
                row[column] = float(row[column])
            except ValueError:
                pass
    return {(row["section"], row["what"]): row for row in rows}


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return (done.stdout or done.stderr).strip()


def package(name):
    return output("dpkg-query", "-W", "-f", "${Version}", name)


def go_program():
    """Debian's package has it outside of PATH."""
    for path in ("/usr/lib/go-1.19/bin/go", "/usr/bin/go"):
        if os.path.exists(path):
            return path
    return "go"


def describe(table):
    """The machine and the versions, as rows."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    changed = output("git", "status", "--porcelain", "--untracked-files=no")
    facts = (
        ("processor", cpu.group(1) if cpu else platform.machine()),
        ("cores", os.cpu_count()),
        ("kernel", platform.release()),
        ("load before", f"{os.getloadavg()[0]:.2f}"),
        ("lastword", output("git", "describe", "--always") + (" and changes" if changed else "")),
        ("libmicrohttpd", package("libmicrohttpd12")),
        ("GnuTLS", package("libgnutls30")),
        ("OpenSSL (the client's)", package("libssl3")),
        ("cJSON", package("libcjson1")),
        ("nginx", output("/usr/sbin/nginx", "-v").rpartition("/")[2]),
        ("Go", output(go_program(), "version").partition(" go")[2].split(" ")[0]),
    )
    for what, value in facts:
        table.add("machine", what, value, "")


def modules(names):
    return {name: importlib.import_module(name) for name in names}


def main_of(section):
    """What `bench/SECTION.py` does as a program of its own: its rows are printed, no file."""
    module = importlib.import_module(section)
    module.measure(Table({section: module.ROWS}))


def measure(names):
    """False if a section failed, or left out a row that it declares."""
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        print(f"no section {unknown[0]}; there are: {' '.join(SECTIONS)}", file=sys.stderr)
        return False
    found = modules(names)
    table = Table({"machine": MACHINE, **{name: found[name].ROWS for name in names}})
    describe(table)
    for name in names:
        found[name].measure(table)
    table.write(CSV)
    print(f"written: {CSV}")
    for section, what in table.missing():
        print(f"not measured: {section}: {what}", file=sys.stderr)
    return not table.missing()


MACHINE = ("processor", "cores", "kernel", "load before", "lastword", "libmicrohttpd", "GnuTLS",
           "OpenSSL (the client's)", "cJSON", "nginx", "Go")


def cell(row):
    return f"{number(row['value'])} {row['unit']}".strip()


def markdown_beside(rows, section):
    """Rows that differ only in their peer, `…, beside PEER`, in one line with a column for each."""
    peers = list(dict.fromkeys(what.rpartition(", beside ")[2] for of, what in rows if of == section))
    lines = ["| row | value | " + " | ".join(f"beside {peer}" for peer in peers) + " |",
             "|---" * (len(peers) + 2) + "|"]
    for name in dict.fromkeys(what.rpartition(", beside ")[0] for of, what in rows if of == section):
        found = {peer: rows.get((section, f"{name}, beside {peer}")) for peer in peers}
        value = cell(next(row for row in found.values() if row))
        besides = (f"{show_ratio(row['ratio'])} of {number(row['peer_value'])}" if row else ""
                   for row in found.values())
        lines.append(f"| `{section}: {name}, beside *` | {value} | " + " | ".join(besides) + " |")
    return lines


def markdown_plain(rows, section):
    lines = ["| row | value | beside | ratio |", "|---|---|---|---|"]
    for (of, what), row in rows.items():
        if of == section:
            beside = f"{row['peer']} {number(row['peer_value'])}" if row["peer"] else ""
            ratio = show_ratio(row["ratio"]) if row["ratio"] != "" else ""
            lines.append(f"| `{section}: {what}` | {cell(row)} | {beside} | {ratio} |")
    return lines


def markdown(rows, section):
    all_beside = all(", beside " in what for of, what in rows if of == section)
    return "\n".join((markdown_beside if all_beside else markdown_plain)(rows, section)) + "\n"


def refill(text, rows):
    """The text with the tables of its blocks written anew; a section that was not measured stays."""
    measured = {section for section, _ in rows}

    def block(match):
        section = match.group(2)
        if section == "scale model" and {"webhook", "observer"} <= measured:
            return match.group(1) + importlib.import_module("scale_model").markdown(rows) \
                + match.group(3)
        return match.group(1) + markdown(rows, section) + match.group(3) \
            if section in measured else match.group(0)
    return BLOCK.sub(block, text)


def main(arguments):
    if arguments == ["--documents"]:
        rows = read()
        for name in DOCUMENTS:
            path = ROOT / name
            path.write_text(refill(path.read_text(), rows))
        return True
    return measure(arguments or SECTIONS)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
