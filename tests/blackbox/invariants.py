"""What must be true of every pod after injection, whatever it was before. Knows Kubernetes' rules,
nothing of how the patch was made."""
import os
from decimal import Decimal, ROUND_CEILING

OURS = {"lastword-watchdog", "lastword-install"}
VOLUME = "lastword"
SUFFIXES = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
            "k": Decimal(10) ** 3, "M": Decimal(10) ** 6, "G": Decimal(10) ** 9,
            "T": Decimal(10) ** 12, "P": Decimal(10) ** 15, "E": Decimal(10) ** 18,
            "Ki": Decimal(2) ** 10, "Mi": Decimal(2) ** 20, "Gi": Decimal(2) ** 30,
            "Ti": Decimal(2) ** 40, "Pi": Decimal(2) ** 50, "Ei": Decimal(2) ** 60}


def quantity(text):
    digits = text.rstrip("EPTGMkKinum")
    suffix = text[len(digits):]
    return (Decimal(digits) * SUFFIXES[suffix]).quantize(Decimal("1e-9"), ROUND_CEILING)


def containers(pod):
    return pod["spec"].get("initContainers", []) + pod["spec"].get("containers", [])


def qos(pod):
    every = [c for c in containers(pod) if c["name"] not in OURS] or containers(pod)
    return qos_of(every)


def qos_of(every):
    given = [c.get("resources", {}) for c in every]
    if not any(quantity(kind.get(r, "0")) for g in given
               for kind in (g.get("limits", {}), g.get("requests", {})) for r in ("cpu", "memory")):
        return "BestEffort"
    for g in given:
        for resource in ("cpu", "memory"):
            limit = g.get("limits", {}).get(resource)
            if limit is None or not quantity(limit):  # zero counts as none
                return "Burstable"
            request = g.get("requests", {}).get(resource, limit)
            if quantity(limit) != quantity(request):
                return "Burstable"
    return "Guaranteed"


def check_valid(pod):
    """What the API server refuses a pod for, as far as an injection could cause it."""
    names = [c["name"] for c in containers(pod)]
    assert len(names) == len(set(names))
    volumes = [v["name"] for v in pod["spec"].get("volumes", [])]
    assert len(volumes) == len(set(volumes))
    for c in containers(pod):
        mounts = c.get("volumeMounts") or []
        assert all(m["name"] in volumes for m in mounts)
        paths = [m["mountPath"] for m in mounts]
        paths += [d["devicePath"] for d in c.get("volumeDevices") or []]
        if (c.get("command") or [""])[0] == "/lastword/shim":
            others = [os.path.normpath("/" + m["mountPath"]) for m in mounts if m["name"] != VOLUME]
            assert not any(p == "/" or f"{p}/".startswith("/lastword/") for p in others)
        assert len(paths) == len(set(paths))
        limits = c.get("resources", {}).get("limits", {})
        requests = c.get("resources", {}).get("requests", {})
        for resource, limit in limits.items():
            if resource in requests:
                assert quantity(limit) >= quantity(requests[resource]), (c["name"], resource)
        hook = (c.get("lifecycle") or {}).get("preStop")
        assert hook is None or len(hook) == 1
        assert all(isinstance(s, str) for s in c.get("command") or [])
    annotations = pod["metadata"].get("annotations") or {}
    assert sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items()) <= 256 * 1024
    if "resources" in pod["spec"]:
        check_pod_level(pod)


def requested(container):
    """Limits are requests too, where there is none."""
    resources = container.get("resources") or {}
    return {**resources.get("limits", {}), **resources.get("requests", {})}


def check_pod_level(pod):
    """Requests of what runs side by side within the pod's own, each limit within its limit. A missing
    request is the limit; without that it was zero before Kubernetes 1.36."""
    limits = pod["spec"]["resources"].get("limits", {})
    requests = {**limits, **pod["spec"]["resources"].get("requests", {})}
    beside = [c for c in containers(pod) if c in pod["spec"]["containers"]
              or c.get("restartPolicy") == "Always"]
    for resource in {r for c in beside for r in requested(c)}:
        total = sum(quantity(requested(c).get(resource, "0")) for c in beside)
        assert total <= quantity(requests.get(resource, "0")), resource
    for c in beside:
        for resource, limit in (c.get("resources") or {}).get("limits", {}).items():
            assert quantity(limit) <= quantity(limits.get(resource, limit)), (c["name"], resource)


