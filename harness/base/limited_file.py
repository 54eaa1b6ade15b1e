"""Read a file that a caller names: a regular one, of bounded size."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from harness.base.errors import CallerError

TEXT_LIMIT = 4 << 20
"""Bytes of the longest text file that is read: benches and secret files have some kilobytes."""


def read_limited(
    path: Path, limit: int, expected: str, *, what: str | None = None, mend: str | None = None
) -> bytes:
    """Return what a file holds.

    :param limit: most bytes; more are not read.
    :param expected: what the file should be, for the message: "a bench file".
    :param what: what messages call the file; its path if None.
    :raises CallerError: it cannot be read, is no regular file (a device or a pipe may have no end), or is longer.
    """
    place = what or str(path)
    try:
        # Without O_NONBLOCK the opening of a pipe that nobody writes would wait.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            kind = os.fstat(file).st_mode
            if not stat.S_ISREG(kind):
                found = "a folder" if stat.S_ISDIR(kind) else "a device, pipe or socket"
                raise CallerError(place, found=found, expected=expected, mend=mend)
            with os.fdopen(file, "rb", closefd=False) as opened:
                data = opened.read(limit + 1)
        finally:
            os.close(file)
    except OSError as error:
        raise CallerError(place, found=error.strerror, expected=expected, mend=mend) from None
    if len(data) > limit:
        raise CallerError(place, found=f"more than {limit:,} bytes", expected=expected, mend=mend)
    return data


def read_limited_text(path: Path, expected: str, *, what: str | None = None, mend: str | None = None) -> str:
    """Return the text of a file in UTF-8, newlines as they are; without the mark that editors of Windows put first.

    :raises CallerError: as `read_limited`, or it is no text in UTF-8.
    """
    data = read_limited(path, TEXT_LIMIT, expected, what=what, mend=mend)
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"no text in UTF-8: byte 0x{data[error.start]:02x} in line {line}"
        raise CallerError(what or str(path), found=found, expected=expected, mend=mend) from None
