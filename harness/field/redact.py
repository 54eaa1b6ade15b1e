"""Take out of a line what says who somebody is: names of hosts and users, addresses, serial numbers, sites.

The same text becomes the same mark in one reading, so that a key can be followed without being named.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import partial

_PATTERNS = (
    ("mail", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("user", re.compile(r"(?<=/home/)[^/\s'\"]+|(?<=/Users/)[^/\s'\"]+|(?<=\\Users\\)[^\\\s'\"]+")),
    (
        "address",
        re.compile(
            r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])|(?<![\w:])(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![\w:])"
        ),
    ),
    ("serial", re.compile(r"(?<![0-9A-Fa-f])(?=[0-9A-Fa-f]*[1-9A-Fa-f])[0-9A-Fa-f]{32}(?![0-9A-Fa-f])")),
    ("serial", re.compile(r"(?<=SerialNumber: )\S+|(?<=\()(?:DENK|[A-Z]{2,5})\d{7,}(?=\s*\))")),
    ("host", re.compile(r"(?<=\d )(?!kernel\b|pcscd\b)[\w-]+(?= (?:kernel|[\w.-]+(?:\[\d+\])?): )")),
    ("site", re.compile(r"(?<=rp=)\S+|(?<=rp_id[=:] )\S+|\bssh:[\w.-]+|(?<=webauthn\.)[\w.-]+")),
)


class Redactor:
    """Replaces what is private by marks, the same by the same."""

    def __init__(self) -> None:
        self._marks: dict[tuple[str, str], str] = {}
        self._count: Counter[str] = Counter()

    def __call__(self, text: str) -> str:
        for kind, pattern in _PATTERNS:
            text = pattern.sub(partial(self._marked, kind), text)
        return text

    def _marked(self, kind: str, match: re.Match[str]) -> str:
        return self._mark(kind, match[0])

    def _mark(self, kind: str, found: str) -> str:
        mark = self._marks.get((kind, found))
        if mark is None:
            self._count[kind] += 1
            mark = self._marks[kind, found] = f"<{kind}-{self._count[kind]}>"
        return mark
