"""Values of items that every card shows in the same way."""

from __future__ import annotations

import hashlib

CURRENT, NEW, NEITHER = "current", "new", "neither"
"""Which PIN is in force: the one of before the operation, the one that it set, none of both."""


def shown(content: bytes) -> str:
    """Content as an item's value: its length and a digest."""
    return f"{len(content)} bytes, {hashlib.sha256(content).hexdigest()[:8]}"
