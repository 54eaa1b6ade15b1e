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
_UNLINKED = b'{"unlinked":true}\n'
"""Before the lines of a journal of which only the first and the last carry a digest."""


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


def unlinked(journal: bytes) -> bytes:
    """Return a journal without the digests that follow from its other lines, for an archive: nothing compresses them.

    The last line keeps its own: a line that is changed in the archive does not fit it. A journal that is not chained
    stays as it is.
    """
    lines = journal.splitlines(keepends=True)
    if len(lines) < 3:
        return journal
    first, *between, last = lines
    short = b"".join([_UNLINKED, first, *(split(text)[0] for text in between), last])
    return short if linked(short) == journal else journal


def linked(journal: bytes) -> bytes:
    """Return a journal of an archive with the digests that `unlinked` took; any other one as it is."""
    if not journal.startswith(_UNLINKED):
        return journal
    lines = journal.splitlines(keepends=True)[1:]
    for at in range(1, len(lines) - 1):
        lines[at] = chained(lines[at], digest(lines[at - 1]))
    return b"".join(lines)
