"""Journals of evidence: one line for each cut, appended when it is judged, merged in plan order at the end.

The fields are a contract (docs/reports.md). The journal of a rig is the only record of what was done to its key;
everything else in a report is made from it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from harness.base.errors import RigError
from harness.base.shape import DamagedFile
from harness.evidence import chain
from harness.evidence.repeats import Repeats, restored
from harness.model.row import Judged, Row

NOTE = "note"
"""The field of a journal's line that is left out of evidence.jsonl."""


ESCAPED = "backslashreplace"
"""How a file of lines is opened: what is no text in UTF-8 (a folder's name, as Python decodes it) becomes the escape
that JSON has for it, and is read back as it was.
"""


def line(row: Mapping[str, Any]) -> str:
    """Return a row as a line of a file: sorted keys, no spaces, so that equal rows are equal bytes."""
    return json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


class Journal:
    """An append-only file of rows. Opening it cuts off a half-written last line.

    :ivar kept: the rows that it held already.
    :raises RigError: another process is writing it.
    """

    def __init__(
        self, path: Path, on_append: Callable[[], None] = lambda: None, beginning: str | None = None
    ):
        """:param on_append: called when rows are on the disk.
        :param beginning: what the first line carries (`harness.evidence.chain`); without it no line carries a digest.
        """
        self.path = path
        self._on_append = on_append
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("a", encoding="utf-8", errors=ESCAPED)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise RigError(
                f"journal {path.name}",
                found="another process is writing it",
                expected="a run that has ended",
                mend="wait for that run, or end it",
            ) from None
        self.kept: list[Judged] = read_journal(path)
        self._repeats = Repeats(one.row for one in self.kept)
        self._last = None if beginning is None else _last_digest(path) or beginning

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows; they are on the disk when the call returns."""
        text = "".join(self._linked(line(row)) for row in rows)
        if text:
            self._file.write(text)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._on_append()

    def _linked(self, text: str) -> str:
        if self._last is None:
            return text
        linked = chain.chained(text.encode(errors=ESCAPED), self._last)
        self._last = chain.digest(linked)
        return linked.decode()

    def keep(self, judged: Iterable[Judged]) -> None:
        """Write rows with their notes. A row and its note are one line, so that a kill keeps both or neither."""
        written = ((self._repeats.shortened(one.row), one.note) for one in judged)
        self.append({**row, NOTE: note} if note else row for row, note in written)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_journal(path: Path) -> list[Judged]:
    """Read the rows of a journal, in full; cut a half-written last line off the file.

    :raises DamagedFile: another line is no row; nothing is cut off then.
    """
    kept: list[Judged] = []
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return kept
    lines = data.splitlines(keepends=True)
    for at, text in enumerate(lines, 1):
        row = _parsed(text)
        if row is not None:
            row.pop(chain.FIELD, None)
            kept.append(Judged(row, row.pop(NOTE, {})))
        elif at == len(lines):
            os.truncate(path, len(data) - len(text))
        else:
            raise DamagedFile(
                str(path),
                found=f"line {at} of {len(lines)} is no row",
                expected="a JSON object in each line, as Keyharness wrote it",
                mend="bring the file back from a copy; `keyharness report` shows the run without that line",
            )
    rows = restored(one.row for one in kept)
    return [Judged(row, one.note) for row, one in zip(rows, kept, strict=True)]


def _last_digest(path: Path) -> str | None:
    """The digest of a journal's last line; None if it has none."""
    lines = path.read_bytes().splitlines(keepends=True)
    return chain.digest(lines[-1]) if lines else None


def _parsed(text: bytes) -> Row | None:
    if not text.endswith(b"\n"):
        return None
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def merge(journals: Iterable[bytes], out: Path) -> int:
    """Merge the contents of journals into one file, in the given order, without incomplete lines.

    :returns: the number of rows.
    """
    count = 0
    with out.open("wb") as target:
        for body in journals:
            # Not str.splitlines: it also ends a line at U+2028 and others that a key's answer may hold.
            for text in body.splitlines(keepends=True):
                if text.endswith(b"\n"):
                    target.write(_without_note(text))
                    count += 1
    return count


def _without_note(text: bytes) -> bytes:
    text, _ = chain.split(text)
    if f'"{NOTE}":'.encode() not in text:
        return text
    row = _parsed(text)
    if row is None:
        # The report says that this line is no row; it has to find it.
        return text
    row.pop(NOTE, None)
    return line(row).encode(errors=ESCAPED)
