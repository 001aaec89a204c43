"""Histories of pods that nobody recorded: made at random, as kubelets would report them, and what must
come of them, said by who knows the whole truth and not what a status shows of it."""
import datetime
import json
import random

BEGIN = datetime.datetime(2026, 11, 23, 18, 37, 55)  # START of replay_driver
SILENT_AFTER = 30
FOREVER = 10 ** 9


def at(seconds):
    """As a kubelet writes it: whole seconds, cut."""
    return (BEGIN + datetime.timedelta(seconds=int(seconds))).strftime("%Y-%m-%dT%H:%M:%SZ")


class Run:
    def __init__(self, begin, end=FOREVER, code=0):
        self.begin, self.end, self.code = begin, end, code

    def state(self):
        if self.end == FOREVER:
            return {"running": {"startedAt": at(self.begin)}}
        return {"terminated": {"exitCode": self.code,
                               "reason": "Error" if self.code else "Completed",
                               "startedAt": at(self.begin), "finishedAt": at(self.end)}}


class Pod:
    """One agent, main, and helpers that know nothing of it."""

    def __init__(self, number, chance, deletions):
        self.number, self.chance, self.deletions = number, chance, deletions
        self.policy = chance.choice(["Never", "Never", "Never", "OnFailure", "Always"])
        self.restarts_all = self.policy == "Never" and chance.random() < 0.2
        self.family = chance.choice([None, "nightly", "hourly"])
        self.task = chance.choice([None, None, "T-1", "T-2"])
        begin = 12 + chance.random() * 60
        self.main = [Run(begin)]
        self.helpers = {f"helper-{i}": [Run(begin)] for i in range(chance.randrange(3))}
        self.begin, self.deleted, self.gone = begin, None, None
        self.live()

    def moment(self, after):
        """Some time later, at no moment that decides anything: not when silence is confirmed."""
        while True:
            time = after + 1.5 + self.chance.random() * self.chance.choice([3, 20, 90])
            due = [int(run.end) + SILENT_AFTER for run in self.main if run.end < FOREVER]
            if all(not -3 < time - d < 8 for d in due):
                return time

    def end_main(self, *codes):
        run = self.main[-1]
        run.end = self.moment(run.begin)
        run.code = self.chance.choice(codes)
        return run.end

    def is_final(self, run):
        """By the restart policy, or the rule of main: 42 restarts all containers."""
        if self.restarts_all and run.code == 42:
            return False
        return self.policy == "Never" or (self.policy == "OnFailure" and run.code == 0)

    def live(self):
        """A status holds two runs: so there are no more, and nothing is lost with an observer."""
        time = self.end_main(0, 1, 1, 3, 42)
        if not self.is_final(self.main[-1]):
            time = self.moment(time)
            if self.restarts_all:
                for runs in self.helpers.values():
                    runs[-1].end, runs[-1].code = time - 1, 137
                    runs.append(Run(time))
            self.main.append(Run(time))
            if self.policy != "Always":
                self.end_main(*([0] if self.policy == "OnFailure" else [0, 1, 3]))
        for runs in self.helpers.values():
            if self.chance.random() < 0.6 and self.main[-1].end < FOREVER:
                runs[-1].end = self.moment(self.main[-1].end)
        # A pod with a success stays: a success that nobody sees resolves nothing. So does one that
        # runs: if it vanished while no watch is open, nobody would know how it ended.
        if self.chance.random() < self.deletions and all(run.code for run in self.main):
            self.deleted = self.moment(self.main[-1].end)
            self.gone = self.deleted + 2 + self.chance.random() * 2
            for runs in self.helpers.values():
                if runs[-1].end > self.deleted:
                    runs[-1].end, runs[-1].code = self.deleted + 1, 143

    # ---- What is published ----

    def changes(self):
        """When anything of it is different."""
        times = {self.begin}
        for runs in (self.main, *self.helpers.values()):
            for run in runs:
                times |= {run.begin, run.end}
        return sorted(time for time in (times | {self.deleted or FOREVER}) if time < FOREVER)

    def ended_at(self):
        """When no container of it will run any more."""
        return max(runs[-1].end for runs in (self.main, *self.helpers.values()))

    def status(self, name, runs, time):
        begun = [run for run in runs if run.begin <= time]
        seen = [Run(run.begin, run.end if run.end <= time else FOREVER, run.code)
                for run in begun]
        last, state = seen[-1], seen[-1].state()
        status = {"name": name, "restartCount": len(seen) - 1, "state": state}
        again = name == "main" and last.end <= time and not self.is_final(last)
        if again:
            status["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
            status["lastState"] = state
        elif len(seen) > 1:
            status["lastState"] = seen[-2].state()
        return status

    def object(self, time):
        over = self.ended_at() <= time
        failed = any(runs[-1].code for runs in (self.main, *self.helpers.values()))
        metadata = {"namespace": "agents", "name": f"pod-{self.number}",
                    "uid": f"{self.number:08d}-aaaa", "labels": {"agent": "rex"}}
        main = {"name": "main"}
        if self.task:
            metadata["labels"]["task-id"] = self.task
        if self.family:
            metadata["ownerReferences"] = [{
                "apiVersion": "batch/v1", "kind": "Job", "controller": True, "uid": "9",
                "name": f"{self.family}-284123{self.number:02d}"}]
        if self.deleted and self.deleted <= time:
            metadata |= {"deletionTimestamp": at(self.deleted + 30),
                         "deletionGracePeriodSeconds": 30}
        if self.restarts_all:
            main["restartPolicyRules"] = [{"action": "RestartAllContainers", "exitCodes": {
                "operator": "In", "values": [42]}}]
        phase = "Running" if not over else "Failed" if failed else "Succeeded"
        return {"metadata": metadata,
                "spec": {"restartPolicy": self.policy, "nodeName": "node1",
                         "containers": [main, *({"name": name} for name in self.helpers)]},
                "status": {"phase": phase, "startTime": at(self.begin), "containerStatuses": [
                    self.status(name, runs, time)
                    for name, runs in (("main", self.main), *self.helpers.items())]}}

    def events(self):
        published = 0
        for time in self.changes():
            published = max(published + 0.01, time + 0.1 + self.chance.random() * 0.8)
            yield published, "MODIFIED", self.object(time)
        if self.gone:
            yield self.gone, "DELETED", self.object(self.gone)

    # ---- What must come of it ----

    def identity(self):
        return self.family or self.number, self.task

    def was_silent(self, number):
        """After that run. Of each helper the kubelet's status holds its last two runs."""
        run = self.main[number]
        due = int(run.end) + SILENT_AFTER
        if run.code == 0 or not self.is_final(run):
            return False
        limit = self.deleted or FOREVER
        return any(max(due, int(r.begin)) <= int(r.end) and max(due, int(r.begin)) < int(limit)
                   for runs in self.helpers.values() for r in runs)

    def records(self):
        """name: (exit code, silent)"""
        for number, run in enumerate(self.main):
            if run.code:
                silent = None
                if self.was_silent(number):
                    silent = "False" if self.ended_at() < FOREVER else "True"
                yield f"pod-{self.number}.{self.number:08d}.main.{number}", (run.code, silent)


def make(seed, deletions=0.5, pods=10):
    chance = random.Random(seed)
    return [Pod(number, chance, deletions) for number in range(pods)]


def last_words(name):
    """What the run of that record prints at its end."""
    return f"fatal: these are the last words of {name}"


def printed(events):
    """The lines that agents print: a run's is in its log a moment before the API shows its end."""
    seen = set()
    for place, (_, _, pod) in enumerate(events):
        meta, status = pod["metadata"], pod["status"]["containerStatuses"][0]
        waits = "waiting" in status["state"]
        for number, state in ((status["restartCount"], status["state"]),
                              (status["restartCount"] - (not waits), status.get("lastState", {}))):
            name = f"{meta['name']}.{meta['uid'][:8]}.main.{number}"
            if "terminated" in state and name not in seen:
                seen.add(name)
                yield {"at": max(place - 1, 0), "namespace": meta["namespace"],
                       "pod": meta["name"], "container": "main", "run": number,
                       "line": last_words(name)}


def write(folder, pods, logs=False):
    """The two files that replay_driver reads."""
    events = sorted((event for pod in pods for event in pod.events()), key=lambda event: event[0])
    with open(folder / "stream", "w") as file:
        for version, (time, kind, object_) in enumerate(events):
            object_["metadata"]["resourceVersion"] = str(1000 + version)
            file.write(json.dumps({"type": kind, "time": int(time * 1000), "object": object_}) + "\n")
    (folder / "lines").write_text("".join(json.dumps(line) + "\n" for line in printed(events))
                                  if logs else "")
    return folder / "stream", folder / "lines"


def expected(pods):
    """name: (exit code, silent, resolved) of each record."""
    successes = {}
    for pod in pods:
        for run in pod.main:
            if run.code == 0 and run.end < FOREVER:
                successes.setdefault(pod.identity(), []).append(int(run.begin))
    records = {}
    for pod in pods:
        for name, (code, silent) in pod.records():
            ended = int(pod.main[int(name.rsplit(".", 1)[1])].end)
            later = any(begin >= ended for begin in successes.get(pod.identity(), ()))
            records[name] = (code, silent, later)
    return records
