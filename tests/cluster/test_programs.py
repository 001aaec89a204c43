"""Agents in Go, and people beside an agent: kubectl attach and kubectl exec. Each compared with the
same pod unwrapped."""
import os
import pty
import subprocess
import threading

import pytest

import agents
import drivers
import kube
import product


@pytest.fixture
def cluster_driver(installed):
    made = drivers.KubernetesDriver(installed)
    product.wait_injecting(installed, drivers.INJECTED)
    yield made
    made.clean()


def both(driver, manifest):
    return driver.make(manifest), driver.make(manifest, wrapped=False)


# ---- Go ----

@pytest.mark.parametrize("way,code,cause,snippet", [
    ("children", 0, "Completed", "all well"),
    ("panic", 2, "Panic", "panic: runtime error: index out of range [2] with length 0"),
    ("nil", 2, "Panic", "panic: runtime error: invalid memory address or nil pointer dereference"),
    ("deadlock", 2, "Panic", "fatal error: all goroutines are asleep - deadlock!"),
    ("fatal", 1, "Error", "the model is gone")])
def test_go_agent(driver, way, code, cause, snippet):
    wrapped, plain = both(driver, agents.pod(agents.container(["/goagent", way])))
    assert wrapped.wait_end()[0] == plain.wait_end()[0] == code
    line = wrapped.wait_line("end")
    assert (line["exit_code"], line["error_type"]) == (code, cause)
    assert snippet in line["payload_snippet"]


def test_go_agent_is_to_end(driver):
    """With all its processors busy: the runtime preempts itself by signals meanwhile."""
    wrapped, plain = both(driver, agents.pod(agents.container(["/goagent", "hold"])))
    for pod in (wrapped, plain):
        pod.wait_ready()
        codes, _ = pod.delete()
        assert codes["main"] in (42, None)
        assert pod.output() == "ready\ngot terminated\n"
    assert [(line["event"], line.get("exit_code")) for line in wrapped.lines()] == \
        [("flush", None), ("end", 42)]


# ---- kubectl attach ----

class Attached:
    """kubectl attach -i to a container; terminal: -it, on a terminal of its own."""

    def __init__(self, pod, terminal=False):
        self.terminal = terminal
        words = ["kubectl", "attach", "-i", *(["-t"] if terminal else []), "-n", pod.namespace,
                 pod.name, "-c", "main"]
        if terminal:
            self.end, theirs = pty.openpty()
            self.process = subprocess.Popen(words, env=pod.cluster.environment, stdin=theirs,
                                            stdout=theirs, stderr=theirs)
            os.close(theirs)
        else:
            self.process = subprocess.Popen(words, env=pod.cluster.environment,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE)
            self.end = self.process.stdout.fileno()
        self.read = b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            while data := os.read(self.end, 4096):
                self.read += data
        except OSError:
            pass  # a terminal whose other end is closed

    def say(self, text):
        if self.terminal:
            os.write(self.end, text)
        else:
            self.process.stdin.write(text)
            self.process.stdin.flush()

    def until(self, text):
        kube.wait_until(lambda: text in self.read, lambda: f"{text!r}: {self.read!r}")

    def finish(self):
        """No more input. Returns what came."""
        if not self.terminal:
            self.process.stdin.close()
        self.process.wait(timeout=kube.HANG)
        self.thread.join(kube.HANG)
        if self.terminal:
            os.close(self.end)
        return self.read


def talk(script, **more):
    return agents.pod(agents.container(script, stdin=True, **more))


def test_attach(cluster_driver):
    """What is typed reaches the agent, and its output the one who is attached and the log."""
    script = ("echo ready; read line; echo got $line; read line; echo then $line; "
              "while [ ! -e /tmp/die ]; do sleep 0.05; done; exit 4")
    for pod in both(cluster_driver, talk(script)):
        pod.wait_ready()
        attached = Attached(pod)
        attached.say(b"one\n")
        attached.until(b"got one\n")
        attached.say(b"two\n")
        attached.until(b"then two\n")
        agents.die(pod.pid())
        attached.finish()
        assert pod.wait_end()[0] == 4
        assert pod.log() == "ready\ngot one\nthen two\n"
        if pod.injected:
            line = pod.wait_line("end")
            assert (line["exit_code"], line["log_tail"]) == (4, pod.log())


