"""The simulated Nitrokey HSM 2, cut in every flash operation: sound it is clean, and each bug is caught."""

from __future__ import annotations

import pytest

from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.recording import UncutFault
from harness.campaign.walk import Campaign
from harness.model.outcome import Outcome
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_schsm.twin import elementary, generate
from support.hsm import NAME, hsm, outcomes, up, walked
from support.terms import terms
from support.trial_card import change

OPERATIONS = {
    "schsm.verify": {"old", "recovered", "new"},
    "schsm.verify.again": {"old", "recovered", "new"},
    "schsm.verify.wrong": {"old", "new"},
    "schsm.verify.block": {"old", "new"},
    "schsm.verify.blocked": {"new"},
    "schsm.change_pin.wrong": {"old", "new"},
    "schsm.change_pin": {"old", "new"},
    "schsm.reset_retry": {"old", "new"},
    "schsm.reset_retry.wrong": {"old", "new"},
    "schsm.initialize.wrong": {"old", "new"},
    "schsm.change_so_pin.wrong": {"old", "new"},
    "schsm.change_so_pin": {"old", "new"},
    "schsm.transport_pin": {"old", "new"},
    "schsm.generate.ec": {"old", "recovered", "new"},
    "schsm.generate.rsa": {"old", "recovered", "new"},
    "schsm.unwrap": {"old", "recovered", "new"},
    "schsm.delete": {"old", "recovered", "new"},
    "schsm.sign.counted": {"old", "new"},
    "schsm.write": {"old", "new"},
    "schsm.write.blocks": {"old", "recovered", "new"},
    "schsm.import_share": {"old", "new"},
    "schsm.initialize": {"old", "new"},
    "schsm.generate.aes": {"old", "new"},
    "schsm.delete.spent": {"old", "new"},
    "schsm.generate.opensc": {"old", "recovered", "new"},
    "schsm.certificate.opensc": {"old", "recovered", "new"},
    "schsm.unwrap.forced": {"old", "recovered", "new"},
    "schsm.reset_retry.forbidden": {"new"},
    "schsm.unwrap.foreign": {"old", "new"},
    "schsm.firmware_update": {"old", "new"},
    "schsm.firmware_update.forced": {"old", "new"},
}
LONG = {
    *("schsm.generate.ec", "schsm.generate.rsa", "schsm.unwrap", "schsm.initialize"),
    *("schsm.firmware_update", "schsm.firmware_update.forced"),
    *("schsm.certificate.opensc", "schsm.unwrap.forced"),
}
CAUGHT = {
    "pin-compared-first": ("schsm.verify.wrong", "schsm.user_tries", Outcome.LOOSENED),
    "pin-compared-first-change": ("schsm.change_so_pin.wrong", "schsm.so_tries", Outcome.LOOSENED),
    "blocked-forgotten": ("schsm.verify.block", "schsm.user_tries", Outcome.LOOSENED),
    "pin-removed-first": ("schsm.change_pin", "schsm.user_pin", Outcome.TORN),
    "so-counter-in-ram": ("schsm.reset_retry.wrong", "schsm.so_tries", Outcome.LOOSENED),
    "initialize-unchecked": ("schsm.initialize.wrong", "schsm.keys", Outcome.LOST),
    "initialize-erases-last": ("schsm.initialize", "schsm.keys", Outcome.TORN),
    "initialize-keeps-keys": ("schsm.initialize", "schsm.keys", Outcome.TORN),
    "key-in-pieces": ("schsm.generate.ec", "schsm.new_key", Outcome.TORN),
    "key-in-place": ("schsm.generate.ec", "schsm.new_key", Outcome.TORN),
    "file-in-place": ("schsm.write", "schsm.data", Outcome.TORN),
    "share-counted-later": ("schsm.import_share", "schsm.completed_dkek", Outcome.TORN),
    "use-counted-later": ("schsm.sign.counted", "schsm.uses_left", Outcome.LOOSENED),
    "initialize-renews-device": ("schsm.initialize", "schsm.device", Outcome.LOST),
    "reset-option-ignored": ("schsm.reset_retry.forbidden", "schsm.user_tries", Outcome.LOOSENED),
    "kcv-unchecked": ("schsm.unwrap.foreign", "schsm.new_key", Outcome.TORN),
    "forced-uncounted": ("schsm.firmware_update.forced", "schsm.forced_left", Outcome.TORN),
    "update-keeps-identity": ("schsm.firmware_update.forced", "schsm.identity", Outcome.TORN),
}
UNCUT = {"transport-pin-skipped": ("schsm.transport_pin", "schsm.user_pin")}
"""What shows before anything is cut."""


