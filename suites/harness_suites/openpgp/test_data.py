"""Data objects: what they hold, who may read and write them, and that they last; row by row."""

from __future__ import annotations

import pytest

from harness_cards.tlv import fields
from harness_openpgp.client import ADMIN, OTHER, SIGN
from harness_openpgp.home import CERTIFICATE, DATE
from harness_openpgp.slots import Slot
from harness_suites.openpgp.common import (
    NO_REFERENCE,
    NOT_VERIFIED,
    WRONG_DATA,
    WRONG_P1P2,
    again,
    refused,
    require,
    require_capability,
    require_version,
)

SLOTS = pytest.mark.parametrize("slot", Slot, ids=lambda slot: slot.name.lower())
SMALL = {0x5B: b"Doe<<Jane", 0x5F2D: b"deen", 0x5F35: b"2"}
LARGE = {0x5E: b"jane", 0x5F50: b"https://example.org/key"}
DESCRIPTIONS = {
    **{tag: bytes([tag]) * 20 for tag in range(0xC7, 0xCD)},
    **{tag: bytes([tag]) * 4 for tag in range(0xCE, 0xD1)},
}
WRITABLE = {**SMALL, **LARGE, **DESCRIPTIONS, 0xC4: b"\x00", 0xD3: b"12345678"}


@pytest.mark.reads
@pytest.mark.parametrize(
    "tag, length",
    [(0x4F, 16), (0x5F52, 10), (0xC0, 10), (0xC4, 7), (0xC5, 60), (0xC6, 60), (0xCD, 12), (0x5F35, 1)],
    ids=lambda value: f"{value:X}",
)
def test_an_object_of_fixed_length_has_it(card, tag, length):
    assert len(card.get(tag)) == length


@pytest.mark.reads
def test_the_aid_names_application_version_and_card(card):
    aid = card.aid
    assert aid[:6].hex().upper() == "D27600012401"
    assert aid[6] in (1, 2, 3)
    assert aid[10:14] != bytes(4)
    assert aid[14:] == bytes(2)


@pytest.mark.reads
def test_an_operational_card_says_so_in_its_historical_bytes(card):
    historical = card.get(0x5F52)
    assert historical[0] == 0
    assert historical[-3] == 5
    assert historical[-2:] == b"\x90\x00"


@pytest.mark.reads
@pytest.mark.parametrize(
    "outer, inner", [(0x65, 0x5B), (0x65, 0x5F2D), (0x65, 0x5F35), (0x6E, 0x4F), (0x6E, 0x5F52)]
)
def test_a_constructed_object_holds_what_the_simple_one_says(card, outer, inner):
    assert card.members(outer)[inner] == card.get(inner)


@pytest.mark.reads
@pytest.mark.parametrize(
    "inner", [0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xCD], ids=lambda tag: f"{tag:X}"
)
def test_the_discretionary_objects_hold_what_the_simple_ones_say(card, inner):
    assert fields(card.members(0x6E)[0x73])[inner] == card.get(inner)


@pytest.mark.reads
def test_the_signature_counter_has_three_bytes(card):
    assert len(card.members(0x7A)[0x93]) == 3


@pytest.mark.reads
@SLOTS
def test_the_attributes_name_an_algorithm_of_the_specification(card, slot):
    algorithm = card.algorithm(slot)
    assert algorithm.is_rsa or algorithm.name


@pytest.mark.reads
@SLOTS
def test_fingerprint_and_date_are_those_that_were_written(card, mine, slot):
    assert card.get(0xC5)[20 * slot.value :][:20] == mine.keys[slot].fingerprint(DATE)
    assert card.get(0xCD)[4 * slot.value :][:4] == DATE


@pytest.mark.reads
def test_the_origin_of_each_key_is_told(card):
    require_version(card, (3, 0), "DO DE")
    assert card.get(0xDE) == bytes.fromhex("010102010301")


@pytest.mark.reads
def test_the_extended_lengths_are_two_numbers(card):
    require(bool(card.get(0x5F52)[6] & 0x40) and card.version >= (3, 0), "extended length")
    found = card.get(0x7F66)
    assert (found[:2], found[4:6]) == (b"\x02\x02", b"\x02\x02")
    assert int.from_bytes(found[2:4], "big") >= 256
    assert int.from_bytes(found[6:8], "big") >= 256


@pytest.mark.reads
@pytest.mark.parametrize(
    "tag", [0x0000, 0x0001, 0x5F51, 0x99, 0xEE, 0x7F20, 0xFFFF], ids=lambda tag: f"{tag:04X}"
)
def test_an_unknown_object_is_refused(card, tag):
    with refused(NO_REFERENCE | {"6A86", "6B00", "6985"}):
        card.get(tag)


