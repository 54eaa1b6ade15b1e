"""The content of a large file: as bytes behave, and shared by the states of one recording."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness_rigs.emulator.content import CHUNK, LARGE, Chunks, content, different, overwritten, resized

SIZES = [0, 1, LARGE, LARGE + 1, LARGE + CHUNK, LARGE + CHUNK + 7]


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@settings(max_examples=60)
@given(size=st.sampled_from(SIZES), offset=st.integers(0, 2 * LARGE), length=st.integers(0, 3 * CHUNK))
def test_a_write_leaves_what_a_file_would_hold(size, offset, length):
    old, data = noise(size), noise(length + 1)[:length]
    new = old.ljust(offset, b"\0")
    new = new[:offset] + data + new[offset + length :]
    found = overwritten(content(old), offset, data)
    assert bytes(found) == new
    assert found == content(new), "equal data are equal contents, however they came about"
    assert bytes(resized(found, offset)) == new[:offset].ljust(offset, b"\0")


@given(start=st.integers(0, LARGE + CHUNK), length=st.integers(0, LARGE))
def test_a_part_is_that_of_the_bytes(start, length):
    data = noise(LARGE + CHUNK + 7)
    assert content(data)[start : start + length] == data[start : start + length]


def test_a_digest_is_of_what_is_there_and_not_of_its_history():
    data = noise(LARGE + 9)
    one = Chunks.of(data)
    one.digest()
    there_and_back = one.overwritten(70, b"x").overwritten(70, data[70:71])
    assert there_and_back.digest() == one.digest() == Chunks.of(data).digest()
    assert one.overwritten(LARGE + 8, b"yy"[:1]).digest() != one.digest()


def test_a_thousand_states_of_a_large_flash_take_little_more_than_one():
    state = Chunks.of(bytes(1 << 23))
    states = [state := state.overwritten(at << 13, b"changed") for at in range(1000)]
    held = {id(chunk) for one in states for chunk in one._chunks}
    assert len(held) <= (1 << 23) // CHUNK + len(states)


@pytest.mark.parametrize("size", SIZES)
def test_what_differs_is_found(size):
    old = noise(size)
    assert list(different(content(old), content(old))) == []
    other = old[:-1] + bytes([old[-1] ^ 1]) if old else b"x"
    pairs = list(different(content(old), content(other)))
    assert sum(a != b for one, two in pairs for a, b in zip(one.ljust(len(two)), two)) == 1
