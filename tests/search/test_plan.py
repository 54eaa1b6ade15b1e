"""Planned instants: where instants are exact, none is cut twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.search.plan import Plan, Unmade

PLANS = st.builds(
    lambda marker_us, offset_us, boots: Plan("request-sent", offset_us, marker_us + offset_us, boots=boots),
    st.sampled_from([0, 3]),
    st.integers(0, 6),
    st.sampled_from([(), (5,)]),
)


@given(st.lists(PLANS, max_size=60))
def test_no_instant_is_cut_twice(plans):
    unmade = Unmade()
    made = [unmade.instead_of(plan) for plan in plans]
    assert len({(one.time_us, one.boots, one.off_us) for one in made}) == len(made)
    for number, (asked, one) in enumerate(zip(plans, made)):
        moved_us = one.time_us - asked.time_us
        assert (one.marker, one.boots, one.stream) == (asked.marker, asked.boots, asked.stream)
        assert one.offset_us == asked.offset_us + moved_us >= 0
        # The nearest instants on both sides were cut before, or lie before the marker.
        assert abs(moved_us) <= number


def test_an_instant_that_was_not_cut_stays():
    plan = Plan("request-sent", 1234, 2234)
    assert Unmade().instead_of(plan) is plan
