"""KMTronic USB relay boards with 1, 2, 4 or 8 relays: a serial port, 9600 8N1.

    on      FF n 01
    off     FF n 00
    state   FF n 03     -> FF n 00|01                     boards with 1 and 2 relays
            FF 09 00    -> a byte 00|01 for each relay    boards with 4 and 8

Boards differ in how the state is read, and cannot be asked which they are: so the bench says how many relays they have.
Source: KMTronic's pages (info.kmtronic.com, "USB Relay Test software": commands of each board).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.api import ActuatorRequest, CallerError
from harness_rigs.power.board_errors import Unexpected, place_of, shown
from harness_rigs.power.serialline import SerialChannel, SerialRelayOptions, serial_driver

STATES = bytes([0xFF, 9, 0])


class KmtronicOptions(SerialRelayOptions):
    """`[rig.power]` of a KMTronic board."""

    channel: int = Field(default=1, ge=1, le=8)
    relays: Literal[1, 2, 4, 8]
    """How many the board has."""


class Kmtronic(SerialChannel):
    """One relay of a KMTronic board."""

    driver = "kmtronic"

    def __init__(self, request: ActuatorRequest):
        options: KmtronicOptions = request.options
        super().__init__(request)
        self._relays = options.relays
        if self.number > self._relays:
            raise CallerError(
                f"{place_of(request)}.channel",
                found=self.number,
                expected=f"a relay of {self.node}, which has 1-{self._relays} (`relays`)",
            )

    def command(self, active: bool) -> bytes:
        return bytes([0xFF, self.number, int(active)])

    def read(self) -> bool:
        if self._relays <= 2:
            self.send(bytes([0xFF, self.number, 3]))
            answer = self.receive(3)
            good = answer[:2] == bytes([0xFF, self.number]) and answer[2] <= 1
            state = answer[2]
        else:
            self.send(STATES)
            answer = self.receive(self._relays)
            good = max(answer) <= 1
            state = answer[self.number - 1]
        if not good:
            raise Unexpected(shown(answer), "the state of a KMTronic board with this many relays")
        return bool(state)


KMTRONIC = serial_driver(Kmtronic, "KMTronic USB relay boards", KmtronicOptions)
