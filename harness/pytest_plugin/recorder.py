"""What a run records in pytest: its lock, each case with its blame, and how the run ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from harness.base import signals
from harness.pytest_plugin import booking
from harness.pytest_plugin.deviations import mark_deviation
from harness.pytest_plugin.options import DISPLAY, close_session, run_of, run_path, session_of

if TYPE_CHECKING:
    from harness.host.locks import Lock

_LOCK: pytest.StashKey[Lock] = pytest.StashKey()
_DONE = pytest.StashKey[frozenset[str]]()


# Last, because pytest makes its own reporter in this hook, and --kh-display replaces it.
@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "case(section, needs, level, ...): one row of a conformance table; level SHOULD: a recommendation",
    )
    config.addinivalue_line(
        "markers",
        "needs_application(*names): the applications that a test asks; a key without one is not asked",
    )
    config.addinivalue_line(
        "markers", "waits(seconds): a case that lets so much time pass; --kh-quick leaves it out from 30 s on"
    )
    config.addinivalue_line("markers", "keyharness_rig(name): the rig that a test runs on")
    if hasattr(config, "workerinput"):
        signals.end_with(config.workerinput["kh_pid"], signal.SIGTERM)
        config.stash[_DONE] = frozenset(config.workerinput["kh_done"])
        return
    signals.keep()
    if parent := os.environ.get("KEYHARNESS_PARENT"):
        # Without a parent nobody waits for the run: it ends as with Ctrl-C.
        signals.end_with(int(parent), signal.SIGTERM)
    _hold_run(config)
    config.pluginmanager.register(Recorder(config), "keyharness-recorder")
    if config.getoption("kh_display"):
        from harness.pytest_plugin.display import replace_reporter

        replace_reporter(config)


def _hold_run(config: pytest.Config) -> None:
    """Lock a run that has a name, so that no other process continues it; with --kh-resume, continue it.

    :raises pytest.UsageError: there is no such run to continue, its folder is damaged, or another process has it.
    """
    if not config.getoption("kh_run"):
        return
    from harness.base.errors import KeyharnessError
    from harness.host.locks import Lock

    path = run_path(config)
    config.stash[_LOCK] = Lock(f"run {path}")
    try:
        config.stash[_LOCK].take("run")
    except KeyharnessError as error:
        raise pytest.UsageError(str(error)) from None
    if config.getoption("kh_resume"):
        if not (path / "run.json").exists():
            raise pytest.UsageError(f"--kh-resume: {path} holds no run")
        from harness.run import resume

        try:
            resume.take_up(path)
            config.stash[_DONE] = frozenset(resume.cases_done(path))
        except KeyharnessError as error:
            raise pytest.UsageError(f"--kh-resume: {error}") from None


def cases_done(config: pytest.Config) -> frozenset[str]:
    """Return the node ids of the cases that were finished before the run was continued."""
    return config.stash.get(_DONE, frozenset())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases that a continued run has finished."""
    if done := cases_done(config):
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
        items[:] = [item for item in items if item.nodeid not in done]


# Last, so that other plugins see the report as it is in the end.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the blame of an exception to the report of a case on a rig, and the kernel's log of the rig's port.

    What is a deviation becomes one.
    """
    report = yield
    booking.carry(item, report)
    name = dict(item.user_properties).get("rig")
    if name is None or report.skipped:
        return report
    blamed: BaseException | None = None
    if call.excinfo is not None:
        from harness.base.errors import Blame, KeyharnessError
        from harness.pytest_plugin.cases import blame_of

        error = call.excinfo.value
        if isinstance(error, KeyharnessError):
            report.longrepr = str(error)
        session = session_of(item.config)
        try:
            rig = session.rig(str(name))
        except KeyharnessError as absent:
            # The case asked for a rig that is not there, which is all that is wrong.
            report.user_properties.append(("blame", absent.blame))
            return report
        blame = blame_of(error, rig.key)
        report.user_properties.append(("blame", blame))
        blamed = error if blame == Blame.KEY else None
        session.claims.fault(rig, error)
        if lines := rig.take_log():
            from harness.report.allure_labels import attach_text

            report.sections.append(("Kernel log of the rig's port", "\n".join(lines)))
            attach_text("\n".join(lines) + "\n", "kernel log")
    if blamed is not None or report.when == "call":
        session = session_of(item.config)
        rig = session.rig(str(name))
        mark_deviation(item, report, blamed, rig.key, lambda: session.bench.deviations)
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    close_session(config)


class Recorder:
    """Note each case and finish the run. Only in the process that the user started, not in workers."""

    def __init__(self, config: pytest.Config):
        self._config = config
        self._cases: dict[str, dict[str, Any]] = {}
        self._interrupted = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not any(name == "rig" for name, _ in report.user_properties):
            return
        from harness.pytest_plugin.cases import merge_phase

        row = self._cases[report.nodeid] = merge_phase(report, self._cases.get(report.nodeid))
        if report.when == "teardown":
            self._note(row)
            display = self._config.pluginmanager.get_plugin(DISPLAY)
            if display is not None:
                display.case(row)
        for one in booking.carried(report):
            self._book(str(dict(report.user_properties)["rig"]), one)

    def _note(self, row: Mapping[str, Any]) -> None:
        from harness.base.errors import KeyharnessError
        from harness.evidence.rundir import RunDir

        path = run_path(self._config)
        if not (path / "run.json").exists():
            # A hook of a suite skipped the case before its rig was asked for, which makes the run's folder.
            try:
                run_of(self._config)
            except KeyharnessError:
                # All rigs are absent. Each case has failed and said so, and there is no run.
                return
        RunDir(path).note_case(row)

    def _book(self, rig: str, found: booking.Booking) -> None:
        """Report the case of an operation once more, as failed, if it has passed; perhaps before the run was killed."""
        from harness.run import resume

        for row in [*resume.cases_done(run_path(self._config)).values(), *self._cases.values()]:
            at = row["rig"], row.get("operation"), row["outcome"]
            if at == (rig, found.operation, "passed"):
                self._cases.setdefault(row["nodeid"], row)
                booking.report_again(self._config, row, found)
                return

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Show what a continued run had done, and add it to JUnit's file."""
        if not self._config.getoption("kh_resume"):
            return
        from harness.pytest_plugin.cases import add_to_junit
        from harness.run import resume
        from harness.run.run import announce

        path = run_path(self._config)
        display = self._config.pluginmanager.get_plugin(DISPLAY)
        announce(path, display)
        for row in resume.cases_done(path).values():
            add_to_junit(self._config, row)
            if display is not None:
                display.case(row)

    def pytest_runtest_logstart(self) -> None:
        signals.check()

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note it; leave pytest the innermost frame, because it shows every frame's source and arguments.

        That takes as long as the whole report, and who interrupts a run waits for it.
        """
        self._interrupted = True
        excinfo.traceback = excinfo.traceback[-1:]

    def _stopped_early(self, session: pytest.Session) -> bool:
        return bool(session.shouldfail) and any(item.nodeid not in self._cases for item in session.items)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
        path = run_path(self._config)
        if not (path / "run.json").exists():
            return
        from harness.run.run import finish

        session.exitstatus = finish(
            path,
            # With --fail-fast pytest stops before the last case, unless that is the one that fails.
            complete=(
                exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
                and not self._stopped_early(session)
            )
            # A run that was killed after its last case has nothing left to do.
            or (exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and bool(cases_done(self._config))),
            interrupted=self._interrupted
            or signals.interrupted()
            or exitstatus == pytest.ExitCode.INTERRUPTED,
            display=self._config.pluginmanager.get_plugin(DISPLAY),
        )
