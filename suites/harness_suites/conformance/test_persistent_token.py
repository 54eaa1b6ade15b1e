"""The persistent token of the pcmr permission: it lists credentials, and changes none (CTAP 2.2, 6.5.5.7 and 6.8).

A platform keeps it to list the credentials of a key without asking for the PIN each time.
"""

from __future__ import annotations

import pytest

from harness_suites.conformance.ceremonies import make_resident
from harness_suites.conformance.device import Authenticator, refused
from harness_suites.conformance.pinuv import (
    CHANGE,
    ERR,
    OTHER_PIN,
    SET,
    TOKENS,
    Exchange,
    P,
    get_token,
    manage,
    use_ga,
)
from harness_suites.conformance.test_credential_management import (
    CREDENTIALS,
    DELETE,
    EXISTING,
    GIVEN_RP_HASH,
    METADATA,
    RPS,
    RPS_TOTAL,
    UPDATE,
    parameters_for,
)

PCMR = 0x40
"""persistentCredentialManagementReadOnly."""
NEEDS = (*TOKENS, "perCredMgmtRO", "rk")


def persistent(authenticator: Authenticator):
    """Return credential management with a persistent token, as a function of subcommand and parameters."""
    protocol, token = get_token(authenticator, PCMR)
    return lambda subcommand, parameters=None: manage(authenticator, protocol, token, subcommand, parameters)


@pytest.mark.case("CTAP 2.2, 6.8.2 to 6.8.4 (pcmr permission)", needs=NEEDS)
def test_a_persistent_token_lists_credentials(with_pin):
    made = make_resident(with_pin)
    ask = persistent(with_pin)
    assert ask(METADATA)[EXISTING] == 1
    assert ask(RPS)[RPS_TOTAL] == 1
    assert ask(CREDENTIALS, {GIVEN_RP_HASH: made.auth_data.rp_id_hash})


@pytest.mark.case("CTAP 2.2, 6.8.5 and 6.8.6 (cm permission)", needs=NEEDS)
@pytest.mark.parametrize("subcommand", [DELETE, UPDATE], ids=["delete", "update"])
def test_a_persistent_token_changes_no_credential(with_pin, subcommand):
    made = make_resident(with_pin)
    ask = persistent(with_pin)
    with refused(ERR.PIN_AUTH_INVALID):
        ask(subcommand, parameters_for(subcommand, made))
    assert ask(METADATA)[EXISTING] == 1


@pytest.mark.case("CTAP 2.2, 6.5.5.7 (pcmr permission)", needs=NEEDS)
def test_a_persistent_token_gives_no_verified_assertion(with_pin):
    made = make_resident(with_pin)
    protocol, token = get_token(with_pin, PCMR)
    with refused(ERR.PIN_AUTH_INVALID):
        use_ga(with_pin, protocol, token, made)


@pytest.mark.case("CTAP 2.2, 6.5.5.7 (persistentPinUvAuthToken)", needs=NEEDS)
def test_a_persistent_token_outlives_power_cycles(with_pin):
    ask = persistent(with_pin)
    with_pin.power_cycle()
    assert ask(METADATA)[EXISTING] == 0


@pytest.mark.case("CTAP 2.2, 6.5.5.6 (resetPersistentPinUvAuthToken)", needs=NEEDS)
def test_a_persistent_token_dies_when_the_pin_is_changed(with_pin):
    ask = persistent(with_pin)
    Exchange(with_pin).send(CHANGE, new_pin=OTHER_PIN)
    with refused(ERR.PIN_AUTH_INVALID):
        ask(METADATA)


@pytest.mark.case("CTAP 2.2, 6.6 (resetPersistentPinUvAuthToken)", needs=NEEDS)
def test_a_persistent_token_dies_with_a_reset(with_pin):
    ask = persistent(with_pin)
    with_pin.power_cycle()
    with_pin.reset()
    Exchange(with_pin).send(SET)
    with refused(ERR.PIN_AUTH_INVALID, ERR.PUAT_REQUIRED):
        ask(METADATA)


@pytest.mark.case("CTAP 2.2, 6.5.5.7.2 step 13", needs=(*NEEDS, "credMgmt"))
def test_an_ordinary_token_leaves_the_persistent_one(with_pin):
    ask = persistent(with_pin)
    get_token(with_pin, P.CREDENTIAL_MGMT)
    assert ask(METADATA)[EXISTING] == 0
