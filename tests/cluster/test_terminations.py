"""Terminations of real agents: what the watchdog reports, compared with what Kubernetes reports of the
same pod unwrapped. Each scenario runs in the cluster, and with a native sidecar (cri_pod.py)."""
import concurrent.futures

import pytest

import agents
import kube
import product

PANIC = ("echo ready; echo \"thread 'main' panicked at src/main.rs:4:5:\" >&2; "
         "echo 'index out of bounds: the len is 3' >&2; exit 101")


def both(driver, manifest):
    return driver.make(manifest), driver.make(manifest, wrapped=False)


def delete_all(*pods):
    """Runs both at the same time. Returns the exit codes of each from its last object."""
    with concurrent.futures.ThreadPoolExecutor(len(pods)) as pool:
        return [codes for codes, _ in pool.map(lambda pod: pod.delete(), pods)]


def check_watchdog_ends(pod):
    """The pod has completed by itself, and its watchdog exited with 0: nothing of ours counts."""
    pod.wait_phase("Succeeded", "Failed")
    assert pod.wait_end(kube.OUR_CONTAINER)[0] == 0


def test_seed(driver):
    """Main has terminated, a sidecar runs on, and the pod stays Running: nobody used to notice."""
    pod = driver.make(agents.pod(agents.container(PANIC), agents.SIDECAR))
    assert pod.wait_end() == (101, "Error")
    line = pod.wait_line("end")
    assert (line["exit_code"], line["error_type"], line["task_id"]) == \
        (101, "Panic", pod.manifest_label("task-id"))
    assert line["payload_snippet"] == ("thread 'main' panicked at src/main.rs:4:5:\n"
                                       "index out of bounds: the len is 3")
    assert pod.phase == "Running" and pod.running("proxy")
    driver.check_record(pod, exitCode=101, errorType="Panic", runningContainers=["proxy"],
                        final=True, source="watchdog", container="main", restartCount=0,
                        payloadSnippet=line["payload_snippet"])
    if isinstance(pod, kube.KubernetesPod):
        output = pod.cluster.kubectl("logs", "-n", pod.namespace, pod.name, "-c", kube.OUR_CONTAINER)
        assert "index out of bounds" in output
    # The sidecar goes on until somebody deletes the pod.
    codes, _ = pod.delete()
    assert codes.get("proxy") in (0, None) and len(pod.lines()) == 1
    driver.check_record(pod, exitCode=101)


def test_exit_0(driver):
    wrapped, plain = both(driver, agents.pod(agents.container("echo ready; exit 0")))
    assert wrapped.wait_end() == plain.wait_end() == (0, "Completed")
    line = wrapped.wait_line("end")
    assert (line["exit_code"], line["error_type"]) == (0, "Completed")
    check_watchdog_ends(wrapped)
    assert wrapped.phase == "Succeeded"
    assert wrapped.output() == plain.output() == "ready\n"
    driver.check_no_record(wrapped)


@pytest.mark.parametrize("code", [1, 2, 126, 137, 255])
def test_codes(driver, code):
    manifest = agents.pod(agents.container(["/victim", "exit", str(code)]))
    wrapped, plain = both(driver, manifest)
    assert wrapped.wait_end()[0] == plain.wait_end()[0] == code
    line = wrapped.wait_line("end")
    assert line["exit_code"] == code
    check_watchdog_ends(wrapped)
    driver.check_record(wrapped, exitCode=code, runningContainers=None, source="watchdog",
                        errorType=line["error_type"])


def test_out_of_memory(driver):
    manifest = agents.pod(agents.container(
        "echo ready; /victim eat 400; exit $?",
        resources={"limits": {"memory": "32Mi"}}))
    wrapped, plain = both(driver, manifest)
    assert wrapped.wait_end() == plain.wait_end() == (137, "OOMKilled")
    line = wrapped.wait_line("end")
    assert line["error_type"] == "OOMKilled" and line["oom_kills"] >= 1
    assert line["log_tail"].startswith("ready\n")
    check_watchdog_ends(wrapped)
    driver.check_record(wrapped, exitCode=137, errorType="OOMKilled", runningContainers=None,
                        reason="OOMKilled")


def test_segmentation_fault(driver):
    wrapped, plain = both(driver, agents.pod(agents.container(["/victim", "fault", "0"])))
    assert wrapped.wait_end()[0] == plain.wait_end()[0] == 139
    line = wrapped.wait_line("end")
    assert (line["exit_code"], line["signal"], line["error_type"]) == (139, "SIGSEGV", "Segfault")
    check_watchdog_ends(wrapped)
    driver.check_record(wrapped, exitCode=139, errorType="Segfault", signal="SIGSEGV")


