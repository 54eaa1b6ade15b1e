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
    ("serial", re.compile(r"iSerial\w*\s+\d+\s+(\S.*)")),
    # Windows makes an instance's name of the serial number; one that it made up itself has an "&".
    ("serial", re.compile(r"(?i)pid_[0-9a-f]{4}(?:&\w+)*\\([^\\&\s\]'\"<]+)(?=[\s\]'\"]|$)")),
    # "SerialNumber=3" of a kernel is where to find it, and not what it is.
    (
        "serial",
        re.compile(r"(?i)serial[ _-]?(?:number|no\.?)[\"']?[ .]*(?::|=(?!\d+\b))\s*[\"']?([^\s\"',;)<]+)"),
    ),
    ("serial", re.compile(r"(?<=SerialNumber: )\S+|(?<=\()(?:DENK|[A-Z]{2,5})\d{7,}(?=\s*\))")),
    ("host", re.compile(r"(?<=[\dZ] )(?!kernel\b|pcscd\b)[\w.-]+(?= (?:kernel|[\w.-]+(?:\[\d+\])?): )")),
    ("site", re.compile(r"(?i)\brp[ _-]?id[\"']?\s*[:=]\s*[\"']?([\w-]+(?:\.[\w-]+)*)")),
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
        """The mark in place of the first group, or of all if there is none."""
        group = 1 if match.re.groups else 0
        begin, end = (at - match.start() for at in match.span(group))
        return match[0][:begin] + self._mark(kind, match[group]) + match[0][end:]

    def _mark(self, kind: str, found: str) -> str:
        mark = self._marks.get((kind, found))
        if mark is None:
            self._count[kind] += 1
            mark = self._marks[kind, found] = f"<{kind}-{self._count[kind]}>"
        return mark
