"""One-time passwords as their owner's server works them out: HOTP (RFC 4226) and TOTP (RFC 6238), SHA-1."""

from __future__ import annotations

import hashlib
import hmac


def hotp(secret: bytes, counter: int, digits: int = 6) -> int:
    """The code of a counter."""
    digest = hmac.digest(secret, (counter % 2**64).to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 0x0F
    code: int = (int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF) % 10**digits
    return code


def totp(secret: bytes, time: int, interval: int = 30, digits: int = 6) -> int:
    """The code of a time in Unix seconds."""
    return hotp(secret, time // interval, digits)
