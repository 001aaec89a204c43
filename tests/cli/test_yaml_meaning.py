"""Manifests keep their meaning: thousands of random documents, read as kubectl reads them
(tests/shared/kubernetes_yaml.py), against `lastword inject`."""
import json
import random
import subprocess

import pytest
import yaml

import kubernetes_yaml
from record_cluster import BUILD, ROOT

SCALARS = """\
a|hello world|1|0|-1|+1|007|0777|08|0o17|0x1F|0xFFFFFFFFFFFFFFFF|0xFFFFFFFFFFFFFFFFFF|-0x10
9223372036854775807|9223372036854775808|-9223372036854775808|18446744073709551616|0b101|1_000
1e3|1E-3|1.50|.5|5.|-.5|+2.5|1e400|1e-400|-0.0|1.2.3|1e|0x|12:30:45|190:20:30.15|2001-01-01
2001-01-01T00:00:00Z|yes|No|on|OFF|y|n|true|False|TRUE|null|~|Null|nullable|yesno|.inf|-.INF|.nan
500m|1Gi|-|x-y|a#b|http://x/y:1|$(A)|$$|{{x}}|é|内存|😀|<|=|v1.2|1.10|._5|.|..|/bin/sh|--flag=1|@x
"""
SCALARS = [word for line in SCALARS.splitlines() for word in line.split("|")]
PLAIN_UNSAFE = ("-", "@x", "{{x}}", "")
STRINGS = [*SCALARS, "", " lead", "trail ", "two\nlines", "two\nlines\n", "\n", "\nx", "x\n\n", "tab\there",
           "a: b", "a #b", "- x", "? x", "it's", '"', "\\", "\x85\u2028\ufeff", "\x7f", "#", "&a", "*a",
           "!x", "%x", "`x", "{", "[", "]", ",", "|", ">", "x:", "x ", "<<", "\u00a0", "x\ty", "  x\ny"]


class Maker:
    """Random YAML text."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.anchors = []
        self.mappings = []

    def quoted(self):
        text = self.random.choice(STRINGS)
        if self.random.random() < 0.5 and text.isprintable():
            return "'" + text.replace("'", "''") + "'"
        return json.dumps(text, ensure_ascii=self.random.random() < 0.5)

    def scalar(self):
        chance = self.random.random()
        if chance < 0.6:
            word = self.random.choice(SCALARS)
            return word if word not in PLAIN_UNSAFE else f"'{word}'"
        if chance < 0.9:
            return self.quoted()
        tag = self.random.choice(["!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!",
                                  "!local", "!!binary"])
        word = self.random.choice(SCALARS + ["aGVsbG8=", "12"])
        return f"{tag} '{word}'" if self.random.random() < 0.5 or word in PLAIN_UNSAFE \
            else f"{tag} {word}"

    def key(self):
        return self.random.choice(["a", "b", "c", "name", "on", "1e3", "0x10", "1", "'2'", "y", "n",
                                   "1.5", "1e30", "-1e-7", '"yes"', "k k", "é", "''",
                                   "2001-01-01", "!!str 12", "~" if self.random.random() < 0.05 else
                                   "null-ish", "123456.789", "1000000.5"])

    def flow(self, depth):
        chance = self.random.random()
        if depth == 0 or chance < 0.4:
            word = self.scalar()
            return f"'{word}'" if word in ("{{x}}",) or "," in word and word[0] not in "'\"" else word
        if chance < 0.7:
            return "[" + ", ".join(self.flow(depth - 1) for _ in range(self.random.randrange(4))) + "]"
        return "{" + ", ".join(f"{self.key()}: {self.flow(depth - 1)}"
                               for _ in range(self.random.randrange(4))) + "}"

    def block_scalar(self, indent):
        header = self.random.choice("|>") + self.random.choice(["", "-", "+"])
        lines = [self.random.choice(["x", "two words", "", "# no comment", "a: b", " deeper", "- x"])
                 for _ in range(self.random.randrange(1, 4))]
        lines[0] = lines[0].lstrip() or "x"
        return header + "".join(f"\n{' ' * indent if line else ''}{line}" for line in lines)

    def anchor(self):
        if self.random.random() < 0.15:
            self.anchors.append(f"n{len(self.anchors)}")
            return f"&{self.anchors[-1]} "
        return ""

    def value(self, indent, depth):
        """After "key:" or "-", with its line end."""
        chance = self.random.random()
        comment = self.random.choice(["", "", "", " # why"])
        if self.anchors and chance < 0.1:
            return f" *{self.random.choice(self.anchors)}{comment}\n"
        if chance < 0.45 or depth == 0:
            return f" {self.anchor()}{self.scalar()}{comment}\n"
        if chance < 0.55:
            return f" {self.block_scalar(indent + 1)}\n"
        if chance < 0.65:
            return f" {self.flow(2)}{comment}\n"
        anchor = self.anchor().strip()
        return (f" {anchor}" if anchor else "") + f"{comment}\n" + self.block(indent, depth - 1, anchor)

    def block(self, indent, depth, anchor=""):
        pad = " " * indent
        count = self.random.randrange(1, 5)
        if self.random.random() < 0.35:
            return "".join(f"{pad}-{self.value(indent + 2, depth)}" for _ in range(count))
        text = ""
        for _ in range(count):
            if self.mappings and self.random.random() < 0.15:
                chosen = self.random.choice(self.mappings)
                text += f"{pad}<<: " + self.random.choice([f"*{chosen}", f"[*{chosen}, {{a: 7}}]",
                                                           "{b: 8, z: 9}"]) + "\n"
            else:
                text += f"{pad}{self.key()}:{self.value(indent + 2, depth)}"
        if anchor:
            self.mappings.append(anchor[1:])
        return text

    def document(self):
        self.anchors, self.mappings = [], []
        return self.random.choice(["", "", "# head\n"]) + "kind: ConfigMap\ndata:\n" + self.block(2, 3)


@pytest.fixture
def convert(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text((ROOT / "manifests/base/config.yaml").read_text())

    def run(text, output):
        return subprocess.run([BUILD / "bin/lastword", "inject", "-c", config, "-f", "-", "-o", output],
                              input=text.encode(), capture_output=True, timeout=60)
    return run


def values_of(text):
    """JSON values in a row."""
    decoder, values, at = json.JSONDecoder(), [], 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        values.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return values


def same(left, right):
    """Python takes True for 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right


