"""Show the run in place of pytest's own output; pytest's output appears only if there was no run."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import pytest
from _pytest.terminal import TerminalReporter

from harness.base.clock import MonotonicClock
from harness.report.events import RunEvents
from harness.report.terminal import RunDisplay


class DisplayPlugin:
    """The run's display, as a pytest plugin.

    :param display: shows the run to a person, or to a program.
    :param kept: output of pytest's own reporter, written at the end if there was no run to show.
    :param stream: where that is written.
    """

    def __init__(
        self, display: RunDisplay | RunEvents, clock: MonotonicClock, kept: io.StringIO, stream: TextIO
    ):
        self._display, self._clock = display, clock
        self._stream, self._kept = stream, kept
        self._began: dict[tuple[str, str], int] = {}
        self._finished = False
        self._cases = 0

    def started(self, head: dict[str, Any]) -> None:
        self._display.started(head)
        self._display.expect(self._cases)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        # The process that only hands cases on to workers has collected none.
        self._cases = len(session.items)

    def case(self, row: dict[str, Any]) -> None:
        self._display.case(row)

    def waits(self, nodeid: str, seconds: float) -> None:
        self._display.waits(nodeid, seconds)

    def campaign(self, rig: str, operation: str, done: int, total: int) -> None:
        now = self._clock.now_us
        began = self._began.setdefault((rig, operation), now)
        seconds = (now - began) / 1e6
        rate = done / seconds if done and seconds > 0.2 else None
        self._display.campaign(rig, operation, done, total, rate, (total - done) / rate if rate else None)

    def campaign_done(self, row: dict[str, Any]) -> None:
        self._display.operation(row)

    def finished(self, summary: dict[str, Any], run: Path) -> None:
        self._finished = True
        page = run / "index.html"
        shown = page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page
        self._display.report = str(shown) if page.exists() else None
        self._display.finished(summary)

    def pytest_unconfigure(self) -> None:
        self._display.close()
        if not self._finished:
            self._stream.write(self._kept.getvalue())


def replace_reporter(config: pytest.Config) -> None:
    """Replace pytest's reporter by our display; the reporter goes on writing into memory."""
    manager = config.pluginmanager
    kept = io.StringIO()
    reporter = manager.get_plugin("terminalreporter")
    if reporter is not None:
        manager.unregister(reporter)
        manager.register(TerminalReporter(config, kept), "terminalreporter")
    manager.register(_plugin(config, kept), "keyharness-display")


def _plugin(config: pytest.Config, kept: io.StringIO) -> DisplayPlugin:
    clock, verbosity = MonotonicClock(), config.get_verbosity()
    stream = _outside_of_capture(sys.stdout)
    if config.getoption("kh_json"):
        events = RunEvents(stream, clock=clock, verbosity=verbosity)
        # What pytest says is for people, and standard output for programs.
        return DisplayPlugin(events, clock, kept, _outside_of_capture(sys.stderr))
    bench, color = config.getoption("kh_bench"), config.option.color
    display = RunDisplay(stream, clock=clock, bench=bench, verbosity=verbosity, color=color)
    return DisplayPlugin(display, clock, kept, stream)


def _outside_of_capture(stream: TextIO) -> TextIO:
    """Return another stream to the same file: while a test runs, pytest captures what is written to the descriptor."""
    try:
        other = os.dup(stream.fileno())
    except (OSError, ValueError):
        # It has no descriptor, so only the object is captured.
        return stream
    return open(other, "w", buffering=1, encoding=stream.encoding, errors=stream.errors)
