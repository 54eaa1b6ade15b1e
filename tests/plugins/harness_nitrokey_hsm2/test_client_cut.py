"""What real clients write by many commands, cut live at ten of them: each half-done state is told, and leads on.

OpenSC makes a key pair, stores a certificate in blocks, and restores a key over one that is there (`--force`). The
commands of an uncut run are recorded first, so that each cut falls before a write that is named.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from harness_rigs.emulator.private_pcscd import DAEMON
from harness_schsm import cvc
from harness_schsm.client import CERTIFICATE, EC_SHA256, KEY, PRKD, USER, ScHsm
from harness_schsm.home import share
from harness_schsm.items import verifies
from support import opensc
from support.cut_client import CountedCard
from support.hsm import NAME
from support.opensc import Tools, module

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(opensc.missing() is not None, reason=str(opensc.missing())),
]
PIN, SO_PIN = "648219", "3537363231383830"
FILES = {"key": KEY, "request": CERTIFICATE, "description": PRKD}
MADE = 1
"""The number that OpenSC gives to the first key."""
GENERATE, DELETE, UPDATE, UNWRAP = 0x46, 0xE4, 0xD7, 0x74
TEXT = b"text"


class CutClient(CountedCard):
    """A card whose power goes at a command, and the tools that use it."""

    def __init__(self, folder: Path):
        super().__init__(folder / "control", NAME)
        self.tool = Tools(folder, DAEMON.environ)

    def make_pair(self) -> str:
        return self._pkcs11("--keypairgen", "--key-type", "EC:prime256v1")

    def write_certificate(self) -> str:
        return self._pkcs11("--write-object", "certificate", "--type", "cert")

    def restore(self) -> str:
        words = ("--unwrap-key", "blob", "--key-reference", str(MADE), "--pin", PIN, "--force")
        return self.tool("sc-hsm-tool", *words)

    def _pkcs11(self, *words: str) -> str:
        return self.tool("pkcs11-tool", "--module", module(), "--login", "--pin", PIN, "--id", "10", *words)

    def writes(self) -> list[tuple[int, int]]:
        """(number of the command from 1, its INS) of each command of this boot that writes."""
        kinds = (GENERATE, DELETE, UPDATE, UNWRAP)
        return [(number, one[1]) for number, one in enumerate(self.commands, 1) if one[1] in kinds]

    def card(self) -> ScHsm:
        """The card, switched off and on; no more than the try of the cut login is lost, and the user is logged in."""
        self.boot()
        card = ScHsm(self.rig)
        assert card.state(USER) in (0x63C3, 0x63C2)
        card.verify(PIN)
        return card


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    made = CutClient(tmp_path_factory.mktemp("client"))
    try:
        made.boot()
        card = ScHsm(made.rig)
        card.initialize(SO_PIN, PIN, shares=1)
        card.import_share(share(0))
        made.rig.power.off()
        yield made
    finally:
        made.rig.close()


@pytest.fixture(scope="module")
def uncut(client):
    """The state that each cut starts from, the writes of an uncut run that makes a key pair, and the state then."""
    start = client.rig.vault.snapshot()
    client.boot()
    assert "Key pair generated" in client.make_pair()
    assert {KEY | MADE, CERTIFICATE | MADE, PRKD | MADE} <= set(ScHsm(client.rig).objects())
    writes = client.writes()
    client.rig.power.off()
    return start, writes, client.rig.vault.snapshot()


@pytest.fixture(scope="module")
def with_key(client, uncut):
    """A card with that key, its blob in a file; its public key, its request, and the state."""
    *_, made = uncut
    client.rig.power.off()
    client.rig.vault.restore(made)
    client.boot()
    client.tool("sc-hsm-tool", "--wrap-key", "blob", "--key-reference", str(MADE), "--pin", PIN)
    assert (client.tool.folder / "blob").stat().st_size
    request = ScHsm(client.rig).read(CERTIFICATE | MADE)
    client.rig.power.off()
    return cvc.decode_authenticated(request).request.key(), request, client.rig.vault.snapshot()


@pytest.fixture(scope="module")
def certificate(client):
    """A certificate of three blocks, in the tools' folder."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    day = datetime.datetime(2026, 1, 1)
    note = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"x" * 300)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, day, day.replace(year=2036))
        .add_extension(note, critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    (client.tool.folder / "certificate").write_bytes(made)
    return made


def recorded(client, start, act) -> tuple[list[tuple[int, int]], str]:
    """The writes of an uncut run from a state, and what the client said."""
    client.rig.power.off()
    client.rig.vault.restore(start)
    client.boot()
    said = act()
    return client.writes(), said


def cut(client, start, place: int, act) -> tuple[str, ScHsm]:
    """Cut one run before a command; what the client said, and the card afterwards."""
    client.rig.power.off()
    client.rig.vault.restore(start)
    client.boot(cut=place)
    said = act()
    return said, client.card()


def before_each(writes: list[tuple[int, int]], count: int) -> list[int]:
    """The first write, the last, and some between."""
    numbers = [number for number, _ in writes]
    return sorted({numbers[at * (len(numbers) - 1) // (count - 1)] for at in range(count)})


def test_each_cut_leaves_no_key_a_key_that_can_be_described_or_all_of_it(client, uncut):
    """GENERATE; the request is deleted, created and written again; then the description (OpenSC 0.23).

    Another version may write in another order, or nothing but the description: cuts are before its own writes.
    """
    start, writes, _ = uncut
    assert writes[0][1] == GENERATE
    assert UPDATE in [ins for _, ins in writes[1:]], "the description at least"
    found = {}
    for place in before_each(writes, 4):
        said, card = cut(client, start, place, client.make_pair)
        there = set(card.objects()) - {KEY}
        left = {name for name, kind in FILES.items() if kind | MADE in there}
        found[place] = left
        assert left in (set(), {"key"}, {"key", "request"}, {"key", "request", "description"}), (place, left)
        if "key" in left:
            assert card.sign(MADE, EC_SHA256, TEXT), "the key works, described or not"
        if "Key pair generated" in said:
            assert left == {"key", "request", "description"}, "what was acknowledged is there"
    assert set() in found.values(), "the first place is before the key is made"
    # Before the last write: the key is there, and PKCS #11 does not see it without its description.
    assert found[writes[-1][0]] >= {"key"}


def test_a_certificate_that_is_cut_in_its_blocks_leaves_the_key_and_is_written_again(
    client, with_key, certificate
):
    public, request, start = with_key
    writes, said = recorded(client, start, client.write_certificate)
    assert ScHsm(client.rig).read(CERTIFICATE | MADE) == certificate, said
    updates = [ins for _, ins in writes].count(UPDATE)
    short = 0
    for place in before_each(writes, 3):
        _, card = cut(client, start, place, client.write_certificate)
        fid = CERTIFICATE | MADE
        left = card.read(fid) if fid in card.objects() else None
        assert left in (None, request) or certificate.startswith(left), place
        short += left not in (None, request, certificate)
        assert verifies(public, card.sign(MADE, EC_SHA256, TEXT), TEXT)
        client.write_certificate()
        assert card.read(fid) == certificate, "the same command leads on"
    assert short or updates == 1, "the last place is between two blocks"


def test_a_forced_restore_that_is_cut_leaves_the_key_or_none_and_the_blob_leads_on(client, with_key):
    """`--force` of OpenSC 0.23 deletes the key before the card has shown that it opens the blob."""
    public, _, start = with_key
    writes, _ = recorded(client, start, client.restore)
    kinds = [ins for _, ins in writes]
    unwrapped = next(number for number, ins in writes if ins == UNWRAP)
    deletes_first = DELETE in kinds[: kinds.index(UNWRAP)]
    seen = set()
    for place in (writes[0][0], unwrapped, writes[-1][0]):
        _, card = cut(client, start, place, client.restore)
        seen.add(there := KEY | MADE in card.objects())
        assert not there or verifies(public, card.sign(MADE, EC_SHA256, TEXT), TEXT)
        client.restore()
        card.verify(PIN)
        assert verifies(public, card.sign(MADE, EC_SHA256, TEXT), TEXT), "the same command leads on"
    assert seen == ({False, True} if deletes_first else {True})
