"""One table has both names of every field of a record (lib/kube/agent_exit.c). The CRD and its
documentation are the same (tests/unit compares the CRD with the table); so are what the watchdog
prints, what the observer reads of that, and the watchdog's documentation."""
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CRD = yaml.safe_load((ROOT / "manifests/base/crd.yaml").read_text())
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]["properties"]
DOCUMENT = (ROOT / "docs/agent-exit.md").read_text()
HEADER = (ROOT / "lib/kube/agent_exit.h").read_text()


def kind(schema):
    if schema.get("format") == "date-time":
        return "time"
    if schema["type"] == "string":
        return f"text, {schema['maxLength']}"
    if schema["type"] == "array":
        return f"list of {schema['maxItems']} texts, {schema['items']['maxLength']}"
    return "map of texts" if schema["type"] == "object" else schema["type"]


def rows(properties, required=(), prefix=""):
    for name, schema in properties.items():
        if schema["type"] == "array" and schema["items"]["type"] == "object":
            yield f"| `{name}` | list, {schema['maxItems']} | {schema['description']} |"
            items = schema["items"]
            yield from rows(items["properties"], items["required"], f"{name}[].")
        else:
            must = ", required" if name in required else ""
            yield f"| `{prefix}{name}` | {kind(schema)}{must} | {schema['description']} |"


def table(title):
    section = DOCUMENT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


def test_fields_are_documented():
    assert table("Spec") == list(rows(SCHEMA["spec"]["properties"], SCHEMA["spec"]["required"]))
    assert table("Status") == list(rows(SCHEMA["status"]["properties"]))


def table_rows():
    """name: (key, origin) of each field."""
    source = (ROOT / "lib/kube/agent_exit.c").read_text()
    found = re.findall(r'FIELD\("(\w+)", "(\w+)", \w+, (\w+),', source)
    return {name: (key, origin) for name, key, origin in found}


def report_keys():
    """The keys of the watchdog's report: the table's, and those that no record has."""
    source = (ROOT / "lib/kube/agent_exit.c").read_text()
    alone = re.search(r"report_only\[\] = \{(.*?)\}", source).group(1)
    return ({key for key, origin in table_rows().values() if origin == "REPORT"}
            | set(re.findall(r'"(\w+)"', alone)))


def test_the_api_has_the_tables_names():
    assert list(table_rows()) == list(SCHEMA["spec"]["properties"])


def test_the_watchdog_prints_the_tables_keys():
    source = (ROOT / "watchdog/report.c").read_text()
    printed = re.findall(r'\b(?:json_write_(?:member\w*|key)|write_\w+)\(&?writer, "(\w+)"', source)
    assert sorted(printed) == sorted(report_keys())
    document = (ROOT / "docs/watchdog.md").read_text().split("| field | value |")[1].split("\n\n")[0]
    rows = "\n".join(line.split("|")[1] for line in document.splitlines() if "`" in line)
    assert sorted(re.findall(r"`(\w+)`", rows)) == sorted(report_keys())


def test_the_observer_reads_the_tables_keys():
    (path,) = (ROOT / "observer").glob("*/watchdog_report.c")
    source = path.read_text()
    read = re.findall(r'\((?:\*ret_)?object, "(\w+)"\)', source)
    # The rest it knows from the kubelet.
    assert report_keys() - set(read) == {"version", "source", "pod", "namespace", "node", "owner"}
    assert set(read) <= report_keys()


def test_lists_of_the_status_are_maps():
    keys = {name: schema["x-kubernetes-list-map-keys"]
            for name, schema in SCHEMA["status"]["properties"].items()
            if schema["type"] == "array" and schema["x-kubernetes-list-type"] == "map"}
    assert keys == {"conditions": ["type"], "notifications": ["receiver"]}
    # metav1.Condition
    conditions = SCHEMA["status"]["properties"]["conditions"]["items"]
    assert conditions["required"] == list(conditions["properties"]) == [
        "type", "status", "lastTransitionTime", "reason", "message"]


