"""Every command of README.md, CONTRIBUTING.md and docs/ is run: here, where it needs no cluster; by
tests/cluster/test_docs.py and test_readme.py where it does. What cannot be run says why, and is at least
understood by its program."""
import json
import os
import re
import shlex
import subprocess

import documents
import pytest
import tools
import yaml
from webhook_process import BUILD, ROOT

COMMANDS = documents.commands()
BLOCKS = [block for name in documents.documents() for block in documents.blocks(name)]
MAKEFILE = (ROOT / "Makefile").read_text()
PATH = f"{BUILD / 'bin'}:{tools.cache() / 'tools'}:{os.environ['PATH']}"


def run(command, folder, **environment):
    return subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, text=True,
                          capture_output=True, timeout=120, stdin=subprocess.DEVNULL,
                          env={**os.environ, "PATH": PATH, **environment})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return documents.fill(tmp_path_factory.mktemp("reader"))


def test_blocks_name_their_language():
    """Else nobody knows which are commands."""
    assert len(BLOCKS) > 40
    assert [] == [f"{block.document}:{block.line}: {block.language or 'indented'}"
                  for block in BLOCKS if block.language not in documents.LANGUAGES]


def test_examples_are_well_formed():
    parsers = {"yaml": yaml.safe_load, "json": json.loads}
    examples = [block for block in BLOCKS if block.language in parsers]
    assert len(examples) > 10 and all(parsers[block.language](block.text) for block in examples)


def test_no_command_stands_in_a_block_of_another_language():
    hidden = re.compile(rf"\s*({'|'.join(sorted(documents.PROGRAMS))}|docker|kind) [a-z]")
    for block in BLOCKS:
        if block.language not in ("sh", "synopsis"):
            assert not [line for line in block.text.splitlines() if hidden.match(line)], block


def test_few_blocks_are_not_run_and_each_says_why():
    marked = [block for block in BLOCKS if block.not_run]
    assert {block.not_run for block in marked} <= documents.REASONS
    assert all(block.language == "sh" for block in marked)
    assert len(marked) <= documents.NOT_RUN_MAX
    markers = sum((ROOT / name).read_text().count("<!-- not run")
                  for name in documents.documents())
    assert markers == len(marked), "a marker stands above no block"


def test_a_test_runs_each_command():
    assert len(COMMANDS) > 100
    assert [] == [str(one) for one in COMMANDS if not one.place and not one.not_run]
    cluster = ROOT / "tests/cluster"
    assert 'documents.commands("cluster")' in (cluster / "test_docs.py").read_text()
    assert 'documents.commands("install")' in (cluster / "test_readme.py").read_text()


def test_nothing_is_written_outside_of_the_readers_folder():
    """The tests run as root."""
    for one in COMMANDS:
        assert one.not_run or not re.search(r">\s*[/~$]|^sudo |\btee [/~$]", one.text), str(one)


def test_placeholders_are_known():
    for one in COMMANDS:
        left = set(re.findall(r"(?<![\w$=-])[A-Z]{3,}(?![\w=:-])", one.text))
        assert left <= {*documents.PLACEHOLDERS}, str(one)
    used = {word for one in [*COMMANDS, *documents.inline_commands()]
            for word in re.findall(r"[A-Z]{3,}", one.text)}
    assert {*documents.PLACEHOLDERS} <= used


def test_the_shell_understands_them():
    for one in COMMANDS:
        done = run(f"set -n\n{one.text}", ROOT)
        assert done.returncode == 0, f"{one}: {done.stderr}"


