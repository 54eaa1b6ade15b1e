"""Remove the folders of old runs: `keyharness reports prune`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from harness.base.atomic_file import read_json
from harness.base.errors import CallerError, RigError
from harness.host.locks import Lock
from harness.run.ledger_entry import goes_on

PRUNED = ".pruned-"
"""How the name of a folder begins while it is being removed; what a killed prune left is removed by the next."""
_AGE = re.compile(r"(?P<number>[0-9]+)(?P<unit>[hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True)
class Fate:
    """What becomes of a run.

    :ivar kept_for: why it stays; None if it is removed.
    :ivar bytes: size of its files, as far as it is removed.
    """

    run: str
    kept_for: str | None
    bytes: int = 0


@dataclass(frozen=True)
class Pruning:
    """Which runs stay.

    :ivar keep: this number of the newest; None: no run stays for that.
    :ivar older_than: only runs that ended longer ago are removed; None: of any age.
    :ivar unfinished: remove runs that were killed or interrupted, too, which could be continued.
    """

    keep: int | None = None
    older_than: timedelta | None = None
    unfinished: bool = False


def age(text: str) -> timedelta:
    """Return an age: "12h", "30d", "8w".

    :raises CallerError: the text is none.
    """
    match = _AGE.fullmatch(text.strip())
    try:
        if match is not None:
            return int(match["number"]) * _UNITS[match["unit"]]
    except OverflowError:
        pass
    raise CallerError("--older-than", found=text, expected="an age such as 12h, 30d or 8w")


def prune(reports: Path, how: Pruning, now: datetime, *, dry_run: bool) -> list[Fate]:
    """Remove runs, the oldest first to go; return what became of each, newest first.

    A run that goes on is never removed, nor anything that is no run.

    :param now: in UTC.
    :raises CallerError: neither a number nor an age says what is old.
    """
    if how.keep is None and how.older_than is None:
        raise CallerError(
            "reports prune", found="neither --keep nor --older-than", expected="one of them, or both"
        )
    runs = sorted(_runs(reports), key=lambda path: path.name, reverse=True)
    fates = []
    for number, path in enumerate(runs):
        if (why := _kept_for(path, number, how, now)) is not None:
            fates.append(Fate(path.name, why))
            continue
        size = sum(
            file.lstat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink()
        )
        try:
            if not dry_run:
                _remove(path)
        except RigError:
            fates.append(Fate(path.name, "it goes on"))
            continue
        fates.append(Fate(path.name, None, size))
    if not dry_run:
        for left in reports.glob(f"{PRUNED}*"):
            shutil.rmtree(left, ignore_errors=True)
    return fates


def _runs(reports: Path) -> Iterator[Path]:
    for path in reports.glob("*"):
        # A link may lead to a run that is kept elsewhere on purpose.
        if (path / "run.json").is_file() and not path.is_symlink():
            yield path


def _kept_for(path: Path, number: int, how: Pruning, now: datetime) -> str | None:
    if goes_on(path):
        return "it goes on"
    finish = read_json(path / "finish.json") or {}
    finished = finish.get("complete") is True and finish.get("interrupted") is False
    if not finished and not how.unfinished:
        return "it can be continued"
    if how.keep is not None and number < how.keep:
        return f"one of the {how.keep} newest"
    if how.older_than is None:
        return None
    when = _when(path, finish)
    if when is None:
        return "nothing says how old it is"
    return None if now - when > how.older_than else "not old enough"


def _when(path: Path, finish: dict[str, Any]) -> datetime | None:
    """When a run ended, or at least began."""
    head = read_json(path / "run.json") or {}
    for text in (finish.get("ended"), head.get("started")):
        try:
            when = datetime.fromisoformat(str(text))
        except ValueError:
            continue
        if when.tzinfo is not None:
            return when.astimezone(UTC)
    return None


def _remove(path: Path) -> None:
    """Remove a run that nobody continues meanwhile.

    :raises RigError: somebody has just begun to.
    """
    with Lock(f"run {path.absolute()}") as lock:
        lock.take("remove it")
        gone = path.with_name(f"{PRUNED}{path.name}")
        path.rename(gone)
    shutil.rmtree(gone)


def table(fates: list[Fate], *, dry_run: bool) -> dict[str, Any]:
    """Return it as a JSON-able table."""
    return {"dry_run": dry_run, "runs": [asdict(one) for one in fates]}


def show(fates: list[Fate], out: TextIO, *, dry_run: bool) -> None:
    """Write it for a person."""
    removed = [one for one in fates if one.kept_for is None]
    word = "would be removed" if dry_run else "removed"
    for one in fates:
        out.write(f"  {one.run:<24} {word if one.kept_for is None else f'stays: {one.kept_for}'}\n")
    size = sum(one.bytes for one in removed) / 1e6
    out.write(f"{len(removed)} of {len(fates)} runs {word}, {size:.1f} MB\n")
