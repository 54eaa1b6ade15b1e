"""A second try for tests that depend on how soon the host lets a process go on.

A test whose file starts processes, threads or servers can fail on a busy host although nothing is wrong. When it
fails, everything that it uses is torn down, set up anew and tried once more; the end of the run names it and why it
failed at first. A test that only computes has no second try: it fails alike each time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

STARTS = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "socket.bind", "_thread.start_new_thread"}
)
"""Audit events (Python's table of them) of what runs beside a test."""
PROPERTY = "second_try"


class SecondTry:
    """Listens to what tests start, and runs a failed one again."""

    def __init__(self) -> None:
        self.file = ""
        self.live: set[str] = set()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event in STARTS:
            self.live.add(self.file)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test as pytest does; where it failed beside a live process, once more."""
        self.file = item.nodeid.partition("::")[0]
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if self.file in self.live and (first := _failure(reports)) and not item.session.shouldstop:
            # Fixtures of the file and of the session as well: the failure may stand in one of them.
            item.session._setupstate.teardown_exact(None)
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            for report in reports:
                report.user_properties.append((PROPERTY, first))
                report.sections.append(("first try", first))
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what passed at its second try."""
        again = {
            report.nodeid: text
            for report in terminalreporter.stats.get("passed", [])
            for name, text in report.user_properties
            if name == PROPERTY
        }
        if again:
            terminalreporter.section("passed at the second try")
            for nodeid, text in again.items():
                terminalreporter.line(f"{nodeid}: {text.splitlines()[-1]}")


def _failure(reports: Sequence[pytest.TestReport]) -> str | None:
    """What the first failed phase said."""
    return next((report.longreprtext or "failed" for report in reports if report.failed), None)
