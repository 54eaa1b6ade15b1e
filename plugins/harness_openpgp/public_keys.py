"""Public keys of an OpenPGP card, as the host uses them: verify, encrypt, and the fingerprint of RFC 4880."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric import rsa as rsa_keys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from harness.api import KeyFault
from harness_cards.curves import private_key, public_key, shared_x
from harness_cards.tlv import NotTlv, fields, tlv
from harness_openpgp.algorithms import ECDH, ED25519, SIZE_25519, X25519, Algorithm

DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""Prefix of DigestInfo for SHA-256 (RFC 8017, section 9.2)."""
_SHA256 = ec.ECDSA(Prehashed(hashes.SHA256()))
_KDF = {
    "secp384r1": b"\x03\x01\x09\x08",
    "brainpoolP384r1": b"\x03\x01\x09\x08",
    "secp521r1": b"\x03\x01\x0a\x09",
    "brainpoolP512r1": b"\x03\x01\x0a\x09",
}
"""Curve -> length, reserved byte, hash and cipher of ECDH, which are part of the fingerprint (RFC 6637, section 9)."""
_USUAL_KDF = b"\x03\x01\x08\x07"
"""SHA-256 and AES-128."""


@dataclass(frozen=True)
class PublicKey:
    """A public key. :ivar content: of 7F49, as the card answers it.

    :raises KeyFault: (all methods) the content does not fit the algorithm.
    """

    algorithm: Algorithm
    content: bytes

    def part(self, tag: int) -> bytes:
        try:
            return fields(self.content)[tag]
        except (NotTlv, KeyError):
            raise KeyFault(
                "a public key", found=self.content.hex(), expected=f"object {tag:02X} in 7F49"
            ) from None

    def rsa(self) -> rsa_keys.RSAPublicKey:
        e, n = (int.from_bytes(self.part(tag), "big") for tag in (0x82, 0x81))
        try:
            return rsa_keys.RSAPublicNumbers(e, n).public_key()
        except ValueError as error:
            raise KeyFault("an RSA public key", found=str(error)) from None

    def signed_data(self, message: bytes) -> bytes:
        """What is sent to the card to sign a message with SHA-256."""
        digest = hashlib.sha256(message).digest()
        return DIGEST_INFO + digest if self.algorithm.is_rsa else digest

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Is it a signature of the SHA-256 of a message?"""
        digest = hashlib.sha256(message).digest()
        return self.verifies_data(signature, DIGEST_INFO + digest if self.algorithm.is_rsa else digest)

    def verifies_data(self, signature: bytes, data: bytes) -> bool:
        """Is it a signature of this data: a DigestInfo with SHA-256, a hash of 32 bytes, for EdDSA anything?"""
        try:
            if self.algorithm.is_rsa:
                digest = Prehashed(hashes.SHA256())
                self.rsa().verify(signature, data[len(DIGEST_INFO) :], padding.PKCS1v15(), digest)
            elif self.algorithm.name == ED25519:
                Ed25519PublicKey.from_public_bytes(self.part(0x86)).verify(signature, data)
            else:
                half = len(signature) // 2
                pair = (int.from_bytes(one, "big") for one in (signature[:half], signature[half:]))
                point = public_key(self.algorithm.curve, self.part(0x86))
                point.verify(encode_dss_signature(*pair), data, _SHA256)
        except (InvalidSignature, ValueError):
            return False
        return True

    def cryptogram(self, secret: bytes) -> tuple[bytes, bytes]:
        """What is sent to the card to decipher, and the answer that is right.

        RSA: the secret is the message. A curve: the secret makes the other side's key.
        """
        return _cryptogram(self, secret)

    def fingerprint(self, date: bytes) -> bytes:
        """The fingerprint of version 4 (RFC 4880, section 12.2). :param date: four bytes."""
        if self.algorithm.is_rsa:
            body = b"\x01" + _mpi(self.part(0x81)) + _mpi(self.part(0x82))
        else:
            oid, point = self.algorithm.oid, self.part(0x86)
            if len(point) == SIZE_25519:
                point = b"\x40" + point
            body = bytes([self.algorithm.number, len(oid)]) + oid + _mpi(point)
            if self.algorithm.number == ECDH:
                body += _KDF.get(self.algorithm.name, _USUAL_KDF)
        packet = b"\x04" + date + body
        return hashlib.sha1(b"\x99" + len(packet).to_bytes(2, "big") + packet).digest()


def _mpi(number: bytes) -> bytes:
    stripped = number.lstrip(b"\0")
    return int.from_bytes(stripped, "big").bit_length().to_bytes(2, "big") + stripped


@lru_cache(maxsize=256)
def _cryptogram(key: PublicKey, secret: bytes) -> tuple[bytes, bytes]:
    if key.algorithm.is_rsa:
        numbers = key.rsa().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        # Filled with ones, so that a run repeats byte for byte; a card cannot tell.
        block = b"\0\2" + b"\x01" * (size - len(secret) - 3) + b"\0" + secret
        encrypted = pow(int.from_bytes(block, "big"), numbers.e, numbers.n)
        return b"\0" + encrypted.to_bytes(size, "big"), secret
    try:
        point, shared = _agreed(key, hashlib.sha512(secret).digest())
    except ValueError as error:
        raise KeyFault("a public key", found=str(error)) from None
    return tlv(0xA6, tlv(0x7F49, tlv(0x86, point))), shared


def _agreed(key: PublicKey, digest: bytes) -> tuple[bytes, bytes]:
    """Our public key, made of a digest, and the secret that it shares with the card's.

    :raises ValueError: the card's key is none of the curve.
    """
    if key.algorithm.name == X25519:
        mine = X25519PrivateKey.from_private_bytes(digest[:32])
        theirs = X25519PublicKey.from_public_bytes(key.part(0x86))
        return mine.public_key().public_bytes_raw(), mine.exchange(theirs)
    curve = key.algorithm.curve
    number = int.from_bytes(digest, "big") % (curve.order - 1) + 1
    shared = shared_x(private_key(curve, number), public_key(curve, key.part(0x86)))
    return curve.point(number), shared