def check_kept(before, after):
    """Everything that was there is there still, in its order; only known fields differ."""
    for kind in ("initContainers", "containers"):
        old = before["spec"].get(kind) or []
        new = after["spec"].get(kind) or []
        assert [c["name"] for c in new[:len(old)]] == [c["name"] for c in old]
        assert {c["name"] for c in new[len(old):]} <= OURS
        for a, b in zip(old, new):
            check_container_kept(a, b)
    old = before["spec"].get("volumes") or []
    new = after["spec"].get("volumes") or []
    assert new[:len(old)] == old
    assert [v["name"] for v in new[len(old):]] in ([], [VOLUME])
    old = before["spec"].get("imagePullSecrets") or []
    assert (after["spec"].get("imagePullSecrets") or [])[:len(old)] == old
    added = {"containers", "initContainers", "volumes", "imagePullSecrets"}
    for key in set(before["spec"]) - added:
        assert after["spec"][key] == before["spec"][key]
    assert set(after["spec"]) - set(before["spec"]) <= added
    check_metadata_kept(before.get("metadata", {}), after.get("metadata", {}))


def check_metadata_kept(before, after):
    for key, value in before.items():
        if key in ("labels", "annotations"):
            for k, v in (value or {}).items():
                if k.endswith(("safe-to-evict-local-volumes", "/skip-containers")):
                    assert after[key][k].startswith(v)
                elif not k.startswith("lastword.dev/"):
                    assert after[key][k] == v
        else:
            assert after[key] == value


def check_container_kept(before, after):
    may_differ = {"terminationMessagePolicy", "resources", "command", "lifecycle", "volumeMounts"}
    for key in set(before) - may_differ:
        assert after[key] == before[key], key
    assert set(after) - set(before) <= may_differ
    old_command = before.get("command") or []
    new_command = after.get("command") or []
    if new_command != old_command:
        assert new_command[:2] == ["/lastword/shim", "run"]
        assert new_command[new_command.index("--") + 1:][:len(old_command)] == old_command
    mounts = before.get("volumeMounts") or []
    assert (after.get("volumeMounts") or [])[:len(mounts)] == mounts
    added = (after.get("volumeMounts") or [])[len(mounts):]
    assert added in ([], [{"name": VOLUME, "mountPath": "/lastword", "readOnly": True}])
    for kind in ("limits", "requests"):
        for resource, value in (before.get("resources") or {}).get(kind, {}).items():
            assert after["resources"][kind][resource] == value
    check_lifecycle_kept(before.get("lifecycle") or {}, after.get("lifecycle") or {})


def check_lifecycle_kept(before, after):
    for key in set(before) - {"preStop"}:
        assert after[key] == before[key]
    old, new = before.get("preStop"), after.get("preStop")
    if old == new:
        return
    command = new["exec"]["command"]
    assert command[:2] == ["/lastword/shim", "flush"]
    if old:
        assert list(old) == ["exec"]
        assert command[command.index("--") + 1:] == old["exec"]["command"]


def check_sidecar(pod):
    """No new powers: what our containers may do and see."""
    ids = {pod["spec"].get("securityContext", {}).get(k) for k in ("runAsUser", "runAsGroup",
                                                                   "fsGroup")}
    for c in containers(pod):
        if c["name"] not in OURS:
            context = c.get("securityContext") or {}
            ids |= {context.get("runAsUser"), context.get("runAsGroup")}
            assert all(m.get("readOnly") for m in c.get("volumeMounts") or []
                       if m["name"] == VOLUME)
    for c in containers(pod):
        if c["name"] not in OURS:
            continue
        context = c["securityContext"]
        assert context["runAsNonRoot"] is True and context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False and not context["privileged"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        if "openshift.io/scc" in pod["metadata"].get("annotations", {}):
            assert not {"runAsUser", "runAsGroup"} & set(context)
        else:
            assert context["runAsUser"] not in ids and context["runAsGroup"] not in ids
        assert "ports" not in c and not any(k.endswith("Probe") for k in c)
        token = [m for m in c["volumeMounts"]
                 if m["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"]
        assert token == [{"name": VOLUME, "readOnly": True, "mountPath": token[0]["mountPath"]}]
        writable = [m for m in c["volumeMounts"] if not m.get("readOnly")]
        assert all(m == {"name": VOLUME, "mountPath": "/lastword"} for m in writable)


def check_injection(before, after):
    check_kept(before, after)
    if after == before:
        return
    check_valid(after)
    check_sidecar(after)
    assert after["metadata"]["labels"]["lastword.dev/injected"] == "true"
    wrapped = [c for c in after["spec"]["containers"]
               if (c.get("command") or [""])[0] == "/lastword/shim"]
    ours = [c for c in containers(after) if c["name"] == "lastword-watchdog"]
    assert len(ours) == (1 if wrapped else 0)
    if not any(k.startswith("lastword.dev/sidecar-") for k in after["metadata"]["annotations"]):
        if "resources" not in after["spec"] and qos(after) == "BestEffort":  # no rule's resources
            assert qos_of(containers(after)) == "BestEffort"
        if qos(before) == "Guaranteed":
            assert qos_of(containers(after)) == "Guaranteed"
