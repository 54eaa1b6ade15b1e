"""CTAPHID: python-fido2's device on a rig's packets, with a tap below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard

from fido2.ctap import CtapError
from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor

from harness.api import Busy, KeyGone, MalformedAnswer, Reachable, Refused, Tap, TransportKind, wrong_endpoint
from harness_transports.answers import malformed, note_answer
from harness_transports.endpoints import Packets
from harness_transports.request_limit import RequestLimit

REPORT_BYTES = 64
MESSAGE_BYTES = 7609
"""Longest message: a first packet of 57 bytes and 128 of 59 (CTAP 2.1, section 11.2.4)."""
_INIT, _CANCEL, _KEEPALIVE = 0x86, 0x91, 0xBB
_CBOR, _MSG, _RESET = 0x90, 0x83, b"\x07"
"""authenticatorReset (CTAP 2.1, section 6.6) removes the mark of a key without a serial number."""
_BUSY = 0x06
"""CTAPHID_ERROR: another channel has the key (CTAP 2.1, section 11.2.9.1.6). The library asks again for ever."""


class TappedHid(CtapHidConnection):
    """A CTAPHID connection with a tap on it (framing: CTAP 2.1, section 11.2.4).

    Marks: `request-sent` after the last packet of a request, `keepalive` with its status, `response` after the last
    packet of a response with its first byte (of CTAPHID_CBOR the CTAP status). INIT and CANCEL are not marked.

    What a key answers is believed no further than it can be checked: a request has a limit of its own, in time and in
    packets, and an answer cannot be longer than CTAPHID allows.

    :param before_reset: called before a reset is sent, whichever client sends it.
    """

    def __init__(self, packets: Packets, tap: Tap, before_reset: Callable[[], None]):
        self._packets = packets
        self._tap = tap
        self._before_reset = before_reset
        self._to_send = 0
        self._to_read = 0
        self._command = 0
        self._asked = b""
        self._answer = bytearray()
        self._status: int | None = None
        self._limit = RequestLimit(lambda: tap.now_us)

    def write_packet(self, data: bytes) -> None:
        if data[4] & 0x80:
            if data[4] == _CBOR and data[7:8] == _RESET:
                self._before_reset()
            self._begin(data)
        else:
            self._to_send -= len(data) - 5
        self._tap.saw(">", data)
        self._packets.send(data)
        if self._to_send <= 0 and self._command not in (_INIT, _CANCEL):
            self._tap.mark("request-sent")
            self._to_send = 0

    def _begin(self, data: bytes) -> None:
        self._command = data[4]
        self._to_send = int.from_bytes(data[5:7], "big") - (len(data) - 7)
        if self._command != _CANCEL:
            # A cancelled request is still waited for.
            asked = data[4:]
            self._limit.begin(again=asked == self._asked and self._was_busy)
            self._asked, self._answer = asked, bytearray()
            self._to_read = 0

    @property
    def _was_busy(self) -> bool:
        return len(self._answer) == 1 and self._answer[0] == _BUSY

    def read_packet(self) -> bytes:
        """:raises MalformedAnswer: no packet of CTAPHID, or no end of them; Busy if it serves another channel."""
        packet = self._packets.receive()
        self._tap.saw("<", packet)
        if len(packet) != REPORT_BYTES:
            raise self._garbled(f"a report of {len(packet)} bytes instead of {REPORT_BYTES}", packet)
        if (why := self._limit.passed()) is not None:
            raise self._garbled(why, packet)
        if packet[4] == _KEEPALIVE:
            self._tap.mark("keepalive", packet[7])
            return packet
        if packet[4] & 0x80:
            size, body = int.from_bytes(packet[5:7], "big"), packet[7:]
            if size > MESSAGE_BYTES:
                raise self._garbled(f"a message of {size} bytes; the longest has {MESSAGE_BYTES}", packet)
            self._to_read, self._answer, self._status = size, bytearray(), packet[7]
        else:
            body = packet[5:]
        self._answer += body[: max(0, self._to_read - len(self._answer))]
        if len(self._answer) >= self._to_read:
            if packet[4] != _INIT:
                self._tap.mark("response", self._status)
            note_answer(self._words, bytes(self._answer))
        return packet

    def _garbled(self, why: str, packet: bytes) -> MalformedAnswer:
        kind = Busy if self._limit.is_busy else MalformedAnswer
        return kind(
            why, command=self._words, answer=bytes(self._answer) or packet[:REPORT_BYTES], garbled=True
        )

    @property
    def _words(self) -> str:
        """What was asked, by the numbers of the specification."""
        if self._command == _CBOR:
            return f"CTAP2 command {self._asked[3]:#04x}"
        if self._command == _MSG:
            return f"U2F instruction {self._asked[4]:#04x}"
        return "CTAPHID_INIT" if self._command == _INIT else f"CTAPHID command {self._command & 0x7F:#04x}"

    def close(self) -> None:
        self._packets.close()


class OneChannel(TappedHid):
    """The connection of a client that has one channel. A host's HID nodes give every program all reports."""

    _channel = b""

    def write_packet(self, data: bytes) -> None:
        self._channel = data[:4]
        super().write_packet(data)

    def read_packet(self) -> bytes:
        """:raises Busy: an answer to another channel; what this client asked may still come."""
        packet = super().read_packet()
        if packet[:4] != self._channel:
            raise Busy(
                f"a packet for channel {packet[:4].hex()}, which another program has, or none",
                command=self._words,
                answer=packet,
                garbled=True,
            )
        return packet


