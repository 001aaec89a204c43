"""The registries of registries.py as fixtures."""
import subprocess

import pytest
from registries import HANG, LASTWORD, Registry, Scripted, Tls


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def registry(tmp_path_factory, tls):
    running = Registry(tmp_path_factory.mktemp("registry"), tls)
    yield running
    running.stop()


@pytest.fixture
def scripted(tls):
    server = Scripted(tls)
    yield server
    server.stop()


@pytest.fixture
def images(tls, tmp_path):
    """Runs `lastword images`; credentials are those in tmp_path/config.json, if any."""
    def run(*arguments):
        if not (tmp_path / "config.json").exists():
            (tmp_path / "config.json").write_text("{}")
        return subprocess.run(
            [LASTWORD, "images", "--ca-file", tls.chain, "--docker-config", tmp_path, *arguments],
            capture_output=True, text=True, timeout=HANG, stdin=subprocess.DEVNULL)
    return run
