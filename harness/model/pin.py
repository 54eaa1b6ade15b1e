"""Named PINs: which of a key's PINs is meant, how many tries it has, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PinReference:
    """One PIN of a key.

    :param name: as its application calls it: "FIDO2 PIN", "PW1", "PW3", "reset code", "user PIN", "SO-PIN", "PUK".
    :param full: the tries that the right PIN gives back; the client says it, from the key where the key tells.
    :param counted_as: the name of its tries in ledger and budget; by default "pin_tries NAME".
    :param granted: False for a PIN whose tries nothing gives back, or that unblocks another one (SO-PIN, PUK, reset
        code): no try of it is spent unless the bench grants some.
    :param hexadecimal: True for one that is 8 bytes, given as 16 hex digits (the SO-PIN of a SmartCard-HSM); others
        are decimal digits.
    """

    name: str
    full: int
    counted_as: str = ""
    granted: bool = True
    hexadecimal: bool = False

    @property
    def tries(self) -> str:
        """The name of its tries in ledger and budget."""
        return self.counted_as or f"pin_tries {self.name}"

    @property
    def kept(self) -> int:
        """The tries that are left alone unless a bench says another number: 1 of 3, 3 of 8."""
        return max(1, self.full * 3 // 8)
