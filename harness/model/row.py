"""A row of evidence: what one cut did, as it stands in evidence.jsonl (fields: docs/reports.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.operation import FRESH

Row = dict[str, Any]

REPLAY_PREFIX = "kh1"

COVERING = ("exhaustive", "cover")
"""The streams whose cuts were spread over all instants; the cuts of other streams were aimed."""


@dataclass(frozen=True)
class Judged:
    """A row of evidence, and what its campaign needs of the cut when the run is resumed.

    :ivar note: JSON-able; stays in the journal and never gets into evidence.jsonl.
    :ivar files: gives what cannot be made again of an abnormal cut, as (path -> content); None if the cut was normal.
    """

    row: Row
    note: Row
    files: Callable[[], Mapping[str, bytes]] | None = None


BEYOND = ("home", "next")
"""The streams whose cuts start from another home, or are followed by an action of the owner: beside the campaign."""


def replay_id(rig: str, operation: str, seed: int, cut: str, fingerprint: str, home: str = FRESH) -> str:
    """Return the name of one cut for --replay: kh1:<rig>/<operation>[@<home>]:<seed>:<cut>[+next.<action>]:<check>.

    :param home: named where it is not the fresh one.
    """
    where = operation if home == FRESH else f"{operation}@{home}"
    return f"{REPLAY_PREFIX}:{rig}/{where}:{seed}:{cut}:{fingerprint[:6]}"


def is_covering(row: Mapping[str, Any]) -> bool:
    """Return whether a row counts towards coverage.

    A missed or unresolved cut does not count, nor does the clean restart at the end of a live operation.
    """
    return (
        row.get("stream") in COVERING
        and row["outcome"] != "missed"
        and not is_unresolved(row)
        and not (row["stream"] == "cover" and (row.get("planned") or {}).get("marker") == "end")
    )


def is_unresolved(row: Mapping[str, Any]) -> bool:
    """Return whether it is not known that the power went inside the operation: `landed` is null."""
    return row.get("landed", True) is None


def is_judged(row: Mapping[str, Any]) -> bool:
    """Return whether a row says something of the key.

    An unresolved cut is no pass. But what the key has lost, it has lost wherever the power went.
    """
    return row["outcome"] != "missed" and (not is_unresolved(row) or row.get("blame") == "key")


def slug(operation: str) -> str:
    """Return an operation's name in the form in which it is part of a file name."""
    return operation.replace("/", "_")
