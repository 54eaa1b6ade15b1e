"""Damaged files: JSON whose values changed, lines that were cut, bytes that flipped."""

from __future__ import annotations

import json
from typing import Any

from harness.base.seeds import Stream

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 10**30, 0.5, float("nan"), float("inf"), "", "x", "\u2028\udcff\x1b[2J"),
    *([], {}, [None], {"x": None}, [[]], ["x"] * 50),
)
BYTES = (
    b"",
    b"\n",
    b"\x00" * 64,
    b"\xff\xfe",
    b"{",
    b"[" * 100_000,
    b'"',
    b"1e999",
    b"9" * 5000,
    b"null",
    b"[]",
    b"{}",
)


def damaged(data: bytes, draws: Stream) -> bytes:
    """Return a file's content as something else left it."""
    kind = draws.below(8)
    if kind == 0:
        return BYTES[draws.below(len(BYTES))]
    if kind == 1:
        return data[: draws.below(len(data) + 1)]
    if kind == 2 and data:
        at = draws.below(len(data))
        return data[:at] + bytes([draws.below(256)]) + data[at + 1 :]
    lines = data.split(b"\n")
    whole = b"\n".join(lines[:-1]).startswith(b"{\n") or len(lines) <= 2
    at = 0 if whole else draws.below(len(lines) - 1)
    try:
        value = json.loads(data if whole else lines[at])
    except ValueError:
        return data + BYTES[draws.below(len(BYTES))]
    text = json.dumps(changed(value, draws)).encode()
    return text + b"\n" if whole else b"\n".join([*lines[:at], text, *lines[at + 1 :]])


def changed(value: Any, draws: Stream) -> Any:
    """Return a JSON value with one value in it left out, exchanged or repeated."""
    if not isinstance(value, (dict, list)) or not value or draws.below(6) == 0:
        return VALUES[draws.below(len(VALUES))]
    names = list(value) if isinstance(value, dict) else list(range(len(value)))
    name = names[draws.below(len(names))]
    copy = value.copy()
    if draws.below(4) == 0:
        del copy[name]
    else:
        copy[name] = changed(copy[name], draws)
    return copy
