"""Find the lines of a large log that can have a known format, without looking at each.

Each format is a regular expression, and whatever it matches holds one of a few literal texts. Some letters of each text
are looked up at every second place of a block at once; a line counts only if the whole text stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from harness.field.literals import literals, worth

if TYPE_CHECKING:
    from numpy import bool_, uint32
    from numpy.typing import NDArray

STRIDE = 2
GRAM, LONG_GRAM = 4, 8
"""So many letters of a text are looked up: the more, the fewer places have them by chance."""
_BITS = 18
_FACTOR, _OTHER_FACTOR = 2654435761, 2246822519
"""Knuth's multiplier for hashes, 2**32 divided by the golden ratio, and a prime of xxHash."""


USUAL = b"""\
Jan 29 07:15:08 host systemd[1]: Started Session 12 of User root. Stopping Reached target. Starting Device status
session opened for user root(uid=0) by (uid=0) session closed state changed bound -> connected disconnected interface
kernel: audit: type=1400 apparmor="STATUS" operation="profile_load" name="/usr/lib/" device number failed
NetworkManager[1]: <info>  dhcp4 (eth0): address lease time manager: Application Version: Manufacturer Product Signature
error: warning: unable to cannot open file Permission denied Connection refused No such device timeout Platform: Port
Failed password for invalid user admin from port ssh2 "level":"info","msg":"request done status=200 path=/api/v1/users"
docker dockerd[1]: containerd event5 as /devices/pci0000:00/usb1/1-2/1-2:1.0/0003:046D:C31C.0001/input at last services
the Sound card was found, first and last in the kernel, not connected to reader or list; eventually released by others
Started Session of User root; status of the device is fine
"""
"""What stands in logs of any host: letters that are often there find too much."""


class _Grams:
    """Where in a block some letters of one of the texts stand.

    :param size: how many letters: GRAM or LONG_GRAM. A text has at least one more: then as many of its letters stand at
        a second place, wherever it does.
    """

    def __init__(self, size: int, words: Sequence[bytes]):
        self._size = size
        self._words: dict[bytes, list[tuple[bytes, int]]] = {}
        for word in words:
            first = _rarest(word, size)
            for at in range(first, first + STRIDE):
                self._words.setdefault(word[at : at + size], []).append((word, at))

    @cached_property
    def _table(self) -> NDArray[bool_]:
        """Hash of a group of letters -> whether some text contains such a group."""
        import numpy as np

        table = np.zeros(1 << _BITS, dtype=bool)
        for gram in self._words:
            table[self._hashes(gram, 0)] = True
        return table

    def _hashes(self, block: bytes, offset: int) -> NDArray[uint32]:
        """The hash at every fourth place, from `offset` on."""
        import numpy as np

        count = max(0, (len(block) - offset) // GRAM)
        grams = np.frombuffer(block, dtype="<u4", count=count, offset=offset if count else 0)
        mixed = grams * np.uint32(_FACTOR)
        if self._size == LONG_GRAM:
            mixed = mixed[:-1] ^ (grams[1:] * np.uint32(_OTHER_FACTOR))
        return mixed >> np.uint32(32 - _BITS)

    def places(self, block: bytes) -> Iterator[int]:
        """Where letters of a text stand, and the whole text around them."""
        import numpy as np

        size = self._size
        for offset in range(0, GRAM, STRIDE):
            for at in (np.flatnonzero(self._table[self._hashes(block, offset)]) * GRAM + offset).tolist():
                # Some of what has the hash of a text has not its letters.
                words = self._words.get(block[at : at + size], ())
                if any(at >= shift and block.startswith(word, at - shift) for word, shift in words):
                    yield at


class Prefilter:
    """Which formats a line can have, and which lines of a block can have any.

    :param patterns: of the formats, in order. :param more: texts of lines that are needed besides.
    """

    def __init__(self, patterns: Sequence[re.Pattern[str]], more: Sequence[str] = ()):
        self._of_text: dict[str, list[int]] = {}
        self._always: list[int] = []
        for number, pattern in enumerate(patterns):
            texts = literals(pattern.pattern)
            if worth(texts)[0] < 2:
                self._always.append(number)
            for text in texts if worth(texts)[0] >= 2 else ():
                self._of_text.setdefault(text, []).append(number)
        words = [text.encode() for text in (*self._of_text, *more)]
        self._short = [word for word in words if len(word) <= GRAM]
        self._grams = [
            _Grams(GRAM, [word for word in words if GRAM < len(word) <= LONG_GRAM]),
            _Grams(LONG_GRAM, [word for word in words if len(word) > LONG_GRAM]),
        ]
        self._tiny = [text for text in self._of_text if len(text) <= GRAM]
        self._of_gram: dict[str, list[str]] = {}
        for text in self._of_text:
            first = _rarest(text.encode(), GRAM) if text.isascii() else 0
            for at in range(first, first + STRIDE) if len(text) > GRAM else ():
                self._of_gram.setdefault(text[at : at + GRAM], []).append(text)

    def formats(self, text: str) -> list[int]:
        """Return the numbers of the formats that a line can have, in order."""
        grams = {text[at : at + GRAM] for at in range(0, len(text) - GRAM + 1, STRIDE)}
        there = [word for word in self._tiny if word in text]
        for gram in grams & self._of_gram.keys():
            there += [word for word in self._of_gram[gram] if word in text]
        found = {number for word in there for number in self._of_text[word]}
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
        found = [at for word in self._short for at in _all_of(word, block)]
        for grams in self._grams:
            found += grams.places(block)
        return sorted(found)


def _rarest(word: bytes, size: int) -> int:
    """Where in a word those letters begin, `size` and one more, that logs have least often."""

    def often(first: int) -> tuple[int, int]:
        grams = [word[at : at + size] for at in range(first, first + STRIDE)]
        letters = sum(
            1 for one in word[first : first + size + 1] if 97 <= one <= 122 or one in b" 0123456789"
        )
        return sum(map(USUAL.count, grams)), letters

    return min(range(max(1, len(word) - size)), key=often)


def _all_of(word: bytes, block: bytes) -> Iterator[int]:
    at = block.find(word)
    while at >= 0:
        yield at
        at = block.find(word, at + 1)
