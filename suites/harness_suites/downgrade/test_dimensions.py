"""Other conditions of an update: how full the key is, and how old the client is (docs/updates.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.api import REFUSED, Data, Rig, SlowBoot, UpdateRefused, VersionPair, require_glass_box
from harness_fido2.client import fido_memory
from harness_suites.downgrade.bench import data_judged, in_state, running, updates_of
from harness_suites.downgrade.table import PAIRS, UPDATES

MOVES = [pair for pair in PAIRS if pair.id in UPDATES[pair.device].moves and pair.host != REFUSED]
"""Updates over different moves of data, over none, and one that deletes."""
FILLS = {"half full": 0.5, "full": 1.0}

FULL = pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)


@FULL
@pytest.mark.parametrize("pair", MOVES, ids=lambda pair: pair.id)
def test_a_key_that_is_filled_up_keeps_its_data(
    rig: Rig, pair: VersionPair, fill: float, record_property: Callable[[str, object], None]
) -> None:
    """A first boot that moves files needs room for it: with little it must succeed all the same, or change nothing.

    Policy: on our sound firmware it succeeds, because credentials always leave blocks free for it. The vendor's
    updater may call it a failure: it waits for 30 s (60 tries), and a first boot that renames a hundred files takes
    longer than that where each costs several erases of 85 ms (in our model; it deserves a try on a device).
    """
    key = in_state(rig, pair.ours, "application", fill)
    assert fido_memory(key.home.memory).filled, "the key was not filled up"
    try:
        key.update(key.container(pair.wanted))
    except SlowBoot as slow:
        record_property("tries that the first boot took", slow.found)
    assert running(key.rig) == f"application v{pair.wanted}"
    judged = data_judged(key, deleted=pair.data is Data.DELETED)
    assert not judged.breaches, "; ".join(f"{breach.item}: {breach.text}" for breach in judged.breaches)


@FULL
@pytest.mark.parametrize("state", ["application", "bootloader", "half-updated"])
def test_a_key_that_is_filled_up_refuses_what_an_empty_one_does(rig: Rig, state: str, fill: float) -> None:
    key = in_state(rig, updates_of(rig).installed, state, fill)
    start = require_glass_box(key.rig).snapshot()
    with pytest.raises(UpdateRefused):
        key.update(key.container(key.updates.earlier(key.updates.installed)))
    assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == []


@pytest.mark.parametrize("state", ["application", "bootloader"])
def test_a_client_that_is_too_old_refuses_unless_it_is_told_not_to(rig: Rig, state: str) -> None:
    """Policy: the refusal changes nothing. Who insists gets the update, because the key itself knows no clients."""
    key = in_state(rig, updates_of(rig).installed, state)
    start = require_glass_box(key.rig).snapshot()
    updates = key.updates
    data = updates.container(key.rig, updates.target, client=updates.client_of_the_future).data
    with pytest.raises(UpdateRefused) as refusal:
        updates.update(key.rig, data, uuid=key.uuid, stop_at={updates.client_too_old})
    assert refusal.value.by == "host"
    assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == []
    said = updates.update(key.rig, data, uuid=key.uuid)
    assert ("warning", updates.client_too_old) in said
    assert running(key.rig) == f"application v{key.updates.target}"


def test_a_client_that_is_new_enough_says_nothing_of_it(rig: Rig) -> None:
    key = in_state(rig, updates_of(rig).installed, "application")
    updates = key.updates
    data = updates.container(key.rig, updates.target, client=updates.client_of_any_age).data
    said = updates.update(key.rig, data, uuid=key.uuid, stop_at=None)
    assert not [text for kind, text in said if kind == "warning"]
    assert running(key.rig) == f"application v{key.updates.target}"


def test_from_the_bootloader_the_client_warns_because_it_knows_no_version(rig: Rig) -> None:
    """Policy: the client stops and changes nothing, unless it is told to continue. Then the key protects itself."""
    key = in_state(rig, updates_of(rig).installed, "bootloader")
    start = require_glass_box(key.rig).snapshot()
    data = key.container(key.updates.target).data
    with pytest.raises(UpdateRefused) as refusal:
        key.updates.update(key.rig, data, uuid=key.uuid, stop_at=None)
    assert str(refusal.value) == key.updates.version_unknown
    assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == []
    assert running(key.rig) == f"application v{key.updates.installed}"
