#!/usr/bin/python3
"""Runs a Kubernetes cluster of one node on this machine, for tests and for exploring (root).

cluster.py build             builds what the other commands need, once: Kubernetes from Debian's source package
cluster.py up                starts a cluster and leaves it running
cluster.py down              stops it
cluster.py enter [COMMAND]   runs a shell, or COMMAND, inside the running cluster
cluster.py run COMMAND...    starts a cluster for COMMAND, and removes it when COMMAND ends

K8S_BIN=FOLDER: programs of Kubernetes (and others, such as containerd) in this folder are used
instead of those that build-kubernetes.sh builds from Debian's source package.

The node runs in the namespaces of node.py. This program manages what is outside of them: the folder
of its state and its control groups, which it removes when the cluster ends. If this process is
killed, the kernel ends the node, and the next call removes the rest."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests/shared"))
from tools import cache  # noqa: E402
CURRENT = ROOT / "build/cluster.json"
PREFIX = "lastword-cluster-"
PYTHON = "/usr/bin/python3"
# Where Debian's programs are; the node's daemons need no other folder.
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def programs():
    """The environment in which the programs are found: those of K8S_BIN, else those built from Debian's
    source (now, if they are missing); then Debian's. What no release of Kubernetes has, such as the
    pause program, comes from Debian's source in any case."""
    source = cache() / "kubernetes-1.20.2"
    own = os.environ.get("K8S_BIN")
    if own and not (pathlib.Path(own) / "kube-apiserver").exists():
        sys.exit(f"K8S_BIN={own}: expected kube-apiserver, kube-controller-manager and kubelet in it")
    made = source / ("bin" if not own or (source / "bin/complete").exists() else "tools")
    if not (made / "complete").exists():
        print(f"making {made} from Debian's source package of Kubernetes, once", file=sys.stderr)
    subprocess.run([HERE / "build-kubernetes.sh", source, made.name], check=True,
                   stdin=subprocess.DEVNULL, stdout=sys.stderr)
    path = ":".join([*([own] if own else []), str(made), SYSTEM_PATH])
    check_etcd(path)
    return {**os.environ, "PATH": path, "PYTHONPATH": f"{made}:{ROOT}/tests/shared",
            "PYTHONDONTWRITEBYTECODE": "1"}


def version_of(program, path):
    """(major, minor, patch) that the program itself names."""
    text = subprocess.run([shutil.which(program, path=path), "--version"], check=True, text=True,
                          capture_output=True).stdout
    return tuple(int(number) for number in re.search(r"(\d+)\.(\d+)\.(\d+)", text).groups())


def check_etcd(path):
    """An API server of 1.36 asks etcd for what only 3.5.13 and newer (and 3.4.31) answer: with an older
    one a watch without a version fails, with "Too large resource version"."""
    if version_of("kube-apiserver", path) < (1, 36):
        return
    found = version_of("etcd", path)
    if found < (3, 5, 13) and not (3, 4, 31) <= found < (3, 5):
        sys.exit(f"etcd {'.'.join(map(str, found))} is too old for this kube-apiserver: expected 3.5.13 "
                 "or newer in K8S_BIN")


# ---- Outside of the namespaces ----

