"""What must not reach over: into the next session, past a factory reset, from one PIN to the other, from boot to boot.

And what a change of a PIN must leave as it is: the AES key and every data object.
"""

from __future__ import annotations

import pytest

from harness_cards.rsa import key_of, pkcs1_block
from harness_openpgp.algorithms import ECDSA, on_curve, rsa
from harness_openpgp.client import ADMIN, OTHER, SIGN, OpenPgp
from harness_openpgp.home import CERTIFICATE, DEFAULT_PW1, DEFAULT_PW3, message
from harness_openpgp.public_keys import DIGEST_INFO, PublicKey
from harness_openpgp.slots import Slot
from harness_suites.openpgp.common import (
    NOT_VERIFIED,
    again,
    refused,
    require,
    require_aes,
    require_capability,
    require_version,
    set_algorithm,
    wrong,
)

AES_KEY, BLOCKS = bytes(range(32)), bytes(range(64))
CODE, NEW_PW1, NEW_PW3 = "27182818", "11223344", "5566778899"
WRONG, SHORT = b"99999999", b"1"
BYTES_OF_C4 = {SIGN: 1, ADMIN: 3}


# Sessions


def test_after_a_reset_in_the_same_boot_nobody_is_verified(everything, mine):
    everything.verify(mine.pw1, SIGN)
    everything.terminate()
    everything.activate()
    assert [one for one in (SIGN, OTHER, ADMIN) if everything.is_verified(one)] == []
    with refused(NOT_VERIFIED | {"6985"}):
        everything.put(0x5B, b"Somebody")


def test_select_ends_the_choice_of_a_certificate_with_the_session(user):
    require_version(user, (3, 0), "several certificates")
    user.select_certificate(Slot.SIGN)
    assert user.get(0x7F21) == b""
    card = OpenPgp(user.rig)
    # A card that keeps what was verified may keep this, too.
    if not card.is_verified(OTHER):
        assert card.get(0x7F21) == CERTIFICATE


def test_select_ends_an_environment_with_the_session(user, mine):
    require(user.version >= (3, 0) and user.get(0xC0)[9] == 1, "security environments")
    user.command("MSE", 0x22, 0x41, 0xA4, bytes.fromhex("830102"))
    card = OpenPgp(user.rig)
    if card.is_verified(OTHER):
        return
    card.verify(mine.pw1, OTHER)
    key, text = mine.keys[Slot.AUTHENTICATE], message(Slot.AUTHENTICATE)
    assert key.verifies(card.authenticate(key.signed_data(text)), text)


# Changes of PINs


def by_code(card: OpenPgp, mine) -> None:
    card.verify(mine.pw3, ADMIN)
    card.set_code(CODE)
    card.reset_pw1(NEW_PW1, CODE)


def by_pw3(card: OpenPgp, mine) -> None:
    card.verify(mine.pw3, ADMIN)
    card.reset_pw1(NEW_PW1)


WAYS = {
    "change of PW1": lambda card, mine: card.change(mine.pw1, NEW_PW1),
    "change of PW3": lambda card, mine: card.change(mine.pw3, NEW_PW3, ADMIN),
    "unblocked by PW3": by_pw3,
    "unblocked by the code": by_code,
}


def pins_after(way: str, mine) -> tuple[str, str]:
    """PW1 and PW3 after a way of changing one."""
    return (mine.pw1, NEW_PW3) if way == "change of PW3" else (NEW_PW1, mine.pw3)


@pytest.mark.parametrize("way", WAYS)
def test_data_stay_as_they_are(everything, mine, rig, way):
    written = {0x5B: b"Last<<First", 0x5F2D: b"ende", 0x5F35: b"1", 0x5E: b"login", 0x5F50: b"https://x"}
    if everything.get(0xC0)[0] & 0x08:
        written |= {tag: f"private {tag:04X}".encode() for tag in (0x0101, 0x0102, 0x0103, 0x0104)}
    for tag, content in written.items():
        everything.put(tag, content)
    mode, touch = everything.pin_status().lasts, [everything.get(tag) for tag in (0xC1, 0xC2, 0xC3)]
    WAYS[way](everything, mine)
    pw1, pw3 = pins_after(way, mine)
    card = again(rig)
    card.verify(pw1, OTHER)
    card.verify(pw3, ADMIN)
    nested = {0x5B: b"", 0x5F2D: b"", 0x5F35: b""}
    assert {tag: card.get(tag) for tag in written if tag not in nested} == {
        tag: content for tag, content in written.items() if tag not in nested
    }
    holder = card.get(0x65)
    assert all(written[tag] in holder for tag in nested)
    assert (card.pin_status().lasts, [card.get(tag) for tag in (0xC1, 0xC2, 0xC3)]) == (mode, touch)


