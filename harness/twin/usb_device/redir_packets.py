"""Packets of usbredir, the USB network redirection protocol, version 0.7: types, headers, capabilities.

Source: the description of the protocol in the usbredir project. All integers are little-endian. The "usb-guest" is the
end that has the virtual machine; the "usb-host" is the end that has the device, which is this one.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple


class Type(IntEnum):
    """Types of packets."""

    HELLO = 0
    DEVICE_CONNECT = 1
    DEVICE_DISCONNECT = 2
    RESET = 3
    INTERFACE_INFO = 4
    EP_INFO = 5
    SET_CONFIGURATION = 6
    GET_CONFIGURATION = 7
    CONFIGURATION_STATUS = 8
    SET_ALT_SETTING = 9
    GET_ALT_SETTING = 10
    ALT_SETTING_STATUS = 11
    START_ISO_STREAM = 12
    STOP_ISO_STREAM = 13
    ISO_STREAM_STATUS = 14
    START_INTERRUPT_RECEIVING = 15
    STOP_INTERRUPT_RECEIVING = 16
    INTERRUPT_RECEIVING_STATUS = 17
    ALLOC_BULK_STREAMS = 18
    FREE_BULK_STREAMS = 19
    BULK_STREAMS_STATUS = 20
    CANCEL_DATA_PACKET = 21
    FILTER_REJECT = 22
    FILTER_FILTER = 23
    DEVICE_DISCONNECT_ACK = 24
    START_BULK_RECEIVING = 25
    STOP_BULK_RECEIVING = 26
    BULK_RECEIVING_STATUS = 27
    CONTROL_PACKET = 100
    BULK_PACKET = 101
    ISO_PACKET = 102
    INTERRUPT_PACKET = 103
    BUFFERED_BULK_PACKET = 104


class Status(IntEnum):
    """Results of requests."""

    SUCCESS, CANCELLED, INVAL, IOERROR, STALL, TIMEOUT, BABBLE = range(7)


class Cap(IntFlag):
    """Capabilities, as bits of the first word in a HELLO."""

    BULK_STREAMS = 1 << 0
    CONNECT_DEVICE_VERSION = 1 << 1
    FILTER = 1 << 2
    DEVICE_DISCONNECT_ACK = 1 << 3
    EP_INFO_MAX_PACKET_SIZE = 1 << 4
    IDS_64_BITS = 1 << 5
    BULK_LENGTH_32_BITS = 1 << 6
    BULK_RECEIVING = 1 << 7


SPEED_FULL = 1
NO_ENDPOINT = 255
"""Type of an endpoint that is not there."""
ENDPOINTS = 32
VERSION_SIZE = 64
HELLO_SIZE = VERSION_SIZE + 4
LENGTH_MAX = 1 << 20
"""Of one packet. QEMU sends at most a transfer, which is far less."""

SHORT_HEADER = struct.Struct("<III")
LONG_HEADER = struct.Struct("<IIQ")
CONTROL = struct.Struct("<BBBBHHH")
"""Endpoint, request, request type, status, value, index, length."""
BULK_16 = struct.Struct("<BBHI")
BULK_32 = struct.Struct("<BBHIH")
"""Endpoint, status, low half of the length, stream, high half of the length."""
INTERRUPT = struct.Struct("<BBH")
"""Endpoint, status, length."""


class Packet(NamedTuple):
    """One packet: its type, which may be an unknown number, the id that its answer repeats, and what follows."""

    type: int
    id: int
    body: bytes


class ProtocolError(Exception):
    """The other end does not speak usbredir, or speaks it wrongly."""


class Splitter:
    """Makes packets of a stream of bytes.

    :ivar long_ids: ids have 64 bits. A HELLO's header never has them.
    """

    def __init__(self) -> None:
        self.long_ids = False
        self._got = b""

    def add(self, data: bytes) -> None:
        self._got += data

    def next(self) -> Packet | None:
        """The next packet that is complete.

        :raises ProtocolError: a length that no packet has.
        """
        header = LONG_HEADER if self.long_ids else SHORT_HEADER
        if len(self._got) < header.size:
            return None
        kind, length, number = header.unpack_from(self._got)
        if length > LENGTH_MAX:
            raise ProtocolError(f"a packet of {length} bytes")
        end = header.size + length
        if len(self._got) < end:
            return None
        body, self._got = self._got[header.size : end], self._got[end:]
        return Packet(kind, number, body)


def packed(packet: Packet, long_ids: bool) -> bytes:
    """The bytes of a packet."""
    header = LONG_HEADER if long_ids and packet.type != Type.HELLO else SHORT_HEADER
    return header.pack(packet.type, len(packet.body), packet.id) + packet.body


def hello(version: str, caps: Cap) -> Packet:
    """A HELLO with one word of capabilities."""
    name = version.encode()[: VERSION_SIZE - 1].ljust(VERSION_SIZE, b"\0")
    return Packet(Type.HELLO, 0, name + int(caps).to_bytes(4, "little"))


def caps_of(body: bytes) -> Cap:
    """The capabilities in the body of a HELLO; an old version has none."""
    if len(body) < VERSION_SIZE:
        raise ProtocolError(f"a HELLO of {len(body)} bytes")
    # Capabilities of later versions are in further words, and mean nothing here.
    return Cap(int.from_bytes(body[VERSION_SIZE:HELLO_SIZE], "little") & sum(Cap))
