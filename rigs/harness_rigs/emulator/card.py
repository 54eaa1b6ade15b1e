"""The card side of an emulator: a raw endpoint for APDUs, without a daemon in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_rigs.emulator.link import VpcdLink

if TYPE_CHECKING:
    from harness_rigs.emulator.rig import EmulatorRig


class Card:
    """A card that has dialled this process, for as long as this boot lasts.

    What has gone raises OSError, as a USB device does; pyscard's own exceptions would need pyscard.
    """

    def __init__(self, rig: EmulatorRig):
        self._rig, self._boot = rig, rig.boots

    def _link(self) -> VpcdLink:
        link = self._rig.link(self._boot)
        assert isinstance(link, VpcdLink)
        return link

    def connect(self) -> None:
        """Reset the card."""
        self._link().reset(self._rig.options.answer_s)

    def disconnect(self) -> None:
        """Nothing is held for a card that is reached without a daemon."""

    def atr(self) -> bytes:
        return self._link().atr

    def exchange(self, apdu: bytes) -> bytes:
        """Send a command APDU; the response APDU.

        :raises OSError: the card has gone, or gave no answer within the rig's limit.
        """
        self._link().send(apdu)
        self._rig.finger.asked_of_a_card()
        return self._rig.receive(self._boot)
