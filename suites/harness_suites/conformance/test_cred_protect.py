"""The credProtect extension: CTAP 2.1, section 12.1, and what 6.1.2 step 12 and 6.2.2 step 7 make of it."""

from __future__ import annotations

import pytest
from fido2.ctap2 import CredentialManagement

from harness.api import deviates
from harness_suites.conformance.ceremonies import (
    ASSERTION,
    ERR,
    GA,
    GET,
    Presence,
    account,
    check,
    descriptor,
    either_kind,
    get_all,
    ident,
    make_accounts,
    make_either,
    make_resident,
    make_without_pin,
    management,
    option,
    send,
)
from harness_suites.conformance.device import HASH, RP, not_offered, refused, refused_somehow, unless_refused

LEVELS = [1, 2, 3]
"""userVerificationOptional, userVerificationOptionalWithCredentialIDList, userVerificationRequired."""
NEEDS = ("credProtect", "rk", "clientPin")


def _protected(level):
    return {"extensions": {"credProtect": level}}


# Creation


@pytest.mark.case("CTAP 2.1, 12.1: authenticator extension output", needs="credProtect")
@pytest.mark.parametrize("level", LEVELS)
@either_kind
def test_the_level_is_reported(blank, resident, level):
    data = make_either(blank, resident, **_protected(level)).auth_data
    assert data.has_extension_data()
    assert data.extensions == {"credProtect": level}


@pytest.mark.case("CTAP 2.1, 12.1: no unsolicited output", needs="credProtect")
@either_kind
def test_no_level_is_reported_unasked(blank, resident):
    assert not make_either(blank, resident).auth_data.has_extension_data()


@pytest.mark.case("CTAP 2.1, 12.1: values are 1, 2 and 3", needs="credProtect")
@pytest.mark.parametrize("level", [0, 4, 255])
def test_a_level_that_does_not_exist_is_not_confirmed(blank, level):
    """The specification names no error. A credential that is made must have one of the three levels."""
    made = unless_refused(lambda: blank.make(**_protected(level)))
    assert made is None or (made.auth_data.extensions or {}).get("credProtect", 1) in LEVELS


@pytest.mark.case("CTAP 2.1, 12.1: unsigned integer", needs="credProtect")
@pytest.mark.parametrize(
    "value", [True, "userVerificationRequired", b"\3", [3]], ids=["boolean", "text", "bytes", "array"]
)
def test_a_level_of_the_wrong_type_is_refused(blank, value):
    made = unless_refused(lambda: blank.make(extensions={"credProtect": value}))
    # Ignoring it is no less right, as long as no level is confirmed.
    assert made is None or "credProtect" not in (made.auth_data.extensions or {})


# Assertion: level x list x verification


def _told(level, listed, verified):
    """6.2.2 steps 7.4 and 7.5."""
    return verified or level == 1 or (level == 2 and listed)


