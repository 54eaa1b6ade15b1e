"""Whatever a card or a Nitrokey Pro answers after a cut, the campaign goes on, and the harness is never blamed."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.base.errors import GARBLED
from harness.bench.registry import discover
from harness.campaign.home import Home, go_home, seeded
from harness.campaign.observe import observe
from harness.model.judge import judge
from harness.model.operation import new, old
from harness.model.outcome import Outcome, Severity
from harness.model.row import Judged
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from support.corrupt import Corruption
from support.corrupt_cards import CARD_KINDS, REPORT_KINDS, CorruptTransports

SOUND = Corruption("flip", 10**9, False, 0, b"\0")


class Side:
    """One side of a key in its home state, and what a look finds there.

    :ivar before: what the sound key shows. :ivar answers: number of answers on this side in one look.
    """

    def __init__(self, rig: TwinRig, home: Home, endpoint: str):
        self.rig, self.home, self.transports, self.endpoint = rig, home, rig.transports, endpoint
        self.before = self.look(SOUND).values
        self.answers = rig.transports.answers

    def look(self, corruption):
        self.rig.inside.restore(self.home.state)
        self.rig.transports = self.transports
        self.rig.transports = CorruptTransports(self.rig, self.endpoint, corruption)
        with seeded(self.rig, "look"):
            return observe(self.rig, self.rig.key.items, self.home.memory, self.home.memory)

    def judged(self, seen, world=new, acknowledged=True):
        return judge(
            items=self.rig.key.items,
            worlds=[world({})],
            before=self.before,
            seen=seen.values,
            acknowledged=acknowledged,
        )


def side(key, endpoint):
    plugins = discover()
    rig = TwinRig("mine", plugins.keys[key], plugins.twins[key], TwinOptions(), 1, expendable=True)
    return Side(rig, go_home(rig), endpoint)


@pytest.fixture(scope="module", params=["nitrokey-hsm2", "openpgp", "nitrokey-pro"])
def card(request):
    return side(request.param, "card")


@pytest.fixture(scope="module")
def pro():
    return side("nitrokey-pro", "hid-feature")


def corruptions(kinds):
    return st.builds(
        Corruption,
        st.sampled_from(kinds),
        st.integers(1, 60),
        st.booleans(),
        st.integers(0, 0xFFFF),
        st.binary(min_size=1, max_size=80),
    )


def is_survived(one, corruption):
    """A look ends, with a value of each item, and its verdict can be written."""
    seen = one.look(corruption)
    verdict = one.judged(seen, old, acknowledged=False)
    assert set(seen.values) == {item.name for item in one.rig.key.items} or seen.stuck
    json.dumps(Judged({"changed": {name: list(pair) for name, pair in verdict.changed.items()}}, {}).row)
    assert not verdict.breaches or verdict.outcome.is_violation


QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(corruption=corruptions(CARD_KINDS))
@example(Corruption("more", 3, True, 0, b"\0"))
@example(Corruption("short", 5, True, 1, b"\0"))
@example(Corruption("silence", 7, True, 0, b"\0"))
def test_no_answer_of_a_card_ends_a_look_or_is_blamed_on_the_harness(card, corruption):
    is_survived(card, corruption)


@QUICK
@given(corruption=corruptions(REPORT_KINDS))
@example(Corruption("busy", 4, True, 0, b"\0"))
@example(Corruption("stale", 4, True, 0, b"\0"))
@example(Corruption("silence", 4, True, 0, b"\0"))
def test_no_report_of_a_pro_ends_a_look_or_is_blamed_on_the_harness(pro, corruption):
    is_survived(pro, corruption)


@pytest.mark.parametrize("kind", ["flip", "stale", "busy", "short"])
def test_a_report_that_cannot_be_read_is_the_answer_that_the_key_did_not_give(pro, kind):
    """A wrong CRC, the answer to an earlier command, "busy" for half a minute, 3 bytes of 64."""
    seen = pro.look(Corruption(kind, pro.answers // 2, False, 3, b"\x10"))
    (name,) = seen.answers
    assert seen.values[name].startswith(GARBLED)
    (breach,) = pro.judged(seen).breaches
    assert (breach.item, breach.outcome, breach.severity) == (name, Outcome.STUCK, Severity.S2)


@pytest.mark.parametrize("kind", ["more", "more of nothing", "short"])
def test_an_answer_of_a_card_without_an_end_is_one_that_it_did_not_give(card, kind):
    seen = card.look(Corruption(kind, card.answers // 2, False, 1, b"\0"))
    (name,) = seen.answers
    assert seen.values[name].startswith(GARBLED)
    (breach,) = card.judged(seen).breaches
    assert (breach.item, breach.outcome, breach.severity) == (name, Outcome.STUCK, Severity.S2)


def test_sound_answers_are_seen_as_before(card, pro):
    for one in (card, pro):
        assert one.look(SOUND).values == one.before
