#!/usr/bin/python3
"""What it costs to redact and diagnose a ring of output. Figures are printed, never judged."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
logs = sorted((ROOT / "tests/data/diagnosis").glob("*.log"))
print(subprocess.run([ROOT / "build/bench/diagnosis", *logs], capture_output=True, text=True,
                     check=True).stdout, end="")
