"""The judge, as a table: what was allowed, what was seen, what it is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.judging import with_deaths
from harness.model.judge import Judgement, judge
from harness.model.operation import Item, World, new, old
from harness.model.outcome import ANY, Law, Outcome, Severity


def item(name, law, **more):
    return Item(name, law, lambda look: None, **more)


ITEMS = (
    item("seeds", Law.ATOMIC),
    item("pin", Law.ATOMIC),
    item("canary", Law.KEPT),
    item("flag", Law.KEPT, breach=Outcome.LOOSENED),
    item("status", Law.KEPT, severity=Severity.S2),
    item("tries", Law.FALLING),
    item("count", Law.RISING, may_be_constant_zero=True),
    item("codes", Law.RISING),
)
BEFORE = {
    "seeds": "s1",
    "pin": "own",
    "canary": "works",
    "flag": True,
    "status": "ok",
    "tries": 8,
    "count": (5, 6),
    "codes": (5, 6),
}
RESET = [old({"seeds": "s1", "pin": "own"}), new({"seeds": "none", "pin": "default"})]
DELETE = {"acknowledged_old": Outcome.ROLLED_BACK}


@pytest.mark.parametrize(
    "changes, acknowledged, more, outcome, blamed",
    [
        ({}, False, {}, "old", None),
        ({"seeds": "none", "pin": "default"}, False, {}, "new", None),
        ({"seeds": "none", "pin": "default"}, True, {}, "new", None),
        # Two legal items and one violation: the worlds are looked at whole.
        ({"pin": "default"}, False, {}, "torn", "pin"),
        ({"seeds": "s2"}, False, {}, "torn", "seeds"),
        ({}, True, {}, "lost", "pin"),
        ({}, True, DELETE, "rolled-back", "pin"),
        ({"canary": "absent"}, False, {}, "lost", "canary"),
        ({"flag": False}, False, {}, "loosened", "flag"),
        ({"tries": 7}, False, {}, "old", None),
        ({"tries": 9}, False, {}, "loosened", "tries"),
        ({"tries": "no answer"}, False, {}, "lost", "tries"),
        ({"count": (7, 9)}, False, {"floors": {"count": 6}}, "old", None),
        ({"count": (6, 9)}, False, {"floors": {"count": 6}}, "rolled-back", "count"),
        ({"count": (7, 7)}, False, {"floors": {"count": 6}}, "rolled-back", "count"),
        ({"count": (0, 0)}, False, {}, "old", None),
        ({"codes": (0, 0)}, False, {}, "rolled-back", "codes"),
        ({"codes": (0, 1)}, False, {}, "rolled-back", "codes"),
        ({"count": (0, 0)}, False, {"floors": {"count": 6}}, "rolled-back", "count"),
        # The worst item decides: S1 before S2.
        ({"status": "error", "canary": "absent"}, False, {}, "lost", "canary"),
        ({"status": "error"}, False, {}, "lost", "status"),
    ],
)
def test_judgement(changes, acknowledged, more, outcome, blamed):
    verdict = judge(
        items=ITEMS,
        worlds=RESET,
        before=BEFORE,
        seen={**BEFORE, **changes},
        acknowledged=acknowledged,
        **more,
    )
    assert verdict.outcome == outcome
    assert (verdict.breaches[0].item if verdict.breaches else None) == blamed
    assert set(verdict.changed) == {name for name, value in changes.items() if value != BEFORE[name]}


def test_a_named_intermediate_world_is_no_violation_until_it_was_acknowledged():
    worlds = [*RESET, World("half", Outcome.RECOVERED, {"seeds": "none", "pin": "own"})]
    seen = {**BEFORE, "seeds": "none"}
    assert (
        judge(items=ITEMS, worlds=worlds, before=BEFORE, seen=seen, acknowledged=False).outcome == "recovered"
    )
    assert judge(items=ITEMS, worlds=worlds, before=BEFORE, seen=seen, acknowledged=True).outcome == "lost"


def test_a_raised_counter_is_loosened_even_where_a_world_names_it():
    worlds = [old({"tries": 7}), new({"tries": 6})]
    before = {**BEFORE, "tries": 7}
    verdict = judge(
        items=ITEMS, worlds=worlds, before=before, seen={**before, "tries": 8}, acknowledged=False
    )
    assert verdict.outcome == "loosened"


def test_any_stands_for_every_value_in_a_world():
    worlds = [old({"pin": ANY}), new({"pin": "b"})]
    assert judge(items=ITEMS, worlds=worlds, before=BEFORE, seen=BEFORE, acknowledged=False).outcome == "old"


values = st.sampled_from(["s1", "none", "own", "default", "x"])


@given(values, values, st.booleans())
def test_exactly_the_declared_worlds_pass(seeds, pin, acknowledged):
    seen = {**BEFORE, "seeds": seeds, "pin": pin}
    verdict = judge(items=ITEMS, worlds=RESET, before=BEFORE, seen=seen, acknowledged=acknowledged)
    legal = [("none", "default")] if acknowledged else [("s1", "own"), ("none", "default")]
    assert verdict.outcome.is_violation == ((seeds, pin) not in legal)


FINE = Judgement(Outcome.OLD, "old")


@pytest.mark.parametrize(
    ("deaths", "unanswered", "outcome", "severity", "words"),
    [
        ([], [], Outcome.OLD, None, ""),
        (["crashed: SIGSEGV"], [], Outcome.OLD, "S2", "crashed: SIGSEGV, and no power was cut"),
        (["crashed: SIGSEGV"], ["tries"], Outcome.OLD, "S2", "when it was asked for tries, and no power"),
        (["hung: no answer within 10 s"], ["tries"], Outcome.STUCK, "S1", "hung: no answer within 10 s when"),
        ([], ["tries"], Outcome.STUCK, "S1", "fell silent when it was asked for tries"),
    ],
)
def test_what_a_key_does_not_answer_is_neither_lost_nor_kept(deaths, unanswered, outcome, severity, words):
    judgement = with_deaths(FINE, deaths, unanswered)
    assert judgement.outcome is outcome
    assert [breach.severity for breach in judgement.breaches] == ([severity] if severity else [])
    assert words in "".join(breach.text for breach in judgement.breaches)


@pytest.mark.parametrize("acknowledged", [True, False])
def test_of_two_worlds_that_fit_the_one_that_says_more_is_taken(acknowledged):
    """A PIN that seals the secrets makes the key ask for it: no loosened flag, but a world of its own."""
    seen = {**BEFORE, "pin": "set", "flag": False}
    sealed = World("new, sealed", Outcome.NEW, {"pin": "set", "flag": False})
    for worlds in ([new({"pin": "set"}), sealed], [sealed, new({"pin": "set"})]):
        found = judge(items=ITEMS, worlds=worlds, before=BEFORE, seen=seen, acknowledged=acknowledged)
        assert (found.outcome, found.world, found.breaches) == (Outcome.NEW, "new, sealed", ())


def judged(worlds, seen):
    return judge(items=ITEMS, worlds=worlds, before=BEFORE, seen={**BEFORE, **seen}, acknowledged=False)


def test_a_counter_below_zero_gets_a_remark_and_fails_nothing():
    (breach,) = judged([old({})], {"tries": -61}).breaches
    assert (breach.item, breach.severity) == ("tries", Severity.S3)
    assert "was 8 and is -61: no counter of tries can be below zero" in breach.text
    assert judged([old({})], {"tries": 0}).breaches == ()


def test_a_counter_below_zero_gets_a_remark_where_it_is_a_violation_too():
    breaches = judged([old({"tries": 8}), new({"tries": 7})], {"tries": -61}).breaches
    (breach,) = breaches
    assert breach.severity is not Severity.S3
    assert breach.text.endswith(
        "it must be 8 or 7: no counter of tries can be below zero, so what it is counted in is damaged"
    )