@pytest.mark.reads
@pytest.mark.parametrize("tag", [0xD3, 0xD5, 0x3FFF, 0xC7, 0xCE], ids=lambda tag: f"{tag:04X}")
def test_what_is_only_written_cannot_be_read(card, tag):
    """Fingerprints and dates are public: cards that tell one of them, as Gnuk does, say what the list says."""
    answer, status = card.exchange(0xCA, tag >> 8, tag & 0xFF, le=256)
    listed = {0xC7: 0xC5, 0xCE: 0xCD}.get(tag)
    assert status != 0x9000 or not answer or (listed and card.get(listed).startswith(answer))


@pytest.mark.parametrize("tag", WRITABLE, ids=lambda tag: f"{tag:04X}")
def test_writing_needs_pw3(user, tag):
    with refused(NOT_VERIFIED):
        user.put(tag, WRITABLE[tag])


@pytest.mark.parametrize(
    "tag", [0x4F, 0x5F52, 0xC0, 0x93, 0xC5, 0xC6, 0xCD, 0x6E, 0x65], ids=lambda tag: f"{tag:04X}"
)
def test_what_only_the_card_says_cannot_be_written(admin, tag):
    assert admin.exchange(0xDA, tag >> 8, tag & 0xFF, b"\x01")[1] != 0x9000


@pytest.mark.parametrize("tag", [*SMALL, *LARGE], ids=lambda tag: f"{tag:04X}")
def test_what_is_written_is_read_and_lasts(admin, rig, tag):
    admin.put(tag, WRITABLE[tag])
    assert admin.get(tag) == WRITABLE[tag]
    assert again(rig).get(tag) == WRITABLE[tag]


@pytest.mark.parametrize("tag", LARGE, ids=lambda tag: f"{tag:04X}")
@pytest.mark.parametrize("length", [0, 1, 127, 128, 254])
def test_objects_of_variable_length_take_any(admin, rig, tag, length):
    admin.put(tag, b"x" * length)
    assert again(rig).get(tag) == b"x" * length


@pytest.mark.parametrize("tag", DESCRIPTIONS, ids=lambda tag: f"{tag:04X}")
def test_each_part_of_a_list_is_written_by_itself(admin, rig, tag):
    name, size = (0xCD, 4) if tag >= 0xCE else (0xC6, 20) if tag >= 0xCA else (0xC5, 20)
    before = admin.get(name)
    at = (tag - (0xCE if tag >= 0xCE else 0xCA if tag >= 0xCA else 0xC7)) * size
    admin.put(tag, DESCRIPTIONS[tag])
    after = again(rig).get(name)
    changed = [place for place in range(0, len(after), size) if after[place:][:size] != before[place:][:size]]
    if name == 0xC6:
        # Cards differ in the order of the authorities' fingerprints.
        assert len(changed) == 1
        at = changed[0]
    assert after == before[:at] + DESCRIPTIONS[tag] + before[at + size :]


@pytest.mark.parametrize(
    "tag, content",
    [
        (0x5B, b"n" * 40),
        (0x5F2D, b"d" * 10),
        (0x5F35, b"7"),
        (0x5F35, b"11"),
        (0xC7, bytes(19)),
        (0xC7, bytes(21)),
        (0xCA, bytes(4)),
        (0xCE, bytes(3)),
        (0xCE, bytes(5)),
    ],
    ids=lambda value: f"{value:X}" if isinstance(value, int) else str(len(value)),
)
def test_content_of_another_form_is_refused(admin, tag, content):
    """Cards that fill up a fingerprint or a date keep the form of the list, which is what hosts read."""
    if tag in DESCRIPTIONS and admin.exchange(0xDA, 0x00, tag, content)[1] == 0x9000:
        assert [len(admin.get(name)) for name in (0xC5, 0xC6, 0xCD)] == [60, 60, 12]
        return
    with refused(WRONG_DATA):
        admin.put(tag, content)


@pytest.mark.parametrize("length", [0, 1, 38, 39])
def test_names_of_up_to_39_bytes_are_taken(admin, length):
    admin.put(0x5B, b"n" * length)
    assert admin.get(0x5B) == b"n" * length


# Private use


PRIVATE = pytest.mark.parametrize("tag", [0x0101, 0x0102, 0x0103, 0x0104], ids=lambda tag: f"{tag:04X}")


def reader(tag: int) -> int | None:
    return {0x0103: OTHER, 0x0104: ADMIN}.get(tag)