def test_no_such_program(driver):
    """Unwrapped, the container does not start (128). The shim exits with 127 and prints why."""
    pod = driver.make(agents.pod(agents.container(["/no/such", "program"])))
    assert pod.wait_end()[0] == 127
    line = pod.wait_line("end")
    assert line["error_type"] == "StartError" and "/no/such" in line["payload_snippet"]
    driver.check_record(pod, exitCode=127, errorType="StartError")


def test_shim_killed_from_the_host(driver):
    pod = driver.make(agents.pod(agents.container("echo ready; sleep 600"), agents.SIDECAR))
    pod.wait_ready()
    pod.kill_shim()
    assert pod.wait_end()[0] == 137
    line = pod.wait_line("end")
    assert (line["error_type"], line["log_tail"]) == ("Killed", "ready\n")
    assert "exit_code" not in line and pod.phase == "Running"
    driver.check_record(pod, exitCode=137, errorType="Killed", runningContainers=["proxy"],
                        source="watchdog")


def test_restarted_agent(driver):
    """Each run has its report; the last success is final."""
    script = "if [ -e /data/tried ]; then exit 0; fi; touch /data/tried; echo first >&2; exit 3"
    manifest = agents.pod(
        agents.container(script, volumeMounts=[{"name": "data", "mountPath": "/data"}]),
        restart="OnFailure", volumes=[{"name": "data", "emptyDir": {}}])
    pod = driver.make(manifest)
    pod.wait_phase("Succeeded")
    ends = [(line["shim_instance"], line["exit_code"]) for line in pod.lines()]
    assert ends == [(1, 3), (2, 0)]
    driver.check_record(pod, exitCode=3, restartCount=0, final=False, runningContainers=None)


# ---- Deletion ----

def test_deletion_while_running(driver):
    """The hook flushes the ring, the agent's handler runs, and its exit code is reported."""
    manifest = agents.pod(agents.container(["/victim", "hold", "handle", "15", agents.HOLD]))
    wrapped, plain = both(driver, manifest)
    for pod in (wrapped, plain):
        pod.wait_ready()
    for codes in delete_all(wrapped, plain):
        assert codes["main"] in (42, None)
    assert wrapped.output() == plain.output() == "ready\ngot 15 0\n"
    flush, end = wrapped.lines()
    assert (flush["event"], flush["log_tail"]) == ("flush", "ready\n")
    assert (end["event"], end["exit_code"], end["log_tail"]) == ("end", 42, "ready\ngot 15 0\n")
    driver.check_record(wrapped, exitCode=42, errorType=end["error_type"],
                        logTail="ready\ngot 15 0\n")


# How an agent handles SIGTERM, how long it runs on, and its exit code.
STUBBORN = {
    "without a handler it goes on to its end": ("default", "10000", 60, 0),
    "ignoring it goes on to its end": ("ignore", "10000", 60, 0),
    "without a handler it is killed": ("default", agents.HOLD, 6, 137),
    "ignoring it is killed": ("ignore", agents.HOLD, 6, 137),
}


@pytest.mark.parametrize("how", STUBBORN)
def test_deletion_of_one_that_does_not_end(driver, how):
    """Wrapped and unwrapped behave alike: no agent is cut short. SIGTERM to a process 1 without a handler
    does nothing, and so it must be for a child of the shim."""
    disposition, milliseconds, grace, code = STUBBORN[how]
    manifest = agents.pod(
        agents.container(["/victim", "hold", disposition, "15", milliseconds]), grace=grace)
    wrapped, plain = both(driver, manifest)
    for pod in (wrapped, plain):
        pod.wait_ready()
    for codes in delete_all(wrapped, plain):
        assert codes["main"] in (code, None)
    flush, *ends = wrapped.lines()
    assert flush["event"] == "flush"
    if code == 0:
        assert [(end["event"], end["exit_code"]) for end in ends] == [("end", 0)]
    elif wrapped.native:  # the end by SIGKILL came before the watchdog's own
        assert [(end["event"], end["error_type"]) for end in ends] == [("end", "Terminated")]
    if code == 0:
        driver.check_no_record(wrapped)
    else:
        driver.check_record(wrapped, errorType="Terminated")


# ---- Agents that hang ----

HANG = "echo ready; trap 'exit 9' USR1; while :; do sleep 0.1; done"


