"""TERMINATE DF, ACTIVATE FILE, the state after them, and the KDF; row by row."""

from __future__ import annotations

import pytest

from harness_openpgp.client import ADMIN, OTHER, SIGN, OpenPgp
from harness_openpgp.data_operations import derived, kdf_object
from harness_openpgp.home import DEFAULT_PW1, DEFAULT_PW3, message
from harness_openpgp.slots import Slot
from harness_suites.openpgp.common import (
    BLOCKED,
    NO_CODE,
    NOT_VERIFIED,
    WRONG_DATA,
    again,
    refused,
    require,
    wrong,
)

REFUSED_WHEN_TERMINATED = {"6985", "6285", "6D00", "6999"}


def block(card: OpenPgp, reference: int) -> None:
    for tries in (2, 1, 0):
        with refused(wrong(tries) | BLOCKED):
            card.verify("99999999", reference)


def reset(card: OpenPgp, rig) -> OpenPgp:
    """TERMINATE, ACTIVATE, and a new boot."""
    card.terminate()
    card.activate()
    return again(rig)


def after_terminate(rig) -> OpenPgp:
    rig.power.cycle()
    rig.wait_until_up()
    return OpenPgp(rig, terminated=True)


def test_terminating_needs_pw3(card, mine):
    with refused(NOT_VERIFIED | {"6985"}):
        card.terminate()
    card.verify(mine.pw1, OTHER)
    with refused(NOT_VERIFIED | {"6985"}):
        card.terminate()
    assert card.public(Slot.SIGN) == mine.keys[Slot.SIGN].content


def test_a_blocked_pw1_is_no_right_to_terminate(card):
    block(card, OTHER)
    with refused(NOT_VERIFIED | {"6985"}):
        card.terminate()


def test_a_blocked_pw3_is(card, rig):
    block(card, ADMIN)
    card = reset(card, rig)
    card.verify(DEFAULT_PW3, ADMIN)


def test_a_terminated_card_says_so_at_select(admin, rig):
    admin.terminate()
    assert after_terminate(rig).is_terminated


@pytest.mark.parametrize(
    "ins, p1, p2, data",
    [
        (0xCA, 0x00, 0x4F, ""),
        (0xCA, 0x00, 0x6E, ""),
        (0x20, 0x00, 0x82, "313233343536"),
        (0x24, 0x00, 0x81, "3132333435363132333435363738"),
        (0x2C, 0x02, 0x81, "313233343536"),
        (0xDA, 0x00, 0x5E, "00"),
        (0x47, 0x81, 0x00, "B600"),
        (0x2A, 0x9E, 0x9A, "00" * 32),
        (0x88, 0x00, 0x00, "00" * 32),
    ],
    ids=lambda value: f"{value:02X}" if isinstance(value, int) else None,
)
def test_a_terminated_card_answers_nothing_else(admin, rig, ins, p1, p2, data):
    admin.terminate()
    status = after_terminate(rig).exchange(ins, p1, p2, bytes.fromhex(data), le=256)[1]
    assert f"{status:04X}" in REFUSED_WHEN_TERMINATED


def test_terminating_twice_is_no_fault(admin):
    admin.terminate()
    assert admin.exchange(0xE6)[1] in (0x9000, 0x6985, 0x6285)


def test_an_operational_card_is_not_changed_by_activate(card, mine):
    assert card.exchange(0x44)[1] in (0x9000, 0x6985)
    assert card.public(Slot.SIGN) == mine.keys[Slot.SIGN].content
    card.verify(mine.pw1, OTHER)


def test_after_a_reset_the_pins_are_those_of_the_factory(admin, mine, rig):
    card = reset(admin, rig)
    with refused(wrong(2)):
        card.verify(mine.pw1, OTHER)
    card.verify(DEFAULT_PW1, OTHER)
    card.verify(DEFAULT_PW1, SIGN)
    card.verify(DEFAULT_PW3, ADMIN)
    status = card.pin_status()
    assert (status.pw1, status.code, status.pw3) == (3, 0, 3)


