"""Every row of the mutation table with each of its "left alone when", by `lastword explain` and
`lastword inject`: a pod, what is asked about it, what is expected."""
import copy
import json
import os
import pathlib
import subprocess

import pytest

from webhook_process import BUILD

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
HEADER = """
apiVersion: lastword.dev/v1alpha1
kind: Config
sidecar:
  image: registry.example/watchdog:1
  mode: {mode}
  shim: {shim}
  user: {user}
  resources: {{requests: {{cpu: 5m, memory: 16Mi}}, limits: {{cpu: 50m, memory: 16Mi}}}}
knownSidecars: [proxy, log-*]
initSystems: [/init, "*/systemd"]
runtimeClasses: [kata*]
images:
- {{image: "tool:*", entrypoint: [/tool, $X], cmd: [run]}}
redact: ["corp_[a-z0-9]{{8}}", "id[$$] [^ ]+"]
diagnosis: {{rules: ['any 80 quota line "team quota of $(X)"']}}
context: {{task_id: label:task-id, team: annotation:example.com/team, repository: env:REPO}}
rules:
- name: agents
  match: {match}
{rule}
"""


# Leaks of this code are looked for where the server runs it thousands of times, and in test_cli.py;
# for each of so many processes that would take as long as all the rest.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "").replace(
    "detect_leaks=1", "detect_leaks=0")}


class Case:
    """Runs both commands on one pod."""

    def __init__(self, folder):
        self.folder = folder
        self.settings = {"match": "{matchExpressions: [{key: app, operator: In, values: [agent]}]}",
                         "mode": "classic", "shim": "emptyDir", "user": "65511", "rule": "",
                         "kube": None}
        self.pod = {"apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": "p", "labels": {"app": "agent"}},
                    "spec": {"containers": [{"name": "main", "image": "x", "command": ["/agent"]}]}}

    @property
    def main(self):
        return self.pod["spec"]["containers"][0]

    def annotate(self, **annotations):
        self.pod["metadata"].setdefault("annotations", {}).update(
            {f"lastword.dev/{k.replace('_', '-')}": v for k, v in annotations.items()})

    def run(self, command, *more):
        config = self.folder / "config.yaml"
        config.write_text(HEADER.format(**self.settings))
        pod = self.folder / "pod.json"
        pod.write_text(json.dumps(self.pod))
        if self.settings["kube"]:
            more += ("--kube-version", self.settings["kube"])
        done = subprocess.run([BUILD / "bin/lastword", command, "-c", config, "-f", pod, *more],
                              capture_output=True, text=True, timeout=60, env=ENVIRONMENT)
        assert done.returncode == 0, done.stderr
        self.warnings = done.stderr
        return json.loads(done.stdout)

    def explain(self):
        return self.run("explain")

    def inject(self):
        return self.run("inject")

    def outcome(self, part, name="main"):
        container = next(c for c in self.explain()["containers"] if c["name"] == name)
        return container["skipped"].get(part, "applied")


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def container(pod, name):
    every = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    return next((c for c in every if c["name"] == name), None)


# ---- terminationMessagePolicy ----

def test_termination_message_policy(case):
    assert case.outcome("terminationMessagePolicy") == "applied"
    case.main["terminationMessagePolicy"] = "File"
    assert case.inject()["spec"]["containers"][0]["terminationMessagePolicy"] == \
        "FallbackToLogsOnError"
    case.main["terminationMessagePolicy"] = "FallbackToLogsOnError"
    assert case.outcome("terminationMessagePolicy") == "already"
    case.main["terminationMessagePolicy"] = "File"
    case.settings["rule"] = "  terminationMessagePolicy: keep"
    assert case.outcome("terminationMessagePolicy") == "kept-by-rule"


# ---- resources ----

RULE = ("  resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 1Gi}}")


