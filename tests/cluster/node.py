#!/usr/bin/python3
"""One node of Kubernetes, from its own programs, in its own namespaces.

node.py STATE [COMMAND...]   started by cluster.py as process 1 of new PID, network, mount, UTS and
IPC namespaces. Starts everything, then runs COMMAND in the middle of it (or stays), and ends with
its status. When this process ends, however it ends, the kernel takes along all that was started,
mounted or bridged here: daemons, pods, mounts, links, addresses. The host is not touched, but for
the control groups named after the folder STATE, which cluster.py removes.

Nothing here is a scheduler: with one node all its work is one binding, see Binder."""
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import pki
from waiting import wait_until

SERVICE_ADDRESS = "10.96.0.1"  # of the Service "kubernetes", and of the node itself
SERVER = f"https://{SERVICE_ADDRESS}"
NODE = "node"
PODS = "10.244.0.0/16"
STARTED = 120  # seconds; a bound on hanging
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def say(text):
    print(f"[{datetime.datetime.now():%H:%M:%S}] {text}", file=sys.stderr, flush=True)


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def cgroup_hierarchies():
    """Version 1: one folder for each controller; version 2: one."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists()
            and path.name != "unified" and not path.is_symlink()]


def make_cgroups(name):
    for hierarchy in cgroup_hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for inherited in ("cpuset.cpus", "cpuset.mems"):
            if (group / inherited).exists() and hierarchy.name.startswith("cpuset"):
                (group / inherited).write_text((hierarchy / inherited).read_text())
        if hierarchy == CGROUPS:
            controllers = (hierarchy / "cgroup.controllers").read_text().split()
            for controller in controllers:
                (group / "cgroup.subtree_control").write_text(f"+{controller}")


class Node:
    def __init__(self, state):
        self.state = state
        self.name = state.name
        self.logs = state / "logs"
        self.daemons = {}
        self.version = None

    # ---- The ground ----

    def prepare_mounts(self):
        """Everything that the node writes outside its own folder goes into that folder too."""
        # Kubernetes wants mounts to propagate into its pods; they do not reach the host.
        run("mount", "--make-rprivate", "/")
        run("mount", "--make-rshared", "/")
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        for folder in ("var", "var-work", "logs", "pki", "cni"):
            (self.state / folder).mkdir(exist_ok=True)
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir=/var,upperdir={self.state}/var,workdir={self.state}/var-work", "/var")
        for folder in ("/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers"):
            shutil.rmtree(folder, ignore_errors=True)
            pathlib.Path(folder).mkdir(parents=True)
        # The kubelet sets these for the whole machine. Here it sets a copy.
        for name, value in {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10,
                            "kernel/panic_on_oops": 1, "kernel/keys/root_maxkeys": 1000000,
                            "kernel/keys/root_maxbytes": 25000000}.items():
            copy = self.state / name.replace("/", ".")
            copy.write_text(f"{value}\n")
            run("mount", "--bind", str(copy), f"/proc/sys/{name}")

    def prepare_network(self):
        run("hostname", NODE)
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{SERVICE_ADDRESS}/32", "dev", "lo")
        pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        (self.state / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        (self.state / "cni/10-bridge.conflist").write_text(json.dumps({
            "cniVersion": "0.3.1", "name": "pods", "plugins": [
                {"type": "bridge", "bridge": "pods0", "isGateway": True, "ipMasq": False,
                 "ipam": {"type": "host-local", "dataDir": str(self.state / "cni/addresses"),
                          "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}},
                {"type": "loopback"}]}))

    # ---- Daemons ----

    def start(self, program, *arguments, name=None):
        name = name or program
        log = open(self.logs / f"{name}.log", "ab")

        def keep():
            for _ in range(5):
                process = subprocess.Popen(
                    [program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                self.daemons[name] = process
                (self.state / f"{name}.pid").write_text(str(process.pid))
                status = process.wait()
                say(f"{name} ended with {status}; the end of its log:")
                tail = (self.logs / f"{name}.log").read_text(errors="replace")[-3000:]
                print(tail, file=sys.stderr, flush=True)
                time.sleep(1)

        threading.Thread(target=keep, daemon=True).start()

    def start_etcd(self):
        self.start("etcd", "--data-dir", str(self.state / "etcd"), "--unsafe-no-fsync",
                   "--listen-client-urls", "http://127.0.0.1:2379",
                   "--advertise-client-urls", "http://127.0.0.1:2379",
                   "--listen-peer-urls", "http://127.0.0.1:2380",
                   "--initial-advertise-peer-urls", "http://127.0.0.1:2380",
                   "--initial-cluster", "default=http://127.0.0.1:2380")

    def start_server(self):
        at = self.state / "pki"
        (self.state / "audit-policy.json").write_text(json.dumps({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts:lastword-system"]},
                      {"level": "None"}]}))
        self.start(
            "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--secure-port=443",
            "--bind-address=0.0.0.0", f"--advertise-address={SERVICE_ADDRESS}",
            "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true",
            f"--tls-cert-file={at}/server.crt", f"--tls-private-key-file={at}/server.key",
            f"--client-ca-file={at}/ca.crt", f"--kubelet-client-certificate={at}/admin.crt",
            f"--kubelet-client-key={at}/admin.key",
            f"--kubelet-certificate-authority={at}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer={SERVER}", f"--service-account-key-file={at}/accounts.pub",
            f"--service-account-signing-key-file={at}/accounts.key",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            # What lastword's accounts ask for (tests/cluster/test_rights.py).
            f"--audit-policy-file={self.state}/audit-policy.json",
            f"--audit-log-path={self.state}/audit.log",
            # A Service of a webhook is reached without kube-proxy: the server asks for endpoints.
            "--enable-aggregator-routing=true")

    def start_controllers(self):
        at = self.state / "pki"
        self.start(
            "kube-controller-manager", f"--kubeconfig={at}/controllers.conf",
            f"--authentication-kubeconfig={at}/controllers.conf",
            f"--authorization-kubeconfig={at}/controllers.conf",
            f"--service-account-private-key-file={at}/accounts.key",
            f"--root-ca-file={at}/ca.crt", "--use-service-account-credentials=true",
            "--leader-elect=false", "--bind-address=127.0.0.1",
            "--controllers=*,bootstrapsigner,tokencleaner")

    def start_containerd(self, name):
        """containerd for the kubelet, or for cri_pod.py: a kubelet kills every pod that it does not know."""
        config = self.state / f"{name}.toml"
        config.write_text(f"""version = 2
