"""dcttech "USBRelayN" boards (USB HID, 16c0:05df): 1, 2, 4 or 8 relays, feature reports of 8 bytes.

    on          FF n 00 00 00 00 00 00
    off         FD n 00 00 00 00 00 00
    (FE and FC are for all relays and never sent; FA would write the serial)
    get report  s1 s2 s3 s4 s5 00 ?? <mask>    bytes 0-4 are the id, byte 5 is zero, byte 7 has bit n - 1 for relay n

The product string says how many relays there are. All boards show one and the same USB serial: they are told
apart by their port, or by the five bytes of the id in their report. Most ids are letters, but not all.
Source: the boards' own library as published for them (pavel-a/usb-relay-hid, lib/usb_relay_lib.c).
"""

from __future__ import annotations

import re

from pydantic import Field

from harness.api import ActuatorRequest, CallerError, CutAction, PowerDriver, PowerSwitch, RigError, UsbDevice
from harness_rigs.power.board_errors import Unexpected, explain, place_of, shown
from harness_rigs.power.hidline import HidChannel, HidOptions, hid_channel, hid_opened, the_board
from harness_rigs.power.switch import RelayOptions, channel_switch
from harness_rigs.power.usbdevice import usb_node

IDS = {(0x16C0, 0x05DF): "dcttech relay board"}
ON, OFF, SIZE = 0xFF, 0xFD, 8
SERIAL = slice(0, 5)
ZERO, STATE = 5, 7


class DcttechOptions(HidOptions, RelayOptions):
    """`[rig.power]` of a dcttech board."""

    serial: str | None = Field(default=None, pattern=r"^([!-~]{5}|([0-9a-f]{2} ){4}[0-9a-f]{2})$")
    """The id in the board's own report: five letters, or five bytes in hex ("ff 00 12 34 56") if they are none."""
    channel: int = Field(default=1, ge=1, le=8)


class Dcttech(HidChannel):
    """One relay of a dcttech board."""

    driver = "dcttech"

    def _report(self, active: bool) -> bytes:
        return bytes([ON if active else OFF, self.number]).ljust(SIZE, b"\0")

    def set(self, active: bool) -> None:
        self.line.set_feature(self._report(active))

    def read(self) -> bool:
        report = self.line.get_feature(SIZE)
        if len(report) != SIZE or report[ZERO]:
            raise Unexpected(shown(report), "8 bytes: an id of five bytes, a zero, and the state at the end")
        return bool(report[STATE] >> (self.number - 1) & 1)

    def cut_action(self, active: bool) -> CutAction | None:
        return self.feature_cut_action(self._report(active))


def _serial(request: ActuatorRequest, device: UsbDevice) -> str:
    """Return the id in a board's report, as `DcttechOptions.serial` has it."""
    try:
        with hid_opened(request, device) as line:
            found = line.get_feature(SIZE)[SERIAL]
    except OSError as error:
        node = str(device.hidraw[0].node) if device.hidraw else usb_node(device)
        raise explain(error, f"{place_of(request)}: the board at {device.port}", node, 0) from None
    return found.decode("ascii") if all(0x21 <= one <= 0x7E for one in found) else found.hex(" ")


def _make(request: ActuatorRequest) -> PowerSwitch:
    options: DcttechOptions = request.options
    board = the_board(request, IDS, lambda one: _serial(request, one))
    relays = re.search(r"(\d+)$", board.product)
    if relays is None:
        raise RigError(
            place_of(request),
            found=f'"{board.product}" at {board.port}',
            expected='a board that calls itself "USBRelay" and how many relays it has',
            mend="16c0:05df is shared by many HID devices: is this a relay board?",
        )
    if options.channel > int(relays[1]):
        raise CallerError(
            f"{place_of(request)}.channel",
            found=options.channel,
            expected=f"a channel of {board.product} at {board.port}, which has 1-{relays[1]}",
        )
    return channel_switch(request, Dcttech(request, board, options.channel))


def _channel(options: DcttechOptions) -> str:
    return hid_channel("dcttech", options)


DCTTECH = PowerDriver("dcttech", "dcttech USBRelay boards (HID)", DcttechOptions, _make, _channel, IDS)