@pytest.mark.parametrize("given,expected", [
    ({}, {"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "128Mi"}}),
    ({"requests": {"cpu": "1"}},
     {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1", "memory": "128Mi"}}),
    # raised to the request, in the request's own words
    ({"requests": {"memory": "3Gi"}},
     {"limits": {"memory": "3Gi"}, "requests": {"cpu": "100m", "memory": "3Gi"}}),
    ({"requests": {"memory": "1073741825"}},
     {"limits": {"memory": "1073741825"}, "requests": {"cpu": "100m", "memory": "1073741825"}}),
    # a limit is a request too
    ({"limits": {"memory": "64Mi", "cpu": "1"}}, {"limits": {"memory": "64Mi", "cpu": "1"}}),
    ({"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}},
     {"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi", "cpu": "100m"}}),
    # YAML may give numbers
    ({"requests": {"cpu": 2, "memory": 2147483648}},
     {"limits": {"memory": "2147483648"}, "requests": {"cpu": 2, "memory": 2147483648}}),
])
def test_resources(case, given, expected):
    case.settings["rule"] = RULE
    case.main["resources"] = given
    assert case.inject()["spec"]["containers"][0]["resources"] == expected
    del case.main["resources"]
    case.main["resources"] = None if given == {} else given
    assert case.inject()["spec"]["containers"][0]["resources"] == expected


def test_resources_left_alone(case):
    assert case.outcome("resources") == "present"  # the rule has nothing to add
    case.settings["rule"] = RULE
    assert case.outcome("resources") == "applied"
    case.main["resources"] = {"limits": {"cpu": "1", "memory": "1Gi"}}
    assert case.outcome("resources") == "present"
    case.main["resources"] = {}
    case.pod["spec"]["resources"] = {"limits": {"memory": "2Gi"}}
    assert case.outcome("resources") == "pod-level"


# ---- the command ----

def test_command(case):
    case.main["args"] = ["--x"]
    main = case.inject()["spec"]["containers"][0]
    assert main["command"] == ["/lastword/shim", "run", "--name", "main", "--grace", "30s",
                               "--watchdog-uid", "65511", "--wait", "10s", "--", "/agent"]
    assert main["args"] == ["--x"]
    assert main["volumeMounts"] == [{"name": "lastword", "mountPath": "/lastword",
                                     "readOnly": True}]


def nodes(*terms):
    """Required node affinity: terms of expressions of values of the operating system's label."""
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/os", "operator": "In", "values": values} for values in term]}
            for term in terms]}}}


