"""A card, in the shape of pyscard's CardConnection, with a tap on it."""

from __future__ import annotations

from typing import SupportsIndex, overload

from harness.api import MalformedAnswer, Reachable, Refused, Tap, TransportKind, wrong_endpoint
from harness_transports.endpoints import Apdus, InReader
from harness_transports.request_limit import RequestLimit

HEADER = 4
"""CLA, INS, P1, P2 (ISO 7816-4, section 5.1)."""
ANSWER_BYTES = 1 << 16
"""Longest answer: Le of an extended command says no more (ISO 7816-4, section 5.1)."""
_CHAINED = 0x10
"""In CLA of the interindustry classes: this command is not the last of its chain (ISO 7816-4, section 5.4.1)."""
_GET_RESPONSE, _MORE = 0xC0, 0x61
_OK = 0x9000


class Data(bytes):
    """The data of a response. To ask for a byte that is not there is a MalformedAnswer, not an IndexError."""

    @overload
    def __getitem__(self, place: SupportsIndex) -> int: ...

    @overload
    def __getitem__(self, place: slice) -> bytes: ...

    def __getitem__(self, place: SupportsIndex | slice) -> int | bytes:
        try:
            return super().__getitem__(place)
        except IndexError:
            raise MalformedAnswer(f"it has no byte {place}", answer=bytes(self)) from None


class Card:
    """A connection to the card, for as long as this boot lasts.

    Marks: `request-sent` before the exchange with the last block of a command, `response` with SW1SW2 as one number
    when the card has answered it. A GET RESPONSE after 61xx belongs to the command before it: the whole answer is
    marked once, after its last part. A chained block is part of its command; one that is refused ends it.

    What has gone raises OSError; pyscard's own exceptions would need pyscard.
    """

    def __init__(self, apdus: Apdus, tap: Tap, place: str):
        self._apdus, self._tap, self._place = apdus, tap, place
        self._more = False

    def connect(self, *_: object, **__: object) -> None:
        """Make the card ready; whatever pyscard's `connect` takes is taken and has no effect."""
        self._apdus.connect()

    def reconnect(self, *_: object, **__: object) -> None:
        self._apdus.disconnect()
        self._apdus.connect()

    def disconnect(self) -> None:
        """Let go of the card."""
        self._apdus.disconnect()

    def release(self) -> None:
        self._apdus.disconnect()

    def getReader(self) -> str:
        return self.reader or self._place

    @property
    def reader(self) -> str | None:
        """The reader by which other programs reach the card; None if there is none."""
        return self._apdus.reader if isinstance(self._apdus, InReader) else None

    def getATR(self) -> list[int]:
        return list(self._apdus.atr())

    def transmit(self, apdu: list[int], protocol: int | None = None) -> tuple[list[int], int, int]:
        """Send a command APDU; returns data, SW1 and SW2.

        :raises ValueError: shorter than any command APDU.
        :raises OSError: the card has gone, or gave no answer within the rig's limit.
        :raises MalformedAnswer: the answer has no status word.
        """
        if len(apdu) < HEADER:
            raise ValueError(f"a command APDU has at least {HEADER} bytes, this one {len(apdu)}")
        chained = bool(apdu[0] & _CHAINED) and apdu[0] & 0xE0 in (0x00, 0x80)
        if not chained and not (self._more and apdu[1] == _GET_RESPONSE):
            self._tap.mark("request-sent")
        self._tap.saw(">", bytes(apdu))
        answer = self._apdus.exchange(bytes(apdu))
        self._tap.saw("<", answer)
        if len(answer) < 2:
            raise MalformedAnswer(
                "a response ends with two status bytes",
                command=f"INS {apdu[1]:02X}",
                answer=answer,
                garbled=True,
            )
        status = int.from_bytes(answer[-2:], "big")
        self._more = status >> 8 == _MORE
        if not self._more and not (chained and status == _OK):
            self._tap.mark("response", status)
        return list(answer[:-2]), answer[-2], answer[-1]

    def exchange(
        self, ins: int, p1: int = 0, p2: int = 0, data: bytes = b"", *, cla: int = 0, le: int | None = None
    ) -> tuple[bytes, int]:
        """Send one command, extended where it must be, and collect its whole answer; returns data and status word.

        :param le: how many bytes to ask for; 256 or 65,536: all. None sends no Le.
        :raises MalformedAnswer: the answer has no end.
        """
        if len(data) > 255 or (le or 0) > 256:
            size = b"\0" + len(data).to_bytes(2, "big") if data else b"\0"
            expected = b"" if le is None else (le % 65536).to_bytes(2, "big")
        else:
            size = bytes([len(data)]) if data else b""
            expected = b"" if le is None else bytes([le % 256])
        apdu = bytes([cla, ins, p1, p2]) + size + data + expected
        return self._whole(apdu, 0, f"INS {ins:02X}")

    def _whole(self, apdu: bytes, cla: int, what: str) -> tuple[bytes, int]:
        """Send a command and collect its answer by GET RESPONSE of a class; returns data and status word."""
        answer, sw1, sw2 = self.transmit(list(apdu))
        # From here on: a card may take minutes to make an RSA key before it answers at all.
        limit = RequestLimit(lambda: self._tap.now_us)
        limit.begin(again=False)
        while sw1 == _MORE:
            more, sw1, sw2 = self.transmit([cla, _GET_RESPONSE, 0, 0, sw2])
            answer += more
            why = limit.passed()
            if len(answer) > ANSWER_BYTES or not more:
                why = f"no end after {len(answer)} bytes"
            if why is not None:
                raise MalformedAnswer(why, command=what, answer=bytes(answer), garbled=True)
        return Data(answer), sw1 << 8 | sw2

    def command(
        self, what: str, ins: int, *, p1: int = 0, p2: int = 0, data: bytes = b"", cla: int = 0
    ) -> bytes:
        """Send a command and collect its whole answer (61xx).

        :param what: the command's name, for the error.
        :raises Refused: the card's status word is not 9000.
        :raises MalformedAnswer: the answer has no end.
        """
        size = (
            b""
            if not data
            else bytes([len(data)])
            if len(data) < 256
            else b"\0" + len(data).to_bytes(2, "big")
        )
        answer, status = self._whole(bytes([cla, ins, p1, p2]) + size + data, cla, what)
        if status != _OK:
            raise Refused(what, f"{status:04X}")
        return answer


def _card(rig: Reachable, endpoint: object) -> Card:
    if not isinstance(endpoint, Apdus):
        raise wrong_endpoint(rig, "card", endpoint, "connect(), exchange(apdu), atr() and disconnect()")
    return Card(endpoint, rig.tap, rig.transports.identity().place)


CARD = TransportKind("card", "a card: the shape of pyscard's CardConnection", _card)


def card(rig: Reachable) -> Card:
    """A new connection to the key's card side, tapped.

    :raises KeyGone: the card is not there.
    :raises RigError: this rig has no card reader.
    """
    return rig.transports.open(CARD)
