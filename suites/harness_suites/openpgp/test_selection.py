"""SELECT, classes, instructions, chaining, lengths, long answers; row by row."""

from __future__ import annotations

import pytest

from harness_openpgp.client import AID, OTHER, OpenPgp
from harness_openpgp.home import URL
from harness_suites.openpgp.common import again, refused, require_capability
from harness_transports.card import card as connect

CHAINING, EXTENDED = 0x80, 0x40
"""Bits of the third card capability in DO 5F52 (ISO 7816-4, section 12.1.1)."""


def raw(rig, apdu: str) -> tuple[bytes, int]:
    data, sw1, sw2 = connect(rig).transmit(list(bytes.fromhex(apdu)))
    return bytes(data), sw1 << 8 | sw2


def capabilities(card: OpenPgp) -> int:
    return card.get(0x5F52)[6]


@pytest.mark.reads
@pytest.mark.parametrize(
    "apdu",
    [
        "00A4040006D2760001240100",
        "00A4040006D27600012401",
        "00A4040007D27600012401" + "03" + "00",
        "00A404000000" + "06D276000124010000",
    ],
    ids=["Le", "no Le", "version", "extended"],
)
def test_it_is_selected_by_the_beginning_of_its_aid(card, rig, apdu):
    if apdu.startswith("00A4040007"):
        apdu = "00A4040007D27600012401" + f"{card.version[0]:02X}" + "00"
    if apdu.startswith("00A404000000"):
        apdu = "00A4040000" + "0006" + AID.hex() + "0000"
    assert raw(rig, apdu)[1] == 0x9000


@pytest.mark.reads
def test_it_is_selected_by_its_whole_aid(card):
    assert card.exchange(0xA4, 0x04, 0x00, card.aid, le=256)[1] == 0x9000


@pytest.mark.reads
@pytest.mark.parametrize("aid", ["D27600012402", "D276000125", "E82B0601040181C31F0201"])
def test_another_application_is_not_there(card, aid):
    with refused({"6A82"}):
        card.command("SELECT", 0xA4, 0x04, 0x00, bytes.fromhex(aid), le=256)


@pytest.mark.parametrize("reference", [0x81, 0x82, 0x83])
def test_a_select_ends_what_was_verified_or_keeps_it_all(card, mine, reference):
    """The specification leaves it open; half of it is no answer."""
    card.verify(mine.pw3 if reference == 0x83 else mine.pw1, reference)
    card.exchange(0xA4, 0x04, 0x00, AID, le=256)
    assert card.is_verified(reference) in (True, False)
    assert card.pin_status().pw1 == card.pin_status().pw3 == 3


@pytest.mark.reads
@pytest.mark.parametrize("ins", [0x00, 0x22 ^ 0xFF, 0x70, 0xB0, 0xD6, 0xE4, 0xFF])
def test_an_unknown_instruction_is_refused(card, ins):
    with refused({"6D00", "6E00"}):
        card.command("an unknown instruction", ins, 0, 0)


@pytest.mark.reads
@pytest.mark.parametrize("cla", [0xFF])
def test_a_class_that_is_not_of_iso_7816_is_refused(card, cla):
    """Open cards take the classes of makers, 80 and above, for their own; FF is none (ISO 7816-4, section 5.4.1)."""
    assert card.exchange(0xCA, 0x00, 0x4F, cla=cla, le=256)[1] in (0x6E00, 0x6D00, 0x6882)


@pytest.mark.reads
def test_secure_messaging_without_keys_is_refused(card):
    assert card.exchange(0xCA, 0x00, 0x4F, cla=0x0C, le=256)[1] in (0x6882, 0x6987, 0x6988, 0x6985, 0x6E00)


@pytest.mark.parametrize("block", [1, 16, 254, 255])
def test_a_command_in_blocks_is_one_command(admin, rig, block):
    content = bytes(range(256)) + b"keyharness"
    parts = [content[at : at + block] for at in range(0, len(content), block)]
    for part in parts[:-1]:
        assert admin.exchange(0xDA, URL >> 8, URL & 0xFF, part, cla=0x10)[1] == 0x9000
    assert admin.exchange(0xDA, URL >> 8, URL & 0xFF, parts[-1])[1] == 0x9000
    assert again(rig).get(URL) == content


def test_a_chain_that_another_command_breaks_is_forgotten(admin, mine):
    admin.exchange(0xDA, URL >> 8, URL & 0xFF, b"half", cla=0x10)
    admin.exchange(0xCA, 0x00, 0x4F, le=256)
    assert admin.get(URL) == mine.data[URL]
    admin.put(URL, b"whole")
    assert admin.get(URL) == b"whole"


def test_a_chain_that_is_never_ended_changes_nothing(admin, rig, mine):
    admin.exchange(0xDA, URL >> 8, URL & 0xFF, b"half", cla=0x10)
    assert again(rig).get(URL) == mine.data[URL]


@pytest.mark.reads
@pytest.mark.parametrize("le", [1, 10, 32, 128])
def test_what_is_longer_than_le_is_fetched_by_get_response(card, rig, le):
    whole = card.get(0x6E)
    first, status = raw(rig, f"00CA006E{le:02X}")
    if status == 0x9000:
        assert first == whole, "Le is a limit: a card may also give everything"
        return
    assert status >> 8 == 0x61
    assert len(first) == le
    found = first
    while status >> 8 == 0x61:
        more, status = raw(rig, f"00C00000{status & 0xFF:02X}")
        assert more
        found += more
    assert (found, status) == (whole, 0x9000)


@pytest.mark.reads
def test_a_get_response_with_nothing_to_get_is_refused(card, rig):
    assert raw(rig, "00C0000000")[1] != 0x9000


@pytest.mark.reads
def test_an_extended_answer_comes_whole(card, rig):
    if not capabilities(card) & EXTENDED:
        pytest.skip("not offered: extended length")
    data, status = raw(rig, "00CA006E000000")
    assert (data, status) == (card.get(0x6E), 0x9000)


@pytest.mark.reads
def test_the_capabilities_name_chaining_and_extended_length(card):
    assert capabilities(card) & (CHAINING | EXTENDED)


def test_an_extended_command_of_a_kilobyte_is_taken(admin):
    if not capabilities(admin) & EXTENDED:
        pytest.skip("not offered: extended length")
    admin.put(URL, b"k" * 1024)
    assert admin.get(URL) == b"k" * 1024


@pytest.mark.reads
@pytest.mark.parametrize("apdu", ["00CA004F0501", "00DA005E0000", "00DA005E000005AA", "00200082FF31"])
def test_lengths_that_contradict_the_command_are_refused(card, rig, apdu):
    assert raw(rig, apdu)[1] != 0x9000
    assert card.pin_status().pw1 == 3


@pytest.mark.parametrize("count", [1, 8, 32, 256])
def test_a_challenge_has_the_length_that_was_asked_for(card, count):
    require_capability(card, 0x40, "GET CHALLENGE")
    first, second = card.challenge(count), card.challenge(count)
    assert len(first) == len(second) == count
    assert first != second or count == 1


@pytest.mark.reads
def test_a_reset_of_the_power_ends_every_login(card, mine, rig):
    card.verify(mine.pw1, OTHER)
    assert card.is_verified(OTHER)
    assert not again(rig).is_verified(OTHER)
