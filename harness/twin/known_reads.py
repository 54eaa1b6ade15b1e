"""Answers that littlefs gave before, for as long as every block that it read for them is the same.

A campaign boots thousands of images that differ in a page or two, and each boot reads the same files. An answer is
kept together with the content of all blocks that littlefs read for it, so it is a function of the flash and of
nothing that happened in another boot. Two things in littlefs' memory could add to that:

    a block in its read cache    is read without a call. Each question begins with a fetch of the root, blocks 0 and 1,
                                 which throws out whatever the cache held, so only these two can be missed: they belong
                                 to every answer.
    a move that is under way     hides a file (lfs_dir_fetchmatch). While one is pending nothing is kept or found.

As read in littlefs 2.11, lfs.c: lfs_bd_read, lfs_dir_find, lfs_dir_open, lfs_gstate_hasmovehere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

Answer = bytes | tuple[str, ...] | int | None
"""The content of a file, the names in a directory, the number of blocks in use, or None: there is none."""
Question = tuple[str, str]
"""(what is asked, path)."""

ROOT = (0, 1)
QUESTIONS = 1024
"""So many questions are kept for one geometry; a full key asks some 130."""
ANSWERS = 4
"""So many answers are kept for one question, those that were given last."""


class _Known(NamedTuple):
    """:ivar read: (page, its content at that time, the parts that were read)."""

    read: tuple[tuple[int, bytes, tuple[slice, ...]], ...]
    answer: Answer

    def holds(self, pages: Sequence[bytes]) -> bool:
        """Does every part that counts read as it did?"""
        for number, content, parts in self.read:
            there = pages[number]
            # Pages are shared between images, so most of them are even the same object.
            if there is content or there == content:
                continue
            for part in parts:
                if there[part] != content[part]:
                    return False
        return True


class KnownReads:
    """Answers by question, for file systems of one geometry.

    :param places: page and start of each block. :param block_size: bytes in a block.
    """

    def __init__(self, places: Sequence[tuple[int, int]], block_size: int):
        self._places, self._block_size = places, block_size
        self._known: dict[Question, list[_Known]] = {}

    def find(self, question: Question, pages: Sequence[bytes]) -> _Known | None:
        """What littlefs would answer from these pages; None if it has to be asked."""
        known = self._known.get(question, ())
        return next((one for one in known if one.holds(pages)), None)

    def keep(
        self, question: Question, pages: Sequence[bytes], blocks: Collection[int], answer: Answer
    ) -> None:
        """Keep an answer, and what these blocks hold, from which littlefs gave it."""
        parts: dict[int, list[slice]] = defaultdict(list)
        for block in {*blocks, *ROOT}:
            page, start = self._places[block]
            parts[page].append(slice(start, start + self._block_size))
        read = tuple((page, pages[page], tuple(of_page)) for page, of_page in parts.items())
        if question not in self._known and len(self._known) >= QUESTIONS:
            self._known.clear()
        known = self._known.setdefault(question, [])
        known.insert(0, _Known(read, answer))
        del known[ANSWERS:]