@pytest.mark.parametrize("reason,change", [
    ("tty", lambda c: c.main.update(tty=True)),
    ("host-network", lambda c: c.pod["spec"].update(hostNetwork=True)),
    ("windows", lambda c: c.pod["spec"].update(os={"name": "windows"})),
    ("windows", lambda c: c.pod["spec"].update(nodeSelector={"kubernetes.io/os": "windows"})),
    ("runtime-class", lambda c: c.pod["spec"].update(runtimeClassName="gvisor")),
    ("init-system", lambda c: c.main.update(command=["/init"])),
    ("init-system", lambda c: c.main.update(command=["/usr/lib/systemd/systemd", "--x"])),
    ("no-command", lambda c: c.main.pop("command")),
    ("no-command", lambda c: c.main.update(command=[])),
    ("shim-off", lambda c: c.annotate(shim="off")),
    ("shim-off", lambda c: c.settings.update(rule="  shim: off")),
    ("mount-taken", lambda c: (c.main.update(volumeMounts=[{"name": "v", "mountPath": "/lastword"}]),
                               c.pod["spec"].update(volumes=[{"name": "v", "emptyDir": {}}]))),
    ("mount-taken", lambda c: (c.main.update(volumeMounts=[{"name": "v",
                                                            "mountPath": "/lastword/x"}]),
                               c.pod["spec"].update(volumes=[{"name": "v", "emptyDir": {}}]))),
    *[("mount-taken", lambda c, path=path: (
        c.main.update(volumeMounts=[{"name": "v", "mountPath": path}]),
        c.pod["spec"].update(volumes=[{"name": "v", "emptyDir": {}}])))
      for path in ("/lastword/", "lastword", "//lastword", "/./lastword/x", "/", "/mnt/../lastword")],
    ("mount-taken", lambda c: (c.main.update(volumeDevices=[{"name": "v", "devicePath": "/lastword"}]),
                               c.pod["spec"].update(volumes=[{"name": "v"}]))),
    ("windows", lambda c: c.pod["spec"].update(securityContext={"windowsOptions": {}})),
    ("windows", lambda c: c.main.update(securityContext={"windowsOptions": {"hostProcess": True}})),
    ("windows", lambda c: c.pod["spec"].update(affinity=nodes([["arm"], ["windows"]], [["windows"]]))),
    ("too-large", lambda c: c.pod["spec"].update(
        securityContext={"supplementalGroups": list(range(65500, 65600))})),
    ("security-profile", lambda c: c.main.update(securityContext={"seccompProfile": {
        "type": "Localhost", "localhostProfile": "p"}})),
    ("security-profile", lambda c: c.pod["spec"].update(securityContext={"appArmorProfile": {
        "type": "Localhost", "localhostProfile": "p"}})),
    ("security-profile", lambda c: c.pod["metadata"].update(annotations={
        "container.apparmor.security.beta.kubernetes.io/main": "localhost/p"})),
    ("restart-rules", lambda c: c.main.update(restartPolicyRules=[{"action": "Restart"}])),
    ("pod-resources", lambda c: c.pod["spec"].update(resources={"limits": {"memory": "8Mi"}})),
    ("pod-resources", lambda c: c.pod["spec"].update(resources={"requests": {"memory": "15.9Mi"}})),
    ("pod-resources", lambda c: c.pod["spec"].update(resources={"limits": {"cpu": "49m"}})),
    ("pod-resources", lambda c: (c.main.update(resources={"requests": {"cpu": 1}}),
                                 c.pod["spec"].update(resources={"requests": {"cpu": "1004m"}}))),
])
def test_command_left_alone(case, reason, change):
    change(case)
    assert case.outcome("command") == reason
    pod = case.inject()
    assert pod["spec"]["containers"] == [
        {**case.main, "terminationMessagePolicy": "FallbackToLogsOnError"}]
    assert "initContainers" not in pod["spec"]
    assert pod["spec"].get("volumes") == case.pod["spec"].get("volumes")
    assert pod["metadata"]["labels"]["lastword.dev/injected"] == "true"  # the observer serves it
    assert case.outcome("preStop") == "not-wrapped"
    assert case.explain()["sidecar"] == "none"


@pytest.mark.parametrize("change", [
    lambda c: c.pod["spec"].update(runtimeClassName="kata-qemu"),
    lambda c: c.main.update(stdin=True),
    lambda c: c.main.update(command=["/initialise"]),
    lambda c: (c.settings.update(rule="  shim: off"), c.annotate(shim="auto")),
    lambda c: (c.settings.update(mode="native"), c.main.update(restartPolicyRules=[{"a": "b"}])),
    lambda c: (c.pod["spec"].update(securityContext={"seccompProfile": {"type": "Localhost"}}),
               c.main.update(securityContext={"seccompProfile": {"type": "RuntimeDefault"}})),
    lambda c: c.pod["spec"].update(resources={"limits": {"memory": "17Mi", "cpu": "1"}}),
    # Requests count as a sum, limits each for itself.
    lambda c: (c.main.update(resources={"requests": {"cpu": 1}, "limits": {"cpu": "2"}}),
               c.pod["spec"].update(resources={"requests": {"cpu": "1005m"}, "limits": {"cpu": 2}})),
    lambda c: c.pod["spec"].update(affinity=nodes([["windows"]], [["linux"]])),
    lambda c: c.main.update(volumeMounts=[{"name": "v", "mountPath": "/lastwords"},
                                          {"name": "v", "mountPath": "/mnt/lastword/..."}]) or
    c.pod["spec"].update(volumes=[{"name": "v", "emptyDir": {}}]),
])
def test_wrapped_all_the_same(case, change):
    change(case)
    assert case.outcome("command") == "applied"


def command_of(case):
    command = case.inject()["spec"]["containers"][0]["command"]
    return command[command.index("--") + 1:]


