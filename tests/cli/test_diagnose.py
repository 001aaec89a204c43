"""lastword diagnose: what the watchdog would report of a log, and which rule decided."""
import json
import re
import subprocess

import pytest

from record_cluster import BUILD, ROOT

LOG = ("loading plan\nAPI Error: 529 {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n"
       "token=abcdef123456\nTeam quota of red: 12 is used up\n")


def diagnose(*arguments, log=LOG, status=0):
    done = subprocess.run([BUILD / "bin/lastword", "diagnose", "-f", "-", *arguments], input=log,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def test_json():
    found = json.loads(diagnose("--exit", "1", "-o", "json"))
    assert found["error_type"] == "Dependency" and found["detail"] == "overloaded"
    assert all(re.fullmatch(r"llm\.rules:\d+", found[key]) for key in ("rule", "detail_rule"))
    assert "overloaded_error" in found["payload_snippet"] and found["evidence"] == "statement"
    assert found["redactions"] == 1 and "abcdef123456" not in json.dumps(found)
    # The rule is where it is said to be.
    name, line = found["rule"].split(":")
    text = (ROOT / "lib/diagnosis/rules" / name).read_text().splitlines()[int(line) - 1]
    assert '"overloaded_error"' in text


def test_text_has_the_same():
    text = diagnose("--exit", "3")
    assert re.search(r"^Cause: +Dependency$", text, re.M)
    assert re.search(r"^Detail: +overloaded$", text, re.M)
    assert re.search(r"^Statement by: *llm\.rules:\d+$", text, re.M)
    assert "abcdef123456" not in text


def test_rules_of_ones_own(tmp_path):
    rule = 'start 95 quota from "team quota of *: #"'
    found = json.loads(diagnose("--rule", rule, "-o", "json"))
    assert (found["rule"], found["statement"]) == ("--rule 1", "Team quota of red: 12 is used up")
    config = tmp_path / "config.yaml"
    shipped = (ROOT / "manifests/base/config.yaml").read_text()
    config.write_text(f"{shipped}\ndiagnosis: {{rules: ['{rule}']}}\n")
    assert json.loads(diagnose("-c", str(config), "-o", "json")) == found
    assert "expected PLACE WEIGHT" in diagnose("--rule", "any 80", status=2)


@pytest.mark.parametrize("arguments, cause", [
    (("--exit", "137"), "Killed"), (("--exit", "137", "--oom-kills", "1"), "OOMKilled"),
    (("--signal", "11"), "Segfault"), (("--exit", "0"), "Completed")])
def test_how_it_ended(arguments, cause):
    assert json.loads(diagnose(*arguments, "-o", "json"))["error_type"] == cause


def test_what_was_cut_is_dropped():
    log = "rest-of-a-secret\nerror: no plan\n"
    assert json.loads(diagnose("--cut", "-o", "json", log=log))["log"] == "error: no plan\n"


def test_help_and_documentation_have_the_same_flags():
    usage = subprocess.run([BUILD / "bin/lastword", "diagnose", "--help"], capture_output=True,
                           text=True, check=True).stdout
    assert max(map(len, usage.splitlines())) <= 100
    document = (ROOT / "docs/diagnosis.md").read_text()
    used = set(re.findall(r"lastword diagnose (.*)", document)[0].split())
    assert all(flag in usage for flag in used if flag.startswith("-") and len(flag) > 1)
