#!/usr/bin/python3
"""Runs the project's tests and counts them. The last line is "N passed, M failed".

run.py all      unit and black-box tests of both builds, format, cppcheck, layers, words
run.py quick    unit and black-box tests of the release build
run.py asan     unit and black-box tests of the sanitized build
run.py cluster  the images, and the scenarios on a real node

Folders of pytest wait a lot, for processes and timers, so a few of them run side by side; beside them
the jobs that only compute run one after the other. The output of each goes to build/test-logs/ and is
printed when it fails. Both times are shown: seconds on the wall, and of processor. A skipped test counts
as failed, since it must not look like a passed one.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import typing
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/shared"))
import default_signals  # noqa: E402
LOGS = ROOT / "build/test-logs"
PYTHON = "/usr/bin/python3"
# In the order in which they start, the longest first, so that none is left over at the end. Beside each
# how many workers (pytest-xdist) it gets: more where the tests mostly wait.
PYTEST_FOLDERS = {"tests/observer": 3, "tests/watchdog": 3, "tests/blackbox": 2, "tests/cli": 2,
                  "tests/monitoring": 1, "tests/certs": 2, "tests/registry": 1, "tests/project": 1}
# What the sanitized build runs of folders where little is C: the tests that start its programs, if any.
SANITIZED_PART = {"tests/monitoring": None, "tests/project": "tests/project/test_skew.py"}
FOLDERS_SIDE_BY_SIDE = 3
JOB_SECONDS = 1200
CLUSTER_SECONDS = 3600  # a first build of Kubernetes included
FIGURES = LOGS / "cluster-figures.txt"


class Job:
    """One command; counts() says how many tests passed and failed in it."""

    seconds = JOB_SECONDS

    def __init__(self, name, command, environment=None):
        self.name = name
        self.command = command
        self.environment = environment or {}
        self.log = LOGS / (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + ".log")

    def run(self):
        """How many tests passed and failed; how long it took, and its processor time."""
        start = time.monotonic()
        with open(self.log, "wb") as log:
            process = subprocess.Popen(
                self.command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, env={**os.environ, **self.environment})
            alarm = threading.Timer(self.seconds, process.kill)
            alarm.daemon = True
            alarm.start()
            _, status, usage = os.wait4(process.pid, 0)
            alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if time.monotonic() - start >= self.seconds:
            with open(self.log, "ab") as log:
                log.write(f"\nkilled after {self.seconds} s\n".encode())
        passed, failed = self.counts(process.returncode)
        if process.returncode != 0 and failed == 0:
            failed = 1  # it failed outside of any test
        return passed, failed, time.monotonic() - start, usage.ru_utime + usage.ru_stime

    def counts(self, status):
        return (1, 0) if status == 0 else (0, 1)


class Cmocka(Job):
    """A cmocka program; it prints one TAP line for each test."""

    def __init__(self, name, program, environment):
        super().__init__(name, [program], {**environment, "CMOCKA_MESSAGE_OUTPUT": "TAP"})

    def counts(self, status):
        text = self.log.read_text(errors="replace")
        passed = len(re.findall(r"^\s*ok \d+", text, re.M))
        failed = len(re.findall(r"^\s*not ok \d+", text, re.M))
        failed += len(re.findall(r"^\s*ok \d+.*# SKIP", text, re.M))
        return (passed, failed) if passed + failed > 0 else (0, 1)


class Pytest(Job):
    """One folder of pytest or a path in it, run by the command before it, if any."""

    def __init__(self, name, folder, path, environment, before=(), workers=1):
        self.folder = folder
        self.report = LOGS / (re.sub(r"[^a-z0-9]+", "-", name.lower()) + ".xml")
        super().__init__(name, [*before, PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                                "--durations=5", f"--junit-xml={self.report}",
                                *(["-n", str(workers)] if workers > 1 else []), path],
                         environment)

    def counts(self, status):
        try:
            suites = xml.etree.ElementTree.parse(self.report).getroot().iter("testsuite")
        except (OSError, xml.etree.ElementTree.ParseError):
            return 0, 1
        passed = failed = 0
        for suite in suites:
            bad = sum(int(suite.get(k, 0)) for k in ("failures", "errors", "skipped"))
            passed += int(suite.get("tests", 0)) - bad
            failed += bad
        return passed, failed


def make(*targets):
    """Makes the targets, side by side."""
    running = [subprocess.Popen(["make", "--no-print-directory", "-j2", target], cwd=ROOT,
                                stdout=subprocess.DEVNULL) for target in targets]
    for process in running:
        process.wait()
    for process in running:
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, process.args)


class Build(typing.NamedTuple):
    folder: str
    target: str  # of the Makefile


BUILDS = {"sanitized": Build("build/asan", "asan-build"), "release": Build("build", "test-programs")}


def test_jobs(label):
    """The unit, replay and black-box tests of one build."""
    build = BUILDS[label].folder
    environment = {
        "LASTWORD_BUILD": str(ROOT / build),
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for folder, workers in PYTEST_FOLDERS.items():
        path = SANITIZED_PART.get(folder, folder) if label == "sanitized" else folder
        if path:
            yield Pytest(f"{folder} ({label})", folder, path, environment, workers=workers)
    for source in sorted((ROOT / "tests/unit").glob("test_*.c")):
        yield Cmocka(f"{source.stem} ({label})", f"{build}/tests/{source.stem}", environment)
    for source in sorted((ROOT / "tests/fuzz").glob("fuzz_*.c")):
        target = source.stem.removeprefix("fuzz_")
        corpus = sorted(str(p) for p in (ROOT / "tests/fuzz/corpus" / target).iterdir())
        yield Job(f"replay {target} ({label})", [f"{build}/fuzz/{target}-replay", *corpus],
                  environment)


def cluster_jobs():
    environment = {"LASTWORD_BUILD": str(ROOT / "build"), "PYTHONDONTWRITEBYTECODE": "1"}
    own = [] if os.environ.get("KUBECONFIG") else [PYTHON, "tests/cluster/cluster.py", "run"]
    yield Pytest("tests/cluster", "tests/cluster", "tests/cluster", environment, own)
    yield Pytest("tests/host", "tests/host", "tests/host", environment)


def plan(what):
    """The jobs, when what they run is built."""
    if what == "cluster":
        make("rootfs")
        # Not within a test, which has its bound on hanging.
        if not os.environ.get("KUBECONFIG"):
            subprocess.run([PYTHON, "tests/cluster/cluster.py", "build"], cwd=ROOT, check=True)
        jobs = list(cluster_jobs())
        for job in jobs:
            job.seconds = CLUSTER_SECONDS
        return jobs
    labels = {"quick": ["release"], "asan": ["sanitized"]}.get(what, list(BUILDS))
    make(*(BUILDS[label].target for label in labels))
    jobs = [job for label in labels for job in test_jobs(label)]
    if what == "all":
        jobs += [Job(target, ["make", "--no-print-directory", target])
                 for target in ("lint-format", "lint-cppcheck", "layers", "words")]
    return jobs


def start(jobs):
    """The jobs by the futures of their results, which come in any order."""
    folders = concurrent.futures.ThreadPoolExecutor(FOLDERS_SIDE_BY_SIDE)
    others = concurrent.futures.ThreadPoolExecutor(1)
    place = list(PYTEST_FOLDERS).index
    running = {folders.submit(job.run): job
               for job in sorted((job for job in jobs if isinstance(job, Pytest)),
                                 key=lambda job: place(job.folder) if job.folder in PYTEST_FOLDERS else 0)}
    return running | {others.submit(job.run): job for job in jobs if not isinstance(job, Pytest)}


def main():
    what = sys.argv[1] if len(sys.argv) == 2 else ""
    if what not in ("all", "quick", "asan", "cluster"):
        sys.exit(__doc__)
    default_signals.restore()
    LOGS.mkdir(parents=True, exist_ok=True)
    try:
        jobs = plan(what)
    except subprocess.CalledProcessError as failure:
        print(f"building failed: {' '.join(failure.cmd)}\n0 passed, 1 failed")
        return 1

    total_passed = total_failed = 0
    running = start(jobs)
    for done in concurrent.futures.as_completed(running):
        job = running[done]
        passed, failed, seconds, processor = done.result()
        total_passed += passed
        total_failed += failed
        print(f"{'FAIL' if failed else 'ok  '} {job.name}: {passed} passed, {failed} failed "
              f"({seconds:.1f} s, processor {processor:.1f} s)", flush=True)
        if failed:
            print(job.log.read_text(errors="replace")[-12000:])
    if what == "cluster" and FIGURES.exists():
        print(FIGURES.read_text(), end="")
    print(f"{total_passed} passed, {total_failed} failed")
    return 1 if total_failed or not total_passed else 0


if __name__ == "__main__":
    sys.exit(main())
