"""Holds silent TCP connections to a server, from one loopback address or from many, and opens new
ones for those that the server ends. It is a program of its own, so that it and the test do not wait
for each other. When its stdin ends, it prints how many it has opened.

strangers.py PORT CONNECTIONS ADDRESS…
"""
import errno
import itertools
import resource
import select
import socket
import subprocess
import sys
import time

IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
ROUND_SECONDS = 0.02
NEW_EACH_ROUND = 60  # 3,000 a second: the client shares the machine with the server


class Strangers:
    def __init__(self, port, count, addresses):
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(port), str(count), *addresses],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "all there\n"

    def stop(self):
        return int(self.process.communicate(timeout=60)[0])


def open_one(port, address):
    """None: the address has no port left for now."""
    sock = socket.socket()
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((address, 0))
        if sock.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS):
            return sock
    except OSError:
        pass
    sock.close()
    return None


def main():
    port, count, addresses = int(sys.argv[1]), int(sys.argv[2]), itertools.cycle(sys.argv[3:])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held, opened, said = {}, 0, False
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    while True:
        for fd, event in poll.poll(ROUND_SECONDS * 1000):
            if fd == 0:
                print(opened)
                return
            if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
                poll.unregister(fd)
                held.pop(fd).close()
        start = time.monotonic()
        for _ in range(min(NEW_EACH_ROUND, count - len(held))):
            sock = open_one(port, next(addresses))
            if sock is None:
                break
            held[sock.fileno()] = sock
            poll.register(sock, select.POLLIN)
            opened += 1
        if not said and opened >= count:
            print("all there", flush=True)
            said = True
        time.sleep(max(0.0, start + ROUND_SECONDS - time.monotonic()))


if __name__ == "__main__":
    main()
