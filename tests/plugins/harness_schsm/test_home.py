"""The home state of a SmartCard-HSM, and whose card it is."""

from __future__ import annotations

import pytest

from harness.base.errors import CallerError, Refused
from harness.campaign.observe import observe
from harness.model.memory import Memory
from harness_cards.curves import BY_NAME
from harness_schsm import description
from harness_schsm.client import CERTIFICATE, CERTIFICATES, PRKD, SO, USER, ScHsm
from harness_schsm.home import blank, foreign, identify, keeps_files_of_its_own, known, prepare
from harness_schsm.items import canaries
from support.hsm import hsm, outcomes, up, walked

KEYS, FILES = "1 keys that are not ours", "1 files that are not ours"


@pytest.fixture
def new():
    """A rig with a card that never was initialised, with power."""
    return up(hsm())


def test_a_card_that_never_was_initialised_says_so_and_is_blank(new):
    client = ScHsm(new)
    assert (client.state(USER), client.state(SO)) == (0x6A88, 0x6A88)
    assert blank(new)
    assert foreign(new) == []
    for command, status in (
        (client.objects, "6A88"),
        (client.dkek, "6D00"),
        (lambda: client.verify("123456"), "6A88"),
    ):
        with pytest.raises(Refused, match=status):
            command()
    assert client.certificates(), "the device is known before"


@pytest.mark.parametrize("content", [b"", None], ids=["empty", "missing"])
def test_a_card_that_nobody_has_certified_has_no_serial_number(new, monkeypatch, content):
    """An open implementation ships so; every command but the reading of EF 2F02 works."""
    read = ScHsm.read

    def without(client: ScHsm, fid: int) -> bytes:
        if fid != CERTIFICATES:
            return read(client, fid)
        if content is None:
            raise Refused("READ BINARY 2F02", "6A82")
        return content

    monkeypatch.setattr(ScHsm, "read", without)
    assert identify(new) == {"firmware": "v4.1"}


@pytest.fixture
def unlisted(monkeypatch):
    """A card that describes each key itself, and does not list the requests, as an open implementation does."""
    listed, generated = ScHsm.objects, ScHsm.generate

    def generate(client: ScHsm, key_id: int, *arguments: object, **more: object) -> bytes:
        made = generated(client, key_id, *arguments, **more)
        client.update(PRKD | key_id, b"\xa0\x00")
        return made

    monkeypatch.setattr(ScHsm, "generate", generate)
    monkeypatch.setattr(
        ScHsm, "objects", lambda client: [fid for fid in listed(client) if fid >> 8 != CERTIFICATE >> 8]
    )


def test_requests_that_a_card_does_not_list_are_looked_for(new, unlisted):
    memory = Memory()
    prepare(new, memory)
    assert {"CE01", "CE02"} <= set(known(memory).objects)
    assert "CE03" not in known(memory).objects, "the AES key has none"
    assert "does not list" in keeps_files_of_its_own(new)
    prepare(new, Memory())


@pytest.mark.parametrize("operation", ["schsm.delete", "schsm.unwrap.foreign"])
def test_such_a_card_is_not_blamed_for_the_files_that_it_stores_itself(unlisted, operation):
    assert set(outcomes(walked(operation))) <= {"old", "new", "recovered"}


def test_a_second_run_finds_its_card_and_makes_the_canaries_anew(new):
    first, second = Memory(), Memory()
    prepare(new, first)
    assert not blank(new)
    prepare(new, second)
    assert known(first).requests[1] != known(second).requests[1]
    seen = observe(new, new.key.items, second, second).values
    assert seen["schsm.keys"] == canaries(second)
    assert seen["schsm.so_tries"] == 15, "it costs no try of the SO-PIN"


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda client: client.generate_ec(9, BY_NAME["secp256r1"]), [KEYS, FILES]),
        (lambda client: client.generate_aes(9), [KEYS]),
        (lambda client: client.update(0xCF09, b"diary"), [FILES]),
        (
            lambda client: client.update(0xC401, description.private_key("ec", "salary", 1, 256)),
            [KEYS, FILES],
        ),
    ],
    ids=["key", "aes key", "file", "label"],
)
def test_what_has_no_label_of_ours_is_refused_and_stays(new, make, said):
    memory = Memory()
    prepare(new, memory)
    assert foreign(new) == []
    client = ScHsm(new)
    client.verify(known(memory).pin)
    make(client)
    before = client.objects()
    assert foreign(new) == said
    with pytest.raises(CallerError, match="is not empty"):
        prepare(new, Memory())
    assert ScHsm(new).objects() == before


def test_an_unknown_pin_is_the_callers_to_give(new):
    memory = Memory()
    prepare(new, memory)
    client = ScHsm(new)
    client.change(known(memory).pin, "somebody")
    with pytest.raises(CallerError, match="is initialised") as caught:
        prepare(new, Memory())
    assert caught.value.mend
    assert ScHsm(new).state() == 0x63C2, "one try for the PIN that it could have had"
