"""Randomness with names: the same seed gives the same bytes, whoever asks first.

A child seed depends on the root and on the path of names that leads to it, never on the order of calls, so
results do not change when work is spread over more processes.
"""

from __future__ import annotations

import hashlib


def child(seed: int | bytes, *names: object) -> bytes:
    """The 32-byte child of `seed` under a path of names."""
    root = seed if isinstance(seed, bytes) else str(seed).encode()
    digest = hashlib.blake2b(digest_size=32, key=hashlib.sha256(root).digest())
    for name in names:
        part = str(name).encode()
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


class Stream:
    """An endless stream of bytes from one child seed."""

    def __init__(self, seed: int | bytes, *names: object):
        self._key = child(seed, *names)
        self._block = 0
        self._rest = b""

    def bytes(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self._rest) < count:
            self._rest += hashlib.blake2b(self._block.to_bytes(8, "big"), key=self._key).digest()
            self._block += 1
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def below(self, limit: int) -> int:
        """An integer in 0 .. limit-1 (`limit` far below 2**64, so that the bias does not matter)."""
        return int.from_bytes(self.bytes(8), "big") % limit

    def uniform(self) -> float:
        """A float in [0, 1)."""
        return (int.from_bytes(self.bytes(8), "big") >> 11) / (1 << 53)


def unit(seed: bytes, *names: object) -> float:
    """One float in [0, 1), a function of seed and names alone."""
    return (int.from_bytes(child(seed, *names)[:8], "big") >> 11) / (1 << 53)
