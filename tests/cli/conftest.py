import pytest

from record_cluster import Cluster


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path)
