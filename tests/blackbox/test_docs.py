"""What the documentation says and what the code has are the same."""
import re
import subprocess

from webhook_process import BUILD, ROOT


def test_every_reason_is_documented():
    source = (ROOT / "webhook/reason.h").read_text()
    body = source[source.index("#define REASONS(X)"):source.index("enum reason {")]
    rows = re.findall(r'X\(\w+,\s*"([^"]+)",\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)',
                      body.replace("\\\n", " "))
    expected = [f"| `{code}` | " + "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', meaning))
                .replace('\\"', '"') + " |" for code, meaning in rows]
    assert len(expected) > 25
    text = (ROOT / "docs/decision-record.md").read_text()
    table = text[text.index("| code |"):text.index("## Results")]
    assert [line for line in table.splitlines() if line.startswith("| `")] == expected


def test_every_result_is_documented():
    source = (ROOT / "webhook/admission.c").read_text()
    names = re.findall(r'\[ADMISSION_\w+\] = "([\w-]+)"', source)
    text = (ROOT / "docs/decision-record.md").read_text()
    results = text[text.index("## Results"):]
    assert len(names) == 8
    assert all(f"`{name}`" in results for name in names)


def test_every_annotation_is_documented():
    source = (ROOT / "webhook/options.c").read_text()
    names = set(re.findall(r'^\s*\{"([a-z-]+)", read_\w+,', source, re.M)) | {"context.NAME"}
    text = (ROOT / "docs/annotations.md").read_text()
    table = text[text.index("## Annotations of a pod"):text.index("A pod of which a rule")]
    assert names == set(re.findall(r"`lastword\.dev/([A-Za-z.-]+)`", table))


def test_every_flag_is_documented():
    usage = subprocess.run([BUILD / "bin/lastword-webhook", "--help"], capture_output=True,
                           text=True).stdout
    flags = set(re.findall(r"^\s*(--[a-z-]+)", usage, re.M)) - {"--help", "--version"}
    table = re.findall(r'^\s*\{"([a-z-]+)", \w+, ', (ROOT / "webhook/main.c").read_text(), re.M)
    assert flags == {f"--{name}" for name in table}
    document = (ROOT / "docs/webhook.md").read_text()
    assert flags and all(f"`{flag}" in document for flag in flags)


def test_context_cannot_take_a_field_of_the_report(tmp_path):
    fields = re.findall(r"^ \*   ([a-z_]+(?:, [a-z_]+)*)  ",
                        (ROOT / "watchdog/report.h").read_text(), re.M)
    fields = {name for names in fields for name in names.split(", ")} - {"context"}
    written = set(re.findall(r'write_?\w*\(&?writer, "([a-z_]+)"',
                             (ROOT / "watchdog/report.c").read_text()))
    assert fields == written
    base = (ROOT / "manifests/base/config.yaml").read_text()
    for name in [*fields, "task_id_2"]:
        config = tmp_path / "config.yaml"
        config.write_text(base.replace("\ncontext:\n", f"\ncontext:\n  {name}: label:x\n"))
        done = subprocess.run([BUILD / "bin/lastword", "check", "-c", config], capture_output=True)
        assert done.returncode == (1 if name in fields else 0), (name, done)


def test_metrics_are_documented():
    names = {name for source in ("webhook/server.c", "lib/http/process_metrics.c")
             for name in re.findall(r'"((?:lastword|process)_\w+)"', (ROOT / source).read_text())}
    document = (ROOT / "docs/webhook.md").read_text()
    assert len(names) > 8 and all(f"`{name}" in document for name in names)


def test_bounds_are_documented():
    source = (ROOT / "webhook/server.c").read_text()
    value = lambda name: int(re.search(rf"#define {name} +(?:\(\(size_t\))?(\d+)", source)[1])  # noqa: E731
    arenas = int(re.search(r"ADMISSION_ARENA_MAX \(\(size_t\)(\d+) \* 1024 \* 1024\)",
                           (ROOT / "webhook/admission.h").read_text())[1])
    assert value("IDLE_SECONDS") > 90  # the API server's: it closes first
    document = (ROOT / "docs/webhook.md").read_text()
    row = lambda what, all_, each: f"| {what} | {all_} | {each} |" in document  # noqa: E731
    assert row("bodies and responses in memory", f"{value('MEMORY_MAX')} MiB",
               f"{value('MEMORY_EACH')} MiB")
    assert row("requests in flight", value("REQUESTS_MAX"), value("REQUESTS_EACH"))
    assert row("connections to the webhook", value("CONNECTIONS_MAX"), value("CONNECTIONS_EACH"))
    assert row("connections to the metrics port", value("METRICS_CONNECTIONS_MAX"),
               value("METRICS_CONNECTIONS_EACH"))
    assert row("trees of reviews", f"{arenas} MiB", f"{arenas // 2} MiB")
    for name, what in (("HEADER_SECONDS", "for a header"), ("BODY_SECONDS", "for a body"),
                       ("IDLE_SECONDS", "between two requests")):
        assert f"{value(name)} s {what}" in document


def test_make_help_lists_what_the_readme_names():
    listed = subprocess.run(["make", "-C", ROOT, "--no-print-directory", "help"],
                            capture_output=True, text=True).stdout
    for target in re.findall(r"`make ([a-z-]+)`", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target} ", listed, re.M), target


def test_every_field_of_the_report_is_documented():
    written = set(re.findall(r'write_?\w*\(&?writer, "([a-z_]+)"',
                             (ROOT / "watchdog/report.c").read_text()))
    text = (ROOT / "docs/watchdog.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", text[text.index("## Reports"):], re.M)
    assert set(re.findall(r"`([a-z_]+)`", " ".join(rows))) == written
