"""Flash layers: how a file system with 256-byte blocks sits on pages of 4 KiB.

Erasing one block means: read its page, erase the page, rewrite the other fifteen blocks. The layers differ in
what survives a power failure between the last two steps:

    unjournaled   no copy is kept (Nitrokey 3 firmware up to 1.2.2)
    late-replay   a journal page holds the other blocks; it is replayed only when the file system does not
                  mount, and erased at every boot (1.3.1 and later)
    safe          the journal record has a commit checksum and an applied mark, and is replayed at every boot
    unverified    as safe, but what was written is not read back (a defect)
    byte-numbers, short-numbers, marked-first    as safe, with other defects

Behaviour of the first two as read in the public source, nitrokey-3-firmware b9ec0bdc,
components/boards/src/soc/nrf52/flash.rs and nk3am/migrations/ftl_journal/ifs_flash_old.rs.
"""

from __future__ import annotations

import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping

from harness.base.errors import CallerError, one_of
from harness.twin.flash import Flash

BLOCK = 256
_NUMBERS = 1 << 32
"""Numbers that a record's sequence number can be, 0 among them."""


class Layer(ABC):
    """Blocks of 256 bytes on a flash with larger pages.

    :ivar base: address of the first block. :ivar block_size: bytes in a block.
    :ivar failed: a page did not take a write; nothing more is written in this boot.
    """

    name: str
    journal_pages = 0
    failed = False

    def __init__(self, flash: Flash):
        self.flash = flash
        self._page_size = flash.part.page_size
        self.base = self.journal_pages * self._page_size
        self.block_size = BLOCK

    @property
    def blocks(self) -> int:
        """How many blocks the file system has."""
        return (self.flash.part.size - self.base) // self.block_size

    def program(self, block: int, offset: int, data: bytes) -> bool:
        """Program into an erased block; False if the power failed."""
        return self.flash.program(self.base + block * BLOCK + offset, data)

    def erase(self, block: int) -> bool:
        """Erase one block and keep its neighbours; False if the power failed."""
        address = self.base + block * BLOCK
        page, left = divmod(address, self._page_size)
        content = self.flash.pages[page]
        return self._replace(page, content, left, left + BLOCK)

    def _rewrite(self, page: int, content: bytes, left: int, right: int) -> bool:
        """Erase a page, then write back its bytes before `left` and from `right` on."""
        start = page * self._page_size
        return (
            self.flash.erase(page)
            and (left == 0 or self.flash.program(start, content[:left]))
            and (right == self._page_size or self.flash.program(start + right, content[right:]))
        )

    @abstractmethod
    def _replace(self, page: int, content: bytes, left: int, right: int) -> bool:
        """Rewrite a page without its bytes between `left` and `right`."""

    def on_power_up(self) -> bool:
        """Run at every boot before the file system is mounted; False if the power failed."""
        return True

    def on_unmountable(self) -> bool:
        """Repair a file system that does not mount; False if there is nothing to try, or the power failed."""
        return False

    def on_mounted(self) -> bool:
        """Run at every boot after the first mount, successful or not; False if the power failed."""
        return True


class Unjournaled(Layer):
    """Read, erase, rewrite: a cut between the last two loses up to sixteen blocks."""

    name = "unjournaled"

    def _replace(self, page: int, content: bytes, left: int, right: int) -> bool:
        return self._rewrite(page, content, left, right)


