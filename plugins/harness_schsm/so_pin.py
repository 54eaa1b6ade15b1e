"""How client libraries read an SO-PIN of 16 characters: the same text with letters is two different codes.

Source: OpenSC 14c80b0 (sc-hsm-tool.c, pkcs15-sc-hsm.c) takes hex digits; sc-hsm-embedded c875eca (parseSOPIN in
token-sc-hsm.c) subtracts the wrong character, so that A to F count as 0 to 5. Of digits alone both make the same code.
"""

from __future__ import annotations

_DIGITS = "0123456789"
_LETTERS = "ABCDEF"
LENGTH = 16


def as_opensc(text: str) -> bytes:
    """The 8 bytes that OpenSC sends.

    :raises ValueError: it is no text of 16 hex digits.
    """
    return _packed(text, 10)


def as_embedded(text: str) -> bytes:
    """The 8 bytes that the maker's own PKCS #11 module sends.

    :raises ValueError: it is no text of 16 hex digits.
    """
    return _packed(text, 0)


def _packed(text: str, letters_from: int) -> bytes:
    values = {digit: number for number, digit in enumerate(_DIGITS)}
    values |= {letter: letters_from + number for number, letter in enumerate(_LETTERS)}
    wanted = text.upper()
    if len(wanted) != LENGTH or any(one not in values for one in wanted):
        raise ValueError(f"an SO-PIN has {LENGTH} hex digits, this one {len(text)} characters")
    numbers = [values[one] for one in wanted]
    return bytes(high << 4 | low for high, low in zip(numbers[::2], numbers[1::2], strict=True))


def user_pin_of_init_token(so_pin: bytes) -> bytes:
    """The user PIN that C_InitToken of OpenSC leaves: the first 6 bytes of the SO-PIN, unprintable ones too."""
    return so_pin[:6]
