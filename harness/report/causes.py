"""Failed cases by cause, and deviations by clause: 300 cases that fail for one reason are one group."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence

from harness.base.errors import Blame
from harness.report import files
from harness.report.text import Row

NAMED_MAX = 5
"""Node ids that a group names; the others are counted, and results.jsonl has them."""

_HEX = re.compile(r"\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b", re.IGNORECASE)
_BYTES = re.compile(r"""b(['"]).*?(?<!\\)\1""")
_BARE = re.compile(r"^(AssertionError: )?assert ")


def blame_of(case: Row) -> str:
    """Return whose fault a case is that did not pass.

    Where the case says nothing, a failed assertion is the key's fault, and an error is the harness's.
    """
    fallback = Blame.KEY if case["outcome"] == "failed" else Blame.HARNESS
    return str(case.get("blame") or fallback.value)


def cause_of(case: Row) -> tuple[Hashable, ...]:
    """Return what cases of one cause have in common: blame, and the reason without its numbers and bytes.

    A bare assertion says nothing of its cause, so there the function counts, too.
    """
    reason = " ".join(str(case.get("reason") or "").split())
    shape = _HEX.sub("#", _BYTES.sub("b..", reason))
    bare = not reason or _BARE.match(reason)
    return (case["outcome"], blame_of(case), shape, function_of(case["nodeid"]) if bare else "")


def function_of(nodeid: str) -> str:
    """conformance/test_u2f.py::test_version[nk3-57] -> conformance/test_u2f.py::test_version"""
    return nodeid.partition("[")[0]


def failures_of(cases: Iterable[Row]) -> list[files.Row]:
    """Return failed and broken cases by cause, the largest group first. Campaigns have findings instead."""
    bad = [case for case in cases if case["outcome"] in ("failed", "error") and not case.get("campaign")]
    return _grouped(bad, cause_of, lambda case: case["outcome"], lambda case: blame_of(case))


def deviations_of(cases: Iterable[Row]) -> list[files.Row]:
    """Return deviations by kind, clause and function, the largest group first."""
    return _grouped(
        [case for case in cases if case["outcome"] == "deviation"],
        lambda case: (case.get("deviation"), case.get("clause"), function_of(case["nodeid"])),
        lambda case: str(case.get("deviation")),
        lambda case: Blame.KEY.value,
    )


def _grouped(
    cases: Sequence[Row],
    key: Callable[[Row], Hashable],
    kind: Callable[[Row], str],
    blame: Callable[[Row], str],
) -> list[files.Row]:
    groups: dict[Hashable, list[Row]] = {}
    for case in cases:
        groups.setdefault(key(case), []).append(case)
    rows: list[files.Row] = [
        {
            "kind": kind(group[0]),
            "blame": blame(group[0]),
            "clause": _only({case.get("clause") for case in group}),
            "count": len(group),
            "cases": [case["nodeid"] for case in group[:NAMED_MAX]],
            "text": " ".join(str(group[0].get("reason") or "").split()),
        }
        for group in groups.values()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["cases"][0]))


def _only(values: set[str | None]) -> str | None:
    return next(iter(values)) if len(values) == 1 else None
