"""Many pods ending at once: bench/api_server.c with a lastword-observer that watches it."""
import json
import os
import pathlib
import re
import subprocess

from api_server import PATIENCE, make_certificate

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("LASTWORD_BUILD", ROOT / "build"))


def peak_memory(pid):
    """Bytes: the most that the process had in memory so far."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(folder, pods, ends, rate, drop=0, seconds=PATIENCE):
    """The figures of the server, with the observer's. seconds: a bound on hanging."""
    certificate, key = make_certificate()
    (folder / "tls.crt").write_text(certificate)
    (folder / "tls.key").write_text(key)
    (folder / "ca.crt").write_text(certificate)
    (folder / "token").write_text("token")
    drops = ["--drop", str(drop)] if drop else []
    server = subprocess.Popen(
        [BUILD / "bench/api_server", "--cert", folder / "tls.crt", "--key", folder / "tls.key",
         "--pods", str(pods), "--ends", str(ends), "--rate", str(rate), *drops],
        stdout=subprocess.PIPE, text=True)
    observer = None
    try:
        port = json.loads(server.stdout.readline())["port"]
        with open(folder / "observer.log", "wb") as log:
            observer = subprocess.Popen(
                [BUILD / "bin/lastword-observer", "--account", folder, "--metrics",
                 "127.0.0.1:0", "--start-waiting", "1h"], stderr=log,
                env={**os.environ, "KUBERNETES_SERVICE_HOST": "localhost",
                     "KUBERNETES_SERVICE_PORT": str(port)})
        figures = json.loads(server.communicate(timeout=seconds)[0])
        figures["peak_memory"] = peak_memory(observer.pid)
        figures["processor_seconds"] = processor_seconds(observer.pid)
        return figures
    finally:
        server.kill()
        server.wait()
        if observer is not None:
            observer.terminate()
            figures_status = observer.wait(timeout=PATIENCE)
            assert figures_status == 0, (folder / "observer.log").read_text()
