"""A twin's state as files: one for the content of each chip, compressed, and a table with the rest."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

from harness.twin.image import BoardState, FlashImage

TABLE = "board.json"
CHIP_BYTES = 1 << 26
"""No chip of a key is larger; a damaged file must not fill the memory."""


def to_files(state: BoardState) -> dict[str, bytes]:
    """The state as (name -> content): CHIP.bin.z (zlib) and board.json."""
    chips = {
        name: {
            "page_bytes": len(image.pages[0]),
            "erases": list(image.erases),
            "weak": [[page, mask.hex()] for page, mask in image.weak],
        }
        for name, image in state.chips.items()
    }
    table = json.dumps({"boots": state.boots, "chips": chips}, sort_keys=True).encode()
    packed = {f"{name}.bin.z": zlib.compress(b"".join(image.pages), 1) for name, image in state.chips.items()}
    return {TABLE: table, **packed}


def from_files(files: Mapping[str, bytes]) -> BoardState:
    """Read what `to_files` wrote.

    :raises KeyError, ValueError, TypeError: it is not that.
    """
    table = json.loads(files[TABLE])
    chips = {}
    for name, chip in table["chips"].items():
        data, size = _unpacked(files[f"{name}.bin.z"]), int(chip["page_bytes"])
        if size <= 0 or len(data) % size or len(data) // size != len(chip["erases"]):
            raise ValueError(f"{name}.bin.z has {len(data)} bytes, not {len(chip['erases'])} pages of {size}")
        pages = tuple(data[at : at + size] for at in range(0, len(data), size))
        weak = tuple((int(page), bytes.fromhex(mask)) for page, mask in chip["weak"])
        chips[name] = FlashImage(pages, tuple(map(int, chip["erases"])), weak)
    return BoardState(chips, int(table["boots"]))


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, CHIP_BYTES)
    except zlib.error as error:
        raise ValueError(f"no compressed chip: {error}") from error
