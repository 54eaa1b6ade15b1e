"""Two cards and no GnuPG: what a card lets out, what another one can do for it, and what a reset leaves."""

from __future__ import annotations

import pytest

from harness.api import NOT_OFFERED, Refused
from harness_cards.tlv import fields
from harness_openpgp.client import ADMIN, OTHER, SIGN, OpenPgp
from harness_openpgp.home import known, message
from harness_openpgp.key_operations import HostKey, host_key
from harness_openpgp.public_keys import PublicKey
from harness_openpgp.slots import Slot
from harness_suites.loss.login import Login
from harness_suites.loss.second import Card

PASSWORD, WRONG = "a very long sentence that its owner remembers", "another sentence"
PUBLIC_TAGS = {0x81, 0x82, 0x86}
"""What an answer with a public key may have (specification 3.4, section 7.2.14): modulus, exponent, point."""


def imported(*cards: Card) -> dict[Slot, HostKey]:
    """Keys that the host has made, on each card."""
    made = {slot: host_key(slot) for slot in Slot}
    for card in cards:
        if card.client().version < (3, 0):
            pytest.skip(f"{NOT_OFFERED}: keys on curves, which came with version 3.0")
        for slot, key in made.items():
            card.put(slot, key)
    return made


@pytest.mark.parametrize("which", ["A", "B"])
def test_keys_made_off_card_work_on_both_cards(card, second, which):
    made = imported(card, second)
    used = card if which == "A" else second
    assert used.signs(made[Slot.SIGN].public, b"text")
    assert used.decrypts(made[Slot.DECIPHER].public)
    challenge = message(Slot.AUTHENTICATE)
    login = made[Slot.AUTHENTICATE].public
    assert login.verifies(used.authenticate(login, challenge), challenge)


def test_the_secret_of_a_disk_is_the_same_on_card_b(card, second):
    """A disk that is opened by a secret which the key deciphers (LUKS with a card) opens with either card."""
    key = imported(card, second)[Slot.DECIPHER].public
    cryptogram, right = key.cryptogram(b"secret of a disk")
    found = []
    for one in (card, second):
        client = one.client()
        client.verify(one.pw1, OTHER)
        found.append(client.decipher(cryptogram).rjust(len(right), b"\0"))
    assert found == [right, right]


def test_a_key_made_on_the_card_is_on_no_other_card(card, second):
    made = {}
    for one in (card, second):
        client = one.client()
        client.verify(one.pw3, ADMIN)
        made[one.rig.name] = PublicKey(client.algorithm(Slot.SIGN), client.generate(Slot.SIGN))
    mine, other = made.values()
    assert mine.content != other.content
    assert card.signs(mine, b"text")
    assert not second.signs(mine, b"text")


def verified(card: Card) -> OpenPgp:
    """The card, of which everybody is verified."""
    client = card.client()
    for pin, reference in ((card.pw1, SIGN), (card.pw1, OTHER), (card.pw3, ADMIN)):
        client.verify(pin, reference)
    return client


@pytest.mark.parametrize("tag", [0x3FFF, 0x004D, 0x7F48, 0x5F48, 0x00B6, 0x00B8, 0x00A4, 0x00D5, 0x00D3])
def test_no_command_reads_a_private_key(card, tag):
    """GET DATA and GET NEXT DATA, also for the tags by which keys, an AES key and a reset code are written."""
    client = verified(card)
    for instruction in (0xCA, 0xCB, 0xCC):
        found, status = client.exchange(instruction, tag >> 8, tag & 0xFF, le=65536)
        assert status != 0x9000 or not found, f"{instruction:02X} {tag:04X}: {found.hex()}"


@pytest.mark.parametrize("slot", Slot)
def test_read_public_key_shows_the_public_key_alone(card, slot):
    assert fields(verified(card).public(slot)).keys() <= PUBLIC_TAGS


def test_an_imported_key_is_in_no_answer(card):
    """Everything that GET DATA answers for any tag of two bytes below 8000, without a byte of the private key."""
    made = imported(card)
    client = verified(card)
    answers = b"".join(client.exchange(0xCA, 0, tag, le=65536)[0] for tag in range(0x100))
    answers += b"".join(
        client.exchange(0xCA, high, low, le=65536)[0]
        for high in (0x01, 0x5F, 0x7F, 0x3F)
        for low in range(0x100)
    )
    assert answers
    assert not [slot.title for slot, key in made.items() if key.parts[0x92] in answers]


@pytest.mark.parametrize("between", ["TERMINATE", "ACTIVATE"])
def test_after_a_reset_that_was_broken_off_no_old_key_works(card, rig, home, between):
    """The power goes after TERMINATE or after ACTIVATE; openpgp.reset cuts inside them."""
    before = known(home.memory).keys
    client = card.client()
    assert [client.public(slot) for slot in Slot] == [before[slot].content for slot in Slot]
    client.verify(card.pw3, ADMIN)
    client.terminate()
    if between == "ACTIVATE":
        client.activate()
    rig.power.cycle()
    rig.wait_until_up()
    client = OpenPgp(rig, terminated=True)
    if client.is_terminated:
        with pytest.raises(Refused, match="6985"):
            client.verify("123456", OTHER)
        client.activate()
    again = Card(rig)
    client = again.client()
    client.verify(again.pw1, OTHER)
    assert [slot.title for slot in Slot if client.public(slot)] == []
    with pytest.raises(Refused):
        client.decipher(before[Slot.DECIPHER].cryptogram(message(Slot.DECIPHER))[0])


# A login with two ways in


@pytest.mark.parametrize(
    ("token", "password", "enters"),
    [
        ("here", None, True),
        ("here", WRONG, True),
        ("lost", PASSWORD, True),
        ("lost", WRONG, False),
        ("lost", None, False),
        ("another", PASSWORD, True),
        ("another", None, False),
    ],
    ids=lambda value: {PASSWORD: "password", WRONG: "wrong_password", None: "no_password"}.get(
        value, str(value)
    ),
)
def test_a_login_with_two_ways(card, second, token, password, enters):
    """The key is here, lost, or somebody else's; the password is right, wrong, or not typed."""
    public = imported(card)[Slot.AUTHENTICATE].public
    second.put(Slot.AUTHENTICATE, host_key(Slot.SIGN))
    used = {"here": card, "lost": None, "another": second}[token]
    login = Login(public, PASSWORD)
    answer = None if used is None else lambda challenge: used.authenticate(public, challenge)
    assert login.enters(answer, password) is enters


def test_a_login_by_key_neither_needs_the_password_nor_can_be_replayed(card):
    public = imported(card)[Slot.AUTHENTICATE].public
    login = Login(public, PASSWORD)
    assert login.enters(lambda challenge: card.authenticate(public, challenge))
    assert PASSWORD.encode() not in login.seen
    assert not login.enters(lambda _: login.seen[0])
