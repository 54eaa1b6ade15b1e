"""The pytest face: options, fixtures, and what a run writes down.

Loaded in every pytest of an environment that has Keyharness, so it imports nothing heavy until a test asks
for a rig. Fixtures: `rig`, `key`, `power`, `touch`, `operation`, `campaign`, `home`.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.base import signals

if TYPE_CHECKING:
    from harness.campaign.home import Home
    from harness.campaign.result import Result
    from harness.host.locks import Lock
    from harness.model.key import Key, Operation
    from harness.model.rig import PowerSwitch, Rig, Touch
    from harness.run.run import Run
    from harness.run.session import Session

_RUN = pytest.StashKey["Run"]()
_NAME = pytest.StashKey[str]()
_SESSION = pytest.StashKey["Session"]()
_LOCK: pytest.StashKey[Lock] = pytest.StashKey()
_DONE = pytest.StashKey[frozenset[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("keyharness", "Keyharness: power cuts on security keys")
    group.addoption("--kh-bench", metavar="FILE", help="bench file; default: one simulated key")
    group.addoption(
        "--kh-rig", metavar="NAME", action="append", default=[], help="only this rig (may be repeated)"
    )
    group.addoption(
        "--kh-operation",
        metavar="NAME",
        action="append",
        default=[],
        help="only this operation (may be repeated)",
    )
    group.addoption("--kh-seed", metavar="N", type=int, help="root of all randomness; default: today's date")
    group.addoption(
        "--kh-cuts", metavar="N", type=int, help="budget of cuts over all operations; default: all"
    )
    group.addoption("--kh-budget", metavar="TIME", help="budget of time over all operations: 2h, 30m, 90s")
    group.addoption("--kh-confidence", metavar="PERCENT", help="goal of each operation, with --kh-below")
    group.addoption("--kh-below", metavar="PERCENT", help="of so many instants less may do harm")
    group.addoption("--kh-search", metavar="HOW", help="hybrid, random, sweep, vdc or time")
    group.addoption(
        "--kh-reports", metavar="DIR", default="reports", help="where runs are kept; default: reports"
    )
    group.addoption(
        "--kh-run", metavar="NAME", help="name of the run; default: date, time and four hex digits"
    )
    group.addoption(
        "--kh-resume",
        action="store_true",
        help="take up the run of --kh-run, which was killed or interrupted",
    )
    group.addoption("--kh-display", action="store_true", help="show the run as `keyharness run` does")
    group.addoption("--kh-asked", metavar="JSON", default="{}", help="what `keyharness run` was asked for")


# Last, because pytest's own reporter is made in this hook and may have to give way.
@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "case(section, needs): one row of a conformance table")
    config.addinivalue_line("markers", "keyharness_rig(name): the rig that a test runs on")
    if hasattr(config, "workerinput"):
        _end_with(config.workerinput["kh_pid"], signal.SIGTERM)
        config.stash[_DONE] = frozenset(config.workerinput["kh_done"])
        return
    signals.keep()
    if parent := os.environ.get("KEYHARNESS_PARENT"):
        # The run ends as by Ctrl-C when nobody is left who waits for it.
        _end_with(int(parent), signal.SIGINT)
    _hold_run(config)
    config.pluginmanager.register(Recorder(config), "keyharness-recorder")
    if config.getoption("kh_display"):
        from harness.pytest_plugin.display import take_over

        take_over(config)


def _end_with(parent: int, number: signal.Signals) -> None:
    from harness.base.signals import end_with

    end_with(parent, number)


def _hold_run(config: pytest.Config) -> None:
    """Keep a run that has a name from being taken up while it goes on; and take it up, if that is asked for.

    :raises pytest.UsageError: there is none to take up, or it goes on.
    """
    if not config.getoption("kh_run"):
        return
    from harness.base.errors import KeyharnessError
    from harness.host.locks import Lock

    path = _run_path(config)
    config.stash[_LOCK] = Lock(f"run {path}")
    try:
        config.stash[_LOCK].take("run")
    except KeyharnessError as error:
        raise pytest.UsageError(str(error)) from None
    if config.getoption("kh_resume"):
        if not (path / "run.json").exists():
            raise pytest.UsageError(f"--kh-resume: {path} holds no run")
        from harness.run.resume import cases_done, take_up

        take_up(path)
        config.stash[_DONE] = frozenset(cases_done(path))


def session_of(config: pytest.Config) -> Session:
    """The process's session, made when the first test asks for a rig.

    :raises pytest.UsageError: the bench, an option or a plugin is wrong.
    """
    if _SESSION not in config.stash:
        from harness.base.errors import KeyharnessError
        from harness.run.session import Session, Wanted

        bench = config.getoption("kh_bench")
        worker = getattr(config, "workerinput", {})
        try:
            config.stash[_SESSION] = Session(
                Wanted(
                    bench=Path(bench) if bench else None,
                    rigs=tuple(config.getoption("kh_rig")),
                    operations=tuple(config.getoption("kh_operation")),
                    seed=config.getoption("kh_seed"),
                    cuts=config.getoption("kh_cuts"),
                    workers=int(worker.get("workercount", 1)),
                    **_wished(config),
                )
            )
        except KeyharnessError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[_SESSION]


def _wished(config: pytest.Config) -> dict[str, Any]:
    from harness.run import options as wishes

    budget = config.getoption("kh_budget")
    return {
        "budget_us": wishes.time_us(budget) if budget is not None else None,
        "goal": wishes.goal(config.getoption("kh_confidence"), config.getoption("kh_below")),
        "search": wishes.search(config.getoption("kh_search")),
    }


def run_of(config: pytest.Config) -> Run:
    """The run that this process belongs to; its folder is made when the first test asks for a rig."""
    if _RUN not in config.stash:
        from harness.run.run import Run

        display = config.pluginmanager.get_plugin("keyharness-display")
        config.stash[_RUN] = Run(session_of(config), _run_path(config), display)
        config.stash[_RUN].start(
            json.loads(config.getoption("kh_asked")), resumed=config.getoption("kh_resume")
        )
    return config.stash[_RUN]


def _run_path(config: pytest.Config) -> Path:
    """The same in all processes of one run."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        return Path(worker["kh_run_path"])
    if _NAME not in config.stash:
        from harness.evidence.rundir import new_run_name

        config.stash[_NAME] = config.getoption("kh_run") or new_run_name()
    return Path(config.getoption("kh_reports")).absolute() / config.stash[_NAME]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: tell each worker which run it belongs to."""
    node.workerinput["kh_run_path"] = str(_run_path(node.config))
    node.workerinput["kh_pid"] = os.getpid()
    node.workerinput["kh_done"] = sorted(node.config.stash.get(_DONE, frozenset()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker a rig, where suites are run; other tests keep the scheduling they asked for."""
    if not _runs_suites(config):
        return None
    from harness.pytest_plugin.rig_ids import rig_ids
    from harness.pytest_plugin.scheduler import RigScheduling

    return RigScheduling(config, log, rig_ids(session_of(config).rig_names))


