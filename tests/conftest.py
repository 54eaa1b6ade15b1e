"""Fixtures that tests of several rooms share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from support.command import Cli
from support.latched_lab import latched_lab


def pytest_configure() -> None:
    """Let SIGINT end the processes of tests, also where a shell started pytest in the background with it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture
def lab(cli):
    """`cli` with the plugin of `latched_rig.py` installed, and a bench with one such rig."""
    return latched_lab(cli)


@pytest.fixture
def own_state(tmp_path, monkeypatch):
    """State and locks of this test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.delenv("KEYHARNESS_LEDGER", raising=False)
    return tmp_path
