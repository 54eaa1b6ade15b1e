"""The home state of a SmartCard-HSM, and whose card it is."""

from __future__ import annotations

import pytest

from harness.base.errors import CallerError, Refused
from harness.campaign.observe import observe
from harness.model.key import Memory
from harness_cards.curves import BY_NAME
from harness_schsm import description
from harness_schsm.client import CERTIFICATES, SO, USER, ScHsm
from harness_schsm.home import blank, foreign, identify, known, prepare
from harness_schsm.items import canaries
from support.hsm import hsm, up

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
