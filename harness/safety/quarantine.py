"""Quarantine: rigs that must not be used until a person has looked at them, and why.

A rig that fails and outlives the run is put here. The other rigs go on, and no later run wastes cuts on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.base.atomic_file import append_durably, write_durably
from harness.base.errors import CallerError
from harness.base.file_name import file_name
from harness.base.shape import DamagedFile, read_fitting
from harness.evidence.ledger import now, state_dir


@dataclass(frozen=True)
class Quarantined:
    """Since when (UTC) a rig is in quarantine, and why."""

    since: str
    why: str


def _folder() -> Path:
    return state_dir() / "quarantine"


def _path(place: str) -> Path:
    return _folder() / file_name(place, ".json")


def quarantined(place: str) -> Quarantined | None:
    """Return since when and why a rig is in quarantine; None if it is not.

    A damaged file keeps the rig in quarantine, since nobody cleared it.

    :param place: the rig's port.
    """
    try:
        noted = read_fitting(_path(place), {"since": str, "why": str}, "look at the rig, then clear it")
    except DamagedFile as damage:
        return Quarantined(
            "an unknown time", f"the file that said why is damaged: {damage.what}: {damage.found}"
        )
    return Quarantined(noted["since"], noted["why"]) if noted else None


def put(place: str, why: str) -> None:
    """Put a rig in quarantine; if it is there already, the first reason stays."""
    if quarantined(place) is None:
        row = {"place": place, "since": now(), "why": why}
        write_durably(_path(place), row)
        append_durably(_folder() / "history.jsonl", {"event": "quarantined", **row})


def clear(place: str, reason: str) -> Quarantined:
    """Take a rig out of quarantine, and keep the reason in the history.

    :raises CallerError: it is not in quarantine, or no reason was given.
    """
    held = quarantined(place)
    if held is None:
        raise CallerError(place, found="not in quarantine", expected="a rig that is")
    if not reason.strip():
        raise CallerError("--reason", found="nothing", expected="what was wrong, and what was done about it")
    append_durably(
        _folder() / "history.jsonl",
        {"event": "cleared", "place": place, "at": now(), "reason": reason, "was": held.why},
    )
    _path(place).unlink(missing_ok=True)
    return held
