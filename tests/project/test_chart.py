"""The Helm chart. It renders what kustomize renders, from the same files, and its values change what
they say and nothing else."""
import copy
import json
import subprocess

import pytest
import tools
import yaml
from manifests import CHART_VALUES, EVERY_VALUE, MANIFESTS, SYSTEM, helm, kustomize, without_helm
from webhook_process import BUILD, ROOT

CHART = MANIFESTS / "chart"
SHIPPED = yaml.safe_load((MANIFESTS / "base/config.yaml").read_text())


@pytest.mark.parametrize("folder", CHART_VALUES)
def test_the_same_as_kustomize(folder):
    """But for the Namespace, which is Helm's own business. Only overlays/hardened has matchConditions."""
    expected = kustomize(folder)
    del expected["Namespace", SYSTEM]
    values = {"webhook": {"matchConditions": folder == "overlays/hardened"}, **CHART_VALUES[folder]}
    assert without_helm(helm(values=values)) == expected


def test_install_yaml_is_the_default_overlay():
    """`make manifests` renders it again after a change."""
    header, _, text = (MANIFESTS / "install.yaml").read_text().partition("\n")
    assert header.startswith("# Rendered of manifests/overlays/self-signed")
    assert text == tools.kustomize(MANIFESTS / "overlays/self-signed"), "run make manifests"


