"""The three key slots of an OpenPGP card, and which data objects and references belong to each."""

from __future__ import annotations

from enum import Enum


class Slot(Enum):
    """A key: its place, 0 to 2, in lists of three.

    Lists of three (fingerprints, dates, attributes) are in this order (specification 3.4, section 4.4.1).
    """

    SIGN = 0
    DECIPHER = 1
    AUTHENTICATE = 2

    @property
    def crt(self) -> int:
        """Tag of its control reference template."""
        return (0xB6, 0xB8, 0xA4)[self.value]

    @property
    def attributes(self) -> int:
        """Tag of its algorithm attributes."""
        return 0xC1 + self.value

    @property
    def fingerprint(self) -> int:
        """Tag by which its fingerprint is written."""
        return 0xC7 + self.value

    @property
    def ca_fingerprint(self) -> int:
        return 0xCA + self.value

    @property
    def date(self) -> int:
        """Tag by which its date of generation is written."""
        return 0xCE + self.value

    @property
    def uif(self) -> int:
        """Tag of its user interaction flag."""
        return 0xD6 + self.value

    @property
    def occurrence(self) -> int:
        """Which occurrence of 7F21 is its certificate: authentication comes first."""
        return 2 - self.value

    @property
    def title(self) -> str:
        return ("signature", "decryption", "authentication")[self.value]


BY_CRT = {slot.crt: slot for slot in Slot}
