"""Which version may follow which, in every state that a key can be asked in (invariants U3, U6)."""

from __future__ import annotations

import pytest

from harness.api import (
    ACCEPTED,
    REFUSED,
    TAKEN,
    Data,
    Rig,
    UpdateContainer,
    UpdateRefused,
    VersionPair,
    require_glass_box,
)
from harness_fido2.client import Fido
from harness_fido2.operations import reset_key
from harness_suites.downgrade.bench import (
    Prepared,
    data_judged,
    in_state,
    memory_of,
    running,
)
from harness_suites.downgrade.table import PAIRS, STATES

RULED = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
UPDATES = pytest.mark.parametrize(
    "pair", [pair for pair in PAIRS if pair.host == TAKEN], ids=lambda pair: pair.id
)


def _asked(key: Prepared, container: UpdateContainer) -> str:
    try:
        key.update(container)
    except UpdateRefused as refusal:
        return f"{REFUSED} by the {refusal.by}"
    return TAKEN


def _expected(key: Prepared, pair: VersionPair, state: str) -> str:
    """In the bootloader the updater knows no version; it only sees whether image and manifest agree."""
    if not key.updates.is_consistent(pair.wanted):
        return f"{REFUSED} by the host"
    if state == "application":
        return TAKEN if pair.host == TAKEN else f"{REFUSED} by the host"
    return TAKEN if pair.key == TAKEN else f"{REFUSED} by the key"


@pytest.mark.parametrize("state", STATES)
@RULED
def test_a_version_is_taken_or_refused_as_ruled(rig: Rig, pair: VersionPair, state: str) -> None:
    """The rule and its policy are a row of table.PAIRS and one of table.STATES.

    A refusal changes no page of any chip, and the old firmware runs.
    """
    key = in_state(rig, pair.ours, state)
    start = require_glass_box(key.rig).snapshot()
    asked = _asked(key, key.container(pair.wanted))
    why = f"v{pair.ours} to v{pair.wanted}, {STATES[state]}: {pair.why}"
    assert asked == _expected(key, pair, state), why
    if asked == TAKEN:
        assert running(key.rig) == f"application v{pair.wanted}", why
        wrong = key.updates.device_test(
            key.rig, pair.wanted, memory_of(key, deleted=pair.data is Data.DELETED)
        )
        assert not wrong, f"the vendor's device test after {why}: {'; '.join(wrong)}"
        _check_that_the_floor_is_up(key, pair.wanted)
        return
    assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == [], why
    if state in ("half-updated", "after-cuts"):
        assert running(key.rig) == "bootloader", why
        # The update that was cut is still the one that completes.
        key.update(key.container(key.updates.later(pair.ours)))
        assert running(key.rig) == f"application v{key.updates.later(pair.ours)}", why
    else:
        assert running(key.rig) == f"application v{pair.ours}", why


def _check_that_the_floor_is_up(key: Prepared, version: str) -> None:
    key.updates.enter_bootloader(key.rig)
    lower = key.container(key.updates.earlier(version))
    assert key.updates.offer(key.rig, lower).startswith(key.updates.refused_as_older)


@RULED
def test_the_key_alone_decides_by_the_number(rig: Rig, pair: VersionPair) -> None:
    """Send images past every check of the updater: only the number in the signed packet counts.

    Policy for overflows (patch 64, minor 65536, major 1024): the key compares the number as it is. The vendor's
    build refuses to make such images, so no signed one exists.
    """
    key = in_state(rig, pair.ours, "bootloader")
    start = require_glass_box(key.rig).snapshot()
    offered = key.updates.offer(key.rig, key.container(pair.wanted), whole=True)
    if pair.key == TAKEN:
        assert offered == ACCEPTED
        assert running(key.rig) == f"application v{pair.wanted}"
    else:
        assert offered.startswith(key.updates.refused_as_older), pair.why
        assert require_glass_box(key.rig).differing(start, require_glass_box(key.rig).snapshot()) == []
        assert running(key.rig) == f"application v{pair.ours}"


@UPDATES
def test_data_are_kept_or_deleted_as_ruled(rig: Rig, pair: VersionPair) -> None:
    """Data from before the update are used after it: kept from 1.0.1 on, deleted from 1.0.0 and below (U6).

    Policy for test releases: they promise nothing, but after a reset the key must work.
    """
    key = in_state(rig, pair.ours, "application")
    key.update(key.container(pair.wanted))
    if pair.data is Data.FREE:
        key.rig.power.cycle()
        reset_key(key.rig, memory_of(key))
        client = Fido(key.rig)
        credential, _ = client.make_credential("free.keyharness.example", b"user", resident=True)
        key.rig.power.cycle()
        (assertion,) = Fido(key.rig).assertions(credential.rp)
        assert Fido(key.rig).verified(credential.rp, assertion, credential.public_key)
        return
    judged = data_judged(key, deleted=pair.data is Data.DELETED)
    assert not judged.breaches, "; ".join(f"{breach.item}: {breach.text}" for breach in judged.breaches)
