#!/usr/bin/python3
"""Makes what a release of the kubectl plugin for krew consists of: an archive for each architecture, and
the manifest that names them with their checksums.

archive.py FOLDER VERSION URL ARCHITECTURE=PROGRAM[@SYSROOT]…

FOLDER gets lastword.yaml and kubectl-lastword-vVERSION-linux-ARCHITECTURE.tar.gz, which will be at URL.
An archive has the program, the libraries that it needs but those of the C library, the project's licence
and the libraries' licence texts, that of the static libcurl too. PROGRAM must look for libraries in $ORIGIN/lib. The same input makes the
same bytes.
"""
import gzip
import hashlib
import io
import pathlib
import re
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
# Every machine has them, in the version that belongs to its loader.
C_LIBRARY = re.compile(r"(ld-linux.*|lib(c|m|pthread|dl|rt|resolv)\.so\.\d+)$")
PLATFORM = """\
    - selector:
        matchLabels:
          os: linux
          arch: {architecture}
      uri: {uri}
      sha256: {sum}
      bin: kubectl-lastword
"""


def needed(path):
    text = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
    return [name for name in re.findall(r"\(NEEDED\).*\[(.*)\]", text) if not C_LIBRARY.match(name)]


def find_library(name, architecture, sysroot):
    for folder in ("lib", "usr/lib"):
        path = sysroot / folder / TRIPLETS[architecture] / name
        if path.exists():
            return path
    sys.exit(f"archive.py: {name} for {architecture}: expected it in {sysroot}/lib or {sysroot}/usr/lib")


def libraries(program, architecture, sysroot):
    """By name, those that the program needs, and those that these need."""
    found, open_ = {}, needed(program)
    while open_:
        name = open_.pop()
        if name not in found:
            found[name] = find_library(name, architecture, sysroot)
            open_ += needed(found[name])
    return found


def licence(path, sysroot):
    """The Debian package of a library, and its licence text."""
    inside = "/" + str(path.relative_to(sysroot))
    for name in (inside, inside.removeprefix("/usr"), "/usr" + inside):
        done = subprocess.run(["dpkg", f"--admindir={sysroot}/var/lib/dpkg", "-S", name],
                              capture_output=True, text=True)
        if done.returncode == 0:
            package = done.stdout.split(":")[0]
            return package, (sysroot / "usr/share/doc" / package / "copyright").read_bytes()
    sys.exit(f"archive.py: {inside}: expected it to be of a Debian package")


def contents(program, architecture, sysroot):
    """By path in the archive: the bytes and the mode."""
    needed_libraries = libraries(program, architecture, sysroot)
    curl = sysroot / "usr/share/doc/libcurl4-openssl-dev/copyright"
    files = {"kubectl-lastword": (program.read_bytes(), 0o755),
             "LICENSE": ((ROOT / "LICENSE").read_bytes(), 0o644),
             "licenses/libcurl": (curl.read_bytes(), 0o644)}
    for name, path in needed_libraries.items():
        package, text = licence(path, sysroot)
        files[f"lib/{name}"] = (path.read_bytes(), 0o644)
        files[f"licenses/{package}"] = (text, 0o644)
    return files


def archive(files):
    """The bytes of a .tar.gz: no times, no users, sorted."""
    tar_bytes, out = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar_bytes, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (data, mode) in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), mode
            tar.addfile(member, io.BytesIO(data))
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as compressed:
        compressed.write(tar_bytes.getvalue())
    return out.getvalue()


def main():
    folder, version, url = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    folder.mkdir(parents=True, exist_ok=True)
    template = (ROOT / "manifests/krew/lastword.yaml.in").read_text()
    manifest = template.replace("@VERSION@", version)
    for argument in sys.argv[4:]:
        architecture, _, place = argument.partition("=")
        program, _, sysroot = place.partition("@")
        sysroot = pathlib.Path(sysroot or "/").resolve()
        data = archive(contents(pathlib.Path(program), architecture, sysroot))
        name = f"kubectl-lastword-v{version}-linux-{architecture}.tar.gz"
        (folder / name).write_bytes(data)
        manifest += PLATFORM.format(architecture=architecture, uri=f"{url}/{name}",
                                    sum=hashlib.sha256(data).hexdigest())
    (folder / "lastword.yaml").write_text(manifest)


main()