def expected(text):
    try:
        return kubernetes_yaml.load_all(text)
    except (kubernetes_yaml.Refused, yaml.YAMLError):
        return None


@pytest.mark.parametrize("seed", range(8))
def test_random_documents(convert, seed):
    maker = Maker(seed)
    taken, texts = [], []
    for _ in range(600):
        text = maker.document()
        meaning = expected(text)
        if meaning is None:
            continue
        assert len(meaning) == 1, text
        taken += meaning
        texts.append(text)
    assert len(taken) > 300
    done = convert("---\n".join(texts), "json")
    assert done.returncode == 0, done.stderr
    for text, meaning, got in zip(texts, taken, values_of(done.stdout.decode()), strict=True):
        assert same(meaning, got), (text, meaning, got)


@pytest.mark.parametrize("seed", range(100, 102))
def test_what_kubectl_refuses(convert, seed):
    maker = Maker(seed)
    refused = [text for text in (maker.document() for _ in range(400)) if expected(text) is None]
    assert len(refused) > 20
    for text in refused[:60]:
        done = convert(text, "json")
        assert done.returncode == 1 and done.stdout == b"", (text, done)
        assert b"line " in done.stderr and b", column " in done.stderr


POD = """\
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {containers: [{name: main, image: x, command: [/a]}]}
"""
MARKERS = ["---\n", "---\n", "--- # c\n", "---   \n", "...\n---\n", "# t\n---\n", "\n---\n", "---\n# x\n"]
DOCUMENTS = [POD, POD, "", "# nothing\n", '{kind: A, b: [1, 2,], c: "x"}\n',
             "kind: B\nd: |\n    x\n\n    # y\n    --- z\n", "kind: B\nd: |+\n  x\n\n\n",
             'kind: C\nd: >\n  --- a\n  b\n\n   c\ne: "q\n  r\\\n  s"\n']


def random_file(maker):
    """Documents in a file, with all that may stand between them."""
    choice, chance = maker.random.choice, maker.random.random
    text = ""
    for number in range(maker.random.randint(1, 5)):
        if number or chance() < 0.4:
            text += choice(MARKERS)
        text += maker.document() if chance() < 0.3 else choice(DOCUMENTS)
        if chance() < 0.1:
            text += choice(["# trailing\n", "\n\n", "...\n"])
    if chance() < 0.2:
        text = text.rstrip("\n")
    if chance() < 0.2:
        text = text.replace("\n", "\r\n")
    return "\ufeff" * (chance() < 0.1) + text


def objects_of(text):
    """None where kubectl refuses the file."""
    meaning = expected(text.removeprefix("\ufeff"))
    objects = [value for value in meaning or [] if value is not None]
    return objects if objects and all(isinstance(value, dict) for value in objects) else None


def test_random_files(tmp_path):
    """Of a file with several documents all but the pods stays as it is."""
    config = yaml.safe_load((ROOT / "manifests/base/config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**config, "rules": [{"name": "all"}]}))
    maker, taken = Maker(77), 0
    while taken < 100:
        text = random_file(maker)
        before = objects_of(text)
        if before is None:
            continue
        taken += 1
        done = subprocess.run([BUILD / "bin/lastword", "inject", "-c", tmp_path / "config.yaml", "-f", "-"],
                              input=text.encode(), capture_output=True, timeout=60)
        assert done.returncode == 0, (text, done.stderr)
        for one, other in zip(before, objects_of(done.stdout.decode()), strict=True):
            if one.get("kind") == "Pod":
                assert other["spec"]["containers"][0]["command"][0] == "/lastword/shim", text
            else:
                assert same(one, other), text


def random_json(maker, depth):
    chance = maker.random.random()
    if depth == 0 or chance < 0.5:
        return maker.random.choice([*STRINGS, 1, -2, 1.5, 10**17, True, False, None])
    if chance < 0.7:
        return [random_json(maker, depth - 1) for _ in range(maker.random.randrange(4))]
    return {maker.random.choice(STRINGS): random_json(maker, depth - 1)
            for _ in range(maker.random.randrange(5))}


@pytest.mark.parametrize("seed", range(4))
def test_what_is_printed_is_read_back(convert, seed):
    """By kubectl, and by PyYAML, whose rules are others, as far as strings go."""
    maker = Maker(seed)
    values = [{"kind": "ConfigMap", "data": random_json(maker, 4)} for _ in range(300)]
    done = convert("\n".join(map(json.dumps, values)), "yaml")
    assert done.returncode == 0, done.stderr
    for value, got, plain in zip(values, kubernetes_yaml.load_all(done.stdout.decode()),
                                 yaml.load_all(done.stdout.decode(), yaml.CSafeLoader), strict=True):
        assert same(value, got)
        assert same(value, plain)
