"""authenticatorGetInfo: consistent with itself, with CTAPHID and with behaviour (CTAP 2.1, section 6.4).

Members that came later (0x16 to 0x1e) are read as CTAP 2.2 and 2.3 have them.
"""

from __future__ import annotations

import pytest
from fido2 import cbor
from fido2.attestation import Attestation
from fido2.cose import CoseKey
from fido2.ctap import CtapError
from fido2.ctap1 import Ctap1
from fido2.ctap2 import Config
from fido2.ctap2.pin import ClientPin
from fido2.hid import CAPABILITY, CTAPHID

from harness.api import NOT_OFFERED, deviates
from harness_suites.conformance.ceremonies import check
from harness_suites.conformance.device import ES256, HASH, PIN, RP, USER, answer_of, refused, unless_refused
from harness_suites.conformance.handmade import Asker, encode
from harness_suites.conformance.versions import codes_of

ERR = CtapError.ERR
GET_INFO = b"\x04"

VERSIONS, EXTENSIONS, AAGUID, OPTIONS, MAX_MESSAGE, PROTOCOLS, MAX_LIST, MAX_ID = range(0x01, 0x09)
TRANSPORTS, ALGORITHMS, MAX_BLOBS, FORCE_CHANGE, MIN_PIN, FIRMWARE, MAX_CRED_BLOB, MAX_RPS = range(0x09, 0x11)
UV_ATTEMPTS, UV_MODALITY, CERTIFICATIONS, REMAINING, VENDOR_CONFIG, FORMATS, UV_COUNT = range(0x11, 0x18)
LONG_TOUCH, IDENTIFIER, RESET_TRANSPORTS, COMPLEXITY, COMPLEXITY_URL, MAX_PIN, STORE_STATE = range(0x18, 0x1F)

CHANGING = {IDENTIFIER, STORE_STATE, UV_COUNT, REMAINING}
"""Members that change with each answer: they are encrypted with a new IV, or are counters."""


@pytest.fixture
def members(blank):
    """The answer to getInfo without the defaults of a client library."""
    return raw_info(blank)


def raw_info(key):
    status, body = Asker(key).ask(GET_INFO)
    assert status == 0
    return answer_of(cbor.decode(body))


def member(members, number, name):
    """Return a member; skip if the key does not list it."""
    if number not in members:
        pytest.skip(f"{NOT_OFFERED}: getInfo has no {name}")
    return members[number]


def option(members, name):
    return members.get(OPTIONS, {}).get(name)


def lacking(condition, text):
    if not condition:
        pytest.skip(f"{NOT_OFFERED}: {text}")


# The answer


@pytest.mark.case("CTAP 2.1, 6.4 and 8 (encoders MUST use the canonical form)", any_state=True)
def test_the_answer_is_a_map_in_canonical_cbor(blank):
    status, body = Asker(blank).ask(GET_INFO)
    assert status == 0
    decoded = cbor.decode(body)
    assert isinstance(decoded, dict)
    assert encode(decoded) == body
    assert all(type(key) is int and key > 0 for key in decoded)


def texts(value):
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def number(value):
    return type(value) is int and value >= 0


def truth(value):
    return isinstance(value, bool)


def blob(value):
    return isinstance(value, bytes)


