"""The order of firmware versions."""

from __future__ import annotations

import re


def version_key(version: str) -> tuple[tuple[int, ...], int, str]:
    """Return what orders versions: numbers, then a release candidate before its release. 1.9 is 1.9.0."""
    numbers, _, rest = version.removeprefix("v").partition("-")
    parts = [int(part) for part in re.findall(r"\d+", numbers)]
    while parts and not parts[-1]:
        parts.pop()
    # Numbers in the name of a candidate get one width: rc.10 comes after rc.2.
    return tuple(parts), 0 if rest else 1, re.sub(r"\d+", lambda found: found.group().zfill(12), rest)
