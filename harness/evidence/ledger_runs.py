"""Ask the ledger for runs of a firmware, their findings and numbers, frozen plans and the score of `prove`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.evidence.ledger import Ledger

NO_SERIES = ""
"""The series of runs that no plan began."""


def next_number(ledger: Ledger, series: str, run: str, digest: str | None, at_time: str) -> int:
    """Give a run its number: 1, 2, 3 ... in its series, without gaps.

    :param series: the id of the plan that began it, or `NO_SERIES`. :param digest: the plan's digest.
    :raises RigError: the ledger cannot be written.
    """
    from sqlalchemy import func, select

    table = ledger.tables.numbers
    with ledger.writing() as at:
        last = at.execute(select(func.max(table.c.number)).where(table.c.series == series)).scalar()
        number = (last or 0) + 1
        row = {"series": series, "number": number, "run": run, "digest": digest, "at": at_time}
        at.execute(table.insert().values(row))
    return number


def numbers_of(ledger: Ledger, series: str) -> list[dict[str, Any]]:
    """Return {"number", "run", "digest", "at"} of all runs of a series, in order."""
    from sqlalchemy import select

    table = ledger.tables.numbers
    columns = (table.c.number, table.c.run, table.c.digest, table.c.at)
    return ledger.rows(select(*columns).where(table.c.series == series).order_by(table.c.number))


def freeze(ledger: Ledger, plan: str, digest: str, replaces: str | None, frozen: str, at_time: str) -> None:
    """Enter a plan as it is from now on.

    :param frozen: its canonical text. :param replaces: the digest before, if it is an amendment.
    """
    table = ledger.tables.plans
    row = {"plan": plan, "digest": digest, "replaces": replaces, "frozen": frozen, "at": at_time}
    with ledger.writing() as at:
        at.execute(table.insert().values(row))


def frozen_as(ledger: Ledger, plan: str) -> list[dict[str, Any]]:
    """Return {"digest", "replaces", "frozen", "at"} of each state of a plan, the first one first."""
    from sqlalchemy import select

    table = ledger.tables.plans
    columns = (table.c.digest, table.c.replaces, table.c.frozen, table.c.at)
    return ledger.rows(select(*columns).where(table.c.plan == plan).order_by(table.c.n))


def tested_of(ledger: Ledger, model: str) -> list[dict[str, Any]]:
    """Return the runs of a model of key, one row for each rig, the oldest first, with the run's verdict and start."""
    from sqlalchemy import select

    tested, runs = ledger.tables.tested, ledger.tables.runs
    return ledger.rows(
        select(tested, runs.c.started, runs.c.verdict, runs.c.version, runs.c.seed)
        .join(runs, runs.c.id == tested.c.run)
        .where(tested.c.model == model)
        .order_by(runs.c.started, tested.c.run, tested.c.rig)
    )


def findings_known(ledger: Ledger, models: Sequence[str], without: str | None = None) -> list[dict[str, Any]]:
    """Return the findings of all runs of these models.

    :param without: a run whose findings are left out.
    """
    from sqlalchemy import select

    table = ledger.tables.findings
    wanted = table.c.model.in_(list(models)) & (table.c.run != (without or ""))
    return ledger.rows(select(table).where(wanted).order_by(table.c.run, table.c.n))


def note_score(ledger: Ledger, row: Mapping[str, Any]) -> None:
    """Enter the score of `keyharness prove`: {"version", "commit_id", "key", "at", "caught", "of"}."""
    with ledger.writing() as at:
        at.execute(ledger.tables.scores.insert().values(dict(row)))


def score_of(ledger: Ledger, version: str) -> dict[str, Any] | None:
    """Return the latest score of a version of Keyharness; None if `prove` never told one."""
    from sqlalchemy import select

    table = ledger.tables.scores
    found = ledger.rows(select(table).where(table.c.version == version).order_by(table.c.n.desc()).limit(1))
    return found[0] if found else None