def test_every_operation_and_every_defect_has_its_row():
    plugins = discover()
    assert OPERATIONS.keys() == plugins.keys[NAME].operations.keys()
    assert CAUGHT.keys() | UNCUT.keys() == plugins.twins[NAME].defects.keys()


@pytest.mark.parametrize(
    "write",
    [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in OPERATIONS],
)
def test_the_sound_one_breaks_no_law_in_any_cut(write):
    result = walked(write)
    assert result.findings == []
    assert result.exhaustive
    assert outcomes(result).keys() == OPERATIONS[write]


@pytest.mark.parametrize(
    "defect",
    [pytest.param(name, marks=[pytest.mark.long] if CAUGHT[name][0] in LONG else []) for name in CAUGHT],
)
def test_each_bug_is_caught_by_the_law_that_it_breaks(defect):
    operation, item, outcome = CAUGHT[defect]
    found = {(finding.item, finding.outcome) for finding in walked(operation, defect).findings}
    assert (item, outcome) in found


@pytest.mark.parametrize(
    ("operation", "item", "function", "was", "now"),
    [
        (
            "schsm.generate.aes",
            "schsm.objects",
            generate.store,
            'if "key-in-place" in card.defects:',
            "if isinstance(secret, AesKey):",
        ),
        (
            "schsm.delete.spent",
            "schsm.spent_key",
            elementary.delete,
            "card.files.change({key_file(key_id): None, uses_file(key_id): None})",
            "card.files.remove(uses_file(key_id)), card.files.remove(key_file(key_id))",
        ),
    ],
    ids=["an AES key in place", "the use counter removed before its key"],
)
def test_a_key_of_another_kind_is_written_and_removed_as_whole(
    monkeypatch, operation, item, function, was, now
):
    change(monkeypatch, function, was, now)
    assert item in {finding.item for finding in walked(operation).findings}


@pytest.mark.parametrize("defect", UNCUT)
def test_what_needs_no_cut_is_found_before_the_first_one(defect):
    operation, item = UNCUT[defect]
    with pytest.raises(UncutFault, match="before anything was cut") as fault:
        walked(operation, defect)
    assert item in str(fault.value.found)


def test_the_order_of_writes_of_an_open_implementation_is_a_personality_that_is_not_sound():
    """Its wrong SO-PIN wipes the card, as that implementation's does."""
    rig = hsm(personality="open-order")
    result = Campaign(rig, rig.key.operations["schsm.initialize.wrong"], go_home(rig), terms(10)).run()
    assert ("schsm.keys", Outcome.LOST) in {(found.item, found.outcome) for found in result.findings}
    assert rig.model.sound == ["reference"]


def test_the_same_seed_gives_the_same_card_and_another_seed_another_one():
    def image(seed: int) -> bytes:
        rig = hsm(seed=seed)
        go_home(rig)
        return rig.board.state().digest()

    assert image(1) == image(1)
    assert image(1) != image(2)


def test_a_card_with_another_uuid_is_another_device():
    def serial(uuid: bytes | None) -> str:
        plugins = discover()
        rig = TwinRig(
            "hsm-1", plugins.keys[NAME], plugins.twins[NAME], TwinOptions(uuid=uuid), 1, expendable=True
        )
        return rig.key.identify(up(rig))["serial"]

    first, second = serial(bytes(16)), serial(bytes(15) + b"\1")
    assert first != second
    assert serial(bytes(16)) == first != serial(None)
