"""A second card for the cases, with the PINs of the factory."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import Rig
from harness_openpgp.client import ADMIN, OTHER, SIGN, OpenPgp
from harness_openpgp.home import DEFAULT_PW1, DEFAULT_PW3, message
from harness_openpgp.key_operations import HostKey
from harness_openpgp.public_keys import PublicKey
from harness_openpgp.slots import Slot


@dataclass
class Card:
    """A card and its PINs. :ivar rig: where it is."""

    rig: Rig
    pw1: str = DEFAULT_PW1
    pw3: str = DEFAULT_PW3

    def client(self) -> OpenPgp:
        """The card, after a new SELECT: nobody is verified."""
        return OpenPgp(self.rig)

    def put(self, slot: Slot, made: HostKey) -> None:
        """Import a key; set its algorithm first."""
        client = self.client()
        client.verify(self.pw3, ADMIN)
        client.put(slot.attributes, made.algorithm.encoded())
        client.import_key(slot, made.parts)

    def decrypts(self, key: PublicKey) -> bool:
        """Does it decipher what is encrypted to a public key?"""
        client = self.client()
        client.verify(self.pw1, OTHER)
        cryptogram, right = key.cryptogram(message(Slot.DECIPHER))
        return client.decipher(cryptogram).rjust(len(right), b"\0") == right

    def signs(self, key: PublicKey, text: bytes) -> bool:
        """Does a signature of it verify under a public key?"""
        client = self.client()
        client.verify(self.pw1, SIGN)
        return key.verifies(client.sign(key.signed_data(text)), text)

    def authenticate(self, key: PublicKey, challenge: bytes) -> bytes:
        """The answer of a login to a challenge."""
        client = self.client()
        client.verify(self.pw1, OTHER)
        return client.authenticate(key.signed_data(challenge))
