"""What an emulator rig hands out: its switch, its cutter, its files, its transports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.host.cutter import Cutter, Fired
from harness.model.cut_action import Kill
from harness.model.rig import LiveCutter, PowerSwitch, Shot, Vault
from harness.model.transport import BusIdentity, Transports
from harness_rigs.emulator import state as emulator_state
from harness_rigs.emulator.card import Card
from harness_rigs.emulator.pcsc import PcscCard, PcscLink
from harness_rigs.emulator.process import Process

if TYPE_CHECKING:
    from harness_rigs.emulator.rig import EmulatorRig

LOST_LIMIT_S = 5.0


class EmulatorHid:
    """The raw endpoint "ctaphid": 64-byte reports, for as long as this boot lasts."""

    def __init__(self, rig: EmulatorRig):
        self._rig = rig
        self._boot = rig.boots

    def send(self, data: bytes) -> None:
        self._rig.link(self._boot).send(data)
        self._rig.finger.sent(data)

    def receive(self) -> bytes:
        packet = self._rig.receive(self._boot)
        self._rig.finger.received(packet)
        return packet

    def close(self) -> None:
        """The link belongs to the boot."""


class Switch(PowerSwitch):
    def __init__(self, rig: EmulatorRig):
        self._rig = rig

    @property
    def is_on(self) -> bool:
        return self._rig.process is not None

    def on(self) -> None:
        """Start it and wait until it is ready; if it does not get there, `wait_until_up` says why."""
        if not self.is_on:
            self._rig.start()

    def off(self) -> None:
        self._rig.stop()


class ProcessCutter(LiveCutter):
    def __init__(self, rig: EmulatorRig):
        self._rig = rig
        self._cutter: Cutter | None = None
        self._target: Process | None = None
        self._boot_offset_us: int | None = None

    def _started(self) -> Cutter:
        if self._cutter is None:
            self._cutter = Cutter()
        return self._cutter

    @property
    def realtime(self) -> bool:
        return self._started().realtime

    def arm(self, at_us: int) -> None:
        self._target = self._rig.process
        assert self._target is not None, "the key is off"
        self._started().arm(at_us * 1000, Kill(self._target.pidfd))

    def arm_boot(self, offset_us: int) -> bool:
        self._started()
        self._boot_offset_us = offset_us
        return True

    def power_came(self) -> None:
        """The process has been started."""
        offset_us, self._boot_offset_us = self._boot_offset_us, None
        if offset_us is not None:
            self.arm(self._rig.clock.now_us + offset_us)

    def collect(self) -> Shot:
        assert self._cutter is not None
        if self._boot_offset_us is not None:
            # It was never given power, so there was nothing to take.
            self._boot_offset_us = None
            return Shot(None, 0.0, None, False)
        return self._shot(self._cutter.collect())

    def disarm(self) -> Shot | None:
        self._boot_offset_us = None
        fired = self._cutter.disarm() if self._cutter is not None else None
        return self._shot(fired) if fired is not None else None

    def _shot(self, fired: Fired) -> Shot:
        assert self._target is not None
        lost_us = self._rig.lost_us
        # After a reboot of its own another process has the power, which is taken from it here.
        if self._target is not self._rig.process or self._target.wait(LOST_LIMIT_S):
            lost_us = lost_us if lost_us is not None else self._rig.clock.now_us
        took = self._rig.stop()
        return Shot(fired.before_ns // 1000, fired.late_ns / 1000, lost_us, took)

    def close(self) -> None:
        if self._cutter is not None:
            self._cutter.close()


class FilesVault(Vault):
    def __init__(self, rig: EmulatorRig):
        self._rig = rig

    def snapshot(self) -> emulator_state.Files:
        return emulator_state.read(self._rig.folder)

    def restore(self, state: emulator_state.Files) -> None:
        self._rig.stop()
        emulator_state.write(self._rig.folder, state)

    def differing(self, one: emulator_state.Files, other: emulator_state.Files) -> list[str]:
        return one.differing(other)


CTAPHID_TRANSPORTS, CARD_TRANSPORTS = ("ctaphid-udp", "ctaphid-tcp"), ("vpcd", "pcsc")
"""Values of a bench's `transport` by the endpoint that they offer."""


class EmulatorTransports(Transports):
    """The one endpoint that the emulator is reached by."""

    def __init__(self, rig: EmulatorRig):
        super().__init__(rig)
        self._emulator = rig

    def identity(self) -> BusIdentity:
        rig, face = self._emulator, self._emulator.key.faces[0]
        return BusIdentity(f"emulator:{rig.name}", face.vendor_id, face.product_id, face.product)

    def endpoint(self, name: str) -> EmulatorHid | Card | PcscCard:
        rig = self._emulator
        offered = {"ctaphid": CTAPHID_TRANSPORTS, "card": CARD_TRANSPORTS}.get(name, ())
        if rig.options.transport not in offered:
            raise self.unknown(name)
        rig.wait_until_up()
        if name == "ctaphid":
            return EmulatorHid(rig)
        link = rig.link(rig.boots)
        if isinstance(link, PcscLink):
            return PcscCard(rig, rig.reader, link)
        return Card(rig)
