"""Boards that are HID devices: found by their USB port or their serial, opened for one command.

They are reached through hidraw if the kernel shows a node, else through pyusb. The cutter can write to a hidraw node. A
transfer with data through usbfs needs a pointer into its own process: without a node there is no cut action.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from pydantic import Field

from harness.api import ActuatorRequest, Ioctl, RigError, UsbDevice, Write, device_at, devices
from harness_rigs.power.board_errors import place_of
from harness_rigs.power.descriptor import Descriptor
from harness_rigs.power.hidraw import REPORT_NUMBER, Hidraw, set_feature_request
from harness_rigs.power.switch import Channel, SwitchOptions
from harness_rigs.power.usbdevice import opened as usb_opened
from harness_rigs.power.usbdevice import usb_node
from harness_rigs.power.usbhid import UsbHid

PATH = r"^\d+-\d+(\.\d+)*$"


class HidOptions(SwitchOptions):
    """Which board; by default the only one of its kind."""

    path: str | None = Field(default=None, pattern=PATH)
    """The USB port that the board is plugged into, as sysfs names it: "1-1.3"."""
    serial: str | None = None
    channel: int = Field(default=1, ge=1)


Ids = Mapping[tuple[int, int], str]
"""(vendor id, product id) of the boards that a driver knows -> their name."""


def boards(request: ActuatorRequest, ids: Ids) -> list[UsbDevice]:
    """The boards of a kind that are plugged in."""
    return [one for one in devices(request.host) if (one.vendor_id, one.product_id) in ids]


def the_board(
    request: ActuatorRequest,
    ids: Ids,
    serial_of: Callable[[UsbDevice], str | None] = lambda board: board.serial,
) -> UsbDevice:
    """The board that the bench means by `path` and `serial`; the only one of its kind if it names neither.

    :param request: its options are HidOptions.
    :param serial_of: where the kind of board has its serial; in its USB descriptor by default.
    :raises RigError: no board fits, or several do; names those that are there.
    """
    options: HidOptions = request.options
    fitting = [one for one in boards(request, ids) if options.path in (None, one.port)]
    asked = f" at {options.path}" if options.path else ""
    if options.serial is not None:
        fitting = [one for one in fitting if serial_of(one) == options.serial]
        asked += f" with serial {options.serial}"
    if len(fitting) == 1:
        return fitting[0]
    there = [f"{one.port} ({one.shown()})" for one in boards(request, ids)]
    kind = " or ".join(dict.fromkeys(ids.values()))
    raise RigError(
        place_of(request),
        found=("none of these: " if there and not fitting else "") + (", ".join(there) or f"no {kind}"),
        expected=f"one {kind}{asked}",
        mend="say which by `path`" if there else "plug it in; `lsusb` shows what is there",
    )


class HidChannel(Channel):
    """A channel of a HID board."""

    def __init__(self, request: ActuatorRequest, board: UsbDevice, number: int):
        self._host, self._port, self._request = request.host, board.port, request
        self._is = (board.vendor_id, board.product_id)
        self.number = number
        self.board = f"board usb {board.port}"
        self.node = str(board.hidraw[0].node) if board.hidraw else usb_node(board)
        self.name = f"channel {number} at path {board.port} ({board.product or board.ids})"
        self._line: Hidraw | UsbHid | None = None
        self._cut_handle: Descriptor | None = None

    @property
    def line(self) -> Hidraw | UsbHid:
        assert self._line is not None, "not opened"
        return self._line

    def _found(self) -> UsbDevice:
        # Looked up each time: after a replug its node has another number.
        device = device_at(self._host, self._port)
        if device is None or (device.vendor_id, device.product_id) != self._is:
            raise OSError(errno.ENODEV, f"no such board at {self._port}")
        self.node = str(device.hidraw[0].node) if device.hidraw else usb_node(device)
        return device

    @contextmanager
    def opened(self) -> Iterator[None]:
        with hid_opened(self._request, self._found()) as line:
            self._line = line
            try:
                yield
            finally:
                self._line = None

    def feature_cut_action(self, data: bytes) -> Ioctl | None:
        """The action that sets a feature report; None without a hidraw node."""
        report = REPORT_NUMBER + data
        fd = self._node()
        return None if fd is None else Ioctl(fd, set_feature_request(len(report)), report)

    def write_cut_action(self, data: bytes) -> Write | None:
        """The action that sends an output report; None without a hidraw node."""
        fd = self._node()
        return None if fd is None else Write(fd, REPORT_NUMBER + data)

    def _node(self) -> int | None:
        hidraw = self._found().hidraw
        if not hidraw:
            return None
        self.close_cut_action()
        self._cut_handle = Descriptor(None, fd=self._host.open_hidraw(hidraw[0].node))
        return self._cut_handle.fd

    def close_cut_action(self) -> None:
        if self._cut_handle is not None:
            self._cut_handle.close()
            self._cut_handle = None


@contextmanager
def hid_opened(request: ActuatorRequest, device: UsbDevice) -> Iterator[Hidraw | UsbHid]:
    """Keep a board open while entered.

    :raises OSError: the board is gone, or may not be opened.
    """
    if device.hidraw:
        line = Hidraw(request.host.open_hidraw(device.hidraw[0].node))
        try:
            yield line
        finally:
            line.close()
    else:
        with usb_opened(request.host, device, place_of(request), claim=True) as usb:
            yield UsbHid(usb)


def hid_channel(driver: str, options: HidOptions) -> str:
    """Name of a channel. Two names for one board are found when it is opened."""
    which = options.path or (options.serial and f"serial {options.serial}") or "the only board"
    return f"{driver} {which} channel {options.channel}"
