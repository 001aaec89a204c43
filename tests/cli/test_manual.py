"""The help, the man pages and the reference in docs/cli.md say the same: what the commands take."""
import re
import subprocess

import pytest

from record_cluster import BUILD, ROOT

LASTWORD = BUILD / "bin/lastword"
PAGES = sorted((BUILD / "man").glob("*.1"))


def run(*command, status=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done
    return done.stdout + done.stderr


COMMANDS = re.findall(r"^  (\w+) ", run(LASTWORD, "--help"), re.M)


def flags_of(text):
    return set(re.findall(r"(?<![\w-])--([a-z-]+)", text))


def test_there_is_a_page_for_each_command():
    assert len(COMMANDS) > 10
    assert [page.name for page in PAGES] == sorted(
        ["lastword.1"] + [f"lastword-{command}.1" for command in COMMANDS])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_page_agree(command):
    text = run(LASTWORD, command, "--help")
    assert text == run(LASTWORD, "help", command)
    assert text.startswith(f"Usage: lastword {command}")
    assert max(map(len, text.splitlines())) <= 80 and not re.search(r" $", text, re.M)
    page = re.sub(".\b", "", run("groff", "-man", "-Tutf8", "-P-c", "-rLL=200n",  # bold: X\bX
                                 BUILD / f"man/lastword-{command}.1")).replace("\u2212", "-")
    assert flags_of(page) == flags_of(text) and "help" in flags_of(text)
    assert run(LASTWORD, command, "-h") == text  # every command has it


def test_an_unknown_command_is_named(cluster):
    assert 'unknown command "exit"; did you mean exits?' in run(LASTWORD, "help", "exit", status=2)


def test_the_reference_is_what_the_table_says():
    document = (ROOT / "docs/cli.md").read_text()
    written = re.split(r"<!-- make reference .*-->\n", document)[1]
    assert written == run(BUILD / "generated/manual", "reference")
    for command in COMMANDS:
        section = written.split(f"\n### lastword {command}\n")[1].split("\n### ")[0]
        assert flags_of(section) >= flags_of(run(LASTWORD, command, "--help"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_good_man_pages(page):
    assert run("mandoc", "-Tlint", "-Wstyle", page) == ""
    done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", page], capture_output=True, text=True,
                          check=True)
    assert done.stderr == "" and "lastword" in done.stdout
