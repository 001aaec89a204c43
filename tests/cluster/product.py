"""Installs the product in the cluster as an admin would: images on the node, and manifests by kustomize or,
with LASTWORD_INSTALL=chart, by Helm. Overlays have the same names in both ways."""
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import yaml

import kube
import oci
import pki
import tools
from manifests import CHART_VALUES

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("LASTWORD_BUILD", ROOT / "build")).resolve()
MANIFESTS = ROOT / "manifests"
CHART = MANIFESTS / "chart"
INSTALL = os.environ.get("LASTWORD_INSTALL") or "kustomize"
SYSTEM = "lastword-system"
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lastword"

AGENT = "docker.io/local/agent:1"            # a shell, victim.c, goagent
DISTROLESS = "docker.io/local/distroless:1"  # victim alone
PAUSE = "docker.io/local/pause:1"
SHIPPED = {"servers": "ghcr.io/lastword/lastword:0.1.0",
           "watchdog": "ghcr.io/lastword/lastword-watchdog:0.1.0"}

# What PodSecurity's level "restricted" requires, and a read-only root file system.
RESTRICTED = {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000,
              "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
              "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}


def victim(folder):
    """The test's command, linked statically: it runs in any image."""
    program = folder / "victim"
    subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-static", "-O1", "-o", program,
                    ROOT / "tests/watchdog/victim.c"], check=True)
    return program


def go_agent(folder):
    """An agent in Go, static as well."""
    program = folder / "goagent"
    subprocess.run(["/usr/lib/go-1.19/bin/go", "build", "-o", program,
                    ROOT / "tests/cluster/goagent/main.go"], check=True,
                   env={**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off",
                        "GOCACHE": str(folder / "go-cache")})
    return program


def make_archives(folder):
    """{image name: archive} of all images that the scenarios run; pause is the sandbox's image."""
    archives = {}

    def archive(name, root, config):
        path = folder / (re.sub(r"[^a-z0-9]+", "-", name) + ".tar")
        oci.write_archive(path, name, root, config)
        archives[name] = path

    for stage, name in SHIPPED.items():
        archive(name, BUILD / "rootfs" / stage, oci.stage_config(ROOT / "Dockerfile", stage))
    program = victim(folder)
    busybox = "/bin/busybox"
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True,
                             text=True).stdout.split()
    agent = folder / "agent"
    oci.make_root(agent, {"/bin/busybox": busybox, "/victim": program,
                         "/goagent": go_agent(folder)},
                  {f"/bin/{name}": "busybox" for name in applets if name != "busybox"},
                  ["/tmp", "/workspace"])
    archive(AGENT, agent, {"Env": ["PATH=/bin"], "Cmd": ["sh"]})
    distroless = folder / "distroless"
    oci.make_root(distroless, {"/victim": program})
    archive(DISTROLESS, distroless, {"Entrypoint": ["/victim"]})
    pause = shutil.which("pause")
    if pause:
        root = folder / "pause"
        oci.make_root(root, {"/pause": pause})
        archive(PAUSE, root, {"Entrypoint": ["/pause"]})
    return archives


def import_images():
    """Imports them into both containerds of our own node. On another cluster they must be there
    already (docs/testing.md)."""
    with tempfile.TemporaryDirectory() as folder:
        import_archives(make_archives(pathlib.Path(folder)).values())


def import_archives(paths):
    for path in paths:
        for name in ("containerd", "containerd-cri"):
            subprocess.run(["ctr", "-a", f"/run/{name}/containerd.sock", "-n", "k8s.io", "images",
                            "import", path], check=True, stdout=subprocess.DEVNULL)


