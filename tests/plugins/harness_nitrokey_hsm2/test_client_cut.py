"""A real client's key pair, cut at eight of its commands: each half-done state is told, and can be gone on from.

OpenSC makes a key pair by many commands: GENERATE; it deletes, creates and writes the request again; the description.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness_rigs.emulator.private_pcscd import DAEMON
from harness_schsm.client import CERTIFICATE, EC_SHA256, KEY, PRKD, USER, ScHsm
from support import opensc
from support.cut_client import CountedCard
from support.hsm import NAME
from support.opensc import Tools, module

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(opensc.missing() is not None, reason=str(opensc.missing())),
]
PIN, SO_PIN = "648219", "3537363231383830"
PLACES = 8
FILES = {"key": KEY, "request": CERTIFICATE, "description": PRKD}
MADE = 1
"""The number that OpenSC gives to the first key."""


class CutClient(CountedCard):
    """A card whose power goes at a command, and the tools that use it."""

    def __init__(self, folder: Path):
        super().__init__(folder / "control", NAME)
        self.tool = Tools(folder, DAEMON.environ)

    def make_pair(self) -> str:
        login = ("--module", module(), "--login", "--pin", PIN)
        return self.tool("pkcs11-tool", *login, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "10")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    made = CutClient(tmp_path_factory.mktemp("client"))
    try:
        made.boot()
        ScHsm(made.rig).initialize(SO_PIN, PIN, shares=0)
        made.rig.power.off()
        yield made
    finally:
        made.rig.close()


@pytest.fixture(scope="module")
def uncut(client):
    """Commands before the first write and at the end, of an uncut run; and the state that each cut starts from."""
    start = client.rig.vault.snapshot()
    client.boot()
    said = client.make_pair()
    assert "Key pair generated" in said
    total = client.count
    assert {KEY | MADE, CERTIFICATE | MADE, PRKD | MADE} <= set(ScHsm(client.rig).objects())
    return start, total


def places(total: int) -> list[int]:
    """Eight commands, the last ones of the run: what is written is written there."""
    first = total // 2
    return [first + (total - first) * number // (PLACES - 1) for number in range(PLACES)]


def test_each_cut_leaves_no_key_a_key_that_can_be_described_or_all_of_it(client, uncut):
    start, total = uncut
    found = {}
    for place in places(total):
        client.rig.vault.restore(start)
        client.boot(cut=place)
        said = client.make_pair()
        client.boot()
        card = ScHsm(client.rig)
        there = set(card.objects()) - {KEY}
        left = {name for name, kind in FILES.items() if kind | MADE in there}
        found[place] = left
        assert left in (set(), {"key"}, {"key", "request"}, {"key", "request", "description"}), (place, left)
        assert card.state(USER) in (0x63C3, 0x63C2), "no more than the try of the login is lost"
        card.verify(PIN)
        if "key" in left:
            assert card.sign(MADE, EC_SHA256, b"text"), "the key works, described or not"
        if "Key pair generated" in said:
            assert left == {"key", "request", "description"}, "what was acknowledged is there"
    assert set() in found.values(), "the first places are before the key is made"
    assert any(left == {"key"} or left == {"key", "request"} for left in found.values()), (
        "OpenSC's own order leaves a key that PKCS #11 does not see"
    )
