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

from harness.base.errors import CallerError
from harness.bench.plugin_api import ActuatorRequest, PowerDriver
from harness.model.rig import PowerSwitch
from harness_rigs.power.board_errors import place_of
from harness_rigs.power.serialline import SerialChannel, SerialRelayOptions, serial_channel
from harness_rigs.power.switch import ChannelSwitch

ON, OFF, STATE, VERSION = 0x64, 0x6E, b"\x5b", b"\x5a"
RELAYS = {8: 8, 9: 8, 10: 2, 15: 8}
"""Relays by module; other modules are taken to have eight, the most that the commands reach."""


class DevantechOptions(SerialRelayOptions):
    """`[rig.power]` of a Devantech board."""

    channel: int = Field(default=1, ge=1, le=8)


class Devantech(SerialChannel):
    """One relay of a Devantech board."""

    driver = "devantech"

    def __init__(self, request: ActuatorRequest):
        options: DevantechOptions = request.options
        super().__init__(request, options.port, options.channel, 19200)
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


def _make(request: ActuatorRequest) -> PowerSwitch:
    options: DevantechOptions = request.options
    return ChannelSwitch(
        request, Devantech(request), off_time_s=options.off_time_s, inverted=options.inverted
    )


def _channel(options: DevantechOptions) -> str:
    return serial_channel("devantech", options)


DEVANTECH = PowerDriver("devantech", "Devantech USB-RLY relay boards", DevantechOptions, _make, _channel)
