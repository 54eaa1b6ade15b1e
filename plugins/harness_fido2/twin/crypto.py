"""Primitives, deterministic throughout: the same key and message give the same bytes.

Key objects are remembered by their bytes, because a walk boots the same few keys thousands of times.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from harness.api import Stream, cbor

ES256, EDDSA = -7, -8
_CURVE = ec.SECP256R1()
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def hmac256(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(parts), "sha256")


def same(left: bytes, right: bytes) -> bool:
    return hmac.compare_digest(left, right)


def new_key(algorithm: int, stream: Stream) -> bytes:
    """32 bytes that are a private key."""
    while True:
        candidate = stream.bytes(32)
        if algorithm == EDDSA or 0 < int.from_bytes(candidate, "big") < _ORDER:
            return candidate


@lru_cache(maxsize=1024)
def p256(key: bytes) -> ec.EllipticCurvePrivateKey:
    """:raises ValueError: the bytes are no P-256 private key."""
    return ec.derive_private_key(int.from_bytes(key, "big"), _CURVE)


@lru_cache(maxsize=1024)
def ed25519_key(key: bytes) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(key)


@lru_cache(maxsize=4096)
def sign(algorithm: int, key: bytes, message: bytes) -> bytes:
    """An ECDSA signature in DER, or an Ed25519 signature.

    Both are deterministic, and states of one campaign are asked to sign the same messages: signatures are kept.
    """
    if algorithm == EDDSA:
        return ed25519_key(key).sign(message)
    return p256(key).sign(message, _ECDSA)


@lru_cache(maxsize=1024)
def point(key: bytes) -> bytes:
    """The public key of a P-256 private key: 04 || x || y."""
    return (
        p256(key)
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )


@lru_cache(maxsize=1024)
def cose_key(algorithm: int, key: bytes) -> bytes:
    """The encoded COSE public key of a private key (RFC 8152, section 13)."""
    return cbor.encode(cose_map(algorithm, key))


def cose_map(algorithm: int, key: bytes) -> dict[int, Any]:
    if algorithm == EDDSA:
        public = ed25519_key(key).public_key().public_bytes_raw()
        return {1: 1, 3: EDDSA, -1: 6, -2: public}
    x_y = point(key)
    return {1: 2, 3: ES256, -1: 1, -2: x_y[1:33], -3: x_y[33:]}


def ecdh(key: bytes, x: bytes, y: bytes) -> bytes:
    """The x coordinate of the shared point.

    :raises ValueError: the peer's point is not on the curve.
    """
    peer = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, b"\x04" + x + y)
    return p256(key).exchange(ec.ECDH(), peer)


def aes_encrypt(key: bytes, iv: bytes, text: bytes) -> bytes:
    worker = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return worker.update(text) + worker.finalize()


def aes_decrypt(key: bytes, iv: bytes, text: bytes) -> bytes:
    worker = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return worker.update(text) + worker.finalize()


def wrap(key: bytes, nonce: bytes, text: bytes, bound_to: bytes) -> bytes:
    """nonce || ciphertext || tag."""
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, text, bound_to)


def unwrap(key: bytes, wrapped: bytes, bound_to: bytes) -> bytes | None:
    """Decrypt what was wrapped under this key and bound to these bytes; None for anything else."""
    if len(wrapped) < 28:
        return None
    try:
        return ChaCha20Poly1305(key).decrypt(wrapped[:12], wrapped[12:], bound_to)
    except InvalidTag:
        return None
