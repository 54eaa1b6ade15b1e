"""authenticatorMakeCredential: CTAP 2.1, section 6.1, step by step.

What the extensions do stands in files of their own, what becomes of discoverable credentials in
test_discoverable.py.
"""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.attestation import Attestation, InvalidSignature
from fido2.ctap import CtapError

from harness_suites.conformance.ceremonies import (
    ABSENT,
    CREATION,
    ERR,
    GA,
    INCOMPLETE,
    MAKE,
    MC,
    OTHER_HASH,
    OTHER_RP,
    UNKNOWN_ALGORITHM,
    WRONG_TYPE,
    Presence,
    changed,
    check,
    descriptor,
    either_kind,
    forgeries,
    full_list,
    ident,
    make_either,
    make_resident,
    make_without_pin,
    option,
    public_key,
    require_algorithm,
    require_protocol,
    send,
    stranger,
)
from harness_suites.conformance.device import (
    EDDSA,
    ES256,
    HASH,
    PIN,
    RP,
    USER,
    not_offered,
    refused,
    refused_somehow,
    unless_refused,
)
from harness_suites.conformance.preparation import (
    require_pin,
)
from harness_suites.conformance.versions import refused_as

LONGEST_RP_ID = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
"""253 bytes: no domain name is longer (RFC 1035, 2.3.4, in text form)."""


# The response (6.1.2 steps 16 to 19; WebAuthn 6.1 and 6.5)


@pytest.mark.case("CTAP 2.1, 6.1.3")
def test_the_response_has_a_format_authenticator_data_and_a_statement_and_nothing_unasked(blank):
    response = send(blank, MAKE, CREATION)
    # 0x05 largeBlobKey only answers what was asked for; 0x04 epAtt may say that it was not asked for.
    assert set(response) - {4, 6} == {1, 2, 3}
    assert response.get(4, False) is False, "an enterprise attestation that was not asked for"
    assert isinstance(response[1], str)
    assert isinstance(response[2], bytes)
    assert isinstance(response[3], dict)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 14.3")
def test_a_touch_without_a_pin_is_presence_and_not_verification(blank):
    data = blank.make().auth_data
    assert data.is_user_present()
    assert not data.is_user_verified()
    assert data.is_attested()
    assert not data.has_extension_data()


@pytest.mark.case("CTAP 2.1, 6.1.2 step 11.1", needs="clientPin")
@pytest.mark.parametrize("protocol", [1, 2])
def test_a_pin_is_verification(with_pin, protocol):
    require_protocol(with_pin, protocol)
    data = with_pin.make(**with_pin.auth(HASH, MC, RP["id"], protocol)).auth_data
    assert data.is_user_present()
    assert data.is_user_verified()


@pytest.mark.case("WebAuthn 2, 6.1")
@pytest.mark.parametrize(
    "rp_id", ["localhost", "x", LONGEST_RP_ID], ids=["localhost", "one-byte", "253-bytes"]
)
def test_the_authenticator_data_begins_with_the_hash_of_the_rp_id(blank, rp_id):
    made = blank.make(rp={"id": rp_id})
    assert made.auth_data.rp_id_hash == hashlib.sha256(rp_id.encode()).digest()
    check(blank.get(made, rp_id=rp_id), made)


@pytest.mark.case("CTAP 2.1, 6.4 aaguid")
def test_the_aaguid_is_that_of_get_info(blank):
    assert blank.make().auth_data.credential_data.aaguid == blank.info.aaguid


@pytest.mark.case("CTAP 2.1, 6.4 maxCredentialIdLength")
@either_kind
def test_a_credential_id_has_at_least_16_bytes_and_at_most_what_get_info_says(blank, resident):
    identity = ident(make_either(blank, resident))
    # 16: WebAuthn 2, section 4, "Credential ID"; the length has two bytes, 1023 is the most it may say.
    assert 16 <= len(identity) <= (blank.info.max_cred_id_length or 1023)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 16")
def test_every_credential_has_a_key_pair_and_an_id_of_its_own(blank):
    one, other = blank.make(), blank.make()
    assert ident(one) != ident(other)
    assert one.auth_data.credential_data.public_key != other.auth_data.credential_data.public_key


