"""The images: what `make rootfs` makes, and that the Dockerfile makes the same, with buildah on a
Debian that was bootstrapped here (no registry, no engine)."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import cluster
import oci
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ROOTFS = ROOT / "build/rootfs"
BASE = "docker.io/library/debian:bookworm-slim"
MOST = 20_000_000  # bytes of the servers' image
IMAGES = ("servers", "watchdog")
ABOUT = ("etc/os-release", "usr/share/doc/", "var/lib/dpkg/status.d/")  # the image itself


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}


def size(folder):
    return sum(p.lstat().st_size for p in folder.rglob("*") if not p.is_dir())


def test_sizes():
    assert size(ROOTFS / "servers") <= MOST
    assert {name for name in files(ROOTFS / "watchdog") if not name.startswith(ABOUT)} == {"shim"}
    assert (ROOTFS / "watchdog/shim").stat().st_size <= 200 << 10


# ---- What the images say of themselves ----

def packages(root):
    """{name: fields} of the Debian packages in an image, as scanners read them."""
    found = {}
    for path in (root / "var/lib/dpkg/status.d").iterdir():
        fields = dict(line.split(": ", 1) for line in path.read_text().splitlines())
        assert fields["Package"] == path.name and fields["Version"] and fields["Architecture"]
        found[path.name] = fields
    return found


@pytest.mark.parametrize("stage", IMAGES)
def test_licences(stage):
    """Of lastword and of every package that something in the image is from."""
    root = ROOTFS / stage
    about = root / "usr/share/doc"
    assert (about / "lastword/copyright").read_bytes() == (ROOT / "LICENSE").read_bytes()
    for name in packages(root):
        assert (about / name / "copyright").stat().st_size > 0, name
    assert "ID=debian" in (root / "etc/os-release").read_text().splitlines()


def test_few_libraries():
    """None of what libcurl could do besides HTTP."""
    names = {path.name.split(".so")[0] for path in (ROOTFS / "servers").rglob("*.so*") if path.is_file()}
    assert len(names) <= 16, names
    assert not [name for name in names if re.search("curl|ldap|rtmp|ssh|krb5|gss|sasl|nghttp|psl", name)]


def test_every_library_has_its_package():
    found = packages(ROOTFS / "servers")
    libraries = [path for path in (ROOTFS / "servers").rglob("*.so*") if path.is_file()]
    assert len(libraries) > 10
    for path in libraries:
        path = "/" + str(path.relative_to(ROOTFS / "servers"))
        real = os.path.realpath(path)
        done = subprocess.run(["dpkg-query", "-S", real, real.removeprefix("/usr")],
                              capture_output=True, text=True)
        owners = {line.split(":")[0] for line in done.stdout.splitlines()}
        assert owners and owners <= {*found}, path
    assert "musl-dev" in packages(ROOTFS / "watchdog")  # linked statically


@pytest.mark.parametrize("stage", IMAGES)
def test_sbom(stage):
    """SPDX 2.3: the document, lastword, and every package, each related."""
    root = ROOTFS / stage
    sbom = json.loads((root / "usr/share/doc/lastword/sbom.spdx.json").read_text())
    assert (sbom["spdxVersion"], sbom["dataLicense"]) == ("SPDX-2.3", "CC0-1.0")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", sbom["creationInfo"]["created"])
    found = packages(root)
    named = {one["name"]: one for one in sbom["packages"]}
    assert {*named} == {"lastword", *found} and len(named) == len(sbom["packages"])
    for name, fields in found.items():
        assert named[name]["versionInfo"] == fields["Version"]
        purl = named[name]["externalRefs"][0]["referenceLocator"]
        assert re.fullmatch(rf"pkg:deb/debian/{re.escape(name)}@[^+:~]+\?arch=\w+&distro=bookworm", purl)
    identifiers = [one["SPDXID"] for one in sbom["packages"]]
    assert len({*identifiers}) == len(identifiers)
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", one) for one in identifiers)
    related = {(one["relationshipType"], one["relatedSpdxElement"]) for one in sbom["relationships"]}
    assert related == {("DESCRIBES", "SPDXRef-lastword")} | {
        ("DEPENDS_ON", one) for one in identifiers if one != "SPDXRef-lastword"}


@pytest.mark.parametrize("stage", IMAGES)
def test_labels(stage):
    labels = oci.stage_config(ROOT / "Dockerfile", stage)["Labels"]
    version = re.search(r"^VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M).group(1)
    assert labels["org.opencontainers.image.version"] == version
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    for name in ("title", "description", "source", "documentation"):
        assert labels[f"org.opencontainers.image.{name}"]


def test_the_base_is_named_by_its_digest():
    base = re.search(r"^ARG DEBIAN=(\S+)$", (ROOT / "Dockerfile").read_text(), re.M).group(1)
    assert re.fullmatch(r"debian:bookworm-slim@sha256:[0-9a-f]{64}", base)


def test_reproducible(tmp_path):
    """Another copy of the tree, built in another folder without a cache, gives the same bytes."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=lambda folder, names: [
        name for name in names if name in (".git", "build", "__pycache__")])
    subprocess.run(["make", "-s", "-j2", "BUILD=elsewhere/deep", "rootfs"], cwd=tree, check=True,
                   stdout=subprocess.DEVNULL, timeout=900,
                   env={**os.environ, "CCACHE_DISABLE": "1"})
    for stage in IMAGES:
        other = tree / "elsewhere/deep/rootfs" / stage
        assert files(other) == files(ROOTFS / stage)
        for name in files(other):
            assert (other / name).read_bytes() == (ROOTFS / stage / name).read_bytes(), name
            assert (other / name).stat().st_mode == (ROOTFS / stage / name).stat().st_mode, name


