"""LCUS relay boards on USB HID (5131:2007): the four bytes of the serial ones in an output report.

    on      A0 <channel> 01 <sum>    -> an input report of four bytes
    off     A0 <channel> 00 <sum>    -> likewise
    status  none that the HID version answers to

The boards have no serial: they are told apart by their port.
Source: the seller's sheet, and a published driver that was tried on the 4-channel board (lcushidrelay, 2026).
"""

from __future__ import annotations

from pydantic import Field

from harness.api import ActuatorRequest, CutAction, PowerDriver, PowerSwitch
from harness_rigs.power.hidline import HidChannel, HidOptions, hid_channel, the_board
from harness_rigs.power.lcus import frame
from harness_rigs.power.switch import RelayOptions, channel_switch

IDS = {(0x5131, 0x2007): "LCUS relay board on HID"}
ANSWER_S = 0.5


class LcusHidOptions(HidOptions, RelayOptions):
    """`[rig.power]` of an LCUS board on HID."""

    serial: None = None
    channel: int = Field(default=1, ge=1, le=254)


class LcusHid(HidChannel):
    """One relay of an LCUS board on HID."""

    driver = "lcus-hid"

    def set(self, active: bool) -> None:
        self.line.write(frame(self.number, active))
        # The content of the answer is not documented; an answer shows that the board has taken the command.
        self.line.read(64, ANSWER_S)

    def read(self) -> None:
        return None

    def cut_action(self, active: bool) -> CutAction | None:
        return self.write_cut_action(frame(self.number, active))


def _make(request: ActuatorRequest) -> PowerSwitch:
    board = the_board(request, IDS)
    return channel_switch(request, LcusHid(request, board, request.options.channel))


def _channel(options: LcusHidOptions) -> str:
    return hid_channel("lcus-hid", options)


LCUS_HID = PowerDriver("lcus-hid", "LCUS relay boards on USB HID", LcusHidOptions, _make, _channel, IDS)