@pytest.mark.parametrize("way", WAYS)
def test_the_aes_key_stays(everything, mine, rig, way):
    require_aes(everything)
    everything.put(0xD5, AES_KEY)
    before = everything.encipher(BLOCKS)
    WAYS[way](everything, mine)
    card = again(rig)
    card.verify(pins_after(way, mine)[0], OTHER)
    assert card.encipher(BLOCKS) == before


@pytest.mark.parametrize("reference", [SIGN, ADMIN], ids=["PW1", "PW3"])
def test_the_right_pin_of_a_change_gives_the_tries_back(card, mine, reference):
    with refused(wrong(2)):
        card.verify(WRONG, reference)
    card.change(mine.pw3 if reference == ADMIN else mine.pw1, NEW_PW3, reference)
    status = card.pin_status()
    assert (status.pw1, status.pw3) == (3, 3)


@pytest.mark.parametrize("reference", [SIGN, ADMIN], ids=["PW1", "PW3"])
def test_each_byte_of_the_longest_pin_counts(card, mine, reference):
    longest = bytes(0x30 + number % 10 for number in range(card.get(0xC4)[BYTES_OF_C4[reference]] & 0x7F))
    card.change(mine.pw3 if reference == ADMIN else mine.pw1, longest, reference)
    with refused(wrong(2)):
        card.verify(longest[:-1] + b"x", reference)
    card.verify(longest, reference)


def test_each_byte_of_the_longest_reset_code_counts(admin, mine):
    longest = bytes(0x30 + number % 10 for number in range(admin.get(0xC4)[2] & 0x7F))
    admin.set_code(longest)
    with refused(wrong(2)):
        admin.reset_pw1(NEW_PW1, longest[:-1] + b"x")
    admin.reset_pw1(NEW_PW1, longest)
    admin.verify(NEW_PW1, OTHER)


def test_the_reset_code_unblocks_more_than_once(admin, mine, rig):
    admin.set_code(CODE)
    for pin in (NEW_PW1, "44332211", NEW_PW1):
        card = again(rig)
        card.reset_pw1(pin, CODE)
        card.verify(pin, OTHER)
        key, text = mine.keys[Slot.AUTHENTICATE], message(Slot.AUTHENTICATE)
        assert key.verifies(card.authenticate(key.signed_data(text)), text)


@pytest.mark.parametrize("content", [b"\0", b"\1", b"\1\x20\x20\x20"], ids=bytes.hex)
def test_the_mode_of_pw1_gives_no_try_back(admin, content):
    admin.set_code(CODE)
    for offer in (
        lambda: admin.verify(WRONG, OTHER),
        lambda: admin.reset_pw1(NEW_PW1, "99999999"),
    ):
        with refused(wrong(2)):
            offer()
    admin.exchange(0xDA, 0, 0xC4, content)
    status = admin.pin_status()
    assert (status.pw1, status.code, status.pw3) == (2, 2, 3)


@pytest.mark.parametrize("content", [b"\0\x20\x20\x20", b"\1\0\0\0", b"\0\0\0\1"], ids=bytes.hex)
def test_the_first_byte_of_do_c4_is_the_mode_of_pw1(admin, rig, content):
    """Some clients send the lengths behind it, as they were read; a card may refuse those."""
    admin.put(0xC4, bytes([1 - content[0]]))
    if admin.exchange(0xDA, 0, 0xC4, content)[1] == 0x9000:
        assert again(rig).pin_status().lasts == bool(content[0])


def _as_admin(act):
    def done(card: OpenPgp, mine) -> None:
        card.verify(mine.pw3, ADMIN)
        act(card)

    return done


