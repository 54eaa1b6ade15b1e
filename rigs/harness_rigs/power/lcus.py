"""LCUS relay boards (LC Technology, CH340 on USB): 1, 2, 4 or 8 relays on a serial port, 9600 8N1.

    on      A0 <channel> 01 <sum>       A0 01 01 A2
    off     A0 <channel> 00 <sum>       A0 01 00 A1
    status  FF      -> lines "CH1: ON", or one byte 00/01 for each relay, or nothing: boards differ

Source: the seller's protocol sheet, as its resellers print it (lctech-inc.com, LCUS-1 ... LCUS-8). The contacts
are rated for 100,000 operations.
"""

from __future__ import annotations

import re

from pydantic import Field

from harness.api import ActuatorRequest, CallerError
from harness_rigs.power.board_errors import Unexpected, place_of, shown
from harness_rigs.power.serialline import ANSWER_S, SerialChannel, SerialRelayOptions, serial_driver

STATUS = b"\xff"
QUIET_S = 0.05
_LINE = re.compile(rb"CH(\d+): *(ON|OFF)")


class LcusOptions(SerialRelayOptions):
    """`[rig.power]` of an LCUS board."""

    channel: int = Field(default=1, ge=1, le=254)
    status: bool | None = None
    """Does the board tell its state? By default it is asked once."""


def frame(channel: int, active: bool) -> bytes:
    """The four bytes that switch a relay, LCUS boards on HID included."""
    body = bytes([0xA0, channel, int(active)])
    return body + bytes([sum(body) & 0xFF])


class Lcus(SerialChannel):
    """One relay of an LCUS board."""

    driver = "lcus"

    def __init__(self, request: ActuatorRequest):
        options: LcusOptions = request.options
        super().__init__(request)
        self._place = place_of(request)
        self._tells = options.status
        self._lines = self._bytes = 0

    def command(self, active: bool) -> bytes:
        return frame(self.number, active)

    def read(self) -> bool | None:
        if self._tells is False:
            return None
        self.send(STATUS)
        # The first answer shows how long an answer is: later ones are read without waiting for silence.
        answer: bytes = self._port.read(self._bytes) if self._bytes else b""
        answer += b"".join(self._port.read_until(b"\n") for _ in range(self._lines))
        if (states := _states(answer)) is None:
            answer += self.receive_until_quiet(ANSWER_S, QUIET_S)
            states = _states(answer)
        if not answer and self._tells is None:
            self._tells = False
            return None
        if states is None:
            raise Unexpected(shown(answer), 'lines "CH1: ON", or a byte 00 or 01 for each relay')
        self._tells, self._lines = True, answer.count(b"\n")
        self._bytes = 0 if self._lines else len(answer)
        if self.number not in states:
            raise CallerError(
                f"{self._place}.channel",
                found=self.number,
                expected=f"a relay of {self.node}, which has {min(states)}-{max(states)}",
            )
        return states[self.number]


def _states(answer: bytes) -> dict[int, bool] | None:
    lines = {int(number): word == b"ON" for number, word in _LINE.findall(answer)}
    if lines:
        return lines
    if answer and set(answer) <= {0, 1}:
        return {number: bool(byte) for number, byte in enumerate(answer, 1)}
    return None


LCUS = serial_driver(Lcus, "LCUS relay boards on a serial port", LcusOptions)
