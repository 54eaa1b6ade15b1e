"""Signatures and their counter, decryption, AES, security environments, touches; row by row."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from harness_cards.tlv import tlv
from harness_openpgp.algorithms import ECDH, ECDSA, ED25519, EDDSA, on_curve, rsa
from harness_openpgp.client import ADMIN, OTHER, SIGN, OpenPgp
from harness_openpgp.home import message
from harness_openpgp.public_keys import DIGEST_INFO, PublicKey
from harness_openpgp.slots import Slot
from harness_suites.openpgp.common import (
    NOT_TOUCHED,
    NOT_VERIFIED,
    WRONG_DATA,
    again,
    refused,
    require,
    require_aes,
    require_version,
    set_algorithm,
    wrong,
)

DIGEST = hashlib.sha256(b"keyharness").digest()
AES_KEY = hashlib.sha256(b"keyharness AES").digest()
BLOCKS = bytes(range(64))


def made(card: OpenPgp, mine, slot: Slot, algorithm) -> PublicKey:
    card.verify(mine.pw3, ADMIN)
    set_algorithm(card, slot, algorithm)
    card.verify(mine.pw3, ADMIN)
    key = PublicKey(algorithm, card.generate(slot))
    card.verify(mine.pw1, SIGN)
    card.verify(mine.pw1, OTHER)
    return key


def signature(card: OpenPgp, mine) -> bytes:
    card.verify(mine.pw1, SIGN)
    return card.sign(mine.keys[Slot.SIGN].signed_data(message(Slot.SIGN)))


# The counter


def test_each_signature_counts_one(card, mine):
    before = card.counter()
    for count in (1, 2, 3):
        signature(card, mine)
        assert card.counter() == before + count


@pytest.mark.parametrize("algorithm", [rsa(2048), on_curve(EDDSA, ED25519)], ids=["rsa", "ed25519"])
def test_signatures_of_every_kind_of_key_count(card, mine, algorithm):
    made(card, mine, Slot.SIGN, algorithm)
    before = card.counter()
    card.sign(DIGEST_INFO + DIGEST)
    assert card.counter() == before + 1


def test_the_counter_lasts(card, mine, rig):
    before = card.counter()
    signature(card, mine)
    assert again(rig).counter() == before + 1


WEEK = range(1, 8)


def test_a_week_of_daily_use_leaves_the_tries_and_counts_each_signature(card, mine, rig):
    """Each day the key is plugged in, a PIN is mistyped once, and every key is used (nitrokey-3-firmware issue 526)."""
    signed, tries = card.counter(), card.pin_status()
    for day in WEEK:
        card = again(rig)
        for right, reference in ((mine.pw1, OTHER), (mine.pw3, ADMIN)):
            with refused(wrong(2)):
                card.verify("99999999", reference)
            card.verify(right, reference)
        for slot in Slot:
            assert use(card, mine, slot)
        assert (card.counter(), card.pin_status()) == (signed + day, tries)


def test_a_refused_signature_does_not_count(card, mine):
    before = card.counter()
    with refused(NOT_VERIFIED):
        card.sign(DIGEST)
    card.verify(mine.pw1, SIGN)
    assert card.exchange(0x2A, 0x9E, 0x9A, b"", le=65536)[1] != 0x9000
    assert card.counter() == before


@pytest.mark.parametrize("slot", [Slot.DECIPHER, Slot.AUTHENTICATE], ids=lambda slot: slot.name.lower())
def test_other_uses_do_not_count(user, mine, slot):
    before = user.counter()
    if slot is Slot.DECIPHER:
        user.decipher(mine.keys[slot].cryptogram(message(slot))[0])
    else:
        user.authenticate(mine.keys[slot].signed_data(message(slot)))
    assert user.counter() == before


# What may be signed


@pytest.mark.parametrize("name, length", [("secp256r1", 32), ("secp384r1", 48), ("secp521r1", 64)])
def test_a_hash_as_long_as_the_curve_asks_for_is_signed(card, mine, name, length):
    made(card, mine, Slot.SIGN, on_curve(ECDSA, name))
    found = card.sign(bytes(range(length)))
    assert len(found) == 2 * {32: 32, 48: 48, 64: 66}[length]


@pytest.mark.parametrize("length", [1, 31, 33, 65, 100])
def test_what_is_no_hash_is_not_signed_on_a_curve(card, mine, length):
    made(card, mine, Slot.SIGN, on_curve(ECDSA, "secp256r1"))
    with refused(WRONG_DATA):
        card.sign(bytes(range(length)))


@pytest.mark.parametrize("length", [1, 20, 32, 64, 200])
def test_ed25519_signs_what_it_is_given(card, mine, length):
    key = made(card, mine, Slot.SIGN, on_curve(EDDSA, ED25519))
    data = bytes(range(length))
    found = card.sign(data)
    assert len(found) == 64
    assert key.verifies_data(found, data)


@pytest.mark.parametrize("bits", [2048, 4096])
def test_rsa_signs_digestinfo_and_answers_as_long_as_the_modulus(card, mine, bits):
    key = made(card, mine, Slot.SIGN, rsa(bits))
    found = card.sign(DIGEST_INFO + DIGEST)
    assert len(found) == bits // 8
    assert key.verifies_data(found, DIGEST_INFO + DIGEST)


def test_more_than_40_percent_of_the_modulus_is_not_signed(card, mine):
    made(card, mine, Slot.SIGN, rsa(2048))
    with refused(WRONG_DATA):
        card.sign(bytes(103))


def test_rsa_authenticates_with_digestinfo(card, mine):
    key = made(card, mine, Slot.AUTHENTICATE, rsa(2048))
    assert key.verifies_data(card.authenticate(DIGEST_INFO + DIGEST), DIGEST_INFO + DIGEST)


@pytest.mark.parametrize("p1, p2", [(0x9E, 0x9B), (0x9A, 0x9E), (0x00, 0x00), (0x80, 0x80)])
def test_other_security_operations_are_refused(user, mine, p1, p2):
    user.verify(mine.pw1, SIGN)
    assert user.exchange(0x2A, p1, p2, DIGEST, le=65536)[1] != 0x9000


@pytest.mark.parametrize("p1, p2", [(1, 0), (0, 1)])
def test_other_parameters_of_authenticate_are_refused(user, p1, p2):
    assert user.exchange(0x88, p1, p2, DIGEST, le=65536)[1] != 0x9000


# Decipher


@pytest.mark.parametrize("length", [1, 16, 32, 100, 245])
def test_rsa_deciphers_messages_of_any_length(card, mine, length):
    key = made(card, mine, Slot.DECIPHER, rsa(2048))
    secret = bytes(1 + index % 255 for index in range(length))
    cryptogram, right = key.cryptogram(secret)
    assert card.decipher(cryptogram) == right


@pytest.mark.parametrize("secret", [b"\0\0begins with zeros", bytes(16), b"ends with zeros\0\0"], ids=repr)
def test_zeros_of_a_deciphered_message_come_back(card, mine, secret):
    key = made(card, mine, Slot.DECIPHER, rsa(2048))
    cryptogram, right = key.cryptogram(secret)
    assert right == secret
    assert card.decipher(cryptogram) == secret


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[1:],
        lambda data: b"\x01" + data[1:],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"\0" + b"\xff" * 256,
        lambda data: b"\0" + (2).to_bytes(256, "big"),
        lambda data: b"",
    ],
    ids=["no indicator", "indicator 01", "short", "long", "above the modulus", "no padding", "empty"],
)
def test_what_was_not_encrypted_to_the_key_is_refused(card, mine, change):
    key = made(card, mine, Slot.DECIPHER, rsa(2048))
    cryptogram, right = key.cryptogram(b"x" * 32)
    answer, status = card.exchange(0x2A, 0x80, 0x86, change(cryptogram), le=65536)
    assert status != 0x9000
    assert right not in answer


@pytest.mark.parametrize(
    "data",
    [
        tlv(0xA6, tlv(0x7F49, tlv(0x86, b"\x04" + bytes(64)))),
        tlv(0xA6, tlv(0x7F49, tlv(0x86, b"\x04" + b"\xff" * 64))),
        tlv(0xA6, tlv(0x7F49, tlv(0x86, b"\x04" + bytes(32)))),
        tlv(0xA6, tlv(0x7F49, tlv(0x86))),
        tlv(0xA6, tlv(0x7F49)),
        tlv(0xA6),
        tlv(0xA7, tlv(0x7F49, tlv(0x86, b"\x04" + bytes(64)))),
        b"\xa6\x82",
    ],
    ids=["zero", "above the field", "short", "empty", "no point", "no key", "another tag", "cut"],
)
def test_what_is_no_point_of_the_curve_is_refused(user, mine, data):
    require(user.algorithm(Slot.DECIPHER).number == ECDH, "keys on curves")
    assert user.exchange(0x2A, 0x80, 0x86, data, le=65536)[1] != 0x9000
    cryptogram, right = mine.keys[Slot.DECIPHER].cryptogram(b"x" * 32)
    assert user.decipher(cryptogram) == right


# AES


def cipher_text(key: bytes) -> bytes:
    done = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
    return done.update(BLOCKS) + done.finalize()


@pytest.mark.parametrize("size", [16, 32])
def test_aes_enciphers_with_cbc_and_deciphers(everything, size):
    require_aes(everything)
    everything.put(0xD5, AES_KEY[:size])
    found = everything.encipher(BLOCKS)
    assert found == b"\x02" + cipher_text(AES_KEY[:size])
    assert everything.decipher(found) == BLOCKS


def test_an_aes_key_lasts(admin, mine, rig):
    require_aes(admin)
    admin.put(0xD5, AES_KEY)
    card = again(rig)
    card.verify(mine.pw1, OTHER)
    assert card.decipher(b"\x02" + cipher_text(AES_KEY)) == BLOCKS


@pytest.mark.parametrize("size", [0, 8, 15, 17, 24, 33])
def test_an_aes_key_of_another_size_is_refused(admin, size):
    require_aes(admin)
    with refused(WRONG_DATA):
        admin.put(0xD5, bytes(size))


@pytest.mark.parametrize("length", [1, 15, 17, 63])
def test_aes_takes_whole_blocks_only(everything, length):
    require_aes(everything)
    everything.put(0xD5, AES_KEY)
    with refused(WRONG_DATA):
        everything.encipher(BLOCKS[:length])
    with refused(WRONG_DATA):
        everything.decipher(b"\x02" + BLOCKS[:length])


def test_without_an_aes_key_nothing_is_enciphered(everything, rig):
    safe = any(application.name == "pro" for application in rig.key.applications)
    require(not safe, "a card without an AES key: the password safe of this key has put one there")
    require_aes(everything)
    with refused({"6A88", "6985", "6A80"}):
        everything.encipher(BLOCKS)


def test_aes_needs_82(admin):
    require_aes(admin)
    admin.put(0xD5, AES_KEY)
    with refused(NOT_VERIFIED):
        admin.encipher(BLOCKS)


# Security environments


def environment(card: OpenPgp, use: int, key: int) -> None:
    require(card.version >= (3, 0) and card.get(0xC0)[9] == 1, "security environments")
    card.command("MANAGE SECURITY ENVIRONMENT", 0x22, 0x41, use, bytes([0x83, 1, key]))


@pytest.mark.parametrize("algorithm", [rsa(2048), on_curve(ECDSA, "secp256r1")], ids=["rsa", "p256"])
def test_the_key_of_decryption_can_authenticate(card, mine, algorithm):
    """With RSA any key does both; on a curve an ECDH key may be refused."""
    require(card.version >= (3, 0) and card.get(0xC0)[9] == 1, "security environments")
    wanted = rsa(2048) if algorithm.is_rsa else on_curve(ECDH, "secp256r1")
    key = made(card, mine, Slot.DECIPHER, wanted)
    environment(card, 0xA4, 2)
    data = DIGEST_INFO + DIGEST if algorithm.is_rsa else DIGEST
    found, status = card.exchange(0x88, 0, 0, data, le=65536)
    if algorithm.is_rsa:
        assert status == 0x9000
    if status == 0x9000:
        assert PublicKey(algorithm, key.content).verifies_data(found, data)


def test_the_key_of_authentication_can_decipher(card, mine):
    require(card.version >= (3, 0) and card.get(0xC0)[9] == 1, "security environments")
    key = made(card, mine, Slot.AUTHENTICATE, rsa(2048))
    environment(card, 0xB8, 3)
    cryptogram, right = key.cryptogram(b"x" * 32)
    assert card.decipher(cryptogram) == right


def test_an_environment_can_be_set_back(user, mine):
    environment(user, 0xA4, 2)
    environment(user, 0xA4, 3)
    key = mine.keys[Slot.AUTHENTICATE]
    assert key.verifies(user.authenticate(key.signed_data(b"text")), b"text")


def test_a_power_cycle_ends_an_environment(user, mine, rig):
    environment(user, 0xB8, 3)
    card = again(rig)
    card.verify(mine.pw1, OTHER)
    cryptogram, right = mine.keys[Slot.DECIPHER].cryptogram(b"x" * 32)
    assert card.decipher(cryptogram) == right


@pytest.mark.reads
@pytest.mark.parametrize(
    "p2, data", [(0xA4, "830101"), (0xB8, "830104"), (0xB6, "830102"), (0xA4, "8302"), (0xA4, "")]
)
def test_an_environment_of_no_such_key_is_refused(card, p2, data):
    require(card.version >= (3, 0) and card.get(0xC0)[9] == 1, "security environments")
    assert card.exchange(0x22, 0x41, p2, bytes.fromhex(data))[1] != 0x9000


# Touches


FLAG_OF_THE_KEY = (b"\x00\x0f", b"\xff\xfe")
"""Manufacturers of cards whose flags go with a key whatever uses it: Nitrokey 3 (opcard-rs), and our reference."""


def require_touch(card: OpenPgp, rig) -> None:
    # A card may have the flags and no DO 7F74, which says with what it is touched.
    require(card.offers(0xD6), "flags that ask for a touch")
    require(rig.touch.can_touch, "a rig that touches the key")


SLOTS = pytest.mark.parametrize("slot", Slot, ids=lambda slot: slot.name.lower())


def use(card: OpenPgp, mine, slot: Slot) -> bytes:
    key = mine.keys[slot]
    if slot is Slot.SIGN:
        return signature(card, mine)
    card.verify(mine.pw1, OTHER)
    if slot is Slot.DECIPHER:
        return card.decipher(key.cryptogram(message(slot))[0])
    return card.authenticate(key.signed_data(message(slot)))


@SLOTS
def test_with_the_flag_a_key_is_used_after_a_touch(admin, mine, rig, slot):
    require_touch(admin, rig)
    admin.put(slot.uif, b"\x01\x20")
    with rig.touch.pressing():
        assert use(admin, mine, slot)


@SLOTS
@pytest.mark.waits(20)
def test_with_the_flag_and_without_a_touch_no_key_is_used(admin, mine, rig, slot):
    require_touch(admin, rig)
    require(rig.touch.can_withhold, "a rig on which a key can wait for a touch in vain")
    admin.put(slot.uif, b"\x01\x20")
    before = admin.counter()
    with refused(NOT_TOUCHED):
        use(admin, mine, slot)
    assert admin.counter() == before


@SLOTS
@pytest.mark.waits(20)
def test_each_use_asks_for_a_touch_of_its_own(admin, mine, rig, slot):
    require_touch(admin, rig)
    require(rig.touch.can_withhold, "a rig on which a key can wait for a touch in vain")
    admin.put(slot.uif, b"\x01\x20")
    with rig.touch.pressing():
        assert use(admin, mine, slot)
    with refused(NOT_TOUCHED):
        use(admin, mine, slot)


@pytest.mark.waits(20)
def test_an_environment_goes_round_no_flag(card, mine, rig):
    """The key of decryption authenticates. The flag of the key asks then, or that of the command: both are set."""
    require_touch(card, rig)
    require(card.version >= (3, 0) and card.get(0xC0)[9] == 1, "security environments")
    require(rig.touch.can_withhold, "a rig on which a key can wait for a touch in vain")
    made(card, mine, Slot.DECIPHER, rsa(2048))
    for slot in (Slot.DECIPHER, Slot.AUTHENTICATE):
        card.put(slot.uif, b"\x01\x20")
    if card.aid[8:10] in FLAG_OF_THE_KEY:
        card.put(Slot.AUTHENTICATE.uif, b"\x00\x20")
    environment(card, 0xA4, 2)
    with refused(NOT_TOUCHED | NOT_VERIFIED):
        card.authenticate(DIGEST_INFO + DIGEST)


@SLOTS
def test_a_flag_of_one_slot_asks_for_no_touch_of_another(admin, mine, rig, slot):
    require_touch(admin, rig)
    admin.put(slot.uif, b"\x01\x20")
    for other in set(Slot) - {slot}:
        assert use(admin, mine, other)


@SLOTS
def test_a_flag_lasts_and_can_be_cleared(admin, mine, rig, slot):
    require_touch(admin, rig)
    admin.put(slot.uif, b"\x01\x20")
    card = again(rig)
    assert card.get(slot.uif)[0] == 1
    card.verify(mine.pw3, ADMIN)
    card.put(slot.uif, b"\x00\x20")
    assert again(rig).get(slot.uif)[0] == 0


@SLOTS
def test_a_permanent_flag_can_never_be_cleared(admin, mine, rig, slot):
    require_touch(admin, rig)
    admin.put(slot.uif, b"\x02\x20")
    for other in (b"\x00\x20", b"\x01\x20"):
        assert admin.exchange(0xDA, 0, slot.uif, other)[1] != 0x9000
    assert again(rig).get(slot.uif)[0] == 2


@SLOTS
def test_a_flag_needs_pw3(user, rig, slot):
    require_touch(user, rig)
    with refused(NOT_VERIFIED):
        user.put(slot.uif, b"\x01\x20")


@pytest.mark.parametrize("flag", ["", "01", "0320", "0120FF"], ids=lambda flag: flag or "empty")
def test_a_flag_of_another_form_is_refused(admin, rig, flag):
    require_touch(admin, rig)
    assert admin.exchange(0xDA, 0, 0xD6, bytes.fromhex(flag))[1] != 0x9000
    assert admin.get(0xD6)[0] == 0


def test_a_wrong_pin_asks_for_no_touch(admin, rig):
    require_touch(admin, rig)
    admin.put(0xD6, b"\x01\x20")
    with refused(NOT_VERIFIED):
        admin.sign(DIGEST)


@pytest.mark.parametrize("flag", [1, 2], ids=["on", "permanent"])
def test_a_flag_stays_with_a_new_key(admin, rig, flag):
    require_touch(admin, rig)
    admin.put(0xD6, bytes([flag, 0x20]))
    admin.generate(Slot.SIGN)
    assert again(rig).get(0xD6)[0] == flag


@SLOTS
@pytest.mark.parametrize("flag", [1, 2], ids=["on", "permanent"])
def test_a_flag_stays_with_another_algorithm(admin, mine, rig, slot, flag):
    require_touch(admin, rig)
    admin.put(slot.uif, bytes([flag, 0x20]))
    set_algorithm(admin, slot, on_curve(ECDH if slot is Slot.DECIPHER else ECDSA, "secp384r1"))
    assert [admin.get(one.uif)[0] for one in Slot] == [flag if one is slot else 0 for one in Slot]
    card = again(rig)
    card.verify(mine.pw3, ADMIN)
    card.generate(slot)
    assert [card.get(one.uif)[0] for one in Slot] == [flag if one is slot else 0 for one in Slot]


def test_the_counter_begins_again_with_a_key_of_another_algorithm(admin, mine):
    signature(admin, mine)
    set_algorithm(admin, Slot.SIGN, on_curve(ECDSA, "secp384r1"))
    admin.generate(Slot.SIGN)
    assert admin.counter() == 0


@pytest.mark.reads
def test_the_algorithms_are_listed_for_each_slot(card):
    require_version(card, (3, 4), "DO FA")
    require(card.offers(0xFA), "DO FA")
    found = card.get(0xFA)
    for slot in Slot:
        attributes = card.get(slot.attributes)
        # The last byte FF says how a key is imported, not which algorithm it is.
        forms = {attributes, attributes.removesuffix(b"\xff"), attributes + b"\xff"}
        assert any(tlv(slot.attributes, form) in found for form in forms)
