"""What else an update depends on: how full the key is, and how old the client is (docs/updates.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from nitrokey.trussed.updates import Warning

from harness.model.rig import Rig
from harness.twin.glass_box import require_glass_box
from harness_fido2.client import fido_memory
from harness_nitrokey3 import containers, images, signing
from harness_nitrokey3.images import Recipe
from harness_nitrokey3.refusal import Refusal, SlowBoot
from harness_nitrokey3.updater import update
from harness_suites.downgrade.bench import container, data_judged, in_state, running
from harness_suites.downgrade.table import PAIRS, REFUSED, Data, Pair

MOVES = ("1.2.2-to-1.8.3", "1.7.2-to-1.8.3", "1.8.3-to-1.9.0", "1.0.0-to-1.8.3")
"""Over both moves of data, over one, over none, and one that deletes."""
FILLS = {"half full": 0.5, "full": 1.0}
OURS, WANTED = "1.8.3", "1.9.0"

FULL = pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)


@FULL
@pytest.mark.parametrize(
    "pair", [pair for pair in PAIRS if pair.id in MOVES and pair.host != REFUSED], ids=lambda pair: pair.id
)
def test_a_key_that_is_filled_up_keeps_its_data(
    rig: Rig, pair: Pair, fill: float, record_property: Callable[[str, object], None]
) -> None:
    """A first boot that moves files needs room for it: with little it must succeed all the same, or change nothing.

    Policy: on our sound firmware it succeeds, because credentials always leave blocks free for it. The vendor's
    updater may call it a failure: it waits for 30 s (60 tries), and a first boot that renames a hundred files takes
    longer than that where each costs several erases of 85 ms (in our model; it deserves a try on a device).
    """
    key = in_state(rig, pair.ours, "application", fill)
    assert fido_memory(key.home.memory).filled, "the key was not filled up"
    try:
        update(key.rig, container(key.rig, pair.wanted).data, uuid=key.uuid)
    except SlowBoot as slow:
        record_property("tries that the first boot took", slow.found)
    assert running(key.rig) == f"application v{pair.wanted}"
    judged = data_judged(key, deleted=pair.data is Data.DELETED)
    assert not judged.breaches, "; ".join(f"{breach.item}: {breach.text}" for breach in judged.breaches)


@FULL
@pytest.mark.parametrize("state", ["application", "bootloader", "half-updated"])
def test_a_key_that_is_filled_up_refuses_what_an_empty_one_does(rig: Rig, state: str, fill: float) -> None:
    key = in_state(rig, OURS, state, fill)
    start = require_glass_box(key.rig).snapshot()
    with pytest.raises(Refusal):
        update(key.rig, container(key.rig, "1.8.2").data, uuid=key.uuid)
    assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == []


def _asking_for(key: object, client: str) -> bytes:
    """A good container that names the oldest client that may install it."""
    image = images.make(Recipe(WANTED), signing.seed_of(key))  # type: ignore[arg-type]
    return containers.pack(image, f"v{WANTED}", sdk=client).data


@pytest.mark.parametrize("state", ["application", "bootloader"])
def test_a_client_that_is_too_old_refuses_unless_it_is_told_not_to(rig: Rig, state: str) -> None:
    """Policy: the refusal changes nothing. Who insists gets the update, because the key itself knows no clients."""
    key = in_state(rig, OURS, state)
    start = require_glass_box(key.rig).snapshot()
    data = _asking_for(key.rig, "v99.0.0")
    with pytest.raises(Refusal) as refusal:
        update(key.rig, data, uuid=key.uuid, ignore=frozenset(Warning) - {Warning.SDK_VERSION})
    assert refusal.value.by == "host"
    assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == []
    said = update(key.rig, data, uuid=key.uuid).said
    assert ("warning", Warning.SDK_VERSION.value) in said
    assert running(key.rig) == f"application v{WANTED}"


def test_a_client_that_is_new_enough_says_nothing_of_it(rig: Rig) -> None:
    key = in_state(rig, OURS, "application")
    said = update(key.rig, _asking_for(key.rig, "v0.1.0"), uuid=key.uuid, ignore=frozenset()).said
    assert not [text for kind, text in said if kind == "warning"]
    assert running(key.rig) == f"application v{WANTED}"


def test_from_the_bootloader_the_client_warns_because_it_knows_no_version(rig: Rig) -> None:
    """Policy: unless it is told to go on it stops there, and changes nothing. If it goes on the key protects itself."""
    key = in_state(rig, OURS, "bootloader")
    start = require_glass_box(key.rig).snapshot()
    data = container(key.rig, WANTED).data
    with pytest.raises(Refusal) as refusal:
        update(key.rig, data, uuid=key.uuid, ignore=frozenset())
    assert str(refusal.value) == Warning.UPDATE_FROM_BOOTLOADER.value
    assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == []
    assert running(key.rig) == f"application v{OURS}"
