"""helm and a current kubectl, which `make deps` puts into the cache (tests/tools.sh)."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def cache():
    """Where what is fetched or built once is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(os.environ.get("LASTWORD_CACHE") or pathlib.Path(base) / "lastword")


def tool(name):
    return cache() / "tools" / name


def kustomize(folder):
    """What `kubectl apply -k` applies, as text. It needs no cluster."""
    return run("kubectl", "kustomize", str(folder))


def run(name, *arguments, **options):
    """The program's standard output."""
    done = subprocess.run([tool(name), *arguments], capture_output=True, text=True, timeout=120,
                          **options)
    assert done.returncode == 0, f"{name} {arguments}: {done.stderr}"
    return done.stdout
