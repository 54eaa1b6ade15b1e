"""The key that signs test images: made from the seed of a twin, never stored.

Only simulated bootloaders trust it, and each trusts its own seed only.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from harness.api import Rig, Stream, child

NAME = "Keyharness test key"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256 (NIST SP 800-186, section 3.2.1.3): numbers of a signature are greater than 0 and below it."""


def seed_of(rig: Rig) -> bytes:
    """Return the seed of the twin on a rig; its signing key is made from it."""
    return child(rig.seed, "twin", rig.key.name)


def private_key(seed: bytes, name: str = "firmware") -> ec.EllipticCurvePrivateKey:
    """Return the signing key of a twin. Any other name gives a key that the twin does not trust."""
    scalar = int.from_bytes(Stream(seed, "signing key", name).bytes(40), "big") % (ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def public_der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ECDSA P-256 with SHA-256, deterministic, in little-endian halves as Nordic's tools write it."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    return r.to_bytes(32, "little") + s.to_bytes(32, "little")


def trusted(seed: bytes) -> tuple[bytes, ...]:
    """Public keys that the bootloader of a twin trusts: its test key, and the vendor's official keys."""
    from nitrokey.nk3 import _NK3_DATA

    official = (bytes.fromhex(key.der) for key in _NK3_DATA.nrf52_signature_keys if key.is_official)
    return (public_der(private_key(seed)), *official)