def start_of(pid):
    """The process' start time, since pids are reused. None: no such process."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return None if fields[0] in "ZX" else fields[19]


def alive(state):
    try:
        pid, start = (state / "runner").read_text().split()
    except (OSError, ValueError):
        # The cluster is being started: the folder is created before the file.
        return state.exists() and time.time() - state.stat().st_mtime < 60
    return start_of(pid) == start


def cgroups(name):
    for parent in (pathlib.Path("/sys/fs/cgroup"), *pathlib.Path("/sys/fs/cgroup").glob("*/")):
        if not parent.is_symlink() and (parent / name).is_dir():
            yield parent / name


def remove_cgroups(name):
    """The processes in the groups have died or are about to: their PID namespace has ended."""
    for top in list(cgroups(name)):
        end = time.monotonic() + 60
        while top.exists():
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            if time.monotonic() > end:
                raise RuntimeError(f"{top} does not go away")
            time.sleep(0.02)


def in_use(name):
    """Whether a process is in one of the groups: the folder may be in another TMPDIR."""
    return any(file.read_text() for top in cgroups(name) for file in top.rglob("cgroup.procs"))


def remove(state):
    remove_cgroups(state.name)
    shutil.rmtree(state, ignore_errors=True)


def sweep():
    """Removes what clusters left whose process was killed."""
    where = pathlib.Path(tempfile.gettempdir())
    names = {path.name for path in where.glob(PREFIX + "*")}
    names |= {path.name for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/{PREFIX}*")}
    for name in names:
        if not alive(where / name) and not in_use(name):
            remove(where / name)


# ---- One cluster ----

def keep(command, announce=None):
    """Runs a cluster until its end, and removes what is outside of its namespaces. Returns the
    command's status."""
    environment = programs()
    sweep()
    state = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
    state.chmod(0o755)
    (state / "runner").write_text(f"{os.getpid()} {start_of(os.getpid())}")

    def stop(*_):
        raise SystemExit(130)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)
    process = None
    try:
        # --kill-child: when unshare is killed, process 1 is too, and with it all others; unshare
        # itself is killed when this process ends (PR_SET_PDEATHSIG of setpriv).
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--uts", "--ipc",
             "--pid", "--fork", "--kill-child", "--mount-proc", PYTHON, HERE / "node.py", state,
             *command],
            env=environment, stdin=None if command else subprocess.DEVNULL)
        (state / "unshare").write_text(str(process.pid))
        if announce:
            announce(state)
        return process.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if process is not None:
            process.kill()
            process.wait()
        logs = ROOT / "build/test-logs/cluster"
        shutil.rmtree(logs, ignore_errors=True)
        if (state / "logs").exists():
            shutil.copytree(state / "logs", logs)
        remove(state)


def running():
    """The state of the cluster that `up` left running, or None."""
    try:
        current = pathlib.Path(json.loads(CURRENT.read_text())["state"])
    except (OSError, ValueError, KeyError):
        return None
    return current if current.exists() and alive(current) else None


def up():
    if running():
        print("it is up; make cluster-shell enters it")
        return 0
    programs()
    CURRENT.parent.mkdir(exist_ok=True)
    log = ROOT / "build/cluster.log"
    with open(log, "wb") as output:
        runner = subprocess.Popen([PYTHON, __file__, "keep"], stdin=subprocess.DEVNULL,
                                  stdout=output, stderr=output, start_new_session=True)
    while True:
        state = running()
        if state and (state / "ready").exists():
            break
        if runner.poll() is not None:
            print(log.read_text(errors="replace"), file=sys.stderr)
            print("the cluster does not start", file=sys.stderr)
            return 1
        time.sleep(0.1)
    print(log.read_text(errors="replace"), end="")
    print("make cluster-shell: a shell in it, with kubectl; make cluster-down ends it")
    return 0


def down():
    state = running()
    if state:
        pid = int((state / "runner").read_text().split()[0])
        os.kill(pid, signal.SIGTERM)
        while start_of(pid):
            time.sleep(0.05)
    CURRENT.unlink(missing_ok=True)
    sweep()
    return 0


def enter(command):
    state = running()
    if state is None:
        print("no cluster is up: make cluster-up", file=sys.stderr)
        return 1
    unshare = (state / "unshare").read_text()
    first = pathlib.Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()[0]
    environment = {**programs(), "LASTWORD_NODE": str(state),
                   "KUBECONFIG": str(state / "pki/admin.conf")}
    return subprocess.run(
        ["nsenter", "--target", first, "--net", "--mount", "--uts", "--ipc", "--pid",
         f"--wd={os.getcwd()}", *(command or ["bash"])], env=environment).returncode


def main():
    what, *command = sys.argv[1:] or [""]
    if what == "build" and not command:
        programs()
        return 0
    if what == "up" and not command:
        return up()
    if what == "down" and not command:
        return down()
    if what == "enter":
        return enter(command)
    if what == "run" and command:
        return keep(command)
    if what == "keep" and not command:
        return keep([], lambda state: CURRENT.write_text(json.dumps({"state": str(state)})))
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