def test_command_of_the_image(case):
    del case.main["command"]
    case.main["image"] = "tool:3"
    assert command_of(case) == ["/tool", "$$X", "run"]  # no args: cmd; $ is not for the kubelet
    case.main["args"] = ["--y"]
    assert command_of(case) == ["/tool", "$$X"]
    case.annotate(command='["/other", "$(HOME)"]')  # goes first
    assert command_of(case) == ["/other", "$$(HOME)"]


def test_command_keeps_what_the_kubelet_expands(case):
    case.main["command"] = ["/agent", "$(HOME)", "$$"]
    assert command_of(case) == ["/agent", "$(HOME)", "$$"]


@pytest.mark.parametrize("text", ["/agent", "[]", "[1]", "{}", '["a",', '["a\\u0000"]'])
def test_bad_command_annotation(case, text):
    del case.main["command"]
    case.annotate(command=text)
    assert case.outcome("command") == "no-command"
    assert "lastword.dev/command ignored" in case.warnings


def test_command_annotation_for_two_is_nobodys(case):
    del case.main["command"]
    case.pod["spec"]["containers"].append({"name": "second", "image": "x"})
    case.annotate(command='["/x"]', containers="main,second")
    assert case.outcome("command") == "no-command"
    assert "more than one agent container" in case.warnings


# ---- preStop ----

