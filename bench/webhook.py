#!/usr/bin/python3
"""Measures the webhook over the network, by the size of a review, beside three servers that get the
same requests in turn: canned (the webhook's own HTTP server with a fixed response), nginx with the
same fixed response, and bench/injector.go, the same job in Go.

The clients share the machine's processors with the server, so only ratios within a run mean anything.
Keep-alive connections are driven by wrk; new connections and the fixed rate by bench/client.c. The
fixed rate is an open loop: latencies count from the scheduled time of a request.

BENCH_SECONDS (default 1) is the length of one measurement, BENCH_ROUNDS (3) their number: medians."""
import base64
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import table

from certificate import Certificate
from waiting import wait_until
from webhook_process import Webhook

SECONDS = int(os.environ.get("BENCH_SECONDS", "1"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
RATE = int(os.environ.get("BENCH_RATE_OF_REVIEWS", "2000"))
CONNECTIONS = 16
REVIEWS = {"small": "019-create-pods-bare.json", "median": "002-create-pods-coderun-job.json",
           "400 env": "017-create-pods-env-400.json", "250 KB": "018-create-pods-annotation-250k.json"}
PEERS = ("canned", "nginx", "Go", *(["before"] if table.BEFORE else []))
ROWS = (*(f"{what}, {size}, beside {peer}" for size in REVIEWS
          for what in ("keep-alive", "new connections") for peer in PEERS),
        *(f"processor time of a {what}, {size}, beside {peer}" for size in REVIEWS
          for what in ("review", "new connection") for peer in PEERS),
        *(f"fixed rate, {percentile}, beside {peer}" for percentile in ("p50", "p99", "p99.9")
          for peer in PEERS),
        "resumed connections, beside nginx", "bytes of a patch, beside Go",
        "memory after the load, beside Go")
LUA = """
local file = io.open("%s", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
done = function(summary)
  io.write(string.format("RESULT %%d %%d %%d\\n", summary.requests, summary.duration,
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
    ssl_protocols TLSv1.2 TLSv1.3;
    {parts}
    location / {{ default_type application/json; return 200 "{names}"; }}
  }}
}}
"""


def review(size):
    return table.ROOT / "tests/data/reviews" / REVIEWS[size]


class Server:
    def __init__(self, name, port, process):
        self.name, self.port, self.process = name, port, process
        self.figures = {}

    def pids(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid] + [int(pid) for pid in children.read_text().split()]

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mib(self):
        return sum(int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))
                   for pid in self.pids()) / 1024

    def keep(self, key, value):
        self.figures.setdefault(key, []).append(value)

    def figure(self, key):
        return statistics.median(self.figures[key])


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def start_printing(name, *command):
    """A server that prints the address it listens on."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return Server(name, int(process.stdout.readline().strip().rsplit(":", 1)[1]), process)


def start_nginx(folder, response, threads):
    port = free_port()
    # A parameter of nginx has at most 4096 bytes: the response in parts.
    chunks = [response[i:i + 3000] for i in range(0, len(response), 3000)]
    parts = " ".join(f"set $p{i} '{chunk}';" for i, chunk in enumerate(chunks))
    (folder / "nginx.conf").write_text(NGINX.format(
        folder=folder, port=port, threads=threads, parts=parts,
        names="".join(f"$p{i}" for i in range(len(chunks)))))
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf"])
    time.sleep(0.5)
    return Server("nginx", port, process)


def client(server, size, mode, rate=0):
    done = subprocess.run([table.BUILD / "bench/client", str(server.port), review(size),
                           str(SECONDS), str(CONNECTIONS), mode, str(rate)],
                          capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["errors"] == 0, (server.name, size, mode, found)
    return found


def keep_alive(server, folder, size):
    script = folder / "wrk.lua"
    script.write_text(LUA % review(size))
    before = server.cpu_seconds()
    out = subprocess.run(["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", script,
                          f"https://127.0.0.1:{server.port}/mutate"], capture_output=True,
                         text=True, check=True).stdout
    used = server.cpu_seconds() - before
    requests, micros, errors = map(int, re.search(r"RESULT (\d+) (\d+) (\d+)", out).groups())
    assert errors == 0, (server.name, size, out)
    server.keep(f"keep-alive, {size}", requests * 1e6 / micros)
    server.keep(f"processor time of a review, {size}", used * 1e6 / requests)


def new_connections(server, size):
    before = server.cpu_seconds()
    found = client(server, size, "new")
    used = server.cpu_seconds() - before
    server.keep(f"new connections, {size}", found["requests"] / found["seconds"])
    server.keep(f"processor time of a new connection, {size}", used * 1e6 / found["requests"])


def run_size(table_, servers, folder, size):
    for _ in range(ROUNDS):
        for server in servers:
            keep_alive(server, folder, size)
            new_connections(server, size)
    for what, unit in ((f"keep-alive, {size}", "requests/s"),
                       (f"new connections, {size}", "connections/s"),
                       (f"processor time of a review, {size}", "µs"),
                       (f"processor time of a new connection, {size}", "µs")):
        beside(table_, servers, what, unit)


def beside(table_, servers, what, unit):
    webhook, *peers = servers
    for peer in peers:
        table_.add("webhook", f"{what}, beside {peer.name}", webhook.figure(what), unit, peer.name,
                   peer.figure(what))


def run_fixed_rate(table_, servers):
    """Keep-alive connections as the API server has them: RATE reviews a second, median review."""
    for _ in range(ROUNDS):
        for server in servers:
            found = client(server, "median", "keep-alive", RATE)
            for name, key in (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999")):
                server.keep(f"fixed rate, {name}", found[key] / 1e3)
    for name in ("p50", "p99", "p99.9"):
        beside(table_, servers, f"fixed rate, {name}", "ms")


def run_resumed(table_, webhook, nginx):
    for _ in range(ROUNDS):
        for server in (webhook, nginx):
            found = client(server, "median", "resumed")
            server.keep("resumed", found["requests"] / found["seconds"])
    table_.add("webhook", "resumed connections, beside nginx", webhook.figure("resumed"),
               "connections/s", "nginx", nginx.figure("resumed"))


def patch_length(response):
    """Of the JSON patch in a response that allows its pod."""
    response = json.loads(response)["response"]
    assert response["allowed"] and response["patchType"] == "JSONPatch", response
    patch = base64.b64decode(response["patch"])
    assert len(json.loads(patch)) > 5, patch
    return len(patch)


def compare_patches(webhook, go):
    """Bytes of the webhook's and of the injector's in Go, which must be about the same job."""
    port, webhook.port, webhook.connection = webhook.port, go.port, None
    theirs = patch_length(webhook.request("POST", "/mutate", review("median").read_bytes(),
                                          {"Content-Type": "application/json"})[2])
    webhook.port, webhook.connection = port, None
    ours = patch_length(webhook.post("/mutate", review("median").read_bytes())[2])
    assert 0.5 < theirs / ours < 2, (ours, theirs)
    return ours, theirs


def start_webhook(folder, config, threads, build):
    webhook = Webhook(folder, config, Certificate(), ["--threads", str(threads)], build=build)
    wait_until(lambda: webhook.ready()[0] == 200, "readiness")
    return webhook


def measure_in(table_, folder, webhooks, processes):
    config = (table.ROOT / "manifests/base/config.yaml").read_text()
    threads = min(2 * os.cpu_count(), 8)  # as the webhook does by itself
    webhook = start_webhook(folder, config, threads, table.BUILD)
    webhooks.append(webhook)
    response = webhook.post("/mutate", review("median").read_bytes())[2].decode()
    (folder / "response").write_text(response)
    identity = (folder / "tls.crt", folder / "tls.key")
    servers = [Server("webhook", webhook.port, webhook.process),
               start_printing("canned", table.BUILD / "bench/canned", "127.0.0.1:0", *identity,
                              folder / "response", str(threads)),
               start_nginx(folder, response, threads),
               start_printing("Go", table.BUILD / "bench/injector", "127.0.0.1:0", *identity)]
    processes.extend(server.process for server in servers[1:])
    if table.BEFORE:
        (folder / "before").mkdir()
        config = (table.BEFORE.parent / "manifests/base/config.yaml").read_text()
        webhooks.append(start_webhook(folder / "before", config, threads, table.BEFORE))
        servers.append(Server("before", webhooks[1].port, webhooks[1].process))
    ours, theirs = compare_patches(webhook, servers[3])
    for size in REVIEWS:
        run_size(table_, servers, folder, size)
    run_fixed_rate(table_, servers)
    run_resumed(table_, servers[0], servers[2])
    table_.add("webhook", "bytes of a patch, beside Go", ours, "bytes", "Go", theirs)
    table_.add("webhook", "memory after the load, beside Go", servers[0].memory_mib(), "MiB", "Go",
               servers[3].memory_mib())


def measure(table_):
    webhooks, processes = [], []
    with tempfile.TemporaryDirectory(prefix="lastword-bench-") as folder:
        try:
            measure_in(table_, pathlib.Path(folder), webhooks, processes)
        finally:
            for process in processes:
                process.terminate()
                process.wait(10)
            for webhook in webhooks:
                webhook.stop()


if __name__ == "__main__":
    sys.exit(table.main_of("webhook"))
