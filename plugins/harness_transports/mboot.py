"""NXP's bootloader over HID ("mboot"), as chips with that ROM show it: command and data packets, with a tap on them.

Reports: MCU Bootloader Reference Manual (NXP MCUBOOTRM), "USB HID": number 1 is a command to the key, 2 data to it, 3 a
command from it, 4 data from it; then a zero, the length of the packet (little-endian), and the packet. A command packet
is its tag, flags, a zero, the number of parameters, and the parameters as 32-bit words, little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from harness.api import MalformedAnswer, Reachable, Refused, Tap, TransportKind, wrong_endpoint
from harness_transports.endpoints import Packets

COMMAND_OUT, DATA_OUT, COMMAND_IN, DATA_IN = 1, 2, 3, 4
GENERIC_RESPONSE = 0xA0
HAS_DATA = 0x01
"""Flag of a command that a data phase follows."""
_HEADER = struct.Struct("<BxH")
_COMMAND = struct.Struct("<BBxB")
_WORD = 4


@dataclass(frozen=True)
class Response:
    """A command packet of the key.

    :ivar tag: A0 is the generic response. :ivar words: its parameters; the first one is the status, 0 is success.
    """

    tag: int
    words: tuple[int, ...]

    @property
    def status(self) -> int:
        return self.words[0]


class Mboot:
    """The bootloader, for as long as this boot lasts.

    Marks: `request-sent` after a command, `response` with the status of each command packet of the key. Data packets
    belong to their command. Time limits are the rig's: an erase takes long.

    All methods raise OSError when the key has gone or does not answer, and MalformedAnswer when what it sends is no
    such packet.
    """

    def __init__(self, packets: Packets, tap: Tap):
        self._packets, self._tap = packets, tap
        self._words = "no command"
        self._early: bytes | None = None
        """A response that came where data were due: it ends the data phase."""

    def command(self, tag: int, *words: int, data_follows: bool = False) -> Response:
        """Send a command and wait for the key's first response to it.

        :param words: its parameters, 32 bits each. :param data_follows: `write` sends them, or `read` fetches them.
        :raises Refused: the status of the response is not 0; it is shown in decimal, as NXP's table has it.
        """
        self._words, self._early = f"mboot command {tag:#04x}", None
        packet = _COMMAND.pack(tag, HAS_DATA if data_follows else 0, len(words))
        self._send(COMMAND_OUT, packet + struct.pack(f"<{len(words)}I", *words))
        self._tap.mark("request-sent")
        return self.response()

    def response(self) -> Response:
        """Wait for a command packet of the key: the end of a data phase is one, too. Errors as `command`."""
        number, packet = self._next()
        if not packet:
            # An empty packet aborts the data phase, and the status comes after it.
            number, packet = self._receive()
        if number != COMMAND_IN:
            raise self._malformed("a data packet where a response is due", packet)
        found = self._decoded(packet)
        self._tap.mark("response", found.status)
        if found.status:
            raise Refused(self._words, str(found.status))
        return found

    def write(self, packet: bytes) -> None:
        """Send one packet of a data phase; the chip's property 11 says how long one may be."""
        self._send(DATA_OUT, packet)

    def read(self) -> bytes | None:
        """The next packet of a data phase; None at its end, when `response` tells how it ended.

        The key ends it by that response, or aborts it by an empty packet before it.
        """
        number, packet = self._next()
        if number == COMMAND_IN:
            self._early = packet or None
            return None
        return packet or None

    def close(self) -> None:
        self._packets.close()

    def _send(self, number: int, packet: bytes) -> None:
        report = _HEADER.pack(number, len(packet)) + packet
        self._tap.saw(">", report)
        self._packets.send(report)

    def _next(self) -> tuple[int, bytes]:
        early, self._early = self._early, None
        return self._receive() if early is None else (COMMAND_IN, early)

    def _receive(self) -> tuple[int, bytes]:
        report = self._packets.receive()
        self._tap.saw("<", report)
        if len(report) < _HEADER.size:
            raise self._malformed("a report without its header", report)
        number, size = _HEADER.unpack_from(report)
        packet = report[_HEADER.size :][:size]
        if number not in (COMMAND_IN, DATA_IN) or len(packet) != size:
            raise self._malformed(f"report {number} with {len(packet)} of {size} bytes", report)
        return number, packet

    def _decoded(self, packet: bytes) -> Response:
        if len(packet) < _COMMAND.size + _WORD:
            raise self._malformed("a response without a status", packet)
        tag, _, count = _COMMAND.unpack_from(packet)
        if not count or len(packet) < _COMMAND.size + _WORD * count:
            raise self._malformed(f"a response of {count} words in {len(packet)} bytes", packet)
        return Response(tag, struct.unpack_from(f"<{count}I", packet, _COMMAND.size))

    def _malformed(self, why: str, answer: bytes) -> MalformedAnswer:
        return MalformedAnswer(why, command=self._words, answer=answer, garbled=True)


def _mboot(rig: Reachable, endpoint: object) -> Mboot:
    if not isinstance(endpoint, Packets):
        raise wrong_endpoint(rig, "mboot", endpoint, "send(report), receive() and close()")
    return Mboot(endpoint, rig.tap)


MBOOT = TransportKind("mboot", "NXP's bootloader over HID", _mboot)


def mboot(rig: Reachable) -> Mboot:
    """A new handle for the key's bootloader, tapped.

    :raises KeyGone: the key is not there, or not in its bootloader.
    :raises RigError: this rig has no such endpoint.
    """
    return rig.transports.open(MBOOT)
