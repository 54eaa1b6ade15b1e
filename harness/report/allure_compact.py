"""Shrink a large page of Allure's to a fifth: its program and its data are compressed, and unpacked by the browser.

Allure writes each result several times, as base64. A run of two thousand cases would have a page of 17 MB.
Small pages stay as they are.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
from collections.abc import Sequence

from harness.report.rendering import data_text

ABOVE = 1_000_000
"""Bytes of data in a page, from which it is shrunk."""
_ENTRY = re.compile(r'd\("([^"\\]+)","([A-Za-z0-9+/=]*)"\)')
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


def _packed(parts: Sequence[tuple[str, bytes]]) -> bytes:
    """Return one line of JSON with [name, start, length] of each part, then the parts; equal ones are held once."""
    places: dict[bytes, int] = {}
    size = 0
    for _, body in parts:
        if body not in places:
            places[body] = size
            size += len(body)
    index = [[name, places[body], len(body)] for name, body in parts]
    return json.dumps(index, separators=(",", ":")).encode() + b"\n" + b"".join(places)
