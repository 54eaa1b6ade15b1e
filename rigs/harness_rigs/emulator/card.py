"""The card side of an emulator: a raw endpoint for APDUs, without a daemon in between."""

from __future__ import annotations

from harness_rigs.emulator.emulated_key import EmulatedKey
from harness_rigs.emulator.link import VpcdLink


class VpcdCard:
    """A card that has dialled this process, for as long as this boot lasts.

    What has gone raises OSError, as a USB device does; pyscard's own exceptions would need pyscard.
    """

    def __init__(self, key: EmulatedKey):
        self._key, self._boot = key, key.boots

    def _link(self) -> VpcdLink:
        link = self._key.link(self._boot)
        assert isinstance(link, VpcdLink)
        return link

    def connect(self) -> None:
        """Reset the card."""
        self._link().reset(self._key.options.answer_s)

    def disconnect(self) -> None:
        """Nothing is held for a card that is reached without a daemon."""

    def atr(self) -> bytes:
        return self._link().atr

    def exchange(self, apdu: bytes) -> bytes:
        """Send a command APDU; the response APDU.

        :raises OSError: the card has gone, or gave no answer within the rig's limit.
        """
        self._link().send(apdu)
        self._key.touch.asked_of_a_card()
        return self._key.receive(self._boot, self._key.answers.limit_of(apdu))
