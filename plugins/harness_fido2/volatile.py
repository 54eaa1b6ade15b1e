"""Tell one boot from another by what a CTAP 2 authenticator loses with its power."""

from __future__ import annotations

import hashlib

from fido2 import cbor
from fido2.ctap import CtapError
from fido2.ctap2.pin import ClientPin

from harness.api import Rig
from harness_fido2.client import Fido


def volatile(rig: Rig) -> str | None:
    """Digest the key agreement key, which is made when the authenticator gets power (CTAP 2.1, section
    6.5.5.1, `initialize`) and is read without a PIN, a touch or a count.

    None if the key has no PIN protocol, or makes another key for each request.
    """
    client = Fido(rig)
    protocols = client.info.pin_uv_protocols
    if not protocols:
        return None
    one, other = (_key_agreement(client, protocols[0]) for _ in range(2))
    return one if one == other else None


def _key_agreement(client: Fido, protocol: int) -> str | None:
    try:
        answer = client.ctap.client_pin(protocol, ClientPin.CMD.GET_KEY_AGREEMENT)
    except CtapError:
        return None
    return hashlib.sha256(cbor.encode(answer[ClientPin.RESULT.KEY_AGREEMENT])).hexdigest()[:32]
