"""Points that cover evenly, and what a clean campaign over them proves."""

from __future__ import annotations

import pytest

from harness.confidence import bound, narrowest_window_us
from harness.spread import cover


@pytest.mark.parametrize("power", [1, 3, 6, 8])
def test_a_power_of_two_points_lie_one_in_each_part(power):
    count = 1 << power
    assert sorted(int(point * count) for point in cover(count, b"seed")) == list(range(count))


def test_points_are_a_function_of_seed_and_number():
    assert cover(8, b"a")[3:] == cover(5, b"a", first=3)
    assert cover(8, b"a") != cover(8, b"b")
    assert all(0 <= point < 1 for point in cover(500, b"a"))


def test_windows_that_come_back_with_every_chunk_are_found():
    """64 chunks, each vulnerable in 5 % of its length: shifted points missed them in 58 % of runs."""
    found = 0
    for seed in range(20):
        found += any(point * 64 % 1 < 0.05 for point in cover(459, b"seed %d" % seed))
    assert found == 20


@pytest.mark.parametrize(("cuts", "below"), [(59, 0.05), (299, 0.01), (2995, 0.001)])
def test_the_bound_is_what_the_tables_say(cuts, below):
    assert bound(cuts)["below"] < below < bound(cuts - 1)["below"] + 1e-6
    assert bound(0) is None


def test_the_narrowest_window_is_the_widest_gap_without_jitter():
    assert narrowest_window_us([10, 20, 50, 90], 100, 0) == pytest.approx(40, abs=0.1)
    assert narrowest_window_us([], 100, 0) is None


def test_jitter_makes_a_window_wider_and_many_cuts_narrower():
    few, many = ([point * 1000 for point in cover(count, b"x")] for count in (32, 256))
    assert narrowest_window_us(few, 1000, 0) < narrowest_window_us(few, 1000, 30)
    assert narrowest_window_us(many, 1000, 3) < narrowest_window_us(few, 1000, 3)
