"""A smart card in a reader that cannot be taken apart: CCID with one slot, at the level of APDUs.

Source: CCID 1.10, sections 5.1 and 6. The class descriptor is that of a USB token (ICCD), as trussed's usbd-ccid has
it, whose figures the list of readers of LudovicRousseau/CCID confirms for the Nitrokey 3.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from harness.twin.usb_device.function import (
    BULK,
    IN,
    Numbers,
    RunningFunction,
    Setup,
    Stall,
    Ways,
    endpoint_descriptor,
    interface_descriptor,
)

SMART_CARD = 0x0B
HEADER = struct.Struct("<BIBB3s")
"""Message type, length of the data, slot, sequence number, three bytes that depend on the type."""
HEADER_SIZE = HEADER.size
TIME_EXTENSION_US = 1_000_000
"""A card that works longer than this asks for as much again; libccid gives up after 3 s."""
CHUNK = 3072 - HEADER_SIZE
ACTIVE, INACTIVE = 0, 1
"""bmICCStatus."""
FAILED, MORE_TIME = 0x40, 0x80
"""bmCommandStatus."""
NOT_SUPPORTED, BAD_LENGTH, BAD_SLOT, BAD_CHAIN, ABORTED, SLOT_BUSY = 0x00, 0x01, 0x05, 0x08, 0xFF, 0xE0
"""bError: codes of section 6.2.6, or the offset of the field that is wrong."""


class To(IntEnum):
    """Messages of the host."""

    SET_PARAMETERS = 0x61
    POWER_ON = 0x62
    POWER_OFF = 0x63
    SLOT_STATUS = 0x65
    GET_PARAMETERS = 0x6C
    RESET_PARAMETERS = 0x6D
    TRANSFER = 0x6F
    ABORT = 0x72


class From(IntEnum):
    """Answers."""

    DATA_BLOCK = 0x80
    SLOT_STATUS = 0x81
    PARAMETERS = 0x82


class Chain(IntEnum):
    """wLevelParameter and bChainParameter: which part of an APDU a message carries."""

    WHOLE, BEGINS, ENDS, CONTINUES, GO_ON = 0x00, 0x01, 0x02, 0x03, 0x10


T1 = bytes((0x11, 0x10, 0, 0x4D, 0, 0xFE, 0))
"""Parameters of T=1 (section 6.2.3): Fi/Di 372/1, LRC, IFSC 254."""


@dataclass(frozen=True)
class Ccid:
    """A card that is always in its reader.

    :ivar atr: the answer to reset.
    """

    atr: bytes

    def start(self, numbers: Numbers, ways: Ways, clock: Callable[[], int]) -> RunningCcid:
        return RunningCcid(self.atr, numbers, ways, clock)


class RunningCcid(RunningFunction):
    """One slot. A transfer of APDUs longer than a message is chained, each way."""

    def __init__(self, atr: bytes, numbers: Numbers, ways: Ways, clock: Callable[[], int]):
        self._atr, self._ways, self._clock = atr, ways, clock
        number = numbers.next_interface()
        self.interfaces = ((number, SMART_CARD, 0, 0),)
        self.pipes = (numbers.pipe(IN, BULK, 0, number), numbers.pipe(0, BULK, 0, number))
        self._asked: int | None = None
        """Sequence number of the command that the card works on."""
        self._stale = 0
        """Answers of the card to come that nobody waits for any more."""
        self.reset()

    def reset(self) -> None:
        self._got = b""
        """Of a message that has begun."""
        self._command = b""
        """Of an APDU that comes in several messages."""
        self._answer = b""
        """What is still to be sent of a response APDU, while the host asks for more."""
        self._power = INACTIVE
        self._stale += self._asked is not None
        self._asked = None
        self._abort: int | None = None
        self._extend_us = 0

    def descriptors(self) -> bytes:
        return (
            interface_descriptor(self.interfaces[0], len(self.pipes))
            + _class_descriptor()
            + b"".join(map(endpoint_descriptor, self.pipes))
        )

    def control(self, setup: Setup, data: bytes) -> bytes:
        match setup.request_type, setup.request:
            case 0x21, 0x01:
                # An abort counts when both pipes have said it (section 5.3.1); until then all else is refused.
                self._abort = setup.value >> 8
                return b""
            case 0xA1, 0x02:
                return (3580).to_bytes(4, "little")
            case 0xA1, 0x03:
                return (9600).to_bytes(4, "little")
        raise Stall

    def received(self, data: bytes) -> None:
        self._got += data
        while len(self._got) >= HEADER_SIZE:
            kind, length, slot, sequence, more = HEADER.unpack_from(self._got)
            if length > CHUNK:
                # No host that read the descriptor sends this. The bytes that follow cannot be told from a header.
                self._got = b""
                self._say(From.SLOT_STATUS, sequence, error=BAD_LENGTH)
                return
            if len(self._got) < HEADER_SIZE + length:
                return
            body = self._got[HEADER_SIZE : HEADER_SIZE + length]
            self._got = self._got[HEADER_SIZE + length :]
            self._take(kind, slot, sequence, more, body)

    def _take(self, kind: int, slot: int, sequence: int, more: bytes, body: bytes) -> None:
        if kind == To.ABORT and self._abort in (None, sequence):
            self._give_up()
            self._say(From.SLOT_STATUS, sequence)
        elif self._abort is not None:
            self._say(_answer_to(kind), sequence, error=ABORTED)
        elif slot:
            self._say(_answer_to(kind), sequence, error=BAD_SLOT)
        elif self._asked is not None:
            self._say(_answer_to(kind), sequence, error=SLOT_BUSY)
        else:
            self._obey(kind, sequence, more, body)

    def _obey(self, kind: int, sequence: int, more: bytes, body: bytes) -> None:
        match kind:
            case To.POWER_ON:
                # Of a card that has power it is a warm reset (CCID, section 6.1.1).
                self._restart()
                self._power = ACTIVE
                self._say(From.DATA_BLOCK, sequence, self._atr)
            case To.POWER_OFF:
                self._restart()
                self._power = INACTIVE
                self._say(From.SLOT_STATUS, sequence)
            case To.SLOT_STATUS:
                self._say(From.SLOT_STATUS, sequence)
            case To.GET_PARAMETERS | To.RESET_PARAMETERS | To.SET_PARAMETERS:
                self._say(From.PARAMETERS, sequence, T1, last=1)
            case To.TRANSFER:
                self._transfer(sequence, int.from_bytes(more[1:], "little"), body)
            case _:
                self._say(From.SLOT_STATUS, sequence, error=NOT_SUPPORTED)

    def _restart(self) -> None:
        """The card loses what is verified, and what is half sent."""
        self._command = self._answer = b""
        # It waited for a command that was aborted: nothing else is under way when a reset is obeyed.
        self._stale -= self._ways.reset_card()

    def _transfer(self, sequence: int, level: int, body: bytes) -> None:
        if level == Chain.GO_ON and self._answer:
            self._send_part(sequence, begins=False)
        elif level in (Chain.BEGINS, Chain.CONTINUES):
            self._command = body if level == Chain.BEGINS else self._command + body
            self._say(From.DATA_BLOCK, sequence, last=Chain.GO_ON)
        elif level in (Chain.WHOLE, Chain.ENDS):
            apdu, self._command = (b"" if level == Chain.WHOLE else self._command) + body, b""
            self._asked, self._answer = sequence, b""
            self._extend_us = self._clock() + TIME_EXTENSION_US
            self._ways.to_key(apdu)
        else:
            self._say(From.DATA_BLOCK, sequence, error=BAD_CHAIN)

    def send(self, packet: bytes) -> None:
        if self._stale:
            # The answer to a command that was aborted, or asked before a reset of the bus.
            self._stale -= 1
            return
        if self._asked is None:
            return
        sequence, self._asked, self._answer = self._asked, None, packet
        self._send_part(sequence, begins=True)

    def _send_part(self, sequence: int, begins: bool) -> None:
        part, self._answer = self._answer[:CHUNK], self._answer[CHUNK:]
        if begins:
            last = Chain.BEGINS if self._answer else Chain.WHOLE
        else:
            last = Chain.CONTINUES if self._answer else Chain.ENDS
        self._say(From.DATA_BLOCK, sequence, part, last=last)

    def _give_up(self) -> None:
        self._abort = None
        self._stale += self._asked is not None
        self._asked, self._command, self._answer = None, b"", b""

    def next_event_us(self) -> int | None:
        return None if self._asked is None else self._extend_us

    def advance(self, now_us: int) -> None:
        if self._asked is not None and now_us >= self._extend_us:
            self._extend_us = now_us + TIME_EXTENSION_US
            # bError says how many waiting times more.
            self._message(From.DATA_BLOCK, self._asked, bytes((self._power | MORE_TIME, 1, 0)))

    def _say(
        self, kind: int, sequence: int, data: bytes = b"", last: int = 0, error: int | None = None
    ) -> None:
        """Answer.

        :param last: bChainParameter, bClockStatus or bProtocolNum.
        """
        status = (self._power, 0) if error is None else (self._power | FAILED, error)
        self._message(kind, sequence, bytes((*status, last)), data)

    def _message(self, kind: int, sequence: int, more: bytes, data: bytes = b"") -> None:
        self._ways.to_host(self.pipes[0].address, HEADER.pack(kind, len(data), 0, sequence, more) + data)


def _answer_to(kind: int) -> From:
    if kind in (To.POWER_ON, To.TRANSFER):
        return From.DATA_BLOCK
    parameters = (To.GET_PARAMETERS, To.RESET_PARAMETERS, To.SET_PARAMETERS)
    return From.PARAMETERS if kind in parameters else From.SLOT_STATUS


def _class_descriptor() -> bytes:
    """Section 5.1: T=1, short and extended APDUs, nothing that a reader with contacts has to know."""
    clock, rate = 3580, 9600
    return struct.pack(
        "<BBHBBIIIBIIBIIIIIBBHBB",
        *(54, 0x21, 0x0110, 0, 0x01, 2),
        *(clock, clock, 0, rate, rate, 0),
        *(254, 0, 0, 0x00040840, CHUNK + HEADER_SIZE),
        *(0xFF, 0xFF, 0, 0, 1),
    )