KINDS = {
    VERSIONS: ("versions", lambda value: texts(value) and value != []),
    EXTENSIONS: ("extensions", texts),
    AAGUID: ("aaguid", lambda value: blob(value) and len(value) == 16),
    OPTIONS: (
        "options",
        lambda value: all(isinstance(key, str) and truth(one) for key, one in value.items()),
    ),
    MAX_MESSAGE: ("maxMsgSize", number),
    PROTOCOLS: ("pinUvAuthProtocols", lambda value: all(number(one) and one > 0 for one in value)),
    MAX_LIST: ("maxCredentialCountInList", number),
    MAX_ID: ("maxCredentialIdLength", number),
    TRANSPORTS: ("transports", texts),
    ALGORITHMS: (
        "algorithms",
        lambda value: all(set(one) >= {"alg", "type"} and type(one["alg"]) is int for one in value),
    ),
    MAX_BLOBS: ("maxSerializedLargeBlobArray", number),
    FORCE_CHANGE: ("forcePINChange", truth),
    MIN_PIN: ("minPINLength", number),
    FIRMWARE: ("firmwareVersion", number),
    MAX_CRED_BLOB: ("maxCredBlobLength", number),
    MAX_RPS: ("maxRPIDsForSetMinPINLength", number),
    UV_ATTEMPTS: ("preferredPlatformUvAttempts", lambda value: number(value) and value > 0),
    UV_MODALITY: ("uvModality", number),
    CERTIFICATIONS: (
        "certifications",
        lambda value: all(isinstance(key, str) and number(one) for key, one in value.items()),
    ),
    REMAINING: ("remainingDiscoverableCredentials", number),
    VENDOR_CONFIG: ("vendorPrototypeConfigCommands", lambda value: all(map(number, value))),
    FORMATS: ("attestationFormats", texts),
    UV_COUNT: ("uvCountSinceLastPinEntry", number),
    LONG_TOUCH: ("longTouchForReset", truth),
    IDENTIFIER: ("encIdentifier", blob),
    RESET_TRANSPORTS: (
        "transportsForReset",
        lambda value: texts(value) and 0 < len(value) == len(set(value)),
    ),
    COMPLEXITY: ("pinComplexityPolicy", truth),
    COMPLEXITY_URL: ("pinComplexityPolicyURL", blob),
    MAX_PIN: ("maxPINLength", number),
    STORE_STATE: ("encCredStoreState", blob),
}


@pytest.mark.case("CTAP 2.1, 6.4 (Required)", any_state=True)
@pytest.mark.parametrize("number", [VERSIONS, AAGUID], ids=["versions", "aaguid"])
def test_what_is_required_is_there(members, number):
    assert number in members


@pytest.mark.case("CTAP 2.1, 6.4 (types of the members)", any_state=True)
def test_every_member_is_of_its_type(members):
    wrong = {
        name: members[number]
        for number, (name, right) in KINDS.items()
        if number in members and not right(members[number])
    }
    assert not wrong


@pytest.mark.case("CTAP 2.1, 6.4", any_state=True)
def test_the_answer_is_the_same_the_next_time_and_in_another_channel(blank, members):
    again = raw_info(blank)
    blank.connect()
    elsewhere = raw_info(blank)
    for later in (again, elsewhere):
        assert {key: later[key] for key in later if key not in CHANGING} == {
            key: members[key] for key in members if key not in CHANGING
        }


@pytest.mark.case("CTAP 2.1, 6.4", any_state=True)
def test_the_answer_is_the_same_after_a_power_cycle(blank, members):
    blank.power_cycle()
    later = raw_info(blank)
    assert {key: later[key] for key in later if key not in CHANGING} == {
        key: members[key] for key in members if key not in CHANGING
    }


# Members by themselves


@pytest.mark.case("CTAP 2.1, 6.4 (versions)", any_state=True)
def test_versions_name_a_version_of_ctap2_and_none_twice(members):
    assert any(version.startswith("FIDO_2_") for version in members[VERSIONS])
    assert len(set(members[VERSIONS])) == len(members[VERSIONS])


@pytest.mark.case("CTAP 2.1, 6.4 (MUST NOT contain duplicate values nor be empty)", any_state=True)
@pytest.mark.parametrize(
    "number", [PROTOCOLS, TRANSPORTS, ALGORITHMS, FORMATS], ids=lambda one: KINDS[one][0]
)
def test_a_list_is_not_empty_and_names_nothing_twice(members, number):
    listed = list(map(encode, member(members, number, KINDS[number][0])))
    assert listed
    assert len(set(listed)) == len(listed)


@pytest.mark.case("CTAP 2.1, 6.4 (MUST be greater than zero)", any_state=True)
@pytest.mark.parametrize("number", [MAX_LIST, MAX_ID], ids=lambda one: KINDS[one][0])
def test_a_number_is_greater_than_zero(members, number):
    assert member(members, number, KINDS[number][0]) > 0


