"""The documents name what there is, and leave out nothing: labels, annotations, Events, reasons,
warnings, flags, metrics, figures, pages. What only one program has, its folder's tests compare."""
import fnmatch
import re
import subprocess

import documents
import pytest
from webhook_process import BUILD, ROOT

TEXTS = {name: (ROOT / name).read_text() for name in documents.documents()}
PAGES = "\n".join(TEXTS.values())
SOURCES = {str(path.relative_to(ROOT)): path.read_text()
           for folder in ("lib", "webhook", "certs", "watchdog", "observer", "cli")
           for path in sorted((ROOT / folder).rglob("*.[ch]"))}
CODE = "\n".join(SOURCES.values())


def section(name, heading):
    """Of a page, from the heading to the next one of any level."""
    return re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", TEXTS[name], re.M | re.S).group(1)


def first_column(text):
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.M))


def test_every_page_is_in_the_index():
    listed = set(re.findall(r"\]\(([\w-]+\.md|runbooks/)\)", TEXTS["docs/README.md"]))
    pages = {name.removeprefix("docs/") for name in TEXTS if name.count("/") == 1}
    assert listed == pages - {"README.md"} | {"runbooks/"}


def test_every_label_and_annotation_is_documented():
    keys = set(re.findall(r'"lastword\.dev/([a-z-]+)"', CODE))
    keys |= set(re.findall(r'KEY_PREFIX "([a-z-]+)"', CODE))
    manifests = [path for path in (ROOT / "manifests").rglob("*")
                 if path.suffix in (".yaml", ".tpl") and not path.is_symlink()]
    for path in manifests:
        keys |= set(re.findall(r"(?<![/.\w])lastword\.dev/([a-z][a-z-]*)(?=[\":=' ,)\]])",
                               path.read_text()))
    keys -= {"observer",  # the reporting component of Events, a scope of OTLP
             "v1alpha"}
    assert len(keys) > 20
    page = TEXTS["docs/annotations.md"]
    assert [] == sorted(key for key in keys if f"lastword.dev/{key}`" not in page)
    # And nothing else.
    named = set(re.findall(r"`lastword\.dev/([a-z-]+)`", section(
        "docs/annotations.md", "Labels and annotations elsewhere")))
    assert named <= keys


def test_every_event_is_documented():
    reasons = set(re.findall(r'\.reason = "([A-Z]\w+)"', CODE))
    reasons |= set(re.findall(r'EVENT_REASON_\w+ +"(\w+)"', CODE))
    reasons |= set(re.findall(r'json_write_member\(&writer, "reason", "([A-Z]\w+)"', CODE))
    reports = SOURCES["observer/evidence/running_reports.c"]
    reasons |= set(re.findall(r'[?:] "(Agent\w+)"', reports))
    assert len(reasons) == 8
    assert first_column(section("docs/reasons.md", "Events")) == reasons


def test_every_reason_of_a_silence_is_documented():
    source = SOURCES["observer/record/silence_recorder.c"]
    reasons = set(re.findall(r'\[SILENCE_\w+\] = "(\w+)"', source))
    assert len(reasons) == 4
    text = section("docs/agent-exit.md", "The condition Silent")
    rows = "\n".join(re.findall(r"^\| (?:True|False) \| ([^|]*)", text, re.M))
    assert set(re.findall(r"`(\w+)`", rows)) == reasons


def test_every_reason_of_the_breaker_is_documented():
    reasons = {reason for name, text in SOURCES.items() if name.startswith("observer/guard/")
               for reason in re.findall(r'(?:reason = |"\w+", |return )"([a-z-]+)"', text)}
    documented = first_column(section("docs/guards.md", "What opens it")) - {"manual"}
    assert documented <= reasons and len(documented) == 8
    assert '"manual"' in CODE


def test_every_reason_of_an_uninjected_pod_is_documented():
    source = SOURCES["observer/audit/injection_policy.c"]
    reasons = set(re.findall(r'\[UNINJECTED_\w+\] = "([\w-]+)"', source))
    text = section("docs/observer.md", "Pods that were not injected")
    assert first_column(text) == reasons and len(reasons) == 4


def test_every_reason_of_a_missed_log_is_documented():
    source = SOURCES["observer/evidence/log_follower.c"]
    reasons = set(re.findall(r'\[LOG_MISSED_\w+\] = "([\w-]+)"', source))
    row = next(line for line in TEXTS["docs/observer.md"].splitlines()
               if "lastword_observer_missed_logs_total{reason}" in line)
    assert len(reasons) == 3 and all(f"`{reason}`" in row for reason in reasons)


def test_every_warning_is_documented():
    """What plan_warn() and the response begin with, up to what varies."""
    joined = re.sub(r'"\s*"', "", CODE)
    warnings = {re.sub(r"%[.\d]*[a-z].*", "", text) for text in
                re.findall(r'"lastword: ((?:pod left|annotation)[^"\\]*)', joined)}
    rows = first_column(section("docs/reasons.md", "Warnings"))
    begins = {re.sub(r"(KEY|REASON|…).*", "", row) for row in rows}
    assert len(rows) == 5
    for text in warnings:
        assert any(text.startswith(one) for one in begins), text
    source = SOURCES["webhook/policy.c"]
    body = source[source.index("static void warn_of_skip"):]
    codes = {code.lower().replace("_", "-") for code in
             re.findall(r"case REASON_(\w+):", body[:body.index("\n}\n")])}
    row = next(line for line in TEXTS["docs/reasons.md"].splitlines() if "(REASON)" in line)
    assert codes == set(re.findall(r"`([a-z-]+)`", row))


