"""What an exception of the clients' libraries says of a card."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature

from harness.api import KeyFault
from harness_cards.tlv import NotTlv


class NotOnCurve(ValueError):
    """Bytes that are no point of a curve."""


def fault(error: BaseException) -> KeyFault | None:
    """Return the fault of the card that an exception tells of; None if it tells of none."""
    if isinstance(error, InvalidSignature):
        return KeyFault("a signature of the card", found="one that does not verify", expected="one that does")
    if isinstance(error, NotTlv):
        return KeyFault("an answer of the card", found=str(error), expected="objects of BER-TLV")
    if isinstance(error, NotOnCurve):
        return KeyFault("a public key of the card", found=str(error), expected="a point of its curve")
    return None