@pytest.mark.case("CTAP 2.1, 6.4 (maxMsgSize; 1024 is what a client assumes)", any_state=True)
def test_the_longest_message_is_at_least_1024_bytes(members):
    assert member(members, MAX_MESSAGE, "maxMsgSize") >= 1024


@pytest.mark.case("CTAP 2.1, 6.4 (transports)", any_state=True)
def test_the_transports_name_the_one_that_is_used(members):
    assert "usb" in member(members, TRANSPORTS, "transports")


@pytest.mark.case("CTAP 2.1, 6.4 (plat: cannot be removed)", any_state=True)
def test_a_key_that_is_plugged_in_is_no_platform_device(members):
    assert option(members, "plat") is not True


@pytest.mark.case("CTAP 2.1, 6.4 (forcePINChange) and 6.6")
def test_after_a_reset_no_pin_change_is_required(members):
    assert member(members, FORCE_CHANGE, "forcePINChange") is False


@pytest.mark.case("CTAP 2.2, 6.4 (attestationFormats: none MUST be omitted)", any_state=True)
def test_the_attestation_formats_leave_none_out(members):
    assert "none" not in member(members, FORMATS, "attestationFormats")


@pytest.mark.case("CTAP 2.2, 6.4 (maxPINLength: at least 8)", any_state=True)
def test_the_longest_pin_is_no_shorter_than_the_shortest_nor_than_8(members):
    longest = member(members, MAX_PIN, "maxPINLength")
    assert longest >= max(8, members.get(MIN_PIN, 4))


# Members among each other


@pytest.mark.case("CTAP 2.1, 6.4 (minPINLength)", any_state=True)
def test_the_minimum_pin_length_is_there_if_and_only_if_there_is_a_pin(members):
    lacking("FIDO_2_1" in members[VERSIONS], "getInfo does not list FIDO_2_1, which brought minPINLength")
    if option(members, "clientPin") is None:
        assert MIN_PIN not in members
    else:
        assert members.get(MIN_PIN, 0) >= 4, "minPINLength MUST be present, and at least 4"


@pytest.mark.case("CTAP 2.1, 6.4 (maxCredBlobLength)", any_state=True)
def test_the_length_of_a_cred_blob_is_there_if_and_only_if_the_extension_is(members):
    assert (MAX_CRED_BLOB in members) == ("credBlob" in members.get(EXTENSIONS, []))
    assert members.get(MAX_CRED_BLOB, 32) >= 32


@pytest.mark.case("CTAP 2.1, 6.4 (maxSerializedLargeBlobArray)", any_state=True)
def test_the_size_of_the_large_blob_array_is_there_if_and_only_if_the_command_is(members):
    assert (MAX_BLOBS in members) == (option(members, "largeBlobs") is True)
    assert members.get(MAX_BLOBS, 1024) >= 1024


@pytest.mark.case("CTAP 2.1, 6.4 (maxRPIDsForSetMinPINLength)", any_state=True)
def test_the_number_of_rps_for_min_pin_length_is_there_if_and_only_if_it_can_be_set(members):
    assert (MAX_RPS in members) == (option(members, "setMinPINLength") is True)


DEPENDENT_OPTIONS = [
    ("setMinPINLength", "clientPin"),
    ("noMcGaPermissionsWithClientPin", "clientPin"),
    ("uvBioEnroll", "bioEnroll"),
    ("uvAcfg", "authnrCfg"),
]


@pytest.mark.case("CTAP 2.1, 6.4 (MUST only be present if the other is)", any_state=True)
@pytest.mark.parametrize("name, other", DEPENDENT_OPTIONS, ids=[name for name, _ in DEPENDENT_OPTIONS])
def test_an_option_that_depends_on_another_is_there_only_with_it(members, name, other):
    lacking(option(members, name) is not None, f"getInfo has no option {name}")
    assert option(members, other) is not None


