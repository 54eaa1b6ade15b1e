"""Which operation the next cuts go to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.budget_split import BudgetSplit, CutAllocation


def spend(allocation, outcome):
    order = []
    while (name := allocation.next()) is not None:
        order.append(name)
        allocation.tell(name, outcome(name, len(order)))
    return order


@given(st.integers(1, 8), st.integers(0, 400), st.floats(0, 1), st.integers(0, 100))
def test_the_budget_is_spent_and_nobody_gets_less_than_an_equal_share(count, budget, equally, floor):
    names = [f"op{i}" for i in range(count)]
    allocation = CutAllocation(names, budget, floor=floor, equally=equally)
    order = spend(allocation, lambda name, n: "old")
    assert len(order) == budget
    assert min(allocation.given().values()) >= int(budget * equally) // count
    assert min(allocation.given().values()) >= min(floor, budget // count)


def test_the_rest_goes_where_outcomes_are_new():
    allocation = CutAllocation(["dull", "new"], 400)
    spend(allocation, lambda name, n: "old" if name == "dull" else f"class {n}")
    given_to = allocation.given()
    assert given_to["dull"] == 140
    assert given_to["new"] == 260


def test_where_nothing_is_new_it_stays_about_equal():
    allocation = CutAllocation(["a", "b", "c"], 300)
    spend(allocation, lambda name, n: "old")
    assert max(allocation.given().values()) - min(allocation.given().values()) <= 1


def test_cuts_that_were_not_told_yet_count_as_given():
    allocation = CutAllocation(["a", "b"], 10)
    assert [allocation.next() for _ in range(11)].count("a") == 5


def test_a_budget_needs_an_operation():
    with pytest.raises(ValueError, match="no operation"):
        CutAllocation([], 10)


class Fake:
    """A campaign that can make a number of cuts, each with the outcome "old"."""

    def __init__(self, can, allowance):
        self._can, self.planned = can, 0
        self.result = SimpleNamespace(rows=[])
        self.more(allowance)

    def more(self, allowance):
        made = max(0, min(self._can, allowance.cuts) - self.planned)
        self.planned += made
        self.result.rows += [{"outcome": "old", "changed": {}}] * made
        return self.result


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 3), st.integers(0, 300))
def test_the_whole_budget_is_spent_and_a_plan_knows_it(can, absent, budget):
    """Also where operations can take less than their share, or are not offered by the key."""
    most = {f"op{n}": cuts for n, cuts in enumerate(can)}
    split = BudgetSplit([*most, *(f"absent{n}" for n in range(absent))], budget)
    first, rest = split.forecast(most)
    campaigns = {name: Fake(cuts, split.first(name)) for name, cuts in most.items()}
    assert {name: one.planned for name, one in campaigns.items()} == first
    if split.leaves_rest:
        split.rest(campaigns, lambda name, go: go())
        assert sum(one.planned for one in campaigns.values()) == min(budget, sum(can))
    assert sum(one.planned for one in campaigns.values()) == sum(first.values()) + rest
