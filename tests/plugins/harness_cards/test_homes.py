"""Homes of cards besides the fresh one: the sound ones break no law from there, and show what the fresh home hides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.base.errors import KeyFault
from harness.bench.registry import discover
from harness.campaign.home import Home, go_home, go_to_home, missing
from harness.campaign.recording import UncutFault
from harness.campaign.walk import Campaign
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_nitrokey_pro.home import HOTP
from harness_nitrokey_pro.home import known as pro_known
from harness_nitrokey_pro.twin.layout import SLOTS
from harness_nitrokey_pro.twin.slots import Slots
from harness_nitrokey_pro.twin.user_page import UserPage
from harness_openpgp.home import known as card_known
from harness_openpgp.twin import data, use
from harness_openpgp.twin.state import Card
from harness_schsm.twin.generate import Restrictions, store
from support.terms import terms

PLUGINS = discover()
CUTS = 2
AGED = ("aged-8", "aged-16", "aged-32")
HOMES = {
    "openpgp": {"coloured", *AGED, "same-boot"},
    "nitrokey-hsm2": {"coloured", *AGED, "same-boot"},
    "nitrokey-pro": {"full", "coloured", *AGED, "same-boot"},
}
WRITES = {
    "openpgp": (
        "openpgp.sign",
        "openpgp.put_data",
        "openpgp.change_pw1",
        "openpgp.set_code",
        "openpgp.reset",
    ),
    "nitrokey-hsm2": ("schsm.write", "schsm.generate.ec", "schsm.change_pin", "schsm.initialize"),
    "nitrokey-pro": ("pro.hotp", "pro.write_totp", "pro.safe.write", "pro.factory_reset", "openpgp.sign"),
}


def rig_of(key: str, seed: int = 1) -> TwinRig:
    model = PLUGINS.twins[key]
    return TwinRig("card", PLUGINS.keys[key], model, TwinOptions(model.sound[0]), seed, expendable=True)


def at(rig: TwinRig, name: str) -> Home:
    home = go_to_home(rig, go_home(rig), name)
    assert isinstance(home, Home), home
    return home


def cut(rig: TwinRig, home: Home, operation: str, cuts: int = CUTS):
    return Campaign(rig, rig.key.operations[operation], home, terms(cuts)).run()


@pytest.mark.parametrize("key", HOMES)
def test_each_key_has_these_homes(key):
    assert PLUGINS.keys[key].homes.keys() == HOMES[key]


@pytest.mark.parametrize("key, name", [(key, name) for key, names in HOMES.items() for name in sorted(names)])
def test_the_sound_one_breaks_no_law_from_any_home(key, name):
    rig = rig_of(key)
    home = at(rig, name)
    asked = [
        one
        for one in WRITES[key]
        if home.adapted(rig.key.operations[one]) is not None
        and not missing(rig, home, rig.key.operations[one])
    ]
    assert asked
    for operation in asked:
        assert cut(rig, home, operation).findings == [], operation


@pytest.mark.parametrize("bits", [8, 16])
def test_a_signature_counter_of_fewer_bits_is_found_from_an_aged_home(monkeypatch, bits):
    rig = rig_of("openpgp")
    home = at(rig, f"aged-{bits}")
    save = Card.save
    monkeypatch.setattr(
        use.Card,
        "save",
        lambda card, state: save(card, replace(state, counter=state.counter & (1 << bits) - 1)),
    )
    assert "openpgp.counter" in {one.item for one in cut(rig, home, "openpgp.sign").findings}


def test_an_aged_pro_counts_on_below_the_power_of_two():
    rig = rig_of("nitrokey-pro")
    home = at(rig, "aged-32")
    memory = home.memory.copy()
    rig.power.on()
    rig.wait_until_up()
    home.settle(rig, memory)
    assert pro_known(memory).counters[HOTP] == 2**32 - 1
    assert card_known(memory).counter == 0, "three bytes have no 2^32"


def test_a_write_that_forgets_another_object_is_found_from_the_coloured_home(monkeypatch):
    rig = rig_of("openpgp")
    home = at(rig, "coloured")
    put = data._put_file

    def forgetting(card, tag, content):
        put(card, tag, content)
        card.commit({"private-3": None})

    monkeypatch.setattr(data, "_put_file", forgetting)
    assert "openpgp.colours" in {one.item for one in cut(rig, home, "openpgp.put_data").findings}


def test_a_card_that_forgets_restrictions_is_found_when_the_coloured_home_is_laid_down(monkeypatch):
    rig = rig_of("nitrokey-hsm2")

    def without(card, key_id, secret, limits, certificate=None):
        store(card, key_id, secret, Restrictions(limits.uses, None, limits.domain), certificate)

    monkeypatch.setattr("harness_schsm.twin.generate.store", without)
    with pytest.raises(KeyFault, match="made for one algorithm alone"):
        at(rig, "coloured")


def found_uncut_or_cut(rig: TwinRig, home: Home, operation: str) -> str:
    """The items of the findings; or what is said of the operation that does not even pass uncut."""
    try:
        return " ".join(one.item for one in cut(rig, home, operation).findings)
    except UncutFault as fault:
        return str(fault)


def test_a_page_that_is_written_as_it_was_in_this_boot_is_found_after_other_writes(monkeypatch):
    """The user page holds the firmware password and the safe's key: a copy brings back what was there before."""
    rig = rig_of("nitrokey-pro")
    home = at(rig, "same-boot")
    fields = UserPage.with_fields

    def of_copy(page, changed):
        copy = page.__dict__.setdefault("copy", page.content)
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(UserPage, "content", copy)
            return fields(page, changed)

    monkeypatch.setattr(UserPage, "with_fields", of_copy)
    assert "pro.firmware_password" in found_uncut_or_cut(rig, home, "pro.new_safe")


def test_a_slot_that_takes_the_configuration_of_the_maker_is_found_from_the_coloured_home(monkeypatch):
    rig = rig_of("nitrokey-pro")
    home = at(rig, "coloured")
    changes = Slots._changes

    def changed(slots, number, content):
        made = changes(slots, number, content)
        return {page: b"\xff" * 5 + new[5:] if page == SLOTS[0] else new for page, new in made.items()}

    monkeypatch.setattr(Slots, "_changes", changed)
    assert "pro.config" in found_uncut_or_cut(rig, home, "pro.erase_totp")