class LateReplay(Layer):
    """Two journal pages, used in turn: four big-endian words (count, address, left, right) and the data."""

    name = "late-replay"
    journal_pages = 2

    def __init__(self, flash: Flash):
        super().__init__(flash)
        self._next: tuple[int, int] | None = None

    def on_mounted(self) -> bool:
        return self._format()

    def on_unmountable(self) -> bool:
        counts = self._counts()
        index = max(range(2), key=lambda i: counts[i])
        record = self.flash.pages[index]
        _, address, left, right = struct.unpack_from(">4I", record)
        page, rest = divmod(address, self._page_size)
        # The firmware trusts these words: a record that points outside the flash makes it panic.
        if (
            rest
            or not self.journal_pages <= page < self.flash.part.pages
            or not left <= right <= self._page_size
        ):
            return False
        kept = record[16 : 16 + left] + b"\xff" * (right - left)
        kept += record[16 + left : 16 + left + self._page_size - right]
        return self._rewrite(page, kept, left, right)

    def _format(self) -> bool:
        self._next = None
        return (
            self.flash.erase(0)
            and self.flash.erase(1)
            and all(
                self.flash.program(i * self._page_size, struct.pack(">I", i))
                and self.flash.program(i * self._page_size + 4, bytes(BLOCK - 4))
                for i in range(2)
            )
        )

    def _counts(self) -> list[int]:
        return [struct.unpack_from(">I", self.flash.pages[i])[0] for i in range(2)]

    def _replace(self, page: int, content: bytes, left: int, right: int) -> bool:
        if self._next is None:
            if 0xFFFFFFFF in self._counts() and not self._format():
                return False
            counts = self._counts()
            index = min(range(2), key=lambda i: counts[i])
            self._next = (index, counts[index])
        index, count = self._next
        start = index * self._page_size
        if not self.flash.erase(index):
            return False
        for place, word in enumerate((count, page * self._page_size, left, right)):
            if not self.flash.program(start + 4 * place, struct.pack(">I", word)):
                return False
        if left and not self.flash.program(start + 16, content[:left]):
            return False
        if right < self._page_size and not self.flash.program(start + 16 + left, content[right:]):
            return False
        self._next = (1 - index, count + 1)
        return self._rewrite(page, content, left, right)


