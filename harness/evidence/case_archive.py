"""The cases of a large run that came to its end, in an archive: junit.xml names the same cases in plain text."""

from __future__ import annotations

from pathlib import Path

from harness.base.archive import UnreadableArchive, packed, unpacked
from harness.base.atomic_file import replace_file
from harness.base.shape import DamagedFile

CASES = "results.jsonl"
"""In the folder of a run: a line for each case that has ended."""
ARCHIVE = "journal/cases.zip"
ABOVE = 800_000
"""Bytes of these lines, from which they are packed: 3,500 cases. A smaller run has them in plain text."""
BYTES_MAX = 1 << 30


def pack_cases(run: Path) -> None:
    """Replace the lines of a run by an archive, if they are many. A kill leaves the lines or the archive."""
    path = run / CASES
    if path.is_file() and ABOVE <= path.stat().st_size <= BYTES_MAX:
        replace_file(run / ARCHIVE, packed({CASES: path.read_bytes()}), durable=True)
        path.unlink()


def unpack_cases(run: Path) -> None:
    """Put packed lines back, because the run goes on.

    :raises DamagedFile: the archive cannot be read; it stays.
    """
    lines = packed_cases(run)
    if lines is not None:
        if not (run / CASES).exists():
            replace_file(run / CASES, lines, durable=True)
        (run / ARCHIVE).unlink()


def packed_cases(run: Path) -> bytes | None:
    """Return the packed lines of a run; None without an archive.

    :raises DamagedFile: the archive cannot be read.
    """
    path = run / ARCHIVE
    if not path.exists():
        return None
    try:
        return unpacked(path, bytes_max=BYTES_MAX, files_max=1)[CASES]
    except (UnreadableArchive, KeyError) as error:
        raise DamagedFile(
            str(path),
            found=f"an archive that cannot be read: {error}",
            expected="the cases of the run",
            mend="bring the file back from a copy; junit.xml names the same cases",
        ) from None


def case_lines(run: Path) -> bytes:
    """Return the lines of a run's cases, packed or as they were written; empty if there is none.

    :raises DamagedFile: see `packed_cases`.
    """
    try:
        return (run / CASES).read_bytes()
    except FileNotFoundError:
        return packed_cases(run) or b""
