"""RSA keys of twins, and what a card does with them.

Twins take their primes from a list, so that a run repeats byte for byte and takes no minutes. primes.txt has five of
each size: each is the first suitable prime at or above a number that SHA-512 makes of "keyharness RSA prime SIZE
NUMBER", with its two top bits set. Keys made of public primes protect nothing, and a simulated key need not.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import combinations
from math import gcd

EXPONENT = 65537
BITS = (1024, 1536, 2048, 3072, 4096)
DIGESTS = {1: "sha1", 2: "sha224", 3: "sha256", 4: "sha384", 5: "sha512"}
"""Low digit of an algorithm's number -> the digest that the card computes."""
_DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha224": bytes.fromhex("302d300d06096086480165030402040500041c"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
"""Prefixes of DigestInfo (RFC 8017, section 9.2, note 1)."""


@dataclass(frozen=True)
class RsaPrivate:
    """A private key by its primes, p above q."""

    p: int
    q: int
    e: int = EXPONENT

    @property
    def n(self) -> int:
        return self.p * self.q

    @property
    def size(self) -> int:
        """Bytes of the modulus."""
        return (self.n.bit_length() + 7) // 8

    @property
    def d(self) -> int:
        return pow(self.e, -1, (self.p - 1) * (self.q - 1))

    def raw(self, block: bytes) -> bytes:
        """The private operation on a block as long as the modulus.

        :raises ValueError: the block has another length, or is not below the modulus.
        """
        number = int.from_bytes(block, "big")
        if len(block) != self.size or number >= self.n:
            raise ValueError(f"a block of {len(block)} bytes for a modulus of {self.size}")
        return _private(self, number).to_bytes(self.size, "big")


@lru_cache(maxsize=512)
def _private(key: RsaPrivate, number: int) -> int:
    """By the Chinese remainder theorem (RFC 8017, section 5.1.2)."""
    d, p, q = key.d, key.p, key.q
    left, right = pow(number, d % (p - 1), p), pow(number, d % (q - 1), q)
    return right + q * ((left - right) * pow(q, -1, p) % p)


@cache
def _primes() -> dict[int, list[int]]:
    """Size in bits -> the primes of that size."""
    found: dict[int, list[int]] = {}
    for line in (files("harness_cards") / "primes.txt").read_text(encoding="ascii").split():
        prime = int(line, 16)
        found.setdefault(prime.bit_length(), []).append(prime)
    return found


def key_of(bits: int, number: int) -> RsaPrivate:
    """Return one of the ten keys of a size; any number chooses one.

    :raises ValueError: no keys of that size.
    """
    if bits not in BITS:
        raise ValueError(f"RSA with {bits} bits")
    pairs = list(combinations(sorted(_primes()[bits // 2], reverse=True), 2))
    return RsaPrivate(*pairs[number % len(pairs)])


def primes_of(n: int, e: int, d: int) -> tuple[int, int]:
    """Return the two primes of a modulus, the larger one first (SP 800-56B, appendix C).

    :raises ValueError: the exponents do not belong to it.
    """
    even = e * d - 1
    odd = even >> ((even & -even).bit_length() - 1)
    if n < 6 or even <= 0 or even == odd:
        raise ValueError("no private exponent of this modulus")
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        root, power = pow(base, odd, n), odd
        while power < even and root not in (1, n - 1):
            squared = root * root % n
            if squared == 1:
                p = gcd(root - 1, n)
                return max(p, n // p), min(p, n // p)
            root, power = squared, 2 * power
    raise ValueError("no private exponent of this modulus")


def without_pkcs1(block: bytes) -> bytes:
    """Take the message out of a block of RSAES-PKCS1-v1_5 (RFC 8017, section 7.2.2).

    :raises ValueError: it is none.
    """
    end = block.find(b"\0", 2)
    if not block.startswith(b"\0\2") or end < 10:
        raise ValueError("no padding of PKCS #1")
    return block[end + 1 :]


def without_oaep(block: bytes, name: str = "sha256") -> bytes:
    """Take the message out of a block of RSAES-OAEP with an empty label (RFC 8017, section 7.1.2).

    :param name: of the hash, which MGF1 uses, too.
    :raises ValueError: it is none.
    """
    label = hashlib.new(name).digest()
    size = len(label)
    masked_seed, masked = block[1 : 1 + size], block[1 + size :]
    seed = _xor(masked_seed, mask(name, masked, size))
    data = _xor(masked, mask(name, seed, len(masked)))
    end = data.find(b"\1", size)
    if block[:1] != b"\0" or data[:size] != label or end < 0 or any(data[size:end]):
        raise ValueError("no padding of OAEP")
    return data[end + 1 :]


def mask(name: str, seed: bytes, size: int) -> bytes:
    """MGF1 (RFC 8017, appendix B.2.1)."""
    step = hashlib.new(name).digest_size
    made = (
        hashlib.new(name, seed + number.to_bytes(4, "big")).digest() for number in range(-(-size // step))
    )
    return b"".join(made)[:size]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other))


def pkcs1_block(message: bytes, size: int) -> bytes:
    """Pad for RSASSA-PKCS1-v1_5 what is a DigestInfo already (RFC 8017, section 9.2).

    :raises ValueError: it is too long.
    """
    if len(message) > size - 11:
        raise ValueError(f"{len(message)} bytes for a block of {size}")
    return b"\0\1" + b"\xff" * (size - len(message) - 3) + b"\0" + message


def digest_info(name: str, message: bytes) -> bytes:
    return _DIGEST_INFO[name] + hashlib.new(name, message).digest()


def in_digest_info(data: bytes) -> tuple[str, bytes] | None:
    """Take a DigestInfo apart: the name of its hash, and the hash; None if it is none."""
    for name, prefix in _DIGEST_INFO.items():
        if data.startswith(prefix) and len(data) == len(prefix) + prefix[-1]:
            return name, data[len(prefix) :]
    return None


def pss_block(name: str, digest: bytes, salt: bytes, bits: int) -> bytes:
    """EMSA-PSS with MGF1 over the same hash (RFC 8017, section 9.1.1).

    :param bits: length of the modulus.
    """
    size = (bits - 1 + 7) // 8
    hashed = hashlib.new(name, bytes(8) + digest + salt).digest()
    data = bytes(size - len(salt) - len(hashed) - 2) + b"\1" + salt
    masked = bytearray(_xor(data, mask(name, hashed, len(data))))
    masked[0] &= 0xFF >> (8 * size - (bits - 1))
    block = bytes(masked) + hashed + b"\xbc"
    return block.rjust((bits + 7) // 8, b"\0")
