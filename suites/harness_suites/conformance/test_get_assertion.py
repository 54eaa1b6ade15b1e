"""authenticatorGetAssertion and getNextAssertion, step by step: CTAP 2.1, sections 6.2 and 6.3."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from cryptography.exceptions import InvalidSignature

from harness_suites.conformance.ceremonies import (
    ABSENT,
    ASSERTION,
    ERR,
    GA,
    GET,
    INCOMPLETE,
    MC,
    NEXT,
    OTHER_HASH,
    OTHER_RP,
    WRONG_TYPE,
    Presence,
    account,
    changed,
    check,
    descriptor,
    either_kind,
    forgeries,
    full_list,
    get_all,
    ident,
    make_accounts,
    make_either,
    make_resident,
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
    RP,
    USER,
    not_offered,
    refused,
    refused_somehow,
    unless_refused,
)
from harness_suites.conformance.versions import refused_as

SECOND_US = 1_000_000


# The response (6.2.3)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 13")
@pytest.mark.parametrize("algorithm", [ES256, EDDSA], ids=["es256", "eddsa"])
@either_kind
def test_an_assertion_is_signed_over_its_data_and_the_client_data(blank, algorithm, resident):
    require_algorithm(blank, algorithm)
    made = blank.make(key_params=[algorithm], options={"rk": resident})
    assertion = blank.get(made)
    check(assertion, made)
    with pytest.raises(InvalidSignature):
        assertion.verify(OTHER_HASH, public_key(made))


@pytest.mark.case("WebAuthn 2, 6.1")
def test_the_authenticator_data_has_the_rp_and_neither_credential_nor_extensions(blank):
    made = blank.make()
    data = blank.get(made).auth_data
    assert data.rp_id_hash == hashlib.sha256(RP["id"].encode()).digest()
    assert not data.is_attested()
    assert not data.has_extension_data()
    assert len(data) == 37


@pytest.mark.case("CTAP 2.1, 6.2.2 step 9.3")
def test_a_touch_is_presence_and_not_verification(blank):
    data = blank.get(blank.make()).auth_data
    assert data.is_user_present()
    assert not data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 6.1", needs="clientPin")
@pytest.mark.parametrize("protocol", [1, 2])
@either_kind
def test_a_pin_is_verification(with_pin, protocol, resident):
    require_protocol(with_pin, protocol)
    made = make_either(with_pin, resident)
    assertion = with_pin.get(made, **with_pin.auth(HASH, GA, RP["id"], protocol))
    assert assertion.auth_data.is_user_present()
    assert assertion.auth_data.is_user_verified()
    check(assertion, made)


@pytest.mark.case("CTAP 2.1, 6.2.3", needs="clientPin")
def test_a_pin_that_is_set_and_not_given_is_no_verification(with_pin):
    made = with_pin.make()
    assertion = with_pin.get(made)
    assert not assertion.auth_data.is_user_verified()
    check(assertion, made)


@pytest.mark.case("CTAP 2.1, 6.2.3")
def test_the_response_has_nothing_that_was_not_asked_for(blank):
    made = blank.make()
    response = send(blank, GET, {**ASSERTION, 3: [descriptor(made)]})
    # 0x05 is only for several, 0x06 only for a display, 0x07 only for the extension; 0x01 and 0x04 may be.
    assert {2, 3} <= set(response) <= {1, 2, 3, 4, 8}


@pytest.mark.case("CTAP 2.1, 6.2.3 credential")
@pytest.mark.parametrize("listed", [False, True], ids=["found", "listed"])
def test_the_response_names_the_credential(blank, listed):
    made = make_resident(blank)
    more = {3: [stranger(), descriptor(made)]} if listed else {}
    response = send(blank, GET, {**ASSERTION, **more})
    assert response[1] == descriptor(made)


@pytest.mark.case("CTAP 2.1, 6.2.3 numberOfCredentials", needs="rk")
def test_one_discoverable_credential_is_not_counted(blank):
    make_resident(blank)
    assert blank.get().number_of_credentials in (None, 1)  # "Optional; defaults to one"


@pytest.mark.case("CTAP 2.1, 6.2.3 user", needs="rk")
def test_a_discoverable_credential_brings_the_user_handle_and_no_name(blank):
    make_resident(blank)
    assert blank.get().user == {"id": USER["id"]}


@pytest.mark.case("CTAP 2.1, 6.2.3 user", needs=("rk", "clientPin"))
def test_names_are_not_told_without_verification(with_pin):
    make_accounts(with_pin, 3)
    for assertion in get_all(with_pin):
        assert set(assertion.user) == {"id"}


@pytest.mark.case("CTAP 2.1, 6.2.3 user", needs=("rk", "clientPin"))
def test_names_are_told_with_verification_where_there_is_a_choice(with_pin):
    make_accounts(with_pin, 3)
    users = [assertion.user for assertion in get_all(with_pin, uv=True)]
    assert users == [account(2), account(1), account(0)]


@pytest.mark.case("CTAP 2.1, 6.2.3 user", needs=("rk", "clientPin"))
def test_one_account_has_at_least_its_handle_with_verification(with_pin):
    made = make_resident(with_pin)
    user = with_pin.get(made, **with_pin.auth(HASH, GA, RP["id"])).user
    assert user["id"] == USER["id"]
    assert user.items() <= USER.items()


# What a request must have, and of what type (6.2; 8.2)


@pytest.mark.case("CTAP 2.1, 8.2 CTAP2_ERR_MISSING_PARAMETER")
@pytest.mark.parametrize("number", [1, 2], ids=["rpId", "clientDataHash"])
def test_a_request_without_a_required_parameter_is_refused(blank, number):
    with refused(ERR.MISSING_PARAMETER):
        send(blank, GET, changed({**ASSERTION, 3: [descriptor(blank.make())]}, {number: ABSENT}))


@pytest.mark.case("CTAP 2.1, 6.2")
@pytest.mark.parametrize("name", ["id", "type"])
def test_a_descriptor_that_lacks_a_member_is_refused(blank, name):
    with refused_somehow(*INCOMPLETE):
        send(blank, GET, {**ASSERTION, 3: [changed(descriptor(blank.make()), {name: ABSENT})]})


@pytest.mark.case("CTAP 2.1, 8.2 CTAP2_ERR_CBOR_UNEXPECTED_TYPE")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({1: b"bytes"}, id="rpId-bytes"),
        pytest.param({1: {"id": RP["id"]}}, id="rpId-map"),
        pytest.param({2: "text"}, id="clientDataHash-text"),
        pytest.param({3: stranger()}, id="allowList-map"),
        pytest.param({3: [bytes(32)]}, id="allowed-bytes"),
        pytest.param({3: [{"type": "public-key", "id": "text"}]}, id="allowed-id-text"),
        pytest.param({4: ["hmac-secret"]}, id="extensions-array"),
        pytest.param({5: ["up"]}, id="options-array"),
        pytest.param({5: {"up": 0}}, id="up-integer"),
        pytest.param({5: {"uv": "false"}}, id="uv-text"),
        pytest.param({6: "text", 7: 1}, id="pinUvAuthParam-text"),
        pytest.param({6: bytes(16), 7: b"\1"}, id="pinUvAuthProtocol-bytes"),
    ],
)
def test_a_member_of_the_wrong_type_is_refused(blank, changes):
    made = blank.make()
    with refused_somehow(*WRONG_TYPE):
        send(blank, GET, {**ASSERTION, 3: [descriptor(made)], **changes})


# rpId


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7")
@either_kind
@pytest.mark.parametrize(
    "rp_id",
    [
        pytest.param(OTHER_RP["id"], id="other"),
        pytest.param(RP["id"].split(".", 1)[1], id="parent"),
        pytest.param("login." + RP["id"], id="child"),
        pytest.param(RP["id"].upper(), id="upper-case"),
        pytest.param(RP["id"] + ".", id="dot"),
        pytest.param(RP["id"][:-1], id="shorter"),
        pytest.param(RP["id"] + "\0", id="nul"),
    ],
)
def test_a_credential_answers_to_exactly_its_rp(blank, rp_id, resident):
    made = make_either(blank, resident)
    with refused(ERR.NO_CREDENTIALS):
        blank.get(made, rp_id=rp_id)
    with refused(ERR.NO_CREDENTIALS):
        blank.get(rp_id=rp_id)


# options (step 4)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 4.4", needs="FIDO_2_1")
@pytest.mark.parametrize("value", [True, False])
def test_rk_is_not_an_option_here(blank, value):
    made = blank.make()
    with refused(ERR.UNSUPPORTED_OPTION):
        blank.get(made, options={"rk": value})


@pytest.mark.case("CTAP 2.1, 6.2.2 step 4.3", needs="FIDO_2_1")
def test_uv_true_is_refused_without_built_in_verification(blank):
    if option(blank, "uv"):
        not_offered("it has built-in user verification that is set up")
    made = blank.make()
    with refused(ERR.INVALID_OPTION):
        blank.get(made, options={"uv": True})


@pytest.mark.case("CTAP 2.1, 6.2.2 step 4.2", needs=("clientPin", "FIDO_2_1"))
def test_uv_true_beside_a_pin_parameter_counts_as_false(with_pin):
    made = with_pin.make()
    assertion = with_pin.get(made, options={"uv": True}, **with_pin.auth(HASH, GA, RP["id"]))
    assert assertion.auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.2.2 steps 4.1 and 4.5")
@pytest.mark.parametrize(
    "options", [{"up": True}, {"uv": False}, {"up": True, "uv": False}], ids=["up", "uv", "both"]
)
def test_the_defaults_may_be_said_aloud(blank, options):
    made = blank.make()
    data = blank.get(made, options=options).auth_data
    assert data.is_user_present()
    assert not data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 4")
@pytest.mark.parametrize("value", [True, False])
def test_an_option_that_is_not_understood_counts_as_absent(blank, value):
    made = blank.make()
    check(blank.get(made, options={"xx": value}), made)


# User presence (steps 7.6 and 9)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 9.2", withheld=True)
def test_a_touch_is_asked_for(blank):
    made = blank.make()
    presence = Presence()
    blank.get(made, **presence.watched)
    assert presence.asked


@pytest.mark.case("CTAP 2.1, 6.2.2 step 9.1", needs="clientPin", withheld=True)
def test_a_touch_is_asked_for_also_of_who_gave_the_pin(with_pin):
    made = with_pin.make()
    presence = Presence()
    with_pin.get(made, **with_pin.auth(HASH, GA, RP["id"]), **presence.watched)
    assert presence.asked


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.2.2 step 9.2.1.2", needs="FIDO_2_1", withheld=True)
@either_kind
def test_without_a_touch_it_is_denied(blank, resident):
    made = make_either(blank, resident)
    with refused_as(blank, "request that is not touched"):
        blank.ctap.get_assertion(RP["id"], HASH, [descriptor(made)])


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.2.2 step 9.1.2.2", needs=("clientPin", "FIDO_2_1"), withheld=True)
def test_a_pin_is_no_touch(with_pin):
    made = with_pin.make()
    with refused_as(with_pin, "request that is not touched"):
        with_pin.ctap.get_assertion(RP["id"], HASH, [descriptor(made)], **with_pin.auth(HASH, GA, RP["id"]))


@pytest.mark.case("CTAP 2.1, 11.2.9.1.5", withheld=True)
def test_a_cancelled_request_ends_and_the_next_one_works(blank):
    made = blank.make()
    with refused(ERR.KEEPALIVE_CANCEL):
        blank.ctap.get_assertion(RP["id"], HASH, [descriptor(made)], **Presence(cancel=True).watched)
    check(blank.get(made), made)


@pytest.mark.case("CTAP 2.1, 6.2.2 steps 4.5 and 9")
@either_kind
def test_up_false_asks_for_no_touch_and_claims_no_presence(blank, resident):
    made = make_either(blank, resident)
    presence = Presence()
    assertion = blank.ctap.get_assertion(
        RP["id"], HASH, [descriptor(made)], options={"up": False}, **presence.watched
    )
    assert not presence.asked
    assert not assertion.auth_data.is_user_present()
    assert not assertion.auth_data.is_user_verified()
    check(assertion, made)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 9", needs="clientPin")
def test_up_false_with_the_pin_is_verification_without_presence(with_pin):
    made = with_pin.make()
    data = with_pin.get(made, options={"up": False}, **with_pin.auth(HASH, GA, RP["id"])).auth_data
    assert not data.is_user_present()
    assert data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.6", needs="FIDO_2_1")
@pytest.mark.parametrize("options", [None, {"up": False}], ids=["up", "up-false"])
def test_no_credential_is_told_without_a_touch(blank, options):
    presence = Presence()
    with refused(ERR.NO_CREDENTIALS):
        blank.ctap.get_assertion(RP["id"], HASH, [stranger()], options=options, **presence.watched)
    assert not presence.asked


# pinUvAuthParam (steps 1, 2 and 6)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 1.3", needs="clientPin", withheld=True)
def test_an_empty_parameter_without_a_pin_is_answered_after_a_touch(blank):
    made = blank.make()
    presence = Presence()
    with refused(ERR.PIN_NOT_SET):
        blank.get(made, pin_uv_param=b"", pin_uv_protocol=1, **presence.watched)
    assert presence.asked


@pytest.mark.case("CTAP 2.1, 6.2.2 step 1.3", needs="clientPin", withheld=True)
def test_an_empty_parameter_with_a_pin_is_answered_after_a_touch(with_pin):
    made = with_pin.make()
    presence = Presence()
    with refused(ERR.PIN_INVALID):
        with_pin.get(made, pin_uv_param=b"", pin_uv_protocol=1, **presence.watched)
    assert presence.asked


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.2.2 step 1.2", needs=("clientPin", "FIDO_2_1"), withheld=True)
def test_an_empty_parameter_that_nobody_touches_for_is_denied(with_pin):
    with refused_as(with_pin, "request that is not touched"):
        with_pin.ctap.get_assertion(RP["id"], HASH, pin_uv_param=b"", pin_uv_protocol=1)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 1", needs=("clientPin", "FIDO_2_1"))
def test_an_empty_parameter_is_answered_before_credentials_are_looked_for(with_pin):
    with refused(ERR.PIN_INVALID):
        with_pin.get(rp_id=OTHER_RP["id"], pin_uv_param=b"", pin_uv_protocol=1)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 2.2", needs=("clientPin", "FIDO_2_1"))
def test_a_parameter_without_its_protocol_is_refused(with_pin):
    made = with_pin.make()
    param = with_pin.auth(HASH, GA, RP["id"])["pin_uv_param"]
    with refused(ERR.MISSING_PARAMETER):
        with_pin.get(made, pin_uv_param=param)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 2.1", needs=("clientPin", "FIDO_2_1"))
@pytest.mark.parametrize("protocol", [0, 3, 255])
def test_a_protocol_that_is_not_supported_is_refused(with_pin, protocol):
    if protocol in with_pin.info.pin_uv_protocols:
        not_offered(f"protocol {protocol} is supported")
    made = with_pin.make()
    param = with_pin.auth(HASH, GA, RP["id"])["pin_uv_param"]
    with refused(ERR.INVALID_PARAMETER):
        with_pin.get(made, pin_uv_param=param, pin_uv_protocol=protocol)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 6.1", needs="clientPin")
@forgeries
def test_a_forged_parameter_is_refused_before_any_touch(with_pin, forgery):
    if not forgery.name.startswith("no-token"):  # making one needs a token
        make_resident(with_pin)
    arguments = forgery.make(with_pin, GA)
    presence = Presence()
    with refused(ERR.PIN_AUTH_INVALID):
        with_pin.ctap.get_assertion(RP["id"], HASH, **arguments, **presence.watched)
    assert not presence.asked


@pytest.mark.case("CTAP 2.1, 6.2.2 step 9.4", needs=("clientPin", "pinUvAuthToken"))
def test_a_token_gives_one_assertion_and_no_second(with_pin):
    made = with_pin.make()
    arguments = with_pin.auth(HASH, GA, RP["id"])
    with_pin.get(made, **arguments)
    with refused(ERR.PIN_AUTH_INVALID):
        with_pin.get(made, **arguments)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 9.4", needs=("clientPin", "pinUvAuthToken"))
def test_a_token_that_gave_an_assertion_makes_no_credential(with_pin):
    made = with_pin.make()
    protocol, token = with_pin.token(MC | GA, RP["id"])
    arguments = {"pin_uv_param": protocol.authenticate(token, HASH), "pin_uv_protocol": protocol.VERSION}
    with_pin.get(made, **arguments)
    with refused(ERR.PIN_AUTH_INVALID):
        with_pin.make(**arguments)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 9", needs=("clientPin", "pinUvAuthToken"))
def test_up_false_does_not_use_a_token_up(with_pin):
    made = with_pin.make()
    arguments = with_pin.auth(HASH, GA, RP["id"])
    for _ in range(3):
        assert with_pin.get(made, options={"up": False}, **arguments).auth_data.is_user_verified()
    assert with_pin.get(made, **arguments).auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 9.1.2.2", needs=("clientPin", "pinUvAuthToken"), withheld=True)
def test_a_touch_that_did_not_come_does_not_use_a_token_up(with_pin):
    made = with_pin.make()
    arguments = with_pin.auth(HASH, GA, RP["id"])
    with refused(ERR.KEEPALIVE_CANCEL):
        with_pin.ctap.get_assertion(
            RP["id"], HASH, [descriptor(made)], **arguments, **Presence(cancel=True).watched
        )
    assert with_pin.get(made, **arguments).auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 6.1.6", needs=("clientPin", "pinUvAuthToken"))
def test_a_token_without_an_rp_is_bound_to_the_first_it_is_used_with(with_pin):
    made, other = with_pin.make(), with_pin.make(rp=OTHER_RP)
    client = with_pin.client_pin()
    token = client.get_pin_token(with_pin.pin)
    arguments = {
        "options": {"up": False},
        "pin_uv_param": client.protocol.authenticate(token, HASH),
        "pin_uv_protocol": client.protocol.VERSION,
    }
    assert with_pin.get(made, **arguments).auth_data.is_user_verified()
    with refused(ERR.PIN_AUTH_INVALID):
        with_pin.get(other, rp_id=OTHER_RP["id"], **arguments)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 6", needs="clientPin")
def test_a_parameter_without_a_pin_verifies_nobody(blank):
    """Without a PIN, step 6 ignores the parameter; CTAP 2.0, 5.2 refused it. Neither verifies the user."""
    made = blank.make()
    protocol = blank.client_pin().protocol
    arguments = {
        "pin_uv_param": protocol.authenticate(bytes(32), HASH),
        "pin_uv_protocol": protocol.VERSION,
    }
    assertion = unless_refused(lambda: blank.get(made, **arguments), ERR.PIN_NOT_SET, ERR.PIN_AUTH_INVALID)
    assert assertion is None or not assertion.auth_data.is_user_verified()


# allowList (steps 7.1 and 11)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.1")
def test_the_one_credential_of_a_list_that_the_key_has_answers(blank):
    made = blank.make()
    allowed = [stranger(1), stranger(2, 16), descriptor(made), stranger(3)]
    check(blank.get(allow_list=allowed), made)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.1")
@either_kind
def test_the_last_of_a_list_as_long_as_get_info_allows_is_found(blank, resident):
    made = make_either(blank, resident)
    allowed = full_list(blank, ASSERTION, made)
    check(blank.get(allow_list=allowed), made)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.6")
def test_a_list_of_strangers_has_no_credentials(blank):
    make_resident(blank)
    with refused(ERR.NO_CREDENTIALS):
        blank.get(allow_list=full_list(blank, ASSERTION))


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.6")
def test_a_key_without_credentials_says_so(blank):
    with refused(ERR.NO_CREDENTIALS):
        blank.get()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.1")
@either_kind
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda i: bytes([i[0] ^ 1]) + i[1:], id="first-bit"),
        pytest.param(
            lambda i: i[: len(i) // 2] + bytes([i[len(i) // 2] ^ 0x80]) + i[len(i) // 2 + 1 :], id="middle"
        ),
        pytest.param(lambda i: i[:-1] + bytes([i[-1] ^ 1]), id="last-bit"),
        pytest.param(lambda i: i[:-1], id="shorter"),
        pytest.param(lambda i: i[:16], id="first-16"),
        pytest.param(lambda i: i + b"\0", id="longer"),
        pytest.param(lambda i: bytes(len(i)), id="zeros"),
        pytest.param(lambda i: b"", id="empty"),
    ],
)
def test_a_changed_id_is_nobodys(blank, change, resident):
    identity = ident(make_either(blank, resident))
    changed_id = change(identity)
    if len(changed_id) > (blank.info.max_cred_id_length or 1023):
        not_offered(f"an id longer than its own: maxCredentialIdLength is {blank.info.max_cred_id_length}")
    # Of another length it may be refused as no id at all.
    same_length = len(changed_id) == len(identity)
    with refused(ERR.NO_CREDENTIALS) if same_length else refused_somehow(ERR.NO_CREDENTIALS):
        blank.get(allow_list=[descriptor(changed_id)])


@pytest.mark.case("WebAuthn 2, 6.3.3 step 3: the type must match")
def test_a_descriptor_of_another_type_is_passed_over(blank):
    made = blank.make()
    with refused(ERR.NO_CREDENTIALS):
        blank.get(allow_list=[descriptor(made, kind="private-key")])
    check(blank.get(allow_list=[descriptor(stranger()["id"], kind="private-key"), descriptor(made)]), made)


@pytest.mark.case("WebAuthn 2, 5.8.3: transports")
def test_transports_in_a_descriptor_do_not_hide_the_credential(blank):
    made = blank.make()
    check(blank.get(allow_list=[{**descriptor(made), "transports": ["usb", "ble", "x-unknown"]}]), made)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 11", needs="rk")
def test_a_list_limits_the_answer_to_itself(blank):
    made = make_accounts(blank, 3)
    assertion = blank.get(made[1])
    check(assertion, made[1])
    assert assertion.number_of_credentials is None
    with refused(ERR.NOT_ALLOWED):
        blank.ctap.get_next_assertion()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 11", needs="FIDO_2_1")
@either_kind
def test_of_several_listed_credentials_one_answers_and_no_other_follows(blank, resident):
    made = [make_either(blank, resident, user=account(n)) for n in range(3)]
    assertion = blank.get(allow_list=[descriptor(one) for one in made])
    check(assertion, next(one for one in made if ident(one) == ident(assertion)))
    assert assertion.number_of_credentials is None
    with refused(ERR.NOT_ALLOWED):
        blank.ctap.get_next_assertion()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.1")
def test_the_same_credential_may_be_listed_twice(blank):
    made = blank.make()
    check(blank.get(allow_list=[descriptor(made)] * 2), made)


@pytest.mark.case("CTAP 2.1, 6.2: it must only use one of the denoted credentials")
def test_an_empty_list_opens_no_credential_that_only_a_list_could_name(blank):
    """A platform must not send an empty list, so the specification names no code."""
    blank.make()
    with refused_somehow():
        send(blank, GET, {**ASSERTION, 3: []})


# The signature counter (WebAuthn 2, 6.1.1)


def _rises(counters):
    """Tell whether counters rise strictly, or are always zero (no counter implemented)."""
    return not any(counters) or all(one < other for one, other in pairwise(counters))


@pytest.mark.case("WebAuthn 2, 6.1.1")
@either_kind
def test_the_counter_rises_with_every_assertion(blank, resident):
    made = make_either(blank, resident)
    counters = [made.auth_data.counter, *(blank.get(made).auth_data.counter for _ in range(5))]
    assert _rises(counters), counters


@pytest.mark.case("WebAuthn 2, 6.1.1")
def test_the_counter_rises_over_power_cycles(blank):
    made = blank.make()
    counters = [made.auth_data.counter]
    for _ in range(4):
        counters.append(blank.get(made).auth_data.counter)
        blank.power_cycle()
    assert _rises(counters), counters


@pytest.mark.case("WebAuthn 2, 6.1.1")
def test_the_counter_of_each_of_two_credentials_rises(blank):
    made = [blank.make(), blank.make(rp=OTHER_RP)]
    counters = [[one.auth_data.counter] for one in made]
    for _ in range(4):
        for one, seen, rp in zip(made, counters, (RP, OTHER_RP)):
            seen.append(blank.get(one, rp_id=rp["id"]).auth_data.counter)
    assert all(map(_rises, counters)), counters


# Extensions (step 10)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 10.1")
@pytest.mark.parametrize("value", [True, b"bytes", {"a": 1}], ids=["boolean", "bytes", "map"])
def test_an_extension_that_is_not_supported_is_ignored(blank, value):
    made = blank.make()
    assertion = blank.get(made, extensions={"x-keyharness": value})
    assert not assertion.auth_data.extensions
    check(assertion, made)


@pytest.mark.case("CTAP 2.1, 12.1: credProtect has no output at getAssertion", needs="credProtect")
def test_an_extension_of_creation_has_no_output_here(blank):
    made = blank.make(extensions={"credProtect": 1})
    assert not blank.get(made).auth_data.extensions


# getNextAssertion (6.3)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 12.2.1 and 6.3", needs="rk")
@pytest.mark.parametrize("count", [2, 5])
def test_the_newest_credential_comes_first_and_the_oldest_last(blank, count):
    made = make_accounts(blank, count)
    first = blank.get()
    assert first.number_of_credentials == count
    assertions = [first, *(blank.ctap.get_next_assertion() for _ in range(count - 1))]
    for assertion, one in zip(assertions, reversed(made), strict=True):
        check(assertion, one)
    assert [one.user["id"] for one in assertions] == [account(n)["id"] for n in reversed(range(count))]
    with refused(ERR.NOT_ALLOWED):
        blank.ctap.get_next_assertion()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 12.2.1", needs="rk")
def test_creation_and_not_use_is_what_orders_credentials(blank):
    made = make_accounts(blank, 3)
    blank.get(made[0])
    assert [ident(one) for one in get_all(blank)] == [ident(one) for one in reversed(made)]


@pytest.mark.case("CTAP 2.1, 6.3 step 1")
def test_there_is_no_next_assertion_without_a_first(blank):
    with refused(ERR.NOT_ALLOWED):
        blank.ctap.get_next_assertion()


@pytest.mark.case("CTAP 2.1, 6.3 step 2", needs="rk")
def test_there_is_no_next_assertion_after_a_single_one(blank):
    make_resident(blank)
    blank.get()
    with refused(ERR.NOT_ALLOWED):
        blank.ctap.get_next_assertion()


@pytest.mark.waits(30)
@pytest.mark.case("CTAP 2.1, 6.3 step 1", needs="rk", withheld=True)
def test_there_is_no_next_assertion_after_one_that_nobody_touched_for(blank):
    make_accounts(blank, 2)
    with refused_as(blank, "request that is not touched"):
        blank.ctap.get_assertion(RP["id"], HASH)
    with refused(ERR.NOT_ALLOWED):
        blank.ctap.get_next_assertion()


@pytest.mark.case("CTAP 2.1, 6.2.3 numberOfCredentials", needs="rk")
def test_the_count_is_in_the_first_response_only(blank):
    make_accounts(blank, 3)
    assert send(blank, GET, ASSERTION)[5] == 3
    for _ in range(2):
        assert 5 not in send(blank, NEXT, None, touched=False)


@pytest.mark.case("CTAP 2.1, 6.3", needs="rk")
def test_a_next_assertion_asks_for_no_touch_and_claims_what_the_first_did(blank):
    made = make_accounts(blank, 4)
    first = blank.get()
    for one in reversed(made[:-1]):
        following = blank.ctap.get_next_assertion()
        check(following, one)
        assert following.auth_data.is_user_present()
        assert following.auth_data.flags == first.auth_data.flags
        assert following.auth_data.rp_id_hash == first.auth_data.rp_id_hash


@pytest.mark.case("CTAP 2.1, 6.3", needs="rk")
def test_a_next_assertion_after_a_silent_one_claims_no_presence(blank):
    make_accounts(blank, 3)
    assert not blank.ctap.get_assertion(RP["id"], HASH, options={"up": False}).auth_data.is_user_present()
    for _ in range(2):
        assert not blank.ctap.get_next_assertion().auth_data.is_user_present()


@pytest.mark.case("CTAP 2.1, 6.3 step 5", needs=("rk", "clientPin"))
def test_verification_of_the_first_assertion_holds_for_the_next(with_pin):
    make_accounts(with_pin, 3)
    with_pin.get(**with_pin.auth(HASH, GA, RP["id"]))
    for number in (1, 0):
        following = with_pin.ctap.get_next_assertion()
        assert following.auth_data.is_user_verified()
        assert following.user == account(number)


@pytest.mark.case("CTAP 2.1, 6.3 step 6", needs="rk")
def test_a_next_assertion_is_over_the_client_data_of_the_first(blank):
    made = make_accounts(blank, 2)
    with blank.touch():
        blank.ctap.get_assertion(RP["id"], OTHER_HASH)
    check(blank.ctap.get_next_assertion(), made[0], OTHER_HASH)


@pytest.mark.case("WebAuthn 2, 6.1.1", needs="rk")
def test_the_counter_of_each_account_rises_from_round_to_round(blank):
    made = make_accounts(blank, 3)
    rounds = [{ident(one): one.auth_data.counter for one in get_all(blank)} for _ in range(3)]
    for one in made:
        counters = [one.auth_data.counter, *(seen[ident(one)] for seen in rounds)]
        assert _rises(counters), counters


@pytest.mark.waits(31)
@pytest.mark.case("CTAP 2.1, 6.3 step 3", needs="rk")
def test_after_30_seconds_there_is_no_next_assertion_any_more(blank):
    make_accounts(blank, 3)
    blank.get()
    blank.rig.clock.wait_us(31 * SECOND_US)
    for _ in range(2):  # the first refusal has discarded the state
        with refused(ERR.NOT_ALLOWED):
            blank.ctap.get_next_assertion()


@pytest.mark.waits(56)
@pytest.mark.case("CTAP 2.1, 6.3 steps 3 and 7", needs="rk")
def test_each_next_assertion_starts_the_30_seconds_again(blank):
    made = make_accounts(blank, 3)
    blank.get()
    for one in (made[1], made[0]):
        blank.rig.clock.wait_us(28 * SECOND_US)
        check(blank.ctap.get_next_assertion(), one)


@pytest.mark.waits(31)
@pytest.mark.case("CTAP 2.1, 6.3 step 3", needs="rk")
def test_the_last_next_assertion_is_also_too_late_after_30_seconds(blank):
    make_accounts(blank, 3)
    blank.get()
    blank.ctap.get_next_assertion()
    blank.rig.clock.wait_us(31 * SECOND_US)
    with refused(ERR.NOT_ALLOWED):
        blank.ctap.get_next_assertion()


@pytest.mark.case("CTAP 2.1, 6: state is not maintained across power cycles", needs="rk")
def test_there_is_no_next_assertion_after_a_power_cycle(blank):
    make_accounts(blank, 2)
    blank.get()
    blank.power_cycle()
    with refused(ERR.NOT_ALLOWED):
        blank.ctap.get_next_assertion()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 12.2.2", needs="rk")
def test_a_second_get_assertion_replaces_what_the_first_left(blank):
    make_accounts(blank, 3)
    others = make_accounts(blank, 2, rp=OTHER_RP)
    blank.get()
    check(blank.get(rp_id=OTHER_RP["id"]), others[1])
    check(blank.ctap.get_next_assertion(), others[0])
    with refused(ERR.NOT_ALLOWED):
        blank.ctap.get_next_assertion()


@pytest.mark.case("CTAP 2.1, 6.3 step 2", needs="rk")
def test_a_second_get_assertion_with_a_single_answer_leaves_no_next(blank):
    made = make_accounts(blank, 3)
    blank.get()
    blank.get(made[2])
    with refused(ERR.NOT_ALLOWED):
        blank.ctap.get_next_assertion()


def _get_info(authenticator):
    authenticator.ctap.get_info()


def _key_agreement(authenticator):
    if "clientPin" not in authenticator.info.options:
        not_offered("getInfo does not list clientPin")
    authenticator.client_pin().get_pin_retries()


def _selection(authenticator):
    if "FIDO_2_1" not in authenticator.info.versions:
        not_offered("getInfo does not list FIDO_2_1")
    with authenticator.touch():
        authenticator.ctap.selection()


def _another_account(authenticator):
    make_resident(authenticator, account(99))


def _another_rps_credential(authenticator):
    authenticator.make(rp=OTHER_RP)


def _no_credentials(authenticator):
    with refused(ERR.NO_CREDENTIALS):
        authenticator.get(rp_id=OTHER_RP["id"])


def _unknown_command(authenticator):
    with refused(ERR.INVALID_COMMAND):
        authenticator.ctap.send_cbor(0x3F)


@pytest.mark.case("CTAP 2.1, 6: a stateful command may assume that nothing came between", needs="rk")
@pytest.mark.parametrize(
    "between",
    [
        _get_info,
        _key_agreement,
        _selection,
        _another_account,
        _another_rps_credential,
        _no_credentials,
        _unknown_command,
    ],
    ids=lambda function: function.__name__.strip("_"),
)
def test_after_another_command_the_next_is_the_right_one_or_none(blank, between):
    """The key may keep the state or discard it. It must not answer with another credential."""
    made = make_accounts(blank, 3)
    blank.get()
    between(blank)
    following = unless_refused(blank.ctap.get_next_assertion, ERR.NOT_ALLOWED)
    if following is not None:
        check(following, made[1])


@pytest.mark.case("CTAP 2.1, 6: streams of commands may share one state", needs="rk")
def test_on_another_channel_the_next_is_the_right_one_or_none(blank):
    made = make_accounts(blank, 3)
    blank.get()
    first = blank.ctap
    blank.connect()
    found = [unless_refused(ctap.get_next_assertion, ERR.NOT_ALLOWED) for ctap in (blank.ctap, first)]
    for assertion, one in zip([one for one in found if one is not None], (made[1], made[0])):
        check(assertion, one)


@pytest.mark.waits(605)
@pytest.mark.case(
    "CTAP 2.1, 6: state ends with the token", needs=("rk", "clientPin", "pinUvAuthToken"), level="SHOULD"
)
def test_there_is_no_next_assertion_after_the_token_of_the_first_expired(with_pin):
    make_accounts(with_pin, 3)
    # Silent assertions do not use the token up, and it must be used soon to live for long (6.5.2.1).
    arguments = {"options": {"up": False}, **with_pin.auth(HASH, GA, RP["id"])}
    with_pin.get(**arguments)
    with_pin.rig.clock.wait_us(590 * SECOND_US)
    if unless_refused(lambda: with_pin.get(**arguments), ERR.PIN_AUTH_INVALID) is None:
        not_offered("tokens live for less than the ten minutes that are the default")
    assert with_pin.ctap.get_next_assertion().auth_data.is_user_verified()
    with_pin.rig.clock.wait_us(15 * SECOND_US)
    following = unless_refused(with_pin.ctap.get_next_assertion, ERR.NOT_ALLOWED)
    if unless_refused(lambda: with_pin.get(**arguments), ERR.PIN_AUTH_INVALID) is not None:
        not_offered("tokens live for longer than the ten minutes that are the default")
    assert following is None, "the token has expired and an assertion that it verified was given"


DISCARDS = {
    "a-changed-pin": lambda key: key.client_pin().change_pin(key.pin, key.pin[::-1]),
    "a-new-token": lambda key: key.token(GA, RP["id"]),
    "a-reset": lambda key: _reset(key),
}


def _reset(authenticator):
    authenticator.reset()


@pytest.mark.case(
    "CTAP 2.1, 6 (state is discarded with the token that authorised it) and 6.6",
    needs=("rk", "clientPin", "pinUvAuthToken"),
)
@pytest.mark.parametrize("what", DISCARDS)
def test_there_is_no_next_assertion_after_what_ends_the_token_of_the_first(with_pin, what):
    make_accounts(with_pin, 3)
    # A reset must come within ten seconds of power-up.
    with_pin.power_cycle()
    with_pin.get(**with_pin.auth(HASH, GA, RP["id"]))
    DISCARDS[what](with_pin)
    with refused(ERR.NOT_ALLOWED):
        with_pin.ctap.get_next_assertion()


@pytest.mark.case("CTAP 2.1, 6.2 (clientDataHash: SHA-256)")
@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_client_data_hash_of_another_length_is_refused(blank, size):
    made = blank.make()
    with refused_somehow(ERR.INVALID_LENGTH, ERR.INVALID_PARAMETER):
        send(blank, GET, {**ASSERTION, 2: bytes(size), 3: [descriptor(made)]})