@pytest.mark.case("WebAuthn 2, 6.5.1.1")
def test_an_es256_key_is_a_point_on_p256_and_nothing_more(blank):
    key = blank.make().auth_data.credential_data.public_key
    assert set(key) == {1, 3, -1, -2, -3}
    assert (key[1], key[3], key[-1]) == (2, -7, 1)
    assert len(key[-2]) == len(key[-3]) == 32
    x, y = (int.from_bytes(key[part], "big") for part in (-2, -3))
    ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()  # raises if it is not on the curve


@pytest.mark.case("WebAuthn 2, 6.5.1.1")
def test_an_eddsa_key_is_an_ed25519_key_and_nothing_more(blank):
    require_algorithm(blank, EDDSA)
    key = blank.make(key_params=[EDDSA]).auth_data.credential_data.public_key
    assert set(key) == {1, 3, -1, -2}
    assert (key[1], key[3], key[-1]) == (1, -8, 6)
    assert len(key[-2]) == 32


@pytest.mark.case("CTAP 2.1, 8")
def test_the_key_and_the_extensions_are_encoded_canonically(blank):
    wanted = {"credProtect": 1, "hmac-secret": True, "credBlob": b"x"}
    data = blank.make(extensions={name: value for name, value in wanted.items() if blank.has(name)}).auth_data
    tail = cbor.encode(dict(data.credential_data.public_key))
    if data.extensions:
        tail += cbor.encode(dict(data.extensions))
    assert bytes(data).endswith(bytes(data.credential_data.credential_id) + tail)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 19")
@pytest.mark.parametrize("algorithm", [ES256, EDDSA], ids=["es256", "eddsa"])
def test_the_attestation_is_over_this_credential_and_this_client_data(blank, algorithm):
    require_algorithm(blank, algorithm)
    made = blank.make(key_params=[algorithm])
    statement = Attestation.for_type(made.fmt)()
    statement.verify(made.att_stmt, made.auth_data, HASH)
    if made.fmt != "none":
        with pytest.raises(InvalidSignature):
            statement.verify(made.att_stmt, made.auth_data, OTHER_HASH)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 19")
def test_another_credentials_attestation_does_not_fit(blank):
    one, other = blank.make(), blank.make()
    if one.fmt == "none":
        not_offered("no attestation")
    with pytest.raises(InvalidSignature):
        Attestation.for_type(one.fmt)().verify(one.att_stmt, other.auth_data, HASH)


@pytest.mark.case("CTAP 2.1, 6.4 algorithms")
def test_every_algorithm_of_get_info_makes_a_credential_that_asserts(blank):
    if not blank.info.algorithms:
        not_offered("getInfo lists no algorithms")
    for algorithm in blank.info.algorithms:
        made = blank.make(key_params=[algorithm])
        assert made.auth_data.credential_data.public_key[3] == algorithm["alg"]
        check(blank.get(made), made)


# What a request must have, and of what type (6.1; 8.2)


@pytest.mark.case("CTAP 2.1, 8.2 CTAP2_ERR_MISSING_PARAMETER")
@pytest.mark.parametrize("number", [1, 2, 3, 4], ids=["clientDataHash", "rp", "user", "pubKeyCredParams"])
def test_a_request_without_a_required_parameter_is_refused(blank, number):
    with refused(ERR.MISSING_PARAMETER):
        send(blank, MAKE, changed(CREATION, {number: ABSENT}))


@pytest.mark.case("CTAP 2.1, 6.1")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({2: {"name": "nameless"}}, id="rp-without-id"),
        pytest.param({3: {"name": "name", "displayName": "Name"}}, id="user-without-id"),
        pytest.param({5: [{"type": "public-key"}]}, id="excluded-without-id"),
        pytest.param({5: [{"id": bytes(32)}]}, id="excluded-without-type"),
    ],
)
def test_a_structure_that_lacks_a_member_is_refused(blank, changes):
    with refused_somehow(*INCOMPLETE):
        send(blank, MAKE, changed(CREATION, changes))


