"""Age a file system without living through it: set the counters that it stores just below a power of two.

What wraps, wraps once in the life of a key, after tens of thousands of writes. A preset differs from a lived state in
these fields alone, and in the checksums over them:

    flash layer `safe`   the sequence numbers of its two journal records
    littlefs             the revision count of each metadata block (littlefs' specification, "Metadata pairs")
    all                  the number of erases of each page that was erased before
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from harness.twin.flash_layers import Layer, Safe

ERASES = 300
"""Erases by which the pages are older that are erased at all."""
BELOW = 2
"""How far below the power of two the newest number is: the second write after that is the first one beyond."""
WORD = 0xFFFFFFFF
_CRC_TAG, _TAIL_TAG = 0x500, 0x600
"""Kinds of littlefs' tags, bits 8 to 10 alone."""


def age(layer: Layer, bits: int) -> None:
    """Age a file system, and the layer under it, in a key without power.

    :param bits: the numbers are set just below 2 ** bits.
    """
    below = (1 << bits) - BELOW
    if isinstance(layer, Safe):
        _age_journal(layer, below)
    _age_littlefs(layer, below)
    flash = layer.flash
    flash.erases[:] = [count + ERASES if count else 0 for count in flash.erases]


def _age_journal(layer: Safe, below: int) -> None:
    """The newest record gets `below`, the one before it the number before that."""
    records = layer.records()
    newest = layer.newest(records)
    for index, number in records.items():
        page = bytearray(layer.flash.pages[index])
        struct.pack_into("<I", page, 4, below - (records[newest] - number & WORD))
        struct.pack_into("<I", page, layer.commit_at, zlib.crc32(page[: layer.commit_at]))
        layer.flash.pages[index] = bytes(page)


def _age_littlefs(layer: Layer, below: int) -> None:
    """Shift the revision counts of all metadata pairs alike; the superblock's newest becomes `below`."""
    pairs = metadata_pairs(layer)
    if not pairs:
        return
    shift = below - max(_revisions(layer, pairs[0]), key=_rank(_revisions(layer, pairs[0])))
    for pair in pairs:
        for block in pair:
            content = bytearray(_block(layer, block))
            end = first_commit(content)
            if end is None:
                continue
            struct.pack_into("<I", content, 0, (struct.unpack_from("<I", content)[0] + shift) & WORD)
            struct.pack_into("<I", content, end, _crc(bytes(content[:end])))
            _put(layer, block, bytes(content))


def _rank(numbers: list[int]) -> Callable[[int], int]:
    """Order of revision counts, which wrap: by their distance from the first one."""
    return lambda number: ((number - numbers[0] + (1 << 31)) & WORD) - (1 << 31)


def revisions(layer: Layer) -> list[int]:
    """The revision counts of all metadata blocks, pair by pair."""
    return [number for pair in metadata_pairs(layer) for number in _revisions(layer, pair)]


def _revisions(layer: Layer, pair: tuple[int, int]) -> list[int]:
    blocks = [_block(layer, block) for block in pair]
    return [struct.unpack_from("<I", block)[0] for block in blocks if first_commit(block) is not None]


def metadata_pairs(layer: Layer) -> list[tuple[int, int]]:
    """The blocks of all metadata pairs, along the list that littlefs threads through them; empty if there is none."""
    found: list[tuple[int, int]] = []
    pair: tuple[int, int] | None = (0, 1)
    while pair is not None and pair not in found and max(pair) < layer.blocks:
        valid = [one for one in (_block(layer, block) for block in pair) if first_commit(one) is not None]
        if not valid:
            break
        found.append(pair)
        numbers = [struct.unpack_from("<I", one)[0] for one in valid]
        rank = _rank(numbers)
        pair = _tail(max(valid, key=lambda one: rank(struct.unpack_from("<I", one)[0])))
    return found


def _tail(block: bytes) -> tuple[int, int] | None:
    """The next metadata pair, as the last valid commit of a block says."""
    tail: tuple[int, int] | None = None
    for kind, data in _tags(block):
        if kind & 0x700 == _TAIL_TAG and len(data) == 8:
            first, second = struct.unpack("<2I", data)
            tail = None if WORD in (first, second) else (first, second)
    return tail


def first_commit(block: bytes | bytearray) -> int | None:
    """Where the checksum of the first commit stands; None if there is no valid one."""
    for kind, at, _ in _walk(bytes(block)):
        if kind & 0x780 == _CRC_TAG:
            (stored,) = struct.unpack_from("<I", block, at)
            return at if stored == _crc(bytes(block[:at])) else None
    return None


def _tags(block: bytes) -> list[tuple[int, bytes]]:
    """(kind, data) of the tags of all valid commits."""
    found: list[tuple[int, bytes]] = []
    pending: list[tuple[int, bytes]] = []
    start = 0
    for kind, at, size in _walk(block):
        if kind & 0x780 == _CRC_TAG:
            (stored,) = struct.unpack_from("<I", block, at)
            if stored != _crc(block[start:at]):
                break
            found, pending, start = found + pending, [], at + size
        else:
            pending.append((kind, block[at : at + size]))
    return found


def _walk(block: bytes) -> list[tuple[int, int, int]]:
    """(kind, where its data are, their size) of each tag, until one that cannot be one."""
    found = []
    at, tag = 4, WORD
    while at + 4 <= len(block):
        tag ^= int.from_bytes(block[at : at + 4], "big")
        if tag >> 31:
            break
        kind, size = tag >> 20 & 0x7FF, tag & 0x3FF
        size = 0 if size == 0x3FF else size
        at += 4
        if at + size > len(block):
            break
        found.append((kind, at, size))
        at += size
        if kind & 0x780 == _CRC_TAG:
            # The lowest bit of its kind says what erased flash looks like to the next commit's first tag.
            tag ^= (kind & 1) << 31
    return found


def _crc(data: bytes) -> int:
    """CRC-32 as littlefs has it: without the last inversion."""
    return zlib.crc32(data) ^ WORD


def _place(layer: Layer, block: int) -> tuple[int, int]:
    return divmod(layer.base + block * layer.block_size, layer.flash.part.page_size)


def _block(layer: Layer, block: int) -> bytes:
    page, start = _place(layer, block)
    return layer.flash.pages[page][start : start + layer.block_size]


def _put(layer: Layer, block: int, content: bytes) -> None:
    page, start = _place(layer, block)
    whole = layer.flash.pages[page]
    layer.flash.pages[page] = whole[:start] + content + whole[start + len(content) :]
