"""lastword exits -o jsonpath, beside what kubectl makes of the same template."""
import json
import subprocess
import sys

import pytest

from record_cluster import ROOT, load_records
from test_records import harmful

sys.path.insert(0, str(ROOT / "tests/shared"))
import tools  # noqa: E402

# Paths of a list of records; kubectl gets the list as a member of an object, since it takes a list
# apart before a template sees it.
TEMPLATES = [
    "{LIST.kind}",
    "{LIST.items[*].metadata.name}",
    "{LIST.items[*].spec.pod} and {LIST.items[0].spec.pod}",
    '{range LIST.items[*]}{.spec.pod}{"\\t"}{.spec.errorType}{"\\n"}{end}',
    "{range LIST.items[*]}{.spec.pod}{'\\n'}{end}",
    "{range LIST.items[0:2]}[{.metadata.name}, {.spec.exitCode}] {end}",
    '{range LIST.items[*]}{.spec.pod}:{range .spec.runningContainers[*]} {@}{end}{"\\n"}{end}',
    "{range LIST.nothing[*]}never{end}none",
    "{LIST.items[0].spec.exitCode}",
    "{LIST.items[0].spec.final}",
    "{LIST.items[0].spec.runningContainers}",
    "{LIST.items[0].spec.summary}",
    "{LIST.items[0].spec.logTail}",
    "{LIST.items[-1].spec.pod}",
    "{LIST.items[-2:].spec.pod}",
    "{LIST.items[:2].spec.pod}",
    "{LIST.items[1:].spec.pod}",
    "{LIST.items[::2].spec.pod}",
    "{LIST.items[0:3:2].spec.pod}",
    "{LIST.items[1:1].spec.pod}",
    "{LIST.items[0,2].spec.pod}",
    "{LIST.items[0]['spec']['pod']}",
    "{LIST.items[*]['spec.pod', 'metadata.name']}",
    "{LIST['items'][0].metadata.labels.lastword\\.dev/pod}",
    "{LIST.items[0].metadata.labels['lastword\\.dev/pod']}",
    "{LIST.items..pod}",
    "{LIST..exitCode}",
    "{LIST.items[0].nothing.at.all}",
    "{LIST.items.spec}",
    '{LIST.items[?(@.spec.errorType=="Panic")].spec.pod}',
    "{LIST.items[?(@.spec.errorType=='OOMKilled')].metadata.name}",
    '{LIST.items[?(@.spec.errorType!="Panic")].metadata.name}',
    "{LIST.items[?(@.spec.exitCode==137)].spec.pod}",
    "{LIST.items[?(@.spec.exitCode>100)].spec.pod}",
    "{LIST.items[?(@.spec.exitCode<=101)].spec.pod}",
    "{LIST.items[?(@.spec.final==true)].spec.pod}",
    "{LIST.items[?(@.spec.workflowId)].spec.pod}",
    '{LIST.items[?( @.metadata.labels.lastword\\.dev/cause == "Panic" )].spec.pod}',
    "plain text",
    '{"quoted \\"text\\"\\n"}',
    "{ LIST.kind }",
]

WRONG = {
    "{.items": "column 8: expected }",
    "{}": "column 2: expected a path",
    "{items}": "column 2: expected a path",
    '{"text}': "column 8: the quotation has no end",
    "{.items[}": "column 9: expected a number",
    "{.items[0}": "column 10: expected ]",
    "{.items[?(@.spec]}": "column 17: expected ==, !=, <, <=, >, >= or )",
    "{.items[?(@.a[?(@.b)])]}": "column 14: a filter within a filter",
    "{.items[?(@.a==b)]}": "column 16: expected a path, a number, true, false or a text",
    "{range .items[*]}": "column 18: expected {end}",
    "{end}": "column 6: {end} without a {range}",
    "{range .a}" * 17: "column 171: too many ranges",
    '{"\\x"}': "column 4: not an escape",
    "{.items[99999999999]}": "column 9: expected the number of an element",
}

ABSENT = {
    "{.items[99]}": "an array of 4 elements has no [99:100]",
    "{.items[0].spec[0]}": "object is no array",
    "{.items[3:1]}": "has no [3:1]",
    "{.items[?(@.metadata.*=='x')]}": "a filter compares one value",
}


@pytest.fixture
def records():
    return load_records()


def exits(cluster, template, **more):
    return cluster.lastword("exits", "-A", "-o", f"jsonpath={template}", **more)


@pytest.mark.parametrize("template", TEMPLATES)
def test_as_kubectl(cluster, tmp_path, records, template):
    cluster.hold(records)
    ours = exits(cluster, template.replace("LIST", "")).stdout.decode()
    listed = json.loads(cluster.lastword("exits", "-A", "-o", "json").stdout)
    (tmp_path / "object.json").write_text(json.dumps({
        "apiVersion": "example.dev/v1", "kind": "Holder", "metadata": {"name": "holder"},
        "list": listed}))
    theirs = subprocess.run(
        [tools.tool("kubectl"), "label", "--local", "-f", tmp_path / "object.json", "a=b", "-o",
         "jsonpath=" + template.replace("LIST", ".list")],
        check=True, capture_output=True, text=True, timeout=60).stdout
    assert ours == theirs


@pytest.mark.parametrize("template", WRONG)
def test_a_template_with_a_mistake(cluster, template):
    done = exits(cluster, template, status=2)
    assert f"lastword exits: -o jsonpath: {WRONG[template]}" in done.stderr.decode()
    assert cluster.calls() == []  # nobody was asked for records that cannot be printed


@pytest.mark.parametrize("template", ABSENT)
def test_what_is_not_there(cluster, records, template):
    cluster.hold(records[:4])
    done = exits(cluster, template, status=1)
    assert ABSENT[template] in done.stderr.decode() and done.stdout == b""


def test_filters_apply(cluster, records):
    cluster.hold(records)
    chosen = [r["spec"]["pod"] for r in records if r["spec"]["errorType"] == "Panic"]
    done = cluster.lastword("exits", "-A", "--cause", "Panic", "-o", "jsonpath={.items[*].spec.pod}")
    assert sorted(done.stdout.decode().split()) == sorted(chosen) != []


def test_nothing_of_a_record_steers_the_terminal(cluster, records):
    records[0]["spec"]["summary"] = "\x1b]0;title\x07 and \u202e back"
    records[0]["spec"]["context"] = {"key": "\x1b[2J"}
    cluster.hold(records[:1])
    text = exits(cluster, "{.items[*].spec.summary}{.items[*].spec.context}").stdout.decode()
    assert "title" in text and harmful(text) == []
