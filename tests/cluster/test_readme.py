"""The way of a newcomer: README.md from nothing to a silent exit that he is told of, and back to nothing;
docs/install.md and docs/upgrade.md with kubectl and with Helm. The figures have how long each step took."""
import os
import time

import pytest

import demo
import documents
import drivers
import kube
import product
from reader import Reader

pytestmark = [pytest.mark.uninstalls, pytest.mark.last]

INSTALLING = documents.commands("install")


def leave_nothing(cluster):
    """A kubelet of 1.20 keeps the objects of pods until it clears away their sandboxes, once a minute, and
    the namespaces' controller looks at longer and longer intervals."""
    product.uninstall(cluster)
    names = (drivers.INJECTED, drivers.PLAIN, product.SYSTEM)
    cluster.kubectl("delete", "namespace", "--ignore-not-found", "--wait=false", *names)
    kube.wait_until(lambda: not any(cluster.find(f"/api/v1/namespaces/{name}") for name in names),
                    "the namespaces are gone", seconds=3 * kube.HANG)


@pytest.fixture
def nothing(cluster):
    """A cluster without lastword, before and after."""
    leave_nothing(cluster)
    yield cluster
    leave_nothing(cluster)


@pytest.fixture
def reader(nothing, tmp_path):
    if os.environ.get("LASTWORD_NODE"):
        product.name_images({product.AGENT: demo.EXAMPLE})
    return Reader(nothing, tmp_path)


@pytest.fixture
def clock(figures):
    """done = clock(title); done(step) puts into the figures how long the step took."""
    def start(title):
        last = time.monotonic()

        def done(step):
            nonlocal last
            now = time.monotonic()
            figures(f"{title}: {step}: {now - last:.1f} s")
            last = now
        return done
    return start


def type_all(reader, commands):
    printed = []
    for command in commands:
        text, wrong = reader.type(command)
        assert wrong is None, wrong
        printed.append(text)
    return "\n".join(printed)


def wait_for(reader, text, expected):
    """Until the command, which the reader types again and again, prints that."""
    command = documents.Command("README.md", 0, text)
    kube.wait_until(lambda: expected in reader.type(command)[0],
                    lambda: f"{expected!r} of {text}: {reader.type(command)}")


def steps():
    """{title: commands} of the README, in its order; without those of its pictures."""
    found = {}
    text = (product.ROOT / "README.md").read_text().splitlines()
    for command in documents.commands():
        if command.document == "README.md" and not command.not_run and not command.shown and \
                command.words[0] != "make":
            title = [line for line in text[:command.line] if line.startswith("## ")][-1]
            found.setdefault(title.removeprefix("## "), []).append(command)
    return found


def test_from_nothing_to_a_silent_exit_and_back(reader, nothing, clock):
    found = steps()
    assert [*found] == ["Install", "See it work", "Remove"]
    done = clock("README")
    type_all(reader, found["Install"])
    done("install")
    see = found["See it work"]
    at = next(i for i, one in enumerate(see) if one.text.startswith("kubectl apply"))
    *opt_in, status = see[:at]
    type_all(reader, opt_in)
    wait_for(reader, status.text, "ok       a pod as a dry run in")
    done("opt in")
    type_all(reader, see[at:at + 1])
    wait_for(reader, "kubectl get ax -n agents -o json", "OtherContainersRun")
    done("die, and be told")
    printed = type_all(reader, see[at + 1:])
    print(printed)  # shown when something of it is missing
    for text in ("Running", "101", "Panic", "SilentAgentExit", "`Option::unwrap()` on a `None`"):
        assert text in printed
    done("look")
    type_all(reader, found["Remove"])
    kube.wait_until(lambda: not nothing.find(f"/api/v1/namespaces/{product.SYSTEM}"), "it is removed")
    done("remove")
    for path in (product.CONFIGURATION, "/apis/lastword.dev/v1alpha1"):
        kube.wait_until(lambda: nothing.find(path) is None, f"{path} is gone")


def wait_installed(cluster):
    for name in ("lastword-webhook", "lastword-observer"):
        product.wait_available(cluster, name)
    product.wait_injecting(cluster, drivers.INJECTED)


def with_words(beginnings):
    """Each command of docs/ that begins so, once."""
    return list({one.text: one for one in INSTALLING if one.document != "README.md"
                 and tuple(one.words[:2]) in beginnings}.values())


def test_install_with_kubectl(reader, nothing, clock):
    """Each command that applies a folder, the opt-in, and each that removes."""
    nothing.make_namespace(drivers.INJECTED)
    applied, labels, rest = (
        with_words([("kubectl", verb) for verb in verbs])
        for verbs in (["apply"], ["label"], ["delete"]))
    assert len(applied) >= 2 and len(rest) >= 2
    done = clock("with kubectl")
    type_all(reader, applied)
    # The manifests have labelled their own namespace.
    type_all(reader, [one for one in labels if drivers.INJECTED in one.words])
    wait_installed(nothing)
    done("install")
    type_all(reader, rest)
    kube.wait_until(lambda: not nothing.find(f"/api/v1/namespaces/{product.SYSTEM}"), "it is removed")
    done("remove")


@pytest.mark.kubernetes(1, 23)  # docs/upgrade.md: what Helm 4 asks for
def test_install_with_helm(reader, nothing, clock):
    nothing.make_namespace(drivers.INJECTED)
    done = clock("with Helm")
    for step in ([("helm", "install")], [("kubectl", "label")], [("helm", "upgrade")]):
        found = with_words(step)
        assert found, step
        type_all(reader, found)
    wait_installed(nothing)
    done("install")
    removing = with_words([("helm", "uninstall")])
    assert len(removing) == 1
    type_all(reader, removing)
    done("remove")
    nothing.kubectl("delete", "namespace", product.SYSTEM)
    nothing.kubectl("delete", "crd", "agentexits.lastword.dev")