def test_causes_are_documented():
    source = (ROOT / "lib/diagnosis/cause.c").read_text()
    causes = re.findall(r'"(\w+)"', source.split("cause_names[CAUSE_COUNT] = {")[1].split("}")[0])
    assert len(causes) == 17
    assert sorted(re.findall(r"^\| `(\w+)`", "\n".join(table("Causes")), re.M)) == sorted(causes)


def test_details_are_documented():
    rules = (ROOT / "lib/diagnosis/rules/causes.rules").read_text()
    rows = re.findall(r'^(\S+) +(\w+) +"(.*)"$', rules, re.M)
    assert len(rows) > 20
    assert table("Details") == [f"| `{name}` | `{cause}` | {text} |" for name, cause, text in rows]


def test_labels_and_sources_are_documented():
    labels = re.findall(r'_LABEL_\w+ +"lastword\.dev/(\w+)"', HEADER)
    line = next(line for line in DOCUMENT.splitlines() if line.startswith("**Labels**"))
    assert labels and re.findall(r"`([a-z]+)`", line) == labels
    sources = re.findall(r'_SOURCE_\w+ +"(\w+)"', HEADER)
    assert sources and all(f"`{source}`" in DOCUMENT for source in sources)
    states = re.findall(r'_NOTIFICATION_\w+ +"(\w+)"', HEADER)
    state_of_one = SCHEMA["status"]["properties"]["notifications"]["items"]["properties"]["state"]
    assert states and all(state in state_of_one["description"] for state in states)


def test_names_are_those_of_the_code():
    names = dict(re.findall(r'#define AGENT_EXIT_(\w+) +"([^"]+)"', HEADER))
    assert CRD["metadata"]["name"] == f"{names['PLURAL']}.{names['GROUP']}"
    assert CRD["spec"]["group"] == names["GROUP"]
    assert names["API_VERSION"] == f"{names['GROUP']}/{VERSION['name']}"
    assert names["VERSION"] == VERSION["name"]
    assert CRD["spec"]["names"]["kind"] == names["KIND"]
    assert CRD["spec"]["names"]["plural"] == names["PLURAL"]
    assert CRD["spec"]["names"]["shortNames"] == ["ax"]
    assert CRD["spec"]["scope"] == "Namespaced"


def test_spec_is_immutable_and_always_there():
    top = VERSION["schema"]["openAPIV3Schema"]
    assert top["required"] == ["spec"]  # else it could be taken away and written anew
    rules = [rule["rule"] for rule in SCHEMA["spec"]["x-kubernetes-validations"]]
    assert rules == ["self == oldSelf"]
    assert "default" not in str(SCHEMA["spec"])  # a default would change an old spec
    assert VERSION["subresources"] == {"status": {}}


def test_columns_are_fields():
    columns = VERSION["additionalPrinterColumns"]
    assert [c["name"] for c in columns if not c.get("priority")] == [
        "Pod", "Container", "Exit", "Cause", "Silent", "Summary", "Age"]
    for column in columns:
        path = column["jsonPath"].lstrip(".").split(".")
        if column["name"] == "Silent":
            assert column["jsonPath"] == '.status.conditions[?(@.type=="Silent")].status'
            assert column["type"] == "string"
            continue
        if path[0] == "metadata":
            assert column == {"name": "Age", "type": "date",
                              "jsonPath": ".metadata.creationTimestamp"}
            continue
        field = SCHEMA[path[0]]["properties"][path[1]]
        is_time = field.get("format") == "date-time"
        assert column["type"] == ("date" if is_time else field["type"]), column


def test_view_role_only_reads():
    role = yaml.safe_load((ROOT / "manifests/base/view-role.yaml").read_text())
    assert role["kind"] == "ClusterRole"
    assert role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert role["rules"] == [{"apiGroups": [CRD["spec"]["group"]],
                              "resources": [CRD["spec"]["names"]["plural"]],
                              "verbs": ["get", "list", "watch"]}]
