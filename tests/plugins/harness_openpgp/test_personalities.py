"""What tells the personalities apart, as their sources and the suites of open cards have it."""

from __future__ import annotations

import pytest

from harness_openpgp.client import ADMIN, OpenPgp
from harness_openpgp.home import DEFAULT_PW3
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


def test_a_new_card_tells_no_name_no_language_and_no_sex():
    """DO 65, as open cards answer it: 5B and 5F2D are empty, 5F35 is "0", not known."""
    assert OpenPgp(up(openpgp_card())).get(0x65).hex().upper() == "5B005F2D005F350130"
