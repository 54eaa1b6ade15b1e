"""The content of a file: bytes; and where it is large, chunks that the states of one recording share.

A flash of 8 MiB of which a recording has a thousand states would not fit into memory as bytes, and each of them would
be hashed as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

CHUNK = 1 << 14
LARGE = 1 << 16


class Chunks:
    """The content of a large file. It is not changed; `overwritten` makes another one that shares what is the same.

    :param digests: of each chunk, where known already.
    """

    __slots__ = ("_chunks", "_digests", "_size")

    def __init__(self, chunks: tuple[bytes, ...], digests: list[bytes | None] | None = None):
        self._chunks = chunks
        self._digests: list[bytes | None] = digests or [None] * len(chunks)
        self._size = sum(map(len, chunks))

    @classmethod
    def of(cls, data: bytes) -> Chunks:
        return cls(tuple(data[at : at + CHUNK] for at in range(0, len(data), CHUNK)))

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        first = start // CHUNK
        joined = b"".join(self._chunks[first : -(-stop // CHUNK)])
        return joined[start - first * CHUNK : stop - first * CHUNK]

    def __bytes__(self) -> bytes:
        return b"".join(self._chunks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chunks) and self._chunks == other._chunks

    def __hash__(self) -> int:
        return hash(self.digest())

    def overwritten(self, offset: int, data: bytes) -> Chunks:
        """The same with `data` at an offset; all of it must lie inside."""
        chunks, digests = list(self._chunks), list(self._digests)
        for number in range(offset // CHUNK, -(-(offset + len(data)) // CHUNK)):
            start = number * CHUNK
            old = chunks[number]
            low, high = max(0, offset - start), min(len(old), offset + len(data) - start)
            chunks[number] = old[:low] + data[start + low - offset : start + high - offset] + old[high:]
            digests[number] = None
        return Chunks(tuple(chunks), digests)

    def digest(self) -> bytes:
        """A hash of all of it; a chunk is hashed once."""
        for number, chunk in enumerate(self._chunks):
            if self._digests[number] is None:
                self._digests[number] = hashlib.blake2b(chunk, digest_size=16).digest()
        return b"".join(one for one in self._digests if one is not None)

    def pairs(self, other: Chunks) -> Iterator[tuple[bytes, bytes]]:
        """The chunks that differ from another content of the same size, each with that one's."""
        return ((one, two) for one, two in zip(self._chunks, other._chunks) if one is not two and one != two)


Content = bytes | Chunks


def content(data: bytes) -> Content:
    """Data as the content of a file: equal data are equal contents."""
    return Chunks.of(data) if len(data) > LARGE else data


def overwritten(old: Content, offset: int, data: bytes) -> Content:
    """Write at an offset, as pwrite(2) does: what lies between the old end and the offset reads as zeros."""
    if isinstance(old, Chunks) and offset + len(data) <= len(old):
        return old.overwritten(offset, data)
    before = bytes(old).ljust(offset, b"\0")
    return content(before[:offset] + data + before[offset + len(data) :])


def resized(old: Content, size: int) -> Content:
    """Cut to a size or grow with zeros, as ftruncate(2) does."""
    return old if len(old) == size else content(bytes(old[:size]).ljust(size, b"\0"))


def different(one: Content, other: Content) -> Iterator[tuple[bytes, bytes]]:
    """The parts in which two contents differ, each with the other's."""
    if isinstance(one, Chunks) and isinstance(other, Chunks) and len(one) == len(other):
        yield from one.pairs(other)
    elif one != other:
        yield bytes(one), bytes(other)
