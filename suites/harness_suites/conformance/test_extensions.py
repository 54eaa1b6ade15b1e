"""credBlob (CTAP 2.1, section 12.2), thirdPartyPayment (CTAP 2.2, section 12.9), and extensions together."""

from __future__ import annotations

import pytest
from fido2.ctap2 import CredentialManagement

from harness_suites.conformance.ceremonies import (
    ERR,
    GA,
    OTHER_RP,
    account,
    check,
    either_kind,
    get_all,
    make_either,
    make_resident,
    management,
)
from harness_suites.conformance.device import HASH, RP, not_offered, refused, unless_refused

BLOB = bytes(range(1, 33))
ASK_BLOB = {"credBlob": True}
PAYMENT = {"thirdPartyPayment": True}


def _blob(authenticator, made, *, rp_id=RP["id"], **more):
    """Return the credBlob output of an assertion; None if there is none."""
    assertion = authenticator.get(made, rp_id=rp_id, extensions=ASK_BLOB, **more)
    check(assertion, made)
    return (assertion.auth_data.extensions or {}).get("credBlob")


# credBlob


@pytest.mark.case("CTAP 2.1, 6.4 maxCredBlobLength", needs="credBlob")
def test_get_info_says_how_long_a_blob_may_be(blank):
    assert blank.info.max_cred_blob_length >= 32


@pytest.mark.case("CTAP 2.1, 12.2", needs=("credBlob", "rk"))
@pytest.mark.parametrize("size", [1, 16, 31, 32])
def test_a_blob_is_stored_and_comes_back(blank, size):
    made = make_resident(blank, extensions={"credBlob": BLOB[:size]})
    assert made.auth_data.extensions == {"credBlob": True}
    assert _blob(blank, made) == BLOB[:size]


@pytest.mark.case("CTAP 2.1, 12.2", needs=("credBlob", "rk"))
def test_a_blob_may_be_as_long_as_get_info_says(blank):
    blob = b"\xa5" * blank.info.max_cred_blob_length
    made = make_resident(blank, extensions={"credBlob": blob})
    assert made.auth_data.extensions == {"credBlob": True}
    assert _blob(blank, made) == blob


@pytest.mark.case("CTAP 2.1, 12.2: not stored is credBlob false", needs=("credBlob", "rk"))
@pytest.mark.parametrize("more", [1, 100])
def test_a_blob_that_is_too_long_is_not_stored_and_the_credential_is_made(blank, more):
    blob = b"\x5a" * (blank.info.max_cred_blob_length + more)
    made = make_resident(blank, extensions={"credBlob": blob})
    assert made.auth_data.extensions == {"credBlob": False}
    assert _blob(blank, made) == b""


@pytest.mark.case("CTAP 2.1, 12.2: no blob is an empty one", needs=("credBlob", "rk"))
def test_a_credential_without_a_blob_has_an_empty_one(blank):
    assert _blob(blank, make_resident(blank)) == b""


@pytest.mark.case("CTAP 2.1, 12.2", needs="credBlob")
def test_a_non_resident_credential_has_its_blob_or_says_that_it_has_none(blank):
    made = blank.make(extensions={"credBlob": BLOB})
    stored = made.auth_data.extensions["credBlob"]
    assert stored in (True, False)
    assert _blob(blank, made) == (BLOB if stored else b"")


@pytest.mark.case("CTAP 2.1, 6.2.2 step 10.2", needs=("credBlob", "rk"))
@pytest.mark.parametrize("extensions", [None, {"credBlob": False}], ids=["absent", "false"])
def test_a_blob_is_not_told_unasked(blank, extensions):
    made = make_resident(blank, extensions={"credBlob": BLOB})
    assert not blank.get(made, extensions=extensions).auth_data.extensions


@pytest.mark.case("CTAP 2.1, 12.2", needs=("credBlob", "rk"))
def test_each_account_has_its_own_blob(blank):
    for number in range(3):
        make_resident(blank, account(number), extensions={"credBlob": bytes([number]) * 8})
    other = make_resident(blank, rp=OTHER_RP, extensions={"credBlob": BLOB})
    blobs = [one.auth_data.extensions["credBlob"] for one in get_all(blank, extensions=ASK_BLOB)]
    assert blobs == [b"\2" * 8, b"\1" * 8, b"\0" * 8]
    assert _blob(blank, other, rp_id=OTHER_RP["id"]) == BLOB


@pytest.mark.case("CTAP 2.1, 12.2", needs=("credBlob", "rk"))
def test_a_blob_outlives_a_power_cycle(blank):
    made = make_resident(blank, extensions={"credBlob": BLOB})
    blank.power_cycle()
    assert _blob(blank, made) == BLOB


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.2.2", needs=("credBlob", "rk"))
def test_a_replaced_credential_leaves_no_blob_behind(blank):
    make_resident(blank, extensions={"credBlob": BLOB})
    assert _blob(blank, make_resident(blank)) == b""


@pytest.mark.case("CTAP 2.1, 12.2 and 12.1", needs=("credBlob", "credProtect", "rk", "clientPin"))
def test_a_protected_blob_is_told_to_who_is_verified_only(with_pin):
    made = make_resident(with_pin, extensions={"credBlob": BLOB, "credProtect": 3})
    with refused(ERR.NO_CREDENTIALS):
        with_pin.get(made, extensions=ASK_BLOB)
    assert _blob(with_pin, made, **with_pin.auth(HASH, GA, RP["id"])) == BLOB


