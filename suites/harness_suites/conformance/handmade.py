"""Write CBOR by hand, right and wrong, and send it in requests (CTAP 2.1, section 8)."""

from __future__ import annotations

from contextlib import nullcontext
from threading import Event

from fido2 import cbor
from fido2.ctap import STATUS, CtapError
from fido2.hid import CTAPHID

from harness.api import deviates
from harness_suites.conformance.device import Authenticator

ERR = CtapError.ERR
TAKEN = (0, ERR.KEEPALIVE_CANCEL)
"""Statuses of a request that was taken: done, or cancelled while it waited for a touch."""
UINT, NINT, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
"""Major types (RFC 8949, section 3.1)."""


def encode(value: object) -> bytes:
    """Return the canonical encoding of a value, None included."""
    if value is None:
        return b"\xf6"
    if isinstance(value, list):
        return _counted(ARRAY, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        members = sorted((cbor.encode(key), encode(one)) for key, one in value.items())
        return _counted(MAP, len(value)) + b"".join(map(b"".join, members))
    assert isinstance(value, int | str | bytes)
    return cbor.encode(value)


def _counted(major: int, number: int) -> bytes:
    return head(major, number, 0 if number < 24 else 1 if number < 256 else 2)


def head(major: int, number: int, size: int = 0) -> bytes:
    """Return a head with its argument in `size` bytes; 0 means the short form."""
    if size == 0:
        return bytes((major << 5 | number,))
    return bytes((major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size],)) + number.to_bytes(size, "big")


def hand_map(*members: tuple[bytes, bytes], opening: bytes | None = None, closing: bytes = b"") -> bytes:
    """Return a map of these encoded members, in this order."""
    return (
        (head(MAP, len(members)) if opening is None else opening) + b"".join(map(b"".join, members)) + closing
    )


def nested(levels: int) -> bytes:
    """Return `levels` arrays inside each other; the innermost is empty."""
    return b"\x81" * (levels - 1) + b"\x80"


class Asker:
    """Send CTAP2 requests as bytes. The key is touched only if a case asks for it."""

    def __init__(self, authenticator: Authenticator):
        self.authenticator = authenticator

    def ask(self, request: bytes, *, touched: bool = False) -> tuple[int, bytes]:
        """Return status and response. A request that waits for a touch is cancelled: its status is KEEPALIVE_CANCEL."""
        enough = Event()

        def on_keepalive(status: int) -> None:
            if status == STATUS.UPNEEDED and not touched:
                enough.set()

        with self.authenticator.touch() if touched else nullcontext():
            response = self.authenticator.device.call(CTAPHID.CBOR, request, enough, on_keepalive)
        assert response, "a response without a status"
        return response[0], response[1:]

    def is_alive(self) -> None:
        """Check that the key answers getInfo, and is still the same key."""
        now, before = self.authenticator.ctap.get_info(), self.authenticator.info
        assert (now.versions, now.aaguid, now.options) == (before.versions, before.aaguid, before.options)

    def refused(self, request: bytes, *codes: ERR) -> None:
        """Check that the key refuses with one of these codes and an empty response, and still answers."""
        status, body = self.ask(request)
        wanted = " or ".join(map(repr, codes))
        assert status in codes, f"status {status:#04x} to {request.hex()[:120]} instead of {wanted}"
        assert body == b"", "a refusal with a response"
        self.is_alive()

    def refused_somehow(self, request: bytes, *recommended: ERR) -> None:
        """Check that the key refuses with any error, and still answers.

        Another code than a recommended one is a deviation.
        """
        status, body = self.ask(request)
        assert status not in TAKEN, f"status {status:#04x} to {request.hex()[:120]}: not refused"
        assert status in list(ERR), f"status {status:#04x}, which does not exist, to {request.hex()[:120]}"
        assert body == b"", "a refusal with a response"
        if recommended and status not in recommended:
            deviates(f"refused with {ERR(status)!r}; recommended: {' or '.join(map(repr, recommended))}")
        self.is_alive()

    def accepted(self, request: bytes) -> bytes:
        """Check that the key does what is asked, touched if it asks for that; return its response."""
        status, body = self.ask(request, touched=True)
        assert status == 0, f"status {status:#04x} to {request.hex()[:120]}"
        self.is_alive()
        return body
