"""Pods of every sort and what comes of them: the cases are data, tests/data/pods/*.yaml."""
import copy
import fnmatch
import functools
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


def lastword(command, config, kube, text, *more):
    """Standard output and standard error."""
    done = subprocess.run([BUILD / "bin/lastword", command, "-c", config, "--kube-version", kube,
                           "-f", "-", *more], input=text.encode(), capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(), done.stderr.decode()


def values(text):
    """The JSON values that stand in a row."""
    decoder, found, at = json.JSONDecoder(), [], 0
    text = text.strip()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        while at < len(text) and text[at].isspace():
            at += 1
    return found


class Outcome:
    """What became of a pod, and why."""
    def __init__(self, pod, record):
        self.pod, self.record = pod, record

    def container(self, name):
        every = self.pod["spec"].get("initContainers", []) + self.pod["spec"]["containers"]
        return next((c for c in every if c["name"] == name), None)

    def wrapped(self):
        return [c["name"] for c in self.pod["spec"]["containers"]
                if c.get("command", [""])[0] == "/lastword/shim"]

    def skipped(self, name):
        return next(c["skipped"] for c in self.record["containers"] if c["name"] == name)


class Case(Outcome):
    """A pod with a configuration of its own."""
    def __init__(self, folder, config, pod, kube="1.36"):
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        after, injected = lastword("inject", path, kube, json.dumps(pod), "-o", "json")
        record, explained = lastword("explain", path, kube, json.dumps(pod))
        assert lastword("inject", path, kube, after, "-o", "json")[0] == after  # nothing to do
        super().__init__(json.loads(after), json.loads(record))
        self.warnings = injected + explained


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
SYSTEMS = load("windows")
AGENTS = load("agents")
IMAGES = load("images")
ARGUMENTS = ["airflow", "tasks", "run", "d", "t", "r"]


def main_of(**more):
    merged = {"name": "main", "image": "registry.example.com/agent:1", "command": ["/agent"], **more}
    return {key: value for key, value in merged.items() if value}


def data_pods():
    """{name: pod}: a pod of each command, node selector, sidecar, choice of agents and image."""
    label = {"app.kubernetes.io/component": "agent"}
    pods = {}
    for words in (words for kind in INIT for words in INIT[kind]):
        cut = words.index("|") if "|" in words else len(words)
        pods["command " + " ".join(words)] = pod_of(
            [main_of(command=words[:cut], args=words[cut + 1:])], None, label)
    for system in SYSTEMS:
        for number, spec in enumerate(SYSTEMS[system]):
            pods[f"{system} {number}"] = pod_of([main_of()], spec, label)
    for name in load("sidecars"):
        pods[f"sidecar {name}"] = pod_of([main_of(name="agent"), main_of(name=name)], None, label)
    for case in AGENTS:
        pods[f"agents: {case['name']}"] = pod_of(
            [main_of(**named(c)) for c in case["containers"]], case.get("spec"),
            case.get("labels") or {"batch.kubernetes.io/job-name": "j"}, case.get("annotations"))
    for case in IMAGES:
        pods[f"image {case['image']}"] = pod_of([main_of(image=case["image"], command=None)], None, label)
    return pods


@functools.cache
def outcomes():
    """{name: outcome} in the shipped configuration; each command runs once for all pods."""
    pods = data_pods()
    for case in IMAGES:
        pods[f"image {case['image']} with arguments"] = pod_of(
            [main_of(image=case["image"], command=None, args=ARGUMENTS)], None,
            {"app.kubernetes.io/component": "agent"})
    config = ROOT / "manifests/base/config.yaml"
    text = "\n".join(map(json.dumps, pods.values()))
    injected = lastword("inject", config, "1.36", text)[0]
    assert lastword("inject", config, "1.36", injected)[0] == injected  # a second pass has nothing to do
    after, records = values(injected), values(lastword("explain", config, "1.36", text)[0])
    assert len(after) == len(records) == len(pods)
    return {name: Outcome(pod, record) for name, pod, record in zip(pods, after, records)}


COMMANDS = [(kind, words) for kind in INIT for words in INIT[kind]]


@pytest.mark.parametrize("kind,words", COMMANDS, ids=lambda v: v if isinstance(v, str) else " ".join(v))
def test_init_systems(kind, words):
    case = outcomes()["command " + " ".join(words)]
    assert case.skipped("main").get("command") == ("init-system" if kind == "init" else None)
    assert (case.container("lastword-watchdog") is None) == (kind == "init")


@pytest.mark.parametrize("system,number", [(s, i) for s in SYSTEMS for i in range(len(SYSTEMS[s]))])
def test_windows(system, number):
    case = outcomes()[f"{system} {number}"]
    assert case.skipped("main").get("command") == ("windows" if system == "windows" else None)
    assert (case.container("lastword-watchdog") is None) == (system == "windows")


def test_windows_options_of_a_container(tmp_path):
    main = main_of(securityContext={"windowsOptions": {"hostProcess": True}})
    assert Case(tmp_path, config_for_all(), pod_of([main])).skipped("main")["command"] == "windows"


@pytest.mark.parametrize("agents", AGENTS, ids=lambda case: case["name"])
def test_agents_of_the_shipped_configuration(agents):
    case = outcomes()[f"agents: {agents['name']}"]
    assert (case.record["rule"], case.wrapped()) == (agents["rule"], agents["agents"])
    for name in agents["agents"]:
        assert case.skipped(name).get("terminationMessagePolicy") == agents.get("messages")
        if "messages" in agents:
            assert case.container(name).get("terminationMessagePolicy", "File") == "File"


@pytest.mark.parametrize("name", load("sidecars"))
def test_known_sidecars_are_no_agents(name):
    assert outcomes()[f"sidecar {name}"].wrapped() == ["agent"]


@pytest.mark.parametrize("image", IMAGES, ids=lambda case: case["image"])
@pytest.mark.parametrize("args", [None, ARGUMENTS])
def test_images(image, args):
    case = outcomes()[f"image {image['image']}" + (" with arguments" if args else "")]
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
