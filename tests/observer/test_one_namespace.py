"""An observer that may see one namespace only: every request that it sends is in that namespace, except
for its Lease, and it writes the records that an observer of all namespaces writes."""
import re

from cluster import Cluster
from injected import STREAM
from test_docs import observer
from test_process import QUICK, cluster, expected, observe, step_through  # noqa: F401
from waiting import wait_until

NAMESPACE = re.search('"namespace":"([^"]+)"', STREAM.read_text()).group(1)


def test_everything_happens_in_the_namespace(cluster, observe, monkeypatch):  # noqa: F811
    """The API server refuses what a RoleBinding does not allow."""
    respond = Cluster.respond
    refused = []

    def guarded(self, request):
        path = request.path.partition("?")[0]
        here = re.match(rf"/apis?/(v1|[\w.]+/\w+)/namespaces/{NAMESPACE}/", path)
        if not here and "/namespaces/lastword-system/leases" not in path:
            refused.append(path)
            return request.send_status(403, "Forbidden", path)
        request.path = request.path.replace(f"/api/v1/namespaces/{NAMESPACE}/pods?",
                                            "/api/v1/pods?")
        return respond(self, request)

    monkeypatch.setattr(Cluster, "respond", guarded)
    c = cluster("plain")
    one = observe(c, "one", "--watch-namespace", NAMESPACE, *QUICK)
    wait_until(lambda: one.metric("lastword_observer_leader") == 1, "it to lead")
    step_through(c, one)
    wait_until(lambda: c.names() == set(expected("plain")), "the records")
    assert refused == []


def test_usage():
    for arguments, message in [(["--watch-namespace", "a/b"], "expected a namespace"),
                               (["--watch-namespace", ""], "expected a name"),
                               (["--watch-namespace", "a", "--webhook-config", "b"], "not both")]:
        result = observer(*arguments)
        assert result.returncode == 2 and message in result.stderr, arguments