def test_servers_need_nothing_else():
    """Every program finds its libraries in there, as a user without a home or a shell."""
    root = ROOTFS / "servers"
    programs = sorted((root / "usr/bin").iterdir())
    assert {"lastword", "lastword-webhook"} <= {p.name for p in programs}
    for program in programs:
        done = subprocess.run(
            [shutil.which("chroot"), "--userspec=65532:65532", root, f"/usr/bin/{program.name}", "--version"],
            capture_output=True, text=True, env={}, timeout=60)
        assert done.returncode == 0 and program.name in done.stdout, (program, done)
    assert not {"sh", "bash", "busybox"} & {pathlib.Path(f).name for f in files(root)}


@pytest.mark.parametrize("stage", IMAGES)
def test_runs_as_nobody_of_the_node(stage):
    assert oci.stage_config(ROOT / "Dockerfile", stage)["User"] == "65532:65532"


# ---- The Dockerfile ----

def sources():
    """Where this machine's packages come from, as lines of a sources.list."""
    text = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)",
         "Origin: Debian", "Created-By: Packages"], check=True, capture_output=True, text=True).stdout
    return sorted(set(text.splitlines()))


def bootstrapped():
    """A minimal Debian as a tar, kept in the cache."""
    tar = cluster.cache() / "debian-bookworm.tar"
    if tar.exists():
        return tar
    tar.parent.mkdir(parents=True, exist_ok=True)
    root = tar.with_suffix(f".{os.getpid()}")
    mirror = next(line.split()[0] for line in sources() if line.split()[1] == "bookworm")
    try:
        # In namespaces of its own: it mounts, and may be killed.
        subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                        "debootstrap", "--variant=minbase", "bookworm", root, mirror],
                       check=True, stdout=subprocess.DEVNULL, timeout=900)
        (root / "etc/apt/sources.list").write_text("".join(f"deb {s}\n" for s in sources()))
        shutil.rmtree(root / "var/cache/apt/archives")
        part = tar.with_suffix(f".tar.{os.getpid()}")
        subprocess.run(["tar", "-C", root, "-cf", part, "--exclude=./dev/*", "--exclude=./proc/*",
                        "--exclude=./sys/*", "."], check=True)
        part.rename(tar)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return tar


class Buildah:
    """Its storage in a folder of the test; its mounts and processes in namespaces of each call."""

    def __init__(self, folder):
        self.storage = ["--root", f"{folder}/storage", "--runroot", f"{folder}/run",
                        "--storage-driver", "vfs"]
        self.environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(folder)}

    def __call__(self, *arguments):
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "buildah",
             *self.storage, *arguments], check=True, cwd=ROOT, env=self.environment,
            stdout=subprocess.PIPE, text=True, timeout=1500, stdin=subprocess.DEVNULL).stdout.strip()

    def unpack(self, image, folder):
        """An image's one layer."""
        layout = folder / "layout"
        self("push", "--quiet", "--disable-compression", image, f"oci:{layout}:image")
        blobs = layout / "blobs/sha256"
        digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
        manifest = json.loads((blobs / digest.split(":")[1]).read_text())
        config = json.loads((blobs / manifest["config"]["digest"].split(":")[1]).read_text())
        root = folder / "root"
        root.mkdir()
        for layer in manifest["layers"]:
            subprocess.run(["tar", "-C", root, "-xf", blobs / layer["digest"].split(":")[1]],
                           check=True)
        return root, config["config"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """{stage: (root folder, config)} of both images, built from the Dockerfile."""
    folder = tmp_path_factory.mktemp("buildah")
    buildah = Buildah(folder)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(bootstrapped()), "/")
    buildah("commit", "--quiet", "--rm", container, BASE)
    result = {}
    for stage in IMAGES:
        buildah("bud", "--quiet", "--pull-never", "--build-arg", f"DEBIAN={BASE}", "--layers", "--network", "host", "--target", stage,
                "-t", f"localhost/{stage}", ".")
        (folder / stage).mkdir()
        result[stage] = buildah.unpack(f"localhost/{stage}", folder / stage)
    yield result
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("stage", IMAGES)
def test_dockerfile_makes_the_same_image(built, stage):
    root, config = built[stage]
    assert files(root) == files(ROOTFS / stage)
    expected = oci.stage_config(ROOT / "Dockerfile", stage)
    config["Labels"].pop("io.buildah.version", None)
    assert {key: config.get(key) for key in expected} == expected
    assert size(root) <= MOST


def test_dockerfile_makes_programs_that_run(built):
    root, _ = built["servers"]
    config = re.search(r"^VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.M).group(1)
    done = subprocess.run([shutil.which("chroot"), "--userspec=65532:65532", root, "/usr/bin/lastword", "check",
                           "-c", "/etc/lastword/config.yaml"], capture_output=True, text=True, env={})
    assert done.returncode == 0, done
    done = subprocess.run([built["watchdog"][0] / "shim", "--version"], capture_output=True, text=True)
    assert done.stdout == f"lastword-watchdog {config}\n"
