"""What GnuPG writes by many commands: recorded once, walked between any two of them, and cut live at eight of them.

A card cannot make several commands one change. So a cut may leave a key that is not described, which GnuPG shows as no
key; it may never leave a key that does not work, a description of another key, or no copy of the key at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest

from harness.model.memory import Look, Memory
from harness_cards.tlv import first
from harness_openpgp.algorithms import decode
from harness_openpgp.client import ADMIN, OTHER, OpenPgp
from harness_openpgp.gnupg import CURVE_25519, PW1, PW3, Gnupg
from harness_openpgp.home import known
from harness_openpgp.items import ABSENT, use
from harness_openpgp.public_keys import PublicKey
from harness_openpgp.slots import BY_CRT, Slot
from harness_rigs.emulator.private_pcscd import DAEMON
from harness_transports.card import card
from support import gnupg
from support.cut_client import CountedCard
from support.openpgp import NAME, openpgp_card

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(gnupg.missing() is not None, reason=str(gnupg.missing())),
]
WHO = "owner@example.org"
MOVES = 4
"""Places in keytocard; two in generate and two in kdf-setup make eight."""
MADE_AT, MADE_AT_S = "20260101T000000", 1_767_225_600
"""When the keys of a live `generate` are made, for gpg and in seconds since 1970."""
KDF, NO_KDF = 0xF9, bytes.fromhex("810100")
NOT_DESCRIBED, NO_DATE, WHOLE = "works, not described", "works, without its date", "works, described"
KDF_SETUP = ("admin", "kdf-setup", "quit")
STEPS = [ABSENT, NOT_DESCRIBED, NO_DATE, WHOLE]
"""What a slot goes through. No other state may be left."""
PUT, CHANGE, RESET_RETRY = 0xDA, 0x24, 0x2C


def looked(rig) -> Look:
    """A look at a card with the PINs of the factory."""
    memory = Memory()
    known(memory).pw1, known(memory).pw3 = PW1, PW3
    return Look(rig, memory, memory)


def slots(rig, dates: dict[Slot, bytes]) -> list[str]:
    """What is in each slot, by use. :param dates: when each key was made, as the client says."""
    client, look = OpenPgp(rig), looked(rig)
    assert client.pin_status().pw1 == client.pin_status().pw3 == 3, "a right PIN costs no try"
    found = []
    for slot in Slot:
        content = client.public(slot)
        if not content:
            found.append(ABSENT)
            continue
        key = PublicKey(client.algorithm(slot), content)
        works = use(look, slot, key)
        fingerprint = client.get(0xC5)[20 * slot.value :][:20]
        date = client.get(0xCD)[4 * slot.value :][:4]
        described = {
            (bytes(20), bytes(4)): "not described",
            (key.fingerprint(dates[slot]), bytes(4)): "without its date",
            (key.fingerprint(dates[slot]), dates[slot]): "described",
        }.get((fingerprint, date), "the description of another key")
        found.append(f"{works}, {described}")
    client.verify(PW3, ADMIN)
    client.verify(PW1, OTHER)
    return found


@dataclass
class Recorded:
    """What gpg sent: :ivar moving: for keytocard. :ivar making: for key-attr and generate.

    :ivar deriving: for kdf-setup. :ivar home: has keys.
    """

    client: CountedCard
    home: Path
    start: object
    moving: list[bytes] = field(default_factory=list)
    making: list[bytes] = field(default_factory=list)
    deriving: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpg")
    client = CountedCard(folder / "control", NAME)
    try:
        client.boot()
        client.rig.power.off()
        yield record(folder, client)
    finally:
        client.rig.close()


def record(folder: Path, client: CountedCard) -> Recorded:
    made = Recorded(client, folder / "keys", client.rig.vault.snapshot())
    owner = Gnupg(folder / "owner", DAEMON.environ, client.rig.options.reader)
    try:
        owner.make_keys(WHO)
        owner.close()
        # Without what the agent's processes leave: their sockets, their logs.
        shutil.copytree(owner.home, made.home, ignore=shutil.ignore_patterns("S.*", "*.log", "*.lock"))
        client.boot()
        owner.move_to_card(WHO)
        assert len(set(owner.secrets(WHO))) == 1, "all three are stubs of one card"
        made.moving = client.commands
        client.rig.power.off()
        client.rig.vault.restore(made.start)
        owner.close()
        client.boot()
        owner.dialogue("--card-edit", commands=("admin", "key-attr", "quit"), answers=CURVE_25519)
        owner.generate_on_card("Card Owner")
        made.making = client.commands
        client.rig.power.off()
        client.rig.vault.restore(made.start)
        owner.close()
        client.boot()
        owner.dialogue("--card-edit", commands=KDF_SETUP, answers={})
        made.deriving = client.commands
        client.rig.power.off()
    finally:
        owner.close()
    return made


def dates(commands: list[bytes]) -> dict[Slot, bytes]:
    """When each key was made, as it is written: DO CE to D0."""
    found = {
        one[3]: one[5:] for one in commands if one[1:3] == bytes([PUT, 0]) and one[3] in (0xCE, 0xCF, 0xD0)
    }
    return {slot: found[slot.date] for slot in Slot}


def up(rig):
    rig.power.on()
    rig.wait_until_up()
    return rig


def send(rig, commands: list[bytes]) -> Iterator[None]:
    """Send them as a reader does; what follows each of them may look at the card."""
    connection, when = card(rig), dates(commands)
    connection.connect()
    generated: set[Slot] = set()
    for one in commands:
        sent = one
        if one[1:3] == bytes([0x47, 0x80]):
            generated.add(BY_CRT[one[5]])
        for slot in generated:
            if one[1:4] == bytes([PUT, 0, slot.fingerprint]):
                # Another card makes another key, which has another fingerprint.
                sent = one[:5] + public_key(rig, slot).fingerprint(when[slot])
        _, sw1, sw2 = connection.transmit(list(sent))
        assert sw1 in (0x90, 0x61, 0x6A), f"{sent.hex()}: {sw1:02X}{sw2:02X}"
        yield


def public_key(rig, slot: Slot) -> PublicKey:
    """The key in a slot, read without a SELECT, which would end what is verified."""
    connection = card(rig)

    def answer(*command: int) -> bytes:
        return bytes(connection.transmit(list(command))[0])

    attributes = answer(0x00, 0xCA, 0x00, slot.attributes, 0x00)
    return PublicKey(decode(attributes), first(answer(0x00, 0x47, 0x81, 0x00, 0x02, slot.crt, 0x00, 0x00))[1])


@pytest.mark.parametrize("name", ["moving", "making"])
def test_between_any_two_commands_each_slot_is_empty_or_has_a_key_that_works(recorded, name):
    commands = getattr(recorded, name)
    when, walked, examined, seen = dates(commands), up(openpgp_card()), openpgp_card(), []
    for _ in send(walked, commands):
        examined.power.off()
        examined.board.load(walked.board.state())
        seen.append(slots(up(examined), when))
    assert {state for found in seen for state in found} == set(STEPS)
    for slot in Slot:
        order = [STEPS.index(found[slot.value]) for found in seen]
        assert order == sorted(order), f"{slot.title}: a step is taken back"
    assert seen[-1] == [WHOLE] * 3


@pytest.mark.parametrize("name", ["moving", "making"])
def test_after_a_cut_anywhere_the_same_commands_end_where_they_would_have_ended(recorded, name):
    commands = getattr(recorded, name)
    writes = [number for number, one in enumerate(commands, 1) if one[1] in (PUT, 0xDB, 0x47)]
    for place in writes[::3]:
        rig = up(openpgp_card())
        for _ in islice(send(rig, commands), place):
            pass
        rig.power.off()
        for _ in send(up(rig), commands):
            pass
        rig.power.off()
        assert slots(up(rig), dates(commands)) == [WHOLE] * 3


def places(commands: list[bytes]) -> list[int]:
    """Commands from the first write to the last one, as numbers from 1."""
    writes = [number for number, one in enumerate(commands, 1) if one[1] in (PUT, 0xDB)]
    return [writes[(len(writes) - 1) * number // (MOVES - 1)] for number in range(MOVES)]


def place_of(commands: list[bytes], tag: int) -> int:
    """The number, from 1, of the command that writes a data object."""
    return next(number for number, one in enumerate(commands, 1) if one[1:4] == bytes([PUT, 0, tag]))


@dataclass
class LiveCut:
    """A cut of the real gpg. :ivar kept: which keys were still on the host. :ivar found: what was in each slot."""

    place: int
    kept: list[bool]
    found: list[str]


@pytest.fixture(scope="module")
def live(recorded, tmp_path_factory):
    return [
        cut_live(recorded, place, tmp_path_factory.mktemp(f"at{place}")) for place in places(recorded.moving)
    ]


def owner_of(recorded: Recorded, folder: Path) -> Gnupg:
    """An owner who has the keys on the host, and the card as it was."""
    recorded.client.rig.power.off()
    recorded.client.rig.vault.restore(recorded.start)
    home = shutil.copytree(recorded.home, folder / "home")
    return Gnupg(home, DAEMON.environ, recorded.client.rig.options.reader)


def cut_live(recorded: Recorded, place: int, folder: Path) -> LiveCut:
    client, owner = recorded.client, owner_of(recorded, folder)
    try:
        client.boot(cut=place)
        owner.move_to_card(WHO)
        client.require_cut(place)
        kept = owner.on_host(WHO)
    finally:
        owner.close()
    client.boot()
    return LiveCut(place, kept, slots(client.rig, dates(recorded.moving)))


def test_a_cut_of_keytocard_leaves_each_key_on_the_host_or_on_the_card(live):
    for cut in live:
        # The primary key, the key to encrypt and the key to log in, in the order of the slots.
        both = zip(Slot, cut.kept, cut.found, strict=True)
        lost = [slot.title for slot, here, there in both if not here and "works" not in there]
        assert not lost, f"cut at command {cut.place}"
    assert len({tuple(cut.found) for cut in live}) > MOVES // 2, "the cuts were in different steps"
    assert {state for cut in live for state in cut.found} <= set(STEPS)


def test_after_a_live_cut_keytocard_again_moves_what_is_missing(recorded, live, tmp_path):
    """But gpg takes a key with its fingerprint for stored, and never writes its date then: the client's doing."""
    client = recorded.client
    place = next(cut.place for cut in live if NO_DATE in cut.found)
    owner = owner_of(recorded, tmp_path)
    try:
        client.boot(cut=place)
        owner.move_to_card(WHO)
        owner.close()
        client.boot()
        said = owner.move_to_card(WHO)
        owner.close()
        client.boot()
        found = slots(client.rig, dates(recorded.moving))
        assert "such a key has already been stored on the card" in said
        assert found.count(NO_DATE) == 1
        assert found.count(WHOLE) == 2
        assert owner.on_host(WHO) == [False] * 3, "each of them is on the card, by use"
    finally:
        owner.close()
        client.rig.power.off()


