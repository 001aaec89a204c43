"""Completion: what lastword says may follow, and what bash, zsh, fish and kubectl make of it."""
import json
import os
import pty
import re
import select
import subprocess
import sys

import pytest

from record_cluster import BUILD, ROOT
from test_manual import COMMANDS

sys.path.insert(0, str(ROOT / "tests/shared"))
import tools  # noqa: E402

SECONDS = 120  # a bound on hanging
TAB = "\t"


@pytest.fixture
def shell(cluster):
    """A cluster, and a PATH with the programs as make install-cli lays them out."""
    folder = cluster.folder / "bin"
    folder.mkdir()
    for name in ("lastword", "kubectl-lastword", "kubectl_complete-lastword"):
        (folder / name).symlink_to((BUILD / "bin/lastword").resolve())
    cluster.environment["PATH"] = f"{folder}:{os.environ['PATH']}"
    cluster.behave(namespace="agents", contexts=["one", "arn:aws:eks:eu-1:1:cluster/two"])
    (cluster.folder / "paths.json").write_text(json.dumps({"/api/v1/namespaces?limit=1000": {
        "items": [{"metadata": {"name": name}} for name in ("agents", "team-b", "ugly")]}}))
    return cluster


def complete(cluster, *words, program="lastword"):
    """The choices without their texts, and the number behind the last colon."""
    command = [program, "__complete"] if program == "lastword" else [program]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=SECONDS,
                          env=cluster.environment)
    assert done.returncode == 0, done.stderr
    *choices, directive = done.stdout.splitlines()
    return [choice.split(TAB)[0] for choice in choices], int(directive.removeprefix(":"))


def test_every_command_and_every_flag_is_offered(shell):
    assert complete(shell, "") == ([*COMMANDS, "help"], 4) == complete(shell, "help", "")
    assert complete(shell, "ex") == (["explain", "exits"], 4)
    for command in COMMANDS:
        text = shell.lastword(command, "--help").stdout.decode()
        flags, directive = complete(shell, command, "-")
        assert flags == re.findall(r"^  (?:-\w,|   ) (--[a-z-]+)", text, re.M) and directive == 4


@pytest.mark.parametrize("words, choices, directive", [
    (("exits", "-o", ""), ["wide", "json", "yaml", "name", "jsonpath="], 4),
    (("exits", "--output=y"), ["yaml"], 4),
    (("exits", "-A", "--output", "j"), ["json", "jsonpath="], 4),
    (("breaker", ""), ["list", "open", "close"], 4),
    (("breaker", "open", "t"), ["team-b"], 4),
    (("breaker", "--for", "1h", "close", ""), ["agents", "team-b", "ugly"], 4),
    (("breaker", "list", ""), [], 4),
    (("completion", ""), ["bash", "zsh", "fish"], 4),
    (("inject", "-c", ""), [], 0),
    (("images", "--docker-config", ""), [], 16),
    (("exits", "--since", ""), [], 4),
    (("exits", "-n", ""), ["agents", "team-b", "ugly"], 4),
    (("exits", "--context", ""), ["arn:aws:eks:eu-1:1:cluster/two", "one"], 4),
    (("exits", "--agent", ""), ["builder", "coder", "trainer"], 4),
    (("exits", "-A", "--cause", ""), ["Dependency", "Error", "NeverStarted", "OOMKilled", "Panic"], 4),
    (("exits", "-nteam-b", "-c", ""), ["main"], 4),
    (("why", "coder"), ["coder-7f9", "coder-8aa"], 4),
    (("why", "-n", "team-b", ""), ["coder-99"], 4),
    (("why", "job/"), ["job/coder", "job/trainer-28412345"], 4),
    (("why", "task/"), ["task/T-17"], 4),
    (("why", "coder-7f9", ""), [], 4),
    (("why", "--", "-"), [], 4),
    (("exits", "--nothing", "--o"), ["--output"], 4),
    (("nothing", ""), [], 4),
])
def test_what_may_follow(shell, words, choices, directive):
    assert complete(shell, *words) == (choices, directive)
    assert complete(shell, *words, program="kubectl_complete-lastword") == (choices, directive)


def test_what_a_shell_would_obey_is_not_offered(shell):
    """An agent's name is what its label says, and a record may have anything."""
    assert complete(shell, "exits", "-A", "-n", "ugly", "--agent", "") == ([], 4)


def test_requests_are_short_and_of_the_named_cluster(shell):
    complete(shell, "why", "--context", "one", "--kubeconfig=/k", "-n", "agents", "")
    assert shell.calls() == [["--kubeconfig", "/k", "--context", "one", "--request-timeout", "5s",
                              "get", "--raw", "/apis/lastword.dev/v1alpha1/namespaces/agents/"
                              "agentexits?limit=500"]]


