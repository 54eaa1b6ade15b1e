"""Damaged containers: the updater refuses them before it sends anything, and the key refuses the images (U4)."""

from __future__ import annotations

import pytest

from harness.api import (
    ACCEPTED,
    UNCHANGED,
    BoardState,
    DamagedContainer,
    Rig,
    UpdateRefused,
    require_glass_box,
)
from harness_suites.downgrade.bench import Prepared, in_state, running, updates_of
from harness_suites.downgrade.table import DAMAGES

SEEN = [damage for damage in DAMAGES if not damage.only_the_key_sees]
SENT = [damage for damage in DAMAGES if not damage.image_is_good]


@pytest.mark.parametrize("state", ["application", "bootloader"])
@pytest.mark.parametrize("damage", SEEN, ids=lambda damage: damage.id)
def test_a_damaged_container_is_refused(rig: Rig, damage: DamagedContainer, state: str) -> None:
    """Each row of table.DAMAGES has its reason. No chip changes, and the old firmware runs."""
    key = in_state(rig, updates_of(rig).installed, state)
    start = require_glass_box(key.rig).snapshot()
    made = damage.make(key.rig)
    with pytest.raises(UpdateRefused):
        key.update(made)
    _check_unchanged(key, start, damage)


@pytest.mark.parametrize("damage", SENT, ids=lambda damage: damage.id)
def test_a_key_that_is_sent_a_damaged_image_never_starts_it(rig: Rig, damage: DamagedContainer) -> None:
    """Send the image past every check of the updater.

    Policy: a bad init packet leaves the key unchanged, byte for byte. A good packet with a bad binary costs the
    old firmware, as every update does, and the key waits for a good image.
    """
    key = in_state(rig, updates_of(rig).installed, "bootloader")
    start = require_glass_box(key.rig).snapshot()
    made = damage.make(key.rig)
    offered = key.updates.offer(key.rig, made, whole=True)
    if damage.key == UNCHANGED:
        assert offered.startswith("refused"), f"the bootloader took it, although {damage.why}"
        _check_unchanged(key, start, damage)
        return
    runs = running(key.rig)
    assert runs == "bootloader", f"the key shows {runs} instead of its bootloader, although {damage.why}"
    key.update(key.container(key.updates.intact_target))
    _check_runs(key, key.updates.intact_target, "after the good container that followed")


def _check_unchanged(key: Prepared, start: BoardState, damage: DamagedContainer) -> None:
    changed = require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot())
    assert changed == [], f"a refusal wrote to {', '.join(changed)}, although {damage.why}"
    _check_runs(key, key.updates.installed, f"although {damage.why}")


def _check_runs(key: Prepared, version: str, when: str) -> None:
    runs = running(key.rig)
    assert runs == f"application v{version}", f"the key shows {runs} instead of v{version}, {when}"


@pytest.mark.parametrize("flag", ["newer", "same"])
def test_a_debug_flag_helps_and_hinders_no_good_image(rig: Rig, flag: str) -> None:
    """Policy: a release build ignores it, and the version floor rises as with any other image."""
    key = in_state(rig, updates_of(rig).installed, "bootloader")
    version = key.updates.target if flag == "newer" else key.updates.installed
    made = key.updates.debug_container(key.rig, version)
    if made is None:
        pytest.skip("the images of this key have no debug flag")
    offered = key.updates.offer(key.rig, made, whole=True)
    assert offered == ACCEPTED, f"the bootloader said {offered} to a good image with a debug flag"
    _check_runs(key, version, "the good image with a debug flag")
    key.updates.enter_bootloader(key.rig)
    lower = key.updates.offer(key.rig, key.container(key.updates.earlier(version)))
    assert lower.startswith(key.updates.refused_as_older), f"below v{version} the bootloader said {lower}"
