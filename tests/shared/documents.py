"""The commands of README.md, CONTRIBUTING.md and docs/, and which test runs each.

A command is a line of a block of code whose language is sh, or a line "$ …" of a block of any language.
A synopsis, such as `lastword why SUBJECT [OPTION…]`, is none.
A block that no test can run has the comment <!-- not run: REASON --> above it, with a reason of
REASONS. Words in capitals stand for what a reader has: PLACEHOLDERS says what tests put there."""
import re
import shlex
import subprocess
from dataclasses import dataclass

from tools import ROOT

LANGUAGES = {"sh", "synopsis", "text", "yaml", "json", "c"}
REASONS = {"needs a container engine", "needs a registry", "needs the network",
           "writes outside of the reader's folder"}
NOT_RUN_MAX = 8  # blocks

# The cluster test makes them: a pod that has failed in silence, of a namespace that is opted in.
PLACEHOLDERS = {"NAMESPACE": "agents", "POD": "coder-7f9", "JOB": "coder", "CONTAINER": "main",
                "RECEIVER": "slack", "FILE": "records.json", "COMMAND": "exits"}
PROGRAMS = {"kubectl", "lastword", "helm", "make"}
# Of lastword's commands, those that read files and need no cluster.
OF_FILES = {"check", "explain", "inject", "diagnose", "completion", "version", "help", "--version",
            "--help"}
KUBECTL_OF_FILES = {"kustomize"}
# Plugins of others, which are not on the machine: their flags cannot be checked, and no test runs them.
OTHER_PLUGINS = {"krew"}
HELM_OF_FILES = {"template", "lint", "package"}
# They change what the other scenarios need: they run when these are over.
INSTALLING = re.compile(r"^helm (install|upgrade|uninstall) |^kubectl delete (-k|-f|crd) |"
                        r"^kubectl apply -[fk] manifests/(install\.yaml|base|overlays)|"
                        r"^kubectl label namespace ")


@dataclass(frozen=True)
class Command:
    document: str
    line: int
    text: str
    not_run: str = ""  # the reason
    shown: bool = False  # after a prompt, with what it prints

    def __str__(self):
        return f"{self.document}:{self.line}: {self.text}"

    @property
    def words(self):
        return shlex.split(self.text, comments=True)

    @property
    def filled(self):
        """As a test types it."""
        return re.sub(r"(?<![\w$=-])[A-Z]{3,}(?![\w=:-])",
                      lambda found: PLACEHOLDERS.get(found.group(), found.group()), self.text)

    @property
    def goes_on(self):
        """It watches, until it is interrupted."""
        return re.search(r" (-w|--watch)( |$)| logs .*(-f|--follow)( |$)", self.text) is not None

    @property
    def place(self):
        """Which test runs it: "project" (no cluster), "cluster", "install" (a cluster, in which it
        changes the installation), or "" (none)."""
        text = re.sub(r"^(?:source|\.) <\((.*)\)$", r"\1", self.text)
        parts = [one.split() for one in re.split(r"\s(?:\||&&)\s", text)]
        return max((place_of([word for word in words if not re.match(r"[A-Z_]+=", word)])
                    for words in parts), key=["", "project", "cluster", "install"].index)


def place_of(words):
    """Of one program of a pipe; "" for those that only process text."""
    if words[0] == "kubectl-lastword":
        words = ["lastword", *words[1:]]
    if words[:2] == ["kubectl", "lastword"] and words[2:3] and words[2] in OF_FILES:
        words = words[1:]
    if words[0] not in PROGRAMS or (words[0] == "kubectl" and words[1] in OTHER_PLUGINS):
        return ""
    if INSTALLING.match(" ".join(words) + " "):
        return "install"
    of_files = {"make": set(words), "helm": HELM_OF_FILES, "lastword": OF_FILES,
                "kubectl": KUBECTL_OF_FILES}[words[0]]
    return "project" if words[1] in of_files else "cluster"


@dataclass(frozen=True)
class Block:
    document: str
    line: int  # of its first line of code
    language: str  # "": it is indented, or does not say
    text: str
    not_run: str

    def commands(self):
        """Lines that end with a backslash go on. Comments are left out."""
        at, lines = self.line, self.text.splitlines()
        while lines:
            count = next((i for i, line in enumerate(lines) if not line.endswith("\\")),
                         len(lines) - 1) + 1
            text = "\n".join(lines[:count])
            if self.language != "sh":
                text = text[2:] if text.startswith("$ ") else ""
            text = re.sub(r"(^|\s+)#( .*|$)", "", text.replace("\\\n", " ")).strip()
            if text:
                yield Command(self.document, at, re.sub(r"\s{2,}", " ", text), self.not_run,
                              self.language != "sh")
            at, lines = at + count, lines[count:]


BLOCK = re.compile(r"^```(?P<language>[\w-]*)\n(?P<fenced>.*?)^```$"
                   r"|(?:^(?: {4}|\t)(?!\s*[-*] )[^\n]*\n)+", re.S | re.M)


def blocks(name):
    text = (ROOT / name).read_text()
    for match in BLOCK.finditer(text):
        before = text[:match.start()]
        marker = re.search(r"<!-- not run: ([^>]*) -->\n+\Z", before)
        yield Block(name, before.count("\n") + (2 if match["language"] is not None else 1),
                    match["language"] or "", match["fenced"] or match.group(),
                    marker.group(1) if marker else "")


def documents():
    tracked = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard",
                              "README.md", "CONTRIBUTING.md", "docs/"], cwd=ROOT, check=True, text=True,
                             capture_output=True).stdout.split()
    return sorted(name for name in tracked if name.endswith(".md") and (ROOT / name).exists())


def commands(place=None):
    """All that are to be run, or those of one place."""
    found = [command for name in documents() for block in blocks(name)
             for command in block.commands()]
    return [one for one in found if place is None or (one.place == place and not one.not_run)]


def inline_commands():
    """What is named in the text, with its arguments."""
    for name in documents():
        text = re.sub(r"^```.*?^```$", lambda block: "\n" * block.group().count("\n"),
                      (ROOT / name).read_text(), flags=re.S | re.M)
        for match in re.finditer(r"`((?:kubectl|lastword|helm|make) [^`\n…]+)`", text):
            yield Command(name, text[:match.start()].count("\n") + 1, match.group(1))


def fill(folder):
    """Puts into the folder what the commands name: the project's own files, and a reader's."""
    for name in ("manifests", "docs"):
        (folder / name).symlink_to(ROOT / name)
    config = (ROOT / "manifests/base/config.yaml").read_text()
    (folder / "config.yaml").write_text(config)
    (folder / "pod.yaml").write_text(POD)
    (folder / "job.yaml").write_text(JOB)
    (folder / "agent.log").write_text("step 3\nfatal error: the model is gone\n")
    (folder / "records.json").write_text(
        '{"apiVersion": "lastword.dev/v1alpha1", "kind": "AgentExitList", "items": []}')
    for name in ("slack-url", "pagerduty-key"):
        (folder / name).write_text("https://chat.example.com/hook")
    return folder


AGENT = """\
    metadata:
      labels: {app.kubernetes.io/component: agent}
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: "docker.io/local/agent:1", command: [sh, -c, exit 0]}
"""
JOB = f"""\
apiVersion: batch/v1
kind: Job
metadata: {{name: reader}}
spec:
  template:
{AGENT}"""
POD = "apiVersion: v1\nkind: Pod\n" + re.sub(r"^ {4}", "", AGENT, flags=re.M).replace(
    "metadata:\n", "metadata:\n  name: reader\n")
