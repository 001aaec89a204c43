import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from record_cluster import Cluster  # noqa: E402


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path)