def test_lint():
    for values in ({}, EVERY_VALUE):
        done = subprocess.run([tools.tool("helm"), "lint", "--strict", CHART, "-f", "-"], text=True,
                              input=json.dumps(values), capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_is_complete(tmp_path):
    """The chart's links are files in it, and it renders the same."""
    tools.run("helm", "package", CHART, "-d", tmp_path)
    package, = tmp_path.glob("*.tgz")
    text = [tools.run("helm", "template", "lastword", path, "-n", SYSTEM) for path in (CHART, package)]
    assert text[0] == text[1]


def test_the_versions_are_those_of_the_programs():
    version = subprocess.run([BUILD / "bin/lastword", "--version"], capture_output=True,
                             text=True).stdout.split()[-1]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == version


def changed(before, after, path=()):
    """The paths at which two objects differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {*before, *after}:
            yield from changed(before.get(key), after.get(key), (*path, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after):
            yield from changed(one, other, path)
    elif before != after:
        yield path


POD = ("spec", "template", "spec")
IMAGE = (*POD, "containers", "image")
DIGEST = "sha256:" + "b" * 64
AFFINITY = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
    "nodeSelectorTerms": [{"matchExpressions": [{"key": "x", "operator": "Exists"}]}]}}}
SPREAD = {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
# What values change, in which objects, at which path, to what.
CHANGES = [
    ({"image": {"repository": "r.example/a", "tag": "7"}}, "Deployment", None, IMAGE, "r.example/a:7"),
    ({"image": {"digest": DIGEST}}, "Deployment", None, IMAGE, f"ghcr.io/lastword/lastword@{DIGEST}"),
    ({"image": {"pullPolicy": "Always"}}, "Deployment", None,
     (*POD, "containers", "imagePullPolicy"), "Always"),
    ({"watchdog": {"image": {"repository": "r.example/w", "digest": DIGEST}}}, "Deployment",
     "lastword-webhook", (*POD, "containers", "env", "value"), f"r.example/w@{DIGEST}"),
    ({"watchdog": {"image": {"tag": "7"}}}, "Deployment", "lastword-webhook",
     (*POD, "containers", "env", "value"), "ghcr.io/lastword/lastword-watchdog:7"),
    ({"imagePullSecrets": [{"name": "pull"}]}, "Deployment", None, (*POD, "imagePullSecrets"),
     [{"name": "pull"}]),
    ({"priorityClass": {"create": True, "name": "mine", "value": 7}}, "Deployment", None,
     (*POD, "priorityClassName"), "mine"),
    ({"crds": {"keep": False}}, "CustomResourceDefinition", None, ("metadata", "annotations"), None),
    ({"monitoring": {"enabled": True, "labels": {"release": "x"}}}, "PodMonitor", None,
     ("metadata", "labels", "release"), "x"),
    ({"priorityClass": {"name": "mine", "value": 7}}, "PriorityClass", "mine", ("value",), 7),
    ({"networkPolicy": {"enabled": True, "extraEgress": [{"ports": [{"port": 53}]}]}}, "NetworkPolicy",
     None, ("spec", "egress", "ports", "port"), 53),
    ({"webhook": {"timeoutSeconds": 2}}, "MutatingWebhookConfiguration", None,
     ("webhooks", "timeoutSeconds"), 2),
    ({"certificates": {"mode": "files", "caBundle": "QQ=="}}, "MutatingWebhookConfiguration", None,
     ("webhooks", "clientConfig", "caBundle"), "QQ=="),
]
for _component in ("webhook", "observer"):
    CHANGES += [({_component: {key: value}}, "Deployment", f"lastword-{_component}", path,
                 value.get("a/b", value) if isinstance(value, dict) else value)
                for key, path, value in [
        ("replicas", ("spec", "replicas"), 3),
        ("resources", (*POD, "containers", "resources"),
         {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}),
        ("nodeSelector", (*POD, "nodeSelector"), {"disk": "ssd"}),
        ("tolerations", (*POD, "tolerations"), [{"operator": "Exists"}]),
        ("affinity", (*POD, "affinity"), AFFINITY),
        ("topologySpreadConstraints", (*POD, "topologySpreadConstraints"), [SPREAD]),
        ("priorityClassName", (*POD, "priorityClassName"), "system-cluster-critical"),
        ("podAnnotations", ("spec", "template", "metadata", "annotations", "a/b"), {"a/b": "c"}),
        ("podLabels", ("spec", "template", "metadata", "labels", "a/b"), {"a/b": "c"})]]


def at(manifest, path):
    """The values at a path, in all items of the lists on the way."""
    if not path:
        return [manifest]
    if isinstance(manifest, list):
        return [found for item in manifest for found in at(item, path)]
    return at(manifest[path[0]], path[1:]) if path[0] in manifest else [None]


@pytest.fixture(scope="module")
def default():
    return helm()


@pytest.mark.parametrize("values,kind,name,path,expected", CHANGES,
                         ids=[json.dumps(change[0])[:60] for change in CHANGES])
def test_a_value_reaches_its_field(default, values, kind, name, path, expected):
    """And no other object of that kind, and no other field."""
    rendered = helm(values=values)
    found = {key: manifest for key, manifest in rendered.items()
             if key[0] == kind and name in (None, key[1])}
    assert found
    for key, manifest in rendered.items():
        if key[0] == kind and key in default:
            differing = {where[:len(path)] for where in changed(default[key], manifest)}
            assert path in differing if key in found else not differing, (key, differing)
    for manifest in found.values():
        assert expected in at(manifest, path)


# Values without which objects are not there, and these objects.
LEFT_OUT = [
    ({"crds": {"install": False}}, {("CustomResourceDefinition", "agentexits.lastword.dev")}),
    ({"priorityClass": {"create": False}}, {("PriorityClass", "lastword")}),
    ({"podDisruptionBudget": {"enabled": False}}, {
        ("PodDisruptionBudget", "lastword-webhook"), ("PodDisruptionBudget", "lastword-observer")}),
    ({"monitoring": {"enabled": True, "dashboard": False}}, {("ConfigMap", "lastword-dashboard")}),
]


@pytest.mark.parametrize("values,objects", LEFT_OUT, ids=[json.dumps(one[0]) for one in LEFT_OUT])
def test_a_value_leaves_objects_out(default, values, objects):
    """And changes no other."""
    rendered = helm(values=values)
    whole = default
    if "monitoring" in values:
        whole = helm(values={"monitoring": {"enabled": True}})
    assert {key: one for key, one in whole.items() if key not in objects} == rendered
    assert objects <= {*whole}


@pytest.mark.parametrize("component", ["webhook", "observer"])
def test_arguments(default, component):
    rendered = helm(values={component: {"logLevel": "debug", "extraArgs": ["--a=b"]}})
    path = (*POD, "containers", "args")
    for name in ("webhook", "observer"):
        key = "Deployment", f"lastword-{name}"
        more = ["--a=b", "--log-level=debug"] if name == component else []
        assert at(rendered[key], path) == [at(default[key], path)[0] + more]


def test_labels_of_all(default):
    rendered = helm(values={"commonLabels": {"team": "a"}})
    for key, manifest in rendered.items():
        assert manifest["metadata"]["labels"].pop("team") == "a", key
    assert rendered == default


def config_of(rendered):
    return rendered["ConfigMap", "lastword-config"]["data"]["config.yaml"]


def test_the_configuration(default, tmp_path):
    """The shipped text, comments included; rules in front of it; values merged over it; or another."""
    assert config_of(default) == (MANIFESTS / "base/config.yaml").read_text()
    rule = {"name": "mine", "match": {"matchLabels": {"a": "b"}}}
    merged = yaml.safe_load(config_of(helm(values={
        "config": {"rules": [rule], "values": {"sidecar": {"mode": "classic"}}},
        "watchdog": {"pullPolicy": "Always", "imagePullSecrets": ["pull"]}})))
    expected = copy.deepcopy(SHIPPED)
    expected["rules"].insert(0, rule)
    expected["sidecar"].update(mode="classic", imagePullPolicy="Always", imagePullSecrets=["pull"])
    assert merged == expected
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(merged))
    check = subprocess.run([BUILD / "bin/lastword", "check", "-c", tmp_path / "config.yaml"],
                           capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
    assert config_of(helm(values={"config": {"text": "kind: Config\n"}})) == "kind: Config\n"


def test_receivers(default, tmp_path):
    shipped = (MANIFESTS / "base/observer-config.yaml").read_text()
    assert default["ConfigMap", "lastword-observer"]["data"]["config.yaml"] == shipped
    receiver = {"name": "alerts", "type": "alertmanager", "url": "http://alertmanager.monitoring:9093"}
    more = {**receiver, "name": "more"}
    text = helm(values={"receivers": [receiver], "observer": {"config": {"receivers": [more]}}})[
        "ConfigMap", "lastword-observer"]["data"]["config.yaml"]
    assert yaml.safe_load(text) == {**yaml.safe_load(shipped), "receivers": [receiver, more]}
    (tmp_path / "config.yaml").write_text(text)
    check = subprocess.run([BUILD / "bin/lastword", "check", "-c", tmp_path / "config.yaml"],
                           capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


def test_namespaces_by_name():
    expressions, = at(helm(values={"namespaces": ["agents", "ml"]})[
        "MutatingWebhookConfiguration", "lastword"],
        ("webhooks", "namespaceSelector", "matchExpressions"))
    assert {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["agents", "ml"]} in \
        expressions
    assert not [one for one in expressions if one["key"] == "lastword.dev/inject"]
    assert [one for one in expressions if one["operator"] == "NotIn"]


def test_another_namespace():
    moved = helm(namespace="watch-tower")
    assert "lastword-system" not in json.dumps([*moved.values()])
    assert {one["metadata"]["namespace"] for one in moved.values()
            if "namespace" in one["metadata"]} == {"watch-tower"}


def test_an_observer_for_each_of_several_namespaces():
    rendered = helm(values={"observer": {"namespaces": ["agents", "ml"]}})
    names = {name for kind, name, *_ in rendered if kind == "Deployment"}
    assert names == {"lastword-webhook", "lastword-observer-agents", "lastword-observer-ml"}
    assert ("ClusterRoleBinding", "lastword-observer") not in rendered
    selectors = set()
    for namespace in ("agents", "ml"):
        name = f"lastword-observer-{namespace}"
        spec = rendered["Deployment", name]["spec"]
        arguments, = at(spec, ("template", "spec", "containers", "args"))
        assert {f"--watch-namespace={namespace}", f"--lease={name}"} <= {*arguments}
        assert not [one for one in arguments if one.startswith("--webhook-config=")]
        labels = spec["selector"]["matchLabels"]
        assert labels.items() <= spec["template"]["metadata"]["labels"].items()
        selectors.add(json.dumps(labels))
        assert any(key[0] == "RoleBinding" and one["metadata"]["namespace"] == namespace
                   for key, one in rendered.items())
    assert len(selectors) == 2
    named = [rule["resourceNames"] for rule in rendered["Role", "lastword-observer"]["rules"]
             if "resourceNames" in rule and "leases" in rule["resources"]]
    assert named == [["lastword-observer-agents", "lastword-observer-ml"]]


def test_older_servers():
    """Only what they know."""
    oldest = helm(version="1.20.2")
    assert oldest["PodDisruptionBudget", "lastword-webhook"]["apiVersion"] == "policy/v1beta1"
    for version, knows in (("1.20.2", False), ("1.29.9", False), ("1.30.0", True)):
        webhook, = helm(version=version)["MutatingWebhookConfiguration", "lastword"]["webhooks"]
        assert ("matchConditions" in webhook) == knows


@pytest.mark.parametrize("values,says", [
    ({"imagee": {}}, "imagee"), ({"webhook": {"replicas": "two"}}, "replicas"),
    ({"image": {"digest": "latest"}}, "digest"), ({"certificates": {"mode": "vault"}}, "mode"),
    ({"namespaces": ["Agents"]}, "namespaces"),
    ({"config": {"text": "x", "rules": [{"name": "a"}]}}, "config.text is the whole configuration")])
def test_wrong_values_are_refused(values, says):
    done = subprocess.run([tools.tool("helm"), "template", "lastword", CHART, "-f", "-"],
                          input=yaml.safe_dump(values), capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and says in done.stderr


def test_old_servers_have_no_admission_policy():
    done = subprocess.run([tools.tool("helm"), "template", "lastword", CHART, "--kube-version", "1.29.0",
                           "--set", "admissionPolicy.enabled=true"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode != 0 and "Kubernetes 1.30" in done.stderr


def test_every_value_is_in_the_schema():
    """And every property of the schema is a value that values.yaml shows."""
    def compare(values, schema, path):
        if schema.get("properties") is None:
            return
        properties = {*schema["properties"]} - ({"global"} if not path else set())
        assert {*values} == properties, path
        for key in properties:
            compare(values[key], schema["properties"][key], f"{path}.{key}")
    compare(yaml.safe_load((CHART / "values.yaml").read_text()),
            json.loads((CHART / "values.schema.json").read_text()), "")


def leaves(values, path=()):
    """The dotted names of the values that are no mapping with values of the chart in it."""
    if not isinstance(values, dict) or not values:
        yield ".".join(path)
    else:
        for key, value in values.items():
            yield from leaves(value, (*path, key))


# Values with a test of their own name.
ELSEWHERE = {"config.rules", "config.values", "config.text", "watchdog.pullPolicy",
             "watchdog.imagePullSecrets", "receivers", "observer.config", "namespaces",
             "observer.namespaces", "commonLabels", "webhook.matchConditions", "webhook.logLevel",
             "webhook.extraArgs", "observer.logLevel", "observer.extraArgs"}


def test_every_value_is_tried():
    """By a case of this file, and in EVERY_VALUE."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    known = {*leaves(defaults)}

    def of(values):
        return {name for one in leaves(values) for name in known if f"{one}.".startswith(f"{name}.")}
    tried = [values for values, *_ in CHANGES + LEFT_OUT] + [*CHART_VALUES.values()]
    assert set().union(*map(of, tried)) | ELSEWHERE == known
    assert of(EVERY_VALUE) == known - {"config.text"}
    helm(values=EVERY_VALUE)