def import_other_version(version):
    """Images of our own node with that tag: the same programs, which say that they are that version. It
    has as many characters as ours."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for stage, name in SHIPPED.items():
            repository, own = name.rsplit(":", 1)
            root = folder / stage
            shutil.copytree(BUILD / "rootfs" / stage, root, symlinks=True)
            for program in [*root.glob("usr/bin/*"), *root.glob("shim")]:
                program.write_bytes(program.read_bytes().replace(
                    own.encode() + b"\0", version.encode() + b"\0"))
            archive = folder / f"{stage}.tar"
            oci.write_archive(archive, f"{repository}:{version}", root,
                              oci.stage_config(ROOT / "Dockerfile", stage))
            import_archives([archive])


def name_images(names):
    """Gives images of our own node further names: {name: further name}."""
    for socket in ("containerd", "containerd-cri"):
        for name, further in names.items():
            subprocess.run(["ctr", "-a", f"/run/{socket}/containerd.sock", "-n", "k8s.io", "images",
                            "tag", "--force", name, further], check=True,
                           stdout=subprocess.DEVNULL)


def render(cluster, kustomization):
    """What a current `kubectl apply -k` applies. The oldest Kubernetes of the tests knows
    PodDisruptionBudgets only as policy/v1beta1."""
    text = tools.kustomize(MANIFESTS / kustomization)
    if cluster.version < (1, 21):
        text = text.replace("apiVersion: policy/v1\n", "apiVersion: policy/v1beta1\n")
    return text


def apply_kustomization(cluster, kustomization):
    if cluster.version < (1, 21):
        # Its own kubectl knows neither the newer fields of the CRD nor kustomizations as of today.
        cluster.kubectl("apply", "--validate=false", "-f", "-",
                        text=render(cluster, kustomization))
    else:
        cluster.kubectl("apply", "-k", str(MANIFESTS / kustomization))


def delete_kustomization(cluster, kustomization, *more):
    """As `kubectl delete -k`; returns when all objects are deleted."""
    cluster.kubectl("delete", "--ignore-not-found", *more, "-f", "-",
                    text=render(cluster, kustomization))


def helm(cluster, *arguments, values=None):
    """helm's standard output; values: a value file's content."""
    return tools.run("helm", *arguments, *(["-f", "-"] if values is not None else []),
                     env=cluster.environment, input=None if values is None else json.dumps(values))


def render_chart(cluster, values):
    return helm(cluster, "template", "lastword", CHART, "-n", SYSTEM, "--kube-version",
                cluster.version_text.lstrip("v"), values=values)


def apply_chart(cluster, values):
    """As docs/install.md says, with the namespace's labels. docs/upgrade.md: older servers than 1.23 get
    what `helm template` renders."""
    if not cluster.find(f"/api/v1/namespaces/{SYSTEM}"):
        cluster.kubectl("create", "namespace", SYSTEM)
    cluster.kubectl("label", "--overwrite", "namespace", SYSTEM, "lastword.dev/system=true",
                    "pod-security.kubernetes.io/enforce=restricted")
    if cluster.version >= (1, 23):
        # Without values of its own, an upgrade would take those of the release before.
        helm(cluster, "upgrade", "--install", "--reset-values", "lastword", CHART, "-n", SYSTEM,
             values=values)
    else:
        cluster.kubectl("apply", "--validate=false", "-f", "-", text=render_chart(cluster, values))


def apply(cluster, overlay="overlays/self-signed"):
    """Installs an overlay, or the chart with the values that render the same. The chart has
    matchConditions besides where the server knows them."""
    if INSTALL == "chart":
        apply_chart(cluster, CHART_VALUES[overlay])
    else:
        apply_kustomization(cluster, overlay)


def added_objects(cluster, overlay):
    """What an overlay has more than overlays/self-signed, as far as the server knows it."""
    def objects(name):
        text = render_chart(cluster, CHART_VALUES[name]) if INSTALL == "chart" else render(cluster, name)
        return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text) if one}
    base, more = objects("overlays/self-signed"), objects(overlay)
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        one for key, one in more.items() if key not in base and (
            cluster.version >= (1, 30) or not key[0].startswith("ValidatingAdmissionPolicy"))]})


def add(cluster, overlay):
    """Adds to the installed overlays/self-signed the further objects of another overlay; Helm changes
    the others as well."""
    if INSTALL == "chart":
        apply(cluster, overlay)
    else:
        cluster.kubectl("apply", "-f", "-", text=added_objects(cluster, overlay))


def remove(cluster, overlay):
    """The contrary of add()."""
    if INSTALL == "chart":
        apply(cluster)
    cluster.kubectl("delete", "--ignore-not-found", "-f", "-", text=added_objects(cluster, overlay))


def install_with_files(cluster):
    """Installs manifests/base with a certificate that another CA issued."""
    ca = pki.CertificateAuthority()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tls"
        host = f"lastword-webhook.{SYSTEM}.svc"
        ca.issue(path, host, names=[host])
        pair = {"tls.crt": path.with_suffix(".crt").read_bytes(),
                "tls.key": path.with_suffix(".key").read_bytes()}
    if not cluster.find(f"/api/v1/namespaces/{SYSTEM}"):
        cluster.kubectl("apply", "-f", str(MANIFESTS / "base/namespace.yaml"))
    secrets = f"/api/v1/namespaces/{SYSTEM}/secrets"
    cluster.delete(f"{secrets}/lastword-webhook-tls")
    cluster.create(secrets, {
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "lastword-webhook-tls"},
        "data": {key: base64.b64encode(value).decode() for key, value in pair.items()}})
    apply(cluster, "base")
    configuration = cluster.get(CONFIGURATION)
    configuration["webhooks"][0]["clientConfig"]["caBundle"] = \
        base64.b64encode(ca.pem()).decode()
    cluster.call("PUT", CONFIGURATION, configuration)
    for name in ("lastword-webhook", "lastword-observer"):
        wait_available(cluster, name)


def install_self_signed(cluster):
    """Installs the overlay as on a new cluster. Over a certificate of another CA, the webhook would
    first wait for the propagation delay of its new CA: five minutes."""
    cluster.delete(f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/lastword-webhook")
    cluster.delete(CONFIGURATION)
    cluster.delete(f"/api/v1/namespaces/{SYSTEM}/secrets/lastword-webhook-tls")
    kube.wait_until(lambda: not pods(cluster, "lastword-webhook"), "the webhook's pods are deleted")
    apply(cluster)
    for name in ("lastword-webhook", "lastword-observer"):
        wait_available(cluster, name)


def uninstall(cluster, keep_records=False):
    """Returns when all objects are deleted. keep_records: by the commands of docs/install.md that leave
    them, and with them their CRD."""
    if INSTALL == "chart" and cluster.version >= (1, 23):
        helm(cluster, "uninstall", "lastword", "-n", SYSTEM, "--ignore-not-found", "--wait")
        if keep_records:
            cluster.kubectl("delete", "namespace", SYSTEM)
            return
    # Helm leaves the namespace and the CRD.
    selector = ("-l", "lastword.dev/keep!=true") if keep_records else ()
    delete_kustomization(cluster, "overlays/self-signed", *selector)


def deployment(cluster, name):
    return cluster.find(f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/{name}")


def wait_available(cluster, name):
    """Waits until the Deployment is rolled out and each of its pods is ready. Its status alone may still
    be that of before its pods were deleted."""
    def available():
        found = deployment(cluster, name)
        status = found["status"]
        return (status.get("observedGeneration") == found["metadata"]["generation"]
                and status.get("updatedReplicas") == status.get("replicas")
                == status.get("availableReplicas") == found["spec"]["replicas"]
                == len(current_pods(cluster, name)) == len(ready_pods(cluster, name)))
    kube.wait_until(available, lambda: f"{name}: {describe(cluster)}")
    wait_endpoints(cluster, name)


def wait_endpoints(cluster, name):
    def complete():
        found = cluster.find(f"/api/v1/namespaces/{SYSTEM}/endpoints/{name}") or {}
        ready = [a for s in found.get("subsets") or [] for a in s.get("addresses") or []]
        return len(ready) == deployment(cluster, name)["spec"]["replicas"]
    if cluster.find(f"/api/v1/namespaces/{SYSTEM}/services/{name}"):
        kube.wait_until(complete, f"the Service {name} has its endpoints")


def pods(cluster, name):
    return cluster.get(f"/api/v1/namespaces/{SYSTEM}/pods?labelSelector="
                       f"app.kubernetes.io%2Fname%3D{name}")["items"]


def current_pods(cluster, name):
    """Without those that are being deleted."""
    return [pod for pod in pods(cluster, name) if "deletionTimestamp" not in pod["metadata"]]


def ready_pods(cluster, name):
    return [pod for pod in current_pods(cluster, name)
            if any(one["type"] == "Ready" and one["status"] == "True"
                   for one in pod["status"].get("conditions", []))]


def describe(cluster):
    """For a message: the pods of the system namespace, their logs, and events."""
    text = ""
    for pod in cluster.get(f"/api/v1/namespaces/{SYSTEM}/pods")["items"]:
        text += f"\n{pod['metadata']['name']}: {json.dumps(pod['status'])[:1500]}"
        text += cluster.kubectl("logs", "-n", SYSTEM, pod["metadata"]["name"], "--tail=20",
                                check=False)
    for event in cluster.get(f"/api/v1/namespaces/{SYSTEM}/events")["items"]:
        text += f"\n{event.get('reason')}: {event.get('message')}"
    return text


def wait_injecting(cluster, namespace):
    """Waits until the API server calls the webhook: a dry run returns an injected pod."""
    probe = {"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "probe", "labels": {"app.kubernetes.io/component": "agent"}},
        "spec": {"containers": [{"name": "main", "image": AGENT, "command": ["true"],
                                 "securityContext": RESTRICTED}]}}

    def injected():
        made = cluster.create(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", probe)
        return (made["metadata"].get("labels") or {}).get("lastword.dev/injected") == "true"
    kube.wait_until(injected, lambda: f"the API server calls the webhook: {describe(cluster)}")
