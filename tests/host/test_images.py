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
MOST = 30_000_000  # bytes of the servers' image
IMAGES = ("servers", "watchdog")


def files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}


def size(folder):
    return sum(p.lstat().st_size for p in folder.rglob("*") if not p.is_dir())


def test_sizes():
    assert size(ROOTFS / "servers") <= MOST
    assert files(ROOTFS / "watchdog") == {"shim"}
    assert size(ROOTFS / "watchdog") <= 200 << 10


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
        buildah("bud", "--quiet", "--pull-never", "--layers", "--network", "host", "--target", stage,
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