@pytest.mark.case("CTAP 2.1, 8.2 CTAP2_ERR_CBOR_UNEXPECTED_TYPE")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({1: "text"}, id="clientDataHash-text"),
        pytest.param({2: [RP["id"]]}, id="rp-array"),
        pytest.param({2: {**RP, "id": b"bytes"}}, id="rp-id-bytes"),
        pytest.param({3: b"user"}, id="user-bytes"),
        pytest.param({3: {**USER, "id": "text"}}, id="user-id-text"),
        pytest.param({3: {**USER, "name": 1}}, id="user-name-integer"),
        pytest.param({3: {**USER, "displayName": b"bytes"}}, id="user-displayName-bytes"),
        pytest.param({4: ES256}, id="pubKeyCredParams-map"),
        pytest.param({5: stranger()}, id="excludeList-map"),
        pytest.param({5: [bytes(32)]}, id="excluded-bytes"),
        pytest.param({5: [{"type": "public-key", "id": "text"}]}, id="excluded-id-text"),
        pytest.param({6: ["credProtect"]}, id="extensions-array"),
        pytest.param({7: ["rk"]}, id="options-array"),
        pytest.param({7: {"rk": 1}}, id="rk-integer"),
        pytest.param({7: {"up": "true"}}, id="up-text"),
        pytest.param({7: {"uv": b"\1"}}, id="uv-bytes"),
        pytest.param({8: "text", 9: 1}, id="pinUvAuthParam-text"),
        pytest.param({8: bytes(16), 9: "1"}, id="pinUvAuthProtocol-text"),
    ],
)
def test_a_member_of_the_wrong_type_is_refused(blank, changes):
    with refused_somehow(*WRONG_TYPE):
        send(blank, MAKE, changed(CREATION, changes))


@pytest.mark.case("CTAP 2.1, 6.1")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({2: {"id": RP["id"]}}, id="rp-without-name"),
        pytest.param({3: {"id": USER["id"]}}, id="user-without-names"),
        pytest.param({3: {"id": USER["id"], "name": "x" * 300, "displayName": "y" * 300}}, id="long-names"),
        pytest.param({2: {**RP, "name": "z" * 300}}, id="long-rp-name"),
    ],
)
def test_names_are_optional_and_may_be_long(blank, changes):
    """A key may truncate names (WebAuthn 2, 6.4.1). It may not refuse them."""
    assert send(blank, MAKE, changed(CREATION, changes))[2]


@pytest.mark.case("CTAP 2.0, 5.1: icons", needs="FIDO_2_0")
@pytest.mark.parametrize("which", [2, 3], ids=["rp", "user"])
def test_an_icon_of_an_older_platform_is_taken_or_ignored(blank, which):
    entity = {**CREATION[which], "icon": "https://keyharness.example/icon.png"}
    assert send(blank, MAKE, changed(CREATION, {which: entity}))[2]


@pytest.mark.case("WebAuthn 2, 5.8.3: transports")
def test_transports_in_a_descriptor_do_not_hide_the_credential(blank):
    made = blank.make()
    with refused(ERR.CREDENTIAL_EXCLUDED):
        blank.make(exclude_list=[{**descriptor(made), "transports": ["usb", "nfc"]}])


@pytest.mark.case("WebAuthn 2, 5.4.3: a user handle has at most 64 bytes", needs="rk")
def test_a_user_handle_that_is_too_long_is_never_shortened(blank):
    user = {**USER, "id": bytes(range(65))}
    try:
        made = make_resident(blank, user)
    except CtapError:
        with refused(ERR.NO_CREDENTIALS):
            blank.get()
    else:
        assert blank.get(made).user["id"] == user["id"]


# pubKeyCredParams (step 3)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 3.2")
@pytest.mark.parametrize(
    "listed",
    [
        pytest.param([], id="none"),
        pytest.param([UNKNOWN_ALGORITHM], id="unknown-algorithm"),
        pytest.param([{"type": "private-key", "alg": -7}], id="unknown-type"),
        pytest.param([UNKNOWN_ALGORITHM, {"type": "private-key", "alg": -7}], id="neither"),
    ],
)
def test_no_supported_algorithm_is_refused(blank, listed):
    with refused(ERR.UNSUPPORTED_ALGORITHM):
        blank.make(key_params=listed)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 3.1.3")
