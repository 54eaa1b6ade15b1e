"""How many cuts it takes, on devices with a known window, against the figures the search is held to.

Held to them on the list that the search was not tuned on; `script/bench` shows both.
"""

from __future__ import annotations

from functools import partial
from itertools import islice

import pytest

from benchmarks.devices import BAD
from benchmarks.search import (
    CONFIDENCE,
    DEVICES,
    FIGURES,
    LISTS,
    PERIODIC_CUTS,
    PROVING,
    SCENARIOS,
    cuts_of,
    hits,
    proved,
    search_for,
)
from harness.search.bounds import lower_bound

GOALS = [SCENARIOS[0], SCENARIOS[1], SCENARIOS[2], SCENARIOS[4]]
HIDDEN, HALO = SCENARIOS[3], SCENARIOS[4]
HELD_OUT = range(LISTS["held out"], LISTS["held out"] + DEVICES)
WITHIN = 1.1
"""A goal is reached if our figure is at most this many times the goal."""
names = partial(pytest.mark.parametrize, ids=lambda scenario: scenario.name)


@names("scenario", [*GOALS, HIDDEN])
def test_on_a_few_devices_the_goals_are_in_reach(scenario):
    """A quarter of the list, so with some room for chance."""
    median, p95 = FIGURES[scenario.name, "hybrid"]
    found = hits(scenario, "hybrid", range(50))
    assert found.median <= 1.25 * median
    assert found.p95 <= 1.5 * p95


def test_markers_make_up_for_drift():
    bare, marked = (hits(scenario, "hybrid", range(25)) for scenario in SCENARIOS[6:8])
    assert marked.median <= WITHIN * 32
    assert 2 * marked.median < bare.median


@pytest.mark.parametrize("number", [23, 68, 193, 5068, 5082, 5098, 5138])
def test_a_halo_that_was_seen_leads_to_its_window(number):
    """Here the search once stayed at the end of the halo that it had seen first, for 400 cuts and more."""
    outcomes = [
        outcome for _, outcome, _ in islice(cuts_of(search_for(HALO, "hybrid", number), HALO, number), 900)
    ]
    assert outcomes.index(BAD) - outcomes.index("recovered") <= 120


def test_windows_that_come_back_with_every_chunk_are_seen():
    found = [proved(PROVING[2], "hybrid", PERIODIC_CUTS, number) for number in range(10)]
    assert not any(missed for missed, _, _ in found)


@pytest.mark.long
@names("scenario", GOALS)
def test_the_goals_are_reached(scenario):
    median, p95 = FIGURES[scenario.name, "hybrid"]
    found = hits(scenario, "hybrid", HELD_OUT)
    assert found.median <= WITHIN * median
    # The tail of a halo is that of finding it at all, which only covering does: it gets some more room.
    assert found.p95 <= (1.25 if scenario.kind == "halo" else WITHIN) * p95


@pytest.mark.long
def test_what_is_hidden_costs_little_more_than_by_covering_alone():
    assert hits(HIDDEN, "hybrid", HELD_OUT).median <= 1.7 * hits(HIDDEN, "vdc", HELD_OUT).median


@pytest.mark.long
@names("scenario", PROVING)
def test_bounds_hold_as_often_as_they_claim(scenario):
    found = [proved(scenario, "hybrid", PERIODIC_CUTS, number) for number in HELD_OUT]
    # 200 runs tell 5 % from more only so far: refuted is what 99 % confidence says is above it.
    assert lower_bound(sum(false for _, false, _ in found), 200, 0.99) <= 1 - CONFIDENCE
    assert lower_bound(sum(false for _, _, false in found), 200, 0.99) <= 1 - CONFIDENCE
    if scenario.kind == "periodic":
        assert not any(missed for missed, _, _ in found)
