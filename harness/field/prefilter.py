"""Find the lines of a large log that can have a known format, without looking at each.

Each format is a regular expression, and whatever it matches holds one of a few literal texts. Four letters of each text
are looked up at all places of a block at once; a line counts only if the whole text stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray

GRAM = 4
_BITS = 18
_FACTOR = 2654435761
"""Knuth's multiplier for hashes: 2**32 divided by the golden ratio."""


USUAL = b"""\
Jan 29 07:15:08 host systemd[1]: Started Session 12 of User root. Stopping Reached target. Starting Device status
session opened for user root(uid=0) by (uid=0) session closed state changed bound -> connected disconnected interface
kernel: audit: type=1400 apparmor="STATUS" operation="profile_load" name="/usr/lib/" device number failed
NetworkManager[1]: <info>  dhcp4 (eth0): address lease time manager: Application Version: Manufacturer Product Signature
error: warning: unable to cannot open file Permission denied Connection refused No such device timeout Platform: Port
"""
"""What stands in logs of any host: letters that are often there find too much."""
Tree = Any
"""What Python's parser makes of a pattern: a list of (code, value), with lists in some values."""


def literals(pattern: str) -> frozenset[str]:
    """Return texts of which one stands in everything that a regular expression matches; empty if there are none."""
    # Python's own parser: it has no public name, and its trees have not changed since 3.7.
    return _of(import_module("re._parser").parse(pattern))


def _of(tree: Tree) -> frozenset[str]:
    runs: list[frozenset[str]] = []
    run = ""
    for code, value in tree:
        if str(code) == "LITERAL":
            run += chr(value)
            continue
        runs.append(frozenset((run,)))
        run = ""
        if isinstance(value, Sequence):
            runs.append(_inside(str(code), value))
    runs.append(frozenset((run,)))
    return max(runs, key=_worth)


def _inside(code: str, value: Sequence[Tree]) -> frozenset[str]:
    """The texts of a group, of alternatives, or of what is repeated once or more."""
    if code == "SUBPATTERN":
        return _of(value[-1])
    if code == "BRANCH":
        found = [_of(tree) for tree in value[-1]]
        return frozenset[str]().union(*found) if all(map(_worth, found)) else frozenset()
    if code in ("MAX_REPEAT", "MIN_REPEAT") and int(str(value[0])) > 0:
        return _of(value[-1])
    return frozenset()


def _worth(texts: frozenset[str]) -> int:
    """How long the shortest of them is."""
    return min(map(len, texts), default=0)


class Prefilter:
    """Which formats a line can have, and which lines of a block can have any.

    :param patterns: of the formats, in order. :param more: texts of lines that are needed besides.
    """

    def __init__(self, patterns: Sequence[re.Pattern[str]], more: Sequence[str] = ()):
        self._of_text: dict[str, list[int]] = {}
        self._always: list[int] = []
        for number, pattern in enumerate(patterns):
            texts = literals(pattern.pattern)
            if _worth(texts) < 2:
                self._always.append(number)
            for text in texts if _worth(texts) >= 2 else ():
                self._of_text.setdefault(text, []).append(number)
        words = [text.encode() for text in (*self._of_text, *more)]
        self._short = [word for word in words if len(word) < GRAM]
        self._by_gram: dict[bytes, list[tuple[bytes, int]]] = {}
        for word in words:
            if len(word) >= GRAM:
                at = _rarest(word)
                self._by_gram.setdefault(word[at : at + GRAM], []).append((word, at))

    @cached_property
    def _table(self) -> NDArray[bool_]:
        """Hash of four letters -> whether a text has them."""
        import numpy as np

        table = np.zeros(1 << _BITS, dtype=bool)
        grams = np.frombuffer(b"".join(self._by_gram), dtype="<u4")
        table[(grams * np.uint32(_FACTOR)) >> np.uint32(32 - _BITS)] = True
        return table

    def formats(self, text: str) -> list[int]:
        """Return the numbers of the formats that a line can have, in order."""
        found = {number for word, numbers in self._of_text.items() if word in text for number in numbers}
        return sorted({*found, *self._always})

    def lines(self, block: bytes) -> Iterator[tuple[int, int]]:
        """(begin, end) of each line of a block in which one of the texts stands, in order."""
        end = -1
        for at in self._places(block):
            if at > end:
                begin, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
                end = len(block) if end < 0 else end
                yield begin, end

    def _places(self, block: bytes) -> list[int]:
        import numpy as np

        table = self._table
        found = [at for word in self._short for at in _all_of(word, block)]
        for offset in range(GRAM):
            count = (len(block) - offset) // GRAM
            if count <= 0:
                continue
            grams = np.frombuffer(block, dtype="<u4", count=count, offset=offset)
            hits = np.flatnonzero(table[(grams * np.uint32(_FACTOR)) >> np.uint32(32 - _BITS)])
            for at in (hits * GRAM + offset).tolist():
                # Most of what has the hash of a text has not its letters.
                if (words := self._by_gram.get(block[at : at + GRAM])) is not None and _stands(
                    block, at, words
                ):
                    found.append(at)
        return sorted(found)


def _stands(block: bytes, at: int, words: Sequence[tuple[bytes, int]]) -> bool:
    """Tell whether one of the texts stands there, whose four letters begin at `at`."""
    return any(at >= shift and block.startswith(word, at - shift) for word, shift in words)


def _rarest(word: bytes) -> int:
    """Where in a word the four letters begin that logs have least often."""

    def often(at: int) -> tuple[int, int]:
        gram = word[at : at + GRAM]
        letters = sum(1 for one in gram if 97 <= one <= 122 or one in b" 0123456789")
        return USUAL.count(gram), letters

    return min(range(len(word) - GRAM + 1), key=often)


def _all_of(word: bytes, block: bytes) -> Iterator[int]:
    at = block.find(word)
    while at >= 0:
        yield at
        at = block.find(word, at + 1)
