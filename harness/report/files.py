"""The files of a run's folder: their names, and how they are read and written.

A run can be killed at any instant. So a reader takes what is whole and reports the rest as damage, and a writer
replaces a file in one step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.base.atomic_file import replace_file

Row = dict[str, Any]

RUN = "run.json"
FINISH = "finish.json"
EVIDENCE = "evidence.jsonl"
OPERATIONS = "operations.jsonl"
RESULTS = "results.jsonl"
SUMMARY = "summary.json"
ALLURE_RESULTS = "allure-results"
"""A folder while the run goes on."""
ALLURE_ARCHIVE = "allure-results.zip"
ALLURE_PAGE = "allure.html"
INDEX = "index.html"
JUNIT = "junit.xml"
LOGS = "logs"
PICTURES = "pictures"
ABNORMAL = "abnormal"
HISTORY = "history.jsonl"
"""Beside the runs' folders: what Allure remembers of earlier runs."""

CUT_MAP, FLASH_RASTER, RISK = "cut-map", "flash-raster", "risk"


def trace_path(run_dir: Path, rig: str, operation: str) -> Path:
    """Return the file with the trace of an operation: its flash operations and marks, on the rig's clock."""
    return run_dir / LOGS / f"{_stem(rig, operation)}.trace.json"


def picture_path(run_dir: Path, rig: str, operation: str, kind: str) -> Path:
    """Return the file of a picture of an operation."""
    return run_dir / PICTURES / f"{_stem(rig, operation)}.{kind}.svg"


def facts_path(run_dir: Path, rig: str) -> Path:
    """Return the file with what is known of a rig besides run.json (`harness.run.rig_facts`)."""
    return run_dir / "journal" / f"{rig}.facts.json"


def _stem(rig: str, operation: str) -> str:
    return f"{rig}.{operation}".replace("/", "_")


@dataclass
class Damage:
    """What could not be read, as sentences for a summary's `reasons`."""

    sentences: list[str] = field(default_factory=list)

    def add(self, file: str, what: str) -> None:
        self.sentences.append(f"{file}: {what}")


def read_object(path: Path, damage: Damage) -> Row | None:
    """Read the JSON object in a file; None if there is no file, or, with damage, if the file is not whole."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        damage.add(path.name, f"unreadable ({_why(error)}); it was left out")
        return None
    if not isinstance(value, dict):
        damage.add(path.name, "not a JSON object; it was left out")
        return None
    return value


def read_rows(path: Path, damage: Damage, check: Callable[[Row], str | None]) -> Iterator[Row]:
    """Read the rows of a JSON-lines file, one at a time; a missing file has none.

    :param check: says what is wrong with a row; None if nothing is.
    """
    try:
        with path.open("rb") as lines:
            yield from rows_in(lines, path.name, damage, check)
    except FileNotFoundError:
        return
    except OSError as error:
        damage.add(path.name, f"unreadable ({_why(error)})")


def rows_in(
    lines: Iterable[bytes], name: str, damage: Damage, check: Callable[[Row], str | None]
) -> Iterator[Row]:
    """As `read_rows`, of lines with their ends; `name` is that of their file."""
    bad: list[tuple[int, str]] = []
    torn = False
    try:
        for at, line in enumerate(lines, 1):
            row, why = _parsed(line, check)
            if row is not None:
                yield row
            elif why and not line.endswith(b"\n"):
                torn = True
            elif why:
                bad.append((at, why))
    finally:
        if bad:
            at, why = bad[0]
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            damage.add(name, f"line {at}{more} left out: {why}")
        if torn:
            damage.add(name, "the last line is half-written; it was left out")


def _parsed(line: bytes, check: Callable[[Row], str | None]) -> tuple[Row | None, str | None]:
    if not line.strip():
        return None, None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None, "it is not JSON"
    if not isinstance(row, dict):
        return None, "it is not a JSON object"
    wrong = check(row)
    return (None, wrong) if wrong else (row, None)


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not JSON"


def write_json(path: Path, value: object) -> None:
    """Replace a file in one step. Keys keep their order, because people read the first ones first."""
    replace_file(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
