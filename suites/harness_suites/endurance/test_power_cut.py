"""Does the key survive a power cut at any instant of each of its writes?"""

from __future__ import annotations


def test_power_cut(campaign):
    """Old or new, never anything else: see docs/invariants.md for what is observed after each cut."""
    result = campaign()
    assert result.complete


def test_where_outcomes_are_new(rest_of_the_budget):
    """What equal shares leave of a budget goes where outcomes are new; collected only when there is a budget."""
    rest_of_the_budget()
