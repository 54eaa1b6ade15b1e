"""The journals of a run that came to its end, in one archive: evidence.jsonl holds the same rows in plain text."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

from harness.base.atomic_file import replace_file
from harness.base.shape import DamagedFile

NAME = "rows.zip"
ABOVE = 1_000_000
"""Bytes of all journals, from which they are packed: a small run stays as it was written."""
BYTES_MAX = 1 << 30
"""Of one journal that is unpacked: a run's folder may come from elsewhere."""
_DATE = (1980, 1, 1, 0, 0, 0)
_UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)


def pack_journals(folder: Path) -> None:
    """Replace the journals in a folder by an archive, if they are large. A kill leaves the journals or the archive."""
    journals = sorted(folder.glob("*.jsonl"))
    if sum(path.stat().st_size for path in journals) < ABOVE:
        return
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in journals:
            entry = zipfile.ZipInfo(path.name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    replace_file(folder / NAME, body.getvalue(), durable=True)
    for path in journals:
        path.unlink()


def read_packed(folder: Path, names: list[str]) -> list[bytes]:
    """Return the journals of these names that are in a folder's archive, in this order; none without an archive.

    :raises DamagedFile: the archive cannot be read.
    """
    path = folder / NAME
    if not path.exists():
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            held = {entry.filename: entry for entry in archive.infolist()}
            if unknown := sorted(held.keys() - set(names)):
                raise ValueError(f"{unknown[0]} is no journal of this run")
            return [_read(archive, held[name]) for name in names if name in held]
    except _UNREADABLE as error:
        raise DamagedFile(
            str(path),
            found=f"an archive that cannot be read: {error}",
            expected="the journals of the run",
            mend="bring the file back from a copy; evidence.jsonl holds the same rows",
        ) from None


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > BYTES_MAX:
        raise ValueError(f"{entry.filename} has {entry.file_size:,} bytes")
    with archive.open(entry) as source:
        return source.read(entry.file_size)
