"""Private keys of a simulated card: how they are made, imported and kept, and their public keys.

RSA keys come from the fixed list of primes of `harness_cards.rsa`, so that a run repeats byte for byte and takes
no minutes: ten keys of each size, of which the seed chooses. All other keys are made of the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from harness.api import Stream, records
from harness_cards.curves import BY_NAME
from harness_cards.rsa import RsaPrivate, key_of
from harness_cards.tlv import NotTlv, fields, first, objects, tlv
from harness_openpgp.algorithms import ED25519, EXPONENT_BITS, X25519, Algorithm

PUBLIC, TEMPLATE, LENGTHS, CONTENT = 0x7F49, 0x4D, 0x7F48, 0x5F48
PRIVATE_PART, EC_PUBLIC = 0x92, 0x99
UNCOMPRESSED, MARKED = 0x04, 0x40
"""First byte of a public key: of a point, and of a key on the two curves of 25519."""


@dataclass(frozen=True)
class EcPrivate:
    """A private key on a named curve: its number, or for Ed25519 and X25519 the 32 bytes, big-endian."""

    name: str
    d: int

    @property
    def raw(self) -> bytes:
        """The 32 bytes of a key of 25519."""
        return self.d.to_bytes(32, "big")


Secret = RsaPrivate | EcPrivate


def generated(algorithm: Algorithm, stream: Stream) -> Secret:
    """Make a key of random numbers."""
    if algorithm.is_rsa:
        return key_of(algorithm.bits, stream.below(1 << 30))
    if algorithm.name in (ED25519, X25519):
        return EcPrivate(algorithm.name, int.from_bytes(stream.bytes(32), "big"))
    return EcPrivate(algorithm.name, 1 + stream.below(BY_NAME[algorithm.name].order - 1))


@lru_cache(maxsize=512)
def public_of(secret: Secret) -> bytes:
    """The content of 7F49: 81 n and 82 e, or 86 and the point."""
    if isinstance(secret, RsaPrivate):
        exponent = secret.e.to_bytes((secret.e.bit_length() + 7) // 8, "big")
        return tlv(0x81, secret.n.to_bytes(secret.size, "big")) + tlv(0x82, exponent)
    if secret.name == ED25519:
        return tlv(0x86, Ed25519PrivateKey.from_private_bytes(secret.raw).public_key().public_bytes_raw())
    if secret.name == X25519:
        return tlv(0x86, X25519PrivateKey.from_private_bytes(secret.raw).public_key().public_bytes_raw())
    return tlv(0x86, BY_NAME[secret.name].point(secret.d))


def sealed(secret: Secret) -> bytes:
    """What is kept of a key."""
    if isinstance(secret, RsaPrivate):
        size = secret.size
        return records.seal(
            {1: secret.p.to_bytes(size, "big"), 2: secret.q.to_bytes(size, "big"), 3: secret.e}
        )
    return records.seal({1: secret.name, 2: secret.d.to_bytes(66, "big")})


def unsealed(data: bytes) -> Secret:
    """Take apart what `sealed` made.

    :raises Damaged: it is something else.
    """
    found = records.unseal(data)
    if 3 in found:
        return RsaPrivate(int.from_bytes(found[1], "big"), int.from_bytes(found[2], "big"), found[3])
    return EcPrivate(found[1], int.from_bytes(found[2], "big"))


def template(data: bytes) -> tuple[int, dict[int, bytes]]:
    """Take an extended header list apart (specification 3.4, section 4.4.3.12).

    :returns: the tag of the control reference template, and tag -> part of the key.
    :raises ValueError: it is none.
    """
    try:
        tag, body, whole = first(data)
        if tag != TEMPLATE or len(whole) != len(data):
            raise ValueError("no extended header list")
        inner = list(objects(body))
        if not inner:
            raise ValueError("an empty header list")
        crt = inner[0][0]
        named = fields(body)
        parts, at = {}, 0
        content = named[CONTENT]
        for part, length in _lengths(named[LENGTHS]):
            parts[part] = content[at : at + length]
            at += length
    except (NotTlv, KeyError):
        raise ValueError("no extended header list with 7F48 and 5F48") from None
    if at != len(content):
        raise ValueError(f"7F48 names {at} bytes, 5F48 has {len(content)}")
    return crt, parts


def _lengths(data: bytes) -> list[tuple[int, int]]:
    """Tags and lengths without values."""
    found, at = [], 0
    while at < len(data):
        tag = data[at]
        at += 1
        size = data[at] if at < len(data) else -1
        at += 1
        if size > 0x82 or size == 0x80 or size < 0:
            raise ValueError("a length of another form")
        if size > 0x80:
            count = size & 0x7F
            if at + count > len(data):
                raise ValueError("a length is cut off")
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        found.append((tag, size))
    return found


def imported(algorithm: Algorithm, parts: dict[int, bytes]) -> Secret:
    """Make a key of the parts of a template.

    :raises ValueError: parts are missing, or do not fit the algorithm or each other.
    """
    if algorithm.is_rsa:
        return _imported_rsa(algorithm, parts)
    private = parts.get(PRIVATE_PART)
    if not private:
        raise ValueError("no private key")
    d = int.from_bytes(private, "big")
    if algorithm.name in (ED25519, X25519):
        if len(private) > 32:
            raise ValueError("a private key of more than 32 bytes")
        # Of X25519 the number comes, big-endian; RFC 7748 writes it little-endian.
        if algorithm.name == X25519:
            d = int.from_bytes(d.to_bytes(32, "little"), "big")
    elif not 0 < d < BY_NAME[algorithm.name].order:
        raise ValueError("a number that is no private key of the curve")
    secret = EcPrivate(algorithm.name, d)
    told = parts.get(EC_PUBLIC)
    if told:
        is_25519 = algorithm.name in (ED25519, X25519)
        if told[0] != (MARKED if is_25519 else UNCOMPRESSED):
            raise ValueError("a public key of another form")
        if (told[1:] if is_25519 else told) != first(public_of(secret))[1]:
            raise ValueError("the public key of another private key")
    return secret


def _imported_rsa(algorithm: Algorithm, parts: dict[int, bytes]) -> RsaPrivate:
    if not {0x91, 0x92, 0x93} <= parts.keys():
        raise ValueError("an RSA key needs e, p and q")
    e, p, q = (int.from_bytes(parts[tag], "big") for tag in (0x91, 0x92, 0x93))
    if len(parts[0x91]) > EXPONENT_BITS // 8 or e < 3 or not e & 1 or p == q:
        raise ValueError("no RSA key")
    key = RsaPrivate(max(p, q), min(p, q), e)
    if key.n.bit_length() != algorithm.bits:
        raise ValueError(f"a modulus of {key.n.bit_length()} bits for attributes of {algorithm.bits}")
    if parts.get(0x97) and int.from_bytes(parts[0x97], "big") != key.n:
        raise ValueError("the modulus of other primes")
    if pow(2, e * key.d, key.n) != 2:
        raise ValueError("numbers that are no primes")
    return key
