"""The end of usbredir that has the device: one USB device, plugged in and removed, as a machine of packets without I/O.

Control requests are answered at once. An IN transfer of a bulk pipe waits until the key has something, or the other
end cancels it; interrupt pipes send of themselves after START_INTERRUPT_RECEIVING.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from harness import __version__
from harness.twin.usb_device.device import UsbDevice
from harness.twin.usb_device.function import BULK, IN, PACKET_SIZE, Setup, Stall
from harness.twin.usb_device.function import INTERRUPT as INTERRUPT_PIPE
from harness.twin.usb_device.redir_packets import (
    BULK_16,
    BULK_32,
    CONTROL,
    ENDPOINTS,
    INTERRUPT,
    NO_ENDPOINT,
    SPEED_FULL,
    Cap,
    Packet,
    ProtocolError,
    Splitter,
    Status,
    Type,
    caps_of,
    hello,
    packed,
)

OURS = (
    Cap.CONNECT_DEVICE_VERSION
    | Cap.FILTER
    | Cap.DEVICE_DISCONNECT_ACK
    | Cap.EP_INFO_MAX_PACKET_SIZE
    | Cap.IDS_64_BITS
    | Cap.BULK_LENGTH_32_BITS
)
CONTROL_OUT, CONTROL_IN = 0x00, 0x80


class Waiting(NamedTuple):
    """An IN transfer of a bulk pipe that the other end has asked for."""

    id: int
    length: int
    stream: int


class RedirHost:
    """One connection. `receive` takes bytes, `output` has what is to be sent.

    :param say: called with a line of text when the other end refuses the device.
    """

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self.output = bytearray()
        self._splitter = Splitter()
        self._caps: Cap | None = None
        self._device: UsbDevice | None = None
        self._is_connected = False
        self._is_mute = False
        self._awaits_ack = False
        self._waiting: dict[int, deque[Waiting]] = {}
        self._receiving: set[int] = set()
        self._interrupt_ids: dict[int, int] = {}
        self._send(hello(f"keyharness {__version__}", OURS))

    # From the key

    def plug(self, device: UsbDevice) -> None:
        """Put a device on the bus, at once or when the other end is ready for it."""
        self._device, self._is_mute = device, False
        self._connect()

    def unplug(self) -> None:
        """Take the device off the bus: a surprise removal."""
        self._device = None
        self._waiting.clear()
        self._receiving.clear()
        if self._is_connected:
            self._is_connected = False
            self._send(Packet(Type.DEVICE_DISCONNECT, 0, b""))
            self._awaits_ack = bool(self._both & Cap.DEVICE_DISCONNECT_ACK)

    def mute(self) -> None:
        """Leave the device on the bus, answering nothing: its firmware has halted."""
        self._is_mute = True

    def flush(self) -> None:
        """Send what the device has for the host, as far as the host asked for it."""
        if self._device is None or not self._is_connected or self._is_mute:
            return
        for address, data in self._device.waiting.items():
            kind = self._device.pipes[address].kind
            while data and kind == INTERRUPT_PIPE and address in self._receiving:
                self._send_interrupt(address, data.popleft())
            asked = self._waiting.get(address)
            while data and asked:
                self._answer_bulk(address, asked.popleft(), data)

    # From the other end

    @property
    def is_greeted(self) -> bool:
        """Whether the other end has said HELLO."""
        return self._caps is not None

    def receive(self, data: bytes) -> None:
        """Take bytes.

        :raises ProtocolError: they are no usbredir.
        """
        self._splitter.add(data)
        while (packet := self._splitter.next()) is not None:
            if self._caps is None and packet.type != Type.HELLO:
                raise ProtocolError(f"a packet of type {packet.type} before HELLO")
            self._take(packet)
        self.flush()

    def _take(self, packet: Packet) -> None:
        if packet.type == Type.HELLO:
            self._greeted(packet.body)
        elif packet.type == Type.DEVICE_DISCONNECT_ACK:
            self._awaits_ack = False
            self._connect()
        elif packet.type == Type.FILTER_REJECT:
            self._say("the other end's filter refuses this device")
            self.unplug()
        elif packet.type == Type.FILTER_FILTER:
            # It may say beforehand what it will refuse; it then does so by FILTER_REJECT.
            return
        elif self._device is not None and self._is_connected and not self._is_mute:
            self._request(self._device, packet)
        # What was on its way when the device went is for nobody.

    def _greeted(self, body: bytes) -> None:
        if self._caps is not None:
            raise ProtocolError("a second HELLO")
        self._caps = caps_of(body)
        self._splitter.long_ids = bool(self._both & Cap.IDS_64_BITS)
        self._connect()

    @property
    def _both(self) -> Cap:
        """What both ends can."""
        return OURS & (self._caps or Cap(0))

    def _connect(self) -> None:
        if self._device is None or self._caps is None or self._is_connected or self._awaits_ack:
            return
        self._send_infos(self._device)
        who = self._device.identity
        body = bytes((SPEED_FULL, *self._device.device_class))
        body += who.vendor_id.to_bytes(2, "little") + who.product_id.to_bytes(2, "little")
        if self._both & Cap.CONNECT_DEVICE_VERSION:
            body += who.release.to_bytes(2, "little")
        self._send(Packet(Type.DEVICE_CONNECT, 0, body))
        self._is_connected = True

    def _send_infos(self, device: UsbDevice) -> None:
        """What is on the device: before it is connected, and whenever a configuration is chosen."""
        columns = list(zip(*device.interfaces, strict=True))
        count = len(device.interfaces).to_bytes(4, "little")
        self._send(
            Packet(
                Type.INTERFACE_INFO, 0, count + b"".join(bytes(c).ljust(ENDPOINTS, b"\0") for c in columns)
            )
        )
        kinds, intervals = bytearray([NO_ENDPOINT] * ENDPOINTS), bytearray(ENDPOINTS)
        interfaces, sizes = bytearray(ENDPOINTS), [0] * ENDPOINTS
        for address in (CONTROL_OUT, CONTROL_IN):
            kinds[_slot(address)], sizes[_slot(address)] = 0, PACKET_SIZE
        for address, pipe in device.pipes.items():
            at = _slot(address)
            kinds[at], intervals[at], interfaces[at] = pipe.kind, pipe.interval, pipe.interface
            sizes[at] = PACKET_SIZE
        body = bytes(kinds + intervals + interfaces)
        if self._both & Cap.EP_INFO_MAX_PACKET_SIZE:
            body += b"".join(size.to_bytes(2, "little") for size in sizes)
        self._send(Packet(Type.EP_INFO, 0, body))

    def _request(self, device: UsbDevice, packet: Packet) -> None:
        kind, number, _ = packet
        answer = _STATES.get(kind)
        if kind == Type.RESET:
            device.reset()
            self._waiting.clear()
            self._receiving.clear()
        elif answer is not None:
            self._send(Packet(answer[0], number, answer[1](self, device, _least(packet, answer[2]))))
        elif kind == Type.CANCEL_DATA_PACKET:
            self._cancel(number)
        elif kind == Type.CONTROL_PACKET:
            self._control(device, number, _least(packet, CONTROL.size))
        elif kind == Type.BULK_PACKET:
            self._bulk(device, number, _least(packet, self._bulk_header_size))
        elif kind == Type.INTERRUPT_PACKET:
            self._interrupt_out(device, number, _least(packet, INTERRUPT.size))
        else:
            raise ProtocolError(f"a packet of type {kind}, which no usb-guest sends to such a device")

    # Requests that are answered by a status

    def _set_configuration(self, device: UsbDevice, body: bytes) -> bytes:
        try:
            device.control(Setup(0x00, 0x09, body[0], 0, 0), b"")
        except Stall:
            return bytes((Status.STALL, device.configuration))
        self._waiting.clear()
        self._receiving.clear()
        self._send_infos(device)
        return bytes((Status.SUCCESS, device.configuration))

    def _get_configuration(self, device: UsbDevice, body: bytes) -> bytes:
        return bytes((Status.SUCCESS, device.configuration))

    def _set_alt_setting(self, device: UsbDevice, body: bytes) -> bytes:
        known = any(number == body[0] for number, *_ in device.interfaces)
        fits = known and body[1] == 0
        if fits:
            self._send_infos(device)
        return bytes((Status.SUCCESS if fits else Status.INVAL, body[0], 0))

    def _get_alt_setting(self, device: UsbDevice, body: bytes) -> bytes:
        known = any(number == body[0] for number, *_ in device.interfaces)
        return bytes((Status.SUCCESS if known else Status.INVAL, body[0], 0))

    def _start_interrupt(self, device: UsbDevice, body: bytes) -> bytes:
        pipe = device.pipes.get(body[0])
        if pipe is None or pipe.kind != INTERRUPT_PIPE or not pipe.address & IN:
            return bytes((Status.INVAL, body[0]))
        self._receiving.add(body[0])
        return bytes((Status.SUCCESS, body[0]))

    def _stop_interrupt(self, device: UsbDevice, body: bytes) -> bytes:
        self._receiving.discard(body[0])
        return bytes((Status.SUCCESS if body[0] in device.pipes else Status.INVAL, body[0]))

    def _no_stream(self, device: UsbDevice, body: bytes) -> bytes:
        return bytes((Status.INVAL, body[0]))

    def _no_bulk_streams(self, device: UsbDevice, body: bytes) -> bytes:
        return body[:4] + bytes(4) + bytes((Status.INVAL,))

    def _no_bulk_start(self, device: UsbDevice, body: bytes) -> bytes:
        # Stream, bytes for each transfer, endpoint, number of transfers.
        return body[:4] + bytes((body[8], Status.INVAL))

    def _no_bulk_stop(self, device: UsbDevice, body: bytes) -> bytes:
        # Stream, endpoint.
        return body[:4] + bytes((body[4], Status.INVAL))

    # Transfers

    def _control(self, device: UsbDevice, number: int, body: bytes) -> None:
        endpoint, request, request_type, _, value, index, length = CONTROL.unpack_from(body)
        to_host = bool(request_type & IN)
        try:
            data = device.control(Setup(request_type, request, value, index, length), body[CONTROL.size :])
            status, done = Status.SUCCESS, len(data) if to_host else length
        except Stall:
            data, status, done = b"", Status.STALL, 0
        head = CONTROL.pack(endpoint, request, request_type, status, value, index, done)
        self._send(Packet(Type.CONTROL_PACKET, number, head + (data if to_host else b"")))

    @property
    def _bulk_header_size(self) -> int:
        return (BULK_32 if self._both & Cap.BULK_LENGTH_32_BITS else BULK_16).size

    def _bulk_header(self, address: int, status: Status, length: int, stream: int) -> bytes:
        if self._both & Cap.BULK_LENGTH_32_BITS:
            return BULK_32.pack(address, status, length & 0xFFFF, stream, length >> 16)
        return BULK_16.pack(address, status, length, stream)

    def _bulk(self, device: UsbDevice, number: int, body: bytes) -> None:
        address, _, length, stream = BULK_16.unpack_from(body)
        if self._both & Cap.BULK_LENGTH_32_BITS:
            length |= BULK_32.unpack_from(body)[4] << 16
        pipe = device.pipes.get(address)
        status = Status.SUCCESS
        if pipe is None or pipe.kind != BULK:
            status, length = Status.INVAL, 0
        elif address & IN:
            self._waiting.setdefault(address, deque()).append(Waiting(number, length, stream))
            return
        else:
            device.received(address, body[self._bulk_header_size :])
        head = self._bulk_header(address, status, length, stream)
        self._send(Packet(Type.BULK_PACKET, number, head))

    def _answer_bulk(self, address: int, asked: Waiting, data: deque[bytes]) -> None:
        """Complete an IN transfer by the oldest data; what does not fit waits for the next one."""
        piece = data.popleft()
        if len(piece) > asked.length:
            data.appendleft(piece[asked.length :])
            piece = piece[: asked.length]
        head = self._bulk_header(address, Status.SUCCESS, len(piece), asked.stream)
        self._send(Packet(Type.BULK_PACKET, asked.id, head + piece))

    def _send_interrupt(self, address: int, data: bytes) -> None:
        number = self._interrupt_ids.get(address, 0)
        self._interrupt_ids[address] = number + 1
        head = INTERRUPT.pack(address, Status.SUCCESS, len(data))
        self._send(Packet(Type.INTERRUPT_PACKET, number, head + data))

    def _interrupt_out(self, device: UsbDevice, number: int, body: bytes) -> None:
        address, _, length = INTERRUPT.unpack_from(body)
        pipe = device.pipes.get(address)
        status = Status.SUCCESS
        if pipe is None or pipe.kind != INTERRUPT_PIPE or address & IN:
            status, length = Status.INVAL, 0
        else:
            device.received(address, body[INTERRUPT.size :])
        self._send(Packet(Type.INTERRUPT_PACKET, number, INTERRUPT.pack(address, status, length)))

    def _cancel(self, number: int) -> None:
        """Complete a waiting transfer without data. One that was completed meanwhile is left alone."""
        for address, asked in self._waiting.items():
            for one in [one for one in asked if one.id == number]:
                asked.remove(one)
                head = self._bulk_header(address, Status.CANCELLED, 0, one.stream)
                self._send(Packet(Type.BULK_PACKET, number, head))

    def _send(self, packet: Packet) -> None:
        self.output += packed(packet, self._splitter.long_ids)


_STATES: Mapping[int, tuple[Type, Callable[[RedirHost, UsbDevice, bytes], bytes], int]] = {
    Type.SET_CONFIGURATION: (Type.CONFIGURATION_STATUS, RedirHost._set_configuration, 1),
    Type.GET_CONFIGURATION: (Type.CONFIGURATION_STATUS, RedirHost._get_configuration, 0),
    Type.SET_ALT_SETTING: (Type.ALT_SETTING_STATUS, RedirHost._set_alt_setting, 2),
    Type.GET_ALT_SETTING: (Type.ALT_SETTING_STATUS, RedirHost._get_alt_setting, 1),
    Type.START_INTERRUPT_RECEIVING: (Type.INTERRUPT_RECEIVING_STATUS, RedirHost._start_interrupt, 1),
    Type.STOP_INTERRUPT_RECEIVING: (Type.INTERRUPT_RECEIVING_STATUS, RedirHost._stop_interrupt, 1),
    Type.START_ISO_STREAM: (Type.ISO_STREAM_STATUS, RedirHost._no_stream, 1),
    Type.STOP_ISO_STREAM: (Type.ISO_STREAM_STATUS, RedirHost._no_stream, 1),
    Type.ALLOC_BULK_STREAMS: (Type.BULK_STREAMS_STATUS, RedirHost._no_bulk_streams, 8),
    Type.FREE_BULK_STREAMS: (Type.BULK_STREAMS_STATUS, RedirHost._no_bulk_streams, 4),
    Type.START_BULK_RECEIVING: (Type.BULK_RECEIVING_STATUS, RedirHost._no_bulk_start, 10),
    Type.STOP_BULK_RECEIVING: (Type.BULK_RECEIVING_STATUS, RedirHost._no_bulk_stop, 5),
}
"""Request -> the packet that answers it, what makes its body, and the least size of the request's own."""


def _slot(address: int) -> int:
    """Where an endpoint stands in the tables of EP_INFO: first those of OUT, then those of IN."""
    return (address & IN) >> 3 | address & 0x0F


def _least(packet: Packet, size: int) -> bytes:
    if len(packet.body) < size:
        raise ProtocolError(
            f"a packet of type {packet.type} with {len(packet.body)} bytes, fewer than {size}"
        )
    return packet.body
