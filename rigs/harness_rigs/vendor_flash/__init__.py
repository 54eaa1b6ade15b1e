"""C sources by which a firmware's PC build gets its flash from Keyharness, and a tiny firmware that uses them."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
SOURCES = ("keyharness_flash.h", "keyharness_flash.c", "tiny_card.c")
CARD = ("small_card.py", "small_card_suite")
"""The plugin for the tiny firmware's key; in a checkout it lies in docs/."""
PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "small-card"
version = "1.0"

[project.entry-points.keyharness]
small_card = "small_card"

[tool.hatch.build.targets.wheel]
only-include = ["small_card.py", "small_card_suite"]
"""


def sources() -> dict[str, bytes]:
    """Path -> content of everything that `python -m harness_rigs.vendor_flash` writes."""
    files = {name: (HERE / name).read_bytes() for name in SOURCES}
    docs = HERE if (HERE / CARD[0]).is_file() else HERE.parents[2] / "docs"
    for name in CARD:
        place = docs / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            files[f"small-card/{file.relative_to(docs)}"] = file.read_bytes()
    return {**files, "small-card/pyproject.toml": PROJECT.encode()}
