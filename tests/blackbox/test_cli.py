"""lastword inject and explain on what people have in files."""
import json
import pathlib
import subprocess

import jsonpatch
import pytest
import yaml

from invariants import check_injection
from webhook_process import BUILD

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
CONFIG = """
apiVersion: lastword.dev/v1alpha1
kind: Config
sidecar:
  image: w:1
  mode: native
  resources: {requests: {cpu: 5m, memory: 16Mi}, limits: {cpu: 50m, memory: 16Mi}}
rules:
- name: argo
  match: {matchExpressions: [{key: workflows.argoproj.io/workflow, operator: Exists}]}
  names: [main]
- name: agents
  match: {matchLabels: {app: agent}, namespaces: [default, "team-*"]}
"""
POD = """\
# a comment
apiVersion: v1
kind: Pod
metadata:
  name: p   # odd   spacing
  labels: {app: %s}
spec:
  zzz: [1.50, 0x10, 9007199254740993, 1e3, "1e3", yes, "yes", 'a: b']
  containers:
  - name: main
    image: x
    command: ["/agent", "$(A)"]
    args:
      - |
        two
        lines
"""
TEMPLATE = {"metadata": {"labels": {"app": "agent"}},
            "spec": {"containers": [{"name": "main", "image": "x", "command": ["/agent"]}]}}


