"""A rig with a twin in it: the host's end of the virtual bus, the switch, the finger, and the glass box."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from harness.base.clock import VirtualClock
from harness.base.errors import CallerError, one_of
from harness.base.seeds import Stream, child
from harness.model.key import Key, client_randomness
from harness.model.rig import GlassBox, KeyGone, PowerSwitch, Rig, RigInfo, Touch
from harness.model.tap import Tap
from harness.model.transport import BusIdentity, Transports
from harness.twin.board import ENUMERATION_US, Board
from harness.twin.endpoints import TwinApdus, TwinPackets, TwinReports
from harness.twin.flash import FlashOp
from harness.twin.image import BoardState
from harness.twin.model import TwinModel, TwinOptions
from harness.twin.rail import PowerLost
from harness.twin.serial import TwinSerial
from harness.twin.trace import Trace

OFF_US = 1_000_000
"""How long a twin stays off in a power cycle."""
PROFILES = ("nor-torn", "nor-atomic", "nor-metastable")
TORN_PHASES = 4
"""Torn states looked at in each flash operation, besides before and after."""


class HostClock(VirtualClock):
    """The host's time; a board that is on does meanwhile what it would do by itself."""

    board: Board

    def wait_us(self, duration_us: int) -> None:
        super().wait_us(duration_us)
        while self.board.firmware is not None and self.board.advance(self.now_us):
            pass
        self.board.clock.reach_us(self.now_us)


class _Switch(PowerSwitch):
    def __init__(self, rig: TwinRig):
        self._rig = rig

    @property
    def is_on(self) -> bool:
        return not self._rig.board.rail.dead

    def on(self) -> None:
        if self.is_on:
            return
        board = self._rig.board
        board.clock.reach_us(self._rig.clock.now_us)
        board.power_on()
        self._rig.clock.reach_us(max(board.clock.now_us, board.booted_us + ENUMERATION_US))

    def off(self) -> None:
        self._rig.board.power_off()
        self._rig.clock.reach_us(self._rig.clock.now_us + OFF_US)
        self._rig.board.clock.reach_us(self._rig.clock.now_us)


class _Finger(Touch):
    def __init__(self, board: Board):
        self._board = board

    @contextmanager
    def pressing(self, *, delay_us: int = 200_000) -> Iterator[None]:
        before, self._board.touch_delay_us = self._board.touch_delay_us, delay_us
        try:
            yield
        finally:
            self._board.touch_delay_us = before

    def holding(self) -> AbstractContextManager[None]:
        return self.pressing(delay_us=0)


class _TwinTransports(Transports):
    def __init__(self, rig: TwinRig):
        super().__init__(rig)
        self._twin = rig

    def identity(self) -> BusIdentity:
        rig = self._twin
        face = next((face for face in rig.key.faces if face.name == rig.face), rig.key.faces[0])
        return BusIdentity(f"twin:{rig.name}", face.vendor_id, face.product_id, face.product)

    def endpoint(self, name: str) -> TwinPackets | TwinApdus | TwinReports | TwinSerial:
        rig = self._twin
        if name not in ("ctaphid", "card", "serial", "hid-feature"):
            raise self.unknown(name)
        if name == "card" and rig.model.atr is None:
            raise self.unknown(name)
        if rig.board.firmware is None:
            raise KeyGone(f'rig "{rig.name}": the key is not on the bus')
        if name == "serial":
            if rig.face == rig.key.faces[0].name:
                raise KeyGone(f'rig "{rig.name}": the key has no serial port, it is in its {rig.face}')
            return TwinSerial(rig.board, rig.clock, f"twin:{rig.name}:serial")
        if rig.face != rig.key.faces[0].name:
            raise KeyGone(f'rig "{rig.name}": the key is in its {rig.face}')
        if name == "card":
            return TwinApdus(rig.board, rig.clock, rig.model.atr or b"")
        if name == "hid-feature":
            return TwinReports(rig.board, rig.clock)
        return TwinPackets(rig.board, rig.clock)


