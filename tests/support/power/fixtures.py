"""Fixtures for tests of power and touch drivers: a host in a folder, a clock that does not wait, a cutter."""

from __future__ import annotations

import pytest

from harness.base.clock import VirtualClock
from harness.host.cutter import Cutter
from harness.host.host import Host


@pytest.fixture(autouse=True)
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(tmp_path / "runtime"))


@pytest.fixture
def host(tmp_path) -> Host:
    """A machine in a folder: /dev with nothing in it."""
    root = tmp_path / "root"
    (root / "dev").mkdir(parents=True)
    return Host(root)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(scope="session")
def cutter_process():
    made = Cutter()
    yield made
    made.close()


@pytest.fixture
def cutter(cutter_process):
    yield cutter_process
    cutter_process.disarm()
