"""Record an operation once, then compute the flash image of every cut in it.

The image at a cut is the image before the operation, plus the complete flash operations, plus the torn part of
the next one. The same functions tear it here and in a live run.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from harness.base.errors import CallerError, HarnessFault
from harness.base.seeds import unit
from harness.model.tap import Mark
from harness.twin.image import BoardState
from harness.twin.metastable import settled, whole
from harness.twin.metastable import torn as torn_weak
from harness.twin.parts import FlashOp, Part
from harness.twin.tear import programmed, torn_erase, torn_program


class State(Protocol):
    """The state of a key without power."""

    def digest(self) -> bytes: ...


def twin_trace(recording: object) -> Trace:
    """The recording of a simulated key.

    :raises HarnessFault: it is of another key.
    """
    if not isinstance(recording, Trace):
        raise HarnessFault("this needs the recording of a simulated key")
    return recording


class Write(Protocol):
    """One thing that a key does to what it keeps: to a page of a chip, or to a file, which is then its own chip."""

    @property
    def chip(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def page(self) -> int: ...

    @property
    def start_us(self) -> int: ...

    @property
    def end_us(self) -> int: ...

    def same_as(self, other: object) -> bool:
        """Whether it writes the same to the same place; when it did so does not count."""


S_co = TypeVar("S_co", bound=State, covariant=True)


class Recording(ABC, Generic[S_co]):
    """One uncut run of an operation, from which the state after every cut is computed.

    :ivar base: the state before the operation.
    :ivar ops: what it wrote, in order.
    :ivar marks: the marks of the transport's tap.
    :ivar start_us: on the key's clock, as `end_us`.
    :ivar final: the state after the operation.
    :ivar tear_seed: key of the hashes that decide what a torn write leaves.
    """

    base: S_co
    ops: Sequence[Write]
    marks: tuple[Mark, ...]
    start_us: int
    end_us: int
    final: S_co
    tear_seed: bytes

    @property
    def acknowledged_us(self) -> int | None:
        """When the last response was complete; None if the operation has no response (power-up)."""
        for mark in reversed(self.marks):
            if mark.name.startswith("response"):
                return mark.at_us
        return None

    @property
    def requested_us(self) -> int:
        """When the last request was sent completely; the start if there was no request."""
        for mark in reversed(self.marks):
            if mark.name.startswith("request-sent"):
                return mark.at_us
        return self.start_us

    @property
    def remark(self) -> str:
        """What the recording cannot show, to be said beside its results; "" if nothing."""
        return ""

    @abstractmethod
    def all_cuts(self, torn_phases: int) -> list[Cut]:
        """Every cut: each write in each phase, and a power-off after the last."""

    def can_be_live(self, cut: Cut) -> bool:
        """Whether a key whose power really fails there can leave the state of this cut."""
        return cut.phase != "end"

    @abstractmethod
    def cut_at(self, label: str, torn_phases: int) -> Cut:
        """Look up a cut by its label.

        :raises CallerError: this operation has no such cut.
        """

    @abstractmethod
    def images(self, cuts: Iterable[Cut]) -> Iterator[tuple[Cut, S_co]]:
        """Compute the state that each cut leaves. Cuts must be in the order of their writes."""

    @abstractmethod
    def words(self, number: int) -> str:
        """Describe a write by its number, from 1: "erase of page 4"."""

    def phase_words(self, cut: Cut) -> str:
        """Describe how far the write of a cut has come."""
        return "torn" if cut.phase.startswith("torn") else cut.phase

    @abstractmethod
    def wear(self) -> dict[tuple[str, int], int]:
        """Erases per (chip, page)."""

    @abstractmethod
    def endurance(self, chip: str) -> int:
        """Erases that each page of a chip is specified for."""


@dataclass(frozen=True)
class Trace(Recording[BoardState]):
    """One uncut run of an operation of a simulated key.

    :ivar ops: its flash operations, in order, on all chips.
    :ivar boots: for each boot in the operation, the number of flash operations before that boot.
    :ivar metastable: whether a torn operation leaves half-way cells.
    """

    base: BoardState
    ops: tuple[FlashOp, ...]
    marks: tuple[Mark, ...]
    boots: tuple[int, ...]
    start_us: int
    end_us: int
    final: BoardState
    parts: dict[str, Part]
    tear_seed: bytes
    metastable: bool = False

    def all_cuts(self, torn_phases: int) -> list[Cut]:
        return all_cuts(self, torn_phases)

    def cut_at(self, label: str, torn_phases: int) -> Cut:
        return cut_at(self, label, torn_phases)

    def images(self, cuts: Iterable[Cut]) -> Iterator[tuple[Cut, BoardState]]:
        return images(self, cuts)

    def words(self, number: int) -> str:
        op = self.ops[number - 1]
        what = "erase of" if op.kind == "erase" else f"program of {len(op.data)} bytes in"
        return f"{what} page {op.page}"

    def endurance(self, chip: str) -> int:
        return self.parts[chip].endurance

    def wear(self) -> dict[tuple[str, int], int]:
        worn: dict[tuple[str, int], int] = {}
        for op in self.ops:
            if op.kind == "erase":
                worn[op.chip, op.page] = worn.get((op.chip, op.page), 0) + 1
        return worn


@dataclass(frozen=True)
class Cut:
    """An instant, as a flash operation and the fraction of it that was done.

    :ivar flash_op: number of the operation, from 1; one past the last for the cut after everything.
    :ivar phase: "before", "torn1" .. "tornN", "after", or "end".
    :ivar phi: the fraction of the operation's time: 0 before, 1 after.
    :ivar at_us: the same instant in the recorded run.
    """

    flash_op: int
    phase: str
    phi: float
    at_us: int

    @property
    def label(self) -> str:
        return "end" if self.phase == "end" else f"op{self.flash_op}.{self.phase}"


_LABEL = re.compile(r"op([1-9][0-9]{0,8})\.(before|after|torn([1-9][0-9]{0,8}))")


def cut_at(trace: Trace, label: str, torn_phases: int) -> Cut:
    """Look up a cut by its label, e.g. "op3.torn2".

    :raises CallerError: this operation has no such cut.
    """
    if label == "end":
        return Cut(len(trace.ops) + 1, "end", 0.0, trace.end_us)
    match = _LABEL.fullmatch(label)
    number = int(match[1]) if match else 0
    torn = int(match[3]) if match and match[3] else 0
    if not match or number > len(trace.ops) or torn > torn_phases:
        raise CallerError(
            f'cut "{label}"',
            found=label,
            expected=f"op1 .. op{len(trace.ops)} with .before, .torn1 .. .torn{torn_phases}, .after; or end",
            mend="copy the replay id as it was printed",
        )
    return _cut(trace, number, match[2], torn, torn_phases)


def _cut(trace: Trace, number: int, phase: str, torn: int, torn_phases: int) -> Cut:
    op = trace.ops[number - 1]
    if phase == "before":
        phi = 0.0
    elif phase == "after":
        phi = 1.0
    else:
        # One seeded instant in each of `torn_phases` equal parts: evenly spread, and never on the border of a word.
        phi = (torn - 1 + unit(trace.tear_seed, "phi", number, torn)) / torn_phases
        phi = min(max(phi, 0.002), 0.998)
    return Cut(number, phase, phi, op.start_us + round(phi * (op.end_us - op.start_us)))


def all_cuts(trace: Trace, torn_phases: int) -> list[Cut]:
    """Every flash operation in every phase, and a power-off after the last."""
    cuts = []
    for number in range(1, len(trace.ops) + 1):
        cuts.append(_cut(trace, number, "before", 0, torn_phases))
        cuts += [_cut(trace, number, f"torn{i}", i, torn_phases) for i in range(1, torn_phases + 1)]
        cuts.append(_cut(trace, number, "after", 0, torn_phases))
    cuts.append(Cut(len(trace.ops) + 1, "end", 0.0, trace.end_us))
    return cuts


def images(trace: Trace, cuts: Iterable[Cut]) -> Iterator[tuple[Cut, BoardState]]:
    """Compute the state that each cut leaves. Cuts must be in the order of their flash operations."""
    pages = {name: list(image.pages) for name, image in trace.base.chips.items()}
    weak = {name: dict(image.weak) for name, image in trace.base.chips.items()}
    chips = dict(trace.base.chips)
    done = booted = 0

    def refresh(chip: str) -> None:
        masks = tuple(sorted(weak[chip].items()))
        chips[chip] = replace(trace.base.chips[chip], pages=tuple(pages[chip]), weak=masks)

    def boot() -> None:
        # Each boot settles the half-way cells.
        nonlocal booted
        while booted < len(trace.boots) and trace.boots[booted] <= done:
            booted += 1
            number = trace.base.boots + booted
            for chip in [chip for chip, masks in weak.items() if masks]:
                for page, mask in weak[chip].items():
                    content = pages[chip][page]
                    pages[chip][page] = settled(content, mask, trace.tear_seed, number, chip, page)
                refresh(chip)

    boot()
    for cut in cuts:
        while done < cut.flash_op - 1:
            op = trace.ops[done]
            pages[op.chip][op.page] = _after(pages[op.chip][op.page], op)
            if mask := whole(weak[op.chip].pop(op.page, b""), op):
                weak[op.chip][op.page] = mask
            refresh(op.chip)
            done += 1
            boot()
        state = BoardState(dict(chips), trace.base.boots + booted)
        if cut.phi > 0:
            state = _torn_state(trace, state, cut)
        yield cut, state


def _torn_state(trace: Trace, state: BoardState, cut: Cut) -> BoardState:
    op, seed = trace.ops[cut.flash_op - 1], trace.tear_seed
    word = trace.parts[op.chip].word_size
    image = state.chips[op.chip]
    before = image.pages[op.page]
    weak = b""
    if trace.metastable:
        weak = torn_weak(dict(image.weak).get(op.page, b""), before, op, cut.phi, seed, cut.flash_op, word)
    page = torn(before, op, cut.phi, seed, cut.flash_op, word)
    return state.with_page(op.chip, op.page, page, weak)


def _after(page: bytes, op: FlashOp) -> bytes:
    if not op.took:
        return page
    return b"\xff" * len(page) if op.kind == "erase" else programmed(page, op.offset, op.data)


def torn(page: bytes, op: FlashOp, phi: float, seed: bytes, number: int, word_size: int) -> bytes:
    """A page after `op` was torn at `phi`."""
    if not op.took:
        return page
    if op.kind == "erase":
        return torn_erase(page, phi, seed, number)
    return torn_program(page, op.offset, op.data, phi, seed, number, word_size)