# tryfirst: xdist has an answer, too, and which plugin was loaded last differs between installations.
@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto` is one worker a rig where suites are run: what a rig does is mostly waiting."""
    return len(session_of(config).rig_names) if _runs_suites(config) else None


def _runs_suites(config: pytest.Config) -> bool:
    from harness.base.errors import KeyharnessError
    from harness.bench.registry import discover

    try:
        folders = [suite.path.resolve() for suite in discover().suites.values()]
    except KeyharnessError:
        return False
    asked = [(config.invocation_params.dir / arg.partition("::")[0]).resolve() for arg in config.args]
    return any(
        one.is_relative_to(folder) or folder.is_relative_to(one) for one in asked for folder in folders
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = metafunc.fixturenames
    if "rig" not in names and "operation" not in names:
        return
    from harness.pytest_plugin.rig_ids import rig_ids

    session = session_of(metafunc.config)
    ids = rig_ids(session.rig_names)
    if "operation" in names:
        pairs = session.pairs
        metafunc.parametrize(
            "rig,operation", pairs, indirect=True, ids=[f"{ids[rig]}-{name}" for rig, name in pairs]
        )
    else:
        rigs = session.rig_names
        metafunc.parametrize("rig", rigs, indirect=True, ids=[ids[rig] for rig in rigs])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A run that is taken up does not do again what it has done."""
    limited = config.getoption("kh_cuts") is not None or config.getoption("kh_budget") is not None
    spare = [item for item in items if "rest_of_the_budget" in getattr(item, "fixturenames", ())]
    if spare and not (limited and any(_leaves_rest(config, item) for item in spare)):
        config.hook.pytest_deselected(items=spare)
        items[:] = [item for item in items if item not in spare]
    done = config.stash.get(_DONE, frozenset())
    if done:
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
        items[:] = [item for item in items if item.nodeid not in done]


def _leaves_rest(config: pytest.Config, item: pytest.Item) -> bool:
    rig = _param(item, "rig")
    return rig is not None and session_of(config).shares(rig).leaves_rest


def pytest_itemcollected(item: pytest.Item) -> None:
    rig = _param(item, "rig")
    if rig is not None:
        item.add_marker(pytest.mark.keyharness_rig(rig))
        item.user_properties.append(("rig", rig))
        item.user_properties.append(("suite", item.path.parent.name))


def _param(item: pytest.Item, name: str) -> str | None:
    spec = getattr(item, "callspec", None)
    return spec.params.get(name) if spec else None


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The rig under test. Where states can be copied every test starts from the home state, the key off."""
    run = run_of(request.config)
    session = run.session
    the_rig = _rig(session, request.param)
    run.label(the_rig, request.node)
    if not the_rig.expendable:
        pytest.skip(f'rig "{the_rig.name}": its key is not called expendable in {session.bench.shown}')
    home = _home(session, the_rig)
    run.note_key(the_rig)
    # What was said before this test is not about it.
    the_rig.take_log()
    if the_rig.vault is not None and home.state is not None:
        the_rig.vault.restore(home.state)
    yield the_rig
    the_rig.power.off()


def _rig(session: Session, name: str) -> Rig:
    """A rig by its name; one that is not there is skipped, which makes the run inconclusive."""
    from harness.base.errors import RigError
    from harness.evidence.rundir import NOT_THERE

    try:
        return session.rig(name)
    except RigError as error:
        found = f", found: {error.found}" if error.found else ""
        pytest.skip(f"{NOT_THERE}: {error.what}{found}".replace("\n", " "))


def _home(session: Session, rig: Rig) -> Home:
    """The rig's home state; a quarantined rig is skipped, which makes the run inconclusive."""
    from harness.evidence.rundir import QUARANTINED
    from harness.safety.claim import RigQuarantined

    try:
        session.custody.refuse_quarantined(rig)
        return session.home(rig.name)
    except RigQuarantined as error:
        pytest.skip(f"{QUARANTINED}: {str(error.found).splitlines()[0]}")


@pytest.fixture
def home(rig: Rig, request: pytest.FixtureRequest) -> Home:
    """What was laid down on the key; its memory is a copy that a test may change."""
    from dataclasses import replace

    home = session_of(request.config).home(rig.name)
    return replace(home, memory=home.memory.copy())


@pytest.fixture
def key(rig: Rig) -> Key:
    return rig.key


@pytest.fixture
def power(rig: Rig) -> PowerSwitch:
    return rig.power


@pytest.fixture
def touch(rig: Rig) -> Touch:
    return rig.touch


@pytest.fixture
def operation(request: pytest.FixtureRequest, rig: Rig) -> Operation:
    """The operation under test: every one of the rig's key."""
    return rig.key.operations[request.param]


@pytest.fixture
def campaign(request: pytest.FixtureRequest, rig: Rig, operation: Operation) -> Callable[[], Result]:
    """Cut the operation wherever the plan says; fails the test if the key lost anything."""
    run = run_of(request.config)
    missing = run.session.missing(rig.name, operation.name)
    if missing:
        pytest.skip(f"not offered: {missing}")

    def cut() -> Result:
        __tracebackhide__ = True
        result, failure = run.campaign(rig.name, operation.name)
        if failure:
            request.node.user_properties.append(("campaign", operation.name))
            pytest.fail(failure, pytrace=False)
        return result

    return cut


@pytest.fixture
def rest_of_the_budget(request: pytest.FixtureRequest, rig: Rig) -> Callable[[], None]:
    """Spend what is left of the rig's budget where outcomes are new; fails the test if the key lost anything."""
    run = run_of(request.config)

    def spend() -> None:
        __tracebackhide__ = True
        if failure := run.rest(rig.name):
            request.node.user_properties.append(("campaign", "rest"))
            pytest.fail(failure, pytrace=False)

    return spend


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _param(item, "rig") is None:
        return report
    if call.excinfo is not None and not report.skipped:
        from harness.base.errors import KeyharnessError
        from harness.pytest_plugin.cases import blame_of

        error = call.excinfo.value
        if isinstance(error, KeyharnessError):
            report.longrepr = str(error)
        session = session_of(item.config)
        rig = session.rig(str(_param(item, "rig")))
        report.user_properties.append(("blame", blame_of(error, rig.key)))
        session.custody.fault(rig, error)
        if lines := rig.take_log():
            from harness.report.allure_labels import attach_text

            report.sections.append(("Kernel log of the rig's port", "\n".join(lines)))
            attach_text("\n".join(lines) + "\n", "kernel log")
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give every rig back as it was found."""
    if _SESSION in config.stash:
        config.stash[_SESSION].close()


class Recorder:
    """In the process that the user started: notes each case, and finishes the run."""

    def __init__(self, config: pytest.Config):
        self._config = config
        self._cases: dict[str, dict[str, Any]] = {}
        self._interrupted = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        from harness.pytest_plugin.cases import merged

        if not any(name == "rig" for name, _ in report.user_properties):
            return
        row = self._cases[report.nodeid] = merged(report, self._cases.get(report.nodeid))
        if report.when == "teardown":
            from harness.evidence.rundir import RunDir

            RunDir(_run_path(self._config)).note_case(row)
            display = self._config.pluginmanager.get_plugin("keyharness-display")
            if display is not None:
                display.case(row)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Tell a run that is taken up what it had done, on the display and in JUnit's file."""
        if not self._config.getoption("kh_resume"):
            return
        from harness.pytest_plugin.cases import tell_junit
        from harness.run.resume import cases_done
        from harness.run.run import announce

        path = _run_path(self._config)
        display = self._config.pluginmanager.get_plugin("keyharness-display")
        announce(path, display)
        for row in cases_done(path).values():
            tell_junit(self._config, row)
            if display is not None:
                display.case(row)

    def pytest_runtest_logstart(self) -> None:
        signals.check()

    def pytest_keyboard_interrupt(self) -> None:
        self._interrupted = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
        path = _run_path(self._config)
        if not (path / "run.json").exists():
            return
        from harness.run.run import finish

        session.exitstatus = finish(
            path,
            complete=exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
            # A run that was killed after its last case has nothing left to do.
            or (exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and bool(self._config.stash.get(_DONE, ()))),
            interrupted=self._interrupted or signals.wished() or exitstatus == pytest.ExitCode.INTERRUPTED,
            display=self._config.pluginmanager.get_plugin("keyharness-display"),
        )