TRIES_AFTER = {
    "PW1 as 81": (lambda card, mine: card.verify(mine.pw1, SIGN), (3, 2, 2)),
    "PW1 as 82": (lambda card, mine: card.verify(mine.pw1, OTHER), (3, 2, 2)),
    "PW3": (_as_admin(lambda card: None), (2, 2, 3)),
    "change of PW1": (lambda card, mine: card.change(mine.pw1, NEW_PW1), (3, 2, 2)),
    "change of PW3": (lambda card, mine: card.change(mine.pw3, NEW_PW3, ADMIN), (2, 2, 3)),
    "unblocked by PW3": (_as_admin(lambda card: card.reset_pw1(NEW_PW1)), (3, 2, 3)),
    "unblocked by the code": (lambda card, mine: card.reset_pw1(NEW_PW1, CODE), (3, 3, 2)),
    "new code": (_as_admin(lambda card: card.set_code("3141592653")), (2, 3, 3)),
    "no code": (_as_admin(lambda card: card.set_code("")), (2, 0, 3)),
    "name": (_as_admin(lambda card: card.put(0x5B, b"Last<<First")), (2, 2, 3)),
    "new key": (_as_admin(lambda card: card.generate(Slot.AUTHENTICATE)), (2, 2, 3)),
}
"""What is done -> tries of PW1, reset code and PW3 after it, if each had lost one before."""


@pytest.mark.parametrize("act", TRIES_AFTER)
def test_the_right_pin_gives_no_other_one_its_tries_back(admin, mine, rig, act):
    admin.set_code(CODE)
    for offer in (
        lambda: admin.verify(WRONG, OTHER),
        lambda: admin.reset_pw1(NEW_PW1, "99999999"),
        lambda: admin.verify(WRONG, ADMIN),
    ):
        with refused(wrong(2)):
            offer()
    done, expected = TRIES_AFTER[act]
    done(admin, mine)
    for found in (lambda: admin, lambda: again(rig)):
        status = found().pin_status()
        assert (status.pw1, status.code, status.pw3) == expected


MALFORMED = {
    "change of PW1": (0x24, 0, SIGN),
    "change of PW3": (0x24, 0, ADMIN),
    "unblock by the code": (0x2C, 0, SIGN),
}


@pytest.mark.parametrize("command", MALFORMED)
def test_a_command_of_a_wrong_form_does_not_tell_for_nothing_whether_its_code_is_right(admin, mine, command):
    """It may cost a try and say so; if it costs none, a right code and a wrong one have the same answer."""
    admin.set_code(CODE)
    ins, p1, p2 = MALFORMED[command]
    right = {"change of PW1": mine.pw1, "change of PW3": mine.pw3}.get(command, CODE).encode()

    def tries() -> tuple[int, int, int]:
        status = admin.pin_status()
        return status.pw1, status.code, status.pw3

    before = tries()
    answer = admin.exchange(ins, p1, p2, b"9" * len(right) + SHORT)[1]
    assert answer != 0x9000
    if tries() == before:
        assert admin.exchange(ins, p1, p2, right + SHORT)[1] == answer
        assert tries() == before


# A factory reset


def factory(card: OpenPgp, rig) -> OpenPgp:
    """TERMINATE, ACTIVATE, a new boot, and both PINs of the factory."""
    card.terminate()
    card.activate()
    card = again(rig)
    card.verify(DEFAULT_PW1, OTHER)
    card.verify(DEFAULT_PW3, ADMIN)
    return card


@pytest.mark.parametrize("tag", [0x0101, 0x0102, 0x0103, 0x0104], ids=lambda tag: f"{tag:04X}")
def test_after_a_reset_no_private_object_is_left(everything, rig, tag):
    require_capability(everything, 0x08, "private data objects")
    everything.put(tag, b"of the owner before")
    assert factory(everything, rig).get(tag) == b""


@pytest.mark.parametrize("slot", Slot, ids=lambda slot: slot.name.lower())
def test_after_a_reset_no_certificate_of_any_slot_is_left(admin, rig, slot):
    require_version(admin, (3, 0), "several certificates")
    admin.put_certificate(slot, b"certificate of the owner before")
    assert factory(admin, rig).certificate(slot) == b""


def test_after_a_reset_no_aes_key_is_left(everything, rig):
    """A card may have none then, or a new one of its own."""
    require_aes(everything)
    everything.put(0xD5, AES_KEY)
    before = everything.encipher(BLOCKS)
    answer, status = factory(everything, rig).exchange(0x2A, 0x86, 0x80, BLOCKS, le=256)
    assert (status, answer) != (0x9000, before)


# Answers of full length, and random numbers