@pytest.mark.parametrize(
    "before",
    [
        pytest.param([UNKNOWN_ALGORITHM], id="unknown-algorithm"),
        pytest.param([{"type": "private-key", "alg": -7}], id="unknown-type"),
        pytest.param([{"type": "public-key", "alg": 7}], id="positive-algorithm"),
        pytest.param([{"type": "public-key", "alg": -(2**31)}], id="big-algorithm"),
        pytest.param([{"type": "public-key", "alg": -65000 - i} for i in range(12)], id="many"),
    ],
)
def test_what_is_not_supported_is_passed_over(blank, before):
    made = blank.make(key_params=[*before, ES256])
    assert made.auth_data.credential_data.public_key[3] == -7


@pytest.mark.case("CTAP 2.1, 6.1.2 step 3.1.3")
@pytest.mark.parametrize(
    "listed",
    [[ES256, EDDSA], [EDDSA, ES256], [UNKNOWN_ALGORITHM, EDDSA, ES256]],
    ids=["es256", "eddsa", "third"],
)
def test_the_first_supported_algorithm_is_chosen(blank, listed):
    require_algorithm(blank, EDDSA)
    made = blank.make(key_params=listed)
    first = next(one for one in listed if one is not UNKNOWN_ALGORITHM)
    assert made.auth_data.credential_data.public_key[3] == first["alg"]


@pytest.mark.case("CTAP 2.1, 6.1.2 step 3.1", needs="FIDO_2_1")
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"type": "public-key"}, id="without-alg"),
        pytest.param({"alg": -8}, id="without-type"),
        pytest.param({"type": "public-key", "alg": "-7"}, id="alg-text"),
        pytest.param({"type": 7, "alg": -7}, id="type-integer"),
        pytest.param("public-key", id="text"),
    ],
)
@pytest.mark.parametrize("place", ["alone", "after a good one"])
def test_a_broken_element_is_an_error_wherever_it_stands(blank, wrong, place):
    """The loop checks every element, also after the algorithm is chosen. The specification names no code."""
    listed = [wrong] if place == "alone" else [ES256, wrong]
    with refused_somehow():
        send(blank, MAKE, changed(CREATION, {4: listed}))


# options (step 5)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 5.6")
def test_up_false_is_refused(blank):
    with refused(ERR.INVALID_OPTION):
        blank.make(options={"up": False})


@pytest.mark.case("CTAP 2.1, 6.1.2 step 5.7", needs="FIDO_2_1")
def test_up_true_is_the_default_said_aloud(blank):
    assert blank.make(options={"up": True}).auth_data.is_user_present()


@pytest.mark.case("CTAP 2.1, 6.1.2 step 5.3", needs="FIDO_2_1")
def test_uv_true_is_refused_without_built_in_verification(blank):
    if option(blank, "uv"):
        not_offered("it has built-in user verification that is set up")
    with refused(ERR.INVALID_OPTION):
        blank.make(options={"uv": True})


@pytest.mark.case("CTAP 2.1, 6.1.2 step 5.2", needs=("clientPin", "FIDO_2_1"))
def test_uv_true_beside_a_pin_parameter_counts_as_false(with_pin):
    made = with_pin.make(options={"uv": True})
    assert made.auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.1.2 step 5.1")
def test_uv_false_is_the_default_said_aloud(blank):
    assert not blank.make(options={"uv": False}).auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.1.2 step 18", needs="FIDO_2_1")
@pytest.mark.parametrize("options", [None, {"rk": False}], ids=["absent", "false"])
def test_without_rk_the_credential_is_not_discoverable(blank, options):
    made = blank.make(options=options)
    with refused(ERR.NO_CREDENTIALS):
        blank.get()
    check(blank.get(made), made)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.1", needs="rk")
def test_with_rk_the_credential_is_discoverable(blank):
    made = make_resident(blank)
    check(blank.get(), made)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 5")
@pytest.mark.parametrize("value", [True, False])
def test_an_option_that_is_not_understood_counts_as_absent(blank, value):
    assert blank.make(options={"xx": value, "bioEnroll": value}).auth_data.is_user_present()