@pytest.mark.case("CTAP 2.1, 6.2.2 steps 7.4 and 7.5", needs=NEEDS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("listed", [False, True], ids=["without-list", "with-list"])
@pytest.mark.parametrize("verified", [False, True], ids=["without-uv", "with-uv"])
def test_a_discoverable_credential_is_told_as_its_level_says(with_pin, level, listed, verified):
    made = make_resident(with_pin, **_protected(level))
    arguments = with_pin.auth(HASH, GA, RP["id"]) if verified else {}
    if _told(level, listed, verified):
        check(with_pin.get(made if listed else None, **arguments), made)
    else:
        with refused(ERR.NO_CREDENTIALS):
            with_pin.get(made if listed else None, **arguments)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.4", needs=("credProtect", "clientPin"))
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("verified", [False, True], ids=["without-uv", "with-uv"])
def test_a_non_resident_credential_is_told_as_its_level_says(with_pin, level, verified):
    made = with_pin.make(**_protected(level))
    arguments = with_pin.auth(HASH, GA, RP["id"]) if verified else {}
    if _told(level, True, verified):
        check(with_pin.get(made, **arguments), made)
    else:
        with refused(ERR.NO_CREDENTIALS):
            with_pin.get(made, **arguments)


@pytest.mark.case("CTAP 2.1, 6.2.2 steps 7.4 to 7.7", needs=NEEDS)
def test_only_the_credentials_that_may_be_told_are_counted_and_followed(with_pin):
    made = [make_resident(with_pin, account(level), **_protected(level)) for level in (3, 1, 2)]
    assert [ident(one) for one in get_all(with_pin)] == [ident(made[1])]
    assert [ident(one) for one in get_all(with_pin, uv=True)] == [ident(one) for one in reversed(made)]


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.4", needs=NEEDS)
def test_of_a_list_only_the_credentials_that_may_be_told_answer(with_pin):
    made = [make_resident(with_pin, account(level), **_protected(level)) for level in (3, 2)]
    check(with_pin.get(allow_list=[descriptor(one) for one in made]), made[1])


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.4", needs=NEEDS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_silent_assertion_tells_no_more_than_any_other(with_pin, level):
    made = make_resident(with_pin, **_protected(level))
    if level == 3:
        with refused(ERR.NO_CREDENTIALS):
            with_pin.get(made, options={"up": False})
    else:
        check(with_pin.get(made, options={"up": False}), made)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.5", needs=NEEDS)
@pytest.mark.parametrize("level", [2, 3])
def test_an_empty_list_is_no_way_round_the_level(with_pin, level):
    make_resident(with_pin, **_protected(level))
    with refused_somehow():  # a platform must not send it (6.2), so no code is said
        send(with_pin, GET, {**ASSERTION, 3: []})


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.5", needs=NEEDS)
@pytest.mark.parametrize("level", [2, 3])
def test_a_level_without_a_pin_hides_the_credential(blank, level):
    """Without a PIN no user can be verified, so the credential stays hidden until a PIN is set."""
    if option(blank, "uv"):
        not_offered("it has built-in user verification that is set up")
    made = make_resident(blank, **_protected(level))
    with refused(ERR.NO_CREDENTIALS):
        blank.get()
    if level == 2:
        check(blank.get(made), made)
    else:
        with refused(ERR.NO_CREDENTIALS):
            blank.get(made)


@pytest.mark.case("CTAP 2.1, 12.1: the level is kept with the credential", needs=NEEDS)
@pytest.mark.parametrize("level", [2, 3])
def test_the_level_outlives_a_power_cycle(with_pin, level):
    made = make_resident(with_pin, **_protected(level))
    with_pin.power_cycle()
    with refused(ERR.NO_CREDENTIALS):
        with_pin.get()
    check(with_pin.get(**with_pin.auth(HASH, GA, RP["id"])), made)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7; 6.2.3 numberOfCredentials", needs=NEEDS)
def test_credentials_that_are_not_told_are_not_counted(with_pin):
    told = make_accounts(with_pin, 2, **_protected(1))
    for number, level in ((7, 2), (8, 3)):
        make_resident(with_pin, account(number), **_protected(level))
    found = get_all(with_pin)
    assert found[0].number_of_credentials == len(told)
    assert [ident(one) for one in found] == [ident(one) for one in reversed(told)]
    assert len(get_all(with_pin, uv=True)) == len(told) + 2


@pytest.mark.case("CTAP 2.1, 12.1: the default should be level 1", needs=NEEDS, level="SHOULD")
def test_without_the_extension_a_credential_is_told_to_anybody(with_pin):
    made = make_resident(with_pin)
    check(with_pin.get(), made)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.2", needs=NEEDS)
@pytest.mark.parametrize("before, after", [(3, 1), (1, 3)])
def test_a_replaced_credential_has_the_new_level(with_pin, before, after):
    make_resident(with_pin, **_protected(before))
    made = make_resident(with_pin, **_protected(after))
    if after == 1:
        check(with_pin.get(), made)
    else:
        with refused(ERR.NO_CREDENTIALS):
            with_pin.get()


@pytest.mark.case("CTAP 2.1, 6.8.4 credProtect", needs=NEEDS)
@pytest.mark.parametrize("level", [None, 1, 2, 3])
def test_credential_management_shows_the_level(with_pin, level):
    made = make_resident(with_pin, **(_protected(level) if level else {}))
    (found,) = management(with_pin).enumerate_creds(made.auth_data.rp_id_hash)
    shown = found[CredentialManagement.RESULT.CRED_PROTECT]
    if level:
        assert shown == level
    else:
        assert shown in LEVELS
        if shown != 1:
            deviates(f"the default level is {shown}; recommended: 1")


# The exclude list


@pytest.mark.case("CTAP 2.1, 6.1.2 step 12.2", needs=NEEDS)
@pytest.mark.parametrize("level", LEVELS)
@either_kind
def test_with_verification_every_level_excludes(with_pin, resident, level):
    made = make_either(with_pin, resident, **_protected(level))
    with refused(ERR.CREDENTIAL_EXCLUDED):
        with_pin.make(exclude_list=[descriptor(made)])


@pytest.mark.case("CTAP 2.1, 6.1.2 step 12.2.2", needs=NEEDS)
@pytest.mark.parametrize("level", LEVELS)
@either_kind
def test_without_verification_level_3_excludes_nothing(with_pin, resident, level):
    if not option(with_pin, "makeCredUvNotRqd"):
        not_offered("getInfo does not say makeCredUvNotRqd: nothing is made without verification")
    made = make_either(with_pin, resident, **_protected(level))
    if level == 3:
        assert ident(make_without_pin(with_pin, exclude_list=[descriptor(made)])) != ident(made)
    else:
        with refused(ERR.CREDENTIAL_EXCLUDED):
            make_without_pin(with_pin, exclude_list=[descriptor(made)])


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.6", needs=(*NEEDS, "FIDO_2_1"), withheld=True)
def test_a_hidden_credential_is_not_betrayed_by_a_request_for_touch(with_pin):
    with_pin.require_unverified()
    made = make_resident(with_pin, **_protected(3))
    presence = Presence()
    with refused(ERR.NO_CREDENTIALS):
        with_pin.ctap.get_assertion(RP["id"], HASH, [descriptor(made)], **presence.watched)
    assert not presence.asked
