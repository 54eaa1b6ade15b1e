"""One uncut run of a firmware that runs as a process, and the directory that each cut into it leaves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.api import CallerError, Cut, FlashOp, Mark, Recording, RigError, unit
from harness_rigs.emulator.state import DirectoryState
from harness_rigs.recorded.batches import WriteBack, batches, joined, together, written_back
from harness_rigs.recorded.directory_ops import Entries, FileOp, apply, apply_torn, blocks
from harness_rigs.recorded.events import FileEvent
from harness_rigs.recorded.flash_ops import driver_ops, flash_ops
from harness_rigs.recorded.options import FlashOptions

Op = FileOp | FlashOp

LATE_WRITES = 64
"""So many unsynced writes before an instant, or pages of one write-back, are left out one at a time."""
_LABEL = re.compile(r"op([1-9][0-9]{0,8})\.([a-z]+)([0-9]{0,9})")
_LATE = re.compile(r"(without|file|unsynced|alone)([0-9]*)")
HIDDEN = ".fuse_hidden"
"""How the FUSE library names a file that is removed while it is open."""

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
        if isinstance(op, FlashOp):
            return torn_phases
        if op.kind != "write" or "torn" not in self.flash.faults:
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
        """For each operation with data: how many operations were done when its file was synced; one too many if never.

        A file keeps what was written to it when it gets another name, and is synced by the name that it then has.
        """
        never = len(self.ops) + 1
        found: dict[int, int] = {}
        waiting: dict[str, list[int]] = {}
        syncs = iter(self.synced)
        sync = next(syncs, None)
        for done in range(never):
            if done:
                self._wait_for_sync(waiting, done)
                op = self.ops[done - 1]
                if isinstance(op, FileOp) and op.carries_data:
                    found[done] = never
            while sync is not None and sync[0] == done:
                found.update(dict.fromkeys(waiting.pop(sync[1], ()), done))
                sync = next(syncs, None)
        return found

    def _wait_for_sync(self, waiting: dict[str, list[int]], number: int) -> None:
        """Note what an operation leaves to be synced: its own data, and a name that its file now has."""
        op = self.ops[number - 1]
        if isinstance(op, FlashOp):
            return
        if op.carries_data:
            waiting.setdefault(op.chip, []).append(number)
        elif op.kind == "rename":
            for name in [one for one in waiting if one == op.chip or one.startswith(f"{op.chip}/")]:
                moved = waiting.pop(name)
                waiting.setdefault(op.to + name[len(op.chip) :], []).extend(moved)

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


def recorded(
    rig: str,
    base: DirectoryState,
    final: DirectoryState,
    events: Sequence[FileEvent],
    flash: FlashOptions,
    tear_seed: bytes,
    marks: tuple[Mark, ...],
    start_us: int,
    end_us: int,
) -> FileRecording:
    """Make a recording of events.

    :raises CallerError: a flash file does not have the geometry that the bench says.
    :raises RigError: the events do not lead from the one state to the other.
    """
    for name in flash.images:
        require_fits(rig, name, base, flash)
    ops: list[Op] = []
    sources: list[int] = []
    runs: list[int | None] = []
    last: FileEvent | None = None
    run = 0
    synced: list[tuple[int, str]] = []
    entries: Entries = dict(base.entries)
    number = 0
    several: set[int] = set()
    for batch in batches(events, flash):
        event = batch[0]
        run += last is None or not together(last, event, flash)
        last = batch[-1]
        if event.kind == "refused":
            number += 1
            continue
        if not event.changes:
            synced.append((len(ops), event.path))
            continue
        if len(batch) > 1:
            several.add(number)
            event = joined(batch, entries)
        for op in ops_of(event, entries, flash):
            apply(entries, op, flash)
            ops.append(op)
            sources.append(number)
            runs.append(run if event.mapped else None)
        number += len(batch)
    if differing := DirectoryState(entries).differing(final):
        for event in events:
            if event.kind == "link" and event.path in final.entries and event.to in final.entries:
                raise RigError(
                    f'rig "{rig}": {event.to} is a hard link of {event.path}, and both are kept',
                    found="one file with two names, which copies of the directory do not keep together",
                    expected="one name for each file that is written",
                    mend="let the firmware use a symbolic link, or a rename",
                )
        raise RigError(
            f'rig "{rig}": {differing[0]} changed, and nothing was seen that changed it',
            found=f"{len(differing)} files that differ from what the recorded writes make of them",
            expected="every change by a system call on a file in the working directory",
            mend='a memory map that is never synced writes only when the process ends: use kind = "driver", or sync it',
        )
    return FileRecording(
        base,
        ops,
        marks,
        start_us,
        end_us,
        final,
        tear_seed,
        tuple(sources),
        tuple(synced),
        flash,
        frozenset(several),
        written_back(ops, runs),
    )


def ops_of(event: FileEvent, entries: Entries, flash: FlashOptions) -> Sequence[Op]:
    """The operations of one event, on a directory as it is before."""
    if HIDDEN in event.path:
        return []
    if event.kind == "rename" and HIDDEN in event.to:
        return [FileOp(event.path, "unlink", event.start_us, event.end_us)]
    if event.kind in ("program", "erase"):
        return driver_ops(event, flash)
    if event.kind == "write" and event.path in flash.images:
        content = entries.get(event.path, ("file", b"", 0))[1]
        if event.offset + len(event.data) <= len(content):
            return flash_ops(
                event.path, content, event.offset, event.data, event.start_us, event.end_us, flash
            )
    op = FileOp(
        event.path,
        event.kind,
        event.start_us,
        event.end_us,
        event.offset,
        event.data,
        event.size,
        event.mode,
        event.to,
        event.target,
    )
    return [op]


def require_fits(rig: str, name: str, state: DirectoryState, flash: FlashOptions) -> None:
    """Check that a flash file consists of whole pages.

    :raises CallerError: it does not, or it is not there.
    """
    entry = state.entries.get(name)
    if entry is None or entry[0] != "file":
        files = [path for path, (kind, _, _) in state.entries.items() if kind == "file"]
        raise CallerError(
            f'rig "{rig}" · flash.files',
            found=f"no file {name} in its working directory, which has {', '.join(files) or 'none'}",
            expected="the file in which the firmware keeps its flash",
            mend="name the file as the firmware does, relative to where it runs",
        )
    if len(entry[1]) % flash.page_size or not entry[1]:
        raise CallerError(
            f'rig "{rig}" · flash.page_size',
            found=f"{name} has {len(entry[1])} bytes: {len(entry[1]) / flash.page_size:.2f} pages of {flash.page_size}",
            expected="whole pages",
            mend="set page_size to that of the firmware's flash",
        )
