"""Frame CTAPHID by hand, on any number of channels (CTAP 2.1, section 11.2.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fido2.ctap import CtapError
from fido2.hid import CAPABILITY, CTAPHID

from harness_suites.conformance.device import Authenticator

REPORT = 64
FIRST, NEXT = 57, 59
"""Payload bytes of an initialization and of a continuation packet of 64 bytes."""
FRAME_MAX = FIRST + 128 * NEXT
"""The longest message that the framing can carry: sequence numbers go from 0 to 127."""
BROADCAST = 0xFFFFFFFF
NONCE = bytes(range(0xA0, 0xA8))

ERR = CtapError.ERR


@dataclass(frozen=True)
class Packet:
    """A report from the key, taken apart.

    :ivar command: of an initialization packet, else None.
    :ivar sequence: of a continuation packet, else None.
    :ivar size: BCNT of an initialization packet.
    :ivar payload: everything after the head, padding included.
    """

    channel: int
    command: int | None
    sequence: int | None
    size: int
    payload: bytes


@dataclass(frozen=True)
class Message:
    """A message from the key.

    :ivar at_us: when its first packet was read, on the rig's clock.
    :ivar padding: the bytes after the payload in its last packet.
    """

    channel: int
    command: int
    data: bytes
    at_us: int
    padding: bytes = b""

    @property
    def is_keepalive(self) -> bool:
        return self.command == CTAPHID.KEEPALIVE

    def __str__(self) -> str:
        name = CTAPHID(self.command).name if self.command in list(CTAPHID) else f"{self.command:#04x}"
        return f"{name} {self.data.hex()} on channel {self.channel:08x}"


class Wire:
    """Packets to and from the key. Every message that a case provokes must be read before it ends."""

    def __init__(self, authenticator: Authenticator):
        self._connection = authenticator.packets()
        self._clock = authenticator.rig.clock

    # Packets

    def first(self, channel: int, command: int, data: bytes = b"", size: int | None = None) -> None:
        """Send an initialization packet: what it holds of `data`, and BCNT `size` or the length of `data`."""
        count = len(data) if size is None else size
        head = channel.to_bytes(4, "big") + bytes((0x80 | command,)) + count.to_bytes(2, "big")
        self.raw(head + data[:FIRST])

    def next(self, channel: int, sequence: int, data: bytes = b"") -> None:
        """Send a continuation packet."""
        self.raw(channel.to_bytes(4, "big") + bytes((sequence,)) + data)

    def raw(self, report: bytes) -> None:
        self._connection.write_packet(report.ljust(REPORT, b"\0"))

    def packet(self) -> Packet:
        """Read the next report from the key."""
        report = self._connection.read_packet()
        assert len(report) == REPORT, f"a report of {len(report)} bytes"
        channel = int.from_bytes(report[:4], "big")
        if report[4] & 0x80:
            return Packet(channel, report[4] & 0x7F, None, int.from_bytes(report[5:7], "big"), report[7:])
        return Packet(channel, None, report[4], 0, report[5:])

    # Messages

    def send(self, channel: int, command: int, data: bytes = b"") -> None:
        """Send a whole message."""
        self.first(channel, command, data)
        for sequence, part in enumerate(parts(data)):
            self.next(channel, sequence, part)

    def message(self) -> Message:
        """Read the next message from the key, keepalives included. Its packets must be in order."""
        first = self.packet()
        at_us = self._clock.now_us
        assert first.command is not None, "a continuation packet that belongs to nothing"
        data = first.payload
        sequence = 0
        while len(data) < first.size:
            more = self.packet()
            assert more.channel == first.channel, "a message in packets of two channels"
            assert more.sequence == sequence, f"packet {more.sequence} of a message instead of {sequence}"
            data += more.payload
            sequence += 1
        return Message(first.channel, first.command, data[: first.size], at_us, data[first.size :])

    def answer(self, channel: int) -> Message:
        """Read the next message that is no keepalive. It must be on this channel."""
        message = self.message()
        while message.is_keepalive and message.channel == channel:
            message = self.message()
        assert message.channel == channel, f"{message}, instead of an answer on channel {channel:08x}"
        return message

    def call(self, channel: int, command: int, data: bytes = b"") -> Message:
        """Send a whole message and return its answer."""
        self.send(channel, command, data)
        return self.answer(channel)

    # What cases say

    def allocate(self, nonce: bytes = NONCE) -> int:
        """Allocate a channel."""
        message = self.call(BROADCAST, CTAPHID.INIT, nonce)
        assert message.command == CTAPHID.INIT, f"{message} instead of a channel"
        assert message.data[:8] == nonce
        return int.from_bytes(message.data[8:12], "big")

    def refuses(self, channel: int, *codes: ERR) -> ERR:
        """Check that the next answer is a CTAPHID ERROR with one of these codes (section 11.2.9.1.6)."""
        message = self.answer(channel)
        assert message.command == CTAPHID.ERROR, f"{message}, instead of an error"
        assert len(message.data) == 1, f"an error message of {len(message.data)} bytes"
        code = message.data[0]
        assert code in codes, f"error {code:#04x} instead of {' or '.join(map(repr, codes))}"
        return ERR(code)

    def echoes(self, channel: int, data: bytes = b"are you there?") -> None:
        """Check that a PING is answered, and that nothing comes before its answer."""
        self.send(channel, CTAPHID.PING, data)
        message = self.message()
        assert (message.channel, message.command) == (channel, CTAPHID.PING), f"{message} before the echo"
        assert message.data == data

    def resynchronise(self, channel: int) -> list[Message]:
        """Send INIT in a channel; return the messages before its answer."""
        before = []
        self.send(channel, CTAPHID.INIT, NONCE)
        while (message := self.message()).command != CTAPHID.INIT:
            before.append(message)
        assert message.channel == channel, f"{message}, instead of an answer on channel {channel:08x}"
        assert message.data[:12] == NONCE + channel.to_bytes(4, "big")
        return before


def parts(data: bytes) -> Iterator[bytes]:
    """Yield the payloads of a message's continuation packets."""
    for at in range(FIRST, len(data), NEXT):
        yield data[at : at + NEXT]


def pattern(size: int) -> bytes:
    """Return bytes in which a lost, doubled or misplaced packet is visible."""
    return bytes((at * 7 + at // 251) & 0xFF for at in range(size))


def capabilities(authenticator: Authenticator) -> CAPABILITY:
    """Return the capabilities in the answer to INIT."""
    return CAPABILITY(authenticator.device.capabilities)
