"""Two programs at one key in turn: scdaemon beside another client of the card, and a browser that uses FIDO2."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.api import NOT_OFFERED, Home, Refused, Rig
from harness_fido2.client import Fido, fido_memory
from harness_openpgp.client import ADMIN, AID, OTHER, SIGN, OpenPgp
from harness_openpgp.home import LOGIN, known, message
from harness_openpgp.slots import Slot
from harness_suites.loss.second import Card

UV = 0x04
"""User verified: a flag of authenticator data (WebAuthn, section 6.1)."""
Use = Callable[[OpenPgp, Home], object]


def sign(client: OpenPgp, home: Home) -> bytes:
    key = known(home.memory).keys[Slot.SIGN]
    return client.sign(key.signed_data(message(Slot.SIGN)))


def decipher(client: OpenPgp, home: Home) -> bytes:
    return client.decipher(known(home.memory).keys[Slot.DECIPHER].cryptogram(message(Slot.DECIPHER))[0])


def authenticate(client: OpenPgp, home: Home) -> bytes:
    key = known(home.memory).keys[Slot.AUTHENTICATE]
    return client.authenticate(key.signed_data(message(Slot.AUTHENTICATE)))


def write(client: OpenPgp, home: Home) -> None:
    client.put(LOGIN, client.get(LOGIN))


USES: dict[str, tuple[int, Use]] = {
    "sign": (SIGN, sign),
    "decipher": (OTHER, decipher),
    "authenticate": (OTHER, authenticate),
    "write": (ADMIN, write),
}
"""What may be done -> the PIN that it needs, and how it is done."""


def verified(card: Card, reference: int) -> OpenPgp:
    client = card.client()
    client.verify(card.pw3 if reference == ADMIN else card.pw1, reference)
    return client


@pytest.mark.parametrize("use", USES)
def test_another_clients_select_ends_what_was_verified(card, home, use):
    """Both share the connection, as scdaemon and another program do: the first one's next command is refused."""
    reference, do = USES[use]
    client = verified(card, reference)
    do(client, home)
    if use == "sign":
        # For one signature only (DO C4).
        client.verify(card.pw1, SIGN)
    client.card.transmit([0x00, 0xA4, 0x04, 0x00, len(AID), *AID, 0x00])
    with pytest.raises(Refused, match="6982"):
        do(client, home)


@pytest.mark.parametrize("use", USES)
def test_a_client_that_comes_later_inherits_no_pin(card, home, use):
    reference, do = USES[use]
    verified(card, reference)
    with pytest.raises(Refused, match="6982"):
        do(card.client(), home)


def browser(rig: Rig, home: Home) -> Fido:
    """A FIDO2 client at the same key."""
    if "fido2" not in {one.name for one in rig.key.applications}:
        pytest.skip(f"{NOT_OFFERED}: FIDO2 beside the card")
    return Fido(rig)


def flags_of_a_login(client: Fido, home: Home, pin: str | None = None) -> int:
    canary = fido_memory(home.memory).non_resident
    assert canary is not None
    (assertion,) = client.assertions(canary.rp, [canary.id], pin=pin)
    return int(assertion.auth_data.flags)


@pytest.mark.parametrize("reference", [SIGN, OTHER, ADMIN], ids=["81", "82", "83"])
def test_a_pin_of_the_card_verifies_nobody_to_fido2(card, rig, home, reference):
    client = browser(rig, home)
    verified(card, reference)
    assert not flags_of_a_login(client, home) & UV


@pytest.mark.parametrize("use", USES)
def test_the_pin_of_fido2_opens_nothing_on_the_card(card, rig, home, use):
    client = browser(rig, home)
    assert flags_of_a_login(client, home, fido_memory(home.memory).pin) & UV
    with pytest.raises(Refused, match="6982"):
        USES[use][1](card.client(), home)


def test_a_browser_between_two_commands_neither_takes_nor_gives_what_was_verified(card, rig, home):
    """FIDO2 is reached by another interface: the card's client goes on, and FIDO2 still asks for its own PIN."""
    client = browser(rig, home)
    owner = verified(card, OTHER)
    assert not flags_of_a_login(client, home) & UV
    decipher(owner, home)
    assert not flags_of_a_login(client, home) & UV
    tries = client.tries()
    owner.verify(card.pw1, OTHER)
    with pytest.raises(Refused):
        owner.verify("wrong PIN", OTHER)
    assert client.tries() == tries, "a wrong PIN of the card costs FIDO2 no try"


# What a reset takes, and what stays


def by_pw3(client: OpenPgp, card: Card) -> None:
    client.verify(card.pw3, ADMIN)


def by_blocked_pw3(client: OpenPgp, _card: Card) -> None:
    """As gpg's factory-reset of a card whose PW3 nobody knows: wrong ones until it is blocked."""
    while client.pin_status().pw3:
        with pytest.raises(Refused):
            client.verify("nobody's PW3", ADMIN)


@pytest.mark.parametrize("way", [by_pw3, by_blocked_pw3], ids=["PW3 is known", "PW3 is blocked"])
def test_a_reset_of_each_way_takes_all_but_the_number_of_the_card(card, rig, way):
    client = card.client()
    before = client.aid
    way(client, card)
    client.terminate()
    client.activate()
    rig.power.cycle()
    rig.wait_until_up()
    after = OpenPgp(rig)
    assert after.aid == before
    assert not [slot.title for slot in Slot if after.public(slot)]
    assert not after.get(LOGIN)
    assert after.counter() == 0
    assert (after.pin_status().pw1, after.pin_status().code, after.pin_status().pw3) == (3, 0, 3)
    after.verify("123456", SIGN)
    after.verify("12345678", ADMIN)
