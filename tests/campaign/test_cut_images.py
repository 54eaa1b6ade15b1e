"""Samples of cuts: spread evenly, and no cut twice."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from harness.base.seeds import child
from harness.campaign.cut_images import evenly_ordered, spread


@given(length=st.integers(0, 400), count=st.integers(0, 400), seed=st.integers(0, 2**32))
@example(length=4, count=3, seed=1)
def test_a_sample_holds_no_cut_twice(length, count, seed):
    chosen = spread(range(length), count, child(seed, "spread"))
    assert len(chosen) == min(length, count)
    assert sorted(set(chosen)) == chosen


@given(length=st.integers(1, 400), count=st.integers(1, 400), seed=st.integers(0, 2**32))
def test_a_sample_is_spread_evenly(length, count, seed):
    """Each cut is at most one place from the part that it stands for."""
    if count < length:
        for part, place in enumerate(spread(range(length), count, child(seed, "spread"))):
            assert part * length / count - 1 < place < (part + 1) * length / count + 1


@given(length=st.integers(0, 300), seed=st.integers(0, 2**32))
def test_an_even_order_holds_each_cut_once(length, seed):
    assert sorted(evenly_ordered(range(length), child(seed, "order"))) == list(range(length))
