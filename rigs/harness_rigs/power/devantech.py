"""Devantech USB-RLY02, USB-RLY08, USB-RLY16 and USB-RLY82: relays on a serial port (any baud), single bytes.

    on           64 + n     n from 1; 64 alone is all of them, which is never sent
    off          6E + n
    state        5B         -> a byte, bit n - 1 set while relay n is energised
    version      5A         -> module (8 RLY08, 9 RLY16, 10 RLY02, 15 RLY16L), software
    set all      5C <mask>  not used: it would switch the other rigs' relays

Source: Devantech's technical documentation of each board (USB-RLY08, -16, -16L, -02).
"""

from __future__ import annotations

from pydantic import Field

from harness.api import ActuatorRequest, CallerError
from harness_rigs.power.board_errors import place_of
from harness_rigs.power.serialline import SerialChannel, SerialRelayOptions, serial_driver

ON, OFF, STATE, VERSION = 0x64, 0x6E, b"\x5b", b"\x5a"
RELAYS = {8: 8, 9: 8, 10: 2, 15: 8}
"""Relays by module; other modules are taken to have eight, the most that the commands reach."""


class DevantechOptions(SerialRelayOptions):
    """`[rig.power]` of a Devantech board."""

    channel: int = Field(default=1, ge=1, le=8)


class Devantech(SerialChannel):
    """One relay of a Devantech board."""

    driver = "devantech"
    baud = 19200

    def __init__(self, request: ActuatorRequest):
        super().__init__(request)
        self._place = place_of(request)
        self._relays = 0

    def command(self, active: bool) -> bytes:
        return bytes([(ON if active else OFF) + self.number])

    def read(self) -> bool:
        if not self._relays:
            self.send(VERSION)
            self._relays = RELAYS.get(self.receive(2)[0], 8)
        if self.number > self._relays:
            raise CallerError(
                f"{self._place}.channel",
                found=self.number,
                expected=f"a relay of {self.node}, which has 1-{self._relays}",
            )
        self.send(STATE)
        return bool(self.receive(1)[0] >> (self.number - 1) & 1)


DEVANTECH = serial_driver(Devantech, "Devantech USB-RLY relay boards", DevantechOptions)
