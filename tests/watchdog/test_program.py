"""The program as it is shipped: one static file, small. (Of the release build; the sanitized one is
another kind of program.)"""
import subprocess

from conftest import PROGRAM

SIZE_MAX = 200_000


def test_it_is_small():
    with open(PROGRAM, "rb") as file:
        assert len(file.read()) <= SIZE_MAX


def test_it_needs_nothing():
    headers = subprocess.run(["readelf", "--program-headers", "--dynamic", PROGRAM],
                             capture_output=True, text=True, check=True).stdout
    assert "INTERP" not in headers and "NEEDED" not in headers
    assert "GNU_RELRO" in headers and "GNU_STACK" in headers
    stack = next(line for line in headers.split("GNU_STACK")[1].splitlines()[1:])
    assert "E" not in stack  # not executable
