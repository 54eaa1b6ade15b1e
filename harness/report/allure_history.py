"""Allure's history of earlier runs: a file with one line for each run, beside the runs' folders.

Allure rewrites its history file while it works. It gets a copy, so that the file survives a kill, two runs that end
together, a damaged line, and a report that is made again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate
from pathlib import Path

from harness.base.atomic_file import replace_file
from harness.report import files
from harness.report.files import Row

RUNS_MAX = 50
SHOWN_MAX = 20
SHOWN_RESULTS_MAX = 5000
"""Results of earlier runs on a page: each of them has a hundred bytes there. The last run is shown whatever it has."""


def entry_name(run: str) -> str:
    """Return a run's name in the history, which is also the title of its page."""
    return f"Keyharness {run}"


def lay_out(runs_dir: Path, run: str, started: str | None, copy: Path) -> None:
    """Write the history before a run to `copy`, for Allure to read and to add to: as much as its page may show."""
    before = started_ms(started)
    entries = [entry for entry in _entries(runs_dir / files.HISTORY) if entry["name"] != entry_name(run)]
    if before is not None:
        entries = [entry for entry in entries if entry["timestamp"] < before]
    copy.write_text("".join(_line(entry) for entry in _shown(entries)), encoding="utf-8")


def _shown(entries: list[Row]) -> list[Row]:
    """Return the newest runs, whole, so that no case of a run looks new that was in it."""
    results = accumulate(len(entry["testResults"]) for entry in reversed(entries))
    fitting = sum(1 for so_far in results if so_far <= SHOWN_RESULTS_MAX)
    return entries[-min(max(fitting, 1), SHOWN_MAX) :]


def take_in(runs_dir: Path, run: str, started: str | None, copy: Path) -> None:
    """Add what Allure appended to `copy` to the history of the runs in `runs_dir`."""
    added = [entry for entry in _entries(copy) if entry["name"] == entry_name(run)]
    if not added:
        return
    ours = added[-1]
    ours["timestamp"] = started_ms(started) or ours["timestamp"]
    with _locked(runs_dir):
        path = runs_dir / files.HISTORY
        others = [entry for entry in _entries(path) if entry["name"] != ours["name"]]
        entries = sorted([*others, ours], key=lambda entry: float(entry["timestamp"]))
        replace_file(path, "".join(_line(entry) for entry in entries[-RUNS_MAX:]))


def started_ms(started: str | None) -> int | None:
    """Convert an ISO 8601 instant to milliseconds since 1970; None if it is not one."""
    try:
        return round(datetime.fromisoformat(started or "").timestamp() * 1000)
    except ValueError:
        return None


def _entries(path: Path) -> list[Row]:
    """Return the lines of a history. A damaged line would stop Allure, so it is left out."""
    unread = files.Damage()
    return list(files.read_rows(path, unread, _check))


def _check(entry: Row) -> str | None:
    whole = isinstance(entry.get("name"), str) and isinstance(entry.get("timestamp"), (int, float))
    return None if whole and isinstance(entry.get("testResults"), dict) else "it is no entry of a history"


def _line(entry: Row) -> str:
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder itself, because a lock file would stay behind."""
    import fcntl  # does not exist on Windows, where the rest of this module works

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