def writer(tag: int) -> int:
    return OTHER if tag in (0x0101, 0x0103) else ADMIN


def verify(card, mine, reference: int | None) -> None:
    if reference is not None:
        card.verify(mine.pw3 if reference == ADMIN else mine.pw1, reference)


@PRIVATE
def test_a_private_object_is_written_and_read_by_those_who_may(card, mine, rig, tag):
    require_capability(card, 0x08, "objects for private use")
    verify(card, mine, writer(tag))
    card.put(tag, b"keyharness, private")
    card = again(rig)
    verify(card, mine, reader(tag))
    assert card.get(tag) == b"keyharness, private"


@PRIVATE
def test_a_private_object_is_written_by_nobody_else(card, mine, tag):
    require_capability(card, 0x08, "objects for private use")
    verify(card, mine, ADMIN if writer(tag) == OTHER else OTHER)
    with refused(NOT_VERIFIED):
        card.put(tag, b"another")


@pytest.mark.parametrize("tag", [0x0103, 0x0104], ids=lambda tag: f"{tag:04X}")
def test_a_private_object_is_read_by_nobody_else(card, mine, tag):
    require_capability(card, 0x08, "objects for private use")
    verify(card, mine, ADMIN if reader(tag) == OTHER else OTHER)
    with refused(NOT_VERIFIED):
        card.get(tag)


@pytest.mark.parametrize("tag", [0x0101, 0x0103], ids=lambda tag: f"{tag:04X}")
def test_pw1_for_signatures_neither_writes_nor_shows_a_private_object(card, mine, tag):
    """82 opens them (specification 3.4, section 4.4.1); 81 is for signatures alone."""
    require_capability(card, 0x08, "private data objects")
    card.verify(mine.pw1, SIGN)
    with refused(NOT_VERIFIED):
        card.put(tag, b"of somebody who signs")
    if tag == 0x0103:
        with refused(NOT_VERIFIED):
            card.get(tag)


# Certificates


@SLOTS
def test_each_slot_has_a_certificate_of_its_own(admin, rig, slot):
    require_version(admin, (3, 0), "three certificates")
    content = {one: f"keyharness {one.title}".encode() * 30 for one in Slot}
    for one in Slot:
        admin.put_certificate(one, content[one])
    assert again(rig).certificate(slot) == content[slot]


def test_the_next_certificate_follows_the_one_that_is_chosen(admin):
    require_version(admin, (3, 0), "three certificates")
    for one in Slot:
        admin.put_certificate(one, one.title.encode())
    found = [admin.get(0x7F21)]
    for _ in range(2):
        found.append(admin.command("GET NEXT DATA", 0xCC, 0x7F, 0x21, le=256))
    assert found == [b"authentication", b"decryption", b"signature"]
    with refused(NO_REFERENCE | WRONG_P1P2 | WRONG_DATA):
        admin.command("GET NEXT DATA", 0xCC, 0x7F, 0x21, le=256)


@pytest.mark.reads
def test_without_a_choice_the_certificate_is_the_one_of_authentication(card):
    require_version(card, (3, 0), "three certificates")
    assert card.get(0x7F21) == CERTIFICATE


def test_a_power_cycle_ends_the_choice(card, rig):
    require_version(card, (3, 0), "three certificates")
    assert card.certificate(Slot.SIGN) == b""
    assert again(rig).get(0x7F21) == CERTIFICATE


@pytest.mark.reads
@pytest.mark.parametrize(
    "p1, p2, data", [(3, 4, "60045C027F21"), (0, 0, "60045C027F21"), (0, 4, "60045C027F20")]
)
def test_a_choice_of_another_object_is_refused(card, p1, p2, data):
    require_version(card, (3, 0), "three certificates")
    assert card.exchange(0xA5, p1, p2, bytes.fromhex(data))[1] != 0x9000
    assert card.get(0x7F21) == CERTIFICATE


def test_a_certificate_can_be_removed(admin, rig):
    require_version(admin, (3, 0), "three certificates")
    admin.put_certificate(Slot.AUTHENTICATE, b"")
    assert again(rig).get(0x7F21) == b""


def test_a_certificate_needs_pw3(user):
    with refused(NOT_VERIFIED):
        user.put(0x7F21, b"another")


def test_a_long_certificate_lasts(admin, rig):
    most = int.from_bytes(admin.get(0xC0)[4:6], "big")
    content = bytes(index % 251 for index in range(min(most, 1900)))
    admin.put(0x7F21, content)
    assert again(rig).get(0x7F21) == content
