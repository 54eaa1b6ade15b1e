"""Flash that tears as real flash does.

A flash operation is one page erase or one program call as issued. A power failure leaves it before, after, or
torn at a fraction phi of its duration. Which cells changed is a keyed hash of (seed, operation, cell), so a cut
can be computed again at any time and in any order.

Model and figures: facts in docs/flash.md (nRF52840 product specification, NVMC; measurements cited there).
"""

from __future__ import annotations

from harness.base.errors import HarnessFault
from harness.base.seeds import unit
from harness.twin import metastable
from harness.twin.image import FlashImage
from harness.twin.parts import FlashOp, Kind, Part
from harness.twin.rail import PowerRail
from harness.twin.tear import programmed, torn_erase, torn_program


class Flash:
    """One chip on a board: read, program and erase, until the rail is dead.

    `program` and `erase` return False when the power fails in them, ever after, and while the chip does not
    answer: they are called from inside a C library, which no exception may cross.

    A page takes as many erases as its part is specified for and, by a keyed hash, up to a tenth more. After that
    its content stays, without an error: these parts have no error flag for it.

    :ivar metastable: whether cells that a torn operation left half-way read anew at each boot
        (`harness.twin.metastable`).
    :ivar weak: page -> mask of its half-way cells.
    :ivar answers_us: the chip does not answer before this instant of the board's clock: reads return 0xFF,
        commands are lost.
    """

    def __init__(self, name: str, part: Part, rail: PowerRail, blank: FlashImage | None = None):
        self.name = name
        self.part = part
        self._rail = rail
        erased = b"\xff" * part.page_size
        self._erased = erased
        self.pages: list[bytes] = list(blank.pages) if blank else [erased] * part.pages
        self.erases: list[int] = list(blank.erases) if blank else [0] * part.pages
        self.metastable = False
        self.weak: dict[int, bytes] = dict(blank.weak) if blank else {}
        self.answers_us = 0

    @property
    def answers(self) -> bool:
        """Whether the chip answers now."""
        return self._rail.clock.now_us >= self.answers_us

    def is_worn(self, page: int) -> bool:
        """Whether a page is past its endurance."""
        specified = self.part.endurance
        if self.erases[page] <= specified:
            return False
        return self.erases[page] > specified * (1 + 0.1 * unit(self._rail.seed, "endurance", self.name, page))

    def image(self) -> FlashImage:
        """Copy the content, wear and half-way cells."""
        return FlashImage(tuple(self.pages), tuple(self.erases), tuple(sorted(self.weak.items())))

    def load(self, image: FlashImage) -> None:
        """Replace the content, wear and half-way cells."""
        self.pages = list(image.pages)
        self.erases = list(image.erases)
        self.weak = dict(image.weak)

    def settle(self, boot: int) -> None:
        """Power came on: fix what each half-way cell reads as during this boot."""
        for page, weak in self.weak.items():
            content = self.pages[page]
            self.pages[page] = metastable.settled(content, weak, self._rail.seed, boot, self.name, page)

    def read(self, address: int, size: int) -> bytes:
        """Read `size` bytes at `address`; may cross pages."""
        if not self.answers:
            return b"\xff" * size
        page, offset = divmod(address, self.part.page_size)
        if offset + size <= self.part.page_size:
            return self.pages[page][offset : offset + size]
        got = self.pages[page][offset:]
        while len(got) < size:
            page += 1
            got += self.pages[page][: size - len(got)]
        return got

    def program(self, address: int, data: bytes) -> bool:
        """Clear the bits that are 0 in `data`; no bit is ever set. Within one page.

        :returns: False if the power failed, or the chip does not answer.
        :raises HarnessFault: the call crosses a page, or has no data.
        """
        if self._rail.dead or not self.answers:
            return False
        part = self.part
        page, offset = divmod(address, part.page_size)
        if offset + len(data) > part.page_size or not data:
            raise HarnessFault(
                f"{self.name}: a program call of {len(data)} bytes at {address:#x} leaves its page"
            )
        words = -(-len(data) // part.word_size)
        took = not self.is_worn(page)
        cut = self._meets("program", page, offset, data, words * part.word_us, took)
        if not took:
            return cut is None
        before = self.pages[page]
        if cut is None:
            self._store(page, programmed(before, offset, data))
            return True
        index, phi = cut
        self.pages[page] = torn_program(before, offset, data, phi, self._rail.seed, index, part.word_size)
        return False

    def erase(self, page: int) -> bool:
        """Set every bit of a page; returns as `program`."""
        if self._rail.dead or not self.answers:
            return False
        took = not self.is_worn(page)
        cut = self._meets("erase", page, 0, b"", self.part.erase_us, took)
        self.erases[page] += 1
        if not took:
            return cut is None
        if cut is None:
            self._store(page, self._erased)
            return True
        index, phi = cut
        self.pages[page] = torn_erase(self.pages[page], phi, self._rail.seed, index)
        return False

    def _meets(
        self, kind: Kind, page: int, offset: int, data: bytes, duration_us: int, took: bool
    ) -> tuple[int, float] | None:
        """Let an operation take its time, before its effect is stored; returns as `PowerRail.meets`."""
        rail = self._rail
        start_us = rail.clock.now_us
        end_us = start_us + duration_us
        cut = rail.meets(start_us, end_us)
        # Most operations of a campaign belong to looks, which record nothing: they are not described.
        if self.metastable or (rail.log is not None and cut is None):
            op = FlashOp(self.name, kind, page, offset, data, start_us, end_us, took)
            if rail.log is not None and cut is None:
                rail.log.append(op)
            if self.metastable:
                self._weaken(op, cut)
        return cut

    def _weaken(self, op: FlashOp, cut: tuple[int, float] | None) -> None:
        """Update the mask of half-way cells; called before the effect of the operation is stored."""
        weak, page = self.weak.pop(op.page, b""), self.pages[op.page]
        if cut is None:
            weak = metastable.whole(weak, op)
        else:
            weak = metastable.torn(weak, page, op, cut[1], self._rail.seed, cut[0], self.part.word_size)
        if weak:
            self.weak[op.page] = weak

    def _store(self, page: int, content: bytes) -> None:
        self.pages[page] = content
        if self._rail.on_stored is not None:
            self._rail.on_stored(self.name, page, content)
