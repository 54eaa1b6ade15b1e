"""What is installed, and whether the bootloader starts it.

The original starts whatever has a stack in its vector table (notes of nitrokey-pro-firmware 981a7e6): after a cut in
an update, parts of two firmwares. The sound one notes size and check sum of an image that has arrived whole, and starts
nothing else. It writes its note twice: one that a cut made weak is written once more.
"""

from __future__ import annotations

import struct
import zlib

from harness.api import Board, Flash
from harness_nitrokey_pro import images
from harness_nitrokey_pro.twin.layout import APPLICATION_PAGES, BOOTLOADER_PAGES, INSTALLED, PAGE

STARTS_ANYTHING = "update-cut-starts-anyway"
_NOTE = struct.Struct("<III")
"""Magic, size of the image, its CRC-32. The CRC-32 of these follows."""
_MAGIC = 0x4B48464D
_SECOND = 512
_BLANK = b"\xff" * PAGE


def application(flash: Flash) -> bytes:
    """All bytes of the application's pages."""
    return b"".join(flash.pages[BOOTLOADER_PAGES : BOOTLOADER_PAGES + APPLICATION_PAGES])


def note(size: int, crc: int) -> bytes:
    body = _NOTE.pack(_MAGIC, size, crc)
    return body + zlib.crc32(body).to_bytes(4, "little")


def put_factory_image(flash: Flash, image: bytes) -> None:
    """Lay an image down as the maker does, without power."""
    for index in range(-(-len(image) // PAGE)):
        part = image[PAGE * index :][:PAGE]
        flash.pages[BOOTLOADER_PAGES + index] = part.ljust(PAGE, b"\xff")
    one = note(len(image), zlib.crc32(image)).ljust(_SECOND, b"\xff")
    flash.pages[INSTALLED] = (one * 2).ljust(PAGE, b"\xff")


class Installed:
    """The bootloader's note. Everything that writes raises PowerLost.

    :param defects: with STARTS_ANYTHING there is no note.
    """

    def __init__(self, board: Board, chip: str, defects: frozenset[str]):
        self._flash, self._rail = board.flash[chip], board.rail
        self._has_note = STARTS_ANYTHING not in defects

    def starts(self) -> bool:
        """Run at every boot: shall the application run?"""
        if not images.starts(self._flash.pages[BOOTLOADER_PAGES]):
            return False
        if not self._has_note:
            return True
        found = self._read(0)
        if found is None:
            return False
        if self._read(_SECOND) != found:
            self._write(found)
        size, crc = found
        return zlib.crc32(application(self._flash)[:size]) == crc

    def begin(self) -> None:
        """An image is about to be written: nothing is installed meanwhile."""
        if self._has_note and self._flash.pages[INSTALLED] != _BLANK:
            self._flash.program(INSTALLED * PAGE, bytes(PAGE))
            self._rail.check()
            self._flash.erase(INSTALLED)
            self._rail.check()

    def end(self, size: int) -> None:
        """Note that a whole image has arrived. :param size: of the image, in bytes."""
        if self._has_note:
            self._write((size, zlib.crc32(application(self._flash)[:size])))

    def _read(self, at: int) -> tuple[int, int] | None:
        found = self._flash.pages[INSTALLED][at:][: _NOTE.size + 4]
        magic, size, crc = _NOTE.unpack_from(found)
        return (size, crc) if magic == _MAGIC and found == note(size, crc) else None

    def _write(self, what: tuple[int, int]) -> None:
        for at in (0, _SECOND):
            self._flash.program(INSTALLED * PAGE + at, note(*what))
            self._rail.check()
