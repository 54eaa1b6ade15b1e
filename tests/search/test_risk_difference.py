"""Differences of two shares, against published figures and laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.search.risk_difference import holm, independent, mcnemar, paired, wilson


def test_an_example_of_newcombe():
    """56 of 70 and 48 of 80: Newcombe 1998, table II, method 10 without correction."""
    found = independent((48, 80), (56, 70), 0.95)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_an_example_of_pairs():
    """1, 1, 7 and 12 pairs: Fagerland and others, Statistics in Medicine 33 (2014), 2850-2875."""
    found = paired(1, 1, 7, 12, 0.95)
    assert (found.low, found.high) == (pytest.approx(0.026, abs=5e-4), pytest.approx(0.507, abs=5e-4))


def test_exact_tests():
    """Fisher's lady who tastes tea; McNemar's binomial: 2 (1 + 10) / 1024."""
    assert independent((1, 4), (3, 4), 0.95).p == pytest.approx(34 / 70)
    assert mcnemar(1, 9) == pytest.approx(22 / 1024)
    assert mcnemar(0, 0) == 1


def test_holm_is_stepwise_and_monotone():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


counts = st.integers(0, 40)


@given(counts, counts, counts, counts)
def test_pairs_the_other_way_round_give_the_other_sign(both, only_a, only_b, neither):
    if not both + only_a + only_b + neither:
        return
    one, other = paired(both, only_a, only_b, neither, 0.95), paired(both, only_b, only_a, neither, 0.95)
    assert one.value == pytest.approx(-other.value)
    assert one.low == pytest.approx(-other.high, abs=1e-9)
    assert one.low - 1e-12 <= one.value <= one.high + 1e-12
    assert one.p == pytest.approx(other.p)


@given(st.integers(1, 200), st.data())
def test_more_confidence_is_a_wider_interval(of, data):
    bad = data.draw(st.integers(0, of))
    low, high = wilson(bad, of, 0.95)
    wider = wilson(bad, of, 0.99)
    assert wider[0] - 1e-12 <= low <= bad / of <= high <= wider[1] + 1e-12


@pytest.mark.parametrize(("bad", "of"), [(1, 0), (3, 2), (-1, 2)])
def test_impossible_counts_are_refused(bad, of):
    with pytest.raises(ValueError, match=str(of)):
        wilson(bad, of, 0.95)
