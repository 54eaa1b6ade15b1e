"""How the nights went: a night on which every run ended without a verdict on the key is inconclusive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.evidence.ledger import Ledger

DECIDED = ("pass", "fail")
"""Verdicts that say something of the key; a night with one of them is not inconclusive."""


def nights_of(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return {"night", "verdicts", "inconclusive"} of each day (UTC) on which a run began, the latest first.

    :param rows: runs with "started" and "verdict".
    """
    nights: dict[str, dict[str, int]] = {}
    for row in rows:
        counts = nights.setdefault(str(row["started"])[:10], {})
        counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
    return [
        {
            "night": night,
            "verdicts": dict(sorted(counts.items())),
            "inconclusive": not any(name in counts for name in DECIDED),
        }
        for night, counts in sorted(nights.items(), reverse=True)
    ]


def in_a_row(nights: Iterable[Mapping[str, Any]]) -> int:
    """Return how many of the latest nights were inconclusive, one after the other."""
    count = 0
    for night in nights:
        if not night["inconclusive"]:
            break
        count += 1
    return count


def runs_of(ledger: Ledger, key: str | None) -> list[dict[str, Any]]:
    """Return {"started", "verdict"} of the runs of a key, or of all keys."""
    from sqlalchemy import select

    runs, run_keys = ledger.tables.runs, ledger.tables.run_keys
    wanted = select(runs.c.started, runs.c.verdict)
    if key is not None:
        wanted = wanted.where(runs.c.id.in_(select(run_keys.c.run).where(run_keys.c.key == key)))
    return ledger.rows(wanted)
