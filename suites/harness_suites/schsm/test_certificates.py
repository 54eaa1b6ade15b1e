"""EF 2F02: the chain from the device up to its maker's root. No public client verifies it, so this suite does."""

from __future__ import annotations

import re

import pytest

from harness.api import NOT_OFFERED
from harness_cards.curves import BRAINPOOL_P256
from harness_cards.tlv import fields
from harness_schsm import cvc
from harness_schsm.client import ScHsm
from harness_schsm.cvc import BadCertificate
from harness_schsm.roots import private_of, public_of, root_for
from harness_suites.schsm.second import FORBIDDEN, NOT_FOUND, refused, require_certificates

pytestmark = pytest.mark.reads


@pytest.fixture(autouse=True)
def certified(hsm):
    """The card has certificates; an open implementation has none until its owner gets them from its maker."""
    require_certificates(hsm)


@pytest.fixture
def root(rig):
    found = root_for(rig)
    if found is None:
        pytest.skip(f"{NOT_OFFERED}: KEYHARNESS_SCHSM_ROOT names no root certificate of the maker")
    return found


def test_the_device_descends_from_the_root(hsm, root):
    key = cvc.require_chain(hsm.certificates(), root)
    assert key.curve == BRAINPOOL_P256


def test_it_does_not_descend_from_another_root(hsm, root):
    key = private_of("a root of nobody")
    other = cvc.certificate(
        car=root.chr,
        chr_=root.chr,
        public=public_of(key, domain=True),
        role=cvc.ROOT_ROLE,
        since="260101",
        until="460101",
        issuer=key,
    )
    with pytest.raises(BadCertificate):
        cvc.require_chain(hsm.certificates(), cvc.decode(other))


def pair(hsm: ScHsm) -> list[cvc.Certificate]:
    """The certificates of the device and of its issuer."""
    found = cvc.chain(hsm.certificates())
    assert len(found) == 2, "EF 2F02 holds the certificate of the device, and of its issuer"
    return found


def test_names_have_country_holder_and_sequence(hsm):
    device, issuer = pair(hsm)
    for one in (device, issuer):
        assert re.fullmatch(r"[A-Z]{2}[A-Za-z0-9]{1,9}[A-Za-z0-9]{5}", one.chr)
    assert device.car == issuer.chr
    assert len(device.chr) >= 8, "OpenSC takes the serial number from it, without the last five characters"


def test_roles_are_device_and_issuer(hsm):
    assert [one.role for one in pair(hsm)] == [cvc.DEVICE_ROLE, cvc.ISSUER_ROLE]


def test_dates_are_six_digits(hsm):
    for one in cvc.chain(hsm.certificates()):
        parts = fields(fields(one.body)[cvc.BODY])
        for tag in (cvc.SINCE, cvc.UNTIL):
            digits = parts[tag]
            assert len(digits) == 6
            assert all(digit <= 9 for digit in digits)
            assert 1 <= digits[2] * 10 + digits[3] <= 12
        assert parts[cvc.SINCE] < parts[cvc.UNTIL]


def test_what_the_key_shows_as_serial_number_is_the_name_of_the_device(hsm, rig):
    assert rig.key.identify(rig).get("serial") == hsm.device().chr[:-5]


def test_the_device_is_the_same_after_initialize(hsm, mine, rig):
    if rig.vault is None:
        pytest.skip(f"{NOT_OFFERED}: it costs a try of the SO-PIN")
    before = hsm.certificates()
    hsm.initialize(mine.so_pin, "11223344", shares=0)
    assert hsm.certificates() == before


def test_the_certificates_cannot_be_overwritten_or_deleted(hsm, mine):
    before = hsm.certificates()
    hsm.verify(mine.pin)
    with refused(FORBIDDEN | NOT_FOUND):
        hsm.update(0x2F02, b"\x7f\x21\x00")
    with refused(FORBIDDEN | NOT_FOUND):
        hsm.delete(0x2F02)
    assert hsm.certificates() == before


def test_the_key_of_the_device_cannot_be_deleted_or_made_anew(hsm, mine):
    hsm.verify(mine.pin)
    with refused(FORBIDDEN | NOT_FOUND):
        hsm.delete(0xCC00)
    with refused({"6A86", "6A80", "6985", "6982", "6A89"}):
        hsm.generate_ec(0, BRAINPOOL_P256)
