"""The ends of what commands of the HID side take: names, counters, keys of the safe, a bootloader that never comes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from harness.base.errors import KeyFault, Refused
from harness.campaign.home import go_home
from harness_nitrokey_pro import reports
from harness_nitrokey_pro.client import TEMPORARY
from harness_nitrokey_pro.codes import hotp
from harness_nitrokey_pro.home import known
from harness_nitrokey_pro.otp_operations import USES
from harness_nitrokey_pro.twin import safe_commands
from harness_nitrokey_pro.twin.safe import USED
from support.pro import ADMIN, SECRET, USER, client, pro
from support.trial_card import change

SLOT, LAST = 0x10, 2**64 - 1


@pytest.mark.parametrize("name", [b"", b"\0hidden"], ids=["none", "behind a zero"])
def test_a_name_that_begins_with_a_zero_is_none(name):
    hid = client()
    hid.ask("otp_data", temporary=TEMPORARY, kind=ord("N"), part=0, data=name)
    with pytest.raises(Refused) as caught:
        hid.ask("write_slot", temporary=TEMPORARY, slot=SLOT)
    assert caught.value.status == "07"
    assert hid.slot(SLOT) is None


def test_after_the_last_counter_comes_the_first_one_also_on_a_new_page():
    hid = client()
    hid.write_slot(SLOT, b"last", SECRET, LAST)
    found = [hid.code(SLOT) for _ in range(USES + 3)]
    assert found == [hotp(SECRET, (LAST + use) % 2**64) for use in range(USES + 3)]


def test_a_safe_that_was_never_written_is_empty_whatever_its_key():
    """One key in 256 makes "used" of what an erased page holds."""
    hid = client()
    hid.new_safe(ADMIN)
    hid.open_safe(USER)
    keys = (number.to_bytes(32, "big") for number in range(10_000))
    hid.rig.board.firmware.hid.device.safe.key = next(
        key
        for key in keys
        if Cipher(algorithms.AES(key), modes.ECB()).decryptor().update(b"\xff" * 16)[0] == USED
    )
    assert hid.entries() == {}


class Deaf:
    """An endpoint whose answer is always that to another command."""

    def send(self, report: bytes) -> None:
        pass

    def get(self) -> bytes:
        return reports.answer(0x00, 0, 0)


def test_a_key_that_neither_answers_nor_goes_to_its_bootloader_is_waited_for_no_longer_than_any():
    hid = client()
    hid.handle._reports = Deaf()
    with pytest.raises(KeyFault, match="bootloader") as caught:
        hid.start_bootloader(b"12345678")
    assert caught.value.blame == "key"


def test_a_safe_that_cannot_be_made_is_a_fault_of_a_key_whose_card_has_an_aes_key(monkeypatch):
    """Else every case of the safe is not offered, and the run passes."""
    change(monkeypatch, safe_commands.new_aes_key, "if not device.card.verify(", "if device.card.verify(")
    with pytest.raises(KeyFault, match="password safe"):
        go_home(pro())


def test_a_card_without_an_aes_key_has_no_safe():
    assert not known(go_home(pro(personality="card-2.1")).memory).has_safe
