"""Built-in user verification: its tries, its token, and the enrolment of fingerprints.

CTAP 2.1, sections 6.5.5.3, 6.5.5.7.3 and 6.7.

No rig has the finger of an enrolled user. So the cases ask what a key must do without it: count, refuse, block.
"""

from __future__ import annotations

import pytest
from fido2 import cbor

from harness_suites.conformance.device import RP, not_offered, refused, unless_refused
from harness_suites.conformance.pinuv import (
    ERR,
    KEY,
    PROTOCOL,
    SUBCOMMAND,
    TOKENS,
    UV_RETRIES,
    UV_TOKEN,
    Exchange,
    P,
    client_pin,
    get_token,
)

BIO = 0x09
ENUMERATE = 0x04
"""enumerateEnrollments (6.7.6): reads, and needs the be permission."""
TRIES_LIMIT = 25
UV = (*TOKENS, "uv")
BIO_ENROLS = (*TOKENS, "bioEnroll")


def uv_tries(authenticator):
    protocol = authenticator.info.pin_uv_protocols[0]
    return int(client_pin(authenticator, {PROTOCOL: protocol, SUBCOMMAND: UV_RETRIES})[5])


def require_enrolled(authenticator):
    """Skip unless built-in verification is set up: enrolling takes a finger."""
    if not authenticator.info.options.get("uv"):
        not_offered("built-in user verification that is set up: uv is false")


def verify_with_a_stranger(authenticator):
    """Ask for a token by built-in verification. The rig's finger is not enrolled."""
    exchange = Exchange(authenticator)
    members = exchange.members(UV_TOKEN, permissions=P.GET_ASSERTION, rp_id=RP["id"])
    with authenticator.touch():
        return client_pin(authenticator, {**members, KEY: exchange.key})


@pytest.mark.case("CTAP 2.1, 6.5.5.3 (uvRetries: 1 to 25)", needs=UV)
def test_the_tries_of_built_in_verification_are_told_and_cost_nothing(with_pin):
    first = uv_tries(with_pin)
    assert 1 <= first <= TRIES_LIMIT
    assert uv_tries(with_pin) == first
    with_pin.power_cycle()
    assert uv_tries(with_pin) == first


@pytest.mark.case("CTAP 2.1, 6.5.5.7.3 steps 8 to 10 (UV_INVALID, UV_BLOCKED)", needs=UV)
def test_a_stranger_is_counted_down_and_blocked_and_the_pin_helps(with_pin):
    require_enrolled(with_pin)
    left = full = uv_tries(with_pin)
    while left:
        with refused(ERR.UV_INVALID, ERR.UV_BLOCKED, ERR.USER_ACTION_TIMEOUT):
            verify_with_a_stranger(with_pin)
        now = uv_tries(with_pin)
        if now == left:
            not_offered("a finger that the key takes for one: its tries are not counted down")
        assert now < left
        left = now
    with refused(ERR.UV_BLOCKED):
        verify_with_a_stranger(with_pin)
    # 6.5.5.7.2 step 10: the right PIN gives the tries of built-in verification back.
    get_token(with_pin, P.GET_ASSERTION, RP["id"])
    assert uv_tries(with_pin) == full


def enumerate_enrolments(authenticator, protocol, token):
    message = bytes((0x01, ENUMERATE))
    parameter = protocol.authenticate(token, message)
    return authenticator.ctap.send_cbor(BIO, {1: 1, 2: ENUMERATE, 4: protocol.VERSION, 5: parameter})


@pytest.mark.case("CTAP 2.1, 6.7.6 step 1 (PUAT_REQUIRED)", needs=BIO_ENROLS)
def test_enrolments_are_not_listed_without_a_token(with_pin):
    with refused(ERR.PUAT_REQUIRED):
        with_pin.ctap.send_cbor(BIO, {1: 1, 2: ENUMERATE})


@pytest.mark.case("CTAP 2.1, 6.7.6 (be permission)", needs=(*BIO_ENROLS, "credMgmt"))
def test_enrolments_are_not_listed_with_a_token_for_something_else(with_pin):
    with refused(ERR.PIN_AUTH_INVALID):
        enumerate_enrolments(with_pin, *get_token(with_pin, P.CREDENTIAL_MGMT))


@pytest.mark.case("CTAP 2.1, 6.5.5.7.2 step 4 and 6.7.6 (be permission)", needs=BIO_ENROLS)
def test_enrolments_are_listed_with_the_be_permission(with_pin):
    token = get_token(with_pin, P.BIO_ENROLL)
    # Without any enrolment the answer is INVALID_OPTION (6.7.6).
    listed = unless_refused(lambda: enumerate_enrolments(with_pin, *token), ERR.INVALID_OPTION)
    assert listed is None or isinstance(cbor.decode(cbor.encode(dict(listed))), dict)
