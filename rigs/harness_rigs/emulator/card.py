"""The card side of an emulator, in the shape of pyscard's CardConnection, spoken to without a daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.model.rig import KeyGone
from harness_rigs.emulator.link import VpcdLink

if TYPE_CHECKING:
    from harness_rigs.emulator.rig import EmulatorRig

HEADER = 4
"""CLA, INS, P1, P2 (ISO 7816-4, section 5.1)."""


def check_apdu(apdu: list[int]) -> None:
    """:raises ValueError: shorter than any command APDU."""
    if len(apdu) < HEADER:
        raise ValueError(f"a command APDU has at least {HEADER} bytes, this one {len(apdu)}")


class Card:
    """A connection to a card that has dialled us, for as long as this boot lasts.

    What has gone raises OSError, as a USB device does; pyscard's own exceptions would need pyscard.
    """

    def __init__(self, rig: EmulatorRig):
        self._rig, self._boot = rig, rig.boots

    def _link(self) -> VpcdLink:
        link = self._rig.link(self._boot)
        assert isinstance(link, VpcdLink)
        return link

    def connect(self, *_: Any, **__: Any) -> None:
        """Reset the card."""
        self._link().reset(self._rig.options.answer_s)

    def reconnect(self, *_: Any, **__: Any) -> None:
        self.connect()

    def disconnect(self) -> None:
        """A card of ours needs no farewell."""

    def release(self) -> None:
        """Nothing is held for it."""

    def getReader(self) -> str:
        return f"emulator:{self._rig.name}"

    def getATR(self) -> list[int]:
        return list(self._link().atr)

    def transmit(self, apdu: list[int], protocol: int | None = None) -> tuple[list[int], int, int]:
        """Send a command APDU; returns data, SW1 and SW2.

        :raises OSError: the card has gone, or gave no answer within its limit.
        """
        check_apdu(apdu)
        self._link().send(bytes(apdu))
        self._rig.finger.asked_of_a_card()
        self._rig.tap.mark("request-sent")
        answer = self._rig.receive(self._boot)
        if len(answer) < 2:
            raise KeyGone(f"the card answered {len(answer)} bytes, and an answer ends with two of status")
        self._rig.tap.mark("response", answer[-2])
        return list(answer[:-2]), answer[-2], answer[-1]
