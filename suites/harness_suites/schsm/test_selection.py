"""SELECT, what OpenSC asks on every bind, and commands that are none."""

from __future__ import annotations

import pytest

from harness_cards.tlv import fields, first
from harness_schsm.client import AID, SO, USER, ScHsm
from harness_suites.schsm.second import NOT_FOUND, refused

pytestmark = pytest.mark.reads


@pytest.mark.parametrize("p2", [0x00, 0x04], ids=["opensc", "maker"])
def test_select_shows_the_applet_and_its_version(hsm, p2):
    control = hsm.command("SELECT", 0xA4, 0x04, p2, AID, le=256)
    parts = fields(first(control)[1])
    assert len(parts[0x85]) >= 5, "OpenSC refuses a card that shows fewer"
    assert parts[0x85][-2] >= 2


def test_select_shows_the_options_of_initialize(hsm):
    assert hsm.info.options == 0x0001


def test_another_applet_is_not_found(hsm):
    with refused(NOT_FOUND):
        hsm.command("SELECT", 0xA4, 0x04, 0x00, bytes.fromhex("A0000000031010"), le=256)
    assert hsm.select().options == 0x0001


@pytest.mark.parametrize("fid", [0x2F02, 0xC401, 0xCE01, 0xC901, 0xCF01], ids="{:04X}".format)
def test_a_file_shows_its_size(hsm, fid):
    """Hosts read exactly as much: a size of 0 would leave the file out of every backup."""
    assert hsm.size_of(fid) == len(hsm.read(fid)) > 0


@pytest.mark.parametrize("fid", [0xCF7E, 0x2F55, 0xC47E], ids="{:04X}".format)
def test_a_file_that_is_missing_is_not_found(hsm, fid):
    with refused(NOT_FOUND):
        hsm.size_of(fid)


@pytest.mark.parametrize("reference", [0x85, 0x86], ids=["85", "86"])
def test_biometric_templates_are_not_there(hsm, reference):
    """Any other answer makes OpenSC log in without a PIN."""
    assert hsm.state(reference) in (0x6A88, 0x6A80, 0x6A86, 0x6984)


def test_the_pins_say_their_tries_without_cost(hsm):
    for _ in range(3):
        assert hsm.state(USER) == 0x63C3
        assert hsm.state(SO) == 0x63CF


def test_every_key_is_listed_with_its_files(hsm):
    found = hsm.objects()
    assert 0xCC00 in found, "the key of the device"
    for key_id in (1, 2, 3):
        assert {0xCC00 | key_id, 0xC400 | key_id} <= set(found)
    for key_id in (1, 2):
        assert 0xCE00 | key_id in found
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("ins", [0x00, 0x10, 0xCA, 0xDA, 0xFE], ids="{:02X}".format)
def test_an_unknown_instruction_is_refused(hsm, ins):
    assert hsm.exchange(ins)[1] == 0x6D00


def test_an_unknown_class_is_refused(hsm):
    assert hsm.exchange(0x20, 0, USER, cla=0xA0)[1] in (0x6E00, 0x6D00)


@pytest.mark.parametrize("ins, data, le", [(0x58, b"", 256), (0x84, b"", 8)], ids=["enumerate", "challenge"])
def test_a_command_means_the_same_in_both_classes(hsm, ins, data, le):
    """OpenSC sends 80 58 and 00 84, another client 00 58 and 80 84. A card may refuse a class, but not mean another."""
    answers = [hsm.exchange(ins, data=data, cla=cla, le=le) for cla in (0x00, 0x80)]
    assert 0x9000 in {status for _, status in answers}
    assert {status for _, status in answers} <= {0x9000, 0x6D00, 0x6E00}
    assert len({len(found) for found, status in answers if status == 0x9000}) == 1


def test_secure_messaging_is_refused_where_it_was_not_agreed(hsm):
    assert hsm.exchange(0x20, 0, USER, bytes(16), cla=0x0C)[1] not in (0x9000, 0x63C2)
    assert hsm.state() == 0x63C3


@pytest.mark.parametrize(
    "apdu", ["0020", "002000810531", "00200081000005AA"], ids=["head", "short", "extended"]
)
def test_a_command_of_a_wrong_length_is_refused(hsm, apdu):
    raw = bytes.fromhex(apdu)
    if len(raw) < 4:
        with pytest.raises(ValueError, match="at least 4 bytes"):
            hsm.card.transmit(list(raw))
    else:
        assert hsm.card.transmit(list(raw))[1:] == (0x67, 0x00)
    assert hsm.state() == 0x63C3


@pytest.mark.parametrize("count", [8, 32, 256, 512, 1024])
def test_challenges_have_any_length_up_to_1024_and_differ(hsm, count):
    one, two = hsm.challenge(count), hsm.challenge(count)
    assert len(one) == len(two) == count
    assert one != two


def test_a_login_ends_with_the_selection_of_the_applet(hsm: ScHsm, mine):
    hsm.verify(mine.pin)
    assert hsm.state() == 0x9000
    hsm.select()
    assert hsm.state() == 0x63C3