@pytest.mark.case("CTAP 2.1, 6.4 and 6.11 (subcommands of authenticatorConfig)", any_state=True)
@pytest.mark.parametrize("name", ["setMinPINLength", "vendorPrototypeConfigCommands"])
def test_what_is_configured_needs_the_command_that_does_it(members, name):
    there = option(members, name) is True if name == "setMinPINLength" else VENDOR_CONFIG in members
    lacking(there, f"getInfo has no {name}")
    assert option(members, "authnrCfg") is True


@pytest.mark.case("CTAP 2.1, 6.4 (alwaysUv and makeCredUvNotRqd)", any_state=True)
def test_always_uv_and_credentials_without_verification_exclude_each_other(members):
    lacking(option(members, "alwaysUv") is True, "alwaysUv is not true")
    assert not option(members, "makeCredUvNotRqd")


@pytest.mark.case("CTAP 2.1, 12.3 (largeBlobKey)", any_state=True)
def test_large_blob_keys_are_offered_only_with_large_blobs_and_discoverable_credentials(members):
    lacking("largeBlobKey" in members.get(EXTENSIONS, []), "getInfo does not list largeBlobKey")
    assert option(members, "largeBlobs") is True
    assert option(members, "rk") is True


@pytest.mark.case("CTAP 2.1, 6.4 (uvModality: without clientPIN)", any_state=True)
def test_the_modality_of_built_in_verification_is_not_the_pin(members):
    # USER_VERIFY_PASSCODE_EXTERNAL, FIDO Registry of Predefined Values, 3.1.
    assert not member(members, UV_MODALITY, "uvModality") & 0x0800


# And with CTAPHID


@pytest.mark.case("CTAP 2.1, 6.4 (U2F_V2) and 11.2.9.1.3 (CAPABILITY_NMSG)", any_state=True)
def test_u2f_v2_is_listed_only_if_msg_is_there(blank, members):
    lacking("U2F_V2" in members[VERSIONS], "getInfo does not list U2F_V2")
    assert not CAPABILITY(blank.device.capabilities) & CAPABILITY.NMSG
    assert Ctap1(blank.device).get_version() == "U2F_V2"


@pytest.mark.case("CTAP 2.1, 6.4 (U2F_V2) and 10")
def test_a_key_that_does_not_list_u2f_v2_registers_nothing_through_u2f(blank, members):
    lacking("U2F_V2" not in members[VERSIONS], "getInfo lists U2F_V2: nothing to refuse")
    with blank.touch():
        try:
            response = blank.device.call(CTAPHID.MSG, b"\0\1\0\0\0\0\x40" + bytes(64) + b"\0\0")
        except CtapError as error:
            if error.code != ERR.INVALID_COMMAND:
                raise
        else:
            assert response[-2:] != b"\x90\x00"


# And with what the key does


@pytest.mark.case("CTAP 2.1, 6.4 (aaguid) and WebAuthn 2, 6.5.1")
def test_the_aaguid_is_that_of_a_credential(blank, members):
    assert bytes(blank.make().auth_data.credential_data.aaguid) == members[AAGUID]


@pytest.mark.case("CTAP 2.1, 6.4 (attestationFormats; packed if absent)")
def test_a_credential_is_attested_in_a_format_that_is_listed(blank, members):
    made = blank.make()
    assert made.fmt in [*members.get(FORMATS, ["packed"]), "fido-u2f", "none"]
    Attestation.for_type(made.fmt)().verify(made.att_stmt, made.auth_data, HASH)


def padded(request, members, size):
    """Return the request, padded with an unknown member to `size` bytes."""
    for length in range(size - len(encode(members)) - 8, size):
        whole = bytes((request,)) + encode({**members, 0x5A: bytes(length)})
        if len(whole) == size:
            return whole
    raise AssertionError(f"no request of {size} bytes")


CREATION = {1: HASH, 2: RP, 3: USER, 4: [ES256]}