def cut_at(recorded: Recorded, place: int, *commands: str, at: str = "") -> None:
    """Cut the real gpg at a command of `generate`, or of other commands of its card menu."""
    client, owner = recorded.client, Gnupg(recorded.client.control / f"at-{place}", DAEMON.environ, "")
    owner.use_reader(client.rig.options.reader)
    client.rig.power.off()
    client.rig.vault.restore(recorded.start)
    try:
        client.boot(cut=place)
        if at:
            owner.dialogue("--card-edit", commands=("admin", "key-attr", "quit"), answers=CURVE_25519)
            owner.generate_on_card("Card Owner", at=at)
        else:
            owner.dialogue("--card-edit", commands=commands, answers={})
        client.require_cut(place)
    finally:
        owner.close()


@pytest.mark.parametrize(
    ("slot", "tag", "left"), [(Slot.SIGN, 0xC7, NOT_DESCRIBED), (Slot.DECIPHER, 0xCF, NO_DATE)]
)
def test_a_cut_of_generate_leaves_keys_that_work_and_no_description_of_another(recorded, slot, tag, left):
    """The card has the only copy: what it made before the cut is there and works, or the slot is empty."""
    cut_at(recorded, place_of(recorded.making, tag), at=MADE_AT)
    recorded.client.boot()
    found = slots(recorded.client.rig, dict.fromkeys(Slot, MADE_AT_S.to_bytes(4, "big")))
    recorded.client.rig.power.off()
    assert found[slot.value] == left
    assert set(found) <= {ABSENT, WHOLE, left}


@pytest.mark.parametrize("after", [0, 1], ids=["before F9", "after F9"])
def test_a_cut_of_kdf_setup_leaves_the_object_whole_or_not_there(recorded, after):
    """GnuPG 2.2 writes F9 alone; later ones change the PINs first, which no card can make one change with it."""
    client = recorded.client
    cut_at(recorded, place_of(recorded.deriving, KDF) + after, *KDF_SETUP)
    changed = any(one[1] in (CHANGE, RESET_RETRY) for one in client.commands)
    client.boot()
    card_ = OpenPgp(client.rig)
    found, tries = card_.get(KDF), card_.pin_status()
    if not changed:
        card_.verify(PW1, OTHER)
        card_.verify(PW3, ADMIN)
    client.rig.power.off()
    assert found == NO_KDF if not after else len(found) in (90, 110)
    assert (tries.pw1, tries.pw3) == (3, 3), "no try is spent"
