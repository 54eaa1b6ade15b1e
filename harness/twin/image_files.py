"""A twin's state as files: one for the content of each chip, compressed, and a table with the rest."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

from harness.base.errors import CallerError
from harness.base.shape import Shape, misfit
from harness.twin.image import BoardState, FlashImage

TABLE = "board.json"
_TABLE: Shape = {
    "boots": int,
    "chips": {"*": {"page_bytes": int, "erases": [int], "weak": [[int, str]]}},
}
BOOTS_MAX = 1 << 48
"""No key is switched on more often."""
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
    try:
        table = json.loads(files[TABLE])
    except RecursionError as error:
        raise ValueError(f"{TABLE} is nested too deep") from error
    if wrong := misfit(table, _TABLE):
        raise ValueError(f"{TABLE}: {wrong}")
    if not 0 <= table["boots"] <= BOOTS_MAX:
        raise ValueError(f"{TABLE}: {table['boots']} boots")
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


def read_dump(path: Path, like: BoardState) -> BoardState:
    """Read the content of a board's chips from raw files: a folder with CHIP.bin for some chips, or one chip's file.

    :param like: a state of the same board; a chip without a file is as in it.
    :raises CallerError: there is no such file, or it does not have the chip's size.
    """
    files = {name: path / f"{name}.bin" for name in like.chips} if path.is_dir() else {}
    found = {name: file for name, file in files.items() if file.is_file()}
    if path.is_file():
        length = path.stat().st_size
        found = {name: path for name, image in like.chips.items() if _size(image) == length}
    if len(found) != 1 and not (path.is_dir() and found):
        sizes = ", ".join(f"{name} has {_size(image):,} bytes" for name, image in like.chips.items())
        there = (
            f"a file of {path.stat().st_size:,} bytes"
            if path.is_file()
            else "no such file, or no CHIP.bin in it"
        )
        raise CallerError(f"dump {path}", found=there, expected=f"the content of a chip: {sizes}")
    chips = dict(like.chips)
    for name, file in found.items():
        image, data = like.chips[name], file.read_bytes()
        if len(data) != _size(image):
            raise CallerError(
                f"dump {file}", found=f"{len(data):,} bytes", expected=f"{_size(image):,} bytes"
            )
        page = len(image.pages[0])
        pages = tuple(data[at : at + page] for at in range(0, len(data), page))
        chips[name] = FlashImage(pages, image.erases)
    return BoardState(chips, like.boots)


def _size(image: FlashImage) -> int:
    return len(image.pages) * len(image.pages[0])


def differing_words(one: bytes, other: bytes, word_size: int) -> int:
    """Number of words in which two pages differ; bytes that only one of them has differ."""
    if one == other:
        return 0
    length = max(len(one), len(other))
    return sum(one[at : at + word_size] != other[at : at + word_size] for at in range(0, length, word_size))