def _moves_packets(endpoint: object) -> TypeGuard[Packets]:
    """Has this object the methods? Python 3.11 takes 30 us to say so, so that each class is asked once."""
    kind = type(endpoint)
    if kind not in _ASKED:
        _ASKED[kind] = isinstance(endpoint, Packets)
    return _ASKED[kind]


_ASKED: dict[type, bool] = {}


def _tapped(rig: Reachable, endpoint: object, kind: type[TappedHid] = TappedHid) -> TappedHid:
    if not _moves_packets(endpoint):
        raise wrong_endpoint(rig, "ctaphid", endpoint, "send(packet), receive() and close()")

    def before_reset() -> None:
        if rig.transports.guard is not None:
            rig.transports.guard.expect_reset()

    return kind(endpoint, rig.tap, before_reset)


def _device(rig: Reachable, endpoint: object) -> CtapHidDevice:
    connection = _tapped(rig, endpoint, OneChannel)
    shown = rig.transports.identity()
    descriptor = HidDescriptor(
        shown.place,
        shown.vendor_id,
        shown.product_id,
        REPORT_BYTES,
        REPORT_BYTES,
        shown.product,
        shown.serial,
    )
    try:
        return CtapHidDevice(descriptor, connection)
    except OSError as error:
        raise KeyGone(f'rig "{rig.name}": {error.strerror}') from error
    except CtapError as error:
        raise Refused("CTAPHID_INIT", int(error.code)) from error
    except Exception as error:
        if (fault := malformed(error)) is None:
            raise
        raise fault from error


CTAPHID = TransportKind(
    "ctaphid",
    "CTAPHID: python-fido2's CtapHidDevice",
    _device,
    # Usage page F1D0 (CTAP 2.1, section 11.2.8.1).
    hid_descriptor=bytes.fromhex("06d0f1"),
)
CTAPHID_PACKETS = TransportKind(
    "ctaphid-packets", "CTAPHID's bare 64-byte reports: CtapHidConnection", _tapped, endpoint="ctaphid"
)


def ctaphid(rig: Reachable) -> CtapHidDevice:
    """A new CTAPHID channel, tapped.

    :raises KeyGone: the key is not there.
    :raises RigError: this rig has no CTAPHID.
    """
    return rig.transports.open(CTAPHID)


def ctaphid_packets(rig: Reachable) -> CtapHidConnection:
    """The bare 64-byte reports, tapped, for a client that frames them itself; errors as `ctaphid`."""
    return rig.transports.open(CTAPHID_PACKETS)