@pytest.fixture
def run(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)

    def run(command, text, *more, status=0):
        done = subprocess.run([BUILD / "bin/lastword", command, "-c", config, "-f", "-", *more],
                              input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, (done.returncode, done.stderr)
        return done
    return run


def test_yaml_in_yaml_out(run):
    out = run("inject", POD % "agent").stdout
    assert out.startswith("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels:\n"
                          "    app: agent\n    lastword.dev/injected: \"true\"\n")
    assert '  zzz:\n  - 1.50\n  - 16\n  - 9007199254740993\n  - 1e3\n  - "1e3"\n  - true\n' \
        '  - "yes"\n  - "a: b"\n' in out
    assert "    args:\n    - |\n      two\n      lines\n" in out
    before, after = yaml.safe_load(POD % "agent"), yaml.safe_load(out)
    check_injection(before, after)
    assert run("inject", out).stdout == out  # a second time: as it stands


def test_what_does_not_change_is_passed_through(run):
    text = POD % "web" + "---\n# only this\n---\n" + POD % "other"
    assert run("inject", text).stdout == \
        POD % "web" + "---\n# only this\n---\n" + POD % "other"


def test_several_documents(run):
    text = (POD % "web") + "---\n" + (POD % "agent") + "---\n" + "a: b # c\n"
    out = run("inject", text).stdout
    first, second, third = out.split("---\n")
    assert first == POD % "web" and third == "a: b # c\n"
    assert "lastword-watchdog" in second


def test_json_in_json_out(run):
    text = json.dumps(yaml.safe_load(POD % "agent")).replace("9007199254740993",
                                                             "9007199254740993.0")
    out = run("inject", text).stdout
    assert out.startswith('{\n  "apiVersion": "v1"') and "9007199254740993.0" in out
    check_injection(json.loads(text), json.loads(out))
    assert yaml.safe_load(run("inject", text, "-o", "yaml").stdout) == json.loads(out)


def test_patch(run):
    pod = yaml.safe_load(POD % "agent")
    patch = json.loads(run("inject", json.dumps(pod), "-o", "patch").stdout)
    assert jsonpatch.JsonPatch(patch).apply(pod) == json.loads(run("inject", json.dumps(pod)).stdout)
    assert run("inject", POD % "web", "-o", "patch").stdout == "[]\n"
    assert run("inject", "kind: ConfigMap\n", "-o", "patch").stdout == ""


@pytest.mark.parametrize("kind,path", [
    ("Deployment", ["spec", "template"]), ("StatefulSet", ["spec", "template"]),
    ("DaemonSet", ["spec", "template"]), ("ReplicaSet", ["spec", "template"]),
    ("Job", ["spec", "template"]), ("ReplicationController", ["spec", "template"]),
    ("CronJob", ["spec", "jobTemplate", "spec", "template"]), ("PodTemplate", ["template"]),
    ("Rollout", ["spec", "template"])])
def test_templates(run, kind, path):
    def put(template):
        for key in reversed(path):
            template = {key: template}
        return {"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "n"}, **template}

    document = put(TEMPLATE)
    out = json.loads(run("inject", json.dumps(document)).stdout)
    template = out
    for key in path:
        template = template[key]
    check_injection({"metadata": {}, **TEMPLATE}, template)
    assert "lastword-watchdog" in json.dumps(template)
    assert out == put(template)
    patch = json.loads(run("inject", json.dumps(document), "-o", "patch").stdout)
    assert jsonpatch.JsonPatch(patch).apply(document) == out
    record = json.loads(run("explain", json.dumps(document)).stdout)
    assert record["rule"] == "agents"


def test_a_stateful_set_mounts_its_claims(run):
    """Volumes that its template does not list."""
    template = json.loads(json.dumps(TEMPLATE))
    template["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    document = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "n"},
                "spec": {"template": template,
                         "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}}
    out = json.loads(run("inject", json.dumps(document)).stdout)
    assert [m["name"] for m in out["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]] == \
        ["data", "lastword"]
    assert "lastword-watchdog" in json.dumps(out)


def test_list(run):
    pod = yaml.safe_load(POD % "agent")
    other = yaml.safe_load(POD % "web")
    document = {"apiVersion": "v1", "kind": "List", "items": [other, pod, {"kind": "Service"}, pod]}
    out = json.loads(run("inject", json.dumps(document)).stdout)
    assert out["items"][0] == other and out["items"][2] == {"kind": "Service"}
    check_injection(pod, out["items"][1])
    assert out["items"][1] == out["items"][3] != pod
    patch = json.loads(run("inject", json.dumps(document), "-o", "patch").stdout)
    assert jsonpatch.JsonPatch(patch).apply(document) == out
    assert len(run("explain", json.dumps(document)).stdout.splitlines()) == 3


def test_admission_review(run):
    text = (DATA / "reviews/001-create-pods-argo-determine-resume-point.json").read_text()
    pod = json.loads(text)["request"]["object"]
    check_injection(pod, json.loads(run("inject", text).stdout))
    assert json.loads(run("explain", text).stdout)["rule"] == "argo"


@pytest.mark.parametrize("change", [{"operation": "UPDATE"}, {"subResource": "ephemeralcontainers"}])
def test_a_review_that_the_webhook_would_leave_alone(run, change):
    review = json.loads(
        (DATA / "reviews/001-create-pods-argo-determine-resume-point.json").read_text())
    review["request"].update(change)
    assert json.loads(run("inject", json.dumps(review)).stdout) == review["request"]["object"]
    assert run("explain", json.dumps(review)).stdout == ""


def test_workflow(run):
    workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
                "metadata": {"generateName": "w-"}, "spec": {"templates": [
                    {"name": "a", "container": {"image": "x", "command": ["/a"]}},
                    {"name": "b", "steps": [[{"name": "s", "template": "a"}]]},
                    {"name": "c", "script": {"image": "x", "command": ["sh"], "source": "x"}},
                    {"name": "d", "containerSet": {"containers": [
                        {"name": "main", "image": "x"}, {"name": "more", "image": "x"}]}}]}}
    text = yaml.safe_dump(workflow)
    done = run("explain", text)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [[c["name"] for c in r["containers"]] for r in records] == [["main"]] * 3
    # Argo's executor runs the command, and an image's own where the template has none.
    assert all("command" in r["containers"][0]["applied"] for r in records)
    done = run("inject", text)
    assert done.stdout == text and done.stderr.count("passed through") == 3
    cron = {**workflow, "kind": "CronWorkflow", "spec": {"workflowSpec": workflow["spec"]}}
    assert len(run("explain", json.dumps(cron)).stdout.splitlines()) == 3


def test_namespace(run):
    pod = yaml.safe_load(POD % "agent")
    assert json.loads(run("explain", json.dumps(pod), "-n", "other").stdout)["reason"] == "no-rule"
    assert json.loads(run("explain", json.dumps(pod), "-n", "team-x").stdout)["rule"] == "agents"
    pod["metadata"]["namespace"] = "other"
    assert json.loads(run("explain", json.dumps(pod)).stdout)["reason"] == "no-rule"


def test_explain_for_people(run):
    out = run("explain", POD % "agent", "-o", "text").stdout
    assert out.startswith("Pod p: injected by rule agents, native watchdog\n  container main\n")
    assert "left as it is: no-rule" in run("explain", POD % "web", "-o", "text").stdout


@pytest.mark.parametrize("text,says", [
    ("a: [", "-: line 2, column 1"), ('{"a": ]', "-: line 1, column 7"),
    ("[1]", "document 1 is array, expected a Kubernetes object"),
    ("a: b\n---\ntext\n", "document 2 is string, expected a Kubernetes object"),
    ("a: [.inf]", "line 1, column 5: .inf: JSON has no such number")])
def test_bad_files(run, text, says):
    done = run("inject", text, status=1)
    assert says in done.stderr and done.stdout == ""


def test_a_pod_that_fails_verification_is_passed_through_with_a_message(run):
    text = '{"kind": "Pod", "metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [1]}}'
    done = run("inject", text, status=1)
    assert json.loads(done.stdout) == json.loads(text) and "not of the shape" in done.stderr


def plain(*arguments):
    return subprocess.run([BUILD / "bin/lastword", *map(str, arguments)], capture_output=True,
                          text=True, timeout=60)


def test_usage(tmp_path):
    assert plain("--version").stdout == "lastword 0.1.0\n"
    assert plain("--help").returncode == 0 and "inject" in plain("--help").stdout
    for command in ("inject", "explain", "check"):
        done = plain(command, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"Usage: lastword {command}")
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    for arguments in ([], ["nothing"], ["inject"], ["inject", "-c", config], ["check"],
                      ["inject", "-c", config, "-f", "x", "-o", "text"], ["check", "-c", config, "x"],
                      ["check", "-c", config, "-f", "x"], ["explain", "--wrong"],
                      ["inject", "-c", config, "-f", "x", "--kube-version", "9"]):
        done = plain(*arguments)
        assert done.returncode == 2 and done.stderr, arguments
    done = plain("inject", "-c", config, "-f", tmp_path / "none")
    assert done.returncode == 1 and "none: No such file" in done.stderr
    done = plain("inject", "-c", tmp_path / "none", "-f", config)
    assert done.returncode == 1 and "none: No such file" in done.stderr


def test_output_that_cannot_be_written(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    pod = tmp_path / "p.yaml"
    pod.write_text(POD % "agent")
    with open("/dev/full", "w") as full:
        done = subprocess.run([BUILD / "bin/lastword", "inject", "-c", config, "-f", pod],
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "writing the output failed" in done.stderr
