"""The first steps of any relying party, in short. Each command has a table in a file of its own."""

from __future__ import annotations

import hashlib

import pytest
from fido2.attestation import Attestation
from fido2.ctap import CtapError

from harness_suites.conformance.ceremonies import check, require_protocol
from harness_suites.conformance.device import HASH, PIN, RP, refused


@pytest.mark.case("CTAP 2.1, 6.1")
def test_a_credential_is_made_and_attested(blank):
    response = blank.make()
    assert response.auth_data.rp_id_hash == hashlib.sha256(RP["id"].encode()).digest()
    assert response.fmt in (*blank.info.attestation_formats, "fido-u2f", "none")
    Attestation.for_type(response.fmt)().verify(response.att_stmt, response.auth_data, HASH)


@pytest.mark.case("CTAP 2.1, 6.2")
def test_an_assertion_verifies_under_the_public_key_of_its_credential(blank):
    made = blank.make()
    assertion = blank.get(made)
    check(assertion, made)
    assert assertion.auth_data.counter > made.auth_data.counter or assertion.auth_data.counter == 0


@pytest.mark.case("CTAP 2.1, 6.5.5.7.2", needs="clientPin")
@pytest.mark.parametrize("protocol", [1, 2])
def test_a_wrong_pin_costs_a_try_and_the_right_one_gives_it_back(with_pin, protocol):
    require_protocol(with_pin, protocol)
    client = with_pin.client_pin(protocol)
    before = client.get_pin_retries()[0]
    with refused(CtapError.ERR.PIN_INVALID):
        client.get_pin_token("0" * 8)
    assert client.get_pin_retries()[0] == before - 1
    client.get_pin_token(PIN)
    assert client.get_pin_retries()[0] == before


@pytest.mark.case("CTAP 2.1, 6.6", needs=("clientPin", "rk"))
def test_reset_forgets_every_credential_and_the_pin(with_pin):
    made = with_pin.make(options={"rk": True})
    with_pin.power_cycle()
    with_pin.reset()
    with_pin.connect()
    assert with_pin.info.options["clientPin"] is False
    with refused(CtapError.ERR.NO_CREDENTIALS):
        with_pin.get(made)
