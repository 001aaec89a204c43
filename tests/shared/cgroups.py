"""A memory cgroup, v1 or v2, as the machine has it."""
import os
import pathlib
import signal
import time

from waiting import wait_until

LIMIT = 48 << 20
V1 = pathlib.Path("/sys/fs/cgroup/memory")
V2 = pathlib.Path("/sys/fs/cgroup")


class Container:
    """A memory cgroup with a limit, as a container runtime makes one."""

    def __init__(self, limit=LIMIT):
        self.limit = limit
        self.v2 = not (V1 / "memory.limit_in_bytes").exists()
        self.path = (V2 if self.v2 else V1) / f"lastword-test-{os.getpid()}-{time.monotonic_ns()}"
        if self.v2:
            (V2 / "cgroup.subtree_control").write_text("+memory")
        self.path.mkdir()
        self.write("memory.max" if self.v2 else "memory.limit_in_bytes", limit)
        for name in ("memory.swap.max", "memory.memsw.limit_in_bytes"):
            if (self.path / name).exists():
                self.write(name, 0 if self.v2 else limit)

    def write(self, name, value):
        (self.path / name).write_text(str(value))

    def join(self):
        """To be called in a child between fork and exec."""
        self.write("cgroup.procs", os.getpid())

    def used(self):
        """Bytes charged to it, the kernel's own for it among them."""
        name = "memory.current" if self.v2 else "memory.usage_in_bytes"
        return int((self.path / name).read_text())

    def peak(self):
        """The most that was charged to it at a time, or what is now where no kernel keeps it."""
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            if (self.path / name).exists():
                return int((self.path / name).read_text())
        return self.used()

    def kill(self):
        for pid in (self.path / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)

    def remove(self):
        self.kill()
        wait_until(lambda: not (self.path / "cgroup.procs").read_text(), "an empty cgroup")
        self.path.rmdir()
