"""Figures of real pods: printed at the end of `make test-cluster`, never judged."""
import datetime
import pathlib
import statistics
import time

import agents
import kube

PAIRS = 20


def seconds_of(text):
    """An RFC 3339 time; nanoseconds are cut to microseconds."""
    head, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.datetime.fromisoformat(head + "+00:00").timestamp()
    return moment + (float("0." + fraction) if fraction else 0)


def spread(values, unit="s", digits=3):
    ordered = sorted(values)
    return (f"median {statistics.median(ordered):.{digits}f} {unit}, "
            f"{ordered[0]:.{digits}f} to {ordered[-1]:.{digits}f} ({len(ordered)})")


def first_output(pod, container="main"):
    """When the runtime got the container's first byte, by the node's clock."""
    def stamped():
        return pod.stamps(container)
    return seconds_of(kube.wait_until(stamped, "the first line")[0])


def test_time_to_start(driver, figures):
    """From creation to the agent's first output, in pairs; and from its end to its line."""
    starts = {True: [], False: []}
    ends, reported = [], []
    manifest = agents.pod(agents.container("echo ready; exit 3"))
    for number in range(PAIRS):
        for wrapped in ((True, False) if number % 2 else (False, True)):
            manifest["metadata"]["name"] = f"figure-{number}-{str(wrapped).lower()}"
            created = time.time()
            pod = driver.make(manifest, wrapped)
            pod.wait_end()
            starts[wrapped].append(first_output(pod) - created)
            if wrapped:
                line = pod.wait_line("end")
                finished = seconds_of(line["finished_at"])
                reported.append(seconds_of(line["time"]) - finished)
                ends.append(seconds_of(pod.stamps(kube.OUR_CONTAINER)[0]) - finished)
        driver.clean()
    mode = "native" if driver.native else "classic"
    added = [a - b for a, b in zip(starts[True], starts[False])]
    figures(f"create to agent running, {mode}: with {spread(starts[True])}; "
            f"without {spread(starts[False])}; added {spread(added)}")
    figures(f"end to line, {mode}: printed after {spread(reported)}; "
            f"in the runtime's log after {spread(ends)}")


def memory_of(pid):
    """What the process' memory cgroup is charged with, in KiB."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        root = pathlib.Path("/sys/fs/cgroup")
        if controllers == "memory":
            return int((root / "memory" / path.lstrip("/") / "memory.usage_in_bytes").read_text()) >> 10
        if controllers == "" and (root / path.lstrip("/") / "memory.current").exists():
            return int((root / path.lstrip("/") / "memory.current").read_text()) >> 10
    raise AssertionError(f"no memory cgroup of {pid}")


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def test_memory(driver, figures):
    """Of the watchdog's container, and of the agent's with and without the shim in it, while the
    agent has filled its ring."""
    charged = {"watchdog": [], "with": [], "without": []}
    rss = {"shim": [], "watchdog": []}
    script = ["sh", "-c", "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); "
              "echo 0123456789012345678901234567890123456789; done; echo ready; exec sleep 600"]
    for _ in range(5):
        manifest = agents.pod(agents.container(script), grace=2)
        wrapped, plain = driver.make(manifest), driver.make(manifest, wrapped=False)
        for pod in (wrapped, plain):
            pod.wait_ready()
        charged["watchdog"].append(memory_of(wrapped.pid(kube.OUR_CONTAINER)))
        charged["with"].append(memory_of(wrapped.pid()))
        charged["without"].append(memory_of(plain.pid()))
        rss["shim"].append(resident(wrapped.pid()))
        rss["watchdog"].append(resident(wrapped.pid(kube.OUR_CONTAINER)))
        driver.clean()
    mode = "native" if driver.native else "classic"
    figures(f"memory cgroup, {mode}: watchdog {spread(charged['watchdog'], 'KiB', 0)}; agent with "
            f"shim {spread(charged['with'], 'KiB', 0)}, without {spread(charged['without'], 'KiB', 0)}")
    figures(f"resident, {mode}: watchdog {spread(rss['watchdog'], 'KiB', 0)}; "
            f"shim {spread(rss['shim'], 'KiB', 0)}")
