"""What tells the personalities apart, as their sources and the suites of open cards have it."""

from __future__ import annotations

import pytest

from harness_openpgp.client import ADMIN, SIGN, OpenPgp
from harness_openpgp.home import DEFAULT_PW1, DEFAULT_PW3
from harness_openpgp.slots import Slot
from harness_transports.card import card
from support.hsm import up
from support.openpgp import openpgp_card

RESET_BY_CODE = [0x00, 0x2C, 0x00, 0x81, 14, *b"a reset cod654"]
LOGIN = [0x00, 0xCA, 0x00, 0x5E, 0x00]


def status(rig, command: list[int]) -> str:
    """The status word of a command that is sent as it is: no SELECT comes before it."""
    connection = card(rig)
    connection.connect()
    _, sw1, sw2 = connection.transmit(command)
    return f"{sw1:02X}{sw2:02X}"


@pytest.mark.parametrize(
    ("personality", "said"), [("reference", "9000"), ("chip-2.1", "9000"), ("nitrokey3", "6985")]
)
def test_the_only_application_of_a_card_needs_no_select(personality, said):
    """The open test suite of Gnuk asks for a data object first; a Nitrokey 3 has several applications."""
    assert status(up(openpgp_card(personality=personality)), LOGIN) == said


@pytest.mark.parametrize(("personality", "said"), [("reference", "6983"), ("nitrokey3", "6982")])
@pytest.mark.parametrize("code", ["never set", "removed"])
def test_without_a_reset_code_none_is_taken(personality, said, code):
    rig = up(openpgp_card(personality=personality))
    client = OpenPgp(rig)
    client.verify(DEFAULT_PW3, ADMIN)
    if code == "removed":
        client.set_code("a reset code")
        client.set_code("")
    assert client.pin_status().code == 0
    assert status(rig, RESET_BY_CODE) == said
    assert client.pin_status().pw1 == 3, "PW1 is as it was"


@pytest.mark.parametrize("personality", ["chip-2.1", "chip-3.3"])
def test_a_new_chip_of_the_pro_speaks_german_and_tells_no_sex(personality):
    """As `gpg --card-status` shows new ones: language preferences "de", sex "unspecified" (9)."""
    found = OpenPgp(up(openpgp_card(personality=personality))).get(0x65)
    assert found.hex().upper() == "5B005F2D0264655F350139"


@pytest.mark.parametrize("personality", ["reference", "nitrokey3", "chip-3.3", "chip-2.1"])
def test_the_chip_says_of_the_aes_key_what_is_so(personality):
    """Bit 02 of the first byte of DO C0: ENCIPHER and DECIPHER with the key of DO D5."""
    client = OpenPgp(up(openpgp_card(personality=personality)))
    client.verify(DEFAULT_PW3, ADMIN)
    said = bool(client.get(0xC0)[0] & 0x02)
    assert (client.exchange(0xDA, 0x00, 0xD5, bytes(32))[1] == 0x9000) is said


def test_a_nitrokey_3_keeps_an_answer_that_was_not_asked_for():
    """Without Le the data wait for GET RESPONSE (opcard-rs 2d9170d, src/vpicc.rs; ISO 7816-4, section 5.1)."""
    rig = up(openpgp_card(personality="nitrokey3"))
    OpenPgp(rig)
    connection = card(rig)
    connection.connect()
    data, sw1, sw2 = connection.transmit([0x00, 0xCA, 0x00, 0x4F])
    assert (data, sw1, sw2) == ([], 0x61, 16)
    data, sw1, sw2 = connection.transmit([0x00, 0xC0, 0x00, 0x00, 0x00])
    assert (len(data), sw1, sw2) == (16, 0x90, 0x00)


@pytest.mark.parametrize(
    ("path", "said"),
    [("60045C020065", 0x6A88), ("5C015E", 0x6A88), ("60035C017F", 0x6A88), ("", 0x6A80), ("60045C", 0x6A80)],
)
def test_select_data_tells_an_unknown_object_from_a_path_that_is_none(path, said):
    """Only certificates have several occurrences (specification 3.4, section 7.2.5)."""
    assert OpenPgp(up(openpgp_card())).exchange(0xA5, 0, 4, bytes.fromhex(path))[1] == said


def test_a_new_card_tells_no_name_no_language_and_no_sex():
    """DO 65, as open cards answer it: 5B and 5F2D are empty, 5F35 is "0", not known."""
    assert OpenPgp(up(openpgp_card())).get(0x65).hex().upper() == "5B005F2D005F350130"