@pytest.mark.parametrize("slot", Slot, ids=lambda slot: slot.name.lower())
def test_after_a_reset_no_key_is_left(admin, mine, rig, slot):
    card = reset(admin, rig)
    assert card.public(slot) == b""
    assert card.get(0xC5) == bytes(60)
    assert card.get(0xCD) == bytes(12)
    card.verify(DEFAULT_PW1, SIGN)
    card.verify(DEFAULT_PW1, OTHER)
    key = mine.keys[slot]
    with refused({"6A88", "6985", "6A80"}):
        if slot is Slot.SIGN:
            card.sign(key.signed_data(message(slot)))
        elif slot is Slot.DECIPHER:
            card.decipher(key.cryptogram(message(slot))[0])
        else:
            card.authenticate(key.signed_data(message(slot)))


@pytest.mark.parametrize("tag", [0x5B, 0x5E, 0x5F50, 0x0101, 0x0102, 0x7F21], ids=lambda tag: f"{tag:04X}")
def test_after_a_reset_no_data_are_left(admin, rig, tag):
    assert reset(admin, rig).get(tag) == b""


def test_after_a_reset_no_reset_code_is_left(admin, rig):
    admin.set_code("27182818")
    card = reset(admin, rig)
    with refused(NO_CODE):
        card.reset_pw1("11223344", "27182818")


def test_after_a_reset_the_counter_begins_again(admin, mine, rig):
    admin.verify(mine.pw1, SIGN)
    admin.sign(mine.keys[Slot.SIGN].signed_data(message(Slot.SIGN)))
    assert reset(admin, rig).counter() == 0


def test_after_a_reset_flags_and_modes_are_those_of_the_factory(admin, mine, rig):
    admin.put(0xC4, b"\x01")
    touches = admin.offers(0xD6)
    if touches:
        admin.put(0xD6, b"\x02\x20")
    card = reset(admin, rig)
    # Some open cards begin with many signatures: what the card was like when it was new counts.
    assert mine.lasted_first is None or card.pin_status().lasts == mine.lasted_first
    if touches:
        assert card.get(0xD6)[0] == 0


def test_after_a_reset_it_is_the_same_card(admin, rig):
    before = admin.aid
    assert reset(admin, rig).aid == before


def test_after_a_reset_a_new_key_can_be_made_and_used(admin, rig):
    card = reset(admin, rig)
    card.verify(DEFAULT_PW3, ADMIN)
    content = card.generate(Slot.SIGN)
    assert again(rig).public(Slot.SIGN) == content


@pytest.mark.parametrize("ins", [0xE6, 0x44])
def test_other_parameters_are_refused(admin, mine, ins):
    for p1, p2 in ((1, 0), (0, 1)):
        assert admin.exchange(ins, p1, p2)[1] != 0x9000
    assert admin.public(Slot.SIGN) == mine.keys[Slot.SIGN].content


# KDF


def with_kdf(card: OpenPgp) -> None:
    """Set a KDF up as GnuPG does; PW3 is verified."""
    require(card.offers(0xF9), "a KDF")
    card.put(0xF9, kdf_object())


def test_without_a_kdf_the_object_says_so(card):
    require(card.offers(0xF9), "a KDF")
    assert card.get(0xF9) in (b"", b"\x81\x01\x00")


def test_a_kdf_is_read_back_whole_and_lasts(admin, rig):
    with_kdf(admin)
    assert again(rig).get(0xF9) == kdf_object()


def test_a_kdf_with_one_salt_is_taken(admin):
    require(admin.offers(0xF9), "a KDF")
    short = bytes.fromhex("81010382010883040000C350") + b"\x84\x08" + bytes(8)
    short += b"\x87\x20" + bytes(32) + b"\x88\x20" + bytes(32)
    admin.put(0xF9, short)
    assert admin.get(0xF9) == short