class TwinRig(Rig, GlassBox):
    """One simulated key on a virtual port."""

    evidence_kind = "twin"
    clock: HostClock

    def __init__(
        self, name: str, key: Key, model: TwinModel, options: TwinOptions, seed: int, expendable: bool
    ):
        if options.profile not in PROFILES:
            raise CallerError(
                f'rig "{name}" · twin.profile',
                found=options.profile,
                expected=one_of(options.profile, list(PROFILES)),
                mend="name one of these",
            )
        self.name, self.key, self.options, self.seed = name, key, options, seed
        self.expendable = expendable
        self.fill = options.fill
        self.model = model
        self._board_seed = child(seed, "twin", key.name)
        self.board = self.model.build(options, self._board_seed)
        for flash in self.board.flash.values():
            flash.metastable = self.is_metastable
        self.clock = HostClock()
        self.clock.board = self.board
        self.tap = Tap(self.clock)
        self.power = _Switch(self)
        self.touch = _Finger(self.board)
        self.transports = _TwinTransports(self)

    @property
    def glass(self) -> GlassBox:
        return self

    @property
    def firmware(self) -> str:
        if self.options.version is not None:
            return f"v{self.options.version}"
        return self.model.personalities.get(self.options.personality, f"v{self.options.personality}")

    def info(self) -> RigInfo:
        personality = self.options.personality
        if self.options.defects:
            personality += " with " + ", ".join(self.options.defects)
        first = next(iter(self.board.flash.values())).part.name
        transport = f"twin, {first} flash, layer {self.model.layer(self.options)}"
        return RigInfo(
            self.name, self.key.name, self.key.title, self.firmware, personality, transport, self.expendable
        )

    def fingerprint(self) -> str:
        parts = (
            self.key.name,
            self.firmware,
            self.options.personality,
            ",".join(sorted(self.options.defects)),
            self.model.layer(self.options),
            self.options.profile,
            *([f"fill {self.fill}"] if self.fill else ()),
            *([hashlib.sha256(self.firmware_file.read_bytes()).hexdigest()] if self.firmware_file else ()),
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def torn_phases(self) -> int:
        return 0 if self.options.profile == "nor-atomic" else TORN_PHASES

    @property
    def is_metastable(self) -> bool:
        return self.options.profile == "nor-metastable"

    @property
    def face(self) -> str:
        return getattr(self.board.firmware, "face", "application")

    def wait_until_up(self) -> None:
        if self.board.firmware is None:
            why = "halted in its boot" if self.board.panicked else "has no power"
            raise KeyGone(f'rig "{self.name}": the key {why}')
        self.clock.reach_us(self.board.ready_us)

    def snapshot(self) -> BoardState:
        return self.board.state()

    def restore(self, state: BoardState) -> None:
        """Put a state in. Time starts again at zero, so that what follows depends on the state alone."""
        self.board.load(state)
        self.board.rail.disarm()
        self.board.rail.failed_us = None
        self.board.clock.rewind()
        self.clock.rewind()
        self.tap.clear()

    @contextmanager
    def worn(self, chip: str, page: int) -> Iterator[None]:
        flash = self.board.flash[chip]
        before, flash.erases[page] = flash.erases[page], 2 * flash.part.endurance
        try:
            yield
        finally:
            flash.erases[page] += before - 2 * flash.part.endurance

    @contextmanager
    def slow(self, chip: str, delay_us: int) -> Iterator[None]:
        self.board.slow[chip] = delay_us
        try:
            yield
        finally:
            del self.board.slow[chip]
            self.board.flash[chip].answers_us = 0

    def seeded(self, *purpose: object) -> Stream:
        """A stream for the client's randomness, by purpose."""
        return Stream(self.seed, "client", self.name, *purpose)

    def record(self, act: Callable[[], None]) -> Trace:
        base = self.board.state()
        log: list[FlashOp] = []
        self.tap.clear()
        boots: list[int] = []
        self.board.rail.watch(log)
        self.board.on_boot = lambda: boots.append(len(log))
        start_us = max(self.clock.now_us, self.board.clock.now_us)
        self.clock.reach_us(start_us)
        try:
            with client_randomness(self.key, lambda: self.seeded("record")):
                act()
        finally:
            self.board.on_boot = None
            self.board.rail.watch(None)
        end_us = max(self.clock.now_us, self.board.clock.now_us)
        return Trace(
            base=base,
            ops=tuple(log),
            marks=tuple(self.tap.marks),
            boots=tuple(boots),
            start_us=start_us,
            end_us=end_us,
            final=self.board.state(),
            parts={name: flash.part for name, flash in self.board.flash.items()},
            tear_seed=self.board.rail.seed,
            metastable=self.is_metastable,
        )

    def cut_live(self, act: Callable[[], None], flash_op: int, phi: float) -> bool:
        """See GlassBox. To be called in a process that is thrown away afterwards."""
        self.tap.clear()
        self.board.rail.arm_op(flash_op, phi)
        try:
            with client_randomness(self.key, lambda: self.seeded("record")):
                act()
        except (OSError, KeyGone, PowerLost):
            pass
        return self.board.rail.failed_us is not None
