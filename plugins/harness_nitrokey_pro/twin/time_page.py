"""The last time that the key was told, in minutes, on a page that is appended to (hotp/hotp.c).

The sound personality writes each word twice: a torn word whose eight bits of check happen to fit is not believed.
"""

from __future__ import annotations

from harness_nitrokey_pro.twin.layout import PAGE, TIME, TIME_ORIGIN, TIME_WORDS
from harness_nitrokey_pro.twin.pages import Pages

WORD = 4
AS_READ = "time-page-erased-first"


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


class TimePage:
    """Everything that writes raises PowerLost."""

    def __init__(self, pages: Pages):
        self._pages = pages
        self._size = WORD if pages.has(AS_READ) else 2 * WORD
        self._count = TIME_WORDS if pages.has(AS_READ) else PAGE // (2 * WORD)

    @property
    def room(self) -> int:
        """How many times the page takes before it is begun anew."""
        return self._count

    def _entries(self) -> list[bytes]:
        page = self._pages.read(TIME)
        return [page[self._size * index :][: self._size] for index in range(self._count)]

    @property
    def last(self) -> int | None:
        """The time that was stored last, in Unix seconds; None if none is."""
        for entry in reversed(self._entries()):
            word = entry[:WORD]
            if entry == word * (self._size // WORD) and word[3] == _crc8(word[:3]):
                return int.from_bytes(word[:3], "little") * 60 + TIME_ORIGIN
        return None

    def store(self, time: int) -> None:
        """Store a time, by the minute; nothing if it is stored already."""
        minutes = max(0, (time - TIME_ORIGIN) // 60)
        if self.last == minutes * 60 + TIME_ORIGIN:
            return
        three = minutes.to_bytes(8, "little")[:3]
        entry = (three + bytes([_crc8(three)])) * (self._size // WORD)
        used = [index for index, found in enumerate(self._entries()) if found != b"\xff" * self._size]
        place = used[-1] + 1 if used else 0
        if place < self._count:
            self._pages.program(TIME, self._size * place, entry)
        elif self._pages.has(AS_READ):
            self._pages.rewrite(TIME, entry)
        else:
            self._pages.commit({TIME: entry})
