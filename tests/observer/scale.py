"""Many pods ending at once: bench/api_server.c with a lastword-observer that watches it."""
import json
import os
import pathlib
import re
import subprocess

from certificate import Certificate
from waiting import HANG

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("LASTWORD_BUILD", ROOT / "build"))


def peak_memory(pid):
    """Bytes: the most that the process had in memory so far."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_observer(folder, name, port):
    with open(folder / f"{name}.log", "wb") as log:
        return subprocess.Popen(
            [BUILD / "bin/lastword-observer", "--service-account-dir", folder, "--identity", name,
             "--metrics", "127.0.0.1:0", "--start-timeout-waiting", "1h"], stderr=log,
            env={**os.environ,  # what was freed does not count as memory in use
                 "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=2",
                 "KUBERNETES_SERVICE_HOST": "localhost",
                 "KUBERNETES_SERVICE_PORT": str(port)})


def run(folder, pods, terminations, rate, drop=0, replicas=1, seconds=4 * HANG, large=0,
        many_args=0, unwrapped=0, slow=1):
    """The figures of the server, with those of the observers. seconds: a bound on hanging."""
    certificate = Certificate()
    for name, text in (("tls.crt", certificate.chain), ("tls.key", certificate.key),
                       ("ca.crt", certificate.chain), ("token", "token")):
        (folder / name).write_text(text)
    drops = ["--drop", str(drop)] if drop else []
    server = subprocess.Popen(
        [BUILD / "bench/api_server", "--cert", folder / "tls.crt", "--key", folder / "tls.key",
         "--pods", str(pods), "--terminations", str(terminations), "--rate", str(rate), "--watches",
         str(replicas), "--large", str(large), "--many-args", str(many_args), "--unwrapped",
         str(unwrapped), "--slow", str(slow), *drops], stdout=subprocess.PIPE, text=True)
    observers = {}
    try:
        port = json.loads(server.stdout.readline())["port"]
        for number in range(replicas):
            name = f"observer-{number}"
            observers[name] = start_observer(folder, name, port)
        figures = json.loads(server.communicate(timeout=seconds)[0])
        figures["observers"] = [
            {"leader": "this replica is the leader" in (folder / f"{name}.log").read_text(),
             "peak_memory": peak_memory(observer.pid),
             "processor_seconds": processor_seconds(observer.pid)}
            for name, observer in observers.items()]
        return figures
    finally:
        server.kill()
        server.wait()
        for observer in observers.values():
            observer.terminate()
        for name, observer in observers.items():
            status = observer.wait(timeout=HANG)
            assert status == 0, (folder / f"{name}.log").read_text()
