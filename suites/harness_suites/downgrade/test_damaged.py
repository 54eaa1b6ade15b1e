"""Images that are none: refused by the updater before anything is sent, and by the key if they are (U4)."""

from __future__ import annotations

import pytest

from harness.model.rig import Rig
from harness.twin.glass_box import require_glass_box
from harness_nitrokey3 import bootloader_probe, signing
from harness_nitrokey3.refusal import Refusal
from harness_nitrokey3.updater import update
from harness_suites.downgrade.bench import container, in_state, running
from harness_suites.downgrade.table import DAMAGES, GOOD_IMAGE, UNCHANGED, WANTED, Damage

OURS = "1.8.3"
SENT = [damage for damage in DAMAGES if damage.id not in GOOD_IMAGE]


@pytest.mark.parametrize("state", ["application", "bootloader"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.id)
def test_a_damaged_container_is_refused(rig: Rig, damage: Damage, state: str) -> None:
    """The reason is a row of table.DAMAGES. No chip changes, and what ran before runs after it."""
    key = in_state(rig, OURS, state)
    start = require_glass_box(key.rig).snapshot()
    made = damage.make(signing.seed_of(key.rig))
    with pytest.raises(Refusal):
        update(key.rig, made.data, uuid=key.uuid)
    assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == [], (
        damage.why
    )
    assert running(key.rig) == f"application v{OURS}", damage.why


@pytest.mark.parametrize("damage", SENT, ids=lambda damage: damage.id)
def test_a_key_that_is_sent_a_damaged_image_never_starts_it(rig: Rig, damage: Damage) -> None:
    """Sent by somebody who skips every check of the updater.

    Policy: what the init packet gives away leaves the key unchanged, byte for byte. A good packet with a bad
    binary costs the old firmware, as every update does, and the key waits for a good one.
    """
    key = in_state(rig, OURS, "bootloader")
    start = require_glass_box(key.rig).snapshot()
    made = damage.make(signing.seed_of(key.rig))
    offered = bootloader_probe.offer(key.rig, made.image, whole=True)
    if damage.key == UNCHANGED:
        assert offered.startswith("refused"), damage.why
        assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == [], (
            damage.why
        )
        assert running(key.rig) == f"application v{OURS}", damage.why
        return
    assert running(key.rig) == "bootloader", damage.why
    update(key.rig, container(key.rig, WANTED).data, uuid=key.uuid)
    assert running(key.rig) == f"application v{WANTED}"
