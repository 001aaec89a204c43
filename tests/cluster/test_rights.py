"""The rights of lastword's accounts against what they request on a real node, as the API server's audit
log has it (node.py): nothing is denied, and nothing is granted that is never used."""
import itertools
import json
import os
import pathlib

import agents
import drivers
import kube
import product
import pytest

AUDIT = pathlib.Path(os.environ.get("LASTWORD_NODE", "/nowhere")) / "audit.log"
# Granted for what no scenario makes happen here: a certificate that is about to expire (an Event in our
# own namespace), a record that exists already when it is written, a pod that is looked up because a
# watch was cut at the wrong moment, and a breaker that opens.
RARE = {"lastword-webhook": {("", "events", "create")},
        "lastword-observer": {("lastword.dev", "agentexits", "get"), ("", "pods", "get"),
                              ("", "configmaps", "patch")}}


def requests():
    """{account: {(group, resource, verb)}} requested, and the denied ones of other than dry runs."""
    requested, denied = {}, []
    for line in AUDIT.read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the last line, half written
        if "impersonatedUser" in event or not event.get("objectRef", {}).get("resource"):
            continue  # a test in its name; /version and discovery
        account = event["user"]["username"].rsplit(":", 1)[1]
        target = event["objectRef"]
        resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
        right = target.get("apiGroup", ""), resource, event["verb"]
        requested.setdefault(account, set()).add(right)
        if event.get("responseStatus", {}).get("code") == 403 and \
                event["annotations"].get("authorization.k8s.io/decision") == "forbid":
            denied.append((account, right, target.get("namespace")))
    return requested, denied


def granted(cluster, account):
    """{(group, resource, verb)} by the bindings in the cluster."""
    group = "/apis/rbac.authorization.k8s.io/v1"
    found = set()
    for kind, place in (("clusterrole", group), ("role", f"{group}/namespaces/{product.SYSTEM}")):
        for binding in cluster.get(f"{place}/{kind}bindings")["items"]:
            if not any(one.get("name") == account and one.get("namespace") == product.SYSTEM
                       for one in binding.get("subjects") or []):
                continue
            role = binding["roleRef"]
            where = group if role["kind"] == "ClusterRole" else place
            for rule in cluster.get(f"{where}/{role['kind'].lower()}s/{role['name']}")["rules"]:
                found |= {*itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"])}
    return found


@pytest.fixture
def one_record_kept(installed):
    """The observer keeps one record of a namespace: a new leader deletes the others at once."""
    path = f"/apis/apps/v1/namespaces/{product.SYSTEM}/deployments/lastword-observer"
    arguments = installed.get(path)["spec"]["template"]["spec"]["containers"][0]["args"]

    def set_arguments(arguments):
        installed.call("PATCH", path, [{
            "op": "replace", "path": "/spec/template/spec/containers/0/args", "value": arguments}],
            "application/json-patch+json")
        product.wait_available(installed, "lastword-observer")

    yield lambda: set_arguments([*arguments, "--record-cap=1"])
    set_arguments(arguments)


@pytest.mark.last
def test_rights_are_those_that_are_used(installed, one_record_kept):
    driver = drivers.KubernetesDriver(installed)
    for code in (3, 4):
        driver.check_record(driver.make(agents.pod(agents.container(f"exit {code}"))), exitCode=code)
    one_record_kept()
    delete = "lastword.dev", "agentexits", "delete"
    kube.wait_until(lambda: delete in requests()[0]["lastword-observer"], "a record is deleted")
    requested, denied = requests()
    assert denied == []
    for account in ("lastword-webhook", "lastword-observer"):
        unused = granted(installed, account) - requested[account]
        assert unused <= RARE[account], account
    driver.clean()
