"""What the ledger knows of runs: which firmware each tested and what it found, the numbers of runs, frozen plans."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.atomic_file import read_json
from harness.evidence.rundir import RunDir
from harness.model.key import FRESH

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from harness.evidence.ledger import Ledger
    from harness.evidence.ledger_tables import Tables

NO_SERIES = ""
"""The series of runs that no plan began."""
_HOME = re.compile(r"^kh1:[^:@]+@([^:]+):")


def home_of(replay_id: str | None) -> str:
    """Return the home that a replay id names; without one it is the fresh one."""
    found = _HOME.match(replay_id or "")
    return found.group(1) if found else FRESH


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


def note_tested(
    at: Connection,
    tables: Tables,
    head: Mapping[str, Any],
    keys: Mapping[str, tuple[str, str, str]],
    campaigns: Sequence[Mapping[str, Any]],
    folder: Path | None,
) -> None:
    """Enter which firmware a run tested on each rig, and what it found; a second entry replaces the first."""
    run = head["run"]
    for table in (tables.tested, tables.findings):
        at.execute(table.delete().where(table.c.run == run))
    rigs = {rig["name"]: rig for rig in head.get("rigs", ()) if rig["name"] in keys}
    rows = [
        {
            **_tested(run, name, keys[name], rig),
            "files": " ".join(_files(folder, name)),
            "folder": str(folder.absolute()) if folder else None,
            "digest": (head.get("series") or {}).get("digest"),
        }
        for name, rig in rigs.items()
    ]
    if rows:
        at.execute(tables.tested.insert(), rows)
    found = [
        {
            **{
                name: value
                for name, value in _tested(run, row["rig"], keys[row["rig"]], rig).items()
                if name in ("run", "key", "rig", "model", "firmware")
            },
            "operation": row["operation"],
            "home": home_of(finding.get("first")),
            **{
                name: finding.get(name)
                for name in ("item", "law", "outcome", "severity", "first", "count", "of")
            },
            "covering": finding.get("covering_count"),
        }
        for row in campaigns
        if (rig := rigs.get(row["rig"])) is not None
        for finding in row.get("findings") or ()
    ]
    if found:
        at.execute(tables.findings.insert(), found)


def _tested(run: str, name: str, key: tuple[str, str, str], rig: Mapping[str, Any]) -> dict[str, Any]:
    identity, kind, model = key
    said = [str(text) for text in (rig.get("personality"), rig.get("transport")) if text]
    # What a model is of is more than a version: its personality and flash layer.
    about = " · ".join(said) if kind == "twin" else None
    return {
        "run": run,
        "key": identity,
        "rig": name,
        "kind": kind,
        "model": model,
        "firmware": rig.get("firmware"),
        "about": about,
    }


def _files(folder: Path | None, rig: str) -> list[str]:
    """The digests of the firmware files that were on a rig."""
    facts = read_json(RunDir(folder).facts_path(rig)) if folder else None
    return [one["sha256"] for one in (facts or {}).get("files", ()) if one.get("sha256")]