# pinUvAuthParam (steps 1, 2, 7, 8, 10 and 11)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 1.3", needs="clientPin", withheld=True)
def test_an_empty_parameter_without_a_pin_is_answered_after_a_touch(blank):
    presence = Presence()
    with refused(ERR.PIN_NOT_SET):
        make_without_pin(blank, pin_uv_param=b"", pin_uv_protocol=1, **presence.watched)
    assert presence.asked


@pytest.mark.case("CTAP 2.1, 6.1.2 step 1.3", needs="clientPin", withheld=True)
def test_an_empty_parameter_with_a_pin_is_answered_after_a_touch(with_pin):
    presence = Presence()
    with refused(ERR.PIN_INVALID):
        make_without_pin(with_pin, pin_uv_param=b"", pin_uv_protocol=1, **presence.watched)
    assert presence.asked


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.1.2 step 1.2", needs=("clientPin", "FIDO_2_1"), withheld=True)
def test_an_empty_parameter_that_nobody_touches_for_is_denied(with_pin):
    with refused_as(with_pin, "request that is not touched"):
        make_without_pin(with_pin, touched=False, pin_uv_param=b"", pin_uv_protocol=1)


@pytest.mark.case("CTAP 2.1, 6.1.2 steps 1 and 2", needs=("clientPin", "FIDO_2_1"))
@pytest.mark.parametrize("protocol", [None, 0, 100], ids=["absent", "zero", "unknown"])
def test_an_empty_parameter_is_answered_before_its_protocol_is_looked_at(with_pin, protocol):
    with refused(ERR.PIN_INVALID):
        make_without_pin(with_pin, pin_uv_param=b"", pin_uv_protocol=protocol)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 1", needs="clientPin")
def test_an_empty_parameter_costs_no_pin_try(with_pin):
    before = with_pin.client_pin().get_pin_retries()[0]
    with refused(ERR.PIN_INVALID):
        make_without_pin(with_pin, pin_uv_param=b"", pin_uv_protocol=1)
    assert with_pin.client_pin().get_pin_retries()[0] == before


@pytest.mark.case("CTAP 2.1, 6.1.2 step 2.2", needs=("clientPin", "FIDO_2_1"))
def test_a_parameter_without_its_protocol_is_refused(with_pin):
    param = with_pin.auth(HASH, MC, RP["id"])["pin_uv_param"]
    with refused(ERR.MISSING_PARAMETER):
        make_without_pin(with_pin, pin_uv_param=param)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 2.1", needs=("clientPin", "FIDO_2_1"))
@pytest.mark.parametrize("protocol", [0, 3, 255])
def test_a_protocol_that_is_not_supported_is_refused(with_pin, protocol):
    if protocol in with_pin.info.pin_uv_protocols:
        not_offered(f"protocol {protocol} is supported")
    param = with_pin.auth(HASH, MC, RP["id"])["pin_uv_param"]
    with refused(ERR.INVALID_PARAMETER):
        make_without_pin(with_pin, pin_uv_param=param, pin_uv_protocol=protocol)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 11.1", needs="clientPin")
@forgeries
def test_a_forged_parameter_is_refused_before_any_touch(with_pin, forgery):
    arguments = forgery.make(with_pin, MC)
    presence = Presence()
    with refused(ERR.PIN_AUTH_INVALID):
        make_without_pin(with_pin, touched=False, **arguments, **presence.watched)
    assert not presence.asked


@pytest.mark.case("CTAP 2.1, 6.1.2 step 14.4", needs=("clientPin", "pinUvAuthToken"))
def test_a_token_makes_one_credential_and_no_second(with_pin):
    arguments = with_pin.auth(HASH, MC, RP["id"])
    make_without_pin(with_pin, **arguments)
    with refused(ERR.PIN_AUTH_INVALID):
        make_without_pin(with_pin, **arguments)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 14.4", needs=("clientPin", "pinUvAuthToken"))