@pytest.mark.case("CTAP 2.1, 6.4 (maxMsgSize; 1024 if absent) and 8")
def test_a_message_as_long_as_the_longest_is_served(blank, members):
    size = members.get(MAX_MESSAGE, 1024)
    Asker(blank).accepted(padded(0x01, CREATION, size))


@pytest.mark.case("CTAP 2.1, 6.4 (maxMsgSize) and 8.2 (REQUEST_TOO_LARGE)")
@pytest.mark.parametrize("more", [1, 1000])
def test_a_message_longer_than_the_longest_does_no_harm(blank, members, more):
    # Served by a key that can do more than it says, or refused: by CTAPHID for its length, or with a status.
    asker = Asker(blank)
    size = min(members.get(MAX_MESSAGE, 1024) + more, 7609)
    try:
        status, _ = asker.ask(padded(0x01, CREATION, size))
    except CtapError as error:
        status = error.code
    assert status in (
        # Of a rig that cannot withhold a touch the request is done.
        *([] if blank.rig.touch.can_withhold else [0]),
        ERR.KEEPALIVE_CANCEL,
        ERR.REQUEST_TOO_LARGE,
        ERR.LIMIT_EXCEEDED,
        ERR.INVALID_LENGTH,
    )
    asker.is_alive()


@pytest.mark.case("CTAP 2.1, 6.4 (maxMsgSize)")
def test_no_answer_is_longer_than_the_longest_message(blank, members):
    limit = members.get(MAX_MESSAGE, 1024)
    asker = Asker(blank)
    assert 1 + len(asker.accepted(GET_INFO)) <= limit
    assert 1 + len(asker.accepted(bytes((0x01,)) + encode(CREATION))) <= limit


UNCOMMON_ALGORITHMS = [-35, -36, -37, -47, -257, -48, -49, -65000]
"""COSE: ES384, ES512, PS256, ES256K, RS256, ML-DSA-44 and -65, and one that is not assigned."""


def alg(number):
    return {"alg": number, "type": "public-key"}


@pytest.mark.case("CTAP 2.1, 6.4 (algorithms)")
def test_every_algorithm_that_is_listed_works(blank, members):
    for listed in member(members, ALGORITHMS, "algorithms"):
        made = blank.make(key_params=[listed])
        public = made.auth_data.credential_data.public_key
        assert public[3] == listed["alg"]
        check(blank.get(made), made)


@pytest.mark.case("CTAP 2.1, 6.4 (algorithms) and 6.1.2 step 3")
def test_no_algorithm_that_is_not_listed_is_used(blank, members):
    listed = [one["alg"] for one in member(members, ALGORITHMS, "algorithms")]
    for number in [-7, -8, *UNCOMMON_ALGORITHMS]:
        if number not in listed:
            Asker(blank).refused(
                bytes((0x01,)) + encode({**CREATION, 4: [alg(number)]}), ERR.UNSUPPORTED_ALGORITHM
            )


@pytest.mark.case("CTAP 2.1, 6.4 (pinUvAuthProtocols) and 6.5.5.4")
@pytest.mark.parametrize("number", [1, 2])
def test_a_pin_protocol_that_is_listed_gives_a_token(with_pin, number):
    lacking(number in with_pin.info.pin_uv_protocols, f"pinUvAuthProtocols does not list {number}")
    lacking("clientPin" in with_pin.info.options, "clientPin")
    client = with_pin.client_pin(number)
    token = client.get_pin_token(PIN, ClientPin.PERMISSION.MAKE_CREDENTIAL, RP["id"])
    made = with_pin.make(pin_uv_param=client.protocol.authenticate(token, HASH), pin_uv_protocol=number)
    assert made.auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.4 (pinUvAuthProtocols) and 6.5.5.4", needs="clientPin")
def test_every_pin_protocol_that_is_listed_gives_a_key(blank, members):
    for number in members.get(PROTOCOLS, []):
        answer, _ = cbor.decode_from(Asker(blank).accepted(b"\x06" + encode({1: number, 2: 2})))
        key = answer[1]
        assert (key[1], key[3]) == (2, -25)


