"""A key of another owner that is put into a rig's port in place of the rig's own."""

from __future__ import annotations

import threading

from harness_rigs.usb.rig import UsbRig
from support.lab import Lab, TwinKey

CBOR, ADMIN = 0x90, 0xF2
READS = {(0x86, None), (0xE1, None), (0xE2, None), (CBOR, 0x04), (ADMIN, 0x80)}
"""Commands that ask a key who it is, and write nothing: INIT, VERSION, UUID, getInfo, the administration's STATUS."""


class Substitute(TwinKey):
    """Notes each command that it is sent.

    :ivar commands: (CTAPHID's command, the first byte that it carries if that is a command, too), ("serial", bytes).
    """

    def __init__(self, seed: int = 2, **more):
        super().__init__(seed, **more)
        self.commands: list[tuple[object, object]] = []

    def _deliver(self, endpoint: str, data: bytes) -> None:
        if endpoint != "ctaphid":
            self.commands.append((endpoint, data))
        elif data[4] & 0x80:
            self.commands.append((data[4], data[7] if data[4] in (CBOR, ADMIN) else None))
        super()._deliver(endpoint, data)

    @property
    def writes(self) -> list[tuple[object, object]]:
        """The commands that do more than ask who it is."""
        return [one for one in self.commands if one not in READS]


class Exchange:
    """Exchanges the key while its port has no power, before its switch gives power for the `number`-th time.

    :ivar given: how often it has given power.
    """

    def __init__(self, lab: Lab, rig: UsbRig, number: int | None, substitute: TwinKey):
        self.number, self.given = number, 0
        self._port, self._substitute, self._on = lab.port(rig.port), substitute, rig.actuator.on
        rig.actuator.on = self._switch_on  # type: ignore[method-assign]

    def _switch_on(self) -> None:
        self.given += 1
        if self.given == self.number:
            self._port.unplug()
            self._port.plug(self._substitute)
        self._on()


class Leaving(TwinKey):
    """A key that another one replaces when it reboots by itself, while its port keeps its power."""

    def __init__(self, lab: Lab, number: int, substitute: TwinKey):
        super().__init__(1)
        self._lab, self._left, self._substitute = lab, number, substitute

    def _rebooted(self) -> None:
        self._left -= 1
        if self._left == 0:
            threading.Thread(target=self._exchange, name="the hand that exchanges keys").start()
        super()._rebooted()

    def _exchange(self) -> None:
        port = self.port
        port.unplug()
        port.plug(self._substitute)
