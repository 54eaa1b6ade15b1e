"""From an abnormal outcome to what is known of it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.search.recheck_plan import MISSES, RecheckPlan, RecheckStep, is_abnormal


def follow(plan, answer):
    """Do what is planned until nothing is left; returns the actions."""
    actions = []
    while (action := plan.action) is not None:
        actions.append(action)
        plan.tell(answer(action))
        assert len(actions) < 1000, "it does not end"
    return actions


def needs(*wanted):
    """A key that is torn if what was done to it before holds these, in any order."""
    return lambda action: (
        "torn" if action.step in ("read", "cycle") or set(wanted) <= set(action.history) else "old"
    )


def test_first_the_key_is_looked_at_before_anything_changes_it():
    plan = RecheckPlan("torn")
    steps = [action.step for action in follow(plan, lambda action: "torn")]
    assert steps == ["read"] * 3 + ["cycle"] * 2 + ["repeat"] * 5


def test_a_finding_that_always_comes_back():
    plan = RecheckPlan("torn")
    follow(plan, lambda action: "torn")
    found = plan.findings
    assert (found.reproduced, found.repeats, found.metastable, found.history) == (5, 5, False, ())
    assert found.interval == (pytest.approx(0.478, abs=1e-3), 1.0)


def test_a_metastable_key_reads_differently():
    answers = iter(["torn", "old", "torn", "torn", "torn"])
    plan = RecheckPlan("torn")
    follow(plan, lambda action: next(answers, "torn"))
    assert plan.findings.metastable
    assert plan.findings.reads == ("torn", "old", "torn")


def test_what_does_not_come_back_is_not_shortened():
    plan = RecheckPlan("torn", history=range(8))
    actions = follow(plan, lambda action: "torn" if action.step in ("read", "cycle") else "old")
    assert {action.step for action in actions} == {"read", "cycle", "repeat"}
    assert plan.findings.history is None
    assert plan.findings.interval == (0.0, pytest.approx(0.522, abs=1e-3))


@given(st.integers(0, 14), st.sets(st.integers(0, 13), max_size=4))
def test_a_history_is_shortened_to_what_is_needed(length, wanted):
    wanted = {one for one in wanted if one < length}
    plan = RecheckPlan("torn", history=range(length), shrinks=1000)
    follow(plan, needs(*wanted))
    assert plan.findings.history == tuple(sorted(wanted))


@given(st.integers(1, 10), st.integers(0, 99))
def test_a_fickle_finding_ends_as_well_and_its_history_still_shows_it(length, seed):
    random = Random(seed)
    plan = RecheckPlan("torn", history=range(length))
    follow(plan, lambda action: "torn" if 0 in action.history and random.random() < 0.6 else "old")
    assert plan.findings.history is None or 0 in plan.findings.history


def test_shortening_costs_no_more_than_it_may():
    plan = RecheckPlan("torn", history=range(400), shrinks=30)
    actions = follow(plan, needs(*range(0, 400, 3)))
    assert sum(action.step == "shrink" for action in actions) == 30


def test_a_rig_that_misses_ends_it_without_an_opinion():
    plan = RecheckPlan("torn", history=[1, 2])
    actions = follow(plan, lambda action: "torn" if action.step in ("read", "cycle") else "missed")
    assert [action.step for action in actions].count("repeat") == MISSES
    assert plan.findings.repeats == 0
    assert plan.findings.interval is None


def test_a_repetition_starts_from_the_whole_history():
    plan = RecheckPlan("torn", history=["a", "b"], reads=0, cycles=0)
    assert plan.action == RecheckStep("repeat", ("a", "b"))


def test_nothing_can_be_told_when_nothing_is_left():
    plan = RecheckPlan("torn")
    follow(plan, lambda action: "torn")
    with pytest.raises(ValueError, match="nothing left"):
        plan.tell("torn")


def test_what_deserves_it():
    wanted = {"recovered", "torn", "lost", "rolled-back", "loosened", "stuck"}
    every = wanted | {"old", "new", "bootloader", "missed"}
    assert {outcome for outcome in every if is_abnormal(outcome)} == wanted