def test_a_token_that_made_a_credential_gives_no_assertion(with_pin):
    protocol, token = with_pin.token(MC | GA, RP["id"])
    param = protocol.authenticate(token, HASH)
    made = make_without_pin(with_pin, pin_uv_param=param, pin_uv_protocol=protocol.VERSION)
    with refused(ERR.PIN_AUTH_INVALID):
        with_pin.get(made, pin_uv_param=param, pin_uv_protocol=protocol.VERSION)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 11.1.7", needs=("clientPin", "pinUvAuthToken"))
def test_a_token_without_an_rp_is_bound_to_the_first_it_is_used_with(with_pin):
    made = with_pin.make()
    client = with_pin.client_pin()
    # getPinToken (6.5.5.7.1): mc and ga, and no RP until one is met.
    pin_token = client.get_pin_token(with_pin.pin)
    arguments = {
        "pin_uv_param": client.protocol.authenticate(pin_token, HASH),
        "pin_uv_protocol": client.protocol.VERSION,
    }
    # Without a test of user presence an assertion uses nothing up (6.2.2 step 9).
    with_pin.get(made, options={"up": False}, **arguments)
    with refused(ERR.PIN_AUTH_INVALID):
        make_without_pin(with_pin, rp=OTHER_RP, **arguments)
    make_without_pin(with_pin, **arguments)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 11", needs="clientPin")
def test_a_parameter_without_a_pin_verifies_nobody(blank):
    """Without a PIN, step 11 ignores the parameter; CTAP 2.0, 5.1 refused it. Neither verifies the user."""
    protocol = blank.client_pin().protocol
    parameter = protocol.authenticate(bytes(32), HASH)

    def make():
        return make_without_pin(blank, pin_uv_param=parameter, pin_uv_protocol=protocol.VERSION)

    made = unless_refused(make, ERR.PIN_NOT_SET, ERR.PIN_AUTH_INVALID)
    assert made is None or not made.auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.1.2 steps 7 and 8", needs=("clientPin", "rk"))
@pytest.mark.parametrize("options", [{"rk": True}, {"rk": True, "uv": False}], ids=["rk", "rk-uv-false"])
def test_a_discoverable_credential_needs_the_pin_that_is_set(with_pin, options):
    with refused(ERR.PUAT_REQUIRED):
        make_without_pin(with_pin, touched=False, options=options)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 10", needs="clientPin")
def test_any_other_credential_needs_no_pin_where_get_info_says_so(with_pin):
    if not option(with_pin, "makeCredUvNotRqd"):
        not_offered("getInfo does not say makeCredUvNotRqd")
    made = make_without_pin(with_pin)
    assert not made.auth_data.is_user_verified()
    check(with_pin.get(made), made)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 8", needs="clientPin")
def test_any_other_credential_needs_the_pin_where_get_info_does_not_say_otherwise(with_pin):
    if option(with_pin, "makeCredUvNotRqd"):
        not_offered("getInfo says makeCredUvNotRqd")
    with refused(ERR.PUAT_REQUIRED):
        make_without_pin(with_pin, touched=False)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 9.1", needs="FIDO_2_1")
@pytest.mark.parametrize("kind", [1, 2, 3])
def test_enterprise_attestation_is_refused_where_it_is_not_enabled(blank, kind):
    if option(blank, "ep"):
        not_offered("enterprise attestation is enabled")
    with refused(ERR.INVALID_PARAMETER):
        blank.make(enterprise_attestation=kind)


# excludeList (step 12)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 12.1", withheld=True)
@either_kind
def test_an_excluded_credential_is_told_after_a_touch(blank, resident):
    made = make_either(blank, resident)
    presence = Presence()
    with refused(ERR.CREDENTIAL_EXCLUDED):
        blank.make(exclude_list=[descriptor(made)], **presence.watched)
    assert presence.asked


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.1.2 step 12.1.4.2", needs="FIDO_2_1", withheld=True)
def test_an_excluded_credential_is_told_also_when_nobody_touches(blank):
    made = blank.make()
    with refused(ERR.CREDENTIAL_EXCLUDED):
        make_without_pin(blank, touched=False, exclude_list=[descriptor(made)])


