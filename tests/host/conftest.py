"""Tests of what the cluster's scenarios stand on: they run on the machine itself."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cluster"))
