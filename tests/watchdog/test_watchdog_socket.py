"""Where the watchdog should be: nothing, something else, or one that may do less than it needs."""
import errno
import json
import signal
import struct
import subprocess

import pytest

from conftest import (CALLS, FAULT, LENGTH, LETTERS, PROGRAM, TALK, finish, listens,
                      wait_until)

def test_watchdog_that_is_stopped(pod):
    """SIGSTOP: agents begin and end; it tells of them when it goes on."""
    watch = pod.watch("--mode", "native")
    watch.signal(signal.SIGSTOP)
    assert [pod.run(*TALK)[:2] for _ in range(3)] == [(7, LETTERS)] * 3
    watch.signal(signal.SIGCONT)
    assert [watch.next()["exit_code"] for _ in range(3)] == [7] * 3
    watch.signal(signal.SIGTERM)
    assert watch.ended() == 0


LISTENERS = {
    "never-accepts": "s.listen(0); time.sleep(99)",
    "closes": "s.listen(9)\nwhile True: s.accept()[0].close()",
    "never-speaks": "s.listen(9); k = []\nwhile True: k.append(s.accept())",
    "speaks-garbage": "s.listen(9); k = []\nwhile True:\n c = s.accept()[0]; k.append(c)\n"
                      " try:\n  while True: c.send(b'x' * 999)\n except OSError: pass",
    "welcomes-without-memory": "s.listen(9); k = []\nwhile True:\n c = s.accept()[0]; k.append(c)\n"
                               " try: c.send(WELCOME)\n except OSError: pass",
}


@pytest.mark.parametrize("name", LISTENERS)
def test_something_else_on_the_socket(name, socket_name):
    welcome = struct.pack("=IHH", 0x31775761, 1, 2) + bytes(144)
    process = subprocess.Popen(["/usr/bin/python3", "-c",
                                "import socket,time\n"
                                f"WELCOME = {welcome!r}\n"
                                "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                                f"s.bind('\\0{socket_name}'); print('there', flush=True)\n"
                                + LISTENERS[name]], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"there\n"
    words = (PROGRAM, "run", "--name", "main", "--socket", socket_name, "--", *TALK)
    for _ in range(3):
        agent = finish(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        assert agent == (7, LETTERS, b"said it\n"), agent
    hook = (PROGRAM, "flush", "--name", "main", "--socket", socket_name, "--grace", "1s")
    assert finish(subprocess.Popen(hook)) == (0, None, None)
    process.kill()
    process.communicate()


# What the sanitizer's runtime needs itself cannot be denied to it: none of these.
@pytest.mark.parametrize("name", ["memfd_create", "fallocate", "sendmsg", "recvmsg", "accept4"])
def test_seccomp_profile_of_the_watchdogs_container(name, socket_name):
    watch = subprocess.Popen((FAULT, "deny", str(errno.EPERM), str(CALLS[name]), "--", PROGRAM,
                              "watch", "--container", "main", "--socket", socket_name),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: listens(socket_name), "the socket")
    words = (PROGRAM, "run", "--name", "main", "--socket", socket_name, "--", *TALK)
    agent = finish(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    assert agent == (7, LETTERS, b"said it\n"), agent
    watch.terminate()
    code, out, err = finish(watch)
    assert code == 0, err
    if name in ("memfd_create", "fallocate"):  # the shim keeps and sends its output itself
        line = json.loads(out)
        assert (line["exit_code"], line["log_bytes_total"]) == (7, LENGTH + len(b"said it\n"))
        assert b"main keeps its last output itself" in err
