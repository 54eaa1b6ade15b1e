"""Shrink a large page of Allure's to an eighth: its program and its data are compressed, and unpacked by the browser.

Allure writes each result several times, as base64. A run of two thousand cases would have a page of 17 MB.
Small pages stay as they are.

What the browser can unpack looks 32 kB back. The names and ids of a result stand megabytes apart: in the result, the
tree, the search index. So texts that come again are numbered first, and stand in a table.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
from collections import Counter
from collections.abc import Sequence

from harness.report.rendering import data_text

ABOVE = 1_000_000
"""Bytes of data in a page, from which it is shrunk."""
_ENTRY = re.compile(r'd\("([^"\\]+)","([A-Za-z0-9+/=]*)"\)')
_FRAGMENT = re.compile(rb'[0-9a-f]{32}|(?<=")[^"\\\x00-\x1f]{12,}(?=")')
"""An id, or a text in quotes. Shorter ones are no longer than their number."""
_DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyz"
_LOADER = re.compile(r"<script defer>\s*Promise\.allSettled\(\[.*?\]\)\s*\.then\(.*?</script>", re.DOTALL)
_PROGRAM = re.compile(r'<script\s+src="data:text/javascript;base64,([A-Za-z0-9+/=]+)"></script>')


def compact(html: str) -> str:
    """Return the page with its data compressed; unchanged if it is small, or not as we know it."""
    loader = _LOADER.search(html)
    entries = _ENTRY.findall(loader[0]) if loader else []
    if loader is None or sum(len(body) for _, body in entries) < ABOVE:
        return html
    programs = _PROGRAM.findall(html)
    try:
        data = [(name, base64.b64decode(body, validate=True)) for name, body in entries]
        code = [("", base64.b64decode(body, validate=True)) for body in programs]
    except binascii.Error:
        return html
    packed = gzip.compress(_packed([*code, *_shared(data)]), mtime=0)
    script = data_text("unpack.js").replace("PACKED", base64.b85encode(packed).decode())
    without = _PROGRAM.sub("", html[: loader.start()])
    return f"{without}<script>\n{script}</script>{html[loader.end() :]}"


def _shared(data: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Give the widgets of an environment the bodies of those of the whole run, where they say the same.

    Allure writes both, in another order: a run has one environment.
    """
    whole = {name: (body, _unordered(body)) for name, body in data if name.count("/") == 1}
    shared = []
    for name, body in data:
        folder, *between, file = name.split("/")
        of_run = whole.get(f"{folder}/{file}") if len(between) == 1 else None
        same = of_run is not None and of_run[1] is not None and of_run[1] == _unordered(body)
        shared.append((name, of_run[0] if of_run and same else body))
    return shared


def _unordered(body: bytes) -> str | None:
    """Return a JSON document without the order of its lists; None if it is none."""

    def sorted_(value: object) -> object:
        if isinstance(value, dict):
            return {name: sorted_(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return sorted(
                (sorted_(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True)
            )
        return value

    try:
        return json.dumps(sorted_(json.loads(body)), sort_keys=True)
    except (ValueError, RecursionError):
        return None


def _numbered(texts: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return the fragments that come more than once, and the texts with their numbers instead of them.

    A number is in base 36, between the bytes 1 and 2, which no JSON holds.
    """
    count = Counter(fragment for text in texts for fragment in _FRAGMENT.findall(text))
    table: dict[bytes, int] = {}

    def number(fragment: re.Match[bytes]) -> bytes:
        if count[fragment[0]] < 2:
            return fragment[0]
        return b"\x01%s\x02" % _base36(table.setdefault(fragment[0], len(table)))

    written = [_FRAGMENT.sub(number, text) for text in texts]
    return list(table), written


def _base36(number: int) -> bytes:
    digits = b""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit : digit + 1] + digits
    return digits


def _packed(parts: Sequence[tuple[str, bytes]]) -> bytes:
    """Return a line of JSON with the fragments, a line with [name, start, length, is numbered] of each part, the parts.

    Equal parts are held once.
    """
    distinct = list(dict.fromkeys(body for _, body in parts))
    numbered = [body for body in distinct if _is_text(body)]
    names = "\n".join(name for name, _ in parts).encode()
    table, (names, *written) = _numbered([names, *numbered])
    held = {body: body for body in distinct} | dict(zip(numbered, written, strict=True))
    places: dict[bytes, int] = {}
    size = 0
    for body in distinct:
        places[body] = size
        size += len(held[body])
    texts = set(numbered)
    index = [
        [name, places[body], len(held[body]), int(body in texts)]
        for name, (_, body) in zip(names.decode().split("\n"), parts, strict=True)
    ]
    lines = ([fragment.decode() for fragment in table], index)
    head = b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in lines)
    return head + b"".join(held.values())


def _is_text(body: bytes) -> bool:
    """Whether a part is JSON, in which nothing can be taken for a number; the program is left as it is."""
    if not body.startswith((b"{", b"[")) or b"\x01" in body:
        return False
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
