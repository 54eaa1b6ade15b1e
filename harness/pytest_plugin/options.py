"""The plugin's options (--kh-...), and the session and the run that they describe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.run.run import Run
    from harness.run.session import Session
    from harness.run.wanted import Wanted

DISPLAY = "keyharness-display"
"""Name of the plugin that shows the run; pytest has it only with --kh-display."""
_RUN = pytest.StashKey["Run"]()
_RUN_NAME = pytest.StashKey[str]()
_SESSION = pytest.StashKey["Session"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("keyharness", "Keyharness: power cuts on security keys")
    group.addoption("--kh-bench", metavar="FILE", help="bench file; default: two simulated keys")
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
    group.addoption(
        "--kh-home",
        metavar="NAME",
        action="append",
        default=[],
        help="cut from this home of the key (may be repeated); default: the bench's",
    )
    group.addoption("--kh-seed", metavar="N", type=int, help="root of all randomness; default: today's date")
    group.addoption(
        "--kh-cuts", metavar="N", type=int, help="budget of cuts for all operations together; default: all"
    )
    group.addoption(
        "--kh-budget", metavar="TIME", help="budget of time for all operations together: 2h, 30m, 90s"
    )
    group.addoption("--kh-confidence", metavar="PERCENT", help="goal of each operation, with --kh-below")
    group.addoption(
        "--kh-below", metavar="PERCENT", help="goal: fewer than this share of all instants may do harm"
    )
    group.addoption("--kh-search", metavar="HOW", help="hybrid, random, sweep, vdc or time")
    group.addoption(
        "--kh-quick", action="store_true", help="leave out the cases that wait for 30 s or longer"
    )
    group.addoption(
        "--kh-require", metavar="PROOF", help="a pass needs this proof: bounded or exhaustive; default: none"
    )
    group.addoption(
        "--kh-reports", metavar="DIR", default="reports", help="folder of all runs; default: reports"
    )
    group.addoption(
        "--kh-run", metavar="NAME", help="name of the run; default: date, time and four hex digits"
    )
    group.addoption(
        "--kh-resume", action="store_true", help="continue the run --kh-run, which was killed or interrupted"
    )
    group.addoption("--kh-display", action="store_true", help="show the run as `keyharness run` does")
    group.addoption("--kh-json", action="store_true", help="with --kh-display: as JSON lines, for programs")
    group.addoption(
        "--kh-last-failed", metavar="RUN", help="only the cases that failed in this run, of --kh-reports"
    )
    group.addoption(
        "--kh-asked", metavar="JSON", default="{}", help="arguments of `keyharness run`, for run.json"
    )


def session_of(config: pytest.Config) -> Session:
    """Return the session of this process; the first call makes it.

    :raises pytest.UsageError: the bench, an option or a plugin is wrong.
    """
    if _SESSION not in config.stash:
        from harness.base.errors import KeyharnessError
        from harness.run.session import Session

        try:
            config.stash[_SESSION] = Session(_wanted(config))
        except KeyharnessError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[_SESSION]


def close_session(config: pytest.Config) -> None:
    """Release the rigs of this process, if it took any, in the power state in which they were found."""
    if _SESSION in config.stash:
        config.stash[_SESSION].close()


def _wanted(config: pytest.Config) -> Wanted:
    from harness.run import options
    from harness.run.wanted import Wanted

    bench, budget = config.getoption("kh_bench"), config.getoption("kh_budget")
    worker = getattr(config, "workerinput", {})
    return Wanted(
        bench=Path(bench) if bench else None,
        rigs=tuple(config.getoption("kh_rig")),
        operations=tuple(config.getoption("kh_operation")),
        seed=config.getoption("kh_seed"),
        cuts=config.getoption("kh_cuts"),
        workers=int(worker.get("workercount", 1)),
        budget_us=options.time_us(budget) if budget is not None else None,
        goal=options.goal(config.getoption("kh_confidence"), config.getoption("kh_below")),
        search=options.search(config.getoption("kh_search")),
        require=options.require(config.getoption("kh_require")),
        quick=config.getoption("kh_quick"),
        homes=tuple(config.getoption("kh_home")),
        absent=tuple(json.loads(config.getoption("kh_asked")).get("absent", ())),
    )


def run_of(config: pytest.Config) -> Run:
    """Return the run that this process belongs to; the first call makes its folder.

    :raises pytest.UsageError: as `session_of`.
    """
    if _RUN not in config.stash:
        from harness.run.run import Run

        display = config.pluginmanager.get_plugin(DISPLAY)
        run = Run(session_of(config), run_path(config), display)
        run.start(json.loads(config.getoption("kh_asked")), resumed=config.getoption("kh_resume"))
        config.stash[_RUN] = run
    return config.stash[_RUN]


def run_path(config: pytest.Config) -> Path:
    """Return the folder of the run: the same in all processes of one run."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        return Path(worker["kh_run_path"])
    if _RUN_NAME not in config.stash:
        from harness.evidence.rundir import new_run_name

        config.stash[_RUN_NAME] = config.getoption("kh_run") or new_run_name()
    return Path(config.getoption("kh_reports")).absolute() / config.stash[_RUN_NAME]