@pytest.mark.case("CTAP 2.1, 6.1.2 step 12", needs="clientPin")
def test_an_excluded_credential_is_told_to_who_gave_the_pin(with_pin):
    made = with_pin.make()
    with refused(ERR.CREDENTIAL_EXCLUDED):
        with_pin.make(exclude_list=[descriptor(made)])


@pytest.mark.case("CTAP 2.1, 6.1.2 step 12")
def test_the_last_of_a_list_as_long_as_get_info_allows_is_found(blank):
    made = blank.make()
    listed = full_list(blank, CREATION, made)
    with refused(ERR.CREDENTIAL_EXCLUDED):
        blank.make(exclude_list=listed)


@pytest.mark.case("CTAP 2.1, 6.4 maxCredentialCountInList and maxMsgSize")
def test_a_list_of_strangers_as_long_as_get_info_allows_excludes_nothing(blank):
    made = blank.make(exclude_list=full_list(blank, CREATION))
    check(blank.get(made), made)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 12")
@either_kind
def test_a_credential_of_another_rp_excludes_nothing(blank, resident):
    other = make_either(blank, resident, rp=OTHER_RP)
    made = blank.make(exclude_list=[descriptor(other)])
    assert ident(made) != ident(other)


@pytest.mark.case("WebAuthn 2, 6.3.2 step 3: the type must match")
def test_a_descriptor_of_another_type_excludes_nothing(blank):
    made = blank.make()
    again = blank.make(exclude_list=[descriptor(made, kind="private-key")])
    assert ident(again) != ident(made)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 12")
def test_a_changed_id_excludes_nothing(blank):
    made = blank.make()
    identity = ident(made)
    wrong = identity[:-1] + bytes([identity[-1] ^ 1])
    assert ident(blank.make(exclude_list=[descriptor(wrong)])) != identity


@pytest.mark.case("CTAP 2.1, 6.1.2 step 12", needs="rk")
def test_an_excluded_request_leaves_the_account_as_it_was(blank):
    made = make_resident(blank)
    with refused(ERR.CREDENTIAL_EXCLUDED):
        make_resident(blank, exclude_list=[descriptor(made)])
    check(blank.get(), made)


# User presence (step 14)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 14.2", withheld=True)
def test_a_touch_is_asked_for(blank):
    presence = Presence()
    blank.make(**presence.watched)
    assert presence.asked


@pytest.mark.case("CTAP 2.1, 6.1.2 step 14.1", needs="clientPin", withheld=True)
def test_a_touch_is_asked_for_also_of_who_gave_the_pin(with_pin):
    presence = Presence()
    with_pin.make(**presence.watched)
    assert presence.asked


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.1.2 step 14.2.1.2", needs=("FIDO_2_1", "rk"), withheld=True)
def test_without_a_touch_it_is_denied_and_nothing_is_made(blank):
    with refused_as(blank, "request that is not touched"):
        make_without_pin(blank, touched=False, options={"rk": True})
    with refused(ERR.NO_CREDENTIALS):
        blank.get()


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.1.2 step 14.2.1.2 and 6.2.2 step 9.2.1.2", needs="FIDO_2_1", withheld=True)
@pytest.mark.parametrize("command", ["makeCredential", "getAssertion"])
def test_a_request_that_is_not_touched_is_refused_with_operation_denied(blank, command):
    """This case asks for the exact code. The other cases accept equivalent codes."""
    made = blank.make()
    with refused(ERR.OPERATION_DENIED):
        if command == "makeCredential":
            make_without_pin(blank, touched=False)
        else:
            blank.ctap.get_assertion(RP["id"], HASH, [descriptor(made)])


@pytest.mark.case("CTAP 2.1, 11.2.9.1.5", needs="rk", withheld=True)
def test_a_cancelled_request_ends_and_nothing_is_made(blank):
    with refused(ERR.KEEPALIVE_CANCEL):
        make_without_pin(blank, touched=False, options={"rk": True}, **Presence(cancel=True).watched)
    with refused(ERR.NO_CREDENTIALS):
        blank.get()


@pytest.mark.case("CTAP 2.1, 11.2.9.1.5", needs="rk", withheld=True)
def test_a_cancelled_request_leaves_an_older_credential_of_the_account(blank):
    made = make_resident(blank)
    with refused(ERR.KEEPALIVE_CANCEL):
        make_without_pin(blank, touched=False, options={"rk": True}, **Presence(cancel=True).watched)
    check(blank.get(), made)