def test_without_a_cluster_there_is_nothing(shell):
    shell.behave(fail="Unable to connect to the server")
    assert complete(shell, "why", "") == ([], 4) == complete(shell, "exits", "-n", "")


def test_kubectl_completes_its_plugin(shell):
    environment = {**shell.environment, "KUBECTL": shell.environment["KUBECTL"]}
    done = subprocess.run([tools.tool("kubectl"), "__complete", "lastword", "why", "coder-7"],
                          capture_output=True, text=True, env=environment, timeout=SECONDS)
    assert done.stdout.splitlines() == ["coder-7f9", ":4"]


# ---- Shells ----

def script(name):
    return subprocess.run([BUILD / "bin/lastword", "completion", name], capture_output=True,
                          text=True, check=True, timeout=SECONDS).stdout


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_is_what_is_in_the_tree(name):
    assert script(name) == (ROOT / f"cli/completion.{name}").read_text()
    subprocess.run([name, "-n", ROOT / f"cli/completion.{name}"], check=True, timeout=SECONDS)


def test_another_shell_is_refused(cluster):
    for arguments in ((), ("tcsh",), ("bash", "zsh"), ("--wrong",)):
        cluster.lastword("completion", *arguments, status=2)


FISH = [("lastword exits --unr", ["--unresolved"]), ("lastword exits --output=y", ["--output=yaml"]),
        ("lastword why coder-", ["coder-7f9", "coder-8aa"]),
        ("lastword exits --context arn:aws", ["arn:aws:eks:eu-1:1:cluster/two"])]


@pytest.mark.parametrize("line, choices", FISH)
def test_fish(shell, line, choices):
    home = {"HOME": str(shell.folder), "XDG_CONFIG_HOME": str(shell.folder)}
    done = subprocess.run(["fish", "--no-config", "-c",
                           f"lastword completion fish | source; complete -C '{line}'"],
                          capture_output=True, text=True, env={**shell.environment, **home},
                          timeout=SECONDS)
    assert [text.split(TAB)[0] for text in done.stdout.splitlines()] == choices, done.stderr


def press_tab(cluster, command, setup, line):
    """What a line of an interactive shell has become when TAB was pressed and Enter: its words, one
    a line. The shell prints READY when it is set up."""
    leader, follower = pty.openpty()
    environment = {**cluster.environment, "TERM": "dumb", "HOME": str(cluster.folder),
                   "ZDOTDIR": str(cluster.folder), "INPUTRC": "/dev/null"}
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower,
                               env=environment, start_new_session=True, cwd=cluster.folder)
    os.close(follower)
    output = b""

    def read_until(word):
        nonlocal output
        while word not in output:
            ready, _, _ = select.select([leader], [], [], SECONDS)
            assert ready, output
            output += os.read(leader, 65536)
    try:
        os.write(leader, (setup + "; printf 'READ%s\\n' Y\n").encode())
        read_until(b"READY")
        os.write(leader, (line + TAB).encode())
        os.write(leader, b" END\n")
        read_until(b"<END>")
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    return re.findall(r"<([^<>%]*)>", output.decode(errors="replace").replace("\r", ""))


# "lastword" is a function that prints its words; what completes asks the program.
SHOW = "lastword() { if [ \"$1\" = __complete ]; then command lastword \"$@\"; " \
       "else printf '<%s>\\n' \"$@\"; fi; }"
TYPED = [("lastword exits --unr", ["exits", "--unresolved"]),
         ("lastword exits --output=y", ["exits", "--output=yaml"]),
         ("lastword exits -o na", ["exits", "-o", "name"]),
         ("lastword why coder-7", ["why", "coder-7f9"]),
         ("lastword exits --context arn:aws", ["exits", "--context",
                                               "arn:aws:eks:eu-1:1:cluster/two"]),
         ("lastword check -c own-", ["check", "-c", "own-config.yaml"])]


@pytest.mark.parametrize("line, words", TYPED)
def test_bash(shell, line, words):
    (shell.folder / "own-config.yaml").touch()
    setup = f"PS1=; {SHOW}; source <(command lastword completion bash)"
    assert press_tab(shell, ["bash", "--norc", "--noprofile", "-i"], setup, line) == [*words, "END"]


@pytest.mark.parametrize("line, words", TYPED)
def test_zsh(shell, line, words):
    (shell.folder / "own-config.yaml").touch()
    setup = (f"PS1=; autoload -Uz compinit; compinit -u; {SHOW}; "
             "source <(command lastword completion zsh)")
    assert press_tab(shell, ["zsh", "-f", "-i"], setup, line) == [*words, "END"]
