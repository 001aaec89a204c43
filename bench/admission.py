#!/usr/bin/python3
"""Measures the admission path, beside the same server and nginx with a fixed response.

One run measures them in turn, several times, and prints medians; on a shared machine only the ratios
within a run mean anything. The load comes from wrk on the same machine, so client and server share its
processors. BENCH_SECONDS (default 5) is the length of one measurement, BENCH_ROUNDS (3) their number."""
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/shared"))
from certificate import Certificate  # noqa: E402
from webhook_process import Webhook  # noqa: E402

SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CONNECTIONS = 16
REVIEW = ROOT / "tests/data/reviews/002-create-pods-coderun-job.json"
LUA = """
local file = io.open("%s", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
if %s then wrk.headers["Connection"] = "close" end
done = function(summary, latency)
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.connect + summary.errors.read + summary.errors.status + summary.errors.timeout))
end
"""
NGINX = """
daemon off; worker_processes {threads}; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_requests 1000000000;
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/tls.crt; ssl_certificate_key {folder}/tls.key;
    {parts}
    location / {{ default_type application/json; return 200 "{names}"; }}
  }}
}}
"""


class Server:
    def __init__(self, name, port, pids):
        self.name, self.port, self.pids = name, port, pids
        self.figures = {key: [] for key in ("rate", "p50", "p99", "fresh", "cpu", "instructions")}
        self.errors = 0

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_kib(self):
        total = 0
        for pid in self.pids():
            for line in open(f"/proc/{pid}/status"):
                if line.startswith("VmRSS"):
                    total += int(line.split()[1])
        return total


def wrk(port, script, seconds, connections=CONNECTIONS):
    out = subprocess.run(["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "-s", script,
                          f"https://127.0.0.1:{port}/mutate"], capture_output=True, text=True,
                         check=True).stdout
    requests, micros, p50, p99, errors = map(int, re.search(
        r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", out).groups())
    return requests, requests * 1e6 / micros, p50, p99, errors


def counts_instructions():
    done = subprocess.run(["perf", "stat", "-x,", "-e", "instructions", "true"],
                          capture_output=True, text=True)
    return done.returncode == 0 and re.match(r"\d+,", done.stderr.strip().splitlines()[-1])


def start_perf(server):
    pids = ",".join(map(str, server.pids()))
    return subprocess.Popen(["perf", "stat", "-x,", "-e", "instructions", "-p", pids],
                            stderr=subprocess.PIPE, text=True)


def measure(server, scripts, perf_works):
    keep, fresh = scripts
    wrk(server.port, keep, 1)
    perf = start_perf(server) if perf_works else None
    before = server.cpu_seconds()
    requests, rate, p50, p99, errors = wrk(server.port, keep, SECONDS)
    used = server.cpu_seconds() - before
    if perf:
        perf.send_signal(signal.SIGINT)
        count = re.search(r"^(\d+),", perf.communicate()[1], re.M)
        if count:
            server.figures["instructions"].append(int(count.group(1)) / requests)
    server.errors += errors
    for key, value in (("rate", rate), ("p50", p50), ("p99", p99), ("cpu", used * 1e6 / requests)):
        server.figures[key].append(value)
    server.figures["fresh"].append(wrk(server.port, fresh, SECONDS)[1])


def children(pid):
    return [pid] + [int(p) for p in
                    open(f"/proc/{pid}/task/{pid}/children").read().split()]


def free_port():
    import socket
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def start_canned(folder, response, threads):
    (folder / "answer").write_text(response)
    process = subprocess.Popen(
        [ROOT / "build/bench/canned", "127.0.0.1:0", folder / "tls.crt", folder / "tls.key",
         folder / "answer", str(threads)], stdout=subprocess.PIPE, text=True)
    port = int(process.stdout.readline().strip().rsplit(":", 1)[1])
    return process, Server("(a) canned", port, lambda: [process.pid])


def start_nginx(folder, response, threads):
    port = free_port()
    config = folder / "nginx.conf"
    # A parameter of nginx has at most 4096 bytes: the answer in parts.
    chunks = [response[i:i + 3000] for i in range(0, len(response), 3000)]
    parts = " ".join(f"set $p{i} '{c}';" for i, c in enumerate(chunks))
    names = "".join(f"$p{i}" for i in range(len(chunks)))
    config.write_text(NGINX.format(folder=folder, port=port, threads=threads, parts=parts,
                                   names=names))
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", config])
    time.sleep(0.5)
    return process, Server("(b) nginx canned", port, lambda: children(process.pid))


def report(servers):
    print(f"review {REVIEW.name}, {CONNECTIONS} keep-alive connections, {ROUNDS} rounds of "
          f"{SECONDS} s, medians")
    print(f"{'':18}{'requests/s':>11}{'of (a)':>8}{'p50 ms':>8}{'p99 ms':>8}{'new conn/s':>11}"
          f"{'CPU us/req':>11}{'instr/req':>11}{'RSS MiB':>9}{'errors':>7}")
    base = statistics.median(servers[1].figures["rate"])
    for server in servers:
        m = {k: statistics.median(v) if v else None for k, v in server.figures.items()}
        instructions = f"{m['instructions']:.0f}" if m["instructions"] else "n/a"
        print(f"{server.name:18}{m['rate']:11.0f}{m['rate'] / base:8.0%}{m['p50'] / 1e3:8.2f}"
              f"{m['p99'] / 1e3:8.2f}{m['fresh']:11.0f}{m['cpu']:11.1f}{instructions:>11}"
              f"{server.memory_kib() / 1024:9.1f}{server.errors:7}")
    if not servers[0].figures["instructions"]:
        print("instructions: not measured, perf counts none on this machine")


def memory_after_many(webhook, script):
    """RSS before and after at least 100,000 more requests."""
    before = webhook.memory_kib()
    total = 0
    while total < 100_000:
        total += wrk(webhook.port, script, SECONDS)[0]
    after = webhook.memory_kib()
    print(f"RSS {before / 1024:.1f} MiB, after {total} more requests {after / 1024:.1f} MiB")


def worst_pods():
    """What the decision costs by the bytes of a review: recorded ones, and the worst pods."""
    subprocess.run([ROOT / "build/bench/review", ROOT / "manifests/base/config.yaml",
                    *sorted((ROOT / "tests/data/reviews").glob("*.json"))], check=True)


def main():
    worst_pods()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lastword-bench-"))
    config = (ROOT / "manifests/base/config.yaml").read_text()
    threads = min(2 * os.cpu_count(), 8)  # as the webhook does by itself
    webhook = Webhook(folder, config, Certificate(), ["--threads", str(threads)])
    (folder / "keep.lua").write_text(LUA % (REVIEW, "false"))
    (folder / "fresh.lua").write_text(LUA % (REVIEW, "true"))
    scripts = (folder / "keep.lua", folder / "fresh.lua")
    response = webhook.post("/mutate", REVIEW.read_bytes())[2].decode()
    processes = []
    try:
        canned, canned_server = start_canned(folder, response, threads)
        processes.append(canned)
        nginx, nginx_server = start_nginx(folder, response, threads)
        processes.append(nginx)
        servers = [Server("lastword-webhook", webhook.port, lambda: [webhook.process.pid]),
                   canned_server, nginx_server]
        perf_works = counts_instructions()
        for _ in range(ROUNDS):
            for server in servers:
                measure(server, scripts, perf_works)
        report(servers)
        memory_after_many(webhook, scripts[0])
    finally:
        for process in processes:
            process.terminate()
            process.wait(10)
        webhook.stop()


if __name__ == "__main__":
    main()
