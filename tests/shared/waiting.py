"""Waits for what another process does, with a bound on hanging."""
import pathlib
import time

HANG = 60  # seconds; a bound on hanging, not a measure


def wait_until(condition, what, seconds=HANG):
    """Returns the condition's value as soon as it is true. what: for the message if it never is; a
    text, or a function that returns one."""
    end = time.monotonic() + seconds
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def wait_for_ring(watchdog):
    """Until that process holds an agent's ring: the shim tries every 2 s at most, and a classic
    sidecar starts after its agent."""
    maps = pathlib.Path(f"/proc/{watchdog}/maps")
    wait_until(lambda: "memfd:lastword" in maps.read_text(), "the watchdog has an agent's ring")
