"""The include rules find what breaks them, and nothing else."""
import sys

import pytest
from webhook_process import ROOT

sys.path.insert(0, str(ROOT / "tests"))
import layers  # noqa: E402


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Writes files that include others, and returns what layers.py says of them."""
    monkeypatch.setattr(layers, "ROOT", tmp_path)

    def write(files):
        paths = []
        for name, included in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"#include {one}\n" for one in included))
            paths.append(path)
        problems = []
        for path in paths:
            layers.check(path, problems)
        return problems, layers.circles(paths)
    return write


@pytest.mark.parametrize("name,included", [
    ("lib/base/a.c", '"lib/diagnosis/b.h"'),
    ("lib/diagnosis/a.h", '"lib/document/json.h"'),
    ("lib/kube/a.c", '"observer/observer.h"'),
    ("watchdog/a.c", '"lib/http/url.h"'),
    ("watchdog/a.c", '"lib/kube/names.h"'),
    ("webhook/server.c", '"certs/manager.h"'),
    ("observer/base/a.c", '"observer/watch/watcher.h"'),
    ("observer/watch/a.c", '"webhook/policy.h"'),
    ("observer/audit/injection_policy.c", '"webhook/mutate.h"'),
    ("cli/a.c", '"webhook/server.h"'),
    ("cli/a.c", '"observer/receiver/sending.h"'),
    ("certs/a.c", '"manager.h"'),
    ("lib/document/yaml_scalar.c", "<yaml.h>"),
    ("lib/http/client.h", "<curl/curl.h>"),
    ("observer/a.c", "<cjson/cJSON.h>"),
    ("webhook/a.c", "<openssl/x509.h>"),
])
def test_what_breaks_a_rule(tree, name, included):
    problems, circles = tree({name: [included]})
    assert len(problems) == 1 and problems[0].startswith(f"{name}:1: ") and circles == []


@pytest.mark.parametrize("name,included", [
    ("lib/base/a.c", '"lib/base/error.h"'),
    ("watchdog/a.c", '"lib/diagnosis/redact.h"'),
    ("webhook/main.c", '"certs/manager.h"'),
    ("observer/watch/a.c", '"observer/base/event_loop.h"'),
    ("observer/audit/injection_policy.c", '"webhook/select.h"'),
    ("cli/a.c", '"webhook/policy.h"'),
    ("certs/x509.c", "<openssl/x509.h>"),
    ("lib/registry/digest.c", "<openssl/evp.h>"),
    ("watchdog/a.c", "<stdio.h>"),
])
def test_what_keeps_them(tree, name, included):
    assert tree({name: [included]}) == ([], [])


def test_circles_of_modules(tree):
    """A .c and its .h are one; a circle may be long."""
    _, circles = tree({"lib/base/a.h": ['"lib/base/b.h"'], "lib/base/b.h": ['"lib/base/c.h"'],
                       "lib/base/c.h": [], "lib/base/c.c": ['"lib/base/c.h"', '"lib/base/a.h"']})
    assert circles == ["lib/base/a -> lib/base/b -> lib/base/c -> lib/base/a"]
    _, circles = tree({"lib/base/a.h": ['"lib/base/b.h"'], "lib/base/b.h": ['"lib/base/c.h"'],
                       "lib/base/c.h": [], "lib/base/c.c": ['"lib/base/c.h"']})
    assert circles == []
