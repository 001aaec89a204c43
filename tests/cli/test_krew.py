"""The release of the plugin for krew: its archives, and its manifest by the rules that krew checks
(krew.sigs.k8s.io, "Writing Krew plugin manifests")."""
import hashlib
import os
import re
import subprocess
import tarfile

import pytest
import yaml

from record_cluster import BUILD, ROOT

SECONDS = 60
URL = "https://example.com/releases/v1.2.3"


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A release of a program that needs a library and looks for it where the plugin does."""
    folder = tmp_path_factory.mktemp("krew")
    source, program = folder / "program.c", folder / "program"
    source.write_text('#include <stdio.h>\n#include <yaml.h>\n'
                      'int main(void) { puts(yaml_get_version_string()); return 0; }\n')
    subprocess.run(["gcc", source, "-o", program, "-Wl,-rpath,$ORIGIN/lib", "-lyaml"], check=True)

    def make(name):
        subprocess.run([ROOT / "manifests/krew/archive.py", folder / name, "1.2.3", URL,
                        f"amd64={program}"], check=True, timeout=SECONDS)
        return folder / name
    return make


def platforms(folder):
    return yaml.safe_load((folder / "lastword.yaml").read_text())["spec"]["platforms"]


def test_the_manifest_keeps_krews_rules(release):
    folder = release("rules")
    plugin = yaml.safe_load((folder / "lastword.yaml").read_text())
    assert set(plugin) == {"apiVersion", "kind", "metadata", "spec"}
    assert plugin["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"
    assert plugin["kind"] == "Plugin"
    assert plugin["metadata"] == {"name": "lastword"}  # the file's name, and kubectl's command
    spec = plugin["spec"]
    assert set(spec) == {"version", "homepage", "shortDescription", "description", "caveats",
                         "platforms"}
    assert re.fullmatch(r"v\d+\.\d+\.\d+", spec["version"])  # semantic, with a v
    assert spec["homepage"].startswith("https://")
    assert 0 < len(spec["shortDescription"]) <= 50 and "kubectl" not in spec["shortDescription"]
    assert "\n" not in spec["shortDescription"] and not spec["shortDescription"].endswith(".")
    assert max(map(len, spec["description"].splitlines())) <= 80
    assert len(spec["platforms"]) == 1
    for platform in spec["platforms"]:
        assert set(platform) == {"selector", "uri", "sha256", "bin"}
        labels = platform["selector"]["matchLabels"]
        assert set(labels) == {"os", "arch"} and labels["os"] == "linux"
        assert re.fullmatch(r"[a-f0-9]{64}", platform["sha256"])
        assert platform["uri"].startswith(f"{URL}/") and platform["uri"].endswith(".tar.gz")
        assert labels["arch"] in platform["uri"] and spec["version"] in platform["uri"]


def test_the_checksum_is_the_archives(release):
    folder = release("sums")
    for platform in platforms(folder):
        data = (folder / platform["uri"].rsplit("/", 1)[1]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == platform["sha256"]


def test_the_same_input_makes_the_same_bytes(release):
    first, second = release("first"), release("second")
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {
        path.name: path.read_bytes() for path in second.iterdir()}


def test_the_program_runs_with_its_own_libraries(release, tmp_path):
    """Unpacked and linked to as krew does it."""
    folder = release("run")
    archive, = folder.glob("*.tar.gz")
    store = tmp_path / "store"
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        tar.extractall(store)
    assert names == ["LICENSE", "kubectl-lastword", "lib/libyaml-0.so.2", "licenses/libcurl",
                     "licenses/libyaml-0-2"]
    assert (store / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    plugin = tmp_path / "kubectl-lastword"
    plugin.symlink_to(store / platforms(folder)[0]["bin"])
    done = subprocess.run([plugin], capture_output=True, text=True, env={}, timeout=SECONDS)
    assert done.returncode == 0 and re.match(r"\d+\.\d+", done.stdout)
    traced = subprocess.run([plugin], capture_output=True, text=True, timeout=SECONDS,
                            env={"LD_TRACE_LOADED_OBJECTS": "1"}).stdout
    loaded = re.search(r"libyaml\S* => (\S+)", traced)[1]
    assert os.path.realpath(loaded) == str(store / "lib/libyaml-0.so.2")


def test_a_library_that_is_missing_is_named(release, tmp_path):
    done = subprocess.run([ROOT / "manifests/krew/archive.py", tmp_path, "1.2.3", URL,
                           f"amd64={BUILD / 'bin/lastword'}@{tmp_path}"], capture_output=True,
                          text=True, timeout=SECONDS)
    assert done.returncode == 1 and "for amd64: expected it in" in done.stderr
