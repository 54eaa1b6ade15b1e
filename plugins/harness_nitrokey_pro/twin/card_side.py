"""How the microcontroller uses the card for itself: PINs, the card's AES key, its reset (ccid/CcidLocalAccess.c).

The HID side has no PINs of its own. What is verified for it is not verified for the card's other clients, and the
other way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.api import OK, Command
from harness_openpgp.twin.card import OpenPgpApplication
from harness_openpgp.twin.data import AID

USER, ADMIN = 0x82, 0x83
AES_BYTES = 32
_BLOCK = 16


class CardSide:
    """The card as the microcontroller sees it. All methods raise PowerLost."""

    def __init__(self, application: OpenPgpApplication):
        self._application = application
        self._was_reset = False

    def _send(
        self, ins: int, p1: int, p2: int, data: bytes = b"", le: int | None = None
    ) -> tuple[bytes, int]:
        answer = self._application.obey(Command(0, ins, p1, p2, data, le))
        # The chips in this key ask for no touch.
        assert answer is not None
        return answer

    def select(self) -> bool:
        """Select the application; False: the card is terminated."""
        return self._send(0xA4, 0x04, 0, AID)[1] == OK

    def use(self) -> None:
        """Be ready for a command."""
        if not self._application.is_selected:
            self.select()

    def finish_reset(self) -> None:
        """Activate a card that a reset has terminated; nothing to do where the cut came before that."""
        if self._application.is_terminated:
            self.select()
            self._send(0x44, 0, 0)
            self.select()

    @property
    def serial(self) -> int:
        """The serial number in the card's AID, as a little-endian number."""
        return int.from_bytes(self._application.card.serial, "little")

    def tries(self, reference: int) -> int:
        """Tries that are left; 0 of a card that is terminated."""
        self.use()
        found, status = self._send(0xCA, 0, 0xC4, le=256)
        return found[6 if reference == ADMIN else 4] if status == OK else 0

    def verify(self, pin: bytes, reference: int) -> bool:
        """Try a PIN; it is then verified, within `alone`."""
        self.use()
        return bool(pin) and self._send(0x20, 0, reference, pin)[1] == OK

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While entered, what is verified is so for the microcontroller only; other clients keep what they have."""
        card = self._application.card
        theirs = card.session
        card.end_session()
        self._was_reset = False
        try:
            yield
        finally:
            if self._was_reset:
                card.end_session()
            else:
                card.session = theirs

    def change(self, before: bytes, after: bytes, reference: int) -> bool:
        """Change a PIN. False: the old one is wrong, or the card does not take the new one."""
        if not self.verify(before, reference):
            return False
        place = ADMIN if reference == ADMIN else 0x81
        return self._send(0x24, 0, place, before + after)[1] == OK

    def unblock(self, after: bytes) -> bool:
        """Set PW1; the admin PIN is verified."""
        return self._send(0x2C, 0x02, 0x81, after)[1] == OK

    def set_aes_key(self, key: bytes) -> bool:
        """Put the card's AES key; the admin PIN is verified."""
        return self._send(0xDA, 0, 0xD5, key)[1] == OK

    @property
    def has_aes(self) -> bool:
        """Does the chip of the card decrypt with an AES key, whether or not it has one now?"""
        return self._application.card.traits.has_aes

    def decrypt(self, content: bytes) -> bytes | None:
        """Decrypt with the card's AES key; the user PIN is verified. None: the card has no such key."""
        found, status = self._send(0x2A, 0x80, 0x86, b"\x02" + content, le=256)
        return found if status == OK else None

    def reset(self) -> bool:
        """TERMINATE and ACTIVATE; the admin PIN is verified. False: the card refuses."""
        if self._send(0xE6, 0, 0)[1] != OK:
            return False
        self._was_reset = True
        self._send(0x44, 0, 0)
        return self.select()
