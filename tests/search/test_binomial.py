"""Binomial tails by the continued fraction, held against the plain sum of terms."""

from __future__ import annotations

import sys
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.search.binomial import binomial_cdf, binomial_pmf
from harness.search.bounds import lower_bound, upper_bound

shares = st.floats(0.001, 0.999)
small = st.integers(1, 120).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
large = st.integers(2, 1_000_000).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n)))


def plain_sum(k: int, n: int, p: float) -> float:
    """P(X <= k) by adding up its terms, without rounding."""
    share = Fraction(p)
    return float(sum(comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(k + 1)))


@given(small, shares)
def test_the_distribution_equals_the_plain_sum(pair, p):
    k, n = pair
    assert binomial_cdf(k, n, p) == pytest.approx(plain_sum(k, n, p), rel=1e-11, abs=1e-300)


@given(small, shares)
def test_a_single_probability_equals_its_formula(pair, p):
    k, n = pair
    exact = float(comb(n, k) * Fraction(p) ** k * (1 - Fraction(p)) ** (n - k))
    assert binomial_pmf(k, n, p) == pytest.approx(exact, rel=1e-11, abs=1e-300)


@given(large, shares)
def test_the_distribution_rises_with_k_and_falls_with_p(pair, p):
    k, n = pair
    here = binomial_cdf(k, n, p)
    assert 0 <= here <= 1
    assert binomial_cdf(k + 1, n, p) >= here - 1e-12
    assert binomial_cdf(k, n, p + 0.0005) <= here + 1e-12


def test_what_is_certain():
    assert binomial_cdf(5, 5, 0.3) == 1.0
    assert binomial_cdf(2, 5, 0.0) == 1.0
    assert binomial_cdf(2, 5, 1.0) == 0.0


@given(small.filter(lambda pair: 0 < pair[0] < pair[1]), st.floats(0.5, 0.999))
def test_at_a_bound_the_plain_sum_is_the_confidence(pair, confidence):
    failures, cuts = pair
    upper, lower = upper_bound(failures, cuts, confidence), lower_bound(failures, cuts, confidence)
    assert plain_sum(failures, cuts, upper) == pytest.approx(1 - confidence, rel=1e-9)
    assert plain_sum(failures - 1, cuts, lower) == pytest.approx(confidence, rel=1e-9)


@settings(max_examples=60)
@given(large, st.floats(0.5, 0.999))
def test_bounds_of_up_to_a_million_cuts_are_ordered_and_monotone(pair, confidence):
    failures, cuts = pair
    lower, upper = lower_bound(failures, cuts, confidence), upper_bound(failures, cuts, confidence)
    assert lower <= failures / cuts <= upper
    assert upper_bound(failures + 1, cuts, confidence) >= upper, "more failures prove less"
    assert upper_bound(failures, cuts + 1, confidence) <= upper, "more cuts prove more"
    assert upper_bound(failures, cuts, confidence + 0.0005) >= upper, "more confidence proves less"
    if failures > 0:
        assert binomial_cdf(failures, cuts, upper) == pytest.approx(1 - confidence, rel=1e-6)


@pytest.mark.parametrize("failures", [1, 1_000, 50_000, 500_000, 999_999])
def test_a_bound_of_a_million_cuts_needs_no_sum_over_them(failures):
    """Counted in lines of Python, because a machine may be slow: a sum of terms executes millions."""
    assert lines_executed(lambda: upper_bound(failures, 1_000_000)) < 100_000


def lines_executed(act) -> int:
    lines = 0

    def count(_frame, event, _argument):
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        act()
    finally:
        sys.settrace(before)
    return lines
