"""The flash model: what a cut may and may not do to a page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.clock import VirtualClock
from harness.base.seeds import child
from harness.twin.flash import Flash
from harness.twin.parts import NRF52840_IFS
from harness.twin.rail import PowerRail
from harness.twin.tear import programmed, torn_erase, torn_program

SEED = child(1, "tests")
pages = st.binary(min_size=256, max_size=256)
fractions = st.floats(0, 1)


def bits(data: bytes) -> int:
    return int.from_bytes(data, "big")


@given(pages, st.integers(0, 200), st.binary(min_size=1, max_size=56))
def test_programming_only_clears_bits_and_only_where_it_was_asked_to(page, offset, data):
    after = programmed(page, offset, data)
    assert after[:offset] == page[:offset]
    assert after[offset + len(data) :] == page[offset + len(data) :]
    assert bits(after) & ~bits(page) == 0
    assert after[offset : offset + len(data)] == bytes(a & b for a, b in zip(page[offset:], data))


@given(pages, st.binary(min_size=4, max_size=64), fractions, st.integers(1, 99))
def test_a_torn_program_lies_between_before_and_after(page, data, phi, index):
    torn = torn_program(page, 16, data, phi, SEED, index, 4)
    before, after = bits(page), bits(programmed(page, 16, data))
    assert bits(torn) & ~before == 0, "a bit was set"
    assert after & ~bits(torn) == 0, "a bit was cleared that was not to be"


@given(pages, st.binary(min_size=4, max_size=64), fractions, fractions, st.integers(1, 99))
def test_a_later_tear_has_programmed_no_less(page, data, one, other, index):
    early, late = sorted((one, other))
    first = torn_program(page, 0, data, early, SEED, index, 4)
    second = torn_program(page, 0, data, late, SEED, index, 4)
    assert bits(second) & ~bits(first) == 0


@given(pages, fractions, fractions, st.integers(1, 99))
def test_a_torn_erase_only_sets_bits_and_more_with_time(page, one, other, index):
    early, late = sorted((one, other))
    first, second = torn_erase(page, early, SEED, index), torn_erase(page, late, SEED, index)
    assert bits(page) & ~bits(first) == 0
    assert bits(first) & ~bits(second) == 0


def test_an_erase_keeps_stragglers_to_the_very_end():
    page = bytes(4096)
    nearly = torn_erase(page, 0.999, SEED, 3)
    left = sum(8 - byte.bit_count() for byte in nearly)
    assert 100 < left < 1000, "about one cell in a hundred holds out"
    assert torn_erase(page, 1.0, SEED, 3) == b"\xff" * 4096


def chip() -> Flash:
    rail = PowerRail(VirtualClock(), SEED)
    return Flash("ifs", NRF52840_IFS, rail)


def test_a_page_keeps_what_it_has_from_its_endurance_on_at_the_latest_a_tenth_beyond():
    flash = chip()
    lasted = []
    for page in range(NRF52840_IFS.pages):
        flash.program(page * 4096, b"old!")
        flash.erases[page] = low = NRF52840_IFS.endurance
        while not flash.is_worn(page):
            flash.erases[page] += 1
        lasted.append(flash.erases[page] - low)
        assert flash.erase(page) is True, "nothing says so"
        assert flash.program(page * 4096, b"\0new") is True
        assert flash.read(page * 4096, 4) == b"old!"
    assert 1 <= min(lasted) < max(lasted) <= NRF52840_IFS.endurance // 10 + 1


def test_a_chip_that_starts_slowly_reads_as_erased_and_takes_nothing():
    flash = chip()
    assert flash.program(0, b"here")
    flash.answers_us = flash._rail.clock.now_us + 10_000
    assert flash.read(0, 4) == b"\xff" * 4
    assert not flash.program(8, b"lost")
    assert not flash.erase(0)
    flash._rail.clock.wait_us(10_000)
    assert flash.read(0, 12) == b"here" + b"\xff" * 8


@pytest.mark.parametrize("phi", [0.0, 1.0])
def test_the_ends_of_an_operation_are_whole(phi):
    page, data = bytes(range(256)), b"\x00\xf0\x0f\xaa" * 4
    assert torn_program(page, 8, data, phi, SEED, 1, 4) == (programmed(page, 8, data) if phi else page)


def test_the_same_tear_is_the_same_bytes_and_another_operation_tears_elsewhere():
    page = bytes(4096)
    assert torn_erase(page, 0.4, SEED, 7) == torn_erase(page, 0.4, SEED, 7)
    assert torn_erase(page, 0.4, SEED, 7) != torn_erase(page, 0.4, SEED, 8)
