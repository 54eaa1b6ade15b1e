"""FT245R relay boards (FTDI 0403:6001; SainSmart 4 and 8, Denkovi 8): eight data lines, a relay on each.

    bit-bang      control OUT 40, request 0B (SET_BITMODE), value 01 FF: asynchronous, all lines outputs
    state         control IN C0, request 0C (READ_PINS)   -> a byte, bit n - 1 for relay n
    set all       a byte on the bulk OUT endpoint

The lines can only be set all at once: they are read first, and one bit is changed. A mask that was made before a
cut would put back what other rigs have switched since, so there is no cut action: this process cuts.
Source: FTDI AN232R-01 (bit-bang modes of the FT232R and FT245R); libftdi 1.5 for the requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from harness.api import ActuatorRequest, CallerError, PowerDriver, PowerSwitch, UsbDevice, device_at
from harness_rigs.power.board_errors import Unexpected, place_of, shown
from harness_rigs.power.hidline import HidOptions, hid_channel, the_board
from harness_rigs.power.switch import Channel, RelayOptions, channel_switch
from harness_rigs.power.usbdevice import TRANSFER_MS, opened, usb_node

IDS = {(0x0403, 0x6001): "FT245R relay board"}
SET_BITMODE, READ_PINS = 0x0B, 0x0C
BIT_BANG = 0x01FF
OUT_VENDOR, IN_VENDOR = 0x40, 0xC0
BULK_OUT = 0x02


class Ft245rOptions(HidOptions, RelayOptions):
    """`[rig.power]` of an FT245R board."""

    serial: str | None = None
    """The chip's USB serial, as `lsusb -v` shows it."""
    channel: int = Field(default=1, ge=1, le=8)


class Ft245r(Channel):
    """One relay of an FT245R board."""

    driver = "ft245r"

    def __init__(self, request: ActuatorRequest, board: UsbDevice, number: int):
        self._request, self._port = request, board.port
        self.number = number
        self.board = f"board usb {board.port}"
        self.node = usb_node(board)
        self.name = f"channel {number} at path {board.port} ({board.product or board.ids})"
        self._usb: Any = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        device = device_at(self._request.host, self._port)
        if device is None:
            raise OSError(19, f"nothing at {self._port}")
        self.node = usb_node(device)
        with opened(self._request.host, device, place_of(self._request), claim=True) as self._usb:
            yield
        self._usb = None

    def set(self, active: bool) -> None:
        bit = 1 << (self.number - 1)
        lines = self._pins()
        self._usb.ctrl_transfer(OUT_VENDOR, SET_BITMODE, BIT_BANG, 0, None, TRANSFER_MS)
        self._usb.write(BULK_OUT, bytes([lines | bit if active else lines & ~bit]), TRANSFER_MS)

    def read(self) -> bool:
        return bool(self._pins() >> (self.number - 1) & 1)

    def _pins(self) -> int:
        answer = bytes(self._usb.ctrl_transfer(IN_VENDOR, READ_PINS, 0, 0, 1, TRANSFER_MS))
        if len(answer) != 1:
            raise Unexpected(shown(answer), "one byte, a bit for each relay")
        return answer[0]


def _make(request: ActuatorRequest) -> PowerSwitch:
    options: Ft245rOptions = request.options
    if options.path is None and options.serial is None:
        # Every serial adapter of FTDI has these ids: its lines must not be toggled to find out.
        raise CallerError(
            place_of(request),
            found="neither `path` nor `serial`",
            expected="which board: 0403:6001 is FTDI's serial adapters, too",
            mend='e.g. path = "1-1.3"; `lsusb -t` shows the ports',
        )
    board = the_board(request, IDS)
    return channel_switch(request, Ft245r(request, board, options.channel))


def _channel(options: Ft245rOptions) -> str:
    return hid_channel("ft245r", options)


FT245R = PowerDriver(
    "ft245r", "FT245R relay boards (SainSmart, Denkovi)", Ft245rOptions, _make, _channel, IDS
)