def test_a_kdf_with_sha_512_is_taken(admin):
    require(admin.offers(0xF9), "a KDF")
    whole = bytes.fromhex("8101038201 0A83040000C350") + b"".join(
        bytes([tag, 8]) + bytes(8) for tag in (0x84, 0x85, 0x86)
    )
    whole += b"\x87\x40" + bytes(64) + b"\x88\x40" + bytes(64)
    admin.put(0xF9, whole)
    assert admin.get(0xF9) == whole


def test_a_kdf_can_be_switched_off(admin, rig):
    with_kdf(admin)
    admin.put(0xF9, b"\x81\x01\x00")
    assert again(rig).get(0xF9) == b"\x81\x01\x00"


def other_kdf(salts: tuple[int, ...], size: int) -> bytes:
    """A KDF of other salts and hashes than that of GnuPG. :param size: of its hash: 32 of SHA-256, 64 of SHA-512."""
    hash_number = {32: "08", 64: "0A"}[size]
    whole = bytes.fromhex(f"810103 8201{hash_number} 83040000C350")
    whole += b"".join(bytes([tag, 8]) + bytes([tag]) * 8 for tag in salts)
    return whole + b"".join(bytes([tag, size]) + bytes([tag]) * size for tag in (0x87, 0x88))


KDFS = {
    "as long": other_kdf((0x84, 0x85, 0x86), 32),
    "shorter": other_kdf((0x84,), 32),
    "longer": other_kdf((0x84, 0x85, 0x86), 64),
}


@pytest.mark.parametrize("kind", KDFS)
def test_a_kdf_takes_the_place_of_the_one_before(admin, mine, rig, kind):
    """A host that hashes with the salts of the one before sends wrong PINs, three times."""
    with_kdf(admin)
    status = admin.exchange(0xDA, 0x00, 0xF9, KDFS[kind])[1]
    assert status == 0x9000 or f"{status:04X}" in WRONG_DATA
    wanted = KDFS[kind] if status == 0x9000 else kdf_object()
    assert admin.get(0xF9) == wanted
    card = again(rig)
    assert card.get(0xF9) == wanted
    card.verify(mine.pw1, OTHER)
    card.verify(mine.pw3, ADMIN)


@pytest.mark.parametrize(
    "content", ["81", "810107", "81010382", "00" * 110], ids=["cut", "unknown", "half", "zeros"]
)
def test_a_kdf_of_another_form_is_refused_or_kept_as_it_came(admin, content):
    """It is the host's to use: some cards, opcard-rs among them, look at nothing in it."""
    require(admin.offers(0xF9), "a KDF")
    before, written = admin.get(0xF9), bytes.fromhex(content)
    status = admin.exchange(0xDA, 0x00, 0xF9, written)[1]
    assert status == 0x9000 or f"{status:04X}" in WRONG_DATA
    assert admin.get(0xF9) == (written if status == 0x9000 else before)


def test_a_kdf_needs_pw3(user):
    require(user.offers(0xF9), "a KDF")
    with refused(NOT_VERIFIED):
        user.put(0xF9, kdf_object())


def test_hashed_pins_are_pins_as_any_others(admin, mine, rig):
    with_kdf(admin)
    user, wanted = derived(DEFAULT_PW1, 0x84), derived(DEFAULT_PW3, 0x86)
    admin.reset_pw1(user)
    admin.change(mine.pw3, wanted, ADMIN)
    card = again(rig)
    card.verify(user, OTHER)
    card.verify(wanted, ADMIN)
    with refused(wrong(2)):
        card.verify(DEFAULT_PW1, OTHER)


def test_after_a_reset_there_is_no_kdf(admin, rig):
    with_kdf(admin)
    assert reset(admin, rig).get(0xF9) in (b"", b"\x81\x01\x00")
