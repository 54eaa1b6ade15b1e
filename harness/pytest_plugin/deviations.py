"""Deviations: from a recommendation of a specification, or known and accepted by the bench. They do not fail a run.

A case whose mark says `level="SHOULD"` asks for a recommendation: that the key does otherwise is a deviation. A case
of a requirement may look at recommendations on its way, with `deviates`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.bench.deviations import AcceptedDeviation
    from harness.model.key import Key

SHOULD = "SHOULD"
"""The level of a case that asks for a recommendation; without a level a case asks for a requirement."""
RECOMMENDATION, ACCEPTED = "recommendation", "accepted"
PROPERTY = "deviation"
"""The property of a report, for JUnit's file and results.jsonl: RECOMMENDATION or ACCEPTED."""

_noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)
_NOTED = pytest.StashKey[list[str]]()


@contextmanager
def deviations_noted() -> Iterator[list[str]]:
    """Collect what `deviates` is told while this is entered."""
    noted: list[str] = []
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def deviates(what: str) -> None:
    """Note that the key does otherwise than a specification recommends. The case goes on.

    :raises RuntimeError: no case is running.
    """
    noted = _noted.get()
    if noted is None:
        raise RuntimeError(f"no case is running that could note: {what}")
    noted.append(what)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Keep what a case notes for its report."""
    with deviations_noted() as noted:
        item.stash[_NOTED] = noted
        return (yield)


def clause_of(item: pytest.Item) -> str | None:
    """Return the section of the specification that asks for a case, as its mark says."""
    mark = item.get_closest_marker("case")
    return str(mark.args[0]) if mark is not None and mark.args else None


def mark_deviation(
    item: pytest.Item,
    report: pytest.TestReport,
    error: BaseException | None,
    key: Key,
    deviations: Callable[[], list[AcceptedDeviation]],
) -> None:
    """Turn the report of a case into that of a deviation, if it is one.

    :param error: the exception that ended the phase, blamed on the key; None if none did.
    :param deviations: what the bench accepts.
    """
    noted = item.stash.get(_NOTED, [])
    kind, said = None, ""
    if report.passed and report.when == "call" and noted:
        kind, said = RECOMMENDATION, "; ".join(dict.fromkeys(noted))
    elif report.failed and error is not None:
        said = in_a_line(report)
        if _is_recommended(item) and report.when == "call" and _is_an_answer(error, key):
            kind = RECOMMENDATION
        elif (one := _accepted(item, deviations())) is not None:
            kind, said = ACCEPTED, f"accepted until {one.until}, {one.reason}: {said}"
    if kind is not None:
        turn(report, kind, said)
        # JUnit's file takes a case's properties from its last phase.
        item.user_properties.append((PROPERTY, kind))


def _is_recommended(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("case")
    return mark is not None and mark.kwargs.get("level") == SHOULD


def _is_an_answer(error: BaseException, key: Key) -> bool:
    """Whether the key answered, otherwise than recommended. A key that is gone or hangs breaks more than that."""
    from harness.base.errors import Refused

    return isinstance(error, AssertionError | Refused) or isinstance(key.fault(error), Refused)


def _accepted(item: pytest.Item, deviations: list[AcceptedDeviation]) -> AcceptedDeviation | None:
    from harness.bench.deviations import CaseName, accepted

    rig = dict(item.user_properties).get("rig")
    name = CaseName(item.nodeid, str(rig), clause_of(item))
    return accepted(deviations, name, datetime.now(UTC).date())


def turn(report: pytest.TestReport, kind: str, text: str) -> None:
    """Make a report one of a deviation: of which kind, and what the key did."""
    report.outcome = "skipped"
    # As pytest reports an expected failure: its own summary, JUnit's file and Allure know that.
    report.wasxfail = text
    report.user_properties.append((PROPERTY, kind))


_FOUND = re.compile(r"^  found {5}(.+)$", re.M)
"""The second line of an error of ours (`harness.base.errors.KeyharnessError`)."""


def in_a_line(report: pytest.TestReport) -> str:
    """Return the first line of what went wrong, and what was found; JUnit's file and Allure have all of it.

    A comparison without words ("assert 33 <= (66 // 5)") names no cause: it gets the sentence that the case's name is,
    and the names that were compared.
    """
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else report.longreprtext
    line = next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
    bare = line.removeprefix("AssertionError: ")
    if not bare.startswith("assert "):
        found = _FOUND.search(text) if crash is None else None
        return f"{line}; found {found[1]}" if found else line
    values = bare.removeprefix("assert ")
    compared = _compared(report.longreprtext)
    shown = f"{compared}: {values}" if compared not in ("", values) else values
    return f'this does not hold: "{sentence(report.nodeid)}"; found {shown}'


def sentence(nodeid: str) -> str:
    """Return the name of a case as the sentence that it is, without its parameters."""
    name = nodeid.rpartition("::")[2].partition("[")[0]
    return name.removeprefix("test_").replace("_", " ")


def _compared(text: str) -> str:
    """The expression of the assertion that failed, as it stands in the case; empty if it is not shown on one line."""
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith(">")]
    return marked[-1].removeprefix("assert ") if marked and marked[-1].startswith("assert ") else ""
