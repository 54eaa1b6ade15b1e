"""Flash pages of the microcontroller: how they are rewritten, soundly by a journal, and as the original does it.

The journal takes up to six new page contents and any number of erases as one change. The contents go to spare pages,
then a header with their check sums is written; from there on the change is done, again at each boot until the mark for
"applied" is written. Before the header is erased for the next change it is programmed to zeros, so that no cut in the
erase can bring an old change back.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from harness.api import Board, Panic
from harness_nitrokey_pro.twin.layout import (
    BACKUP,
    BACKUP_ADDRESS,
    BACKUP_LENGTH,
    BACKUP_OK,
    COPIED,
    DATA_PAGE,
    FLASH_BASE,
    HEADER,
    JOURNAL_PAGES,
    OK_MARK,
    PAGE,
    STM32F103,
)

BLANK = b"\xff" * PAGE
_MAGIC = 0x4B48504A
_APPLIED_AT, _APPLIED = 512, b"\0\0"
_ENTRY = struct.Struct("<BBI")
NO_BACKUP = 0xFFFFFFFF


class Pages:
    """The pages of one boot. Everything that writes raises PowerLost.

    :param chip: the board's name of the microcontroller's flash.
    :ivar refuses: the flash unit has an error that nobody clears: each write is dropped without a word until the power
        goes. Only a defect sets it.
    """

    def __init__(self, board: Board, chip: str, defects: frozenset[str]):
        self._flash, self._rail = board.flash[chip], board.rail
        self.defects = defects
        self.refuses = False

    def has(self, defect: str) -> bool:
        return defect in self.defects

    def read(self, page: int) -> bytes:
        return self._flash.pages[page]

    def erase(self, page: int) -> None:
        if not self.refuses:
            self._flash.erase(page)
            self._rail.check()

    def program(self, page: int, offset: int, data: bytes) -> None:
        if data and not self.refuses:
            self._flash.program(page * PAGE + offset, data)
            self._rail.check()

    def rewrite(self, page: int, content: bytes | None) -> None:
        """Erase a page, then write it: between the two it is empty."""
        self.erase(page)
        self.program(page, 0, (content or b"").rstrip(b"\xff"))

    # The journal

    def commit(self, changes: Mapping[int, bytes | None]) -> None:
        """Give pages new contents (None: empty), all of them or none. :param changes: page -> content."""
        wanted = {page: (content or b"").ljust(PAGE, b"\xff") for page, content in changes.items()}
        wanted = {page: content for page, content in wanted.items() if self.read(page) != content}
        if not wanted or self.refuses:
            return
        self._clear_header()
        spare, entries = iter(JOURNAL_PAGES), b""
        for page, content in wanted.items():
            if content == BLANK:
                entries += _ENTRY.pack(page, 0, 0)
                continue
            place = next(spare)
            if self.read(place) != BLANK:
                self.erase(place)
            self.program(place, 0, content.rstrip(b"\xff"))
            entries += _ENTRY.pack(page, place, zlib.crc32(content))
        head = struct.pack("<II", _MAGIC, len(entries)) + entries
        self.program(HEADER, 0, head + zlib.crc32(head).to_bytes(4, "little"))
        self._apply()

    def forget_copies(self) -> None:
        """Erase what the journal still holds of earlier changes."""
        self._clear_header()
        for page in JOURNAL_PAGES:
            if self.read(page) != BLANK:
                self.erase(page)

    def resume(self) -> None:
        """Run at every boot: finish a change that a cut broke off."""
        head = self._head()
        if head is None or self.read(HEADER)[_APPLIED_AT:][:2] == _APPLIED:
            return
        # A word that reads as complete may be read otherwise in the next boot: it is written once more.
        self.program(HEADER, 0, head)
        self._apply()

    def _head(self) -> bytes | None:
        """The header with its check sum; None if it is not valid, or its contents are not."""
        page = self.read(HEADER)
        magic, size = struct.unpack_from("<II", page)
        if magic != _MAGIC or size > _APPLIED_AT - 12 or size % _ENTRY.size:
            return None
        head, check = page[: 8 + size], page[8 + size : 12 + size]
        if zlib.crc32(head) != int.from_bytes(check, "little"):
            return None
        for _, place, crc in _ENTRY.iter_unpack(head[8:]):
            if place and zlib.crc32(self.read(place)) != crc:
                return None
        return head + check

    def _apply(self) -> None:
        head = self._head() or b""
        for page, place, _ in _ENTRY.iter_unpack(head[8:-4]):
            self.rewrite(page, self.read(place) if place else None)
        self.program(HEADER, _APPLIED_AT, _APPLIED)

    def _clear_header(self) -> None:
        page = self.read(HEADER)
        if page == BLANK:
            return
        self.program(HEADER, 0, bytes(_APPLIED_AT))
        self.erase(HEADER)

    # As the original does it

    def rewrite_with_backup(self, page: int, content: bytes) -> None:
        """Copy the page to the backup page, rewrite it, and mark the backup as done with."""
        self.erase(BACKUP)
        self.program(BACKUP, 0, self.read(page)[:COPIED])
        self._note_backup(page, COPIED.to_bytes(2, "little"))
        self.erase(page)
        self.program(page, 0, content[:COPIED].rstrip(b"\xff"))
        self.program(BACKUP, BACKUP_OK, OK_MARK)

    def rewrite_counter(self, page: int, base: bytes) -> None:
        """Begin a counter page anew. The length is written as 32 bits, over the place of the mark that comes last."""
        self.erase(BACKUP)
        self.program(BACKUP, 0, base)
        self.program(BACKUP, BACKUP_ADDRESS, _address(page))
        self.program(BACKUP, BACKUP_LENGTH, len(base).to_bytes(4, "little"))
        self.rewrite(page, base)
        # Programming a half-word that is not erased is an error, and nobody clears its flag.
        self.refuses = True

    def _note_backup(self, page: int, length: bytes) -> None:
        self.program(BACKUP, BACKUP_LENGTH, length)
        self.program(BACKUP, BACKUP_ADDRESS, _address(page))

    def check_backup(self) -> None:
        """Run at every boot: put a backup back that is not marked as done with.

        :raises Panic: its address is none: the original erases there, before USB starts.
        """
        backup = self.read(BACKUP)
        address = int.from_bytes(backup[BACKUP_ADDRESS:][:4], "little")
        if address == NO_BACKUP or backup[BACKUP_OK:][:2] == OK_MARK:
            return
        page, rest = divmod(address - FLASH_BASE, PAGE)
        if rest or not DATA_PAGE <= page < STM32F103.pages:
            raise Panic
        length = min(int.from_bytes(backup[BACKUP_LENGTH:][:2], "little"), PAGE)
        self.rewrite(page, backup[:length])
        self.erase(BACKUP)


def _address(page: int) -> bytes:
    return (FLASH_BASE + page * PAGE).to_bytes(4, "little")
