#!/usr/bin/python3
"""Runs the project's tests and counts them. The last line is "N passed, M failed".

run.py all      unit and black-box tests of both builds, format, cppcheck, layers, words
run.py quick    unit and black-box tests of the release build
run.py asan     unit and black-box tests of the sanitized build
run.py cluster  the images, and the scenarios on a real node

A few jobs run side by side. The output of each goes to build/test-logs/ and is printed when it fails.
A skipped test counts as failed, since it must not look like a passed one.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/shared"))
import default_signals  # noqa: E402
LOGS = ROOT / "build/test-logs"
PYTHON = "/usr/bin/python3"
PYTEST_FOLDERS = ["tests/blackbox", "tests/cli", "tests/registry", "tests/watchdog", "tests/certs", "tests/observer",
                  "tests/project", "tests/monitoring"]
RELEASE_ONLY = {"tests/monitoring"}  # of what is tested there little is C
# Tests that mostly wait for processes of their own: so many side by side (pytest-xdist).
WORKERS = {"tests/blackbox": 2, "tests/watchdog": 3, "tests/certs": 2, "tests/observer": 2}
SIDE_BY_SIDE = 3  # many wait for processes, timers, each other
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
        start = time.monotonic()
        with open(self.log, "wb") as log:
            try:
                status = subprocess.run(
                    self.command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL, timeout=self.seconds,
                    env={**os.environ, **self.environment}).returncode
            except subprocess.TimeoutExpired:
                log.write(f"\nkilled after {self.seconds} s\n".encode())
                status = -1
        passed, failed = self.counts(status)
        if status != 0 and failed == 0:
            failed = 1  # it failed outside of any test
        return passed, failed, time.monotonic() - start

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
    """One folder of pytest, run by the command before it, if any."""

    def __init__(self, name, folder, environment, before=()):
        self.report = LOGS / (re.sub(r"[^a-z0-9]+", "-", name.lower()) + ".xml")
        super().__init__(name, [*before, PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                                "--durations=5", f"--junit-xml={self.report}",
                                *(["-n", str(WORKERS[folder])] if folder in WORKERS else []),
                                folder], environment)

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


def make(*arguments):
    subprocess.run(["make", "--no-print-directory", "-j2", *arguments], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)


def test_jobs(build, label):
    """The unit, replay and black-box tests of one build."""
    environment = {
        "LASTWORD_BUILD": str(ROOT / build),
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for folder in PYTEST_FOLDERS:
        if folder in RELEASE_ONLY and label != "release":
            continue
        if list((ROOT / folder).glob("test_*.py")):
            yield Pytest(f"{folder} ({label})", folder, environment)
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
    yield Pytest("tests/cluster", "tests/cluster", environment, own)
    yield Pytest("tests/host", "tests/host", environment)


def plan(what):
    jobs = []
    if what == "cluster":
        make("rootfs")
        # Not within a test, which has its bound on hanging.
        if not os.environ.get("KUBECONFIG"):
            subprocess.run([PYTHON, "tests/cluster/cluster.py", "build"], cwd=ROOT, check=True)
        jobs += cluster_jobs()
        for job in jobs:
            job.seconds = CLUSTER_SECONDS
    if what in ("all", "asan"):
        make("asan-build")
        jobs += test_jobs("build/asan", "sanitized")
    if what in ("all", "quick"):
        make("test-programs")
        jobs += test_jobs("build", "release")
    if what == "all":
        jobs += [Job(target, ["make", "--no-print-directory", target])
                 for target in ("lint-format", "lint-cppcheck", "layers", "words")]
    return jobs


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
    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        running = {pool.submit(job.run): job for job in jobs}
        for done in concurrent.futures.as_completed(running):
            job = running[done]
            passed, failed, seconds = done.result()
            total_passed += passed
            total_failed += failed
            print(f"{'FAIL' if failed else 'ok  '} {job.name}: {passed} passed, {failed} failed "
                  f"({seconds:.1f} s)", flush=True)
            if failed:
                print(job.log.read_text(errors="replace")[-12000:])
    if what == "cluster" and FIGURES.exists():
        print(FIGURES.read_text(), end="")
    print(f"{total_passed} passed, {total_failed} failed")
    return 1 if total_failed or not total_passed else 0


if __name__ == "__main__":
    sys.exit(main())
