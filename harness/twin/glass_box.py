"""The inside of a twin: copy its state, record an operation once, cut it many times.

Only a simulated key has one: `glass_box(rig)` is None for every other rig.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from harness.base.errors import HarnessFault
from harness.base.seeds import Stream, unit
from harness.model.key import Key, client_randomness
from harness.model.rig import KeyGone, Rig
from harness.model.tap import Tap
from harness.twin.board import Board
from harness.twin.host_clock import HostClock
from harness.twin.image import BoardState
from harness.twin.image_files import differing_words, from_files, read_dump, to_files
from harness.twin.littlefs_store import StoreDamaged
from harness.twin.parts import FlashOp
from harness.twin.rail import PowerLost
from harness.twin.recorder import Recorder
from harness.twin.trace import Recording, Trace

PROFILES = ("nor-torn", "nor-atomic", "nor-metastable")
TORN_PHASES = 4
"""Torn states that are tried in each flash operation, besides before and after."""


class GlassBox(Recorder[BoardState]):
    """Records and cuts what happens on one board.

    :param name: the rig's name; the clients' random numbers depend on it.
    :param profile: one of PROFILES: how the flash behaves when the power fails in an operation.
    :ivar age: sets the counters of the key, which is off then, just below 2 ** bits (`harness.twin.model.AgesTwin`);
        None if this twin cannot be aged.
    :ivar pairs: the chips on which two pages or records stand for each other (`TwinModel` may name them).
    """

    def __init__(
        self,
        name: str,
        key: Key,
        board: Board,
        clock: HostClock,
        tap: Tap,
        seed: int,
        profile: str,
        age: Callable[[int], dict[str, int]] | None = None,
        pairs: Collection[str] = (),
    ):
        self._name, self._key, self._seed = name, key, seed
        self._board, self._clock, self._tap = board, clock, tap
        self.torn_phases = 0 if profile == "nor-atomic" else TORN_PHASES
        self.is_metastable = profile == "nor-metastable"
        self.age, self.pairs = age, pairs
        for flash in board.flash.values():
            flash.metastable = self.is_metastable

    def seeded(self, *purpose: object) -> Stream:
        """Random numbers for the clients of this twin, by purpose."""
        return Stream(self._seed, "client", self._name, *purpose)

    def snapshot(self) -> BoardState:
        """Copy what is in the flash: the state of a key without power."""
        return self._board.state()

    def restore(self, state: BoardState) -> None:
        """Load a state; the key is off afterwards.

        Time starts again at zero, so that what follows depends on the state alone.
        """
        self._board.load(state)
        self._board.rail.disarm()
        self._board.rail.failed_us = None
        self._board.clock.rewind()
        self._clock.rewind()
        self._tap.clear()

    def differing(self, one: BoardState, other: BoardState) -> list[str]:
        """The names of the chips whose content differs between two states."""
        return [name for name, image in one.chips.items() if image.pages != other.chips[name].pages]

    def free_blocks(self) -> dict[str, int]:
        """Count the free blocks of each mounted file system, by its name. Reads only."""
        found = {}
        for name, store in sorted(self._board.stores.items()):
            try:
                found[name] = store.free_blocks()
            except StoreDamaged:
                # It is not mounted, or cannot be read to its end: other items show that.
                continue
        return found

    def files(self) -> dict[str, str]:
        """Return a digest of each file of the mounted file systems, by "store:path". Reads only.

        What cannot be read is left out: other items show that.
        """
        found: dict[str, str] = {}
        for name, store in sorted(self._board.stores.items()):
            waiting = ["/"]
            while waiting:
                path = waiting.pop()
                with suppress(StoreDamaged):
                    waiting += [f"{path.rstrip('/')}/{one}" for one in store.names(path)]
                    continue
                # littlefs opens a file as no directory.
                with suppress(StoreDamaged):
                    content = store.read(path)
                    if content is not None:
                        found[f"{name}:{path}"] = hashlib.sha256(content).hexdigest()
        return found

    def damage(self, store: str, path: str) -> bool:
        """Change one bit in the last byte of a file, as nothing but a write of its own could; the file system is right.

        :param store: the name of a mounted file system.
        :returns: False if there is no such file, or it is empty.
        """
        files = self._board.stores[store]
        content = files.read(path)
        if not content:
            return False
        files.write(path, content[:-1] + bytes((content[-1] ^ 1,)))
        return True

    @contextmanager
    def worn_out(self, chip: str, page: int) -> Iterator[None]:
        """While entered, a page is past its endurance."""
        flash = self._board.flash[chip]
        before, flash.erases[page] = flash.erases[page], 2 * flash.part.endurance
        try:
            yield
        finally:
            flash.erases[page] += before - 2 * flash.part.endurance

    @contextmanager
    def near_the_end(self, chip: str, least: float, most: float) -> Iterator[None]:
        """While entered, each page has had a share of the erases that it is specified for, between these two.

        Which page has which share depends on the seed. What it is erased meanwhile stays.
        """
        flash = self._board.flash[chip]
        seed = self._board.rail.seed
        added = [
            round(flash.part.endurance * (least + (most - least) * unit(seed, "share", chip, page)))
            for page in range(flash.part.pages)
        ]
        flash.erases = [one + more for one, more in zip(flash.erases, added)]
        try:
            yield
        finally:
            flash.erases = [one - more for one, more in zip(flash.erases, added)]

    @contextmanager
    def slow(self, chip: str, delay_us: int) -> Iterator[None]:
        """While entered, a chip does not answer for `delay_us` microseconds after each power-up."""
        self._board.slow[chip] = delay_us
        try:
            yield
        finally:
            del self._board.slow[chip]
            self._board.flash[chip].answers_us = 0

    def record(self, act: Callable[[], None]) -> Trace:
        """Run `act` uncut and keep every flash operation, boot and mark."""
        board, clock = self._board, self._clock
        base = board.state()
        log: list[FlashOp] = []
        self._tap.clear()
        boots: list[int] = []
        board.rail.watch(log)
        board.on_boot = lambda: boots.append(len(log))
        start_us = max(clock.now_us, board.clock.now_us)
        clock.reach_us(start_us)
        try:
            with client_randomness(self._key, lambda: self.seeded("record")):
                act()
        finally:
            board.on_boot = None
            board.rail.watch(None)
        end_us = max(clock.now_us, board.clock.now_us)
        return Trace(
            base=base,
            ops=tuple(log),
            marks=tuple(self._tap.marks),
            boots=tuple(boots),
            start_us=start_us,
            end_us=end_us,
            final=board.state(),
            parts={name: flash.part for name, flash in board.flash.items()},
            tear_seed=board.rail.seed,
            metastable=self.is_metastable,
        )

    def writes(self, act: Callable[[], None]) -> int:
        return len(self.record(act).ops)

    def at_boot(self, state: BoardState, number: int) -> BoardState:
        return replace(state, boots=state.boots + number)

    def read_dump(self, path: Path, like: BoardState) -> BoardState:
        return read_dump(path, like)

    def distance(self, one: BoardState, other: BoardState) -> int:
        return sum(
            differing_words(mine, theirs, self._board.flash[name].part.word_size)
            for name, image in one.chips.items()
            for mine, theirs in zip(image.pages, other.chips[name].pages)
        )

    def worn(self, before: BoardState, after: BoardState) -> Counter[tuple[str, int]]:
        found: Counter[tuple[str, int]] = Counter()
        for name, image in after.chips.items():
            if image.erases != before.chips[name].erases:
                for page, (was, now) in enumerate(zip(before.chips[name].erases, image.erases)):
                    if now > was:
                        found[name, page] = now - was
        return found

    def to_files(self, state: object) -> dict[str, bytes]:
        assert isinstance(state, BoardState), "a state of this vault"
        return to_files(state)

    def from_files(self, files: Mapping[str, bytes]) -> BoardState:
        return from_files(files)

    def cut_live(
        self, act: Callable[[], None], number: int, phi: float, run: Recording[BoardState] | None = None
    ) -> bool:
        # The C library under the file system keeps what it had open: hence the disposable process.
        self._tap.clear()
        self._board.rail.arm_op(number, phi)
        try:
            with client_randomness(self._key, lambda: self.seeded("record")):
                act()
        except (OSError, KeyGone, PowerLost):
            pass
        return self._board.rail.failed_us is not None


def glass_box(rig: Rig) -> GlassBox | None:
    """The inside of the simulated key on a rig; None where only the outside can be seen."""
    vault = rig.vault
    return vault if isinstance(vault, GlassBox) else None


def require_glass_box(rig: Rig) -> GlassBox:
    """The inside of the simulated key on a rig.

    :raises HarnessFault: there is no simulated key on it.
    """
    found = glass_box(rig)
    if found is None:
        raise HarnessFault(f'rig "{rig.name}": this needs the inside of a simulated key')
    return found
