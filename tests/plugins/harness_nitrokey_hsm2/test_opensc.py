"""OpenSC and python-pkcs11 use two simulated Nitrokey HSM 2 in the readers of a real pcscd, as they would genuine ones.

One story that many tests look at: the tools are run once, and what they said is kept by a name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.bench.bench import parse_bench
from harness.bench.registry import discover
from harness_cards.curves import BRAINPOOL_P256
from harness_rigs.emulator.private_pcscd import DAEMON
from harness_rigs.emulator.rig import EmulatorRig
from harness_schsm.client import CERTIFICATE, KEY, SO, ScHsm
from harness_schsm.dkek import check_value
from support import opensc
from support.opensc import Tools, module
from support.paths import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(opensc.missing() is not None, reason=str(opensc.missing())),
]

SO_PIN, WRONG_SO_PIN, PIN = "3537363231383830", "1111111111111111", "648219"
INCORRECT = "sc_card_ctl(*, SC_CARDCTL_SC_HSM_INITIALIZE, *) failed with PIN code or key incorrect"
SHARE = bytes.fromhex("85b4d73c85030d1d02e900c2866590bb2e8290591046313f3f02fb65ba06e2cc")
SHARE_FILE = bytes.fromhex(
    "53616c7465645f5f6cb05dbf616ce34fda68e303e3aff7dd8ceb36cd1e5e048e"
    "1c13af268c4989a295e82048e47704a6d6d92cfe69ef20bc76e9177d0bf57370"
)
"""SHARE as `sc-hsm-tool --create-dkek-share` writes it, with the password "keyharness" (10,000,000 rounds of MD5)."""
CLIENT = """
import sys

import pkcs11
from pkcs11 import Attribute, Mechanism, ObjectClass

token = pkcs11.lib(sys.argv[1]).get_token(token_label="ours (UserPIN)")
with token.open(rw=True, user_pin=sys.argv[2]) as session:
    public, private = session.generate_keypair(pkcs11.KeyType.RSA, 2048, id=b"\\x20", label="second client", store=True)
    signature = private.sign(b"hello", mechanism=Mechanism.SHA256_RSA_PKCS)
    print("verified", public.verify(b"hello", signature, mechanism=Mechanism.SHA256_RSA_PKCS))
    print("refused", public.verify(b"hallo", signature, mechanism=Mechanism.SHA256_RSA_PKCS))
