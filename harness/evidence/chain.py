"""The chain of a journal: each line carries the digest of the line before it, the first one that of its beginning.

A line's digest is the SHA-256 of its bytes, the newline among them. The digest stands at the end of the line, so that
it is taken off again without parsing: evidence.jsonl has the rows without it, and its bytes follow from the seed.
"""

from __future__ import annotations

import hashlib
import json

FIELD = "prev"
"""The field of a journal's line that is left out of evidence.jsonl."""
_OPEN = f',"{FIELD}":"'.encode()
_CLOSE = b'"}\n'
_LENGTH = len(_OPEN) + 64 + len(_CLOSE)


def beginning(run: str, rig: str, operation: str, plan: str | None) -> str:
    """Return the digest that the first line of a campaign's journal carries.

    :param plan: the digest of the plan that began the run; None without a plan.
    """
    opened = {"plan": plan, "run": run, "rig": rig, "operation": operation}
    return hashlib.sha256(json.dumps(opened, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest(text: bytes) -> str:
    """Return the digest of a line."""
    return hashlib.sha256(text).hexdigest()


def chained(text: bytes, before: str) -> bytes:
    """Return a line, an object with its newline, with the digest of the line before it."""
    return text[:-2] + _OPEN + before.encode() + _CLOSE


def split(text: bytes) -> tuple[bytes, str | None]:
    """Return a line without the digest of the one before it, and that digest; None if it has none."""
    body, tail = text[:-_LENGTH], text[-_LENGTH:]
    if not (body and tail.startswith(_OPEN) and tail.endswith(_CLOSE)):
        return text, None
    return body + b"}\n", tail[len(_OPEN) : -len(_CLOSE)].decode("ascii", "replace")
