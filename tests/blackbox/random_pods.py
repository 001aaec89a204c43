"""Makes random pods, which an API server accepts but for a few."""
import json

TEXTS = ["a", "agent", "x y", "é😀", "quote\"back\\slash", "tilde~slash/", "$(HOME)", "$$x",
         "line\nbreak\ttab", "--", "-c", "\u2028", "~1~0", "", "{}", "null"]
QUANTITIES = ["1", "500m", "128Mi", "1Gi", "1500m", "2e3", "100m", "0.5Gi", "+1", "3", "1Ei",
              "9223372036854775807", "123Mi", ".5", "0"]
NAMES = ["main", "wait", "base", "step-a", "step-b", "istio-proxy", "agent", "svc-0", "coder",
         "sidecar-x", "helper", "build"]


class Maker:
    def __init__(self, generator):
        self.random = generator

    def maybe(self, probability=0.5):
        return self.random.random() < probability

    def texts(self, least, most):
        return [self.random.choice(TEXTS) for _ in range(self.random.randint(least, most))]

    def resources(self):
        resources = {}
        for name in ("cpu", "memory", "ephemeral-storage", "nvidia.com/gpu"):
            value = self.random.choice(QUANTITIES)
            kind = self.random.randrange(4)
            if name == "nvidia.com/gpu":  # whole ones, and the request is the limit
                value, kind = self.random.choice(["1", "2"]), kind & 2
            if kind in (1, 3):
                resources.setdefault("requests", {})[name] = value
            if kind in (2, 3):
                resources.setdefault("limits", {})[name] = value
                resources.setdefault("requests", {}).setdefault(name, value)
        return resources

    def template(self):
        """An Argo template, as far as the webhook reads it, or something else."""
        containers = [{"name": name} for name in self.random.sample(NAMES, self.random.randint(0, 4))]
        text = json.dumps({"name": "t", "containerSet": {"containers": containers}})
        return self.random.choice([text, text, text[:40], '{"container": {}}', "offloaded"])

    def lifecycle(self):
        lifecycle = {}
        if self.maybe(0.3):
            lifecycle["postStart"] = {"exec": {"command": ["true"]}}
        kind = self.random.randrange(6)
        if kind == 0:
            lifecycle["preStop"] = {"exec": {"command": self.texts(1, 3)}}
        elif kind == 1:
            lifecycle["preStop"] = {"httpGet": {"port": 80, "path": "/"}}
        elif kind == 2:
            lifecycle["preStop"] = {"sleep": {"seconds": 1}}
        return lifecycle

    def container(self, name, volumes, mounts_kept):
        container = {"name": name, "image": self.random.choice(["ghcr.io/example/report:v3", "x"])}
        if self.maybe(0.7):
            container["command"] = self.texts(1, 4)
            if self.maybe(0.1):
                container["command"][0] = "/sbin/init"
        if self.maybe():
            container["args"] = self.texts(0, 3)
        if self.maybe(0.8):
            container["resources"] = self.resources()
        if self.maybe(0.4):
            container["lifecycle"] = self.lifecycle()
        if self.maybe(0.8):
            container["terminationMessagePolicy"] = self.random.choice(
                ["File", "FallbackToLogsOnError"])
        if self.maybe(0.1):
            container["tty"] = True
        if self.maybe(0.3):
            container["securityContext"] = {"runAsUser": self.random.choice([0, 1000, 65511])}
        if self.maybe(0.05):
            container.setdefault("securityContext", {})["seccompProfile"] = {
                "type": "Localhost", "localhostProfile": "x.json"}
        if self.maybe(0.3):
            container["env"] = [{"name": "REPOSITORY", "value": self.random.choice(TEXTS)}]
            if self.maybe(0.3):
                container["env"].append({"name": "ARGO_TEMPLATE", "value": self.template()})
        if volumes and mounts_kept and self.maybe():
            container["volumeMounts"] = [
                {"name": v, "mountPath": f"/mnt/{v}", "readOnly": self.maybe()} for v in volumes]
            if self.maybe(0.1):
                container["volumeMounts"][0]["mountPath"] = self.random.choice(
                    ["/lastword/inner", "lastword", "/", "/lastword/", "/lastword-data"])
            if self.maybe(0.1):
                container["volumeDevices"] = [{"name": container["volumeMounts"].pop()["name"],
                                               "devicePath": self.random.choice(
                                                   ["/dev/x", "/lastword"])}]
        return container

    def metadata(self):
        metadata = {"name": "pod", "namespace": "cto"}
        if self.maybe(0.8):
            metadata["labels"] = {k: v for k, v in {
                "task-id": "1", "agent": "rex", "cli-container": "coder",
                "workflows.argoproj.io/workflow": "w", "tekton.dev/taskRun": "t",
                "batch.kubernetes.io/job-name": "j", "case": "x",
                "azure.workload.identity/use": "true"}.items() if self.maybe(0.3)}
        if self.maybe(0.6):
            metadata["annotations"] = {k: self.random.choice(v) for k, v in {
                "lastword.dev/containers": ["main", "nobody", "main,agent", ",,"],
                "lastword.dev/shim": ["auto", "off", "?"],
                "lastword.dev/command": ['["/usr/bin/x","$HOME"]', "x", "[]", "[1]"],
                "lastword.dev/deadline": ["1h", "soon", "-1s"],
                "lastword.dev/silence-after": ["10m", "1d"],
                "lastword.dev/on-deadline": ["kill", "report", "explode"],
                "lastword.dev/done-file": ["/tmp/done", "relative", "/$(X)"],
                "lastword.dev/flush-signal": ["SIGUSR1", "USR1"],
                "lastword.dev/context.team": TEXTS,
                "lastword.dev/context.bad-name": ["x"],
                "lastword.dev/misspelt": ["x"],
                "kubectl.kubernetes.io/default-container": ["main", "agent"],
                "lastword.dev/sidecar-cpu": ["75m", "none", "much"],
                "lastword.dev/sidecar-cpu-limit": ["10m", "1", "none"],
                "lastword.dev/sidecar-memory": ["32Mi", "none"],
                "lastword.dev/sidecar-memory-limit": ["8Mi", "64Mi", "none", "0"],
                "openshift.io/scc": ["restricted-v2"],
                "eks.amazonaws.com/skip-containers": ["a, b", "lastword-watchdog", ""],
                "azure.workload.identity/skip-containers": ["a;b"],
                "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": ["a,b", "lastword"],
                "example.com/blob": ["x" * 1000, "y" * 261000],
            }.items() if self.maybe(0.2)}
        return metadata

    def pod(self):
        volumes = self.random.sample(["data", "cache", "tmp"], self.random.randint(0, 3))
        names = self.random.sample(NAMES, self.random.randint(1, 5))
        inits = self.random.randint(0, 2)
        spec = {"containers": [self.container(n, volumes, True) for n in names]}
        if inits or self.maybe(0.2):
            spec["initContainers"] = [self.container(f"init-{i}", volumes, True)
                                      for i in range(inits)]
            for container in spec["initContainers"]:
                container.pop("lifecycle", None)
                if self.maybe(0.3):
                    container["restartPolicy"] = "Always"
        if volumes or self.maybe(0.2):
            spec["volumes"] = [{"name": v, "emptyDir": {}} for v in volumes]
        if self.maybe(0.7):
            spec["restartPolicy"] = self.random.choice(["Always", "OnFailure", "Never"])
        if self.maybe(0.7):
            spec["terminationGracePeriodSeconds"] = self.random.choice([0, 1, 30, 60, 2 ** 40])
        if self.maybe(0.1):
            spec["hostNetwork"] = True
        if self.maybe(0.1):
            spec["imagePullSecrets"] = [{"name": self.random.choice(["registry", "own"])}]
        if self.maybe(0.1):
            spec["runtimeClassName"] = "gvisor"
        if self.maybe(0.05):
            spec["os"] = {"name": "windows"}
        if self.maybe(0.2):
            spec["securityContext"] = {"runAsUser": 65511, "supplementalGroups": [65512]}
        if self.maybe(0.1):
            for container in spec["containers"] + spec.get("initContainers", []):
                container["resources"] = {}
            spec["resources"] = self.random.choice(
                [{"limits": {"cpu": "1", "memory": "1Gi"}}, {"limits": {"memory": "8Mi"}},
                 {"requests": {"cpu": "1m"}}, {"requests": {"cpu": "1"}},
                 {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}])
        elif self.maybe(0.1):  # every container with the same limits and requests
            for container in spec["containers"] + spec.get("initContainers", []):
                container["resources"] = {"limits": {"cpu": "1", "memory": "1Gi"},
                                          "requests": {"cpu": "1000m", "memory": "1024Mi"}}
        pod = {"kind": "Pod", "apiVersion": "v1", "metadata": self.metadata(), "spec": spec}
        return pod
