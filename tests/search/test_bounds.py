"""The figures a verdict quotes."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.seeds import child
from harness.search.bounds import (
    budget_for,
    lower_bound,
    reproduction,
    unseen,
    upper_bound,
)
from harness.search.low_discrepancy import cover
from harness.search.window import narrowest_window

confidences = st.floats(0.5, 0.999)
counts = st.tuples(st.integers(0, 60), st.integers(1, 400)).filter(lambda pair: pair[0] < pair[1])


@pytest.mark.parametrize(
    "confidence, below, cuts", [(0.95, 0.05, 59), (0.95, 0.01, 299), (0.99, 0.01, 459), (0.95, 0.001, 2995)]
)
def test_a_budget_is_the_fewest_cuts_that_prove_it(confidence, below, cuts):
    assert budget_for(confidence, below) == cuts
    assert upper_bound(0, cuts, confidence) < below < upper_bound(0, cuts - 1, confidence)


@given(confidences, st.floats(0.0005, 0.9))
def test_a_budget_is_just_enough(confidence, below):
    cuts = budget_for(confidence, below)
    assert upper_bound(0, cuts, confidence) <= below * (1 + 1e-6)
    assert cuts == 1 or upper_bound(0, cuts - 1, confidence) > below * (1 - 1e-6)


@given(st.integers(1, 5000), confidences)
def test_zero_failures_agree_with_the_closed_form(cuts, confidence):
    expected = 1 - (1 - confidence) ** (1 / cuts)
    assert upper_bound(0, cuts, confidence) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(counts, confidences)
def test_bounds_are_monotone(pair, confidence):
    failures, cuts = pair
    here = upper_bound(failures, cuts, confidence)
    assert lower_bound(failures, cuts, confidence) <= failures / cuts <= here
    assert upper_bound(failures + 1, cuts, confidence) >= here, "more failures prove less"
    assert upper_bound(failures, cuts + 1, confidence) <= here, "more cuts prove more"
    assert upper_bound(failures, cuts, confidence + 0.0005) >= here, "more confidence proves less"


@pytest.mark.parametrize(
    "failures, cuts, low, high",
    [
        (0, 10, 0.0, 0.308497),
        (5, 10, 0.187086, 0.812914),
        (10, 10, 0.691503, 1.0),
        (1, 5, 0.005051, 0.716418),
    ],
)
def test_clopper_and_pearson_as_tabulated(failures, cuts, low, high):
    assert reproduction(failures, cuts) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_many_cuts_neither_overflow_nor_vanish():
    assert 0.0099 < upper_bound(1000, 100_000, 0.5) < 0.0101
    assert upper_bound(0, 1_000_000) == pytest.approx(3e-6, rel=0.01)


def test_the_bound_holds_as_often_as_it_says():
    random = Random(1)
    for harm in (0.005, 0.03):
        failures = [sum(random.random() < harm for _ in range(300)) for _ in range(1000)]
        assert sum(upper_bound(found, 300) < harm for found in failures) <= 50 + 20


def test_unseen_classes():
    assert unseen([]) == 1.0
    assert unseen(["old"]) == 1.0
    assert unseen(["old", "old", "new", "torn"]) == 0.5
    assert unseen(["old", "old", "new", "new"]) == 0.0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=60), st.floats(0.0001, 0.05), st.floats(0, 1))
def test_another_cut_never_widens_the_window(hits, sigma, more):
    before, after = narrowest_window(hits, 1.0, sigma), narrowest_window([*hits, more], 1.0, sigma)
    assert before is None or after is not None
    # The worst placement is looked for on a grid.
    assert before is None or after <= before + 0.02


def test_without_jitter_it_is_the_widest_gap():
    assert narrowest_window([10, 20, 50, 90], 100, 0) == pytest.approx(40, abs=0.1)


def test_jitter_makes_a_window_wider_and_many_cuts_narrower():
    few, many = ([point * 1000 for point in cover(count, b"x")] for count in (32, 256))
    assert narrowest_window(few, 1000, 0) < narrowest_window(few, 1000, 30)
    assert narrowest_window(many, 1000, 3) < narrowest_window(few, 1000, 3)


def test_a_window_that_was_not_hit_is_hardly_ever_wider():
    """The promise itself: wherever a window of that width lies, these cuts find it 95 times in 100."""
    random = Random(2)
    sigma = 0.004
    points = cover(60, child(2, "tests"))
    width = narrowest_window(points, 1.0, sigma)
    for _ in range(20):
        start = random.uniform(0, 1 - width)
        found = sum(
            any(start < x + random.gauss(0, sigma) <= start + width for x in points) for _ in range(400)
        )
        assert found / 400 > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)


def test_jitter_that_differs_from_place_to_place_counts_where_it_is():
    points = cover(200, child(3, "tests"))
    calm, wild = narrowest_window(points, 1.0, 0.001), narrowest_window(points, 1.0, 0.02)
    mixed = narrowest_window(points, 1.0, lambda x: 0.02 if x > 0.5 else 0.001)
    assert calm < mixed <= wild * 1.05


@pytest.mark.parametrize("hits, length", [([], 1.0), ([0.5], 0.0)])
def test_nothing_is_said_of_nothing(hits, length):
    assert narrowest_window(hits, length, 0.1) is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: budget_for(1.0, 0.01),
        lambda: budget_for(0.95, 0),
        lambda: upper_bound(3, 2),
        lambda: upper_bound(-1, 2),
    ],
)
def test_impossible_figures_are_refused(wrong):
    with pytest.raises(ValueError):
        wrong()