# Extensions (step 15)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 15.1")
@pytest.mark.parametrize("value", [True, b"bytes", {"a": 1}], ids=["boolean", "bytes", "map"])
def test_an_extension_that_is_not_supported_is_ignored(blank, value):
    data = blank.make(extensions={"x-keyharness": value}).auth_data
    assert not data.extensions


@pytest.mark.case("CTAP 2.1, 6.1.2 step 15.3")
def test_an_empty_extension_map_has_no_output(blank):
    assert not blank.make(extensions={}).auth_data.extensions


@pytest.mark.case("CTAP 2.1, 6.1.2 step 15.3", needs="credProtect")
def test_outputs_are_only_of_extensions_that_were_asked_for(blank):
    inputs = {"credProtect": 1, "x-keyharness": True}
    outputs = blank.make(extensions=inputs).auth_data.extensions
    assert set(outputs) <= set(inputs)


# attestationFormatsPreference (CTAP 2.2, 6.1.2 step 19)


def _with_formats(authenticator, formats):
    if not {"FIDO_2_2", "FIDO_2_3"} & set(authenticator.info.versions):
        not_offered("getInfo lists neither FIDO_2_2 nor FIDO_2_3")
    return send(authenticator, MAKE, {**CREATION, 0x0B: formats})


@pytest.mark.case("CTAP 2.2, 6.1: attestationFormatsPreference")
def test_attestation_is_left_out_on_request(blank):
    response = _with_formats(blank, ["none"])
    assert response[1] == "none"
    assert not response.get(3)


@pytest.mark.case("CTAP 2.2, 6.1: attestationFormatsPreference")
@pytest.mark.parametrize("formats", [[], ["x-unknown"]], ids=["empty", "unknown"])
def test_without_a_usable_preference_the_key_chooses_a_format_of_get_info(blank, formats):
    response = _with_formats(blank, formats)
    assert response[1] in (*blank.info.attestation_formats, "none")


@pytest.mark.case("CTAP 2.2, 6.1: attestationFormatsPreference")
def test_a_preferred_format_that_get_info_lists_is_given(blank):
    for wanted in blank.info.attestation_formats:
        assert _with_formats(blank, ["x-unknown", wanted])[1] == wanted


# What was made


@pytest.mark.case("CTAP 2.1, 6.1.2 step 18")
@pytest.mark.parametrize("algorithm", [ES256, EDDSA], ids=["es256", "eddsa"])
def test_a_credential_outlives_a_power_cycle(blank, algorithm):
    require_algorithm(blank, algorithm)
    made = blank.make(key_params=[algorithm])
    blank.power_cycle()
    check(blank.get(made), made)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 18")
def test_many_non_resident_credentials_do_not_displace_each_other(blank):
    made = [blank.make() for _ in range(12)]
    for one in made:
        check(blank.get(one), one)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 18")
def test_setting_a_pin_leaves_the_credentials(blank):
    require_pin(blank.info)
    made = blank.make()
    blank.client_pin().set_pin(PIN)
    check(blank.get(made), made)


@pytest.mark.case("WebAuthn 2, 6.1.1")
def test_the_counter_of_a_new_credential_is_below_that_of_its_first_assertion(blank):
    made = blank.make()
    counter = blank.get(made).auth_data.counter
    assert made.auth_data.counter < counter or made.auth_data.counter == counter == 0


@pytest.mark.case("CTAP 2.1, 6.1.2")
def test_public_keys_verify_only_their_own_assertions(blank):
    one, other = blank.make(), blank.make()
    assertion = blank.get(one)
    with pytest.raises(WrongSignature):
        assertion.verify(HASH, public_key(other))


@pytest.mark.case("CTAP 2.1, 6.1 (clientDataHash: SHA-256)")
@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_client_data_hash_of_another_length_is_refused(blank, size):
    with refused_somehow(ERR.INVALID_LENGTH, ERR.INVALID_PARAMETER):
        send(blank, MAKE, {**CREATION, 1: bytes(size)})
