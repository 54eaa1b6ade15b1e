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
    packed = gzip.compress(_packed([*code, *data]), mtime=0)
    script = data_text("unpack.js").replace("PACKED", base64.b85encode(packed).decode())
    without = _PROGRAM.sub("", html[: loader.start()])
    return f"{without}<script>\n{script}</script>{html[loader.end() :]}"


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
