"""Enter into the ledger which firmware a run tested on each rig, and what it found there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.atomic_file import read_json
from harness.evidence.rundir import RunDir
from harness.model.operation import FRESH

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from harness.evidence.ledger_tables import Tables

_HOME = re.compile(r"^kh1:[^:@]+@([^:]+):")


def home_of(replay_id: str | None) -> str:
    """Return the home that a replay id names; without one it is the fresh one."""
    found = _HOME.match(replay_id or "")
    return found.group(1) if found else FRESH


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
