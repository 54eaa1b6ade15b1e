"""Zip archives that are the same for the same files, and are read with limits: they may come from elsewhere."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

_DATE = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of the others Python unpacks whatever is there, however little was asked for."""
UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)
"""Python raises these for damaged, encrypted and unsupported archives."""


class UnreadableArchive(ValueError):
    """An archive that is damaged, or larger than it may be; the text says why."""


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of files, by their names. No time and no owner is kept, so equal files give equal bytes."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr, entry.compress_type = _PLAIN_FILE, zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return body.getvalue()


def unpacked(path: Path, *, bytes_max: int, files_max: int) -> dict[str, bytes]:
    """Return the files of an archive by their names, which may hold anything: check them before you write a file.

    :param bytes_max: of all files together.
    :raises UnreadableArchive: see there. Nothing is read then that the limits do not allow.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            size = sum(entry.file_size for entry in entries)
            if len(entries) > files_max or size > bytes_max:
                raise ValueError(f"{len(entries):,} files of {size:,} bytes: more than any run leaves")
            for entry in entries:
                if entry.compress_type not in _BOUNDED:
                    raise ValueError(f"{entry.filename} is packed by a method that Keyharness does not use")
            return {entry.filename: _body(archive, entry) for entry in entries if not entry.is_dir()}
    except UNREADABLE as error:
        raise UnreadableArchive(str(error) or type(error).__name__) from None


def _body(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as source:
        # One byte more than it says: its checksum is looked at, at the end of the data.
        body = source.read(entry.file_size + 1)
    if len(body) > entry.file_size:
        raise ValueError(f"{entry.filename} is larger than it says")
    return body