class Safe(Layer):
    """Two journal pages, used in turn; a record is valid only when its checksum matches.

    Record: magic, sequence number, page, left, right (little-endian words), the kept data, padding; at the
    end of the page the commit word (CRC-32 of all before it) and the applied mark (two words, 0 when applied).

    Why no cut loses data, in either page and in any number of boots that are cut:
    - until the commit word is complete, the target page is unchanged and the record is invalid;
    - from then until the mark is complete, every boot applies the record again before anything else writes;
    - only the valid record with the highest sequence number is applied. A torn erase of the older journal page
      can clear its applied mark, but cannot raise its sequence number. (A layer that judges each record alone
      applies such a record to a page that has changed since: 0.3 % of the cuts in a model of it.)

    Why the same holds where a torn word reads differently in the next boot:
    - a record that reads as valid may be invalid in the next boot: its commit word is programmed again before
      the target page is touched;
    - an applied mark that reads as complete may be incomplete in the next boot: it counts once its second word
      has been begun, because the first is complete then; otherwise both are programmed again before anything
      else writes;
    - a record that reads as invalid may be valid in the next boot: its target page is unchanged, because the
      file system programs a block only after erasing it, and that erase first replaces this record.

    A journal page is erased in every second rewrite, so it wears out first, and then silently keeps its old
    record. A record is therefore read back before its target page is touched.
    """

    name = "safe"
    journal_pages = 2
    verifies = True
    _MAGIC = 0x4B484A31

    def __init__(self, flash: Flash):
        super().__init__(flash)
        self._commit = self._page_size - 12
        self._mark = self._page_size - 8
        self._newest: tuple[int, int] | None = None

    def _sequence(self, index: int) -> int:
        """The sequence number of a valid record; 0 if the record is not valid."""
        page = self.flash.pages[index]
        magic, sequence = struct.unpack_from("<2I", page)
        if magic != self._MAGIC:
            return 0
        (crc,) = struct.unpack_from("<I", page, self._commit)
        return sequence if zlib.crc32(page[: self._commit]) == crc else 0

    def _holds(self, index: int, record: bytes, sequence: int) -> bool:
        """Read a record back. Its checksum is worked out only where it reads other than it was written."""
        written = record.ljust(self._page_size, b"\xff")
        return self.flash.pages[index] == written or self._sequence(index) == sequence

    @property
    def commit_at(self) -> int:
        """Where in a journal page the commit word stands."""
        return self._commit

    def records(self) -> dict[int, int]:
        """Journal page -> sequence number, of each record that is valid."""
        return {index: number for index in range(2) if (number := self._sequence(index))}

    @classmethod
    def newest(cls, records: Mapping[int, int]) -> int:
        """The journal page with the newest of two records. Sequence numbers wrap: the later one is less than half
        of all numbers ahead of the other."""
        first, *others = records
        return next(
            (one for one in others if (records[one] - records[first]) % _NUMBERS < _NUMBERS // 2), first
        )

    def on_power_up(self) -> bool:
        records = self.records()
        index = self.newest(records) if records else 0
        sequence = records.get(index, 0)
        self._newest = (index, sequence)
        if not sequence:
            return True
        record = self.flash.pages[index]
        if record[self._mark : self._mark + 4] == bytes(4):
            return record[self._mark + 4 :] != b"\xff" * 4 or self._applied(index)
        if not self._committed(index, record[self._commit : self._mark]):
            return False
        page, left, right = struct.unpack_from("<3I", record, 8)
        kept = (
            record[20 : 20 + left]
            + bytes(right - left)
            + record[20 + left : 20 + left + self._page_size - right]
        )
        return self._recover(index, page, kept, left, right)

    def _recover(self, index: int, page: int, kept: bytes, left: int, right: int) -> bool:
        """Apply a record again, then mark it as applied."""
        return self._rewrite(page, kept, left, right) and self._applied(index)

    def _committed(self, index: int, word: bytes) -> bool:
        return self.flash.program(index * self._page_size + self._commit, word)

    def _applied(self, index: int) -> bool:
        return self.flash.program(index * self._page_size + self._mark, bytes(8))

    def _replace(self, page: int, content: bytes, left: int, right: int) -> bool:
        if self._newest is None and not self.on_power_up():
            return False
        assert self._newest is not None
        # 0 is no number of a record.
        index, sequence = 1 - self._newest[0], self._newest[1] % (_NUMBERS - 1) + 1
        start = index * self._page_size
        record = (
            struct.pack("<5I", self._MAGIC, sequence, page, left, right) + content[:left] + content[right:]
        )
        padded = record.ljust(self._commit, b"\xff")
        commit_word = struct.pack("<I", zlib.crc32(padded))
        if not (
            self.flash.erase(index)
            and self.flash.program(start, record)
            and self._committed(index, commit_word)
        ):
            return False
        if self.verifies and not self._holds(index, padded + commit_word, sequence):
            self.failed = True
            return False
        self._newest = (index, sequence)
        return self._rewrite(page, content, left, right) and self._applied(index)


class Unverified(Safe):
    """`safe` without reading back what it wrote: a worn journal page goes unnoticed."""

    name = "unverified"
    verifies = False


class ByteNumbers(Safe):
    """`safe` that compares sequence numbers in one byte: a wrap there hides the newest record."""

    name = "byte-numbers"
    counted = 1 << 8

    @classmethod
    def newest(cls, records: Mapping[int, int]) -> int:
        return max(records, key=lambda one: records[one] % cls.counted)


class ShortNumbers(ByteNumbers):
    """The same in two bytes."""

    name = "short-numbers"
    counted = 1 << 16


class MarkedFirst(Safe):
    """`safe` that marks a record as applied before it applies it: a cut into the recovery loses it."""

    name = "marked-first"

    def _recover(self, index: int, page: int, kept: bytes, left: int, right: int) -> bool:
        return self._applied(index) and self._rewrite(page, kept, left, right)


class Plain(Layer):
    """One block for each page, for a file system whose blocks are as large as pages (external flash)."""

    name = "plain"

    def __init__(self, flash: Flash):
        super().__init__(flash)
        self.block_size = self._page_size

    def program(self, block: int, offset: int, data: bytes) -> bool:
        start = block * self._page_size + offset
        return all(self.flash.program(start + at, data[at : at + BLOCK]) for at in range(0, len(data), BLOCK))

    def erase(self, block: int) -> bool:
        return self.flash.erase(block)

    def _replace(self, page: int, content: bytes, left: int, right: int) -> bool:
        return self.flash.erase(page)


LAYERS: dict[str, type[Layer]] = {
    cls.name: cls
    for cls in (Unjournaled, LateReplay, Safe, Unverified, ByteNumbers, ShortNumbers, MarkedFirst)
}


def layer_called(name: str) -> type[Layer]:
    """Look up a layer by name.

    :raises CallerError: no layer has that name.
    """
    if name not in LAYERS:
        raise CallerError(
            f'flash layer "{name}"', found=name, expected=one_of(name, list(LAYERS)), mend="name one of these"
        )
    return LAYERS[name]
