"""The simulated OpenPGP card, cut in every flash operation: sound it is clean, and each bug is caught."""

from __future__ import annotations

import pytest

from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.model.outcome import Outcome
from support.hsm import outcomes
from support.openpgp import NAME, openpgp_card, walked

BOTH, THREE = {"old", "new"}, {"old", "recovered", "new"}
OPERATIONS = {
    "openpgp.verify": THREE,
    "openpgp.verify.again": THREE,
    "openpgp.verify.wrong": BOTH,
    "openpgp.verify_admin": THREE,
    "openpgp.verify_admin.wrong": BOTH,
    "openpgp.change_pw1": BOTH,
    "openpgp.change_pw1.longer": BOTH,
    "openpgp.change_pw3": BOTH,
    "openpgp.set_code": BOTH,
    "openpgp.remove_code": BOTH,
    "openpgp.reset_pw1.code": BOTH,
    "openpgp.reset_pw1.code_right": THREE,
    "openpgp.reset_pw1.code_wrong": BOTH,
    "openpgp.reset_pw1.admin": BOTH,
    "openpgp.generate.sign": THREE,
    "openpgp.generate.decipher": THREE,
    "openpgp.generate.other_curve": THREE,
    "openpgp.import.sign": THREE,
    "openpgp.import.decipher": THREE,
    "openpgp.import.authenticate": THREE,
    "openpgp.import.touch": THREE,
    "openpgp.import.other_curve": THREE,
    "openpgp.set_attributes": THREE,
    "openpgp.sign": BOTH,
    "openpgp.decipher": BOTH,
    "openpgp.put_data": BOTH,
    "openpgp.put_certificate": BOTH,
    "openpgp.put_name": BOTH,
    "openpgp.put_url": BOTH,
    "openpgp.put_private_2": BOTH,
    "openpgp.put_fingerprint": BOTH,
    "openpgp.put_date": BOTH,
    "openpgp.put_language": BOTH,
    "openpgp.put_sex": BOTH,
    "openpgp.put_authority": BOTH,
    "openpgp.put_private_1": BOTH,
    "openpgp.put_private_3": BOTH,
    "openpgp.put_private_4": BOTH,
    "openpgp.put_aes_key": BOTH,
    "openpgp.ask_for_touch": BOTH,
    "openpgp.pw1_mode.many": BOTH,
    "openpgp.pw1_mode.one": BOTH,
    "openpgp.set_kdf": THREE,
    "openpgp.terminate": BOTH,
    "openpgp.activate": BOTH,
    "openpgp.reset": THREE,
    # Nothing is written where nobody is verified.
    "openpgp.reset.unverified": {"new"},
}
LONG = {
    name
    for name in OPERATIONS
    if name.split(".")[1] in ("generate", "import", "set_kdf", "reset", "activate")
}
CAUGHT = {
    "pin-compared-first": ("openpgp.verify.wrong", "openpgp.pw1_tries", Outcome.LOOSENED),
    "pin-before-length": ("openpgp.change_pw1.longer", "openpgp.pw1_by_change", Outcome.TORN),
    "code-in-pieces": ("openpgp.set_code", "openpgp.reset_code", Outcome.TORN),
    "activate-in-pieces": ("openpgp.activate", "openpgp.fingerprints", Outcome.TORN),
    "first-use-in-pieces": ("openpgp.activate", "openpgp.state", Outcome.TORN),
    "tries-in-ram": ("openpgp.verify.wrong", "openpgp.pw1_tries", Outcome.LOOSENED),
    "slot-before-key": ("openpgp.generate.sign", "openpgp.new_key", Outcome.TORN),
    "old-fingerprint-kept": ("openpgp.generate.sign", "openpgp.new_key", Outcome.TORN),
    "counter-kept-for-new-key": ("openpgp.import.sign", "openpgp.counter_start", Outcome.TORN),
    "signature-counted-later": ("openpgp.sign", "openpgp.counter", Outcome.ROLLED_BACK),
    "attributes-keep-key": ("openpgp.set_attributes", "openpgp.new_key", Outcome.TORN),
    "touch-lost-on-import": ("openpgp.import.touch", "openpgp.touch", Outcome.LOOSENED),
    "pw1-mode-lost": ("openpgp.reset_pw1.admin", "openpgp.pw1_mode", Outcome.LOOSENED),
    "data-in-place": ("openpgp.put_certificate", "openpgp.certificates", Outcome.TORN),
    "certificate-removed-first": ("openpgp.put_certificate", "openpgp.certificates", Outcome.TORN),
    "activate-keeps-keys": ("openpgp.activate", "openpgp.keys", Outcome.TORN),
    "terminate-unchecked": ("openpgp.reset.unverified", "openpgp.keys", Outcome.TORN),
}


