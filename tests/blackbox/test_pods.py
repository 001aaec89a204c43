"""Pods of every sort and what comes of them: the cases are data, tests/data/pods/*.yaml."""
import copy
import fnmatch
import json
import subprocess

import pytest
import yaml

from webhook_process import BUILD, ROOT

DATA = ROOT / "tests/data/pods"
SHIPPED = yaml.safe_load((ROOT / "manifests/base/config.yaml").read_text())


def load(name):
    return yaml.safe_load((DATA / f"{name}.yaml").read_text())


def config_for_all(change=None, rule=None):
    """The shipped configuration with one rule for every pod."""
    config = copy.deepcopy(SHIPPED)
    config["rules"] = [{"name": "all", **(rule or {})}]
    for path, value in (change or {}).items():
        node = config
        *parents, last = path.split(".")
        for key in parents:
            node = node[key]
        node[last] = value
    return config


def pod_of(containers, spec=None, labels=None, annotations=None):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "labels": labels or {}, "annotations": annotations or {}},
            "spec": {"restartPolicy": "Never", "containers": containers, **(spec or {})}}


def named(container):
    """A row's container: its name, or a mapping."""
    return container if isinstance(container, dict) else {"name": container}


class Case:
    def __init__(self, folder, config, pod, kube="1.36"):
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        self.folder, self.kube, self.warnings = folder, kube, ""
        self.pod = self.run("inject", pod)
        self.record = self.run("explain", pod)
        assert self.run("inject", self.pod) == self.pod  # a second pass has nothing to do

    def run(self, command, pod):
        done = subprocess.run([BUILD / "bin/lastword", command, "-c", self.folder / "config.yaml",
                               "--kube-version", self.kube, "-f", "-", "-o", "json"],
                              input=json.dumps(pod), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        self.warnings += done.stderr
        return json.loads(done.stdout)

    def container(self, name):
        every = self.pod["spec"].get("initContainers", []) + self.pod["spec"]["containers"]
        return next((c for c in every if c["name"] == name), None)

    def wrapped(self):
        return [c["name"] for c in self.pod["spec"]["containers"]
                if c.get("command", [""])[0] == "/lastword/shim"]

    def skipped(self, name):
        return next(c["skipped"] for c in self.record["containers"] if c["name"] == name)


def assert_has(node, expected, path=""):
    """Every part of expected is there; null: is not."""
    for key, value in expected.items():
        if value is None:
            assert key not in node, f"{path}{key}: {node.get(key)}"
        elif isinstance(value, dict):
            assert_has(node.get(key, {}), value, f"{path}{key}.")
        else:
            assert node.get(key) == value, f"{path}{key}"


INIT = load("init-systems")
COMMANDS = [(kind, words) for kind in INIT for words in INIT[kind]]


@pytest.mark.parametrize("kind,words", COMMANDS, ids=lambda v: v if isinstance(v, str) else " ".join(v))
def test_init_systems(tmp_path, kind, words):
    cut = words.index("|") if "|" in words else len(words)
    container = {"name": "main", "image": "i", "command": words[:cut]}
    if words[cut + 1:]:
        container["args"] = words[cut + 1:]
    case = Case(tmp_path, config_for_all(), pod_of([container]))
    assert case.skipped("main").get("command") == ("init-system" if kind == "init" else None)
    assert (case.container("lastword-watchdog") is None) == (kind == "init")


SYSTEMS = load("windows")


@pytest.mark.parametrize("system,number", [(s, i) for s in SYSTEMS for i in range(len(SYSTEMS[s]))])
def test_windows(tmp_path, system, number):
    case = Case(tmp_path, config_for_all(),
                pod_of([{"name": "main", "image": "i", "command": ["/a"]}], SYSTEMS[system][number]))
    assert case.skipped("main").get("command") == ("windows" if system == "windows" else None)
    assert (case.container("lastword-watchdog") is None) == (system == "windows")


def test_windows_options_of_a_container(tmp_path):
    main = {"name": "main", "image": "i", "command": ["/a"],
            "securityContext": {"windowsOptions": {"hostProcess": True}}}
    assert Case(tmp_path, config_for_all(), pod_of([main])).skipped("main")["command"] == "windows"


@pytest.mark.parametrize("agents", load("agents"), ids=lambda case: case["name"])
def test_agents_of_the_shipped_configuration(tmp_path, agents):
    labels = agents.get("labels") or {"batch.kubernetes.io/job-name": "j"}
    containers = [{"image": "i", "command": ["/a"], **named(c)} for c in agents["containers"]]
    case = Case(tmp_path, SHIPPED,
                pod_of(containers, agents.get("spec"), labels, agents.get("annotations")))
    assert (case.record["rule"], case.wrapped()) == (agents["rule"], agents["agents"])
    for name in agents["agents"]:
        assert case.skipped(name).get("terminationMessagePolicy") == agents.get("messages")
        if "messages" in agents:
            assert case.container(name).get("terminationMessagePolicy", "File") == "File"


@pytest.mark.parametrize("name", load("sidecars"))
def test_known_sidecars_are_no_agents(tmp_path, name):
    case = Case(tmp_path, SHIPPED, pod_of(
        [{"name": n, "image": "i", "command": ["/a"]} for n in ("agent", name)], None,
        {"app.kubernetes.io/component": "agent"}))
    assert case.wrapped() == ["agent"]


@pytest.mark.parametrize("image", load("images"), ids=lambda case: case["image"])
@pytest.mark.parametrize("args", [None, ["airflow", "tasks", "run", "d", "t", "r"]])
def test_images(tmp_path, image, args):
    main = {"name": "main", "image": image["image"], **({"args": args} if args else {})}
    case = Case(tmp_path, SHIPPED, pod_of([main], None, {"app.kubernetes.io/component": "agent"}))
    assert case.skipped("main").get("command") == (None if image.get("known") else "no-command")
    if image.get("known"):
        command = case.container("main")["command"]
        assert command[command.index("--") + 1:] == image["entrypoint"] + (
            [] if args else image["cmd"])
        assert case.container("main").get("args") == args


def test_every_shipped_image_has_an_example():
    names = [image["image"] for image in load("images") if image.get("known")]
    for entry in SHIPPED["images"]:
        assert any(fnmatch.fnmatchcase(name, entry["image"]) for name in names), entry["image"]


@pytest.mark.parametrize("wanted", load("sidecar"), ids=lambda case: case["name"])
def test_sidecar(tmp_path, wanted):
    main = {"name": "main", "image": "i", "command": ["/agent"], **wanted.get("main", {})}
    case = Case(tmp_path, config_for_all(wanted.get("change"), wanted.get("rule")),
                pod_of([main], wanted.get("spec"), wanted.get("labels"), wanted.get("annotations")),
                wanted.get("kube", "1.36"))
    assert_has(case.container("lastword-watchdog"), wanted.get("watchdog", {}))
    assert_has(case.container("main"), wanted.get("container", {}))
    assert_has(case.pod, wanted.get("pod", {}))
    assert_has(case.record, wanted.get("record", {}))
    assert_has(case.skipped("main"), wanted.get("skipped", {}))
    assert wanted.get("warns", "") in case.warnings
