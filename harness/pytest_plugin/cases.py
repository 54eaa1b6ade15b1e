"""Turn pytest's reports into rows of results.jsonl: one row for each case, over all its phases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import pytest

from harness.base.errors import Blame, KeyharnessError, host_error
from harness.bench.plugin_api import Suite
from harness.pytest_plugin.deviations import PROPERTY, in_a_line, turn

if TYPE_CHECKING:
    from harness.model.key import Key

NOT_OFFERED = "not offered"
"""The reason of a skip begins so if the key does not have the feature."""


def blame_of(error: BaseException, key: Key) -> str:
    """Return whose fault an exception is that ended a test. A bug in a suite does not count against the key.

    :param key: the key under test, whose clients say which of their libraries' exceptions are the key's fault.
    """
    if (fault := host_error(error)) is not None:
        error = fault
    if isinstance(error, KeyharnessError):
        return error.blame.value
    if isinstance(error, pytest.fail.Exception):
        return (Blame.KEY if _is_claim(error) else Blame.HARNESS).value
    if isinstance(error, AssertionError | OSError):
        return Blame.KEY.value
    return (Blame.HARNESS if key.fault(error) is None else Blame.KEY).value


def _is_claim(failure: BaseException) -> bool:
    """Whether pytest.fail was called by a suite or by Keyharness. Other plugins call it, too: pytest-timeout does."""
    names = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(failure.__traceback__)]
    callers = [name for name in names if name.partition(".")[0] not in ("_pytest", "pytest", "pluggy")]
    return not callers or callers[-1].partition(".")[0] not in _other_plugins()


@cache
def _other_plugins() -> frozenset[str]:
    """The top-level modules of the pytest plugins that are installed, less ours."""
    tops = {entry.value.partition(":")[0].partition(".")[0] for entry in entry_points(group="pytest11")}
    return frozenset(tops - {"harness"})


def lacking_application(item: pytest.Item, key: Key, suites: Iterable[Suite]) -> str | None:
    """The application that a test asks and the key does not have, or None.

    The nearest mark `needs_application` decides; without one the suite that the test's file is in.
    """
    mark = item.get_closest_marker("needs_application")
    names = mark.args if mark is not None else _of_suite(item.path, suites)
    return _lacking(names, key)


def rigs_asked(definition: pytest.Item, keys: Mapping[str, Key], suites: Iterable[Suite]) -> list[str]:
    """The rigs that a case is asked of: those whose key has its application. Where no key has it, all of them.

    Then each says so; but beside a rig that is asked, a key of another kind is not worth a line for each case.

    :param keys: by the names of the rigs, in their order.
    """
    suites = list(suites)
    able = [rig for rig, key in keys.items() if lacking_application(definition, key, suites) is None]
    return able or list(keys)


def _of_suite(path: Path, suites: Iterable[Suite]) -> tuple[str, ...]:
    return tuple(suite.application for suite in suites if path.is_relative_to(suite.path.resolve()))


def _lacking(names: Iterable[str], key: Key) -> str | None:
    offered = {application.name for application in key.applications}
    return next((name for name in names if name and name not in offered), None)


POLICY = "policy"
"""A property that a case records: a sentence about what the key allows, for the report; no failure."""
DEVIATION = "deviation"
"""The outcome of a case whose key deviates from a recommendation, or as the bench accepts."""
_RANK = ["passed", "not_offered", "skipped", DEVIATION, "error", "failed"]


def merge_phase(report: pytest.TestReport, before: dict[str, Any] | None) -> dict[str, Any]:
    """Return the row of a case after one more phase; the worst phase decides."""
    properties = dict(report.user_properties)
    outcome, reason = _outcome(report)
    row = {
        "nodeid": report.nodeid,
        "suite": properties.get("suite"),
        "rig": properties.get("rig"),
        "outcome": outcome,
        "blame": _blame(outcome, properties),
        "reason": reason,
        "duration_s": round(report.duration, 4),
        "campaign": properties.get("campaign"),
        "operation": properties.get("operation"),
        "clause": properties.get("clause"),
        "deviation": properties.get(PROPERTY),
    }
    if (policy := properties.get(POLICY)) is not None:
        row[POLICY] = policy
    if before is None:
        return row
    row["duration_s"] = round(before["duration_s"] + report.duration, 4)
    if _RANK.index(before["outcome"]) >= _RANK.index(outcome):
        for name in ("outcome", "blame", "reason", "deviation"):
            row[name] = before[name]
    return row


def _outcome(report: pytest.TestReport) -> tuple[str, str | None]:
    if report.passed:
        return "passed", None
    if report.skipped and PROPERTY in dict(report.user_properties):
        return DEVIATION, report.wasxfail
    if report.skipped:
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        return ("not_offered" if reason.startswith(NOT_OFFERED) else "skipped"), reason
    # A failed set-up or tear-down says nothing about the key.
    return ("failed" if report.when == "call" else "error"), in_a_line(report)


def add_to_junit(config: pytest.Config, row: dict[str, Any]) -> None:
    """Add a case that was finished before the run was continued to JUnit's file."""
    from _pytest.junitxml import xml_key

    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    reason = str(row["reason"])
    file, _, name = row["nodeid"].rpartition("::")
    for when in ("setup", "call", "teardown"):
        # An error happened in set-up or tear-down; the row does not say in which.
        at = "setup" if row["outcome"] in ("error", "skipped", "not_offered") else "call"
        outcome: Any = "passed"
        longrepr: Any = None
        if when == at and row["outcome"] != "passed":
            skipped = row["outcome"] in ("skipped", "not_offered", DEVIATION)
            outcome, longrepr = ("skipped", (file, 0, reason)) if skipped else ("failed", reason)
        elif when == "call" and at == "setup":
            continue
        report = pytest.TestReport(
            nodeid=row["nodeid"],
            location=(file, None, name),
            keywords={},
            outcome=outcome,
            longrepr=longrepr,
            when=when,
            duration=row["duration_s"] if when == at else 0.0,
            user_properties=[("rig", row["rig"]), ("suite", row["suite"])],
        )
        if row["outcome"] == DEVIATION and when == at:
            turn(report, str(row.get("deviation")), reason)
        xml.pytest_runtest_logreport(report)


def _blame(outcome: str, properties: dict[str, Any]) -> str | None:
    if outcome in ("passed", "skipped", "not_offered"):
        return None
    return properties.get("blame") or ("key" if outcome == "failed" else "harness")