@pytest.mark.case("CTAP 2.1, 6.5.5.4 (INVALID_PARAMETER)", needs="clientPin")
def test_a_pin_protocol_that_is_not_listed_gives_no_key(blank, members):
    codes = codes_of("clientPIN protocol that is not listed", members[VERSIONS])
    for number in {0, 1, 2, 3, 255} - set(members.get(PROTOCOLS, [])):
        Asker(blank).refused(b"\x06" + encode({1: number, 2: 2}), *codes)


@pytest.mark.case("CTAP 2.1, 6.4 (clientPin) and 6.5", needs="clientPin")
def test_a_key_that_takes_a_pin_has_a_protocol_for_it(members):
    assert members.get(PROTOCOLS)


@pytest.mark.case("CTAP 2.1, 6.4 (clientPin: present and false)", needs="clientPin")
def test_without_a_pin_the_option_is_false(members):
    assert option(members, "clientPin") is False


@pytest.mark.case("CTAP 2.1, 6.4 (clientPin: present and true)", needs="clientPin")
def test_with_a_pin_the_option_is_true_and_nothing_else_has_changed(blank, members):
    blank.client_pin(blank.info.pin_uv_protocols[0]).set_pin(PIN)
    later = raw_info(blank)
    assert option(later, "clientPin") is True
    later[OPTIONS] = {**later[OPTIONS], "clientPin": False}
    # No section says that a PIN leaves the rest alone, but what a key is does not follow from its PIN.
    for number in (VERSIONS, EXTENSIONS, AAGUID):
        assert later.get(number) == members.get(number), KINDS[number][0]
    for number in members:
        if number not in CHANGING and later.get(number) != members[number]:
            deviates(f"a PIN changed {KINDS[number][0] if number in KINDS else number} of getInfo")


@pytest.mark.case("CTAP 2.1, 6.4 (pinUvAuthToken) and 6.5.5.7.2", needs="clientPin")
def test_tokens_with_permissions_are_there_if_and_only_if_the_option_says_so(with_pin):
    request = {1: with_pin.info.pin_uv_protocols[0], 2: 9}
    status, _ = Asker(with_pin).ask(b"\x06" + encode(request))
    if with_pin.info.options.get("pinUvAuthToken"):
        assert status == ERR.MISSING_PARAMETER
    else:
        assert status in (ERR.INVALID_SUBCOMMAND, ERR.INVALID_PARAMETER)


@pytest.mark.case("CTAP 2.1, 6.4 (minPINLength; 4 if absent) and 6.5.5.5", needs="clientPin")
@pytest.mark.parametrize("short", [True, False], ids=["shorter", "as long"])
def test_the_shortest_pin_is_as_long_as_is_said(blank, members, short):
    length = members.get(MIN_PIN, 4) - short
    client = blank.client_pin(blank.info.pin_uv_protocols[0])
    peer = blank.ctap.client_pin(client.protocol.VERSION, ClientPin.CMD.GET_KEY_AGREEMENT)[1]
    key_agreement, secret = client.protocol.encapsulate(CoseKey.parse(peer))
    pin = client.protocol.encrypt(secret, (b"2718281828459045235360287471352"[:length]).ljust(64, b"\0"))
    request = {
        1: client.protocol.VERSION,
        2: 3,
        3: dict(key_agreement),
        4: client.protocol.authenticate(secret, pin),
        5: pin,
    }
    if short:
        Asker(blank).refused(b"\x06" + encode(request), ERR.PIN_POLICY_VIOLATION)
        assert option(raw_info(blank), "clientPin") is False
    else:
        status, _ = Asker(blank).ask(b"\x06" + encode(request))
        assert status == 0
        assert option(raw_info(blank), "clientPin") is True


@pytest.mark.case("CTAP 2.1, 6.4 (makeCredUvNotRqd) and 6.1.2 steps 7 and 8", needs="clientPin")
def test_a_credential_without_verification_is_made_if_and_only_if_the_option_says_so(with_pin):
    asker = Asker(with_pin)
    request = bytes((0x01,)) + encode(CREATION)
    if with_pin.info.options.get("makeCredUvNotRqd"):
        asker.accepted(request)
    else:
        asker.refused(request, ERR.PUAT_REQUIRED)


