"""Command chaining, and long answers to short commands (ISO 7816-4, sections 5.3.3 and 5.3.4)."""

from __future__ import annotations

from dataclasses import replace

from harness.twin.card_firmware import OK, Command

GET_RESPONSE, CHAINED = 0xC0, 0x10
MORE, WRONG_P1P2, WRONG_DATA, WRONG_LENGTH = 0x6100, 0x6A86, 0x6A80, 0x6700
Answer = tuple[bytes, int]
"""Data and status word."""


class CardDialog:
    """What a card remembers from one command to the next: the beginning of a chain, and the rest of an answer.

    :param longest: most bytes of data that a chain may have.
    """

    def __init__(self, longest: int):
        self._longest = longest
        self._chain: Command | None = None
        self._rest = b""

    def take(self, command: Command) -> Command | Answer:
        """A command from the host: the whole command that the card is to carry out, or what to answer at once.

        GET RESPONSE is answered here, and every command of a chain but its last one.
        """
        rest, self._rest = self._rest, b""
        if command.ins == GET_RESPONSE and command.cla == 0:
            return self.limited(rest, OK, command.le or 256) if rest else (b"", WRONG_P1P2)
        before, self._chain = self._chain, None
        # Bit 5 means this in the interindustry classes and in those of makers that follow them (5.4.1).
        chained = bool(command.cla & CHAINED) and command.cla & 0xE0 in (0x00, 0x80)
        plain = replace(command, cla=command.cla & ~CHAINED) if chained else command
        if before is not None:
            if (before.cla, before.ins, before.p1, before.p2) != (plain.cla, plain.ins, plain.p1, plain.p2):
                return b"", WRONG_DATA
            plain = replace(plain, data=before.data + plain.data)
        if len(plain.data) > self._longest:
            return b"", WRONG_LENGTH
        if chained:
            self._chain = plain
            return b"", OK
        return plain

    def limited(self, data: bytes, status: int, le: int | None, *, wants_le: bool = False) -> Answer:
        """The answer, as much of it as the host takes; the rest waits for GET RESPONSE.

        :param le: as `Command.le`; an extended one takes everything.
        :param wants_le: without Le the host takes nothing; otherwise it takes everything.
        """
        most = le or (0 if wants_le else len(data))
        if most > 256 or len(data) <= most:
            return data, status
        self._rest = data[most:]
        return data[:most], MORE | min(len(self._rest), 256) & 0xFF
