"""Looking at a key: what it refuses is a value, what a plugin gets wrong is the harness' fault."""

from __future__ import annotations

import pytest

from harness.base.errors import HarnessFault, MalformedAnswer, Refused
from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.observe import NO_ANSWER, complete, observe
from harness.model.operation import Item, World
from harness.model.outcome import Law, Outcome
from harness.model.rig import KeyGone
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig


@pytest.fixture(scope="module")
def home():
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    rig = TwinRig("nk3", key, twin, TwinOptions(), 1, expendable=True)
    return rig, go_home(rig)


def look(home, *items):
    rig, home = home
    rig.inside.restore(home.state)
    return observe(rig, items, home.memory, home.memory)


def test_all_items_of_a_sound_key_have_their_values(home):
    seen = look(home, *home[0].key.items)
    assert seen.stuck is None
    assert seen.boots == 2, "one boot, and one after the replug"
    assert seen.values["fido2.resident_credentials"] == ("canary-1", "canary-2")
    assert seen.values["fido2.pin"] == "current"
    assert list(seen.values["fido2.sign_count"]) == sorted(set(seen.values["fido2.sign_count"]))


def test_free_items_come_first_and_replugged_ones_last(home):
    order = []
    items = [
        Item("late", Law.KEPT, lambda look: order.append("late"), after_replug=True),
        Item("dear", Law.KEPT, lambda look: order.append("dear"), spends=frozenset({"counter"})),
        Item("free", Law.KEPT, lambda look: order.append("free")),
    ]
    look(home, *items)
    assert order == ["free", "dear", "late"]


def test_a_key_that_leaves_while_it_is_used_gives_no_answer_and_the_rest_goes_on(home):
    def leaves(look):
        raise KeyGone("gone")

    seen = look(home, Item("a", Law.KEPT, leaves), Item("b", Law.KEPT, lambda look: "here"))
    assert seen.values == {"a": NO_ANSWER, "b": "here"}
    assert seen.stuck is None


@pytest.mark.parametrize(
    "error", [OSError(19, "gone"), KeyGone("gone"), Refused("INITIALIZE", "6982"), MalformedAnswer("short")]
)
def test_a_world_that_the_key_does_not_let_complete_is_the_keys_fault(home, error):
    def refuses(rig, memory):
        raise error

    rig, at_home = home
    rig.inside.restore(at_home.state)
    why = complete(rig, World("half", Outcome.RECOVERED, {}, refuses), at_home.memory.copy())
    assert why
    assert not rig.power.is_on


def test_a_bug_in_the_act_that_completes_a_world_stays_ours(home):
    rig, at_home = home
    rig.inside.restore(at_home.state)
    with pytest.raises(ZeroDivisionError):
        complete(rig, World("half", Outcome.RECOVERED, {}, lambda rig, memory: 1 // 0), at_home.memory.copy())


def test_an_item_that_raises_is_named_and_is_not_the_keys_fault(home):
    with pytest.raises(HarnessFault, match="acme") as caught:
        look(home, Item("acme.x", Law.KEPT, lambda look: {}["absent"]))
    assert "KeyError" in str(caught.value)
    assert "acme" in caught.value.mend
