"""The word list finds a private word wherever one may stand, and nothing else."""
import sys

import pytest
from webhook_process import ROOT

sys.path.insert(0, str(ROOT / "tests"))
import words  # noqa: E402

ENTRY = {"term": "certificate manager", "identifiers": ["keeper"], "text": ["keepers?"],
         "code": [r"\bstruct end\b"], "flags": ["settle"],
         "allow": [{"path": "docs/zoo.md", "reason": "animals have keepers"},
                   {"text": "goal keeper", "reason": "a sport"}]}


@pytest.mark.parametrize("name,text,found", [
    ("a.c", "int start_keeper(void);", "keeper"),
    ("a.c", "int startKeeper;", "keeper"),
    ("a.h", "#define KEEPER_MAX 1", "keeper"),
    ("a.c", "/* The keeper writes. */", "keeper"),
    ("a.c", 'puts("no keepers");', "keepers"),
    ("a.c", "struct end end;", "struct end"),
    ("a.py", "def f():\n    keeper = 1", "keeper"),
    ("a.py", '"""Keepers write."""', "Keepers"),
    ("a.py", 'f"--settle={x}"', "--settle"),
    ("docs/a.md", "| `--settle` | seconds |", "--settle"),
    ("docs/keeper.md", "text", "keeper"),
    ("docs/a.md", "One keeper for each.", "keeper"),
])
def test_a_word_is_found(name, text, found):
    problems = list(words.Entry(ENTRY).problems(words.File(name, text)))
    assert len(problems) == 1 and f'"{found}"' in problems[0], problems
    assert "certificate manager" in problems[0] and name in problems[0]


@pytest.mark.parametrize("name,text", [
    ("a.c", "int zookeepers;"),
    ("a.c", "/* struct end */"),
    ("a.c", "int end;"),
    ("a.md", "`--settle-down` and bookkeepers"),
    ("docs/zoo.md", "The keeper feeds them."),
    ("docs/a.md", "The goal\nkeeper stands."),
    ("a.c", r'''char c = '"'; /* it's " */ char *s = "\"";'''),
])
def test_other_words_are_not(name, text):
    assert list(words.Entry(ENTRY).problems(words.File(name, text))) == []


def test_code_and_text_are_told_apart():
    code, text = words.split_c('int a; /* b\n c */ puts("d\\"e"); // f\n')
    assert code.split() == ["int", "a;", "puts(", ");"]
    assert text.split() == ["/*", "b", "c", "*/", '"d\\"e"', "//", "f"]
    assert len(code) == len(text)


def test_sizes():
    long = "int a;\n" * (words.LINES_MAX + 1)
    files = [("lib/base/a.c", long), ("lib/base/table.c", long), ("tests/unit/a.c", long)]
    problems = list(words.check_sizes(files, ["lib/base/table.c"]))
    assert len(problems) == 1 and problems[0].startswith("lib/base/a.c: 601 lines")


def test_every_exception_has_a_reason():
    with pytest.raises(AssertionError):
        words.Entry({**ENTRY, "allow": [{"path": "a.c"}]})
