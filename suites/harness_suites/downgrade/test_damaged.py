"""Damaged containers: the updater refuses them before it sends anything, and the key refuses the images (U4)."""

from __future__ import annotations

import pytest

from harness.api import UNCHANGED, DamagedContainer, Rig, UpdateRefused, require_glass_box
from harness_suites.downgrade.bench import in_state, running, updates_of
from harness_suites.downgrade.table import DAMAGES

SENT = [damage for damage in DAMAGES if not damage.image_is_good]


@pytest.mark.parametrize("state", ["application", "bootloader"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.id)
def test_a_damaged_container_is_refused(rig: Rig, damage: DamagedContainer, state: str) -> None:
    """Each row of table.DAMAGES has its reason. No chip changes, and the old firmware runs."""
    key = in_state(rig, updates_of(rig).installed, state)
    start = require_glass_box(key.rig).snapshot()
    made = damage.make(key.rig)
    with pytest.raises(UpdateRefused):
        key.update(made)
    assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == [], (
        damage.why
    )
    assert running(key.rig) == f"application v{key.updates.installed}", damage.why


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
        assert offered.startswith("refused"), damage.why
        assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == [], (
            damage.why
        )
        assert running(key.rig) == f"application v{key.updates.installed}", damage.why
        return
    assert running(key.rig) == "bootloader", damage.why
    key.update(key.container(key.updates.intact_target))
    assert running(key.rig) == f"application v{key.updates.intact_target}"