def marked(name: str, operation: str):
    return pytest.param(name, marks=[pytest.mark.long] if operation in LONG else [])


def test_every_operation_and_every_defect_has_its_row():
    plugins = discover()
    assert OPERATIONS.keys() == plugins.keys[NAME].operations.keys()
    assert CAUGHT.keys() == plugins.twins[NAME].defects.keys()


@pytest.mark.parametrize("write", [marked(name, name) for name in OPERATIONS])
def test_the_sound_one_breaks_no_law_in_any_cut(write):
    result = walked(write)
    assert result.findings == []
    assert result.exhaustive
    assert outcomes(result).keys() == OPERATIONS[write]


@pytest.mark.parametrize("defect", [marked(name, CAUGHT[name][0]) for name in CAUGHT])
def test_each_bug_is_caught_by_the_law_that_it_breaks(defect):
    operation, item, outcome = CAUGHT[defect]
    found = {(finding.item, finding.outcome) for finding in walked(operation, defect).findings}
    assert (item, outcome) in found


@pytest.mark.long
def test_a_public_key_of_another_curve_than_the_slot_says_is_a_finding():
    found = walked("openpgp.import.other_curve", "attributes-keep-key", cuts=40).findings
    assert ("openpgp.new_key", Outcome.TORN) in {(one.item, one.outcome) for one in found}


@pytest.mark.parametrize(
    "write, item",
    [
        ("openpgp.set_code", "openpgp.reset_code"),
        ("openpgp.import.sign", "openpgp.new_key"),
        pytest.param("openpgp.activate", "openpgp.fingerprints", marks=pytest.mark.long),
    ],
)
def test_the_order_of_writes_of_the_nitrokey_3_breaks_these_laws(write, item):
    result = walked(write, personality="nitrokey3")
    assert ("torn", item) in {(found.outcome.value, found.item) for found in result.findings}


@pytest.mark.parametrize("write", ["openpgp.verify.again", "openpgp.change_pw1", "openpgp.sign"])
def test_the_order_of_writes_of_the_nitrokey_3_keeps_the_laws_of_these(write):
    assert walked(write, personality="nitrokey3").findings == []


@pytest.mark.parametrize("personality", ["chip-3.3", "chip-2.1"])
@pytest.mark.parametrize("write", ["openpgp.change_pw1", "openpgp.sign", "openpgp.generate.decipher"])
def test_the_chips_of_the_pro_are_sound(write, personality):
    result = walked(write, personality=personality, cuts=60)
    assert result.findings == []
    assert {"old", "new"} <= outcomes(result).keys()


def test_only_the_personality_that_writes_in_pieces_is_not_sound():
    model = discover().twins[NAME]
    assert set(model.personalities) - set(model.sound) == {"nitrokey3"}


def test_the_same_seed_gives_the_same_card_and_another_seed_another_one():
    def image(seed: int) -> bytes:
        rig = openpgp_card(seed=seed)
        go_home(rig)
        return rig.board.state().digest()

    assert image(1) == image(1)
    assert image(1) != image(2)
