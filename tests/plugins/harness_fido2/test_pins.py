"""Every way to offer a PIN is paid for first (P1); a blocked PIN stays blocked (P3); a boot takes three (P5)."""

from __future__ import annotations

import pytest

from harness.campaign.recording import UncutFault
from harness_fido2.pins import OFFERS
from support.nitrokey import found, walked

CUTS = 24
LOOSENED = {("fido2.pin_retries", "loosened")}
ONE_WAY = {
    "fido2.client_pin.wrong": "pin-compared-first",
    "fido2.client_pin.wrong.permissions": "pin-compared-first-permissions",
    "fido2.client_pin.wrong.change": "pin-compared-first-change",
}
"""The defect that is in this way alone; the first one is in all ways."""


def test_every_way_has_its_defect():
    assert ONE_WAY.keys() == {offer.name for offer in OFFERS}


@pytest.mark.parametrize("way", ONE_WAY)
def test_a_pin_that_is_compared_before_it_is_counted_is_found_in_the_way_that_does_it(way):
    defect = ONE_WAY[way]
    assert found(walked(way, defect, cuts=CUTS)) == LOOSENED
    assert not walked(way, cuts=CUTS).findings


def test_a_right_way_is_clean_although_another_one_is_wrong():
    assert not walked("fido2.client_pin.wrong", "pin-compared-first-change", cuts=CUTS).findings


def test_what_is_said_of_a_change_names_the_comparison():
    (finding,) = walked("fido2.client_pin.wrong.change", "pin-compared-first-change", cuts=CUTS).findings
    assert "the key writes other data than fido2.client_pin.change does" in finding.text
    assert "makes a guess free" in finding.text


def test_a_blocked_pin_stays_blocked():
    result = walked("fido2.client_pin.block", "blocked-taken-for-new", cuts=CUTS)
    assert ("fido2.pin_retries", "loosened") in found(result)
    assert not walked("fido2.client_pin.block", cuts=CUTS).findings
    with pytest.raises(UncutFault, match=r"client_pin\.blocked"):
        walked("fido2.client_pin.blocked", "blocked-taken-for-new")
    assert not walked("fido2.client_pin.blocked").findings


def test_a_boot_takes_three_wrong_pins():
    with pytest.raises(UncutFault, match="in the boot in which 3 wrong ones were"):
        walked("fido2.client_pin.wrong.boot", "boot-limit-forgotten")
    assert not walked("fido2.client_pin.wrong.boot", cuts=CUTS).findings


def test_tries_that_come_back_with_the_power_end_the_wait_for_a_blocked_pin():
    """They are lowered in RAM alone: a loop that waits for the last one would never end."""
    with pytest.raises(UncutFault, match="wrong PINs do not use up the tries"):
        walked("fido2.client_pin.block", "counter-in-ram")
