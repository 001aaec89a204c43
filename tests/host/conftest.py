"""Tests of what the cluster's scenarios depend on. They run on the machine itself."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cluster"))
