"""Book a violation on the case of its operation, where it was found after that case had passed.

What equal shares leave of a budget is spent by one case for all operations. A violation that it finds is none of that
case's own: the operation's case is reported once more, as failed, to everything that listens to pytest's reports.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Booking:
    """A violation of an operation, found outside of its own case.

    :ivar text: what it is, with the command that repeats it. :ivar outcomes: its violation classes.
    """

    operation: str
    text: str
    outcomes: tuple[str, ...]


_BOOKINGS = pytest.StashKey[list[Booking]]()
_CARRIED = "keyharness_bookings"


def note(item: pytest.Item, bookings: Iterable[Booking]) -> None:
    """Remember bookings with the case that found them."""
    item.stash.setdefault(_BOOKINGS, []).extend(bookings)


def carry(item: pytest.Item, report: pytest.TestReport) -> None:
    """Let a report take the bookings along to the process that records cases. pytest-xdist sends plain values only."""
    if report.when == "call" and _BOOKINGS in item.stash:
        setattr(report, _CARRIED, [asdict(one) for one in item.stash[_BOOKINGS]])


def carried(report: pytest.TestReport) -> list[Booking]:
    """Return the bookings of a report."""
    return [Booking(**one) for one in getattr(report, _CARRIED, ())]


def report_again(config: pytest.Config, row: dict[str, Any], booking: Booking) -> None:
    """Report a case that has passed as failed.

    :param row: its row of results.jsonl.
    """
    _withdraw_from_junit(config, row["nodeid"])
    file, _, name = row["nodeid"].partition("::")
    for when in ("call", "teardown"):
        failed = when == "call"
        report = pytest.TestReport(
            nodeid=row["nodeid"],
            location=(file, None, name),
            keywords={},
            outcome="failed" if failed else "passed",
            longrepr=booking.text if failed else None,
            when="call" if failed else "teardown",
            duration=row["duration_s"] if failed else 0.0,
            user_properties=[
                *((key, row[key]) for key in ("rig", "suite", "operation")),
                ("blame", "key"),
                ("campaign", booking.operation),
            ],
        )
        config.hook.pytest_runtest_logreport(report=report)
    if results := getattr(config.option, "allure_report_dir", None):
        from harness.report.allure_booking import book_failure

        book_failure(Path(results), row["nodeid"], booking.text, "key", booking.outcomes)


def _withdraw_from_junit(config: pytest.Config, nodeid: str) -> None:
    """Take a finished case out of what will be JUnit's file: the case is reported once more."""
    from _pytest.junitxml import mangle_test_address, xml_key

    xml = config.stash.get(xml_key, None)
    if xml is None:
        return
    *classes, name = mangle_test_address(nodeid)
    key = (".".join(classes), name)
    for reporter in list(xml.node_reporters_ordered):
        case = reporter.to_xml()
        if (case.get("classname"), case.get("name")) == key:
            xml.node_reporters_ordered.remove(reporter)
            xml.stats["passed"] -= 1
