"""Connects to webhooks as an API server does. It is a program of its own, so that it and the fake API
server do not wait for each other. It opens new connections to all replicas all the time, trusts only
the caBundle of LATE seconds ago, and keeps one connection to each open. When its stdin ends, it prints
what it saw.

dialer.py BUNDLES LATE PROPAGATION_DELAY NAME ADDRESS:PORT…

BUNDLES: one line of JSON [monotonic time, PEM] for each caBundle written. NAME: the DNS name that
certificates must have. A failed connection proves nothing if this process was so slow that at its end
the caBundle had been replaced for PROPAGATION_DELAY seconds: by then every API server knows.
"""
import collections
import http.client
import json
import random
import socket
import ssl
import subprocess
import sys
import threading
import time

from waiting import HANG

Seen = collections.namedtuple("Seen", "counts rate serials failures")  # rate: of all, a second


def dial(address, name, bundle):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle)
    host, port = address.rsplit(":", 1)
    plain = socket.create_connection((host, int(port)), HANG)
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


class Bundles:
    def __init__(self, path, late):
        self.file = open(path)
        self.late = late
        self.start = time.monotonic()
        self.known = []
        self.rest = ""

    def present(self):
        self.rest += self.file.read()
        *lines, self.rest = self.rest.split("\n")
        self.known += [json.loads(line) for line in lines]
        then = max(time.monotonic() - self.late, self.start)
        return self.known_at(then)

    def known_at(self, then):
        return [text for at, text in self.known if at <= then][-1]

    def is_stale(self, bundle, propagation_delay):
        self.present()
        return self.known_at(max(time.monotonic() - propagation_delay, self.start)) != bundle


def main():
    bundles = Bundles(sys.argv[1], float(sys.argv[2]))
    propagation_delay = float(sys.argv[3])
    name, *addresses = sys.argv[4:]
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    failures, serials, kept, count = [], collections.Counter(), {}, 0
    while not ended.is_set():
        address = random.choice(addresses)
        try:
            bundle = bundles.present()
            with dial(address, name, bundle) as tls:
                serials[tls.getpeercert()["serialNumber"]] += 1
            count += 1
            if address not in kept:
                kept[address] = http.client.HTTPConnection(name)
                kept[address].sock = dial(address, name, bundle)
            if count % 20 == 0:
                kept[address].request("GET", "/mutate")
                if kept[address].getresponse().read() != b"expected the method POST\n":
                    failures.append("another answer")
        except (OSError, http.client.HTTPException) as failure:
            if bundles.is_stale(bundle, propagation_delay):
                continue
            failures.append(f"{time.time():.3f} {address} {failure!r}")
    print(json.dumps({"count": count, "failures": failures, "serials": sorted(serials)}))


class Dialers:
    """One for each of lates."""

    def __init__(self, bundles, lates, propagation_delay, name, addresses):
        self.start = time.monotonic()
        self.processes = [subprocess.Popen(
            [sys.executable, __file__, bundles, str(late), str(propagation_delay), name,
             *addresses],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE) for late in lates]

    def stop(self):
        """What they have Seen."""
        seen = [json.loads(process.communicate(timeout=2 * HANG)[0]) for process in self.processes]
        counts = [one["count"] for one in seen]
        return Seen(counts, sum(counts) / (time.monotonic() - self.start),
                    set().union(*(one["serials"] for one in seen)),
                    [failure for one in seen for failure in one["failures"]])


if __name__ == "__main__":
    main()
