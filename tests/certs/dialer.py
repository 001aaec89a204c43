"""An API server that calls webhooks: a program of its own, so that it and the fake API server do
not wait for each other. Dials replicas anew all the time and trusts only the bundle that it has
then, LATE seconds old; keeps one connection to each. Until its stdin ends; then prints what it saw.

dialer.py BUNDLES LATE PORT…    BUNDLES: a line of JSON [monotonic time, PEM] for each one written
"""
import collections
import http.client
import json
import random
import socket
import ssl
import sys
import threading
import time

from pki import HOST

HANG = 60


def dial(port, bundle):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle)
    plain = socket.create_connection(("127.0.0.1", port), HANG)
    try:
        return context.wrap_socket(plain, server_hostname=HOST)
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
        return [text for at, text in self.known if at <= then][-1]


def main():
    bundles = Bundles(sys.argv[1], float(sys.argv[2]))
    ports = [int(port) for port in sys.argv[3:]]
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    failures, serials, kept, count = [], collections.Counter(), {}, 0
    while not ended.is_set():
        port = random.choice(ports)
        try:
            bundle = bundles.present()
            with dial(port, bundle) as tls:
                serials[tls.getpeercert()["serialNumber"]] += 1
            count += 1
            if port not in kept:
                kept[port] = http.client.HTTPConnection("localhost")
                kept[port].sock = dial(port, bundle)
            if count % 20 == 0:
                kept[port].request("GET", "/mutate")
                if kept[port].getresponse().read() != b"expected the method POST\n":
                    failures.append("another answer")
        except (OSError, http.client.HTTPException) as failure:
            failures.append(f"{time.time():.3f} {port} {failure!r}")
    print(json.dumps({"count": count, "failures": failures, "serials": sorted(serials)}))


main()
