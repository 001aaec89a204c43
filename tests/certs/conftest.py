import pytest

from api_server import ApiServer
from replica import Replica


class Cluster:
    """A fake API server and replicas of the webhook."""

    def __init__(self, factory):
        self.factory = factory
        self.api = ApiServer(factory.mktemp("api"))
        self.replicas = []

    def start(self, *arguments, environment=None):
        replica = Replica(self.factory.mktemp("webhook"), self.api, arguments, environment)
        self.replicas.append(replica)
        return replica

    def stop(self):
        try:
            for replica in self.replicas:
                replica.stop()
        finally:
            self.api.stop()


@pytest.fixture
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory)
    yield cluster
    cluster.stop()