def parts(command, programs):
    """Those of a pipe or a list, each with its arguments."""
    lexer = shlex.shlex(command.text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words = []
    for word in [*lexer, "|"]:
        if word not in ("|", "&&", ";", ">", "<"):
            words.append(word)
            continue
        # A variable may stand before the program.
        if next((word for word in words if not re.match(r"[A-Z_]+=", word)), "") in programs:
            yield words
        words = []


def test_programs_know_the_flags(folder):
    """With --help at the end, a program says only whether it knows what stands before."""
    seen = set()
    for one in [*COMMANDS, *documents.inline_commands()]:
        for words in parts(one, ("kubectl", "helm", "lastword")):
            if words[:2] == ["kubectl", "lastword"]:
                words = words[1:]
            if words[0] == "kubectl" and words[1] in documents.OTHER_PLUGINS:
                continue
            words = words[:words.index("--")] if "--" in words else words
            if words[-1] in ("-f", "-k"):  # `kubectl apply -k` alone names a way
                words = words[:-1]
            plain = [word for word in words[:4] if not word.startswith("-")]
            key = (*plain[:3], *sorted(word.split("=")[0] for word in words if word[0] == "-"))
            if key in seen:
                continue
            seen.add(key)
            filled = [documents.PLACEHOLDERS.get(word, word) for word in words]
            done = run(shlex.join([*filled, "--help"]), folder)
            assert done.returncode == 0 and "sage:" in done.stdout, f"{one}: {done.stderr}"
    assert len(seen) > 30


def test_make_has_the_targets():
    variables = set(re.findall(r"^([A-Z0-9_]+) *[?:]?=", MAKEFILE, re.M))
    variables |= {"BENCH_BEFORE", "K8S_BIN"}  # which programs read
    found = [(one, words) for one in [*COMMANDS, *documents.inline_commands()]
             for words in parts(one, ("make",))]
    assert len(found) > 20
    for one, words in found:
        assert all(word.split("=")[0] in variables for word in words if "=" in word), str(one)
        for target in words[words.index("make") + 1:]:
            if "=" in target or target.startswith("-"):
                continue
            unit_test = ROOT / "tests/unit" / f"{target.removeprefix('build/tests/')}.c"
            assert re.search(rf"^{re.escape(target)}:", MAKEFILE, re.M) or unit_test.exists(), str(one)


def test_images_are_built_as_they_are_named():
    """What the manifests run, from the Dockerfile's stages."""
    stages = set(re.findall(r"^FROM scratch AS (\w+)", (ROOT / "Dockerfile").read_text(), re.M))
    shipped = set(re.findall(r"ghcr\.io/lastword/[\w-]+:[\d.]+",
                             (ROOT / "manifests/install.yaml").read_text()))
    built = [one.words for one in COMMANDS if one.words[0] == "docker"]
    assert {words[words.index("--target") + 1] for words in built} == stages
    for document in ("README.md", "docs/install.md"):
        names = {one.words[one.words.index("-t") + 1] for one in COMMANDS
                 if one.words[0] == "docker" and one.document == document}
        assert {re.sub(r"^.*/", "", name) for name in names} == \
            {re.sub(r"^.*/", "", name) for name in shipped}
        assert document != "README.md" or names == shipped


OF_FILES = [one for one in documents.commands("project") if "make" not in one.words]


@pytest.mark.parametrize("command", OF_FILES, ids=str)
def test_commands_of_files(command, folder):
    done = run(command.filled, folder)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    assert done.stdout or re.search(r" >|^source ", command.text), command


def test_helm_would_render_what_is_installed(folder):
    """Helm 4 itself needs a newer API server than the oldest one: here it renders, with the same chart
    and arguments."""
    found = [one for one in documents.commands("install") if one.words[0] == "helm"]
    rendered = 0
    for one in found:
        if one.words[1] in ("install", "upgrade"):
            words = [word for word in one.words if word not in ("--install", "--wait")]
            done = run(shlex.join(["helm", "template", *words[2:]]), folder)
            assert "kind: MutatingWebhookConfiguration" in done.stdout, f"{one}: {done.stderr}"
            rendered += 1
    assert rendered >= 2


SAMPLE = """\
Text with `kubectl get pods`.

```sh
kubectl get ax -n NAMESPACE   # a comment
lastword inject -f job.yaml \\
    -c config.yaml | kubectl apply -f -
source <(lastword completion bash)
kubectl delete crd agentexits.lastword.dev
terraform apply
kubectl get 'pods#1'
```

<!-- not run: needs the network -->
```sh
git clone somewhere
```

```text
$ kubectl get pods
NAME   READY
```

    indented
"""


def test_what_counts_as_a_command(tmp_path, monkeypatch):
    (tmp_path / "page.md").write_text(SAMPLE)
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    blocks = list(documents.blocks("page.md"))
    assert [(block.line, block.language, block.not_run) for block in blocks] == [
        (4, "sh", ""), (15, "sh", "needs the network"), (19, "text", ""), (23, "", "")]
    commands = [one for block in blocks for one in block.commands()]
    assert [(one.line, one.text, one.place, one.shown) for one in commands] == [
        (4, "kubectl get ax -n NAMESPACE", "cluster", False),
        (5, "lastword inject -f job.yaml -c config.yaml | kubectl apply -f -", "cluster", False),
        (7, "source <(lastword completion bash)", "project", False),
        (8, "kubectl delete crd agentexits.lastword.dev", "install", False),
        (9, "terraform apply", "", False),
        (10, "kubectl get 'pods#1'", "cluster", False),
        (15, "git clone somewhere", "", False),
        (19, "kubectl get pods", "cluster", True)]
    assert commands[0].filled == "kubectl get ax -n agents"
