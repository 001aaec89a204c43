"""OCI images without an engine: a root folder becomes one layer, an archive for `ctr images import`.
What a container of it runs as, and runs, is read from the Dockerfile's stage of that name."""
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import shlex
import tarfile

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def stage_config(dockerfile, stage):
    """USER, ENV, LABEL, ENTRYPOINT and CMD of a stage, as an image's config."""
    text = pathlib.Path(dockerfile).read_text()
    match = re.search(rf"^FROM scratch AS {stage}$(.*?)(?=^FROM |\Z)", text, re.M | re.S)
    assert match, f"{dockerfile}: expected a stage FROM scratch AS {stage}"
    config = {}
    for line in match.group(1).splitlines():
        word, _, rest = line.partition(" ")
        if word == "USER":
            config["User"] = rest
        elif word == "ENV":
            config.setdefault("Env", []).extend(shlex.split(rest))
        elif word == "LABEL":
            config.setdefault("Labels", {}).update(
                one.split("=", 1) for one in shlex.split(rest))
        elif word in ("ENTRYPOINT", "CMD"):
            config[word.capitalize()] = json.loads(rest)
    return config


def layer(root):
    """One tar of the folder: sorted, owned by root, without times."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(pathlib.Path(root).rglob("*")):
            entry = tar.gettarinfo(path, str(path.relative_to(root)))
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = "root"
            if entry.isreg():
                with open(path, "rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
    return stream.getvalue()


def write_archive(path, name, root, config):
    """An OCI layout as a tar, for one image with its full name."""
    blobs = {}

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    content = layer(root)
    layer_blob = blob(content, "application/vnd.oci.image.layer.v1.tar")
    config_blob = blob(json.dumps({
        "architecture": ARCHITECTURE, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer_blob["digest"]]}}).encode(),
        "application/vnd.oci.image.config.v1+json")
    manifest = blob(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config_blob, "layers": [layer_blob]}).encode(),
        "application/vnd.oci.image.manifest.v1+json")
    manifest["annotations"] = {"io.containerd.image.name": name,
                               "org.opencontainers.image.ref.name": name}
    manifest["platform"] = {"architecture": ARCHITECTURE, "os": "linux"}
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
             "index.json": json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode(),
             **{f"blobs/sha256/{digest}": data for digest, data in blobs.items()}}
    with tarfile.open(path, "w") as tar:
        for file_name, data in files.items():
            entry = tarfile.TarInfo(file_name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def make_root(root, files, links=(), folders=()):
    """A root folder from FILES {path: source}, LINKS {path: target} and FOLDERS (mode 1777)."""
    root = pathlib.Path(root)
    for path, source in dict(files).items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source if isinstance(source, bytes) else
                           pathlib.Path(source).read_bytes())
        target.chmod(0o755)
    for path, to in dict(links).items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(to, target)
    for path in folders:
        (root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        (root / path.lstrip("/")).chmod(0o1777)
