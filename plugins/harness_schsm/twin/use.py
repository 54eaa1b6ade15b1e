"""Use keys: SIGN, DECIPHER and ECDH, derive an EC key, encrypt and authenticate with AES.

A use counter is lowered and stored before the key is used: a cut never leaves more uses than were paid for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from harness_cards import rsa
from harness_cards.curves import PublicKey, private_key, public_key, shared_x
from harness_cards.plain_curves import PlainPrivate, PlainPublic
from harness_cards.rsa import DIGESTS, RsaPrivate
from harness_schsm.twin import extended
from harness_schsm.twin.generate import Restrictions, require_free, store
from harness_schsm.twin.keys import AesKey, EcPrivate, require, use
from harness_schsm.twin.state import Card
from harness_schsm.twin.status import NOT_SUPPORTED, WRONG_DATA, WRONG_LENGTH, CardError

RSA_RAW, RSA_PKCS1, RSA_PSS, EC_RAW, ECDH = 0x20, 0x30, 0x40, 0x70, 0x80
RSA_DECIPHER, RSA_DECIPHER_PKCS1, RSA_DECIPHER_OAEP = 0x21, 0x22, 0x23
CBC_ENCRYPT, CBC_DECRYPT, AES_CMAC, EC_DERIVE, AES_DERIVE = 0x10, 0x11, 0x18, 0x98, 0x99
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_BY_SIZE = {hash_.digest_size: hash_ for hash_ in _HASHES.values()}
_UNPADDED: dict[int, Callable[[bytes], bytes]] = {
    RSA_DECIPHER_PKCS1: rsa.without_pkcs1,
    RSA_DECIPHER_OAEP: rsa.without_oaep,
}
"""Assumed: OpenSC 14c80b0 names these two numbers and does not use them."""
_USE_US = 60_000


def _used(card: Card, key_id: int, make: Callable[[], bytes]) -> bytes:
    """Pay for one use, then make the answer.

    :raises CardError: no use is left, or the data do not fit the key.
    """
    use(card, key_id)
    card.work(_USE_US)
    try:
        return make()
    except ValueError:
        raise CardError(WRONG_DATA) from None


def sign(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """SIGN with key P1 and algorithm P2: RSA raw, PKCS #1 v1.5, PSS, or ECDSA; hashed where P2 names a hash."""
    card.require_login()
    key = require(card, p1)
    key.require_algorithm(p2)
    secret = key.secret
    if isinstance(secret, RsaPrivate) and (p2 == RSA_RAW or p2 & 0xF0 in (RSA_PKCS1, RSA_PSS)):
        return _used(card, p1, lambda: _sign_rsa(card, secret, p2, data))
    if isinstance(secret, EcPrivate) and p2 & 0xF0 == EC_RAW:
        return _used(card, p1, lambda: _sign_ec(secret, p2, data))
    raise CardError(NOT_SUPPORTED)


def _sign_rsa(card: Card, key: RsaPrivate, algorithm: int, data: bytes) -> bytes:
    if algorithm == RSA_RAW:
        return key.raw(data)
    name = DIGESTS.get(algorithm & 0x0F)
    if name is None and algorithm & 0x0F:
        raise CardError(NOT_SUPPORTED)
    if algorithm & 0xF0 == RSA_PKCS1:
        return key.raw(rsa.pkcs1_block(rsa.digest_info(name, data) if name else data, key.size))
    name, digest = (name, hashlib.new(name, data).digest()) if name else _hashed(data)
    salt = card.random("pss", len(digest))
    return key.raw(rsa.pss_block(name, digest, salt, key.n.bit_length()))


def _hashed(data: bytes) -> tuple[str, bytes]:
    """The hash, and its name, in a DigestInfo as OpenSC sends it, or alone.

    :raises ValueError: it is neither.
    """
    named = rsa.in_digest_info(data)
    if named is not None:
        return named
    if len(data) not in _BY_SIZE:
        raise ValueError("no hash has that length")
    return _BY_SIZE[len(data)].name, data


def _sign_ec(key: EcPrivate, algorithm: int, data: bytes) -> bytes:
    """A signature in DER."""
    if algorithm == EC_RAW:
        # A hash of another length is cut or extended on the left, as ECDSA takes it (SEC 1, 4.1.3).
        hash_ = _BY_SIZE.get(len(data))
        if hash_ is None:
            raise ValueError("no hash has that length")
        scheme = ec.ECDSA(Prehashed(hash_), deterministic_signing=True)
    elif (name := DIGESTS.get(algorithm & 0x0F)) is not None:
        scheme = ec.ECDSA(_HASHES[name], deterministic_signing=True)
    else:
        raise CardError(NOT_SUPPORTED)
    return private_key(key.curve, key.d).sign(data, scheme)


