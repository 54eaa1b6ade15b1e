"""A state that was written to files is the same state again."""

from __future__ import annotations

import zlib

import pytest

from harness.twin.image import BoardState, FlashImage
from harness.twin.image_files import from_files, to_files

STATE = BoardState(
    {
        "ifs": FlashImage((b"\x00" * 8, b"\xff" * 8), (3, 4), ((1, b"\x0f" * 8),)),
        "efs": FlashImage((b"abcd",), (0,)),
    },
    17,
)


def test_it_is_the_same_again():
    assert from_files(to_files(STATE)) == STATE


@pytest.mark.parametrize(
    "damage",
    [
        {"ifs.bin.z": b"\0" * 15},
        {"ifs.bin.z": zlib.compress(b"\0" * 15)},
        {"board.json": b"{"},
        {"board.json": b"{}"},
        {"board.json": b'{"boots": 1, "chips": {"ifs": {"page_bytes": 0, "erases": [], "weak": []}}}'},
        {"board.json": b'{"boots": 1, "chips": []}'},
        {"board.json": b'{"boots": -1, "chips": {}}'},
        {"board.json": b'{"boots": 1e99, "chips": {}}'},
        {"board.json": b"[" * 100_000},
    ],
)
def test_damaged_files_are_refused(damage):
    with pytest.raises((ValueError, KeyError)):
        from_files({**to_files(STATE), **damage})