def test_attach_once(cluster_driver):
    """stdinOnce: the agent's input ends with the one who was attached."""
    for pod in both(cluster_driver, talk("echo ready; cat; echo at the end; exit 5", stdinOnce=True)):
        pod.wait_ready()
        attached = Attached(pod)
        attached.say(b"hello\n")
        attached.until(b"hello\n")
        attached.finish()
        assert pod.wait_end()[0] == 5 and pod.log() == "ready\nhello\nat the end\n"


def test_attach_to_an_agent_that_closed_its_input(cluster_driver):
    for pod in both(cluster_driver, talk("exec <&-; echo ready; while [ ! -e /tmp/die ]; do "
                                         "sleep 0.05; done; exit 6")):
        pod.wait_ready()
        attached = Attached(pod)
        attached.say(b"nobody reads this\n")
        agents.die(pod.pid())
        attached.finish()
        assert pod.wait_end()[0] == 6


def test_attach_with_a_terminal(cluster_driver):
    """tty: the agent has a terminal of its own; Ctrl-C reaches its handler."""
    script = "trap 'echo interrupted' INT; echo ready; read line; echo got $line; read line; exit 7"
    for pod in both(cluster_driver, talk(script, tty=True)):
        pod.wait_ready()
        attached = Attached(pod, terminal=True)
        attached.say(b"one\n")
        attached.until(b"got one")
        attached.say(b"\x03")
        attached.until(b"interrupted")
        attached.say(b"\n")
        attached.finish()
        assert pod.wait_end()[0] == 7


# ---- kubectl exec ----

def execute(pod, *command, container="main", text=None):
    done = subprocess.run(["kubectl", "exec", *(["-i"] if text else []), "-n", pod.namespace,
                           pod.name, "-c", container, "--", *command], input=text,
                          env=pod.cluster.environment, capture_output=True, text=True,
                          timeout=kube.HANG)
    return done.returncode, done.stdout


def test_exec(cluster_driver):
    """A process beside the agent: output, input, exit code, its view of the container; its signals to
    process 1 do what they do without the shim; it is no affair of the watchdog's."""
    for pod in both(cluster_driver, agents.pod(agents.container(agents.WAITING))):
        pod.wait_ready()
        assert execute(pod, "sh", "-c", "echo out; exit 9") == (9, "out\n")
        assert execute(pod, "cat", text="typed\n") == (0, "typed\n")
        assert execute(pod, "sh", "-c", "env | grep -c LASTWORD_") == (1, "0\n")
        # The agent has no handler: as process 1 it would not notice.
        assert execute(pod, "kill", "-TERM", "1")[0] == 0
        assert execute(pod, "kill", "-KILL", "1")[0] == 0
        assert pod.running("main")
        agents.die(pod.pid())
        assert pod.wait_end()[0] == 5
        if pod.injected:
            assert [(line["event"], line["exit_code"]) for line in pod.lines()] == [("end", 5)]


def test_agent_ends_beside_an_exec(cluster_driver):
    """The exec session ends with the container, and the end is reported at once."""
    for pod in both(cluster_driver, agents.pod(agents.container(agents.WAITING))):
        pod.wait_ready()
        session = subprocess.Popen(["kubectl", "exec", "-n", pod.namespace, pod.name, "-c", "main",
                                    "--", "sh", "-c", "echo inside; sleep 600"],
                                   env=pod.cluster.environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        assert session.stdout.readline() == b"inside\n"
        agents.die(pod.pid())
        assert pod.wait_end()[0] == 5
        session.communicate(timeout=kube.HANG)
        assert session.returncode != 0
        if pod.injected:
            assert pod.wait_line("end")["exit_code"] == 5


def test_ping_as_a_probe(cluster_driver):
    """`flush --ping`, in the agent's container and in the watchdog's."""
    pod = cluster_driver.make(agents.pod(agents.container(
        agents.WAITING, readinessProbe={"exec": {"command": ["/lastword/shim", "flush", "--ping"]},
                                        "periodSeconds": 1})))
    pod.wait_ready()
    pod.wait_status(lambda _: pod.state("main").get("ready"), "main is ready")
    assert execute(pod, "/shim", "flush", "--ping", container=kube.OUR_CONTAINER) == (0, "")
    agents.die(pod.pid())
    assert pod.wait_end()[0] == 5
