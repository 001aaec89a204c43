"""Rules that clusters have for all pods (tests/data/policies.yaml), and thousands of random pods, judged
by a real API server: what it accepts, it accepts injected as well. Nothing is installed: `lastword
inject` makes what the webhook makes, and the API server decides without storing it (dryRun=All)."""
import copy
import json
import os
import random
import subprocess
import sys

import pytest
import yaml

import kube
import product

sys.path.append(str(product.ROOT / "tests/blackbox"))
from random_pods import Maker  # noqa: E402

RULES = yaml.safe_load((product.ROOT / "tests/data/policies.yaml").read_text())
PODS = int(os.environ.get("LASTWORD_PODS", "3000"))
SEED = int(os.environ.get("LASTWORD_SEED", "20270101"))
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
CONTAINERS = ("(object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers"
              ".filter(i, has(i.restartPolicy)) : []))")


def merge(base, more):
    for key, value in (more or {}).items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = copy.deepcopy(value)
    return base


def write_config(path, mode, case):
    config = yaml.safe_load((product.MANIFESTS / "base/config.yaml").read_text())
    config["rules"] = [{"name": "all", **case.get("rule", {})}]
    config["sidecar"]["mode"] = mode
    for name, value in case.get("change", {}).items():
        merge(config, {"sidecar": {name.removeprefix("sidecar."): value}})
    path.write_text(yaml.safe_dump(config))


def inject(path, version, pods):
    """The pods, injected, in one go."""
    done = subprocess.run(
        [product.BUILD / "bin/lastword", "inject", "-c", path, "-f", "-", "-o", "json",
         "--kube-version", "%d.%d" % version],
        input="\n".join(json.dumps(pod) for pod in pods), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    decoder, text, found, at = json.JSONDecoder(), done.stdout.strip(), [], 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        while at < len(text) and text[at].isspace():
            at += 1
    assert len(found) == len(pods)
    return found


def modes(cluster):
    """Native sidecars are known since 1.29."""
    return ["classic", "native"] if cluster.version >= (1, 29) else ["classic"]


def refusal(cluster, namespace, pod):
    """None, or why the API server refuses the pod."""
    try:
        cluster.create(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
        return None
    except kube.Refused as refused:
        assert refused.code in (400, 403, 422), refused
        return refused.body


@pytest.fixture
def namespace(cluster):
    """make(): a namespace in which pods can be created; gone afterwards."""
    made = []

    def make():
        name = f"policy-{os.urandom(4).hex()}"
        cluster.make_namespace(name)
        made.append(name)
        return name

    yield make
    for name in made:
        cluster.delete(f"/api/v1/namespaces/{name}")


def pod_of(main, more=None):
    return merge({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
                  "spec": {"restartPolicy": "Never", "containers": [
                      {"name": "main", "image": "x", "command": ["/agent"], **copy.deepcopy(main)}]}},
                 more)


def check_rule(cluster, name, case, tmp_path):
    """The rule is in force, and a pod that obeys it obeys it injected."""
    bad = pod_of(case.get("bad", {}))
    kube.wait_until(lambda: refusal(cluster, name, bad), "the rule is in force")
    pod = pod_of(case.get("main", {}), case.get("pod"))
    assert refusal(cluster, name, pod) is None
    for mode in modes(cluster):
        write_config(tmp_path / "config.yaml", mode, case)
        (injected,) = inject(tmp_path / "config.yaml", cluster.version, [pod])
        assert injected["spec"]["containers"][0]["command"][0] == "/lastword/shim"
        assert refusal(cluster, name, injected) is None, mode


@pytest.mark.kubernetes(1, 30)
@pytest.mark.parametrize("case", [case for case in RULES if "expression" in case],
                         ids=lambda case: case["name"])
def test_admission_policy(cluster, namespace, tmp_path, case):
    name = namespace()
    labels = {"kubernetes.io/metadata.name": name}
    policy = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    cluster.create(f"{ADMISSION}/validatingadmissionpolicies", {
        **policy, "kind": "ValidatingAdmissionPolicy",
        "spec": {"failurePolicy": "Fail",
                 "matchConstraints": {"resourceRules": [{
                     "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                     "resources": ["pods"]}]},
                 "validations": [{"expression": case["expression"].replace(
                     "CONTAINERS", CONTAINERS)}]}})
    try:
        cluster.create(f"{ADMISSION}/validatingadmissionpolicybindings", {
            **policy, "kind": "ValidatingAdmissionPolicyBinding",
            "spec": {"policyName": name, "validationActions": ["Deny"],
                     "matchResources": {"namespaceSelector": {"matchLabels": labels}}}})
        check_rule(cluster, name, case, tmp_path)
    finally:
        cluster.delete(f"{ADMISSION}/validatingadmissionpolicybindings/{name}")
        cluster.delete(f"{ADMISSION}/validatingadmissionpolicies/{name}")


@pytest.mark.parametrize("case", [case for case in RULES if "limits" in case],
                         ids=lambda case: case["name"])
def test_limit_range(cluster, namespace, tmp_path, case):
    name = namespace()
    cluster.create(f"/api/v1/namespaces/{name}/limitranges", {
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"},
        "spec": {"limits": case["limits"]}})
    check_rule(cluster, name, case, tmp_path)


@pytest.mark.parametrize("case", [case for case in RULES if "quota" in case],
                         ids=lambda case: case["name"])
def test_quota(cluster, namespace, tmp_path, case):
    name = namespace()
    cluster.create(f"/api/v1/namespaces/{name}/resourcequotas", {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"},
        "spec": case["quota"]})
    quota = f"/api/v1/namespaces/{name}/resourcequotas/quota"
    kube.wait_until(lambda: "used" in cluster.get(quota).get("status", {}), "the quota is counted")
    check_rule(cluster, name, case, tmp_path)


@pytest.fixture
def runtime_class(cluster):
    """The one of the random pods."""
    path = "/apis/node.k8s.io/v1/runtimeclasses"
    cluster.create(path, {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass",
                          "metadata": {"name": "gvisor"}, "handler": "runsc"})
    yield
    cluster.delete(f"{path}/gvisor")


@pytest.mark.kubernetes(1, 30)
@pytest.mark.usefixtures("runtime_class")
def test_random_pods_are_accepted(cluster, namespace, figures, tmp_path):
    """LASTWORD_PODS random pods that the API server accepts are accepted injected."""
    name, made, valid = namespace(), 0, []
    while len(valid) < PODS:
        pod = Maker(random.Random(SEED + made)).pod()
        pod["metadata"]["namespace"] = name
        if refusal(cluster, name, pod) is None:
            valid.append((SEED + made, pod))
        made += 1
    changed = 0
    for number, mode in enumerate(modes(cluster)):
        write_config(tmp_path / "config.yaml", mode, {})
        part = valid[number::len(modes(cluster))]
        after = inject(tmp_path / "config.yaml", cluster.version, [pod for _, pod in part])
        for (seed, pod), injected in zip(part, after):
            why = injected != pod and refusal(cluster, name, injected)
            assert not why, f"LASTWORD_SEED={seed} LASTWORD_PODS=1 {mode}: {why}"
            changed += injected != pod
    assert changed > PODS / 2
    figures(f"random pods: {made} made, {len(valid)} valid, {changed} injected, 0 refused")
