"""The files of a run's folder: what they are called, how they are read when damaged, how they are written.

A run can be killed at any instant, so every reader here takes what is whole and says what is not, and every
writer replaces a file in one step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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
INDEX = "index.html"
LOGS = "logs"
PICTURES = "pictures"
HISTORY = "history.jsonl"
"""Beside the runs, not in one: what Allure remembers of the runs before."""

CUT_MAP, FLASH_RASTER, RISK = "cut-map", "flash-raster", "risk"


def trace_path(run_dir: Path, rig: str, operation: str) -> Path:
    """Where the trace of an operation is kept: flash operations and marks on the rig's clock."""
    return run_dir / LOGS / f"{_stem(rig, operation)}.trace.json"


def picture_path(run_dir: Path, rig: str, operation: str, kind: str) -> Path:
    """Where a picture of an operation is kept."""
    return run_dir / PICTURES / f"{_stem(rig, operation)}.{kind}.svg"


def _stem(rig: str, operation: str) -> str:
    return f"{rig}.{operation}".replace("/", "_")


@dataclass
class Damage:
    """What could not be read, in sentences for a summary's `reasons`."""

    sentences: list[str] = field(default_factory=list)

    def add(self, file: str, what: str) -> None:
        self.sentences.append(f"{file}: {what}")


def read_object(path: Path, damage: Damage) -> Row | None:
    """The JSON object in a file; None if it is not there, and None with damage if it is not whole."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        damage.add(path.name, f"unreadable ({_why(error)}); it was left out")
        return None
    if not isinstance(value, dict):
        damage.add(path.name, "not a JSON object; it was left out")
        return None
    return value


def read_rows(path: Path, damage: Damage, check: Callable[[Row], str | None]) -> Iterator[Row]:
    """The rows of a JSON-lines file, one at a time. A file that is not there has none.

    :param check: says what is wrong with a row, None if nothing is.
    """
    bad: list[tuple[int, str]] = []
    torn = False
    try:
        with path.open("rb") as lines:
            for at, line in enumerate(lines, 1):
                row, why = _parsed(line, check)
                if row is not None:
                    yield row
                elif why and not line.endswith(b"\n"):
                    torn = True
                elif why:
                    bad.append((at, why))
    except FileNotFoundError:
        return
    except OSError as error:
        damage.add(path.name, f"unreadable ({_why(error)})")
    if bad:
        at, why = bad[0]
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        damage.add(path.name, f"line {at}{more} left out: {why}")
    if torn:
        damage.add(path.name, "the last line is half-written; it was left out")


def _parsed(line: bytes, check: Callable[[Row], str | None]) -> tuple[Row | None, str | None]:
    if not line.strip():
        return None, None
    try:
        row = json.loads(line)
    except ValueError:
        return None, "it is not JSON"
    if not isinstance(row, dict):
        return None, "it is not a JSON object"
    wrong = check(row)
    return (None, wrong) if wrong else (row, None)


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not JSON"


def write_json(path: Path, value: object) -> None:
    """Replace a file in one step. Keys keep their order: the first ones are what people look for."""
    replace_file(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
