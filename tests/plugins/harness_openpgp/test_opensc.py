"""OpenSC's openpgp-tool and its PKCS #11 module use the simulated card through a pcscd, as they would a genuine one."""

from __future__ import annotations

import re
import sys

import pytest

from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness_openpgp.client import ADMIN, OTHER, OpenPgp
from harness_openpgp.home import DATE
from harness_openpgp.public_keys import PublicKey
from harness_openpgp.slots import Slot
from harness_rigs.emulator.private_pcscd import DAEMON
from harness_rigs.emulator.rig import EmulatorOptions, EmulatorRig
from support import opensc
from support.openpgp import NAME
from support.opensc import TOOLS, Tools, module

LACKS = opensc.missing() or (
    None if (TOOLS / "openpgp-tool").exists() else "no openpgp-tool here: Debian's opensc"
)
pytestmark = [pytest.mark.long, pytest.mark.skipif(LACKS is not None, reason=str(LACKS))]
PW1, PW3 = "123456", "12345678"
TWIN = [
    *(sys.executable, "-m", "harness", "twin", NAME, "--state", "{state}"),
    *("--speed", "max", "--vpcd", "127.0.0.1:{port}"),
]


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    options = EmulatorOptions(command=TWIN, transport="pcsc", ready_s=300, answer_s=300)
    rig = EmulatorRig(RigRequest("card-1", discover().keys[NAME], True, 1, options))
    try:
        rig.power.on()
        rig.wait_until_up()
        serial = prepared(rig)
        tool = Tools(tmp_path_factory.mktemp("opensc"), DAEMON.environ)
        found = told(tool)
        found["serial"] = serial
        rig.power.cycle()
        rig.wait_until_up()
        after = OpenPgp(rig)
        found["keys after erase"] = str([slot.title for slot in Slot if after.public(slot)])
        after.verify(PW1, OTHER)
        yield found
    finally:
        rig.close()


def prepared(rig: EmulatorRig) -> str:
    """Three RSA keys with fingerprints, and a name; returns the serial number."""
    card = OpenPgp(rig)
    card.verify(PW3, ADMIN)
    card.put(0x5B, b"Owner<<Card")
    for slot in Slot:
        key = PublicKey(card.algorithm(slot), card.generate(slot))
        card.put(slot.fingerprint, key.fingerprint(DATE))
        card.put(slot.date, DATE)
    return card.aid[10:14].hex()


def told(tool: Tools) -> dict[str, str]:
    (tool.folder / "text").write_text("hello")
    login = ("--module", module(), "--login", "--pin", PW1)
    found = {
        "name": tool("opensc-tool", "--name"),
        "user": tool("openpgp-tool", "--user-info"),
        "keys": tool("openpgp-tool", "--key-info"),
        "objects": tool("pkcs11-tool", *login, "--list-objects"),
        "slots": tool("pkcs11-tool", "--module", module(), "--list-token-slots"),
        "wrong": tool("pkcs11-tool", "--module", module(), "--login", "--pin", "654321", "--list-objects"),
    }
    for number in ("01", "03"):
        label = ("--token-label", "OpenPGP card (User PIN (sig))") if number == "01" else ()
        sign = ("--sign", "--mechanism", "SHA256-RSA-PKCS", "--id", number)
        files = ("--input-file", "text", "--output-file", f"signature{number}")
        found[f"sign {number}"] = tool("pkcs11-tool", *login, *label, *sign, *files)
        public = ("--read-object", "--type", "pubkey", "--id", number, "--output-file", f"key{number}")
        tool("pkcs11-tool", "--module", module(), *label, *public)
        verify = ("openssl", "dgst", "-sha256", "-verify", f"key{number}", "-keyform", "DER")
        done = tool.run(*verify, "-signature", f"signature{number}", "text")
        found[f"verify {number}"] = done.stdout + done.stderr
    found["generate"] = tool("openpgp-tool", "--gen-key", "3", "--verify", "CHV3", "--pin", PW3)
    found["keys after generate"] = tool("openpgp-tool", "--key-info")
    found["erase"] = tool("openpgp-tool", "--erase")
    return found


def fingerprint(shown: str, key: str) -> str:
    found = re.search(rf"{key} Fingerprint: (\S+)", shown)
    assert found, shown
    return found[1]


def test_the_card_is_named_by_version_and_number(said):
    assert said["name"].startswith(f"OpenPGP card v3.4 (FFFE {said['serial'].upper()})")
    assert "Name: Owner Card" in said["user"]


@pytest.mark.parametrize("key", ["Sig", "Dec", "Aut"])
def test_each_key_is_shown_with_its_description(said, key):
    assert f"{key} Algorithm: RSA2048" in said["keys"]
    assert len(fingerprint(said["keys"], key)) == 59


def test_pkcs11_has_a_token_for_each_form_of_pw1(said):
    """A signature needs PW1 each time (81); deciphering and authentication need it once (82)."""
    for label in ("OpenPGP card (User PIN)", "OpenPGP card (User PIN (sig))"):
        assert f"token label : {label}" in said["slots"]
    assert "label: Encryption key\nID: 02\nUsage: decrypt, unwrap" in said["objects"]
    assert "label: Authentication key\nID: 03" in said["objects"]
    assert said["objects"].count("never extractable") == 2


@pytest.mark.parametrize("number", ["01", "03"])
def test_openssl_verifies_what_pkcs11_signs(said, number):
    assert said[f"verify {number}"] == "Verified OK\n"


def test_a_wrong_pin_is_said_in_words(said):
    assert "CKR_PIN_INCORRECT" in said["wrong"]


def test_openpgp_tool_generates_and_describes_the_new_key(said):
    assert "Fingerprint:" in said["generate"]
    before, after = (fingerprint(said[when], "Aut") for when in ("keys", "keys after generate"))
    assert before != after
    assert fingerprint(said["keys"], "Sig") == fingerprint(said["keys after generate"], "Sig")


def test_openpgp_tool_erases_the_card_and_the_pins_are_those_of_the_factory(said):
    assert said["keys after erase"] == "[]"
