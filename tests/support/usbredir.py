"""The usb-guest of usbredir, as the protocol's description has it: what QEMU is to a twin.

It shares no code with the twin's side. `Guest` enumerates a device as a kernel does, and drives its classes.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from fido2.hid.base import CtapHidConnection

from support.limits import HUNG_S

HELLO, CONNECT, DISCONNECT, RESET, INTERFACES, ENDPOINTS, SET_CONFIG, GET_CONFIG, CONFIG = range(9)
SET_ALT, GET_ALT, ALT = 9, 10, 11
START_INT, STOP_INT, INT_STATUS = 15, 16, 17
CANCEL, REJECT, FILTER, ACK = 21, 22, 23, 24
CONTROL, BULK, INTERRUPT = 100, 101, 103
OK, CANCELLED, INVAL, STALL = 0, 1, 2, 4
DEVICE_VERSION, FILTERS, DISCONNECT_ACK, MAX_PACKET, LONG_IDS, LONG_BULK = (1 << bit for bit in range(1, 7))
ALL = DEVICE_VERSION | FILTERS | DISCONNECT_ACK | MAX_PACKET | LONG_IDS | LONG_BULK


@dataclass
class Device:
    """What DEVICE_CONNECT and the packets before it said.

    :ivar endpoints: address -> (type, interval, interface, largest packet).
    """

    speed: int
    vendor: int
    product: int
    release: int
    interfaces: list[tuple[int, int, int, int]] = field(default_factory=list)
    endpoints: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)


class Gone(OSError):
    """The device left the bus, or its process the host."""


class Packets:
    """Packets both ways of one end, without a socket."""

    def __init__(self, caps: int = ALL):
        self.caps = caps
        self.peer: int | None = None
        self._got = b""

    @property
    def both(self) -> int:
        return self.caps & (self.peer or 0)

    def hello(self) -> bytes:
        return struct.pack("<III64sI", HELLO, 68, 0, b"a guest", self.caps)

    def pack(self, kind: int, number: int, body: bytes = b"") -> bytes:
        return struct.pack("<IIQ" if self.both & LONG_IDS else "<III", kind, len(body), number) + body

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """(type, id, body) of each packet that is complete."""
        self._got += data
        found = []
        while True:
            head = struct.Struct("<IIQ" if self.peer is not None and self.both & LONG_IDS else "<III")
            if len(self._got) < head.size:
                return found
            kind, size, number = head.unpack_from(self._got)
            if len(self._got) < head.size + size:
                return found
            body = self._got[head.size : head.size + size]
            self._got = self._got[head.size + size :]
            if kind == HELLO:
                self.peer = int.from_bytes(body[64:68], "little")
            found.append((kind, number, body))


class Guest:
    """One end of a socket, the other of which is a twin."""

    def __init__(self, sock: socket.socket, caps: int = ALL):
        self.sock = sock
        sock.settimeout(HUNG_S)
        self.packets = Packets(caps)
        self.waiting: deque[tuple[int, int, bytes]] = deque()
        self.interrupts: dict[int, deque[bytes]] = {}
        self._number = 1 << 40 if caps & LONG_IDS else 1
        self.device: Device | None = None
        self.sock.sendall(self.packets.hello())
        self._infos: dict[int, bytes] = {}

    @classmethod
    def dial(cls, path: Path, caps: int = ALL) -> Guest:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        return cls(sock, caps)

    # Packets

    def send(self, kind: int, body: bytes = b"") -> int:
        self._number += 1
        self.sock.sendall(self.packets.pack(kind, self._number, body))
        return self._number

    def packet(self) -> tuple[int, int, bytes]:
        """The next packet, whatever it is."""
        while not self.waiting:
            data = self.sock.recv(65536)
            if not data:
                raise Gone(19, "the twin's process has ended")
            self.waiting.extend(self.packets.feed(data))
        return self.waiting.popleft()

    def take(self, kind: int, number: int | None = None) -> bytes:
        """The body of the next packet of that type and id; what comes before it is noted."""
        while True:
            got, its_number, body = self.packet()
            if got == kind and number in (None, its_number):
                return body
            self._note(got, body)

    def _note(self, kind: int, body: bytes) -> None:
        if kind == DISCONNECT:
            self.device = None
            if self.packets.both & DISCONNECT_ACK:
                self.send(ACK)
            raise Gone(19, "the device was removed")
        if kind in (INTERFACES, ENDPOINTS):
            self._infos[kind] = body
        elif kind == INTERRUPT:
            self.interrupts.setdefault(body[0], deque()).append(body[4:])
        else:
            assert kind == HELLO, f"a packet of type {kind} that nobody asked for"

    # The device

    def plugged(self) -> Device:
        """Wait for the device."""
        body = self.take(CONNECT)
        speed, _, _, _, vendor, product = struct.unpack_from("<BBBBHH", body)
        release = int.from_bytes(body[8:10], "little")
        found = Device(speed, vendor, product, release)
        interfaces, endpoints = self._infos[INTERFACES], self._infos[ENDPOINTS]
        count = int.from_bytes(interfaces[:4], "little")
        columns = [interfaces[4 + 32 * at : 4 + 32 * at + count] for at in range(4)]
        found.interfaces = list(zip(*columns, strict=True))
        types, intervals, numbers = (endpoints[32 * at : 32 * at + 32] for at in range(3))
        sizes = struct.unpack("<32H", endpoints[96:160]) if self.packets.both & MAX_PACKET else (0,) * 32
        for at in range(32):
            if types[at] != 255:
                address = (at & 16) << 3 | at & 15
                found.endpoints[address] = (types[at], intervals[at], numbers[at], sizes[at])
        self.device = found
        return found

    def removed(self) -> None:
        """Wait until the device has left the bus, or its process the host; return at once if it has."""
        try:
            while self.device is not None:
                kind, _, body = self.packet()
                self._note(kind, body)
        except OSError:
            self.device = None

    def control(
        self, kind: int, request: int, value: int = 0, index: int = 0, data: bytes | int = 0
    ) -> bytes:
        """One control transfer. Raises OSError(EPIPE) for a stall."""
        out = data if isinstance(data, bytes) else b""
        length = len(out) if isinstance(data, bytes) else data
        head = struct.pack("<BBBBHHH", kind & 0x80, request, kind, 0, value, index, length)
        number = self.send(CONTROL, head + out)
        body = self.take(CONTROL, number)
        endpoint, got_request, got_kind, status, got_value, got_index, size = struct.unpack_from(
            "<BBBBHHH", body
        )
        assert (endpoint, got_request, got_kind, got_value, got_index) == (
            *(kind & 0x80, request, kind),
            *(value, index),
        )
        if status == STALL:
            raise BrokenPipeError
        assert status == OK
        if kind & 0x80:
            assert len(body) - 10 == size <= length
        else:
            assert (len(body), size) == (10, length)
        return body[10:]

    def descriptor(self, kind: int, index: int = 0, language: int = 0) -> bytes:
        """GET_DESCRIPTOR, first of its head, then of all of it, as a kernel does."""
        first = self.control(0x80, 6, kind << 8 | index, language, 9 if kind == 2 else 255)
        if kind != 2:
            assert first[0] == len(first)
            return first
        whole = self.control(0x80, 6, kind << 8 | index, 0, int.from_bytes(first[2:4], "little"))
        assert whole[:9] == first
        return whole

    def string(self, index: int) -> str:
        return self.descriptor(3, index, 0x0409)[2:].decode("utf-16-le") if index else ""

    def configure(self, value: int = 1) -> int:
        """SET_CONFIGURATION: its status."""
        status, now = self.take(CONFIG, self.send(SET_CONFIG, bytes((value,))))
        assert status or now == value
        return status

    def receive(self, address: int) -> int:
        """START_INTERRUPT_RECEIVING: its status."""
        status, got = self.take(INT_STATUS, self.send(START_INT, bytes((address,))))
        assert got == address
        return status

    def interrupt(self, address: int) -> bytes:
        """The next report of an interrupt IN pipe."""
        while not self.interrupts.get(address):
            kind, _, body = self.packet()
            self._note(kind, body)
        return self.interrupts[address].popleft()

    def interrupt_out(self, address: int, data: bytes) -> int:
        """Its status."""
        number = self.send(INTERRUPT, struct.pack("<BBH", address, 0, len(data)) + data)
        endpoint, status, size = struct.unpack("<BBH", self.take(INTERRUPT, number))
        assert (endpoint, status or size) == (address, status or len(data))
        return status

    def _bulk(self, address: int, length: int, data: bytes = b"") -> int:
        head = struct.pack("<BBHI", address, 0, length & 0xFFFF, 0)
        if self.packets.both & LONG_BULK:
            head += struct.pack("<H", length >> 16)
        return self.send(BULK, head + data)

    def _bulk_answer(self, number: int) -> tuple[int, bytes]:
        body = self.take(BULK, number)
        _, status, size, _ = struct.unpack_from("<BBHI", body)
        head = 8
        if self.packets.both & LONG_BULK:
            head, size = 10, size | int.from_bytes(body[8:10], "little") << 16
        assert len(body) - head in (0, size)
        return status, body[head:]

    def bulk_out(self, address: int, data: bytes) -> int:
        """Its status."""
        return self._bulk_answer(self._bulk(address, len(data), data))[0]

    def ask_bulk(self, address: int, length: int) -> int:
        """Ask for an IN transfer; return its id."""
        return self._bulk(address, length)

    def bulk_in(self, address: int, length: int = 4096) -> bytes:
        status, data = self._bulk_answer(self._bulk(address, length))
        assert status == OK
        return data

    def cancel(self, number: int) -> int:
        """CANCEL_DATA_PACKET of a bulk transfer: the status with which it then completes."""
        self.sock.sendall(self.packets.pack(CANCEL, number))
        return self._bulk_answer(number)[0]

    def close(self) -> None:
        self.sock.close()


class Reports(CtapHidConnection):
    """The FIDO interface of a device behind a guest, for python-fido2."""

    def __init__(self, guest: Guest):
        assert guest.device is not None
        self._guest = guest
        kinds = guest.device.endpoints
        (number,) = (number for number, kind, *_ in guest.device.interfaces if kind == 3)
        own = [address for address, one in kinds.items() if one[2] == number and one[0] == 3]
        self._in, self._out = max(own), min(own)
        assert guest.receive(self._in) == OK

    def read_packet(self) -> bytes:
        return self._guest.interrupt(self._in)

    def write_packet(self, data: bytes) -> None:
        assert self._guest.interrupt_out(self._out, data) == OK

    def close(self) -> None:
        pass


class Slot:
    """The CCID interface of a device behind a guest: messages of CCID 1.10."""

    def __init__(self, guest: Guest):
        assert guest.device is not None
        self.guest = guest
        (number,) = (number for number, kind, *_ in guest.device.interfaces if kind == 0x0B)
        own = [address for address, one in guest.device.endpoints.items() if one[2] == number and one[0] == 2]
        self._in, self._out = max(own), min(own)
        self._sequence = 0

    def message(
        self, kind: int, data: bytes = b"", more: bytes = bytes(3), slot: int = 0, sequence: int | None = None
    ) -> int:
        """Send a message, in pieces of a packet; return its sequence number."""
        self._sequence = (self._sequence + 1) % 256 if sequence is None else sequence
        whole = struct.pack("<BIBB", kind, len(data), slot, self._sequence) + more + data
        assert self.guest.bulk_out(self._out, whole) == OK
        return self._sequence

    def answer(self) -> tuple[int, int, int, int, int, bytes]:
        """(type, sequence number, status, error, last byte of the header, data)."""
        whole = self.guest.bulk_in(self._in)
        kind, size, slot, sequence, status, error, last = struct.unpack_from("<BIBBBBB", whole)
        while len(whole) < 10 + size:
            whole += self.guest.bulk_in(self._in)
        assert (slot, len(whole)) == (0, 10 + size)
        return kind, sequence, status, error, last, whole[10:]

    def ask(self, kind: int, data: bytes = b"", more: bytes = bytes(3), **how: int) -> tuple[int, ...]:
        sequence = self.message(kind, data, more, **how)
        answer = self.answer()
        while answer[2] & 0xC0 == 0x80:
            # Time extension: the card still works.
            answer = self.answer()
        assert answer[1] == sequence
        return (answer[0], *answer[2:])

    def power_on(self) -> bytes:
        kind, status, _, _, atr = self.ask(0x62)
        assert (kind, status) == (0x80, 0)
        return bytes(atr)

    def power_off(self) -> None:
        kind, status, *_ = self.ask(0x63)
        assert (kind, status) == (0x81, 1)

    def exchange(self, apdu: bytes) -> bytes:
        """One APDU, chained if the answer is."""
        kind, status, error, chain, data = self.ask(0x6F, apdu)
        assert (kind, status, error) == (0x80, 0, 0)
        whole = bytes(data)
        while chain in (1, 3):
            _, _, _, chain, data = self.ask(0x6F, b"", bytes((0, 0x10, 0)))
            whole += bytes(data)
        return whole


class Serial:
    """The CDC-ACM port of a device behind a guest: enough of pyserial's Serial for a client of SLIP."""

    def __init__(self, guest: Guest):
        assert guest.device is not None
        self._guest = guest
        self._out = next(a for a, one in guest.device.endpoints.items() if one[0] == 2 and not a & 0x80)
        self._in = next(a for a, one in guest.device.endpoints.items() if one[0] == 2 and a & 0x80)
        self._got = b""
        self.timeout = 1.0

    def write(self, data: bytes) -> int:
        assert self._guest.bulk_out(self._out, bytes(data)) == OK
        return len(data)

    def read(self, size: int = 1) -> bytes:
        while len(self._got) < size:
            self._got += self._guest.bulk_in(self._in, 64)
        got, self._got = self._got[:size], self._got[size:]
        return got