@pytest.fixture(scope="module")
def known_flags():
    """Of our programs and their subcommands."""
    texts = [(ROOT / "watchdog/PROTOCOL.md").read_text()]
    for program in ("lastword-webhook", "lastword-observer", "lastword-watchdog", "lastword"):
        usage = subprocess.run([BUILD / "bin" / program, "--help"], capture_output=True, text=True)
        texts += [usage.stdout, usage.stderr]
    for command in re.findall(r"^  ([a-z]+)  ", texts[-2], re.M):
        texts.append(subprocess.run([BUILD / "bin/lastword", command, "--help"], check=True,
                                    capture_output=True, text=True).stdout)
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", "\n".join(texts)))


OTHERS = {  # flags of others' programs in the text: whose
    "--previous": "kubectl logs", "--tail": "kubectl logs", "--as": "kubectl",
    "--as-group": "kubectl", "--validate": "kubectl apply", "--kube-version": "helm template",
    "--event-ttl": "kube-apiserver",
    "--password": "some program, whose secret is redacted"}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_flags_exist(name, known_flags):
    prose = re.sub(r"^```.*?^```$", "", TEXTS[name], flags=re.M | re.S)
    named = {flag for code in re.findall(r"`([^`\n]+)`", prose)
             if not re.match(r"(kubectl|helm|make|docker) (?!lastword)", code)
             for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)}
    assert named <= known_flags | {*OTHERS}, name


def test_flags_of_synopses_exist(known_flags):
    synopses = [block for name in TEXTS for block in documents.blocks(name)
                if block.language == "synopsis"]
    assert len(synopses) > 10
    for block in synopses:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", block.text))
        assert named <= known_flags, block


def test_metrics_exist():
    metrics = {name for text in SOURCES.values()
               for name in re.findall(r'"((?:lastword|process)_[a-z_]+)"', text)}
    named = set(re.findall(r"(?<![\w:])((?:lastword|process)_(?!dev)[a-z_]+[a-z])(?![\w:*])", PAGES))
    missing = {name for name in named
               if re.sub(r"_(bucket|sum|count)$", "", name) not in metrics}
    assert missing == set() and len(named) > 40


def figure(text):
    """A number with its unit: (6499.0, "B")."""
    match = re.match(r"([\d,.]+) ?(\w*)", text)
    sizes = {"bytes": 1, "KB": 1000, "KiB": 1024, "MiB": 1 << 20}
    unit = match.group(2)
    value = float(match.group(1).replace(",", ""))
    return (value * sizes[unit], "B") if unit in sizes else (value, unit)


def test_figures_of_sizing_are_those_of_the_bench():
    """Rounded, and of another day: within a factor of two."""
    rows = {}
    for line in (TEXTS["docs/performance.md"] + TEXTS["docs/watchdog.md"]).splitlines():
        if found := re.match(r"\| `([a-z]+: [^`]+)` \| ([^|]+) \|", line):
            rows[found.group(1)] = found.group(2).strip()
    cited = re.findall(r"about ([\d,.]+ ?\w*)[^`.;|]*\(`([a-z]+: [^`]+)`", TEXTS["docs/sizing.md"])
    assert len(cited) >= 8
    for text, row in cited:
        exact = [value for name, value in rows.items() if fnmatch.fnmatchcase(row, name) or row == name]
        assert exact, row
        said, unit = figure(text)
        measured, measured_unit = figure(exact[0])
        if unit in ("", "in", "requests", "reviews", "of"):
            unit = measured_unit
        assert unit == measured_unit and said / 2 <= measured <= said * 2, (text, row, exact)
    named = re.findall(r"`((?:observer|webhook|watchdog): [^`]+)`", TEXTS["docs/sizing.md"])
    assert set(named) <= {*rows}


def test_requests_of_sizing_are_those_of_the_manifests():
    for name, document in (("webhook", "base/webhook.yaml"), ("observer", "base/observer.yaml")):
        text = (ROOT / "manifests" / document).read_text()
        cpu, memory, limit = re.search(
            r"requests:\n\s+cpu: (\S+)\n\s+memory: (\S+)\n\s+limits:\n\s+memory: (\S+)", text).groups()
        assert f"| a replica of the {name} | {memory}, {cpu} | {limit}" in TEXTS["docs/sizing.md"]


CONFIGURATIONS = ("webhook/config.c", "webhook/sidecar_config.c", "observer/receiver/receiver_config.c")
STRUCTS = [(name, re.findall(r'\{"(\w+)", (?:decode_\w+),[^{}]*?(true|false)\}', body, re.S))
           for name in CONFIGURATIONS
           for body in re.findall(r"struct field fields\[\] = \{\n(.*?)\n\t\};", SOURCES[name], re.S)]
# Of one key: their rows say what it is.
STRUCTS = [(name, fields) for name, fields in STRUCTS if len(fields) > 1]


@pytest.mark.parametrize("name, fields", STRUCTS, ids=[f"{name}:{f[0][0]}" for name, f in STRUCTS])
def test_each_part_of_a_configuration_has_a_table(name, fields):
    """With the same keys, and it says which are required."""
    tables = [dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", part, re.M))
              for part in TEXTS["docs/configuration.md"].split("\n\n")]
    expected = {key for key, _ in fields}
    table = next((one for one in tables if set(one) == expected), None)
    assert table, (name, expected)
    for key, required in fields:
        # "One of the two is required" says it of none alone.
        said = re.search(r"(?:^|; )required\b", table[key]) is not None
        assert said == (required == "true"), (name, key)


def test_the_parts_of_the_configurations_are_found():
    assert len(STRUCTS) == 11