with token.open(rw=True, user_pin=sys.argv[2]) as session:
    wanted = {Attribute.LABEL: "second client", Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    (key,) = session.get_objects(wanted)
    print("found", key.id.hex(), key.key_length)
try:
    token.open(user_pin="000000").close()
except pkcs11.exceptions.PinIncorrect:
    print("wrong PIN")
"""


def two_rigs() -> list[EmulatorRig]:
    """Two rigs of pcsc.toml, whose cards are two readers of one daemon."""
    text = (ROOT / "rigs" / "pcsc.toml").read_text()
    head, entry = text.split("[[rig]]")
    both = parse_bench(
        f"{head}[[rig]]{entry}[[rig]]{entry.replace('hsm-pcsc', 'hsm-other')}", "two", Path("two"), discover()
    )
    return [both.make(name, 1) for name in both.rigs]


@dataclass
class Story:
    """What was said, by a name; and what else was seen on the way."""

    said: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    rigs = two_rigs()
    try:
        for rig in rigs:
            rig.power.on()
            rig.wait_until_up()
        yield told(rigs, Tools(tmp_path_factory.mktemp("opensc"), DAEMON.environ))
    finally:
        for rig in rigs:
            rig.close()


def told(rigs: list[EmulatorRig], tool: Tools) -> Story:
    story = Story()
    said = story.said
    folder, first, second = tool.folder, *rigs
    second_reader = ("--reader", second.options.reader)
    user = ("--pin", PIN)
    login = ("--module", module(), "-l", *user, "--id", "10")

    def tries(name: str) -> None:
        story.tries[name] = ScHsm(first).state(SO)

    said["never initialised"] = tool("sc-hsm-tool")
    said["names"] = tool("opensc-tool", "-n")
    said["atr"] = tool("opensc-tool", "--atr")
    initialize = ("sc-hsm-tool", "--initialize", "--so-pin")
    # Nobody has named a reader, and there are two cards.
    said["initialised"] = tool(*initialize, SO_PIN, *user, "--dkek-shares", "1", "--label", "ours")
    said["the other card"] = tool("sc-hsm-tool", *second_reader)
    said["wrong"] = tool(*initialize, WRONG_SO_PIN, *user)
    tries("wrong")
    said["status"] = tool("sc-hsm-tool")
    (folder / "share").write_bytes(SHARE_FILE)
    said["share"] = tool("sc-hsm-tool", "--import-dkek-share", "share", "--password", "keyharness")
    said["pair"] = tool("pkcs11-tool", *login, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "ec")
    rsa = ("--module", module(), "-l", *user, "--id", "11")
    said["rsa pair"] = tool("pkcs11-tool", *rsa, "--keypairgen", "--key-type", "rsa:2048", "--label", "rsa")
    said["listed"] = tool("pkcs15-tool", "--list-keys", "--list-public-keys")
    said["pins"] = tool("pkcs15-tool", "--list-pins")
    (folder / "text").write_text("hello")
    for name, key, mechanism, options in (
        ("ec", login, "ECDSA-SHA256", ("--signature-format", "openssl")),
        ("rsa", rsa, "SHA256-RSA-PKCS", ()),
        ("pss", rsa, "SHA256-RSA-PKCS-PSS", ()),
    ):
        said[name] = signed(tool, name, key, mechanism, options)
    said["wrapped"] = tool("sc-hsm-tool", "--wrap-key", "blob", "--key-reference", "1", *user)
    tool(*initialize, SO_PIN, *user, "--dkek-shares", "1", "--label", "backup", *second_reader)
    unwrap = ("sc-hsm-tool", "--unwrap-key", "blob", "--key-reference", "1", *user)
    ScHsm(second).import_share(bytes(32))
    said["another DKEK"] = tool(*unwrap, *second_reader)
    tool(*initialize, SO_PIN, *user, "--dkek-shares", "1", "--label", "backup", *second_reader)
    ScHsm(second).import_share(SHARE)
    said["unwrapped"] = tool(*unwrap, *second_reader)
    backup = ("--token-label", "backup (UserPIN)", *login)
    said["signed by the backup"] = signed(
        tool, "ec", backup, "ECDSA-SHA256", ("--signature-format", "openssl")
    )
    said["taken"] = tool(*unwrap)
    custodian = ("--key-reference", "7", "--export-for-pub-key-auth", "custodian")
    client = ScHsm(first)
    client.verify(PIN)
    client.generate_ec(7, BRAINPOOL_P256)
    tool("sc-hsm-tool", *custodian, *user)
    client.verify(PIN)
    for kind in (KEY, CERTIFICATE):
        client.delete(kind | 7)
    keys = ("--public-key-auth", "3", "--required-pub-keys", "2")
    tool(*initialize, SO_PIN, *user, *keys, *second_reader)
    register = ("--register-public-key", "custodian", *second_reader)
    said["registered"] = tool("sc-hsm-tool", *register)
    said["registered twice"] = tool("sc-hsm-tool", *register)
    said["status of keys"] = tool("sc-hsm-tool", "--public-key-auth-status", *second_reader)
    said["forced"] = tool(*unwrap, "--force")
    said["signed after force"] = signed(tool, "ec", login, "ECDSA-SHA256", ("--signature-format", "openssl"))
    said["python"] = python_pkcs11(tool)
    said["wrong PIN"] = tool("pkcs11-tool", "--module", module(), "-l", "--pin", "000000", "-O")
    said["deleted"] = tool("pkcs11-tool", *login, "--delete-object", "--type", "privkey")
    said["after deletion"] = tool("pkcs15-tool", "--list-keys")
    said["login of the SO"] = tool(
        *(
            "pkcs11-tool",
            "--module",
            module(),
            "--login",
            "--login-type",
            "so",
            "--so-pin",
            WRONG_SO_PIN,
            "-O",
        )
    )
    tries("login of the SO")
    said["wrong init pin"] = tool(
        *("pkcs11-tool", "--module", module(), "--login", "--login-type", "so", "--so-pin", WRONG_SO_PIN),
        *("--init-pin", "--new-pin", "123456"),
    )
    tries("wrong init pin")
    client = ScHsm(first)
    while client.state(SO) > 0x63C7:
        client.exchange(0x20, 0, SO, bytes.fromhex(WRONG_SO_PIN))
    client.exchange(0x20, 0, 0x81, b"000000")
    said["of the thread"] = tool("sc-hsm-tool")
    return story


def signed(tool: Tools, name: str, key: tuple[object, ...], mechanism: str, options: tuple[str, ...]) -> str:
    """Sign with a key of the card; return what openssl says of the signature."""
    tool("pkcs11-tool", *key, "--read-object", "--type", "pubkey", "--output-file", f"{name}.key")
    made = ("--input-file", "text", "--output-file", "signature")
    tool("pkcs11-tool", *key, "--sign", "--mechanism", mechanism, *made, *options)
    padding = ("-sigopt", "rsa_padding_mode:pss") if "PSS" in mechanism else ()
    verify = ("openssl", "dgst", "-sha256", *padding, "-verify", f"{name}.key", "-keyform", "DER")
    done = tool.run(*verify, "-signature", "signature", "text")
    (tool.folder / "signature").unlink(missing_ok=True)
    return done.stdout + done.stderr


def python_pkcs11(tool: Tools) -> str | None:
    done = tool.run(sys.executable, "-c", CLIENT, module(), PIN)
    return None if "No module named 'pkcs11'" in done.stderr else done.stdout + done.stderr


def test_a_new_card_has_never_been_initialized(story):
    assert "Version : 4.1\nSmartCard-HSM has never been initialized." in story.said["never initialised"]
    assert "failed" not in story.said["never initialised"]


def test_opensc_knows_the_card_by_its_atr(story):
    assert story.said["names"].startswith("SmartCard-HSM")
    assert "3b:de:18:ff:81:91:fe:1f:c3:80:31:81:54:48:53:4d:31:73:80:21:40:81:07:1c" in story.said["atr"]


def test_without_a_reader_the_first_of_two_cards_is_initialised(story):
    """Whoever has two cards in the host and names no reader initialises the first; the tool says which one it took."""
    assert "Using reader with a card: Keyharness 0 00 00" in story.said["initialised"]
    assert "failed" not in story.said["initialised"]
    assert "has never been initialized" in story.said["the other card"]


def test_a_wrong_so_pin_is_said_in_words_and_costs_one_try(story):
    assert INCORRECT in story.said["wrong"]
    assert story.tries["wrong"] == 0x63CE
    assert "SO-PIN tries left : 14\nUser PIN tries left : 3" in story.said["status"]
    assert "DKEK shares : 1\nDKEK import pending, 1 share(s) still missing" in story.said["status"]


def test_the_status_is_that_of_the_thread(story):
    """As its owner posted it when INITIALIZE had failed eight times and the user PIN once."""
    expected = [
        "Config options :",
        "User PIN reset with SO-PIN enabled",
        "SO-PIN tries left : 7",
        "User PIN tries left : 2",
    ]
    lines = story.said["of the thread"].splitlines()
    start = lines.index(expected[0])
    assert lines[start : start + len(expected)] == expected


def test_a_share_file_is_deciphered_and_imported(story):
    assert "DKEK share imported\nDKEK shares : 1" in story.said["share"]
    assert f"DKEK key check value : {check_value(SHARE).hex().upper()}" in story.said["share"]


@pytest.mark.parametrize("name", ["ec", "rsa", "pss"])
def test_openssl_verifies_what_a_generated_key_signs(story, name):
    assert story.said[name] == "Verified OK\n"


def test_generated_keys_are_listed_with_their_labels(story):
    for words in (
        "Private EC Key [ec]",
        "Public EC Key [ec]",
        "Private RSA Key [rsa]",
        "Public RSA Key [rsa]",
    ):
        assert words in story.said["listed"]
    # pkcs15-tool asks for the counter of the user PIN only: it shows 15 for an SO-PIN of which a try is lost.
    assert story.said["pins"].count("Tries left : 3") == 1
    assert story.said["pins"].count("Tries left : 15") == 1


def test_a_wrapped_key_signs_on_the_second_card(story):
    assert "Key successfully imported" in story.said["unwrapped"]
    assert story.said["signed by the backup"] == "Verified OK\n"


def test_a_wrapped_key_is_refused_by_a_card_with_another_dkek(story):
    assert "Key successfully imported" not in story.said["another DKEK"]
    assert "Wrapped key does not match DKEK" in story.said["another DKEK"]


def test_a_public_key_is_registered_once_and_opensc_reads_the_state(story):
    """Two of three keys log in: the total stands first in INITIALIZE, and first in the state."""
    state = (
        "Number of public keys: 3\nMissing public keys: 2\n"
        "Required pubkeys for auth: 2\nAuthenticated public keys: 0"
    )
    assert state in story.said["registered"]
    assert "REGISTER_PUBLIC_KEY, *) failed" in story.said["registered twice"]
    assert state in story.said["status of keys"]


def test_unwrap_takes_a_number_that_is_taken_only_by_force(story):
    assert "Found existing private key description in EF with fid c401" in story.said["taken"]
    assert "Key successfully imported" in story.said["forced"]
    assert story.said["signed after force"] == "Verified OK\n"


def test_a_second_kind_of_client_generates_signs_and_finds_its_key(story):
    if story.said["python"] is None:
        pytest.skip("no python-pkcs11 here: pip install 'keyharness[dev]'")
    assert story.said["python"].splitlines() == [
        "verified True",
        "refused False",
        "found 20 2048",
        "wrong PIN",
    ]


def test_a_wrong_user_pin_is_refused(story):
    assert "CKR_PIN_INCORRECT" in story.said["wrong PIN"]


def test_a_deleted_key_is_gone_and_the_others_stay(story):
    assert "Private EC Key [ec]" not in story.said["after deletion"]
    assert "Private RSA Key [rsa]" in story.said["after deletion"]


def test_a_login_of_the_so_always_succeeds_and_its_first_use_costs_the_try(story):
    """C_Login sends nothing to the card: a wrong SO-PIN shows only when something is done with it."""
    assert "error" not in story.said["login of the SO"]
    assert story.tries["login of the SO"] == 0x63CE
    assert "error" in story.said["wrong init pin"]
    assert story.tries["wrong init pin"] == 0x63CD