def test_pre_stop(case):
    flush = ["/lastword/shim", "flush", "--name", "main", "--grace", "30s"]
    assert case.inject()["spec"]["containers"][0]["lifecycle"] == {
        "preStop": {"exec": {"command": flush}}}
    case.main["lifecycle"] = {"postStart": {"exec": {"command": ["x"]}}}
    assert case.inject()["spec"]["containers"][0]["lifecycle"] == {
        "postStart": {"exec": {"command": ["x"]}}, "preStop": {"exec": {"command": flush}}}
    case.main["lifecycle"] = {"preStop": {"exec": {"command": ["theirs", "--", "x"]}}}
    assert case.inject()["spec"]["containers"][0]["lifecycle"] == {
        "preStop": {"exec": {"command": flush + ["--", "theirs", "--", "x"]}}}
    case.annotate(flush_signal="SIGUSR1")
    case.pod["spec"]["terminationGracePeriodSeconds"] = 90
    command = case.inject()["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert command[4:8] == ["--grace", "1m30s", "--signal", "SIGUSR1"]


@pytest.mark.parametrize("hook", [{"httpGet": {"port": 1}}, {"tcpSocket": {"port": 1}},
                                  {"sleep": {"seconds": 1}}])
def test_pre_stop_left_alone(case, hook):
    case.main["lifecycle"] = {"preStop": hook}
    assert case.outcome("preStop") == "other-handler"
    assert case.inject()["spec"]["containers"][0]["lifecycle"] == {"preStop": hook}


# ---- which containers ----

def agents(case):
    return [c["name"] for c in case.explain().get("containers", [])]


def test_selection_in_its_order(case):
    names = ["proxy", "log-a", "one", "main", "two", "three"]
    case.pod["spec"]["containers"] = [
        {"name": n, "image": "x", "command": ["/x"]} for n in names]
    case.pod["metadata"]["annotations"] = {"lastword.dev/containers": "two, one",
                                           "kubectl.kubernetes.io/default-container": "three"}
    case.pod["metadata"]["labels"]["cli-container"] = "log-a"
    case.settings["rule"] = "  names: [t*]"
    assert agents(case) == ["one", "two"]  # in the pod's order
    del case.pod["metadata"]["annotations"]["lastword.dev/containers"]
    assert agents(case) == ["two", "three"]
    case.settings["rule"] = "  names: [nobody]"
    assert agents(case) == ["log-a"]
    del case.pod["metadata"]["labels"]["cli-container"]
    assert agents(case) == ["three"]
    del case.pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"]
    assert agents(case) == ["main"]
    case.pod["spec"]["containers"][3]["name"] = "four"
    assert agents(case) == ["one", "four", "two", "three"]
    case.pod["spec"]["containers"] = case.pod["spec"]["containers"][:2]
    assert case.explain()["reason"] == "no-agent"


@pytest.mark.parametrize("match,labels,matches", [
    ("{}", {}, True),
    ("{matchLabels: {a: x, b: ''}}", {"a": "x", "b": ""}, True),
    ("{matchLabels: {a: x, b: ''}}", {"a": "x"}, False),
    ("{matchExpressions: [{key: a, operator: In, values: [x, why]}]}", {"a": "why"}, True),
    ("{matchExpressions: [{key: a, operator: In, values: [x, why]}]}", {"a": "z"}, False),
    ("{matchExpressions: [{key: a, operator: In, values: [x]}]}", {}, False),
    ("{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", {"a": "x"}, False),
    ("{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", {"a": "why"}, True),
    ("{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", {}, True),
    ("{matchExpressions: [{key: a, operator: Exists}]}", {"a": ""}, True),
    ("{matchExpressions: [{key: a, operator: Exists}]}", {}, False),
    ("{matchExpressions: [{key: a, operator: DoesNotExist}]}", {"a": ""}, False),
    ("{matchExpressions: [{key: a, operator: DoesNotExist}]}", {"b": ""}, True),
    ("{matchLabels: {a: x}, matchExpressions: [{key: b, operator: Exists}]}", {"a": "x"}, False),
    ("{namespaces: [def*, x]}", {}, True),
    ("{namespaces: [other]}", {}, False),
])
def test_which_pods_a_rule_matches(case, match, labels, matches):
    case.settings["match"] = match
    case.pod["metadata"]["labels"] = labels
    assert (case.explain().get("reason") != "no-rule") == matches


def test_the_first_rule_that_matches_counts(case):
    case.settings["rule"] = "  shim: off\n- name: second\n"
    assert (case.explain()["rule"], case.outcome("command")) == ("agents", "shim-off")
    case.pod["metadata"]["labels"]["app"] = "web"
    assert (case.explain()["rule"], case.outcome("command")) == ("second", "applied")


def test_selection_of_one_that_is_not_there(case):
    case.annotate(containers="main,ghost")
    assert agents(case) == ["main"] and 'no container "ghost"' in case.warnings
    case.annotate(containers="ghost")
    assert agents(case) == ["main"]


# ---- the whole pod ----

@pytest.mark.parametrize("reason,warns,change", [
    ("no-rule", False, lambda c: c.pod["metadata"]["labels"].update(app="web")),
    ("opt-out", False, lambda c: c.annotate(inject="false")),
    ("opt-out", False, lambda c: c.annotate(inject="False")),
    ("mirror-pod", True, lambda c: c.pod["metadata"].update(
        annotations={"kubernetes.io/config.mirror": "x"})),
    ("name-taken", True, lambda c: c.pod["spec"]["containers"].append(
        {"name": "lastword-watchdog", "image": "x"})),
    ("name-taken", True, lambda c: c.pod["spec"].update(
        initContainers=[{"name": "lastword-install", "image": "x"}])),
    ("name-taken", True, lambda c: c.pod["spec"].update(
        initContainers=[{"name": "lastword-watchdog", "image": "x", "command": ["/shim"]}])),
    ("volume-taken", True, lambda c: c.pod["spec"].update(
        volumes=[{"name": "lastword", "emptyDir": {}}])),
    ("volume-taken", True, lambda c: c.pod["spec"].update(
        volumes=[{"name": "lastword", "emptyDir": {"medium": "Memory"}}])),
    ("volume-taken", True, lambda c: c.pod["spec"].update(
        volumes=[{"name": "lastword", "image": {"reference": "registry.example/other:1"}}])),
    ("too-large", True, lambda c: c.pod["spec"]["containers"].extend(
        {"name": f"c{i}", "image": "x"} for i in range(200))),
])
def test_pod_left_alone(case, reason, warns, change):
    change(case)
    record = case.explain()
    assert (record["outcome"], record["reason"]) == ("skipped", reason)
    assert (f"({reason})" in case.warnings) == warns
    assert case.inject() == case.pod


def test_shadow(case):
    case.settings["rule"] = "  mode: shadow"
    record = case.explain()
    assert record["outcome"] == "shadow" and "command" in record["containers"][0]["applied"]
    assert case.inject() == case.pod


def test_a_bad_inject_annotation_is_a_warning(case):
    case.annotate(inject="nope", misspelt="1")
    assert case.explain()["outcome"] == "injected"
    assert "lastword.dev/inject ignored: expected true or false" in case.warnings
    assert "lastword.dev/misspelt is not known" in case.warnings


# ---- the sidecar ----

def test_classic(case):
    case.pod["spec"]["initContainers"] = [{"name": "first", "image": "x"}]
    pod = case.inject()
    assert [c["name"] for c in pod["spec"]["initContainers"]] == ["first", "lastword-install"]
    assert [c["name"] for c in pod["spec"]["containers"]] == ["main", "lastword-watchdog"]
    install = container(pod, "lastword-install")
    assert install["command"] == ["/shim", "install", "/lastword/shim"]
    watchdog = container(pod, "lastword-watchdog")
    assert watchdog["command"][:4] == ["/shim", "watch", "--mode", "classic"]
    assert [m["mountPath"] for m in watchdog["volumeMounts"]] == [
        "/var/run/secrets/kubernetes.io/serviceaccount"]
    assert pod["spec"]["volumes"] == [{"name": "lastword", "emptyDir": {
        "medium": "Memory", "sizeLimit": "1Mi"}}]


def test_native(case):
    case.settings["mode"] = "native"
    case.pod["spec"]["initContainers"] = [{"name": "first", "image": "x", "restartPolicy": "Always"}]
    pod = case.inject()
    assert [c["name"] for c in pod["spec"]["initContainers"]] == ["first", "lastword-watchdog"]
    watchdog = container(pod, "lastword-watchdog")
    assert watchdog["restartPolicy"] == "Always"
    assert watchdog["lifecycle"] == {"postStart": {"exec": {
        "command": ["/shim", "install", "/lastword/shim"]}}}
    assert "startupProbe" not in watchdog
    assert [c["name"] for c in pod["spec"]["containers"]] == ["main"]


@pytest.mark.parametrize("mode,kube,sidecar", [
    ("auto", None, "classic"), ("auto", "1.31", "classic"), ("auto", "1.32", "native"),
    ("auto", "v1.36.2", "native"), ("native", None, "native"), ("native", "1.29", "native"),
    ("native", "1.28", "classic"), ("classic", "1.36", "classic")])
def test_mode(case, mode, kube, sidecar):
    case.settings.update(mode=mode, kube=kube)
    assert case.explain()["sidecar"] == sidecar


@pytest.mark.parametrize("kube,source", [("1.36", "image"), ("1.34", "emptyDir"), (None, "emptyDir")])
def test_image_volume(case, kube, source):
    case.settings.update(mode="native", shim="image", kube=kube)
    pod = case.inject()
    volume, = pod["spec"]["volumes"]
    assert set(volume) == {"name", source}
    watchdog = container(pod, "lastword-watchdog")
    if source == "image":
        assert volume["image"] == {"reference": "registry.example/watchdog:1"}
        assert "lifecycle" not in watchdog
        assert "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes" not in \
            pod["metadata"]["annotations"]
        assert all(m["readOnly"] for m in watchdog["volumeMounts"])


def flags(command, name):
    return [command[i + 1] for i, word in enumerate(command) if word == name]


def test_flags_of_the_watchdog(case):
    case.pod["spec"].update(restartPolicy="OnFailure", terminationGracePeriodSeconds=5)
    case.pod["metadata"]["labels"]["task-id"] = "42"
    case.pod["metadata"]["ownerReferences"] = [
        {"kind": "Node", "name": "n"}, {"kind": "Job", "name": "j$(A)", "controller": True}]
    case.pod["metadata"]["annotations"] = {"example.com/team": "$(A) é", "lastword.dev/context.x": "y"}
    case.main["env"] = [{"name": "REPO", "value": "r" * 255 + "é" * 30}]  # cut between characters
    case.main["restartPolicy"] = "Never"
    case.pod["spec"]["containers"].append({"name": "b", "image": "x", "command": ["/b"]})
    case.annotate(containers="main,b")
    command = container(case.inject(), "lastword-watchdog")["command"]
    assert flags(command, "--restart-policy") == ["OnFailure"]
    assert flags(command, "--grace") == ["5s"]
    assert flags(command, "--container") == ["main=Never", "b"]
    assert flags(command, "--owner") == ["Job/j$$(A)"]
    assert flags(command, "--redact") == ["corp_[a-z0-9]{8}", "id[$$$$] [^ ]+"]
    assert flags(command, "--rule") == ['any 80 quota line "team quota of $$(X)"']
    assert flags(command, "--context") == ["task_id=42", "team=$$(A) é", "repository=" + "r" * 255,
                                          "x=y"]


@pytest.mark.parametrize("given,flag", [
    (0, "0s"), (-1, "30s"), (None, "30s"), ("x", "30s"), (2 ** 31, "596523h14m7s"),
    (10 ** 10, "596523h14m7s"), (2 ** 53, "596523h14m7s")])
def test_grace(case, given, flag):
    case.pod["spec"]["terminationGracePeriodSeconds"] = given
    pod = case.inject()
    main = container(pod, "main")
    assert flags(container(pod, "lastword-watchdog")["command"], "--grace") == [flag]
    for command in (main["command"], main["lifecycle"]["preStop"]["exec"]["command"]):
        assert flags(command, "--grace") == ([flag] if flag != "0s" else [])  # their own default


def test_what_a_rule_wants_of_silent_pods(case):
    """The observer reads it in the decision record, also of a pod that is not wrapped."""
    assert "onSilentExit" not in case.explain()
    for rule in ("  onSilentExit: fail-pod\n", "  onSilentExit: fail-pod\n  shim: off\n"):
        case.settings["rule"] = rule
        assert case.explain()["onSilentExit"] == "fail-pod"
        status = case.inject()["metadata"]["annotations"]["lastword.dev/status"]
        assert json.loads(status)["onSilentExit"] == "fail-pod"
    case.settings["rule"] = "  onSilentExit: report\n"
    assert "onSilentExit" not in case.explain()


def test_flags_of_the_shim(case):
    case.settings["rule"] = ("  deadline: 2h\n  onDeadline: kill\n  silenceAfter: 10m\n"
                             "  doneFile: /tmp/$done\n")
    command = case.inject()["spec"]["containers"][0]["command"]
    assert command[2:-2] == ["--name", "main", "--grace", "30s", "--deadline", "2h0m0s",
                             "--on-deadline", "kill", "--silence-after", "10m0s", "--done-file",
                             "/tmp/$$done", "--watchdog-uid", "65511", "--wait", "10s"]
    case.annotate(deadline="90s", on_deadline="report", silence_after="0s", done_file="/x")
    command = case.inject()["spec"]["containers"][0]["command"]
    assert command[2:-2] == ["--name", "main", "--grace", "30s", "--deadline", "1m30s",
                             "--done-file", "/x", "--watchdog-uid", "65511", "--wait", "10s"]
    case.settings.update(mode="native", kube="1.33", user="none")
    command = case.inject()["spec"]["containers"][0]["command"]
    assert command[2:-2] == ["--name", "main", "--grace", "30s", "--deadline", "1m30s",
                             "--done-file", "/x"]
    case.settings.update(mode="classic", kube=None, user="65511")
    case.annotate(deadline="1d", on_deadline="die", silence_after="-1s", done_file="x",
                  flush_signal="9")
    command = case.inject()["spec"]["containers"][0]["command"]
    assert flags(command, "--deadline") == ["2h0m0s"]  # the rule's again
    assert case.warnings.count("ignored") == 5


def resources_of_watchdog(case):
    return container(case.inject(), "lastword-watchdog").get("resources")


def test_sidecar_resources(case):
    requests = {"cpu": "5m", "memory": "16Mi"}
    assert resources_of_watchdog(case) is None  # BestEffort
    case.main["resources"] = {"requests": {"cpu": "1"}}
    assert resources_of_watchdog(case) == {"requests": requests}
    case.main["resources"] = {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Mi"}}
    assert resources_of_watchdog(case) == {"requests": requests, "limits": {"memory": "16Mi"}}
    case.main["resources"] = {"limits": {"memory": "1Gi", "cpu": "1"}}
    guaranteed = {"cpu": "50m", "memory": "16Mi"}
    assert resources_of_watchdog(case) == {"requests": guaranteed, "limits": guaranteed}
    case.pod["spec"]["initContainers"] = [{"name": "i", "image": "x"}]  # Burstable then
    assert resources_of_watchdog(case) == {"requests": requests, "limits": guaranteed}


@pytest.mark.parametrize("context", [
    {"runAsUser": 65511}, {"runAsGroup": 65511}, {"fsGroup": 65511},
    {"supplementalGroups": [1, 65511]}])
def test_user_that_is_taken(case, context):
    case.pod["spec"]["securityContext"] = context
    security = container(case.inject(), "lastword-watchdog")["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (65512, 65512)


# ---- what is there already ----

def test_annotations_full(case):
    case.pod["metadata"]["annotations"] = {"example.com/blob": "x" * 262000}
    pod = case.inject()
    assert pod["metadata"]["annotations"] == case.pod["metadata"]["annotations"]
    assert container(pod, "lastword-watchdog")
    assert case.explain()["annotation"] == "annotations-full"


def test_safe_to_evict_is_added_to(case):
    key = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
    case.pod["metadata"]["annotations"] = {key: "a,b"}
    assert case.inject()["metadata"]["annotations"][key] == "a,b,lastword"
    case.pod["metadata"]["annotations"] = {key: "a,lastword"}
    assert case.inject()["metadata"]["annotations"][key] == "a,lastword"


@pytest.mark.parametrize("mode", ["classic", "native"])
def test_parts_that_the_user_wrote(case, mode):
    """Any part of an injection may be there already: the rest is completed, nothing is doubled."""
    case.settings["mode"] = mode
    whole = case.inject()

    def without(*path):
        pod = copy.deepcopy(whole)
        node = pod
        for key in path[:-1]:
            node = node[key]
        del node[path[-1]]
        return pod

    cases = [("spec", "containers", 0, "lifecycle"), ("metadata", "labels", "lastword.dev/injected"),
             ("spec", "containers", 0, "volumeMounts"), ("spec", "volumes")]
    cases.append(("spec", "containers", 1) if mode == "classic" else ("spec", "initContainers"))
    for path in cases:
        case.pod = without(*path)
        completed = case.inject()
        for pod in (completed, whole):
            pod["metadata"].get("annotations", {}).pop("lastword.dev/status", None)
        assert completed == whole, path
    case.pod = copy.deepcopy(whole)
    assert case.inject() == whole


@pytest.mark.parametrize("change", [
    lambda c: c.pod["spec"].update(hostNetwork=True),
    lambda c: c.pod["spec"].update(resources={"requests": {"memory": "1Mi"}})])
def test_no_sidecar_where_none_may_be_whoever_wrapped(case, change):
    case.main["command"] = ["/lastword/shim", "run", "--name", "main", "--", "/agent"]
    change(case)
    assert case.explain()["sidecar"] == "none"
    assert [c["name"] for c in case.inject()["spec"]["containers"]] == ["main"]


def test_pod_level_resources(case):
    """The sidecar asks for what the pod as a whole asks for, and for nothing else: the API server
    takes what is missing there for zero."""
    case.pod["spec"]["resources"] = {"requests": {"memory": "1Gi"}}
    memory = {"memory": "16Mi"}
    assert resources_of_watchdog(case) == {"requests": memory, "limits": memory}
    case.pod["spec"]["resources"] = {"requests": {"memory": "1Gi", "cpu": "1"}}
    both = {"cpu": "50m", "memory": "16Mi"}
    assert resources_of_watchdog(case) == {"requests": {"cpu": "5m", "memory": "16Mi"},
                                           "limits": both}


def test_a_container_that_the_watchdog_does_not_know(case):
    whole = case.inject()
    whole["spec"]["containers"].append({"name": "late", "image": "x", "command": ["/late"]})
    case.pod = whole
    case.annotate(containers="main,late")
    assert case.outcome("command", "late") == "watchdog-present"
    assert case.outcome("command", "main") == "already"
