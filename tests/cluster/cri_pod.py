"""Runs a pod over containerd's CRI as a kubelet of 1.29 or newer does.

Debian's kubelet is 1.20 and knows no native sidecars. What a newer one does with a pod was observed
on 1.36, and is done here in the same order: init containers one by one, a sidecar among them
(restartPolicy Always) started and its postStart run before the next; then the regular containers.
When these have ended for good, the sidecars are stopped, the last one first. At a deletion every
regular container gets its preStop hook and then SIGTERM, all at the same time; the sidecars
get SIGTERM when all those have ended, with the rest of the grace period, but at least 2 s.
A sidecar that ends before it is stopped is started again."""
import json
import os
import pathlib
import re
import subprocess
import threading
import time
import uuid

import cri_pb2
import grpc

MINIMUM_GRACE = 2  # seconds, of the kubelet (minimumGracePeriodInSeconds)
TICK = 0.02
CALL = 120  # seconds; a bound on hanging
SOCKET = "unix:///run/containerd-cri/containerd.sock"  # no kubelet uses it
NOT_EXECUTED = 128  # the code of a container that could not be started
UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
NODE_NAME = "node"


class Runtime:
    """Calls of the CRI by name."""

    def __init__(self):
        self.channel = grpc.insecure_channel(SOCKET)

    def call(self, name, within=CALL, **fields):
        request = getattr(cri_pb2, name + "Request")(**fields)
        method = self.channel.unary_unary(
            f"/runtime.v1.RuntimeService/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=getattr(cri_pb2, name + "Response").FromString)
        return method(request, timeout=within)


def bytes_of(quantity):
    number, unit = re.fullmatch(r"(\d+)([KMG]i)?", str(quantity)).groups()
    return int(number) * UNITS[unit or ""]


def millis_of(quantity):
    text = str(quantity)
    return int(text[:-1]) if text.endswith("m") else int(float(text) * 1000)


def expand(text, environment):
    """$(NAME) as the kubelet expands it: unknown names stay, $$ is one $."""
    def one(match):
        if match.group() == "$$":
            return "$"
        return environment.get(match.group(1), match.group())
    return re.sub(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)", one, text)


def read_log(path, since=0):
    """The text of a container's log file: "TIME STREAM P|F TEXT" each; P has no line end."""
    try:
        raw = path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
    text = ""
    for line in raw.splitlines()[since:]:
        _, _, tag, content = (line.split(" ", 3) + [""])[:4]
        text += content + ("" if tag == "P" else "\n")
    return text


class Container:
    def __init__(self, pod, spec):
        self.pod = pod
        self.spec = spec
        self.name = spec["name"]
        self.id = None
        self.starts = 0
        self.terminations = []  # (code, reason) of each finished run

    # ---- Requests to the CRI ----

    def environment(self):
        meta = self.pod.manifest["metadata"]
        fields = {"metadata.name": meta["name"], "metadata.namespace": meta["namespace"],
                  "metadata.uid": self.pod.uid, "spec.nodeName": NODE_NAME}
        values = {}
        for entry in self.spec.get("env") or []:
            if "valueFrom" in entry:
                values[entry["name"]] = fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
            else:
                values[entry["name"]] = expand(entry.get("value", ""), values)
        return values

    def security(self):
        pod = self.pod.spec.get("securityContext") or {}
        own = {**pod, **(self.spec.get("securityContext") or {})}
        options = cri_pb2.NamespaceOption(
            pid=cri_pb2.POD if self.pod.spec.get("shareProcessNamespace") else cri_pb2.CONTAINER)
        context = cri_pb2.LinuxContainerSecurityContext(
            namespace_options=options, privileged=own.get("privileged", False),
            readonly_rootfs=own.get("readOnlyRootFilesystem", False),
            no_new_privs=own.get("allowPrivilegeEscalation") is False)
        if own.get("runAsUser") is not None:
            context.run_as_user.value = own["runAsUser"]
            if own.get("runAsGroup") is not None:
                context.run_as_group.value = own["runAsGroup"]
        for capability in (own.get("capabilities") or {}).get("drop", []):
            context.capabilities.drop_capabilities.append(capability)
        confined = (own.get("seccompProfile") or {}).get("type") == "RuntimeDefault"
        context.seccomp.profile_type = (cri_pb2.SecurityProfile.RuntimeDefault if confined
                                        else cri_pb2.SecurityProfile.Unconfined)
        return context

    def resources(self):
        limits = (self.spec.get("resources") or {}).get("limits") or {}
        resources = cri_pb2.LinuxContainerResources()
        if "memory" in limits:
            resources.memory_limit_in_bytes = bytes_of(limits["memory"])
        if "cpu" in limits:
            resources.cpu_period = 100000
            resources.cpu_quota = millis_of(limits["cpu"]) * 100
        return resources

    def config(self):
        values = self.environment()
        return cri_pb2.ContainerConfig(
            metadata=cri_pb2.ContainerMetadata(name=self.name, attempt=self.starts),
            image=cri_pb2.ImageSpec(image=self.spec["image"]),
            command=[expand(word, values) for word in self.spec.get("command") or []],
            args=[expand(word, values) for word in self.spec.get("args") or []],
            working_dir=self.spec.get("workingDir", ""),
            envs=[cri_pb2.KeyValue(key=k, value=v) for k, v in values.items()],
            mounts=[cri_pb2.Mount(container_path=mount["mountPath"],
                                  host_path=str(self.pod.volumes[mount["name"]]),
                                  readonly=mount.get("readOnly", False))
                    for mount in self.spec.get("volumeMounts") or []],
            log_path=f"{self.name}/{self.starts}.log",
            linux=cri_pb2.LinuxContainerConfig(resources=self.resources(),
                                               security_context=self.security()))

    # ---- Steps ----

    def start(self):
        (self.pod.logs / self.name).mkdir(parents=True, exist_ok=True)
        self.id = self.pod.runtime.call(
            "CreateContainer", pod_sandbox_id=self.pod.sandbox, config=self.config(),
            sandbox_config=self.pod.sandbox_config).container_id
        self.starts += 1
        self.pod.runtime.call("StartContainer", container_id=self.id)
        hook = (self.spec.get("lifecycle") or {}).get("postStart")
        if hook:
            response = self.execute(hook["exec"]["command"])
            assert response.exit_code == 0, f"postStart of {self.name}: {response}"

    def execute(self, command, seconds=CALL):
        return self.pod.runtime.call("ExecSync", within=seconds + CALL, container_id=self.id,
                                     cmd=command, timeout=max(1, int(seconds)))

    def status(self):
        return self.pod.runtime.call("ContainerStatus", container_id=self.id, verbose=True)

    def ended(self):
        """(code, reason) of the current run, or None while it runs."""
        if self.id is None:
            return None
        status = self.status().status
        if status.state != cri_pb2.CONTAINER_EXITED:
            return None
        return status.exit_code, status.reason

    def pid(self):
        return json.loads(self.status().info["info"])["pid"]

    def stop(self, grace):
        """SIGTERM, and SIGKILL after the grace period."""
        self.pod.runtime.call("StopContainer", within=grace + CALL, container_id=self.id,
                              timeout=int(grace))

    def stop_for_deletion(self, deadline):
        """preStop, which counts against the grace period, then SIGTERM."""
        hook = (self.spec.get("lifecycle") or {}).get("preStop")
        if hook and self.ended() is None:
            try:
                self.execute(hook["exec"]["command"], deadline - time.monotonic())
            except grpc.RpcError:
                pass  # ran out of time, or the container ended meanwhile
        self.stop(max(deadline - time.monotonic(), MINIMUM_GRACE))

    def log(self):
        """Of all its runs."""
        return "".join(read_log(self.pod.logs / self.name / f"{i}.log")
                       for i in range(self.starts))

    def stamps(self):
        """When the runtime got each line of its first run's output."""
        path = self.pod.logs / self.name / "0.log"
        return [line.split(" ", 1)[0] for line in path.read_text().splitlines()]


class Pod:
    """One pod; run() in a thread of its own."""

    def __init__(self, runtime, manifest, cgroup):
        self.runtime = runtime
        self.manifest = manifest
        self.spec = manifest["spec"]
        self.uid = str(uuid.uuid4())
        # Not where a kubelet looks: it removes what is of no pod that it knows.
        self.folder = pathlib.Path("/var/lib/cri-pod") / self.uid
        self.logs = self.folder / "logs"
        self.volumes = {}
        self.cgroup = f"/{cgroup}/cri-pod/{self.uid}"
        self.sandbox = self.sandbox_config = None
        inits = self.spec.get("initContainers") or []
        self.inits = [Container(self, c) for c in inits if c.get("restartPolicy") != "Always"]
        self.sidecars = [Container(self, c) for c in inits if c.get("restartPolicy") == "Always"]
        self.mains = [Container(self, c) for c in self.spec["containers"]]
        self.containers = {c.name: c for c in self.inits + self.sidecars + self.mains}
        self.grace = self.spec.get("terminationGracePeriodSeconds", 30)
        self.deletion = threading.Event()
        self.over = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run, daemon=True)

    # ---- Folders and the sandbox ----

    def make_volumes(self):
        for volume in self.spec.get("volumes") or []:
            path = self.folder / "volumes" / volume["name"]
            path.mkdir(parents=True)
            empty = volume["emptyDir"]
            if empty.get("medium") == "Memory":
                size = bytes_of(empty.get("sizeLimit", "1Gi"))
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path],
                               check=True)
            path.chmod(0o777)
            self.volumes[volume["name"]] = path

    def run_sandbox(self):
        meta = self.manifest["metadata"]
        self.logs.mkdir(parents=True)
        pid = cri_pb2.POD if self.spec.get("shareProcessNamespace") else cri_pb2.CONTAINER
        self.sandbox_config = cri_pb2.PodSandboxConfig(
            metadata=cri_pb2.PodSandboxMetadata(name=meta["name"], uid=self.uid,
                                                namespace=meta["namespace"], attempt=0),
            hostname=meta["name"][:63], log_directory=str(self.logs),
            labels={"io.kubernetes.pod.uid": self.uid},
            linux=cri_pb2.LinuxPodSandboxConfig(
                cgroup_parent=self.cgroup,
                security_context=cri_pb2.LinuxSandboxSecurityContext(
                    namespace_options=cri_pb2.NamespaceOption(pid=pid),
                    privileged=any((c.spec.get("securityContext") or {}).get("privileged")
                                   for c in self.containers.values()))))
        self.sandbox = self.runtime.call("RunPodSandbox",
                                         config=self.sandbox_config).pod_sandbox_id

    # ---- From start to end ----

    def run(self):
        try:
            self.make_volumes()
            self.run_sandbox()
            if self.start_all():
                self.watch_over()
            self.end()
        except Exception as failure:  # raised again where somebody waits
            self.failure = failure
        finally:
            self.over.set()

    def start_all(self):
        for spec in self.spec.get("initContainers") or []:
            container = self.containers[spec["name"]]
            container.start()
            if container in self.sidecars:
                continue
            while container.ended() is None:
                time.sleep(TICK)
            container.terminations.append(container.ended())
            if container.terminations[-1][0] != 0:
                return False
        for container in self.mains:
            self.start_or_fail(container)
        return True

    @staticmethod
    def start_or_fail(container):
        try:
            container.start()
        except grpc.RpcError as error:  # no such program in the image
            container.terminations.append((NOT_EXECUTED, error.details()))

    def final(self, container):
        """Whether the container will not run again."""
        if not container.terminations or len(container.terminations) < max(1, container.starts):
            return False
        policy = self.spec.get("restartPolicy", "Always")
        return policy == "Never" or (policy == "OnFailure" and container.terminations[-1][0] == 0)

    def watch_over(self):
        """Until the regular containers have ended for good, or the pod is deleted."""
        while not self.deletion.is_set():
            for container in self.mains + self.sidecars:
                if len(container.terminations) >= container.starts:
                    continue
                end = container.ended()
                if end is None:
                    continue
                container.terminations.append(end)
                if container in self.sidecars or not self.final(container):
                    self.start_or_fail(container)
            if all(self.final(container) for container in self.mains):
                return
            time.sleep(TICK)

    def end(self):
        deadline = time.monotonic() + self.grace
        running = [c for c in self.mains if c.id and len(c.terminations) < c.starts]
        threads = [threading.Thread(target=c.stop_for_deletion, args=[deadline]) for c in running]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for container in running:
            container.terminations.append(container.ended())
        for container in reversed([c for c in self.sidecars if c.id]):
            if container.ended() is None:
                container.stop(max(deadline - time.monotonic(), MINIMUM_GRACE))
            container.terminations.append(container.ended())

    def remove(self):
        """Removes everything but its logs."""
        self.deletion.set()
        self.thread.join(CALL)
        if self.sandbox:
            self.runtime.call("StopPodSandbox", pod_sandbox_id=self.sandbox)
            self.runtime.call("RemovePodSandbox", pod_sandbox_id=self.sandbox)
        for path in self.volumes.values():
            if os.path.ismount(path):
                subprocess.run(["umount", path], check=True)
