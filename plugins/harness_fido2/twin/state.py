"""The record of everything small that the FIDO2 application keeps over power-off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness_fido2.twin.features import PIN_MIN, TRIES


@dataclass(frozen=True)
class State:
    """Data that survive power-off, besides credentials.

    :ivar secret: the secrets of credentials are derived from it (hmac-secret).
    :ivar pin_length: length of the PIN in code points.
    :ivar min_pin_rps: hashes of the RP IDs that may see the minimum PIN length.
    """

    epoch: bytes
    secret: bytes
    counter: int = 0
    tries: int = TRIES
    pin_hash: bytes | None = None
    pin_length: int = 0
    min_pin: int = PIN_MIN
    always_uv: bool = False
    force_change: bool = False
    min_pin_rps: Sequence[bytes] = ()