@pytest.mark.case("CTAP 2.1, 6.4 (rk) and 6.1.2 step 5")
def test_discoverable_credentials_are_made_if_and_only_if_the_option_says_so(blank, members):
    request = bytes((0x01,)) + encode({**CREATION, 7: {"rk": True}})
    if option(members, "rk"):
        Asker(blank).accepted(request)
        assert blank.get().user["id"] == USER["id"]
    else:
        Asker(blank).refused(request, ERR.UNSUPPORTED_OPTION)


@pytest.mark.case("CTAP 2.1, 6.4 (uv) and 6.1.2 step 5")
def test_built_in_verification_that_is_not_there_cannot_be_asked_for(blank, members):
    lacking(not option(members, "uv"), "built-in user verification is there and configured")
    codes = codes_of("built-in verification that is not there", members[VERSIONS])
    Asker(blank).refused(bytes((0x01,)) + encode({**CREATION, 7: {"uv": True}}), *codes)


@pytest.mark.case("CTAP 2.1, 6.4 (up) and 6.2.2 steps 4 and 9")
def test_presence_need_not_be_tested_and_is_not_claimed_then(blank, members):
    made = blank.make()
    ident = made.auth_data.credential_data.credential_id
    assertion = blank.ctap.get_assertion(
        RP["id"], HASH, [{"type": "public-key", "id": ident}], options={"up": False}
    )
    assert not assertion.auth_data.is_user_present()


COMMANDS = {
    "credMgmt": (0x0A, {1: 0x01}),
    "largeBlobs": (0x0C, {1: 17, 3: 0}),
    "authnrCfg": (0x0D, {1: 0x7E}),
    "bioEnroll": (0x09, {3: True}),
}
"""Option -> a request of its command that changes nothing."""


@pytest.mark.case("CTAP 2.1, 6.4 (options) and 8.2 (INVALID_COMMAND)")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_there_if_and_only_if_its_option_says_so(blank, members, name):
    command, request = COMMANDS[name]
    status, _ = Asker(blank).ask(bytes((command,)) + encode(request))
    # For bioEnroll being there is enough: false says that nothing is enrolled yet.
    offered = option(members, name) is not None if name == "bioEnroll" else option(members, name) is True
    assert (status != ERR.INVALID_COMMAND) == offered, f"status {status:#04x}"


@pytest.mark.case("CTAP 2.1, 6.4 and 6.9 (authenticatorSelection)", needs="FIDO_2_1")
def test_a_key_of_ctap_2_1_lets_itself_be_selected(blank):
    assert Asker(blank).accepted(b"\x0b") == b""


EXTENSION_OUTPUTS = {
    "credProtect": (2, False, 2),
    "hmac-secret": (True, False, True),
    "credBlob": (b"32 bytes", True, True),
}
"""Extension -> input, whether it needs a discoverable credential, output (sections 12.1, 12.5, 12.2)."""


@pytest.mark.case("CTAP 2.1, 6.4 (extensions) and 12")
@pytest.mark.parametrize("name", EXTENSION_OUTPUTS)
def test_an_extension_is_processed_if_and_only_if_it_is_listed(blank, members, name):
    given, resident, expected = EXTENSION_OUTPUTS[name]
    if resident:
        lacking(option(members, "rk"), "discoverable credentials")
    made = blank.make(extensions={name: given}, options={"rk": True} if resident else None)
    outputs = made.auth_data.extensions or {}
    if name in members.get(EXTENSIONS, []):
        assert outputs == {name: expected}
    else:
        assert outputs == {}


@pytest.mark.case("CTAP 2.1, 6.4 (extensions) and 12.3")
def test_a_large_blob_key_is_given_if_and_only_if_it_is_listed(blank, members):
    lacking(option(members, "rk"), "discoverable credentials")
    made = blank.make(extensions={"largeBlobKey": True}, options={"rk": True})
    if "largeBlobKey" in members.get(EXTENSIONS, []):
        assert len(made.large_blob_key) == 32
    else:
        assert made.large_blob_key is None


