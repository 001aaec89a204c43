"""The documents: links lead somewhere, examples of code are the tree's, and named paths exist."""
import re
import subprocess

import pytest
from webhook_process import ROOT

DOCUMENTS = sorted(subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, text=True,
                                  capture_output=True).stdout.split())


def anchors(text):
    """As the usual renderers of Markdown make them from headings."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links(name):
    document = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (document.parent / path) if path else document
        assert found.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(found.read_text()), f"{name}: {target}"


def test_examples_are_from_this_tree():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    examples = re.findall(r"\(`([\w/]+\.c)`\):\n\n```c\n(.*?)```", text, re.S)
    assert len(examples) == 2 == text.count("```c\n")
    for path, code in examples:
        assert code in (ROOT / path).read_text(), path


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "CHANGELOG.md"])
def test_paths_exist(name):
    """A file, a folder, a pattern, or a module without its ending."""
    text = (ROOT / name).read_text()
    paths = re.findall(r"`((?:lib|webhook|certs|watchdog|observer|cli|manifests|tests|docs|bench)/"
                       r"[\w./*-]+)`", text)
    for path in paths:
        assert [*ROOT.glob(path), *ROOT.glob(path + ".h")], f"{name}: {path}"
    assert name != "ARCHITECTURE.md" or len(paths) > 30
