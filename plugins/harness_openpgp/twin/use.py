"""Use keys: sign, authenticate, decipher, encipher (specification 3.4, sections 7.2.10 to 7.2.13, 7.2.15, 7.2.18).

The signature counter is stored before the signature is computed: a cut may count one that nobody got, and never takes
one back.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from harness_cards.curves import BY_NAME, private_key, public_key, shared_x
from harness_cards.rsa import RsaPrivate, pkcs1_block
from harness_cards.tlv import NotTlv, first
from harness_openpgp.algorithms import ED25519, X25519
from harness_openpgp.slots import Slot
from harness_openpgp.twin import keys, pins
from harness_openpgp.twin.secrets import MARKED, PUBLIC, EcPrivate, Secret
from harness_openpgp.twin.state import AES_KEY, COUNTER_MAX, Card
from harness_openpgp.twin.status import (
    CONDITIONS,
    INTERNAL,
    NO_REFERENCE,
    NOT_VERIFIED,
    WRONG_DATA,
    WRONG_P1P2,
    CardError,
)

_HASHES: dict[int, hashes.HashAlgorithm] = {
    20: hashes.SHA1(),
    28: hashes.SHA224(),
    32: hashes.SHA256(),
    48: hashes.SHA384(),
    64: hashes.SHA512(),
}
"""Length of a hash -> one that is as long. ECDSA uses no more of it than the length."""
BLOCK = 16
_USE_US = 60_000


def operate(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """PERFORM SECURITY OPERATION: 9E9A signs, 8086 deciphers, 8680 enciphers."""
    if (p1, p2) == (0x9E, 0x9A):
        return sign(card, data)
    if (p1, p2) == (0x80, 0x86):
        return decipher(card, data)
    if (p1, p2) == (0x86, 0x80) and card.traits.has_aes:
        return encipher(card, data)
    raise CardError(WRONG_P1P2)


def sign(card: Card, data: bytes) -> bytes:
    """COMPUTE DIGITAL SIGNATURE, after VERIFY 81; that counts for one signature unless DO C4 says otherwise."""
    if not card.session.sign:
        raise CardError(NOT_VERIFIED)
    secret = keys.secret_of(card, Slot.SIGN)
    state = card.state
    counter = min(state.counter + 1, COUNTER_MAX)
    if card.has("signature-counted-later"):
        signature = _signed(card, secret, data)
        card.later = counter
    else:
        _check(card, secret, data)
        card.save(replace(state, counter=counter))
        signature = _signed(card, secret, data)
    if not state.pw1_lasts:
        card.session.sign = False
        if not card.session.other:
            card.session.user = b""
    return signature


def authenticate(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """INTERNAL AUTHENTICATE, after VERIFY 82."""
    if p1 or p2:
        raise CardError(WRONG_P1P2)
    _require_other(card)
    slot = card.session.swapped.get(Slot.AUTHENTICATE, Slot.AUTHENTICATE)
    return _signed(card, keys.secret_of(card, slot), data)


def decipher(card: Card, data: bytes) -> bytes:
    """DECIPHER, after VERIFY 82: 00 and an RSA cryptogram, 02 and AES blocks, or A6 with a point."""
    _require_other(card)
    if data[:1] == b"\x02" and card.traits.has_aes:
        return _aes(card, data[1:], encrypt=False)
    slot = card.session.swapped.get(Slot.DECIPHER, Slot.DECIPHER)
    secret = keys.secret_of(card, slot)
    card.services.work(_USE_US)
    try:
        if isinstance(secret, RsaPrivate):
            if data[:1] != b"\0":
                raise ValueError("no padding indicator")
            return _unpadded(secret.raw(data[1:]))
        return _agreed(secret, _point(data))
    except (ValueError, NotTlv):
        raise CardError(WRONG_DATA) from None


def encipher(card: Card, data: bytes) -> bytes:
    """ENCIPHER with the AES key of DO D5, after VERIFY 82: 02 and the blocks."""
    _require_other(card)
    return b"\x02" + _aes(card, data, encrypt=True)


def _aes(card: Card, data: bytes, *, encrypt: bool) -> bytes:
    stored = card.files.read(AES_KEY)
    if stored is None:
        raise CardError(NO_REFERENCE)
    key = pins.unwrapped(pins.key_for(card.session.user, AES_KEY), stored)
    if key is None:
        raise CardError(INTERNAL)
    if not data or len(data) % BLOCK:
        raise CardError(WRONG_DATA)
    cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(BLOCK)))
    done = cipher.encryptor() if encrypt else cipher.decryptor()
    return done.update(data) + done.finalize()


def _require_other(card: Card) -> None:
    if not card.session.other:
        raise CardError(NOT_VERIFIED)


def _check(card: Card, secret: Secret, data: bytes) -> None:
    """:raises CardError: the data cannot be signed with the key."""
    if isinstance(secret, RsaPrivate):
        # The specification leaves 40 % of the modulus to DigestInfo.
        if not data or len(data) > secret.size * 2 // 5:
            raise CardError(card.traits.hash_says)
    elif secret.name == X25519:
        raise CardError(CONDITIONS)
    elif secret.name == ED25519:
        if not data:
            raise CardError(WRONG_DATA)
    elif len(data) not in _HASHES:
        raise CardError(card.traits.hash_says)


def _signed(card: Card, secret: Secret, data: bytes) -> bytes:
    _check(card, secret, data)
    card.services.work(_USE_US)
    if isinstance(secret, RsaPrivate):
        return secret.raw(pkcs1_block(data, secret.size))
    return _ec_signature(secret, data)


@lru_cache(maxsize=4096)
def _ec_signature(secret: EcPrivate, data: bytes) -> bytes:
    """EdDSA, or r || s of deterministic ECDSA (RFC 6979)."""
    if secret.name == ED25519:
        return Ed25519PrivateKey.from_private_bytes(secret.raw).sign(data)
    curve = BY_NAME[secret.name]
    algorithm = ec.ECDSA(Prehashed(_HASHES[len(data)]), deterministic_signing=True)
    r, s = decode_dss_signature(private_key(curve, secret.d).sign(data, algorithm))
    return r.to_bytes(curve.size, "big") + s.to_bytes(curve.size, "big")


def _unpadded(block: bytes) -> bytes:
    """The message of an RSAES-PKCS1-v1_5 block (RFC 8017, section 7.2.2)."""
    end = block.find(b"\0", 2)
    if block[:2] != b"\0\x02" or end < 10:
        raise ValueError("no padding of PKCS #1")
    return block[end + 1 :]


def _point(data: bytes) -> bytes:
    """The point in A6 { 7F49 { 86 } }."""
    cipher, inner, _ = first(data)
    public, body, _ = first(inner)
    tag, point, _ = first(body)
    if (cipher, public, tag) != (0xA6, PUBLIC, 0x86):
        raise ValueError("no public key in a cipher object")
    return point


def _agreed(secret: EcPrivate, point: bytes) -> bytes:
    """The shared secret: the x of the point, or the 32 bytes of X25519."""
    if secret.name == X25519:
        if len(point) == 33 and point[0] == MARKED:
            point = point[1:]
        return X25519PrivateKey.from_private_bytes(secret.raw).exchange(
            X25519PublicKey.from_public_bytes(point)
        )
    curve = BY_NAME[secret.name]
    return shared_x(private_key(curve, secret.d), public_key(curve, point))


def set_environment(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """MANAGE SECURITY ENVIRONMENT: let the key of decryption (83 01 02) or authentication (83 01 03) serve for P2."""
    uses = {0xB8: Slot.DECIPHER, 0xA4: Slot.AUTHENTICATE}
    chosen = {b"\x83\x01\x02": Slot.DECIPHER, b"\x83\x01\x03": Slot.AUTHENTICATE}
    if p1 != 0x41 or p2 not in uses:
        raise CardError(WRONG_P1P2)
    if data not in chosen:
        raise CardError(WRONG_DATA)
    card.session.swapped[uses[p2]] = chosen[data]
    return b""