@pytest.mark.case("CTAP 2.1, 6.4 (maxCredentialIdLength)")
@pytest.mark.parametrize("resident", [False, True], ids=["not discoverable", "discoverable"])
def test_no_credential_id_is_longer_than_the_longest(blank, members, resident):
    longest = member(members, MAX_ID, "maxCredentialIdLength")
    lacking(not resident or option(members, "rk"), "discoverable credentials")
    user = {"id": bytes(64), "name": "n" * 64, "displayName": "d" * 64}
    made = blank.make(user=user, options={"rk": True} if resident else None)
    assert len(made.auth_data.credential_data.credential_id) <= longest


@pytest.mark.case("CTAP 2.1, 6.4 (maxCredentialCountInList, maxCredentialIdLength)")
@pytest.mark.parametrize("where", ["first", "last"])
def test_a_list_as_long_as_the_longest_is_searched_to_its_end(blank, members, where):
    count = member(members, MAX_LIST, "maxCredentialCountInList")
    longest = member(members, MAX_ID, "maxCredentialIdLength")
    made = blank.make()
    # The head of a descriptor takes less than 32 bytes, the rest of a request less than 200.
    left = members.get(MAX_MESSAGE, 1024) - 200 - 32 - len(made.auth_data.credential_data.credential_id)
    room = left // (count - 1) - 32 if count > 1 else longest
    lacking(room >= 16, "a message that holds maxCredentialCountInList ids")
    others = [bytes((number,)) * min(longest, room) for number in range(1, count)]
    own = made.auth_data.credential_data.credential_id
    idents = [own, *others] if where == "first" else [*others, own]
    assertion = blank.get(allow_list=[{"type": "public-key", "id": one} for one in idents])
    assert assertion.credential["id"] == own
    with refused(ERR.CREDENTIAL_EXCLUDED):
        blank.make(exclude_list=[{"type": "public-key", "id": one} for one in idents])


@pytest.mark.case("CTAP 2.1, 6.4 (remainingDiscoverableCredentials)")
def test_the_room_for_discoverable_credentials_does_not_grow_with_them(blank, members):
    before = member(members, REMAINING, "remainingDiscoverableCredentials")
    blank.make(options={"rk": True})
    between = raw_info(blank)[REMAINING]
    blank.make(user={"id": b"user-2", "name": "user-2"}, options={"rk": True})
    # An estimate (6.4): where it is one, it may be off by one.
    assert before + 1 >= between
    assert between + 1 >= raw_info(blank)[REMAINING]
    assert before > 0, "an empty key without room"


@pytest.mark.case("CTAP 2.1, 6.4 (remainingDiscoverableCredentials) and 6.1.2")
def test_a_credential_that_is_not_discoverable_takes_no_room(blank, members):
    before = member(members, REMAINING, "remainingDiscoverableCredentials")
    blank.make()
    if (after := raw_info(blank)[REMAINING]) != before:
        deviates(f"room for {after} discoverable credentials after one that is none, and {before} before")


@pytest.mark.case("CTAP 2.1, 6.4 (options) and 6.11.2", needs=("alwaysUv", "authnrCfg", "clientPin"))
def test_always_uv_shows_in_the_options_that_follow_from_it(with_pin):
    def toggled():
        protocol, token = with_pin.token(ClientPin.PERMISSION.AUTHENTICATOR_CFG)
        Config(with_pin.ctap, protocol, token).toggle_always_uv()
        return raw_info(with_pin)

    was = with_pin.info.options["alwaysUv"]
    for now in (not was, was):
        info = toggled() if now else unless_refused(toggled, ERR.OPERATION_DENIED)
        if info is None:
            lacking(False, "alwaysUv cannot be switched off")
        assert option(info, "alwaysUv") is now
        if now:
            assert option(info, "makeCredUvNotRqd") in (None, False)
