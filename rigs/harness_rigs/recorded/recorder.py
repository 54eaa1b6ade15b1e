"""The recorder of a firmware that runs as a process: its state is a directory, and its writes are recorded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from harness.api import (
    CallerError,
    Clock,
    HarnessFault,
    KeyGone,
    Recorder,
    Recording,
    Tap,
    child,
    differing_words,
)
from harness_rigs.emulator import state
from harness_rigs.emulator.content import Content, content, different
from harness_rigs.emulator.emulated_key import EmulatedKey
from harness_rigs.emulator.folder import WorkingFolder
from harness_rigs.emulator.state import DirectoryState
from harness_rigs.emulator.vault import FolderVault
from harness_rigs.recorded.directory_ops import Op, apply, apply_torn
from harness_rigs.recorded.events import FileEvent
from harness_rigs.recorded.flash_server import FlashServer
from harness_rigs.recorded.from_events import HIDDEN, ops_of, recorded
from harness_rigs.recorded.mount import RecordingMount
from harness_rigs.recorded.options import DRIVER_FILE, FlashOptions
from harness_rigs.recorded.recording import FileRecording

TORN_PHASES = 4
"""Torn states that are tried in each flash operation, besides before and after; as on twins."""
BOOTS_PER_LOOK = 6
"""An observation boots the key twice; three more times if it does not come back."""
ANSWERS_PER_LOOK = 6


class RecordedRig(Protocol):
    """What a recorder needs of its rig."""

    name: str
    seed: int
    clock: Clock
    tap: Tap
    folder: WorkingFolder
    emulated: EmulatedKey
    flash_server: FlashServer | None

    def settle(self) -> None: ...

    def make_anew(self) -> None:
        """Make the parts that run the firmware again: a forked process has its own."""


class Source(Protocol):
    """Where the writes of a firmware are seen: a file system, or a flash that it talks to."""

    def start(self) -> None: ...

    def stop(self) -> list[FileEvent]: ...

    def let_go(self) -> None: ...

    def cut_at(self, number: int, kill: Callable[[], None], act: Callable[[], None]) -> FileEvent | None: ...

    def drained(self) -> None: ...

    def close(self) -> None: ...


class FileRecorder(Recorder[DirectoryState]):
    """Records, cuts, copies and restores the working directory of a firmware.

    :ivar repeats: becomes False when a second recording of an operation differs from the first.
    """

    torn_phases = TORN_PHASES
    may_vary = True

    def __init__(self, rig: RecordedRig, flash: FlashOptions, ready_s: float, answer_s: float):
        self._rig, self._flash = rig, flash
        self._seed = child(rig.seed, "recorded", rig.name)
        self.look_limit_s = BOOTS_PER_LOOK * ready_s + ANSWERS_PER_LOOK * answer_s
        self._owner = os.getpid()
        self._source: Source | None = None
        self.repeats = True

    @property
    def most_processes(self) -> int | None:  # type: ignore[override]
        """One where its ports are this host's: two firmwares would meet on them."""
        return None if self._rig.emulated.host.isolated else 1

    def _mine(self) -> None:
        """In a forked process: run the firmware in a folder and namespaces of its own, beside its parent's."""
        if os.getpid() != self._owner:
            self._owner = os.getpid()
            self._source = None
            self._rig.make_anew()

    def give_way(self) -> None:
        if self.most_processes is not None:
            self._rig.emulated.give_way()

    def snapshot(self) -> DirectoryState:
        found = state.read(self._rig.folder.path)
        return DirectoryState({name: one for name, one in found.entries.items() if HIDDEN not in name})

    def restore(self, state_before: DirectoryState) -> None:
        self._mine()
        self._rig.emulated.stop()
        if (flash := self._rig.flash_server) is not None:
            flash.drained()
        state.write(self._rig.folder.path, state_before)
        self._rig.tap.clear()

    def emptied(self, kept: object) -> DirectoryState:
        empty = FolderVault(self._rig.emulated, self._rig.folder).emptied(kept)
        if (flash := self._rig.flash_server) is None:
            return empty
        erased = content(bytes([self._flash.erase_value]) * flash.size)
        return DirectoryState({**empty.entries, DRIVER_FILE: ("file", erased, 0o644)})

    def differing(self, one: DirectoryState, other: DirectoryState) -> list[str]:
        return one.differing(other)

    def to_files(self, kept: object) -> dict[str, bytes]:
        return FolderVault(self._rig.emulated, self._rig.folder).to_files(kept)

    def from_files(self, files: Mapping[str, bytes]) -> DirectoryState:
        return FolderVault(self._rig.emulated, self._rig.folder).from_files(files)

    def ready_to_record(self) -> None:
        self._mine()
        if self._source is None:
            host = self._rig.emulated.host
            self._source = self._rig.flash_server or RecordingMount(
                self._rig.name, host, self._rig.folder.path
            )

    def record(self, act: Callable[[], None]) -> FileRecording:
        source, rig = self._ready(), self._rig
        base = self.snapshot()
        rig.tap.clear()
        source.start()
        start_us = rig.clock.now_us
        try:
            act()
            # Some firmware writes after it has acknowledged: that is a part of what can be cut.
            rig.settle()
            end_us = rig.clock.now_us
        finally:
            try:
                events = source.stop()
                final = self.snapshot()
            finally:
                # Some firmware never ends to write. What it would write from now on is not a part of this.
                rig.emulated.kill()
                source.let_go()
        return recorded(
            rig.name,
            base,
            final,
            events,
            self._flash,
            self._seed,
            tuple(rig.tap.marks),
            start_us,
            end_us,
        )

    def _ready(self) -> Source:
        if self._source is None:
            raise HarnessFault(
                f'rig "{self._rig.name}": the recording was not made ready before the key had power'
            )
        return self._source

    def read_dump(self, path: Path, like: DirectoryState) -> DirectoryState:
        """A folder as the firmware's working directory, or a file in the place of its only flash."""
        images = self._flash.images
        if path.is_dir():
            return self._dumped_folder(path, like)
        if not path.is_file() or len(images) != 1:
            found = "a file" if path.is_file() else "no regular file" if path.exists() else "no such file"
            raise CallerError(
                f"dump {path}",
                found=found,
                expected=f"a folder like the firmware's, or a file like {images[0]}"
                if images
                else "a folder",
                mend="name the folder in which the firmware ran, or a copy of it",
            )
        return DirectoryState({**like.entries, images[0]: _dumped(path, images[0], like)})

    def _dumped_folder(self, path: Path, like: DirectoryState) -> DirectoryState:
        """A folder: of it the files that are flash, or all that it holds, and the programs of the firmware's own."""
        if images := self._flash.images:
            flash = {name: _dumped(path / name, name, like) for name in images}
            return DirectoryState({**like.entries, **flash})
        programs = {name: one for name, one in like.entries.items() if one[0] == "file" and one[2] & 0o111}
        return DirectoryState({**programs, **state.read(path).entries})

    def distance(self, one: DirectoryState, other: DirectoryState) -> int:
        word = self._flash.word_size
        return sum(
            max(1, sum(differing_words(a, b, word) for a, b in different(_of(one, name), _of(other, name))))
            for name in one.differing(other)
        )

    def writes(self, act: Callable[[], None]) -> int:
        before = self.snapshot()
        act()
        return len(before.differing(self.snapshot()))

    def before_repeat(self) -> None:
        # Many a firmware seeds its random numbers with the time in seconds: in the same one it writes the same again,
        # and would be taken for one that always does.
        self._rig.clock.wait_us(1_000_000 - time.time_ns() // 1000 % 1_000_000)

    def compare(self, one: Recording[DirectoryState], other: Recording[DirectoryState]) -> None:
        """Note whether two recordings of the same operation wrote the same."""
        assert isinstance(one, FileRecording)
        assert isinstance(other, FileRecording)
        self.repeats = one.repeats(other)

    def cut_live(
        self, act: Callable[[], None], number: int, phi: float, run: Recording[DirectoryState]
    ) -> bool:
        source, rig = self._ready(), self._rig
        assert isinstance(run, FileRecording), "one of this recorder"
        change = run.sources[number - 1]
        nth = run.sources[: number - 1].count(change)

        def quietly() -> None:
            try:
                act()
                rig.settle()
            except (OSError, KeyGone):
                return

        rig.tap.clear()
        hit = source.cut_at(change + 1, rig.emulated.kill, quietly)
        rig.emulated.stop()
        source.drained()
        if hit is None:
            return False
        left = self.snapshot()
        entries = dict(left.entries)
        if change in run.batches:
            # The power goes before the first of its writes: what the others would have been is known from the run.
            ops: Sequence[Op] = [op for op, source in zip(run.ops, run.sources) if source == change]
        else:
            ops = ops_of(hit, entries, self._flash)
        if nth >= len(ops):
            return False
        for op in ops[:nth]:
            apply(entries, op, self._flash)
        apply_torn(entries, ops[nth], phi, self._seed, number, self._flash)
        state.write(rig.folder.path, DirectoryState(entries))
        return True

    def close(self) -> None:
        if self._source is not None and os.getpid() == self._owner:
            self._source.close()


def _dumped(path: Path, name: str, like: DirectoryState) -> state.Entry:
    """The flash file `name` as it was dumped.

    :raises CallerError: it is not there, or has another size.
    """
    kind, held, mode = like.entries[name]
    size = path.stat().st_size if path.is_file() else None
    if size != len(held):
        raise CallerError(
            f"dump {path}",
            found="no such file" if size is None else f"{size:,} bytes",
            expected=f"{len(held):,} bytes, as {name} has",
            mend="dump the whole flash of this firmware, or name the bench whose flash it is of",
        )
    return kind, content(path.read_bytes()), mode


def _of(of: DirectoryState, name: str) -> Content:
    return of.entries[name][1] if name in of.entries else b""
