"""Firmware of a card: takes command APDUs and answers each (ISO 7816-4)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from harness.twin.board import Board
from harness.twin.littlefs_store import StoreDamaged, StoreFull

OK, MEMORY_FAILURE, WRONG_LENGTH = 0x9000, 0x6581, 0x6700
HEADER = 4


@dataclass(frozen=True)
class Command:
    """A command APDU.

    :ivar le: how many bytes the host takes at most; 256 or 65,536 where it says "all there are". None: no Le was sent.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None


def parsed_command(apdu: bytes) -> Command | None:
    """A short or extended command APDU in its parts; None if its lengths contradict each other."""
    if len(apdu) < HEADER:
        return None
    cla, ins, p1, p2 = apdu[:HEADER]
    rest, extended = apdu[HEADER:], len(apdu) > HEADER + 1 and apdu[HEADER] == 0
    if not rest:
        return Command(cla, ins, p1, p2)
    if len(rest) == 1 or (extended and len(rest) == 3):
        return Command(cla, ins, p1, p2, le=_expected(rest[-2 if extended else -1 :]))
    if extended and len(rest) < 3:
        return None
    start, spare = (3, 2) if extended else (1, 1)
    size = int.from_bytes(rest[1:3], "big") if extended else rest[0]
    if len(rest) - start not in (size, size + spare):
        return None
    end = start + size
    return Command(cla, ins, p1, p2, rest[start:end], _expected(rest[end:]) if rest[end:] else None)


def _expected(field: bytes) -> int:
    """Le of one or two bytes; 0 is as many as the field can say, and one more."""
    return int.from_bytes(field, "big") or 1 << 8 * len(field)


@runtime_checkable
class ResetByReader(Protocol):
    """Firmware with a card that a reader may reset: `CardFirmware`, or a key that is more than a card."""

    def card_was_reset(self) -> bool:
        """The reader has reset the card, or took its power: forget what is verified and what is half done.

        :returns: whether a command was waiting, which now gets no answer. All others get one each.
        """


class CardFirmware(ABC):
    """Implements `harness.twin.board.Firmware` for a card that does nothing by itself."""

    face = "application"
    serial_number: str | None = None

    def __init__(self, board: Board):
        self._board = board

    @abstractmethod
    def obey(self, command: Command) -> tuple[bytes, int] | None:
        """Carry out a command: data and status word. A file system that fails is answered with 6581.

        None: the card waits, and calls `answer` later, by `advance`, or when the next command comes first.
        """

    def card_was_reset(self) -> bool:
        """See `ResetByReader`. What is kept from command to command, the application knows."""
        return False

    def receive(self, endpoint: str, packet: bytes) -> None:
        command = parsed_command(packet)
        self.answer(endpoint, lambda: (b"", WRONG_LENGTH) if command is None else self.obey(command))

    def answer(self, endpoint: str, carry_out: Callable[[], tuple[bytes, int] | None]) -> None:
        """Carry out and answer, unless there is no answer yet."""
        try:
            done = carry_out()
        except (StoreDamaged, StoreFull):
            done = b"", MEMORY_FAILURE
        if done is not None:
            data, status = done
            self._board.send(endpoint, data + status.to_bytes(2, "big"))

    def next_event_us(self) -> int | None:
        return None

    def advance(self) -> None:  # noqa: B027 - most cards have nothing to do here
        """It does nothing by itself."""

    def press(self) -> bool:
        """It never waits for a touch."""
        return False
