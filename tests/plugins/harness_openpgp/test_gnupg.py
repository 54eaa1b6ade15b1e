"""GnuPG and OpenSSH use the simulated card through a pcscd, as their own users do: one story that the tests look at."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field

import pytest

from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness_openpgp.gnupg import Gnupg
from harness_rigs.emulator.private_pcscd import DAEMON
from harness_rigs.emulator.rig import EmulatorOptions, EmulatorRig
from support import gnupg
from support.openpgp import NAME

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(gnupg.missing() is not None, reason=str(gnupg.missing())),
]
TWIN = [
    *(sys.executable, "-m", "harness", "twin", NAME, "--state", "{state}"),
    *("--speed", "max", "--vpcd", "127.0.0.1:{port}"),
]
MADE, MOVED = "card.owner@example.org", "moved@example.org"


@dataclass
class Story:
    """What was said and sent, and what went well, by a name."""

    said: dict[str, str] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)
    signs: dict[str, bool] = field(default_factory=dict)
    decrypts: dict[str, bool] = field(default_factory=dict)
    logs_in: dict[str, list[bool]] = field(default_factory=dict)

    def use(self, name: str, owner: Gnupg, who: str) -> None:
        """Sign and verify, encrypt and decrypt, log in with every key that the card offers."""
        self.signs[name] = owner.signs(who, b"hello")
        self.decrypts[name] = owner.decrypted(owner.encrypt(who, b"hello")) == b"hello"
        self.logs_in[name] = [owner.logs_in(public) for public in owner.ssh_keys()]
        self.said[name] = owner("--card-status")


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    options = EmulatorOptions(command=TWIN, transport="pcsc", ready_s=300, answer_s=300)
    rig, owner = EmulatorRig(RigRequest("card-1", discover().keys[NAME], True, 1, options)), None
    try:
        rig.power.on()
        rig.wait_until_up()
        owner = Gnupg(tmp_path_factory.mktemp("gpg") / "home", DAEMON.environ, rig.options.reader)
        yield told(owner)
    finally:
        if owner is not None:
            owner.close()
        rig.close()


def told(owner: Gnupg) -> Story:
    story = Story()
    story.said["version"] = owner("--version").partition("\n")[0]
    story.said["new"] = owner("--card-status")
    before = owner.written()
    owner.generate_on_card("Card Owner")
    story.sent["generate"] = owner.written_since(before)
    story.use("made", owner, MADE)
    owner.reset_card()
    story.said["reset"] = owner("--card-status")
    before = owner.written()
    owner.dialogue("--card-edit", commands=("admin", "kdf-setup", "quit"), answers={})
    story.sent["kdf"] = owner.written_since(before)
    story.said["kdf"] = owner("--card-status")
    owner.reset_card()
    story.said["primary"] = owner.make_keys(MOVED)
    before = owner.written()
    owner.move_to_card(MOVED)
    story.sent["keytocard"] = owner.written_since(before)
    story.use("moved", owner, MOVED)
    return story


@pytest.mark.parametrize(
    "line",
    [
        r"Version \.+: 3\.4",
        r"Key attributes \.+: rsa2048 rsa2048 rsa2048",
        r"PIN retry counter : 3 0 3",
        r"Signature key \.+: \[none\]",
    ],
)
def test_a_new_card_is_shown(story, line):
    assert re.search(line, story.said["new"])


@pytest.mark.parametrize("name", ["made", "moved"])
def test_keys_sign_decrypt_and_log_in(story, name):
    assert story.signs[name]
    assert story.decrypts[name]
    assert story.logs_in[name] == [True]


def test_keys_made_on_the_card_are_shown_and_their_signatures_counted(story):
    assert "[none]" not in story.said["made"].replace("General key info..: [none]", "")
    assert re.search(r"Signature counter : [1-9]", story.said["made"])


@pytest.mark.parametrize("slot", ["478000 DA00C7 DA00CE", "478000 DA00C8 DA00CF", "478000 DA00C9 DA00D0"])
def test_generate_sends_what_openpgp_generate_cuts(story, slot):
    """The key, its fingerprint, its date."""
    assert slot in story.sent["generate"]


def test_a_reset_leaves_nothing_to_see(story):
    assert "Signature counter : 0" in story.said["reset"]
    assert re.search(r"Encryption key\.+: \[none\]", story.said["reset"])


def test_the_kdf_object_is_written_last(story):
    """Alone by 2.2, and after the PINs, as openpgp.set_kdf cuts it, by later ones."""
    old = " 2.2." in story.said["version"]
    assert story.sent["kdf"] == ("DA00F9" if old else "240083 2C0281 DA00D3 DA00F9")
    assert "KDF setting ......: on" in story.said["kdf"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_keytocard_sends_what_openpgp_import_cuts(story, number):
    """Attributes where the curve differs, the key, its fingerprint, its date."""
    slot = f"DA00C{number} DB3FFF DA00C{6 + number} DA00{0xCD + number:02X}"
    assert slot in story.sent["keytocard"]


def test_the_card_shows_the_keys_that_were_moved(story):
    assert re.search(r"Key attributes \.+: ed25519 cv25519 ed25519", story.said["moved"])
    assert story.said["primary"] in story.said["moved"].replace(" ", "")
