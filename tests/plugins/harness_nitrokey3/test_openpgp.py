"""The OpenPGP card of the simulated Nitrokey 3, beside FIDO2 and the admin application, on that key's flash."""

from __future__ import annotations

import pytest

from harness.base.errors import Refused
from harness.bench.registry import discover
from harness.campaign.home import go_home, go_to_home
from harness.campaign.observe import observe
from harness.campaign.walk import Campaign
from harness.model.memory import Memory
from harness.model.rig import KeyGone
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_nitrokey3.sdk import open_nk3, unwrapped
from harness_openpgp.client import OTHER, OpenPgp
from harness_openpgp.home import DEFAULT_PW1, known, prepare
from harness_openpgp.items import canaries
from harness_openpgp.slots import Slot
from harness_transports.card import card
from support.hsm import up
from support.terms import terms

NAME = "nitrokey3-mini-openpgp"
ADMIN_AID = bytes.fromhex("A00000084700000001")
NOT_THERE = "6A82"


def key(personality: str = "reference") -> TwinRig:
    """A rig with the key as it leaves the factory, without power."""
    plugins = discover()
    options = TwinOptions(personality=personality)
    return TwinRig("nk3", plugins.keys[NAME], plugins.twins[NAME], options, 1, expendable=True)


@pytest.fixture
def rig() -> TwinRig:
    return up(key())


@pytest.fixture
def memory(rig) -> Memory:
    """The card's canaries are there."""
    made = Memory()
    prepare(rig, made)
    return made


def again(rig: TwinRig) -> TwinRig:
    rig.power.cycle()
    rig.wait_until_up()
    return rig


def card_items(rig: TwinRig, memory: Memory) -> dict[str, object]:
    items = tuple(item for item in rig.key.items if item.name.startswith("openpgp."))
    return dict(observe(rig, items, memory, memory).values)


def test_a_key_whose_owner_never_uses_the_card_has_no_files_of_it():
    rig = key()
    before = rig.board.state().chips["efs"]
    up(rig)
    card(rig).transmit([0x00, 0xA4, 0x04, 0x00, len(ADMIN_AID), *ADMIN_AID])
    rig.power.off()
    assert rig.board.state().chips["efs"] == before


def test_what_was_written_lasts(rig, memory):
    seen = card_items(again(rig), memory)
    assert seen["openpgp.keys"] == canaries(memory)
    assert seen["openpgp.pw1"] == seen["openpgp.pw3"] == "current"


def test_another_application_inherits_no_login(rig, memory):
    client = OpenPgp(rig)
    client.verify(known(memory).pw1, OTHER)
    assert client.is_verified(OTHER)
    link = card(rig)
    assert link.transmit([0x00, 0xA4, 0x04, 0x00, len(ADMIN_AID), *ADMIN_AID])[1:] == (0x90, 0x00)
    assert client.exchange(0x20, 0, OTHER)[1] != 0x9000
    assert not OpenPgp(rig).is_verified(OTHER)


def test_a_login_outlives_what_fido2_does(rig, memory):
    client = OpenPgp(rig)
    client.verify(known(memory).pw1, OTHER)
    open_nk3(rig).admin.version()
    assert client.is_verified(OTHER)


def test_a_key_is_used_after_a_touch_where_its_flag_asks_for_one(rig, memory):
    client = OpenPgp(rig)
    client.verify(known(memory).pw3, 0x83)
    client.put(Slot.AUTHENTICATE.uif, b"\x01\x20")
    client.verify(known(memory).pw1, OTHER)
    data = known(memory).keys[Slot.AUTHENTICATE].signed_data(b"text")
    with pytest.raises(Refused, match="6600"):
        client.authenticate(data)
    with rig.touch.pressing():
        assert known(memory).keys[Slot.AUTHENTICATE].verifies(client.authenticate(data), b"text")


@pytest.mark.parametrize("scope", ["card", "key"])
def test_a_factory_reset_by_the_admin_application_leaves_no_key(rig, memory, scope):
    with rig.touch.pressing():
        admin = open_nk3(rig).admin
        if scope == "card":
            admin.factory_reset_app("opcard")
        else:
            # It boots again instead of answering.
            with pytest.raises((KeyGone, OSError)), unwrapped():
                admin.factory_reset()
    client = OpenPgp(again(rig))
    assert [client.public(slot) for slot in Slot] == [b"", b"", b""]
    assert client.get(0x5E) == b""
    client.verify(DEFAULT_PW1, OTHER)


def test_a_card_that_is_switched_off_is_not_there_and_keeps_its_files(rig, memory):
    with rig.touch.pressing():
        open_nk3(rig).admin.set_config("opcard.disabled", "true")
    with pytest.raises(Refused, match=NOT_THERE):
        OpenPgp(again(rig))
    with rig.touch.pressing():
        open_nk3(rig).admin.set_config("opcard.disabled", "false")
    assert card_items(again(rig), memory)["openpgp.keys"] == canaries(memory)


def test_an_external_flash_that_does_not_answer_makes_no_new_card(rig, memory):
    rig.board.slow["efs"] = 10_000_000
    with pytest.raises(Refused, match=NOT_THERE):
        OpenPgp(again(rig))
    rig.board.slow["efs"] = 0
    assert card_items(again(rig), memory)["openpgp.keys"] == canaries(memory)


@pytest.mark.parametrize("home", ["fresh", "same-boot", "coloured"])
def test_the_sound_one_passes_uncut_from_each_home(home):
    """Settings are switched on in some; the whole key is reset, with its card."""
    rig = key()
    fresh = go_home(rig)
    begun = go_to_home(rig, fresh, home)
    for name in ("openpgp.verify.wrong", "fido2.get_assertion", "admin.setting.on", "admin.factory_reset"):
        campaign = Campaign(rig, rig.key.operations[name], begun, terms(1))
        row, breaches = campaign.replay("end")
        assert breaches == [], name
        assert row["outcome"] == "new", name


@pytest.mark.long
def test_a_cut_factory_reset_leaves_the_whole_key_old_or_new():
    rig = key()
    result = Campaign(rig, rig.key.operations["admin.factory_reset"], go_home(rig), terms(60)).run()
    assert result.findings == []
    assert {"old", "new"} <= {row["outcome"] for row in result.rows}


@pytest.mark.long
@pytest.mark.parametrize(
    "operation", ["openpgp.verify.wrong", "openpgp.import.sign", "openpgp.reset", "fido2.get_assertion"]
)
def test_the_sound_one_breaks_no_law_of_either_application(operation):
    rig = key()
    result = Campaign(rig, rig.key.operations[operation], go_home(rig), terms(60)).run()
    assert result.findings == []
    assert {"old", "new"} <= {row["outcome"] for row in result.rows}


@pytest.mark.long
def test_the_order_of_writes_that_was_read_leaves_a_new_key_under_an_old_fingerprint():
    rig = key("1.8.3")
    result = Campaign(rig, rig.key.operations["openpgp.import.sign"], go_home(rig), terms(60)).run()
    assert ("openpgp.new_key", "torn") in {(found.item, found.outcome.value) for found in result.findings}
