"""The home state of an OpenPGP card, and whose card it is."""

from __future__ import annotations

import pytest

from harness.api import ANY
from harness.base.errors import CallerError
from harness.campaign.observe import observe
from harness.model.memory import Memory
from harness_openpgp.client import ADMIN, OpenPgp
from harness_openpgp.data_operations import fresh_values
from harness_openpgp.home import DEFAULT_PW3, LOGIN, URL, as_admin, blank, foreign, known, prepare
from harness_openpgp.items import canaries
from harness_openpgp.slots import Slot
from harness_openpgp.twin.traits import CHIP_2, CHIP_3
from support.hsm import up
from support.openpgp import openpgp_card


@pytest.fixture
def new():
    """A rig with a card as it leaves the factory, with power."""
    return up(openpgp_card())


def test_a_card_as_it_leaves_the_factory_is_blank(new):
    assert blank(new)
    assert foreign(new) == []


def test_a_second_run_finds_its_card_and_makes_the_canaries_anew(new):
    first, second = Memory(), Memory()
    prepare(new, first)
    assert not blank(new)
    prepare(new, second)
    assert known(first).keys[Slot.SIGN] != known(second).keys[Slot.SIGN]
    seen = observe(new, new.key.items, second, second).values
    assert seen["openpgp.keys"] == canaries(second)
    assert (seen["openpgp.pw1_tries"], seen["openpgp.pw3_tries"]) == (3, 3)


def test_a_terminated_card_is_activated_first(new):
    memory = Memory()
    prepare(new, memory)
    as_admin(new, memory).terminate()
    assert blank(new)
    again = Memory()
    prepare(new, again)
    assert observe(new, new.key.items, again, again).values["openpgp.keys"] == canaries(again)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda card: card.put(LOGIN, b"jane"), "login data"),
        (lambda card: card.put(URL, b"https://example.org"), "a URL"),
        (lambda card: card.generate(Slot.AUTHENTICATE), "1 keys that are not ours"),
    ],
    ids=["login", "url", "key"],
)
def test_what_others_put_on_a_card_is_refused_and_stays(new, make, said):
    card = OpenPgp(new)
    card.verify(DEFAULT_PW3, ADMIN)
    make(card)
    assert foreign(new) == [said]
    with pytest.raises(CallerError, match="is not empty") as caught:
        prepare(new, Memory())
    assert caught.value.mend
    assert foreign(new) == [said]


def test_an_unknown_pw3_is_the_callers_to_give(new):
    memory = Memory()
    prepare(new, memory)
    OpenPgp(new).change(known(memory).pw3, "somebody's", ADMIN)
    with pytest.raises(CallerError, match="has been set up") as caught:
        prepare(new, Memory())
    assert caught.value.mend
    assert OpenPgp(new).pin_status().pw3 == 1, "two tries, for the PINs that it could have had"


def test_the_answers_to_reset_are_those_of_genuine_cards():
    """With their check bytes."""
    assert CHIP_3.atr.hex().upper() == "3BDA18FF81B1FE751F030031F573C001600090001C"
    assert CHIP_2.atr.hex().upper() == "3BDA18FF81B1FE751F030031C573C001400090000C"


@pytest.mark.parametrize(
    ("lasted", "mode"), [(True, "many signatures"), (False, "one signature"), (None, ANY)], ids=str
)
def test_after_a_reset_pw1_serves_as_it_did_when_the_card_was_new(lasted, mode):
    """Some open cards begin with many signatures. Of a card that was in use nobody knows."""
    before = Memory()
    known(before).lasted_first = lasted
    assert fresh_values(before)["openpgp.pw1_mode"] == mode


def test_how_pw1_serves_is_noted_while_the_card_is_new(new):
    memory, again = Memory(), Memory()
    prepare(new, memory)
    prepare(new, again)
    assert (known(memory).lasted_first, known(again).lasted_first) == (False, None)
