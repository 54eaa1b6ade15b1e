"""Fixtures that tests of several rooms share."""

from __future__ import annotations

import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.command import Cli
from support.guest.machine import Machine as Guest
from support.latched_lab import latched_lab
from support.second_try import SecondTry

# A busy host is no fault, and every run of the tests tries the same examples.
settings.register_profile(
    "keyharness", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("keyharness")


def pytest_configure(config: pytest.Config) -> None:
    """Give tests of live processes a second try, and let signals end them.

    What starts pytest may ignore these signals: a shell, nohup.
    """
    config.pluginmanager.register(SecondTry(), "keyharness-second-try")
    # Tests that ask single cases of the suites import their files, which have it.
    config.addinivalue_line("markers", "reads: the case changes nothing on the card")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the virtual machine's console beside what failed in it."""
    report = yield
    machine = getattr(item, "funcargs", {}).get("machine")
    if report.failed and isinstance(machine, Guest):
        report.sections.append(("the virtual machine", machine.last_words()))
    return report


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