def test_deadline(driver):
    pod = driver.make(agents.pod(agents.container(["/victim", "hold", "handle", "15", agents.HOLD]),
                                 agents.SIDECAR, annotations={"lastword.dev/deadline": "2s",
                                                              "lastword.dev/on-deadline": "kill"}))
    assert pod.wait_end()[0] == 42
    reported, end = pod.wait_line("deadline"), pod.wait_line("end")
    assert reported["duration_seconds"] >= 2 and end["error_type"] == "Timeout"
    assert end["log_tail"] == "ready\ngot 15 0\n" and pod.running("proxy")
    driver.check_record(pod, exitCode=42, errorType="Timeout", runningContainers=["proxy"])


def test_silence_is_reported(driver):
    pod = driver.make(agents.pod(agents.container(HANG),
                                 annotations={"lastword.dev/silence-after": "1s"}))
    line = pod.wait_line("silent-agent")
    assert line["log_tail"] == "ready\n" and line["silence_seconds"] >= 1
    assert pod.running("main") and not [x for x in pod.lines() if x["event"] == "end"]
    driver.check_no_record(pod)


def test_silence_kills_when_configured(driver):
    pod = driver.make(agents.pod(agents.container(HANG), grace=2,
                                 annotations={"lastword.dev/silence-after": "1s",
                                              "lastword.dev/on-silence": "kill"}))
    assert pod.wait_end()[0] in (137, 143)
    assert pod.wait_line("end")["error_type"] == "Stalled"
    driver.check_record(pod, errorType="Stalled")


# ---- Done files ----

def with_pollers(script):
    """A coding agent whose sidecars run until its done file exists."""
    mount = [{"name": "workspace", "mountPath": "/workspace"}]
    poll = "while [ ! -e /workspace/.agent_done ]; do sleep 0.1; done"
    return agents.pod(
        agents.container(script, name="claude", volumeMounts=mount),
        *(agents.container(poll, name=name, volumeMounts=mount)
          for name in ("docker-daemon", "promtail")),
        labels={"cli-container": "claude"}, volumes=[{"name": "workspace", "emptyDir": {}}])


def test_done_file_ends_polling_sidecars(driver):
    """The agent terminates before it writes its done file: unwrapped, the pod would run to its
    deadline."""
    wrapped, plain = both(driver, with_pollers("echo ready; exit 7"))
    check_watchdog_ends(wrapped)
    assert wrapped.wait_end("claude")[0] == 7 and wrapped.phase == "Failed"
    assert wrapped.wait_end("promtail")[0] == wrapped.wait_end("docker-daemon")[0] == 0
    assert plain.wait_end("claude")[0] == 7
    assert plain.phase == "Running" and plain.running("promtail")
    driver.check_record(wrapped, exitCode=7, container="claude")


# ---- Shapes of pods ----

def test_distroless(driver):
    """No shell, no /tmp, nothing but one file: also the hook runs there."""
    pod = driver.make(agents.pod(agents.container(
        ["/victim", "hold", "handle", "15", agents.HOLD], image=product.DISTROLESS)))
    pod.wait_ready()
    pod.delete()
    assert [(line["event"], line.get("exit_code")) for line in pod.lines()] == \
        [("flush", None), ("end", 42)]
    driver.check_record(pod, exitCode=42)


def test_restricted(driver):
    """uid 1000, read-only root, no capability, seccomp."""
    pod = driver.make(agents.pod(
        agents.container(PANIC, securityContext=agents.RESTRICTED), agents.SIDECAR))
    assert pod.wait_end()[0] == 101
    line = pod.wait_line("end")
    assert (line["shim_uid"], line["error_type"]) == (1000, "Panic")
    driver.check_record(pod, exitCode=101, shimUid=1000)


def test_shared_process_namespace(driver):
    wrapped, plain = both(driver, agents.pod(
        agents.container(["/victim", "hold", "handle", "15", agents.HOLD]), agents.SIDECAR,
        shareProcessNamespace=True))
    for pod in (wrapped, plain):
        pod.wait_ready()
    delete_all(wrapped, plain)
    assert wrapped.output() == plain.output() == "ready\ngot 15 0\n"
    end = wrapped.lines()[-1]
    assert (end["event"], end["exit_code"]) == ("end", 42)
    driver.check_record(wrapped, exitCode=42, source="watchdog")


def test_pre_stop_hook_of_the_agent(driver):
    """The pod's own hook runs first, inside ours, and finds the container's output where it was."""
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo from the hook >/proc/1/fd/1"]}}}
    wrapped, plain = both(driver, agents.pod(agents.container(
        ["/victim", "hold", "handle", "15", agents.HOLD], lifecycle=hook)))
    for pod in (wrapped, plain):
        pod.wait_ready()
    delete_all(wrapped, plain)
    for pod in (wrapped, plain):
        assert "from the hook\n" in pod.output() and "got 15 0\n" in pod.output()
    driver.check_record(wrapped, exitCode=42, source="watchdog")
