"""The attestation key and certificate of a batch of keys, as the firmware finds them on flash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api import Damaged, StoreDamaged, records
from harness_fido2.twin import crypto

if TYPE_CHECKING:
    from harness.api import Store

KEY_PATH = "fido/sec/00"
CERTIFICATE_PATH = "fido/x5c/00"
NO_AAGUID = b"AAGUID0123456789"
"""What a key without attestation shows (fido-authenticator e342447, state.rs)."""
_AAGUID_MARK = bytes.fromhex("060b2b0601040182e51c01010404120410")
"""OBJECT IDENTIFIER 1.3.6.1.4.1.45724.1.1.4, then an OCTET STRING in an OCTET STRING (WebAuthn, 8.2.1)."""


@dataclass(frozen=True)
class Attestation:
    """:ivar key: 32 bytes, P-256. :ivar certificate: DER."""

    key: bytes
    certificate: bytes
    aaguid: bytes


def aaguid_of(certificate: bytes) -> bytes | None:
    """The AAGUID in a certificate's extension."""
    _, found, rest = certificate.partition(_AAGUID_MARK)
    return rest[:16] if found and len(rest) >= 16 else None


def read(store: Store) -> Attestation | None:
    """Read key and certificate from flash; None if either is missing or damaged."""
    try:
        content = records.read(store, KEY_PATH)
        certificate = store.read(CERTIFICATE_PATH)
    except (Damaged, StoreDamaged):
        return None
    key = content.get(2) if content else None
    if type(key) is not bytes or not certificate:
        return None
    aaguid = aaguid_of(certificate)
    # A certificate is as long as its head says; flash that was lost shows as a head of 0xFF.
    if aaguid is None or certificate[:2] != b"\x30\x82":
        return None
    if int.from_bytes(certificate[2:4], "big") + 4 != len(certificate):
        return None
    try:
        crypto.p256(key)
    except ValueError:
        return None
    return Attestation(key, certificate, aaguid)


def write(store: Store, key: bytes, certificate: bytes) -> None:
    """Provision a key: done in the factory."""
    store.write(KEY_PATH, records.seal({1: 1, 2: key}))
    store.write(CERTIFICATE_PATH, certificate)