root = "{self.state}/{name}"
state = "/run/{name}"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "/run/{name}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/local/pause:1"
  restrict_oom_score_adj = true  # a root without CAP_SYS_RESOURCE cannot lower it
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{self.state}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
""")
        self.start("containerd", "--config", str(config), name=name)

    def start_kubelet(self):
        at = self.state / "pki"
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                               "x509": {"clientCAFile": f"{at}/ca.crt"}},
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{at}/kubelet.crt", "tlsPrivateKeyFile": f"{at}/kubelet.key",
            "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{self.name}",
            "failSwapOn": False, "makeIPTablesUtilChains": False, "oomScoreAdj": 0,
            "resolvConf": str(self.state / "resolv.conf"), "readOnlyPort": 0,
            "volumePluginDir": str(self.state / "volume-plugins"),
            "registerNode": True, "eventRecordQPS": 0, "maxOpenFiles": 65536,
            "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1%",
                             "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
        }
        endpoint = "unix:///run/containerd/containerd.sock"
        flags = []
        if self.version >= (1, 27):
            config["containerRuntimeEndpoint"] = endpoint
        else:
            flags.append(f"--container-runtime-endpoint={endpoint}")
        if self.version < (1, 24):
            flags.append("--container-runtime=remote")
        if self.version >= (1, 31):
            config["failCgroupV1"] = False
        path = self.state / "kubelet.json"
        path.write_text(json.dumps(config))
        self.start("kubelet", f"--config={path}", f"--kubeconfig={at}/kubelet.conf",
                   f"--hostname-override={NODE}", f"--node-ip={SERVICE_ADDRESS}",
                   "--root-dir=/var/lib/kubelet", *flags)

    def make_keys(self):
        at = self.state / "pki"
        ca = pki.CertificateAuthority()
        ca.write(at / "ca")
        server = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost",
                  SERVICE_ADDRESS, "127.0.0.1"]
        ca.issue(at / "server", "kube-apiserver", names=server)
        ca.issue(at / "kubelet", f"system:node:{NODE}", "system:nodes",
                        names=[NODE, SERVICE_ADDRESS])
        ca.issue(at / "controllers", "system:kube-controller-manager")
        ca.issue(at / "admin", "admin", "system:masters")
        pki.write_key_pair(at / "accounts")
        for name in ("kubelet", "controllers", "admin"):
            (at / f"{name}.conf").write_text(json.dumps({
                "apiVersion": "v1", "kind": "Config", "current-context": "node",
                "clusters": [{"name": "node", "cluster": {
                    "server": SERVER, "certificate-authority": f"{at}/ca.crt"}}],
                "users": [{"name": name, "user": {"client-certificate": f"{at}/{name}.crt",
                                                  "client-key": f"{at}/{name}.key"}}],
                "contexts": [{"name": "node", "context": {"cluster": "node", "user": name}}]}))

    # ---- The API, as far as starting needs it ----

    def call(self, method, path, body=None, timeout=10):
        at = self.state / "pki"
        context = ssl.create_default_context(cafile=at / "ca.crt")
        context.load_cert_chain(at / "admin.crt", at / "admin.key")
        request = urllib.request.Request(
            SERVER + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        return urllib.request.urlopen(request, context=context, timeout=timeout)

    def get(self, path):
        try:
            with self.call("GET", path) as response:
                body = response.read()
        except OSError:
            return None
        return json.loads(body) if body.startswith(b"{") else body

    def node_ready(self):
        node = self.get(f"/api/v1/nodes/{NODE}") or {}
        conditions = node.get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def bind_pods(self):
        """The scheduler: what has no node gets the one there is. A watch without a version begins
        with all that is there."""
        while True:
            try:
                with self.call("GET", "/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D",
                               timeout=3600) as stream:
                    for line in stream:
                        event = json.loads(line)
                        if event["type"] in ("ADDED", "MODIFIED"):
                            self.bind(event["object"])
            except (OSError, ValueError, KeyError):
                time.sleep(0.2)

    def bind(self, pod):
        if pod["metadata"].get("deletionTimestamp") or pod["spec"].get("schedulingGates"):
            return
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        try:
            self.call("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/binding", {
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}}).close()
        except urllib.error.HTTPError as error:
            error.close()  # bound or gone by now

    # ---- All of it ----

    def start_all(self):
        self.prepare_mounts()
        self.prepare_network()
        make_cgroups(self.name)
        self.make_keys()
        self.start_etcd()
        self.start_server()
        for name in ("containerd", "containerd-cri"):
            self.start_containerd(name)
            socket = f"/run/{name}/containerd.sock"
            wait_until(lambda: os.path.exists(socket), name, STARTED)
        wait_until(lambda: self.get("/readyz") == b"ok", "the API server is ready", STARTED)
        version = self.get("/version")
        self.version = (int(version["major"]), int(re.match(r"\d+", version["minor"]).group()))
        self.start_controllers()
        self.start_kubelet()
        threading.Thread(target=self.bind_pods, daemon=True).start()
        wait_until(lambda: self.get("/api/v1/namespaces/default/serviceaccounts/default"),
                   "the default ServiceAccount", STARTED)
        wait_until(self.node_ready, "the node is Ready", STARTED)
        say(f"Kubernetes {version['gitVersion']} is up")


def main():
    state = pathlib.Path(sys.argv[1])
    command = sys.argv[2:]
    # Process 1 only collects orphans; all else happens in a child.
    child = os.fork()
    if child:
        while True:
            pid, status = os.wait()
            if pid == child:
                os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    begin = time.monotonic()
    node = Node(state)
    try:
        node.start_all()
    except Exception as error:
        for log in sorted(node.logs.glob("*.log")):
            print(f"==== {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        say(f"the node does not start: {error}")
        os._exit(1)
    say(f"ready after {time.monotonic() - begin:.1f} s")
    (state / "ready").touch()
    if not command:
        threading.Event().wait()
    status = subprocess.run(command, env={**os.environ, "LASTWORD_NODE": str(state)}).returncode
    os._exit(status & 0xFF)


if __name__ == "__main__":
    main()
