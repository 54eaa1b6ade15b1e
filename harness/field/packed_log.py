"""Read a log that is packed, as log rotation and mail programs do it, with limits: it may come from anybody."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable
from io import BufferedReader
from typing import Protocol

UNPACKED_MAX = 2 << 30
"""So many bytes of one packed file are read: a few kilobytes can unpack to any size."""
_OTHERS = {
    b"PK\x03\x04": "a zip archive",
    b"\xfd7zXZ\x00": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"LPKSHHRH": "a journal of systemd: `journalctl --file FILE` shows its lines",
}
_DAMAGED = (EOFError, OSError, ValueError, zlib.error)


class Bytes(Protocol):
    """What gives bytes, until there are none."""

    def read(self, size: int, /) -> bytes: ...


class _Unpacked:
    """The content of a packed file; it ends early, with a note, where the file is damaged or too large."""

    def __init__(self, name: str, source: gzip.GzipFile | bz2.BZ2File, note: Callable[[str], None]):
        self._name, self._source, self._note = name, source, note
        self._left = UNPACKED_MAX

    def read(self, size: int) -> bytes:
        found: list[bytes] = []
        wanted = min(size, self._left)
        while wanted > 0:
            try:
                part = self._source.read1(wanted)
            except _DAMAGED as error:
                self._note(f"{self._name} is damaged ({error}): what came before that was read")
                self._left = 0
                break
            if not part:
                break
            found.append(part)
            wanted -= len(part)
            self._left -= len(part)
            if self._left == 0:
                self._note(f"{self._name} unpacks to more than {UNPACKED_MAX:,} bytes: the rest was not read")
        return b"".join(found)


def opened(name: str, file: BufferedReader, note: Callable[[str], None]) -> Bytes:
    """Return what gives the text of a log, unpacked if it is packed by gzip or bzip2.

    :param note: takes a sentence on what was not read.
    """
    begin = file.peek(8)[:8]
    if begin.startswith(b"\x1f\x8b"):
        return _Unpacked(name, gzip.GzipFile(fileobj=file), note)
    if begin.startswith(b"BZh"):
        return _Unpacked(name, bz2.BZ2File(file), note)
    for magic, what in _OTHERS.items():
        if begin.startswith(magic):
            note(f"{name} is {what}" + ("" if "journal" in what else ": unpack it, and name the logs inside"))
    return file
