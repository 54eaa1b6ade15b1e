"""The rig of a simulated key: power switch, touch, transports and glass box, in virtual time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from harness.base.errors import CallerError, one_of
from harness.base.seeds import child
from harness.model.key import Key
from harness.model.rig import KeyGone, Rig
from harness.model.rig_parts import PowerSwitch, Presence, RigInfo, Touch, Vault
from harness.model.tap import Tap
from harness.model.transport import BusIdentity, Transports
from harness.twin.board import ENUMERATION_US, Board
from harness.twin.endpoints import ApduEndpoint, Endpoint, ReportEndpoint
from harness.twin.glass_box import PROFILES, GlassBox
from harness.twin.host_clock import HostClock
from harness.twin.model import AgesTwin, TwinModel, TwinOptions, WritesInPairs
from harness.twin.serial import TwinSerial

OFF_US = 1_000_000
"""How long a twin stays off in a power cycle."""


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
    press_us = 0

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
        shown = rig.board.firmware.serial_number if rig.board.firmware is not None else None
        return BusIdentity(f"twin:{rig.name}", face.vendor_id, face.product_id, face.product, shown)

    def endpoint(self, name: str) -> Endpoint | TwinSerial:
        rig = self._twin
        offered = rig.model.endpoints.get(name)
        if offered is None:
            raise self.unknown(name)
        if rig.board.firmware is None:
            raise KeyGone(f'rig "{rig.name}": the key is not on the bus')
        if rig.face not in offered.faces:
            raise KeyGone(f'rig "{rig.name}": the key is in its {rig.face}, which has no endpoint "{name}"')
        if offered.shape == "bytes":
            return TwinSerial(rig.board, rig.clock, name, f"twin:{rig.name}:{name}")
        if offered.shape == "apdus":
            return ApduEndpoint(rig.board, rig.clock, name, offered.atr)
        if offered.shape == "reports":
            return ReportEndpoint(rig.board, rig.clock, name)
        return Endpoint(rig.board, rig.clock, name)


class TwinRig(Rig):
    """One simulated key on a virtual port.

    :ivar inside: the glass box of its board; `vault` for code that need not know that the key is simulated.
    """

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
        self.clock = HostClock(self.board)
        self.tap = Tap(self.clock)
        age = partial(self.model.age, self.board, options) if isinstance(self.model, AgesTwin) else None
        pairs = self.model.pairs(options) if isinstance(self.model, WritesInPairs) else ()
        self.inside = GlassBox(name, key, self.board, self.clock, self.tap, seed, options.profile, age, pairs)
        self.power = _Switch(self)
        self.touch = _Finger(self.board)
        self.transports = _TwinTransports(self)

    @property
    def presence(self) -> Presence:
        # Nothing but its own switch and its own reboots changes what is on a virtual port.
        # A state that was put back has the number of its own boots: the time tells two boots apart.
        return Presence(self.board.boots, self.board.booted_us)

    @property
    def vault(self) -> Vault | None:
        return self.inside

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
    def face(self) -> str:
        firmware = self.board.firmware
        return firmware.face if firmware else self.key.faces[0].name

    def wait_until_up(self) -> None:
        if self.board.firmware is None:
            why = "halted in its boot" if self.board.panicked else "has no power"
            raise KeyGone(f'rig "{self.name}": the key {why}')
        self.clock.reach_us(self.board.ready_us)
