"""File names for things that are named in words: ports, wirings, directories."""

from __future__ import annotations

import hashlib
import re

_READABLE = 60


def file_name(name: str, suffix: str, *, keep: str = "end", unique: str | None = None) -> str:
    """Return a file name of bounded length that a person can read and that no other name shares.

    State files are found by these names: a change here would lose them.

    :param name: the words, e.g. "port usb:1-1.4.1"; of a long name the `keep` ("start" or "end") stays.
    :param suffix: with its dot, e.g. ".json".
    :param unique: what tells two files apart; the name itself if None.
    """
    plain = re.sub(r"[^a-zA-Z0-9._-]+", "-", name)
    readable = plain[:_READABLE] if keep == "start" else plain[-_READABLE:]
    digest = hashlib.sha256((name if unique is None else unique).encode(errors="surrogatepass")).hexdigest()[
        :8
    ]
    return f"{readable.strip('-.')}.{digest}{suffix}"
