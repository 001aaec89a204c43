"""explain and inject on what people have in files (tests/data/manifests.yaml), and what inject leaves
as it stands."""
import copy
import json
import subprocess

import jsonpatch
import pytest
import yaml

import kubernetes_yaml
from record_cluster import BUILD, ROOT
from test_yaml_meaning import values_of

CASES = yaml.safe_load((ROOT / "tests/data/manifests.yaml").read_text())
SHIPPED = ROOT / "manifests/base/config.yaml"
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: a
spec:
  containers:
  - name: main
    image: x
    command: [/a]
"""


@pytest.fixture
def lastword(tmp_path):
    def run(command, text, *more, rules=None, status=0):
        path = SHIPPED
        if rules is not None:
            path = tmp_path / "config.yaml"
            config = yaml.safe_load(SHIPPED.read_text())
            path.write_text(yaml.safe_dump({**config, "rules": rules}))
        done = subprocess.run([BUILD / "bin/lastword", command, "-c", path, "-f", "-",
                               "--kube-version", "1.36", *more], input=text.encode(),
                              capture_output=True, timeout=60)
        assert done.returncode == status, (done.returncode, done.stderr)
        return done.stdout.decode(), done.stderr.decode()
    return run


def rules_of(case):
    rules = case.get("config")
    return [{"name": "all"}] if rules == "all" else rules and yaml.safe_load(rules)


def at(document, pointer):
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        document = document[int(token) if isinstance(document, list) else token]
    return document


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_explain(lastword, case):
    out, err = lastword("explain", case["file"], rules=rules_of(case))
    found = [{"rule": record.get("rule", ""),
              "command": [c["name"] for c in record.get("containers", [])
                          if "command" in c.get("applied", [])]}
             for record in map(json.loads, out.splitlines())]
    assert found == case["explain"]
    assert bool(err) == (not found) or "no pod template" in err


@pytest.mark.parametrize("case", [case for case in CASES if "inject" in case],
                         ids=lambda case: case["name"])
def test_inject(lastword, case):
    documents = kubernetes_yaml.load_all(case["file"])
    out, err = lastword("inject", case["file"], rules=rules_of(case))
    changed = kubernetes_yaml.load_all(out)
    assert len(changed) == len(documents)
    if not case["inject"]:
        assert out == case["file"]
    for pointer in case["inject"]:
        (before,), (after,) = documents, changed
        template = at(after, pointer)
        assert template["metadata"]["labels"]["lastword.dev/injected"] == "true"
        # Nothing of the controllers' labels is printed.
        own = ((at(before, pointer).get("metadata") or {}).get("labels")) or {}
        assert template["metadata"]["labels"] == {**own, "lastword.dev/injected": "true"}
        assert all(c["command"][0] == "/lastword/shim" for c in template["spec"]["containers"])
        *parents, last = pointer.split("/")
        at(after, "/".join(parents))[last] = at(before, pointer)
    assert changed == documents
    for part in case.get("says", []):
        assert part in err
    assert all(line.startswith("lastword inject: ") for line in err.splitlines())
    # A second time nothing changes.
    assert kubernetes_yaml.load_all(lastword("inject", out, rules=rules_of(case))[0]) == \
        kubernetes_yaml.load_all(out)


@pytest.mark.parametrize("case", [case for case in CASES if case.get("inject")],
                         ids=lambda case: case["name"])
def test_patch(lastword, case):
    (document,) = kubernetes_yaml.load_all(case["file"])
    patch = json.loads(lastword("inject", case["file"], "-o", "patch", rules=rules_of(case))[0])
    (changed,) = values_of(lastword("inject", case["file"], "-o", "json", rules=rules_of(case))[0])
    assert jsonpatch.JsonPatch(patch).apply(copy.deepcopy(document)) == changed


@pytest.mark.parametrize("text", [
    POD + "---\nkind: Secret\nstringData:\n  password: |\n    hunter2",
    POD + "---\nkind: Secret\nstringData:\n  a: |+\n    x\n\n\n---\nkind: B\n",
    "\ufeff" + POD, "\ufeffkind: A\n---\n" + POD,
    "--- # first\nkind: A\n--- # second\n" + POD,
    "--- {kind: A}\n--- {kind: B}\n---\n" + POD,
    "%YAML 1.1\n---\nkind: A\n...\n%YAML 1.1\n---\nkind: B\n...\n---\n" + POD,
    "{kind: A, b: [1, 2,], }\n---\n" + POD,
    "# head\n---\n\n---\n" + POD + "...\n# end\n",
    "---\n...\n---\n" + POD, "--- # c\n# nothing\n...\n---\n" + POD + "...\n--- # d\n...\n---\nkind: A\n",
    POD.replace("\n", "\r\n") + "---\r\nkind: A\r\nb: |\r\n  x\r\n"])
def test_documents_keep_their_meaning(lastword, text):
    rules = [{"name": "all"}]
    out, _ = lastword("inject", text, rules=rules)
    before = [d for d in kubernetes_yaml.load_all(text.lstrip("\ufeff")) if d is not None]
    after = [d for d in kubernetes_yaml.load_all(out) if d is not None]
    assert len(before) == len(after)
    for one, other in zip(before, after):
        if one.get("kind") == "Pod":
            assert other["spec"]["containers"][0]["command"][0] == "/lastword/shim"
        else:
            assert one == other
    again, _ = lastword("inject", out, rules=rules)
    assert again == out


@pytest.mark.parametrize("command", ["inject", "explain"])
@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n---\n", "null", "\ufeff", "{}x", "[]", "7"])
def test_a_file_without_an_object_is_an_error(lastword, command, text):
    out, err = lastword(command, text, status=1)
    assert out == "" and err.count("\n") == 1 and err.startswith(f"lastword {command}: -: ")


def test_json_values_in_a_row(lastword):
    pod = yaml.safe_load(POD)
    other = {"kind": "ConfigMap", "data": {"a": "}{]["}}
    text = json.dumps(other, indent=2) + json.dumps(pod) + "\n\n" + json.dumps(other)
    out, err = lastword("inject", text, rules=[{"name": "all"}])
    first, second, third = values_of(out)
    assert first == third == other and "lastword-watchdog" in json.dumps(second)
    assert out.startswith(json.dumps(other, indent=2) + "\n{")
    assert err.count("\n") == 3
    yaml_out, _ = lastword("inject", text, "-o", "yaml", rules=[{"name": "all"}])
    assert list(yaml.safe_load_all(yaml_out)) == [first, second, third]


@pytest.mark.parametrize("text,place", [
    ("kind: Pod\nmetadata: {name: a}\nkind: ConfigMap\n", "line 3, column 1: warning: key given twice"),
    ("metadata: {name: a}\n<<: {kind: Pod}\n<<: {kind: ConfigMap}\n", "line 3, column 1: warning: key given twice"),
    ('{"kind": "Pod", "kind": "ConfigMap", "metadata": {"name": "a"}}', 'warning: key "kind"')])
def test_of_a_key_given_twice_the_last_one_counts(lastword, text, place):
    out, err = lastword("inject", text)
    assert out.rstrip("\n") == text.rstrip("\n") and place in err and "the last one counts" in err
    assert "ConfigMap/a: left" in err


def test_a_list_names_its_items(lastword):
    text = json.dumps({"kind": "List", "items": [{"kind": "Service", "metadata": {"name": "s"}},
                                                 yaml.safe_load(POD)]})
    _, err = lastword("inject", text, rules=[{"name": "all"}])
    assert err == ("lastword inject: Service/s: left: it has no pod template\n"
                   "lastword inject: Pod/a: injected\n")


def test_a_list_of_the_api_server_names_the_kind_once(lastword):
    pod = yaml.safe_load(POD)
    del pod["kind"], pod["apiVersion"]
    text = "\ufeff" + json.dumps({"kind": "PodList", "items": [pod, pod]})
    out, err = lastword("inject", text, rules=[{"name": "all"}])
    assert out.count('"name": "lastword-watchdog"') == 2 and err == "lastword inject: Pod/a: injected\n" * 2
    text = json.dumps({"kind": "SecretList", "items": [{"metadata": {"name": "s"}}]})
    assert "Secret/s: not explained" in lastword("explain", text)[1]


CONTROLLERS = {"batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid",
               "job-name", "pod-template-hash"}


@pytest.mark.parametrize("review,kind,version,path", [
    ("002-create-pods-coderun-job", "Job", "batch/v1", ["spec", "template"]),
    ("007-create-pods-deployment-istio", "Deployment", "apps/v1", ["spec", "template"]),
    ("051-create-pods-cronjob-entrypoint", "CronJob", "batch/v1",
     ["spec", "jobTemplate", "spec", "template"])])
@pytest.mark.parametrize("rules", [None, [{"name": "by-controller", "match": {"matchExpressions": [
    {"key": "pod-template-hash", "operator": "DoesNotExist"},
    {"key": "batch.kubernetes.io/controller-uid", "operator": "Exists"}]}}]])
def test_templates_are_decided_on_like_their_pods(lastword, review, kind, version, path, rules):
    """Pods that real controllers made, as an API server sent them, and the templates they are of."""
    text = (ROOT / f"tests/data/reviews/{review}.json").read_text()
    pod = json.loads(text)["request"]["object"]
    labels = pod["metadata"]["labels"]
    assert CONTROLLERS & labels.keys()
    document = {"metadata": {"labels": {k: v for k, v in labels.items() if k not in CONTROLLERS},
                             "annotations": pod["metadata"].get("annotations", {})},
                "spec": pod["spec"]}
    for key in reversed(path):
        document = {key: document}
    document.update({"apiVersion": version, "kind": kind,
                     "metadata": {"name": labels.get("job-name", "a"),
                                  "namespace": pod["metadata"]["namespace"]}})
    out, _ = lastword("explain", json.dumps(document), rules=rules)
    assert json.loads(out) == json.loads(lastword("explain", text, rules=rules)[0])


def test_argos_pod_is_as_argo_made_it(lastword):
    """A pod that a real Argo made, and the template that it names: the same decision."""
    path = ROOT / "tests/data/reviews/001-create-pods-argo-determine-resume-point.json"
    pod = json.loads(path.read_text())["request"]["object"]
    (template,) = {variable["value"] for container in pod["spec"]["containers"]
                   for variable in container["env"] if variable["name"] == "ARGO_TEMPLATE"}
    workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
                "metadata": {"name": pod["metadata"]["labels"]["workflows.argoproj.io/workflow"],
                             "namespace": "agents"},
                "spec": {"templates": [json.loads(template)]}}
    out, _ = lastword("explain", json.dumps(workflow))
    assert json.loads(out) == json.loads(lastword("explain", path.read_text())[0])


@pytest.mark.parametrize("arguments,says", [
    (["inject", "-c", "-", "-f", "-"], "only one of -c and -f can be standard input"),
    (["inject", "--wrong"], "--wrong: unknown flag"),
    (["inject", "--confgi", "x"], "--confgi: unknown flag, did you mean --config?; see --help"),
    (["exits", "--namespce=x"], "did you mean --namespace?"), (["inject", "-x"], "-x: unknown flag"),
    (["inject", "-c"], "-c: expected a value"), (["exits", "--since"], "--since: expected a value"),
    (["exits", "--log"], "--log: not a flag of this command"),
    (["exits", "--unresolved=x"], "--unresolved: takes no value"),
    (["inject", "-A"], "-A: not a flag of this command"),
    (["diagnose"], "expected a log"), (["images"], "expected at least one image"),
    (["check", "-c", "x", "-f", "y"], "-f: not a flag of this command")])
def test_wrong_usage_is_a_line(arguments, says):
    done = subprocess.run([BUILD / "bin/lastword", *arguments], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"lastword {arguments[0]}: ") and says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_mistyped_command():
    done = subprocess.run([BUILD / "bin/lastword", "injekt"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith('lastword: unknown command "injekt"; did you mean inject?\n')
