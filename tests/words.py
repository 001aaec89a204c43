#!/usr/bin/python3
"""Keeps the names and texts of this project in the field's standard terms: fails when a private word
comes back that tests/data/words.yaml lists, and prints the standard term for it. Also fails when a C
file grows beyond 600 lines.

Scanned are all files that git tracks, and their names. An entry looks in one or more places:

  identifiers  words of an identifier in C or Python, split at underscores and camelCase
  code         regular expressions over C and Python without comments and strings
  text         regular expressions over everything else: comments, strings, documents, manifests
  flags        flags of the command line, everywhere

Words match as whole words, without regard to case. `paths` limits an entry to some files. `allow` names
where a word is the field's own, by path or by the text around it, with the reason."""
import fnmatch
import io
import pathlib
import re
import subprocess
import sys
import tokenize

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = ROOT / "tests/data/words.yaml"
# Inputs and outputs of tests, the license, and the files that must name the old words.
SKIPPED = ("tests/data/*", "tests/fuzz/corpus/*", "LICENSE", "CHANGELOG.md", "tests/words.py",
           "tests/project/test_words.py")
LINES_MAX = 600
LARGE_FOLDERS = ("lib", "webhook", "watchdog", "observer", "certs", "cli")
PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
C_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text):
    """Spaces of the same length, so that lines and columns stay."""
    return re.sub(r"[^\n]", " ", text)


def split_c(text):
    """The same text twice: code alone, and comments and strings alone."""
    code, rest, at = [], [], 0
    for match in C_TOKEN.finditer(text):
        before, token = text[at:match.start()], match.group()
        code += [before, blank(token)]
        rest += [blank(before), token]
        at = match.end()
    # An #include names a file, in quotes.
    return "".join(code) + text[at:], "".join(rest) + blank(text[at:])


def split_python(text):
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    code, rest = list(text), list(blank(text))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            begin = starts[token.start[0] - 1] + token.start[1]
            end = starts[token.end[0] - 1] + token.end[1]
            rest[begin:end] = text[begin:end]
            code[begin:end] = blank(text[begin:end])
    return "".join(code), "".join(rest)


class File:
    def __init__(self, name, text):
        self.name = name
        self.lines = text.split("\n")
        suffix = pathlib.Path(name).suffix
        code, rest = (split_c(text) if suffix in (".c", ".h") else
                      split_python(text) if suffix == ".py" else (blank(text), text))
        self.whole = {"lines": text, "code": code, "text": rest}
        self.code = code.split("\n")
        self.text = rest.split("\n")
        self.words = [{part.lower() for identifier in IDENTIFIER.findall(line)
                       for part in PARTS.findall(identifier)} for line in self.code]
        self.all_words = set().union(*self.words)


def tracked():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True,
                           text=True).stdout.split("\0")
    for name in names:
        path = ROOT / name
        if not name or not path.is_file() or path.is_symlink():
            continue
        try:
            yield name, path.read_text()
        except UnicodeDecodeError:
            continue


def whole(pattern):
    return re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.I)


class Entry:
    def __init__(self, data):
        self.term = data["term"]
        self.identifiers = {word.lower() for word in data.get("identifiers", ())}
        self.code = [re.compile(pattern) for pattern in data.get("code", ())]
        self.text = [whole(pattern) for pattern in data.get("text", ())]
        self.flags = [re.compile(rf"(?<![\w-])--{flag}(?![\w-])") for flag in data.get("flags", ())]
        self.paths = data.get("paths", ["*"])
        self.allow = data.get("allow", ())
        assert self.identifiers or self.code or self.text or self.flags, data
        assert all(set(one) <= {"path", "text", "reason"} and one.get("reason") and
                   (one.get("path") or one.get("text")) for one in self.allow), data

    def is_allowed(self, name, line):
        return any(fnmatch.fnmatch(name, one.get("path", "*")) and
                   re.search(one.get("text", ""), line, re.I) for one in self.allow)

    def lines(self, file):
        """The numbers of the lines where something of this entry stands. No pattern matches the end of
        a line, so that a file is searched as a whole."""
        found = set()
        if self.identifiers & file.all_words:
            found.update(i for i, words in enumerate(file.words) if self.identifiers & words)
        for patterns, text in ((self.code, file.whole["code"]), (self.text, file.whole["text"]),
                               (self.flags, file.whole["lines"])):
            for pattern in patterns:
                found.update(text.count("\n", 0, match.start()) for match in pattern.finditer(text))
        return sorted(found)

    def found(self, file, i):
        """What of this entry stands in line i."""
        yield from sorted(self.identifiers & file.words[i])
        for patterns, lines in ((self.code, file.code), (self.text, file.text),
                                (self.flags, file.lines)):
            for pattern in patterns:
                match = pattern.search(lines[i])
                if match:
                    yield match.group()

    def problems(self, file):
        if not any(fnmatch.fnmatch(file.name, pattern) for pattern in self.paths):
            return
        for i in self.lines(file):
            # A sentence goes on over lines: the lines around count for what is allowed.
            around = " ".join(file.lines[max(0, i - 1):i + 2])
            for word in self.found(file, i):
                if not self.is_allowed(file.name, around):
                    yield f"{file.name}:{i + 1}: \"{word}\": {self.term}\n    {file.lines[i].strip()}"
        for part in re.split(r"[/_.-]", file.name):
            if part.lower() in self.identifiers and not self.is_allowed(file.name, ""):
                yield f"{file.name}: \"{part}\" in the name: {self.term}"


def check_sizes(files, tables):
    for name, text in files:
        lines = text.count("\n")
        if name.split("/")[0] in LARGE_FOLDERS and name.endswith((".c", ".h")) and \
                lines > LINES_MAX and name not in tables:
            yield f"{name}: {lines} lines, at most {LINES_MAX} were expected"


def main():
    data = yaml.safe_load(WORDS.read_text())
    entries = [Entry(one) for one in data["words"]]
    files = list(tracked())
    problems = list(check_sizes(files, data["tables"]))
    for name, text in files:
        if any(fnmatch.fnmatch(name, pattern) for pattern in SKIPPED):
            continue
        file = File(name, text)
        for entry in entries:
            problems += entry.problems(file)
    print("\n".join(problems) if problems else
          f"{len(files)} files use the standard terms ({len(entries)} entries)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
