"""Seeds and random streams with names: the same seed and names give the same bytes.

A child seed depends on the root seed and on the names that lead to it, never on the order of calls. So results do
not change when work is spread over more processes.
"""

from __future__ import annotations

import hashlib


def child(seed: int | bytes, *names: object) -> bytes:
    """Return the 32-byte child of a seed under a path of names."""
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
        """Return the next `count` bytes."""
        while len(self._rest) < count:
            self._rest += hashlib.blake2b(self._block.to_bytes(8, "big"), key=self._key).digest()
            self._block += 1
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def below(self, limit: int) -> int:
        """Return an integer in 0 .. limit-1; `limit` has to be far below 2**64, or the result is biased."""
        return int.from_bytes(self.bytes(8), "big") % limit

    def uniform(self) -> float:
        """Return a float in [0, 1)."""
        return (int.from_bytes(self.bytes(8), "big") >> 11) / (1 << 53)


def unit(seed: bytes, *names: object) -> float:
    """Return one float in [0, 1) that depends on seed and names alone."""
    return (int.from_bytes(child(seed, *names)[:8], "big") >> 11) / (1 << 53)
