"""Control transfers to a hub, and the one that switches a port off as an ioctl for the cutter.

    descriptor     control IN A0, request 6, value 29 00 (USB 2) or 2A 00 (USB 3)
                   -> byte 2 ports, byte 3 bits 0-1 power switching: 0 all at once, 1 each port, 2-3 none;
                      from byte 7 (USB 2) or 10 (USB 3) a bit for each port whose device cannot be removed
    port status    control IN A3, request 0, index port    -> 4 bytes; power is 0100 (USB 2), 0200 (USB 3)
    port power     control OUT 23, request 3 (on) or 1 (off), value 8 (PORT_POWER), index port
    BOS            control IN 80, request 6, value 0F 00   -> capability 4 holds the container id

Source: USB 2.0, 11.23 and 11.24; USB 3.2, 9.6.2 and 10.15-10.16; Linux include/uapi/linux/usbdevice_fs.h.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from typing import Any

from harness_rigs.power.board_errors import Unexpected, shown
from harness_rigs.power.usbdevice import TRANSFER_MS

GET_STATUS, CLEAR_FEATURE, SET_FEATURE, GET_DESCRIPTOR = 0, 1, 3, 6
PORT_POWER = 8
OUT_PORT, IN_PORT, IN_HUB, IN_DEVICE = 0x23, 0xA3, 0xA0, 0x80
HUB_DESCRIPTOR, SUPERSPEED_HUB_DESCRIPTOR, BOS_DESCRIPTOR = 0x29, 0x2A, 0x0F
CONTAINER_ID = 4
GANGED, EACH = 0, 1

_CTRLTRANSFER = "@BBHHHIP"
"""struct usbdevfs_ctrltransfer. Without data its pointer is zero, so that any process may use it."""
USBDEVFS_CONTROL = 0xC0005500 | struct.calcsize(_CTRLTRANSFER) << 16


@dataclass(frozen=True)
class HubDescriptor:
    """What a hub reports of itself.

    :ivar switching: GANGED, EACH, or anything else for none.
    :ivar fixed: ports whose device cannot be removed.
    """

    ports: int
    switching: int
    fixed: frozenset[int]


def descriptor(usb: Any, superspeed: bool) -> HubDescriptor:
    """Read the hub descriptor.

    :raises Unexpected: the answer is not one.
    """
    kind = SUPERSPEED_HUB_DESCRIPTOR if superspeed else HUB_DESCRIPTOR
    data = bytes(usb.ctrl_transfer(IN_HUB, GET_DESCRIPTOR, kind << 8, 0, 71, TRANSFER_MS))
    start = 10 if superspeed else 7
    if len(data) <= start or data[1] != kind:
        raise Unexpected(shown(data[:12]), f"a hub descriptor (type {kind:02x})")
    bits = int.from_bytes(data[start : start + (data[2] // 8 + 1)], "little")
    switching = EACH if data[3] & 3 == GANGED and data[2] == 1 else data[3] & 3
    return HubDescriptor(data[2], switching, frozenset(n for n in range(1, data[2] + 1) if bits >> n & 1))


def is_powered(usb: Any, port: int, superspeed: bool) -> bool:
    """Does the hub say that a port has power?"""
    data = bytes(usb.ctrl_transfer(IN_PORT, GET_STATUS, 0, port, 4, TRANSFER_MS))
    if len(data) != 4:
        raise Unexpected(shown(data), "a port's status, 4 bytes")
    return bool(int.from_bytes(data[:2], "little") & (0x0200 if superspeed else 0x0100))


def set_power(usb: Any, port: int, on: bool) -> None:
    usb.ctrl_transfer(OUT_PORT, SET_FEATURE if on else CLEAR_FEATURE, PORT_POWER, port, None, TRANSFER_MS)


def power_off_ioctl(port: int) -> bytes:
    """The buffer of USBDEVFS_CONTROL that takes a port's power."""
    return struct.pack(_CTRLTRANSFER, OUT_PORT, CLEAR_FEATURE, PORT_POWER, port, 0, TRANSFER_MS, 0)


def container_id(usb: Any) -> bytes | None:
    """The container id, which both halves of a hub share; None if the hub has none."""
    try:
        data = bytes(usb.ctrl_transfer(IN_DEVICE, GET_DESCRIPTOR, BOS_DESCRIPTOR << 8, 0, 255, TRANSFER_MS))
    except OSError as error:
        if error.errno == errno.EPIPE:  # a stall: before USB 2.1 there was no such descriptor
            return None
        raise
    at = data[0] if data else 0
    while at + 3 <= len(data) and data[at]:
        if data[at + 2] == CONTAINER_ID and data[at] >= 20:
            return data[at + 4 : at + 20]
        at += data[at]
    return None
