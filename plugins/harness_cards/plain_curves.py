"""Elliptic curves that `cryptography` does not have, in plain Python: for tests and simulated cards, never for secrets.

The objects answer as those of `cryptography` do, so that a caller need not know on which curve a key is. Not constant
in time. ECDSA as SEC 1, section 4.1.3, with the deterministic nonce of RFC 6979.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

Point = tuple[int, int] | None
"""x and y; None is the point at infinity."""
_HASHES = {20: "sha1", 28: "sha224", 32: "sha256", 48: "sha384", 64: "sha512"}


@dataclass(frozen=True)
class PlainCurve(ec.EllipticCurve):
    """y^2 = x^3 + ax + b over the field of a prime, with a generator of an order."""

    called: str
    prime: int
    a: int
    b: int
    generator: tuple[int, int]
    order: int

    @property
    def name(self) -> str:
        return self.called

    @property
    def key_size(self) -> int:
        return self.prime.bit_length()

    @property
    def group_order(self) -> int:
        return self.order

    @property
    def size(self) -> int:
        """Bytes of a coordinate."""
        return (self.key_size + 7) // 8

    def holds(self, point: tuple[int, int]) -> bool:
        """Is the point on the curve?"""
        x, y = point
        return max(x, y) < self.prime and (y * y - x**3 - self.a * x - self.b) % self.prime == 0

    def add(self, one: Point, other: Point) -> Point:
        if one is None or other is None:
            return other if one is None else one
        p = self.prime
        if one[0] == other[0]:
            if (one[1] + other[1]) % p == 0:
                return None
            slope = (3 * one[0] ** 2 + self.a) * pow(2 * one[1], -1, p)
        else:
            slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, p)
        x = (slope * slope - one[0] - other[0]) % p
        return x, (slope * (one[0] - x) - one[1]) % p

    def times(self, number: int, point: Point) -> Point:
        """A point added to itself, as often as a number says."""
        total: Point = None
        while number:
            if number & 1:
                total = self.add(total, point)
            point, number = self.add(point, point), number >> 1
        return total


@lru_cache(maxsize=256)
def _multiple(curve: PlainCurve, number: int, point: tuple[int, int]) -> tuple[int, int]:
    found = curve.times(number, point)
    if found is None:
        raise ValueError("the point at infinity")
    return found


def _digest(scheme: ec.ECDSA, data: bytes) -> tuple[str, bytes]:
    """The name of the scheme's hash, and the hash of the data, which may be one already."""
    algorithm = scheme.algorithm
    name = _HASHES[algorithm.digest_size]
    if isinstance(algorithm, Prehashed):
        if len(data) != algorithm.digest_size:
            raise ValueError("the hash has another length")
        return name, data
    return name, hashlib.new(name, data).digest()


def _leftmost(digest: bytes, order: int) -> int:
    return int.from_bytes(digest, "big") >> max(0, 8 * len(digest) - order.bit_length())


@dataclass(frozen=True)
class PlainPublic:
    """A public key."""

    curve: PlainCurve
    x: int
    y: int

    def __post_init__(self) -> None:
        if not self.curve.holds((self.x, self.y)):
            raise ValueError("the point is not on the curve")

    @property
    def point(self) -> bytes:
        """04, x and y."""
        size = self.curve.size
        return b"\x04" + self.x.to_bytes(size, "big") + self.y.to_bytes(size, "big")

    def public_numbers(self) -> ec.EllipticCurvePublicNumbers:
        return ec.EllipticCurvePublicNumbers(self.x, self.y, self.curve)

    def verify(self, signature: bytes, data: bytes, scheme: ec.ECDSA) -> None:
        """:raises InvalidSignature: it is not this key's signature."""
        r, s = dss_numbers(signature)
        curve, n = self.curve, self.curve.order
        if not (0 < r < n and 0 < s < n):
            raise InvalidSignature
        z, inverse = _leftmost(_digest(scheme, data)[1], n), pow(s, -1, n)
        found = curve.add(
            curve.times(z * inverse % n, curve.generator), curve.times(r * inverse % n, (self.x, self.y))
        )
        if found is None or found[0] % n != r:
            raise InvalidSignature


@dataclass(frozen=True)
class PlainPrivate:
    """A private key: from 1 to the order less 1."""

    curve: PlainCurve
    d: int

    def __post_init__(self) -> None:
        if not 0 < self.d < self.curve.order:
            raise ValueError("no private key of this curve")

    def public_key(self) -> PlainPublic:
        return PlainPublic(self.curve, *_multiple(self.curve, self.d, self.curve.generator))

    def shared(self, peer: PlainPublic) -> tuple[int, int]:
        """The point that both sides agree on."""
        return _multiple(self.curve, self.d, (peer.x, peer.y))

    def exchange(self, algorithm: ec.ECDH, peer: PlainPublic) -> bytes:
        """x of the shared point."""
        return self.shared(peer)[0].to_bytes(self.curve.size, "big")

    def sign(self, data: bytes, scheme: ec.ECDSA) -> bytes:
        """A signature in DER; the same for the same data."""
        name, digest = _digest(scheme, data)
        n = self.curve.order
        z = _leftmost(digest, n)
        for k in _nonces(self.d, z, n, name):
            r = _multiple(self.curve, k, self.curve.generator)[0] % n
            s = pow(k, -1, n) * (z + r * self.d) % n
            if r and s:
                return encode_dss_signature(r, s)
        raise AssertionError("there is always another nonce")


def _nonces(d: int, z: int, n: int, name: str) -> Iterator[int]:
    """Nonces for a signature, the first of which does nearly always (RFC 6979, section 3.2)."""
    size = (n.bit_length() + 7) // 8
    seed = d.to_bytes(size, "big") + (z % n).to_bytes(size, "big")

    def mac(key: bytes, message: bytes) -> bytes:
        return hmac.new(key, message, name).digest()

    length = hashlib.new(name).digest_size
    value, key = b"\x01" * length, bytes(length)
    for mark in (b"\0", b"\1"):
        key = mac(key, value + mark + seed)
        value = mac(key, value)
    while True:
        made = b""
        while len(made) < size:
            value = mac(key, value)
            made += value
        k = _leftmost(made[:size], n)
        if 0 < k < n:
            yield k
        key = mac(key, value + b"\0")
        value = mac(key, value)


def dss_numbers(signature: bytes) -> tuple[int, int]:
    """r and s of a signature in DER.

    :raises InvalidSignature: it is none, as the library's own keys say.
    """
    try:
        return decode_dss_signature(signature)
    except ValueError:
        raise InvalidSignature from None
