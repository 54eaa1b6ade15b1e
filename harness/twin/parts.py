"""Flash parts by their data sheets, and the operations that are done on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["erase", "program"]


@dataclass(frozen=True)
class Part:
    """A flash chip or an on-chip flash.

    :param page_size: bytes that one erase sets. :param word_size: bytes that are programmed as one.
    :param word_us: time to program a word, in microseconds. :param erase_us: time to erase a page.
    :param endurance: erases that each page is specified for.
    """

    name: str
    page_size: int
    pages: int
    word_size: int
    word_us: int
    erase_us: int
    endurance: int

    @property
    def size(self) -> int:
        """Bytes in the whole part."""
        return self.page_size * self.pages


NRF52840_IFS = Part("nrf52840 internal", 4096, 20, 4, 41, 85_000, 10_000)
"""The file system region of the Nitrokey 3 Mini, 0xD8000..0xEC000 (nRF52840 PS v1.1, 4.3.6: 41 us, 85 ms)."""
GD25Q16 = Part("gd25q16 external", 4096, 480, 256, 500, 45_000, 100_000)
"""2 MiB QSPI NOR less the 128 KiB that the firmware does not use (GD25Q16C data sheet: typical times)."""


@dataclass(frozen=True, slots=True)
class FlashOp:
    """One page erase or one program call as issued.

    :ivar offset: where in the page `data` goes; 0 for an erase.
    :ivar data: what is programmed; empty for an erase.
    :ivar start_us: on the board's clock, as `end_us`.
    :ivar took: False on a page past its endurance: the time passes and the page stays as it was.
    """

    chip: str
    kind: Kind
    page: int
    offset: int
    data: bytes
    start_us: int
    end_us: int
    took: bool = True

    def same_as(self, other: object) -> bool:
        """Whether it writes the same to the same place; when it did so does not count."""
        return isinstance(other, FlashOp) and (self.chip, self.kind, self.page, self.offset, self.data) == (
            other.chip,
            other.kind,
            other.page,
            other.offset,
            other.data,
        )
