"""The manifests as `kubectl apply -k` renders them: the rights of each account, who may connect to the
pods, and that a pod of ours passes PodSecurity's level "restricted"."""
import functools
import itertools
import re

import pytest
from manifests import SYSTEM, kustomize

OVERLAYS = ["base", "overlays/self-signed", "overlays/hardened", "overlays/namespaced",
            "overlays/fail-pod", "overlays/cert-manager"]


render = functools.cache(kustomize)


def rights(objects, account):
    """{(scope, group, resource, names, verb)} of a ServiceAccount."""
    found = set()
    for (kind, *_), binding in objects.items():
        subject = {"kind": "ServiceAccount", "name": account, "namespace": SYSTEM}
        if kind not in ("RoleBinding", "ClusterRoleBinding") or subject not in binding["subjects"]:
            continue
        role = objects[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
        scope = "cluster" if kind == "ClusterRoleBinding" else binding["metadata"]["namespace"]
        for rule in role["rules"]:
            found |= {(scope, *one) for one in itertools.product(
                rule["apiGroups"], rule["resources"], [tuple(rule.get("resourceNames", ()))],
                rule["verbs"])}
    return found


BREAKER_RIGHT = {(SYSTEM, "", "configmaps", ("lastword-breaker",), "get")}
WEBHOOK_RIGHTS = BREAKER_RIGHT | {
    (SYSTEM, "", "secrets", ("lastword-webhook-tls",), "get"),
    (SYSTEM, "", "secrets", ("lastword-webhook-tls",), "patch"),
    (SYSTEM, "", "events", (), "create"),
    ("cluster", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", ("lastword",), "get"),
    ("cluster", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", ("lastword",),
     "patch")}


@pytest.mark.parametrize("folder,expected", [
    ("base", BREAKER_RIGHT), ("overlays/self-signed", WEBHOOK_RIGHTS), ("overlays/hardened", WEBHOOK_RIGHTS)])
def test_rights_of_the_webhook(folder, expected):
    assert rights(render(folder), "lastword-webhook") == expected


@pytest.mark.parametrize("folder", OVERLAYS)
def test_nobody_has_dangerous_rights(folder):
    """No wildcard, no right to read or create Secrets at large, none over roles, pods or nodes."""
    objects = render(folder)
    accounts = [key[1] for key in objects if key[0] == "ServiceAccount"]
    assert sorted(accounts) == ["lastword-observer", "lastword-webhook"]
    for account in accounts:
        for scope, group, resource, names, verb in rights(objects, account):
            assert "*" not in (group, resource, verb)
            assert resource != "secrets" or names
            assert verb not in ("escalate", "bind", "impersonate", "deletecollection")
            assert group != "rbac.authorization.k8s.io"
            assert (group, resource) not in {("", "nodes"), ("", "pods/exec"),
                                             ("", "serviceaccounts/token")}
            assert resource != "pods" or verb in ("get", "list", "watch") or \
                (folder, account, verb) == ("overlays/fail-pod", "lastword-observer", "patch")


def test_an_observer_for_one_namespace():
    """It has no right in the whole cluster, and in its own namespace only the Lease and the state of
    the breaker."""
    objects = render("overlays/namespaced")
    found = rights(objects, "lastword-observer")
    assert {one[0] for one in found} == {"agents", SYSTEM}
    assert {one[2] for one in found if one[0] == SYSTEM} == {"leases", "configmaps"}
    everywhere = rights(render("base"), "lastword-observer")
    assert {one[1:] for one in found if one[0] == "agents"} == \
        {one[1:] for one in everywhere if one[0] == "cluster"}
    assert containers(objects, "lastword-observer")[0]["args"] == [
        "--namespace=$(POD_NAMESPACE)", "--config=/etc/lastword-observer/config.yaml",
        "--watch-namespace=agents", "--breaker=$(POD_NAMESPACE)/lastword-breaker"]


def test_the_right_to_fail_pods():
    """Only with its overlay, and there the API server limits it to the deadline."""
    objects = render("overlays/fail-pod")
    right = {("cluster", "", "pods", (), "patch")}
    assert rights(objects, "lastword-observer") == \
        rights(render("overlays/self-signed"), "lastword-observer") | right
    assert containers(objects, "lastword-observer")[0]["args"][-1] == "--remedy=fail-pod"
    policy = objects["ValidatingAdmissionPolicy", "lastword-observer-fail-pod"]["spec"]
    assert policy["failurePolicy"] == "Fail"
    assert objects["ValidatingAdmissionPolicyBinding", "lastword-observer-fail-pod"]["spec"] == {
        "policyName": "lastword-observer-fail-pod", "validationActions": ["Deny"]}


def test_the_secret_is_shipped_empty():
    """Without data, so that applying the manifests again leaves the certificates alone; the type
    kubernetes.io/tls would require data."""
    secret = render("overlays/self-signed")["Secret", "lastword-webhook-tls"]
    assert secret["type"] == "Opaque" and "data" not in secret and "stringData" not in secret
    argument = "--secret=lastword-webhook-tls"
    assert argument in containers(render("overlays/self-signed"), "lastword-webhook")[0]["args"]


def test_the_state_of_the_breaker_is_shipped_empty():
    """Applying the manifests again leaves it alone, and nobody may create another ConfigMap."""
    for folder in OVERLAYS:
        objects = render(folder)
        assert "data" not in objects["ConfigMap", "lastword-breaker"]
        for account in ("lastword-webhook", "lastword-observer"):
            found = {one for one in rights(objects, account) if one[2] == "configmaps"}
            assert found and {one[:4] for one in found} == {
                (SYSTEM, "", "configmaps", ("lastword-breaker",))}
            assert {one[4] for one in found} <= {"get", "patch"}
            assert "--breaker=$(POD_NAMESPACE)/lastword-breaker" in containers(
                objects, account)[0]["args"]


def containers(objects, name):
    return objects["Deployment", name]["spec"]["template"]["spec"]["containers"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_pods_are_restricted(folder):
    objects = render(folder)
    for name in ("lastword-webhook", "lastword-observer"):
        pod = objects["Deployment", name]["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name,open_ports", [("lastword-webhook", [8443]), ("lastword-observer", [])])
def test_network_policies(name, open_ports):
    """Metrics from labelled namespaces only; out to the API server's ports only, so no DNS."""
    objects = render("overlays/hardened")
    policy = objects["NetworkPolicy", name]["spec"]
    template = objects["Deployment", name]["spec"]["template"]
    assert policy["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    ports = {port["containerPort"] for port in containers(objects, name)[0]["ports"]}
    from_anywhere = [port["port"] for rule in policy["ingress"] if "from" not in rule
                     for port in rule["ports"]]
    assert from_anywhere == open_ports
    limited = [rule for rule in policy["ingress"] if "from" in rule]
    assert limited == [{"from": [{"namespaceSelector": {"matchLabels": {
        "lastword.dev/metrics": "allowed"}}}], "ports": [{"port": 9090}]}]
    assert {*open_ports, 9090} == ports
    out = [port["port"] for rule in policy["egress"] for port in rule["ports"]]
    assert out and 53 not in out
    assert all(set(rule) == {"ports"} for rule in policy["egress"])


def test_the_admission_policy_names_the_webhooks_account():
    objects = render("overlays/hardened")
    policy = objects["ValidatingAdmissionPolicy", "lastword-webhook-configuration"]["spec"]
    binding = objects["ValidatingAdmissionPolicyBinding", "lastword-webhook-configuration"]["spec"]
    account = objects["Deployment", "lastword-webhook"]["spec"]["template"]["spec"][
        "serviceAccountName"]
    expression = policy["matchConditions"][0]["expression"]
    pattern = re.fullmatch(r'request.userInfo.username.matches\("(.*)"\)', expression).group(1)
    assert re.search(pattern, f"system:serviceaccount:{SYSTEM}:{account}")
    assert re.search(pattern, f"system:serviceaccount:elsewhere:{account}")
    for other in ("lastword-observer", f"{account}-2", f"x:{account}"):
        assert not re.search(pattern, f"system:serviceaccount:{SYSTEM}:{other}")
    assert not re.search(pattern, f"x-system:serviceaccount:{SYSTEM}:{account}")
    assert policy["failurePolicy"] == "Fail" and binding["validationActions"] == ["Deny"]
    assert binding["policyName"] == "lastword-webhook-configuration"
    # Every field of a webhook that our configuration sets is compared, but for the caBundle.
    fields = policy["validations"][-1]["expression"]
    for webhook in objects["MutatingWebhookConfiguration", "lastword"]["webhooks"]:
        for field in {*webhook} - {"clientConfig"}:
            assert fields.count(f"w.?{field},") + fields.count(f"w.?{field}]") == 2, field
    assert "caBundle" not in fields
