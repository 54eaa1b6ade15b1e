"""One uncut run of a firmware that runs as a process, and the directory that each cut into it leaves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.api import CallerError, Cut, FlashOp, Mark, Recording, unit
from harness_rigs.emulator.state import DirectoryState
from harness_rigs.recorded.batches import WriteBack
from harness_rigs.recorded.directory_ops import Entries, FileOp, Op, apply, apply_torn, blocks
from harness_rigs.recorded.options import FlashOptions
from harness_rigs.recorded.synced import synced_at

LATE_WRITES = 64
"""So many unsynced writes before an instant, or pages of one write-back, are left out one at a time."""
_LABEL = re.compile(r"op([1-9][0-9]{0,8})\.([a-z]+)([0-9]{0,9})")
_LATE = re.compile(r"(without|file|unsynced|alone)([0-9]*)")
ORDER_UNSEEN = (
    "it maps its flash and syncs several pages at once: in which order it changed them is not seen, and they are "
    'written by address; faults = ["torn", "reordered"] tries each before each other one'
)


@dataclass(frozen=True)
class FileRecording(Recording[DirectoryState]):
    """What a firmware did to its files.

    :ivar sources: for each operation, the number of the change that it comes from, from 0.
    :ivar synced: (number of operations done before, path) of each fsync.
    :ivar flash: how the files break.
    :ivar batches: the sources that are several changes in one: of a mapped file (see `batches`).
    :ivar write_backs: the pages of flash files that the kernel has written in an order of its own.
    """

    base: DirectoryState
    ops: Sequence[Op]
    marks: tuple[Mark, ...]
    start_us: int
    end_us: int
    final: DirectoryState
    tear_seed: bytes
    sources: tuple[int, ...]
    synced: tuple[tuple[int, str], ...]
    flash: FlashOptions
    batches: frozenset[int] = frozenset()
    write_backs: tuple[WriteBack, ...] = ()

    @property
    def remark(self) -> str:
        return ORDER_UNSEEN if self.write_backs and not self.flash.is_reordered else ""

    def all_cuts(self, torn_phases: int) -> list[Cut]:
        cuts = []
        for number, op in enumerate(self.ops, 1):
            cuts.append(self._cut(number, "before", 0.0))
            torn = self._torn_phases(op, torn_phases)
            cuts += [self._cut(number, f"torn{i}", self._phi(number, i, torn)) for i in range(1, torn + 1)]
            cuts.append(self._cut(number, "after", 1.0))
            cuts += [self._cut(number, phase, 1.0) for phase in self._late(number)]
        cuts.append(Cut(len(self.ops) + 1, "end", 0.0, self.end_us))
        return cuts

    def can_be_live(self, cut: Cut) -> bool:
        # A process that is killed leaves all that it has written, and only the model's disk is late.
        return super().can_be_live(cut) and not _LATE.fullmatch(cut.phase)

    def cut_at(self, label: str, torn_phases: int) -> Cut:
        cuts = {cut.label: cut for cut in self.all_cuts(torn_phases)}
        if label in cuts:
            return cuts[label]
        match = _LABEL.fullmatch(label)
        number = int(match[1]) if match else 0
        there = [cut.phase for cut in cuts.values() if cut.flash_op == number]
        raise CallerError(
            f'cut "{label}"',
            found=label,
            expected=f"op{number} with .{', .'.join(there)}"
            if there
            else f"op1 .. op{len(self.ops)}; or end",
            mend="copy the replay id as it was printed; if the firmware's writes differ from run to run, replay its "
            "evidence (`--from-evidence`)",
        )

    def _cut(self, number: int, phase: str, phi: float) -> Cut:
        op = self.ops[number - 1]
        return Cut(number, phase, phi, op.start_us + round(phi * (op.end_us - op.start_us)))

    def _torn_phases(self, op: Op, torn_phases: int) -> int:
        if "torn" not in self.flash.faults:
            return 0
        if isinstance(op, FlashOp):
            return torn_phases
        if op.kind != "write":
            return 0
        return min(torn_phases, len(blocks(op, self.flash.block_size)) - 1)

    def _phi(self, number: int, torn: int, phases: int) -> float:
        op = self.ops[number - 1]
        if isinstance(op, FlashOp):
            # One seeded instant in each of equal parts, as on twins.
            phi = (torn - 1 + unit(self.tear_seed, "phi", number, torn)) / phases
            return min(max(phi, 0.002), 0.998)
        ends = len(blocks(op, self.flash.block_size))
        return max(1, torn * ends // (phases + 1)) / ends

    def _late(self, number: int) -> list[str]:
        """The phases of an instant after an operation, in which earlier data has not reached the disk."""
        if not self.flash.is_reordered:
            return []
        if isinstance(self.ops[number - 1], FlashOp):
            before = self._written_before(number)
            return [f"without{page[0]}" for page in before[-LATE_WRITES:]] + ["alone"] * (len(before) > 1)
        waiting = self._unsynced(number)
        phases = [f"without{one}" for one in waiting if one != number][-LATE_WRITES:]
        files = {self.ops[one - 1].chip for one in waiting}
        if len(waiting) > 1:
            phases.append("unsynced")
        if len(files) > 1:
            firsts = {self.ops[one - 1].chip: one for one in reversed(waiting)}
            phases += [f"file{one}" for one in sorted(firsts.values())]
        return phases

    def _written_before(self, number: int) -> tuple[tuple[int, ...], ...]:
        """Pages of the write-back in which an operation is the last of its page: those that were written before it."""
        return next((found for one in self.write_backs if (found := one.before(number))), ())

    def _unsynced(self, number: int) -> list[int]:
        """The operations with data, up to one, that no fsync has brought to the disk by then."""
        return [one for one, synced in self._synced_at.items() if one <= number and synced > number]

    @cached_property
    def _synced_at(self) -> dict[int, int]:
        return synced_at(self.ops, self.synced)

    def _lost(self, cut: Cut) -> set[int]:
        """Numbers of the operations that a late disk has not done at a cut."""
        match = _LATE.fullmatch(cut.phase)
        if match is None:
            return set()
        if isinstance(self.ops[cut.flash_op - 1], FlashOp):
            pages = self._written_before(cut.flash_op)
            return {op for page in pages if match[1] == "alone" or page[0] == int(match[2]) for op in page}
        if match[1] == "without":
            return {int(match[2])}
        unsynced = self._unsynced(cut.flash_op)
        if match[1] == "unsynced":
            return set(unsynced)
        path = self.ops[int(match[2]) - 1].chip
        return {one for one in unsynced if self.ops[one - 1].chip == path}

    def images(self, cuts: Iterable[Cut]) -> Iterator[tuple[Cut, DirectoryState]]:
        entries: Entries = dict(self.base.entries)
        done = 0
        for cut in cuts:
            if lost := self._lost(cut):
                yield cut, DirectoryState(self._without(cut.flash_op, lost))
                continue
            while done < cut.flash_op - 1:
                apply(entries, self.ops[done], self.flash)
                done += 1
            state = dict(entries)
            if cut.phi > 0:
                op = self.ops[cut.flash_op - 1]
                apply_torn(state, op, cut.phi, self.tear_seed, cut.flash_op, self.flash)
            yield cut, DirectoryState(state)

    def _without(self, until: int, lost: set[int]) -> Entries:
        entries: Entries = dict(self.base.entries)
        for number in range(1, until + 1):
            if number not in lost:
                apply(entries, self.ops[number - 1], self.flash)
        return entries

    def words(self, number: int) -> str:
        op = self.ops[number - 1]
        if isinstance(op, FileOp):
            return op.words()
        what = "erase of" if op.kind == "erase" else f"program of {len(op.data)} bytes in"
        return f"{what} page {op.page} of {op.chip}"

    def phase_words(self, cut: Cut) -> str:
        match = _LATE.fullmatch(cut.phase)
        if match is None or not isinstance(self.ops[cut.flash_op - 1], FlashOp):
            return super().phase_words(cut)
        others = "the pages before it" if match[1] == "alone" else f"the page of flash op {match[2]}"
        return f"written back before {others}: the map does not tell the order"

    def wear(self) -> dict[tuple[str, int], int]:
        worn: dict[tuple[str, int], int] = {}
        for op in self.ops:
            if op.kind == "erase":
                worn[op.chip, op.page] = worn.get((op.chip, op.page), 0) + 1
        return worn

    def endurance(self, chip: str) -> int:
        return self.flash.endurance

    def repeats(self, other: FileRecording) -> bool:
        """Whether another run of the same operation wrote the same."""
        return len(self.ops) == len(other.ops) and all(a.same_as(b) for a, b in zip(self.ops, other.ops))
