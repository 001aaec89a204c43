"""YAML as kubectl reads it (sigs.k8s.io/yaml over go-yaml v2), on PyYAML's parser: what the project's
own reader is compared with."""
import base64
import re
import struct

import yaml

NULL = {"", "~", "null", "Null", "NULL"}
TRUE = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
FALSE = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
CORE = "tag:yaml.org,2002:"


class Refused(Exception):
    pass


def go_integer(text):
    """strconv.ParseInt(text, 0, 64), then ParseUint; None where both fail."""
    sign, digits = re.fullmatch(r"([-+]?)(.*)", text, re.S).groups()
    base, pattern = 10, r"[1-9][0-9]*|0"
    for prefix, other in (("0x", 16), ("0o", 8), ("0b", 2)):
        if digits[:2].lower() == prefix:
            base, digits = other, digits[2:]
            pattern = {16: "[0-9a-fA-F]+", 8: "[0-7]+", 2: "[01]+"}[other]
            break
    else:
        if len(digits) > 1 and digits[0] == "0":
            base, pattern, digits = 8, "[0-7]+", digits[1:]
    if not re.fullmatch(pattern, digits):
        return None
    value = int(digits, base)
    if sign == "-":
        value = -value
    lowest, highest = -2**63, (2**63 if sign else 2**64) - 1
    return value if lowest <= value <= highest else None


def resolve(text):
    """(kind, value) of a scalar without quotes and tag."""
    if text in NULL:
        return "null", None
    if text in TRUE or text in FALSE:
        return "bool", text in TRUE
    if NOT_FINITE.fullmatch(text):
        return "not-finite", None
    if not re.match(r"[-+0-9]|\.[0-9]", text):
        return "str", text
    plain = text.replace("_", "")
    integer = go_integer(plain)
    if integer is not None:
        return "int", integer
    if FLOAT.fullmatch(plain) and float(plain) not in (float("inf"), float("-inf")):
        return "float", float(plain)
    return "str", text


def scalar(event):
    text, tag = event.value, event.tag
    if "\0" in text:
        raise Refused("NUL")
    name = tag.removeprefix(CORE) if tag and tag.startswith(CORE) else None
    if tag is None:
        kind, value = resolve(text) if event.implicit[0] else ("str", text)
    elif name == "binary":
        try:
            value = base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True).decode()
            kind = "str"
        except ValueError:
            raise Refused("binary") from None
    elif name in ("null", "bool", "int", "float"):
        kind, value = resolve(text)
        if kind not in {name, "int" if name == "float" else name}:
            raise Refused(tag)
    elif name == "timestamp":
        if not re.match(r"\d{4}-", text):
            raise Refused(tag)
        kind, value = "str", text
    else:
        kind, value = "str", text
    if kind == "not-finite":
        raise Refused("JSON has no such number")
    return kind, value


def key_of(kind, value):
    if kind == "str":
        return value
    if kind == "bool":
        return "true" if value else "false"
    if kind == "int" and -2**63 <= value < 2**63:
        return str(value)
    if kind != "float":
        raise Refused("key")
    return float_key(value)


def float_key(value):
    """strconv.FormatFloat(value, 'g', -1, 32)"""
    def as_float32(number):
        try:
            return struct.unpack("f", struct.pack("f", number))[0]
        except OverflowError:
            return float("inf") if number > 0 else float("-inf")
    narrow = as_float32(value)
    if narrow in (float("inf"), float("-inf")):
        return ".inf" if narrow > 0 else "-.inf"
    text = next(text for text in (f"{narrow:.{n}e}" for n in range(9))
                if as_float32(float(text)) == narrow)
    mantissa, exponent = text.split("e")
    if not -4 <= int(exponent) < 6:
        return text
    digits = len(mantissa.lstrip("-").replace(".", "")) - 1
    return f"{narrow:.{max(0, digits - int(exponent))}f}"


class Reader:
    """One document."""

    def __init__(self, events):
        self.events = events
        self.anchors = {}

    def node(self, event):
        """(kind, value) of the node that begins with the event."""
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise Refused("alias")
            return self.anchors[event.anchor]
        if isinstance(event, yaml.ScalarEvent):
            node = scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = "seq", self.sequence()
        else:
            node = "map", self.mapping()
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def sequence(self):
        values = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            values.append(self.node(event)[1])
        return values

    def mapping(self):
        values = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            merges = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and (
                event.implicit[0] if event.tag is None else event.tag == CORE + "merge")
            key = key_of(*self.node(event))
            kind, value = self.node(next(self.events))
            if not merges:
                values[key] = value
                continue
            for source in reversed(value) if kind == "seq" else [value]:
                if not isinstance(source, dict):
                    raise Refused("merge")
                values.update(source)
        return values


def load_all(text):
    """The documents of a text, as JSON values. Refused, or PyYAML's own error, where kubectl takes
    none."""
    documents = []
    events = iter(yaml.parse(text, yaml.CLoader))
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents.append(Reader(events).node(next(events))[1])
    return documents
