"""What clients of applications on cards share: a connection, and commands whose refusal has the status word."""

from __future__ import annotations

from harness.api import NoRoom, Refused, Rig
from harness_transports.card import card

OK, NO_ROOM = 0x9000, 0x6A84


class CardClient:
    """A connection to the card of a rig, for as long as this boot lasts.

    :raises KeyGone: the card is not there.
    :raises RigError: this rig has no card reader.
    """

    def __init__(self, rig: Rig):
        self.rig, self.card = rig, card(rig)
        self.card.connect()

    def exchange(
        self, ins: int, p1: int = 0, p2: int = 0, data: bytes = b"", *, cla: int = 0, le: int | None = None
    ) -> tuple[bytes, int]:
        """Send one command, extended where it must be, and collect its whole answer; returns data and status word."""
        return self.card.exchange(ins, p1, p2, data, cla=cla, le=le)

    def command(
        self,
        what: str,
        ins: int,
        p1: int = 0,
        p2: int = 0,
        data: bytes = b"",
        *,
        cla: int = 0,
        le: int | None = None,
    ) -> bytes:
        """Send one command.

        :param what: the command's name, for the error.
        :raises NoRoom: the status word is 6A84.
        :raises Refused: it is another one than 9000.
        """
        answer, status = self.exchange(ins, p1, p2, data, cla=cla, le=le)
        if status != OK:
            raise (NoRoom if status == NO_ROOM else Refused)(what, f"{status:04X}")
        return answer