@pytest.mark.parametrize(("personality", "said"), [("reference", "6A80"), ("nitrokey3", "9000")])
def test_a_nitrokey_3_looks_at_nothing_in_a_kdf(personality, said):
    """opcard-rs 2d9170d, command/data.rs: DO F9 is stored as it comes."""
    rig = up(openpgp_card(personality=personality))
    OpenPgp(rig).verify(DEFAULT_PW3, ADMIN)
    assert status(rig, [0x00, 0xDA, 0x00, 0xF9, 0x01, 0x81]) == said


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("00A5030406" + "60045C027F21", "6A86"),
        ("00DA00C713" + "11" * 19, "6700"),
        ("00DA00CE05" + "11" * 5, "6700"),
        ("00DA005B28" + "41" * 40, "6700"),
        ("00DA5F3502" + "3131", "6700"),
        ("00DA5F3501" + "37", "6A80"),
        ("00DA00C402" + "0101", "6700"),
        ("00DA00C401" + "02", "6A80"),
        ("00DA00D601" + "00", "6700"),
        ("00DA00D602" + "0120", "9000"),
        ("00DA00D602" + "0320", "6A80"),
        ("00DA00D602" + "0121", "6A80"),
        ("00DA00C106" + "132A8648CE3D", "6A80"),
    ],
)
def test_a_wrong_length_is_told_from_wrong_content(command, said):
    """As SmartPGP, canokey-core and opcard-rs answer; the specification names no word for each case."""
    rig = up(openpgp_card())
    OpenPgp(rig).verify(DEFAULT_PW3, ADMIN)
    assert status(rig, list(bytes.fromhex(command))) == said


@pytest.mark.parametrize(("personality", "said"), [("reference", "6700"), ("nitrokey3", "6985")])
@pytest.mark.parametrize("length", [49, 103])
def test_what_is_too_long_to_be_signed_is_refused_before_it_is_counted(personality, said, length):
    """49 bytes are no hash for ECDSA; 103 are more than 40 % of an RSA key's 256 (specification 3.4, 7.2.10)."""
    rig = up(openpgp_card(personality=personality))
    client = OpenPgp(rig)
    client.verify(DEFAULT_PW3, ADMIN)
    if length == 49:
        client.put(0xC1, bytes.fromhex("132A8648CE3D030107"))
    client.generate(Slot.SIGN)
    client.verify(DEFAULT_PW1, SIGN)
    assert status(rig, [0x00, 0x2A, 0x9E, 0x9A, length, *bytes(length)]) == said
    assert client.get(0x7A) == bytes.fromhex("9303000000")


@pytest.mark.parametrize("data", [b"123456" + b"1" * 5, b"1" * 11, b"1" * 6])
def test_a_change_that_cannot_hold_two_pins_costs_nothing(data):
    rig = up(openpgp_card())
    client = OpenPgp(rig)
    assert status(rig, [0x00, 0x24, 0x00, 0x81, len(data), *data]) == "6700"
    assert client.pin_status().pw1 == 3


@pytest.mark.parametrize("old", ["1234567890", "12345678901234567890"])
def test_no_answer_to_a_change_tells_how_long_the_pin_is(old):
    """A wrong PIN costs a try whatever its length is; else the length could be found for nothing."""
    rig = up(openpgp_card())
    client = OpenPgp(rig)
    client.change(DEFAULT_PW1, old)
    data = b"9" * 13
    assert status(rig, [0x00, 0x24, 0x00, 0x81, len(data), *data]) == "63C2"
    assert client.pin_status().pw1 == 2


def test_no_answer_to_a_reset_by_code_tells_how_long_the_code_is():
    rig = up(openpgp_card())
    client = OpenPgp(rig)
    client.verify(DEFAULT_PW3, ADMIN)
    client.set_code("a reset code of many bytes")
    data = b"9" * 14
    assert status(rig, [0x00, 0x2C, 0x00, 0x81, len(data), *data]) == "63C2"
    assert (client.pin_status().code, client.pin_status().pw1) == (2, 3)


@pytest.mark.parametrize("count", [10, 1024])
def test_a_nitrokey_3_gives_challenges_though_its_capabilities_do_not_say_so(count):
    """opcard-rs 2d9170d: its test vectors ask for 10 and 1,024 bytes; DO C0 begins with 3F."""
    client = OpenPgp(up(openpgp_card(personality="nitrokey3")))
    assert client.get(0xC0)[0] == 0x3F
    assert len(client.challenge(count)) == count
