"""Whatever a key answers after a cut, the campaign goes on, and it is never the harness that is blamed."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.base.errors import GARBLED, MALFORMED
from harness.bench.registry import discover
from harness.campaign.home import Home, go_home, seeded
from harness.campaign.observe import observe
from harness.model.judge import judge
from harness.model.operation import new, old
from harness.model.outcome import Outcome, Severity
from harness.model.row import Judged
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from support.corrupt import KINDS, Corruption, CorruptTransports

ANSWERS = 80
"""Number of answers in a look at all items, about."""
corruptions = st.builds(
    Corruption,
    st.sampled_from([kind for kind in KINDS if kind != "busy"]),
    st.integers(1, ANSWERS),
    st.booleans(),
    st.integers(0, 0xFFFF),
    st.binary(min_size=1, max_size=80),
)


@pytest.fixture(scope="module")
def home():
    class Quiet(Home):
        """Hypothesis shows the arguments of a test that fails; a whole flash is too much of them."""

        __repr__ = object.__repr__

    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    rig = TwinRig("nk3", key, twin, TwinOptions(personality="reference-1.9"), 1, expendable=True)
    found = go_home(rig)
    return rig, Quiet(found.memory, found.state), rig.transports


def look(home, corruption):
    rig, home, transports = home
    rig.inside.restore(home.state)
    rig.transports = transports
    rig.transports = CorruptTransports(rig, corruption)
    with seeded(rig, "look"):
        items = rig.key.items
        return items, observe(rig, items, home.memory, home.memory)


def sound(home):
    return look(home, Corruption("flip", 10**9, False, 0, b"\0"))


@pytest.fixture(scope="module")
def before(home):
    return sound(home)[1].values


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corruption=corruptions)
@example(Corruption("replace", 3, False, 0, b"\x81" * 2000))
@example(Corruption("replace", 3, True, 0, b"\xa1\x01\x80"))
@example(Corruption("keepalives", 4, True, 0, b"\0"))
def test_no_corruption_ends_a_look_or_is_blamed_on_the_harness(home, before, corruption):
    items, seen = look(home, corruption)
    verdict = judge(
        items=items, worlds=[old({}), new({})], before=before, seen=seen.values, acknowledged=False
    )
    assert set(seen.values) == {item.name for item in items} or seen.stuck
    json.dumps(Judged({"changed": {name: list(pair) for name, pair in verdict.changed.items()}}, {}).row)
    assert not verdict.breaches or verdict.outcome.is_violation


def test_a_key_that_is_always_busy_is_asked_a_limited_number_of_times(home, monkeypatch):
    monkeypatch.setattr("fido2.hid.Event.wait", lambda event, limit_s=None: False)
    _, seen = look(home, Corruption("busy", 12, False, 0, b"\0"))
    assert not seen.answers, "a key that is busy once is asked again"
    _, seen = look(home, Corruption("busy", 12, True, 0, b"\0"))
    assert "busy whenever it was asked" in str(seen.values)


def test_a_sound_key_is_seen_as_before(home, before):
    assert sound(home)[1].values == before


def test_data_that_cannot_be_read_is_lost_and_severe_and_its_bytes_are_shown(home, before):
    items, seen = look(home, Corruption("replace", 12, False, 0, b"\xa1\x01"))
    (name,) = seen.answers
    assert seen.values[name].startswith(MALFORMED)
    assert "a101" in seen.values[name]
    assert seen.answers[name] == b"\0\xa1\x01"
    verdict = judge(items=items, worlds=[new({})], before=before, seen=seen.values, acknowledged=True)
    assert (verdict.outcome, verdict.breaches[0].severity) == (Outcome.LOST, Severity.S1)


def test_a_transfer_without_an_end_is_an_answer_that_is_not_given(home, before):
    items, seen = look(home, Corruption("keepalives", 12, False, 0, b"\0"))
    (name,) = seen.answers
    assert seen.values[name].startswith(GARBLED)
    verdict = judge(items=items, worlds=[new({})], before=before, seen=seen.values, acknowledged=True)
    (breach,) = verdict.breaches
    assert (breach.item, breach.outcome, breach.severity) == (name, Outcome.STUCK, Severity.S2)


def test_a_bug_of_ours_in_an_item_stays_ours(home):
    from harness.base.errors import HarnessFault
    from harness.model.operation import Item
    from harness.model.outcome import Law
    from harness_fido2.client import fido

    def wrong_argument(look):
        return fido(look).ctap.get_assertion(None, object())

    def wrong_line(look):
        return fido(look).info.options["absent"]["more"]

    rig, at_home, transports = home
    for bug in (wrong_argument, wrong_line):
        rig.inside.restore(at_home.state)
        rig.transports = transports
        with pytest.raises(HarnessFault, match="could not be observed"):
            observe(rig, [Item("fido2.bug", Law.KEPT, bug)], at_home.memory, at_home.memory)