@pytest.mark.case("CTAP 2.1, 12.2", needs=("credBlob", "rk"))
@pytest.mark.parametrize("value", [True, "text", 7, [BLOB]], ids=["boolean", "text", "integer", "array"])
def test_a_blob_of_the_wrong_type_is_refused(blank, value):
    made = unless_refused(lambda: make_resident(blank, extensions={"credBlob": value}))
    # Ignoring it, or saying that nothing was stored, is no less right.
    assert made is None or (made.auth_data.extensions or {}).get("credBlob", False) is False


# thirdPartyPayment


def _payment(authenticator, made, *, rp_id=RP["id"], **more):
    assertion = authenticator.get(made, rp_id=rp_id, extensions=PAYMENT, **more)
    check(assertion, made)
    return (assertion.auth_data.extensions or {}).get("thirdPartyPayment")


@pytest.mark.case("CTAP 2.2, 12.9", needs="thirdPartyPayment")
@either_kind
def test_a_credential_for_payments_says_so(blank, resident):
    made = make_either(blank, resident, extensions=PAYMENT)
    assert _payment(blank, made) is True


@pytest.mark.case("CTAP 2.2, 12.9", needs="thirdPartyPayment")
@either_kind
def test_a_credential_that_is_not_for_payments_says_so(blank, resident):
    assert _payment(blank, make_either(blank, resident)) is False


@pytest.mark.case("CTAP 2.2, 12.9", needs="thirdPartyPayment")
def test_creation_confirms_payments_or_says_nothing(blank):
    outputs = blank.make(extensions=PAYMENT).auth_data.extensions or {}
    assert outputs in ({}, PAYMENT)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 10.2", needs="thirdPartyPayment")
def test_payments_are_not_told_unasked(blank):
    made = blank.make(extensions=PAYMENT)
    assert not blank.get(made).auth_data.extensions


@pytest.mark.case("CTAP 2.2, 12.9", needs="thirdPartyPayment")
@either_kind
def test_payments_outlive_a_power_cycle(blank, resident):
    made = make_either(blank, resident, extensions=PAYMENT)
    blank.power_cycle()
    assert _payment(blank, made) is True


@pytest.mark.case("CTAP 2.2, 12.9", needs=("thirdPartyPayment", "rk"))
def test_each_account_says_for_itself_whether_it_is_for_payments(blank):
    for number, extensions in enumerate((PAYMENT, None, PAYMENT)):
        make_resident(blank, account(number), extensions=extensions)
    found = [one.auth_data.extensions["thirdPartyPayment"] for one in get_all(blank, extensions=PAYMENT)]
    assert found == [True, False, True]


@pytest.mark.case("CTAP 2.2, 6.8.4 thirdPartyPayment", needs=("thirdPartyPayment", "rk", "clientPin"))
@pytest.mark.parametrize("wanted", [False, True])
def test_credential_management_shows_payments(with_pin, wanted):
    made = make_resident(with_pin, extensions=PAYMENT if wanted else None)
    (found,) = management(with_pin).enumerate_creds(made.auth_data.rp_id_hash)
    assert found[CredentialManagement.RESULT.THIRD_PARTY_PAYMENT] is wanted


# Together


INPUTS = {"credProtect": 2, "hmac-secret": True, "credBlob": BLOB, "thirdPartyPayment": True}


@pytest.mark.case("CTAP 2.1, 6.1.2 step 15", needs="rk")
def test_all_extensions_of_get_info_are_processed_in_one_request(blank):
    inputs = {name: value for name, value in INPUTS.items() if blank.has(name)}
    if len(inputs) < 2:
        not_offered("two extensions")
    outputs = make_resident(blank, extensions={**inputs, "x-keyharness": 1}).auth_data.extensions
    expected = {**inputs, "credBlob": True}
    assert set(outputs) <= set(inputs)
    assert set(inputs) - set(outputs) <= {"thirdPartyPayment"}
    assert all(outputs[name] == expected[name] for name in outputs)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 10", needs=("credBlob", "thirdPartyPayment", "rk"))
def test_the_outputs_of_an_assertion_stand_beside_each_other(blank):
    made = make_resident(blank, extensions={"credBlob": BLOB, **PAYMENT})
    assertion = blank.get(made, extensions={**ASK_BLOB, **PAYMENT, "x-keyharness": 1})
    assert assertion.auth_data.extensions == {"credBlob": BLOB, **PAYMENT}
    check(assertion, made)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 15.1")
@pytest.mark.parametrize(
    "name, value",
    [
        ("credProtect", 3),
        ("hmac-secret", True),
        ("credBlob", BLOB),
        ("thirdPartyPayment", True),
        ("minPinLength", True),
    ],
)
def test_an_extension_that_get_info_does_not_list_is_not_processed(blank, name, value):
    if blank.has(name):
        not_offered(f"a key without {name}")
    made = blank.make(extensions={name: value})
    assert not made.auth_data.extensions
    check(blank.get(made), made)
