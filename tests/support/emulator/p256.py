"""ECDSA over P-256 in a page (SEC 1, version 2.0), for a test's emulator: a start must not cost an import."""

from __future__ import annotations

import hashlib
import os

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

Jacobian = tuple[int, int, int]


def _double(point: Jacobian) -> Jacobian:
    x, y, z = point
    if not y:
        return 0, 1, 0
    square = y * y % P
    s, m = 4 * x * square % P, 3 * (x - z * z) * (x + z * z) % P
    x2 = (m * m - 2 * s) % P
    return x2, (m * (s - x2) - 8 * square * square) % P, 2 * y * z % P


def _add(one: Jacobian, other: tuple[int, int]) -> Jacobian:
    x, y, z = one
    if not z:
        return *other, 1
    square = z * z % P
    h, r = (other[0] * square - x) % P, (other[1] * square * z - y) % P
    if not h:
        return _double(one) if not r else (0, 1, 0)
    cube, v = h * h * h % P, x * h * h % P
    x2 = (r * r - cube - 2 * v) % P
    return x2, (r * (v - x2) - y * cube) % P, z * h % P


def times(number: int) -> tuple[int, int]:
    """A multiple of the base point; for a private key its public key."""
    found: Jacobian = (0, 1, 0)
    for bit in bin(number)[2:]:
        found = _double(found)
        if bit == "1":
            found = _add(found, G)
    inverse = pow(found[2], -1, P)
    return found[0] * inverse**2 % P, found[1] * inverse**3 % P


def sign(private: int, message: bytes) -> bytes:
    """ECDSA with SHA-256, in DER."""
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    while True:
        nonce = int.from_bytes(os.urandom(40), "big") % (N - 1) + 1
        r = times(nonce)[0] % N
        s = pow(nonce, -1, N) * (digest + r * private) % N
        if r and s:
            body = b"".join(_integer(one) for one in (r, s))
            return b"\x30" + bytes([len(body)]) + body


def _integer(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(data)]) + data
