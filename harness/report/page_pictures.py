"""The pictures of a run as addresses that a page holds itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from harness.report import files
from harness.report.files import Row
from harness.report.large_run import read_cut_maps
from harness.report.text import operation_name, several_rigs
from harness.report.vocabulary import shares

BYTES_MAX = 60_000_000
"""Size of all embedded pictures; further ones are linked, so that a browser can open the page."""
NAMES = {files.CUT_MAP: "cut map", files.FLASH_RASTER: "flash raster", files.RISK: "risk"}
_KEPT = " !$()*+,-./:;=?@[]^_`{|}~"
"""Letters of an SVG that stand as they are in a data URL in an attribute. Its paths are made of them."""


@dataclass(frozen=True)
class Picture:
    """A picture: its kind in words, its address, and what it shows, for who cannot see it.

    :ivar main: the picture that is always shown.
    :ivar shown: whether the page shows it; else it has a link to the file: the flash raster of an operation without a
        violation, which few readers look at.
    """

    kind: str
    address: str
    said: str
    main: bool
    shown: bool


def pictures_of(run_dir: Path, summary: Row) -> dict[tuple[str, str], list[Picture]]:
    """Return the pictures of each (rig, operation). Ids in an <img> cannot clash with those of other pictures."""
    found: dict[tuple[str, str], list[Picture]] = {}
    left, packed = BYTES_MAX, read_cut_maps(run_dir)
    several = several_rigs(summary)
    for op in summary["operations"]:
        names = op["rig"], op["operation"]
        said = f"{operation_name(*names, several)}: {', '.join(shares(op['outcomes'] or {}))}"
        for kind, called in NAMES.items():
            path = files.picture_path(run_dir, *names, kind)
            try:
                drawn = path.read_bytes()
            except (OSError, ValueError):  # a damaged name may hold a zero byte
                if path.name not in packed:
                    continue
                drawn = packed[path.name]
            main = kind == files.CUT_MAP
            shown = main or bool(op["violations"])
            inside = _data_url(drawn) if shown else ""
            left -= len(inside)
            address = inside if shown and left > 0 else f"{files.PICTURES}/{quote(path.name)}"
            found.setdefault(names, []).append(Picture(called, address, f"{called} of {said}", main, shown))
    return found


def _data_url(svg: bytes) -> str:
    return "data:image/svg+xml," + quote(svg, safe=_KEPT)


def anchor(rig: str, operation: str) -> str:
    """Return the id of an operation's pictures in the page."""
    return "op-" + re.sub(r"[^A-Za-z0-9.]+", "-", f"{rig}-{operation}")