def test_a_signature_of_rsa_is_as_long_as_the_modulus_though_it_begins_with_zeros(admin, mine):
    require_version(admin, (3, 0), "an import of another size")
    key = key_of(2048, 7)
    set_algorithm(admin, Slot.AUTHENTICATE, rsa(2048))
    admin.verify(mine.pw3, ADMIN)
    half = key.size // 2
    parts = {0x91: b"\0\1\0\1", 0x92: key.p.to_bytes(half, "big"), 0x93: key.q.to_bytes(half, "big")}
    admin.import_key(Slot.AUTHENTICATE, parts)
    admin.verify(mine.pw1, OTHER)
    for number in range(10_000):
        data = DIGEST_INFO + number.to_bytes(32, "big")
        if not (right := key.raw(pkcs1_block(data, key.size)))[0]:
            break
    assert admin.authenticate(data) == right


def test_every_signature_on_a_curve_has_both_numbers_at_full_length(card, mine):
    """One in 128 has a number that begins with a zero byte."""
    card.verify(mine.pw1, OTHER)
    key = mine.keys[Slot.AUTHENTICATE]
    require(not key.algorithm.is_rsa, "a curve")
    lengths = {len(card.authenticate(number.to_bytes(32, "big"))) for number in range(1, 400)}
    assert lengths == {64}


def test_keys_of_two_boots_differ(admin, mine, rig):
    set_algorithm(admin, Slot.SIGN, on_curve(ECDSA, "secp256r1"))
    admin.verify(mine.pw3, ADMIN)
    one = PublicKey(admin.algorithm(Slot.SIGN), admin.generate(Slot.SIGN))
    card = again(rig)
    card.verify(mine.pw3, ADMIN)
    other = PublicKey(card.algorithm(Slot.SIGN), card.generate(Slot.SIGN))
    assert one.content != other.content


def test_the_signature_counter_goes_beyond_a_byte(card, mine):
    card.verify(mine.pw3, ADMIN)
    card.put(0xC4, b"\1")
    card.verify(mine.pw1, SIGN)
    before = card.counter()
    data = mine.keys[Slot.SIGN].signed_data(message(Slot.SIGN))
    for _ in range(258 - before % 256):
        card.sign(data)
    assert card.counter() == before + 258 - before % 256


# What one object leaves of the others


def test_writing_one_object_leaves_all_others(admin):
    """Names, fingerprints, dates: each is written anew, and only that one changes."""
    contents = {0x5B: b"Last<<First", 0x5F2D: b"ende", 0x5F35: b"1", 0x5E: b"login", 0x5F50: b"https://x"}
    contents |= {tag: bytes([tag]) * 20 for tag in (*range(0xC7, 0xCA), *range(0xCA, 0xCD))}
    contents |= {tag: bytes([tag]) * 4 for tag in range(0xCE, 0xD1)}
    for tag, content in contents.items():
        admin.put(tag, content)
    # What belongs to each: a simple object, or its part of 65, C5, C6 or CD.
    shown = {0x5E: 0x5E, 0x5F50: 0x5F50, **dict.fromkeys((0x5B, 0x5F2D, 0x5F35), 0x65)}
    shown |= {**dict.fromkeys(range(0xC7, 0xCA), 0xC5), **dict.fromkeys(range(0xCA, 0xCD), 0xC6)}
    shown |= dict.fromkeys(range(0xCE, 0xD1), 0xCD)
    for tag, content in contents.items():
        admin.put(tag, content)
        for other, written in contents.items():
            assert written in admin.get(shown[other]), f"{other:X} after {tag:X} was written"


def test_pw1_serves_for_one_signature_though_82_is_verified_too(card, mine):
    card.verify(mine.pw1, OTHER)
    card.verify(mine.pw1, SIGN)
    data = mine.keys[Slot.SIGN].signed_data(message(Slot.SIGN))
    card.sign(data)
    with refused(NOT_VERIFIED):
        card.sign(data)


def test_another_size_of_rsa_removes_the_key(admin, mine):
    require_version(admin, (3, 0), "another size")
    set_algorithm(admin, Slot.AUTHENTICATE, rsa(2048))
    admin.verify(mine.pw3, ADMIN)
    admin.generate(Slot.AUTHENTICATE)
    set_algorithm(admin, Slot.AUTHENTICATE, rsa(4096))
    assert admin.public(Slot.AUTHENTICATE) == b""