def decipher(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """DECIPHER: the private operation of RSA, or the point that ECDH makes.

    With 21 the host removes the padding; with 22 (PKCS #1) and 23 (OAEP with SHA-256) the card does.
    """
    card.require_login()
    key = require(card, p1)
    key.require_algorithm(p2)
    secret = key.secret
    if isinstance(secret, RsaPrivate) and p2 == RSA_DECIPHER:
        return _used(card, p1, lambda: secret.raw(data))
    if isinstance(secret, RsaPrivate) and p2 in _UNPADDED:
        remove = _UNPADDED[p2]
        return _used(card, p1, lambda: remove(secret.raw(data)))
    if isinstance(secret, EcPrivate) and p2 == ECDH:
        size = 1 + secret.curve.size if card.is_open else None
        return _used(card, p1, lambda: _agree(secret, data)[:size])
    raise CardError(NOT_SUPPORTED)


def _agree(key: EcPrivate, point: bytes) -> bytes:
    """04, x and y of the shared point."""
    peer, curve = public_key(key.curve, point), key.curve
    private = private_key(curve, key.d)
    if isinstance(private, PlainPrivate) and isinstance(peer, PlainPublic):
        shared = private.shared(peer)
        return b"\x04" + b"".join(one.to_bytes(curve.size, "big") for one in shared)
    x = shared_x(private, peer)
    return b"\x04" + x + _ordinate(key, peer, x)


def _ordinate(key: EcPrivate, peer: PublicKey, x: bytes) -> bytes:
    """Return y of the shared point, as long as a coordinate.

    `cryptography` gives x alone. The next multiple of the peer's point tells which of the two roots is y: its x is the
    square of the slope through both points, less their two x.
    """
    curve, prime, numbers = key.curve, int.from_bytes(key.curve.prime, "big"), peer.public_numbers()
    even = ec.EllipticCurvePublicKey.from_encoded_point(curve.curve, b"\x02" + x).public_numbers()
    after = int.from_bytes(shared_x(private_key(curve, key.d % (curve.order - 1) + 1), peer), "big")
    for y in (even.y, prime - even.y):
        slope = (y - numbers.y) * pow(even.x - numbers.x, -1, prime)
        if (slope * slope - even.x - numbers.x) % prime == after:
            return y.to_bytes(curve.size, "big")
    raise ValueError("no such point")


def derive(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """DERIVE EC KEY: a new key P2 whose private key is that of P1 plus a number (98, parameter)."""
    card.require_login()
    key = require(card, p1)
    key.require_algorithm(EC_DERIVE)
    secret = key.secret
    if not isinstance(secret, EcPrivate):
        raise CardError(NOT_SUPPORTED)
    if data[:1] != bytes([EC_DERIVE]) or len(data) != 1 + secret.curve.size:
        raise CardError(WRONG_DATA)
    require_free(card, p2)
    d = (secret.d + int.from_bytes(data[1:], "big")) % secret.curve.order
    if d == 0:
        raise CardError(WRONG_DATA)
    use(card, p1)
    store(card, p2, EcPrivate(secret.curve, d), Restrictions(None, key.algorithms, key.domain))
    return b""


def aes(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """AES with key P1: CBC with an IV of zeros (10 encrypts, 11 decrypts), a CMAC (18), or a derived key (99).

    An open implementation has more with 51 and 52.
    """
    card.require_login()
    key = require(card, p1)
    if not isinstance(key.secret, AesKey):
        raise CardError(NOT_SUPPORTED)
    key.require_algorithm(p2)
    value = key.secret.value
    if p2 == AES_CMAC:
        return _used(card, p1, lambda: _cmac(value, data))
    if p2 == AES_DERIVE:
        if not data:
            raise CardError(WRONG_LENGTH)
        return _used(card, p1, lambda: _derived(value, data))
    if card.is_open and p2 in (extended.ENCRYPT, extended.DECRYPT):
        encrypt = p2 == extended.ENCRYPT
        return _used(card, p1, lambda: extended.answered(value, data, le, encrypt=encrypt))
    if p2 not in (CBC_ENCRYPT, CBC_DECRYPT):
        raise CardError(NOT_SUPPORTED)
    if len(data) % 16 or not data:
        raise CardError(WRONG_LENGTH)
    return _used(card, p1, lambda: _cbc(value, data, p2 == CBC_ENCRYPT))


def _cmac(key: bytes, data: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()


def _derived(key: bytes, parameter: bytes) -> bytes:
    """32 bytes of HKDF with SHA-256, without salt, from the key and a parameter of the host's.

    The maker's module takes 32 bytes and calls it SP 800-56C; that it is HKDF is an open implementation's reading.
    """
    return HKDF(hashes.SHA256(), 32, None, parameter).derive(key)


def _cbc(key: bytes, data: bytes, encrypt: bool) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(16)))
    worker = cipher.encryptor() if encrypt else cipher.decryptor()
    return worker.update(data) + worker.finalize()
