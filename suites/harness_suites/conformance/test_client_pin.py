"""authenticatorClientPIN: PINs, tries, shared secrets and tokens (CTAP 2.1, section 6.5).

The steps are those of the section that a case names. Where a request is refused before the PIN is looked at,
the case also checks that this cost no try.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.ctap1 import ApduError, Ctap1
from fido2.ctap2.pin import PinProtocol

from harness_suites.conformance.ceremonies import make_without_pin
from harness_suites.conformance.device import (
    HASH,
    PIN,
    RP,
    Authenticator,
    not_offered,
    refused,
    unless_refused,
)
from harness_suites.conformance.pinuv import (
    CHANGE,
    ERR,
    KEY,
    KEY_AGREEMENT,
    LEGACY_TOKEN,
    NEW_PIN,
    OTHER_PIN,
    OTHER_RP,
    PARAMETER,
    PERMISSION_OPTIONS,
    PERMISSIONS,
    PIN_HASH,
    PINS,
    PROTOCOL,
    RETRIES,
    SET,
    SUBCOMMAND,
    TOKEN,
    TOKENS,
    TRIES_LIMIT,
    USES,
    UV_RETRIES,
    UV_TOKEN,
    WRONG_PIN,
    Exchange,
    P,
    agreed_key,
    client_pin,
    configure,
    flipped,
    fresh_info,
    get_token,
    padded,
    pin_hash,
    protocol_called,
    require_mc_ga,
    require_permissions,
    require_tries,
    tries,
    use_cm,
    use_ga,
    use_mc,
)
from harness_suites.conformance.versions import refused_as

BOTH = pytest.mark.parametrize("version", [1, 2], ids=["protocol-1", "protocol-2"])
P256 = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF

NOT_SET = (ERR.PIN_NOT_SET, ERR.PIN_AUTH_INVALID, ERR.PIN_INVALID, ERR.PUAT_REQUIRED)
"""Without a PIN: section 6.5.5 names no code. 8.2 has 0x35; the others mean the same."""
NO_SUBCOMMAND = (ERR.INVALID_SUBCOMMAND, ERR.INVALID_PARAMETER)
"""Section 8.2 has 0x3E for a subcommand that is not there, section 6.5.5 names none."""
MC_GA = P.MAKE_CREDENTIAL | P.GET_ASSERTION


def best(authenticator: Authenticator) -> Exchange:
    """Start an exchange by the protocol that the key lists first."""
    return Exchange(authenticator, authenticator.info.pin_uv_protocols[0])


def guess_wrong(authenticator: Authenticator, version: int = 2) -> None:
    """Send one wrong PIN; it must be one of the first two of a boot."""
    require_tries(authenticator, 3)
    with refused(ERR.PIN_INVALID):
        get_token(authenticator, version=version, pin=WRONG_PIN)


def block_for_this_boot(authenticator: Authenticator, version: int = 2) -> None:
    """Send three wrong PINs."""
    require_tries(authenticator, 4)
    for _ in range(2):
        guess_wrong(authenticator, version)
    with refused(ERR.PIN_AUTH_BLOCKED):
        get_token(authenticator, version=version, pin=WRONG_PIN)


def block_for_ever(authenticator: Authenticator) -> None:
    """Use up all tries, with power cycles in between."""
    version = authenticator.info.pin_uv_protocols[0]
    for attempt in range(1, authenticator.tries_max + 1):
        with refused(ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED, ERR.PIN_BLOCKED):
            get_token(authenticator, version=version, pin=WRONG_PIN)
        if attempt % 3 == 0:
            authenticator.power_cycle()


def resident(authenticator: Authenticator) -> Any:
    return authenticator.make(options={"rk": True})


# Tries and key agreement


@pytest.mark.case("CTAP 2.1, 6.5.5.2", needs=TOKENS)
def test_the_tries_are_told_without_naming_a_protocol(with_pin):
    answer = client_pin(with_pin, {SUBCOMMAND: RETRIES})
    assert answer[3] == with_pin.tries_max
    assert 1 <= answer[3] <= TRIES_LIMIT
    assert set(answer) <= {3, 4}, "getPINRetries answers with pinRetries and, optionally, powerCycleState"
    assert answer.get(4, False) is False


@pytest.mark.case("CTAP 2.1, 6.5.6 (getPublicKey), 6.5.5 (keyAgreement)", needs=PINS)
@BOTH
def test_the_key_agreement_key_is_a_point_of_p256_and_says_no_more_than_it_must(with_pin, version):
    protocol_called(with_pin, version)
    key = agreed_key(with_pin, version)
    assert set(key) == {1, 3, -1, -2, -3}, "the COSE_Key must have alg and no other optional parameter"
    assert (key[1], key[3], key[-1]) == (2, -25, 1)
    assert len(key[-2]) == len(key[-3]) == 32
    x, y = (int.from_bytes(key[member], "big") for member in (-2, -3))
    ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


@pytest.mark.case("CTAP 2.1, 6.5.5.1; 6.5.6 (initialize)", needs=PINS)
@BOTH
def test_a_power_cycle_makes_a_new_key_agreement_key(with_pin, version):
    protocol_called(with_pin, version)
    before = agreed_key(with_pin, version)
    with_pin.power_cycle()
    assert agreed_key(with_pin, version) != before


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 9.1", needs=PINS)
@BOTH
def test_a_wrong_pin_makes_a_new_key_agreement_key(with_pin, version):
    protocol_called(with_pin, version)
    before = agreed_key(with_pin, version)
    guess_wrong(with_pin, version)
    assert agreed_key(with_pin, version) != before


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 9.1", needs=PINS)
@BOTH
def test_the_right_pin_under_the_secret_of_before_a_wrong_pin_is_wrong_too(with_pin, version):
    stale = Exchange(with_pin, version)
    guess_wrong(with_pin, version)
    with refused(ERR.PIN_INVALID):
        stale.send(LEGACY_TOKEN)
    assert tries(with_pin) == with_pin.tries_max - 2


UNKNOWN_PROTOCOLS = [(KEY_AGREEMENT, 0), (KEY_AGREEMENT, 3), (KEY_AGREEMENT, 255)]
UNKNOWN_PROTOCOLS += [(subcommand, 3) for subcommand in (SET, CHANGE, LEGACY_TOKEN, TOKEN)]
NAMES = {
    KEY_AGREEMENT: "getKeyAgreement",
    SET: "setPIN",
    CHANGE: "changePIN",
    LEGACY_TOKEN: "getPinToken",
    TOKEN: "getPinUvAuthTokenUsingPinWithPermissions",
}


def _rights(subcommand: int) -> dict[str, Any]:
    """Return the further members of a request for a token with permissions."""
    return {"permissions": P.GET_ASSERTION, "rp_id": RP["id"]} if subcommand == TOKEN else {}


@pytest.mark.case("CTAP 2.1, 6.5.5.4 step 4; 6.5.5.5 to 6.5.5.7.2 step 2", needs=PINS)
@pytest.mark.parametrize(
    ("subcommand", "number"),
    UNKNOWN_PROTOCOLS,
    ids=[f"{NAMES[subcommand]}-protocol-{number}" for subcommand, number in UNKNOWN_PROTOCOLS],
)
def test_a_protocol_that_getinfo_does_not_list_is_refused(with_pin, subcommand, number):
    if subcommand == TOKEN and not with_pin.info.options.get("pinUvAuthToken"):
        not_offered("option pinUvAuthToken is not true")
    if number in with_pin.info.pin_uv_protocols:
        not_offered(f"a key without PIN/UV auth protocol {number}")
    members = best(with_pin).members(subcommand, **_rights(subcommand))
    with refused_as(with_pin, "clientPIN protocol that is not listed"):
        client_pin(with_pin, {**members, PROTOCOL: number})
    assert tries(with_pin) == with_pin.tries_max


MANDATORY = [(KEY_AGREEMENT, PROTOCOL)]
MANDATORY += [(SET, member) for member in (PROTOCOL, KEY, NEW_PIN, PARAMETER)]
MANDATORY += [(CHANGE, member) for member in (PROTOCOL, KEY, NEW_PIN, PARAMETER, PIN_HASH)]
MANDATORY += [(LEGACY_TOKEN, member) for member in (PROTOCOL, KEY, PIN_HASH)]
MANDATORY += [(TOKEN, member) for member in (PROTOCOL, KEY, PIN_HASH, PERMISSIONS)]
MEMBER_NAMES = {
    PROTOCOL: "pinUvAuthProtocol",
    KEY: "keyAgreement",
    NEW_PIN: "newPinEnc",
    PARAMETER: "pinUvAuthParam",
    PIN_HASH: "pinHashEnc",
    PERMISSIONS: "permissions",
}


@pytest.mark.case("CTAP 2.1, 6.5.5.4 step 3; 6.5.5.5 to 6.5.5.7.2 step 1", needs=PINS)
@pytest.mark.parametrize(
    ("subcommand", "member"),
    MANDATORY,
    ids=[f"{NAMES[subcommand]}-without-{MEMBER_NAMES[member]}" for subcommand, member in MANDATORY],
)
def test_a_request_without_a_mandatory_member_is_refused(with_pin, subcommand, member):
    if subcommand == TOKEN and not with_pin.info.options.get("pinUvAuthToken"):
        not_offered("option pinUvAuthToken is not true")
    members = best(with_pin).members(subcommand, **_rights(subcommand))
    del members[member]
    with refused(ERR.MISSING_PARAMETER):
        client_pin(with_pin, members)
    assert tries(with_pin) == with_pin.tries_max


@pytest.mark.case("CTAP 2.1, 6.5.5", needs=PINS)
def test_a_request_without_a_subcommand_is_refused(with_pin):
    with refused(ERR.MISSING_PARAMETER):
        client_pin(with_pin, {PROTOCOL: with_pin.info.pin_uv_protocols[0]})


@pytest.mark.case("CTAP 2.1, 6.5.5; 8.2 (0x3E)", needs=PINS)
@pytest.mark.parametrize("subcommand", [0x00, 0x08, 0xFF], ids=hex)
def test_a_subcommand_that_is_not_there_is_refused(with_pin, subcommand):
    with refused(*NO_SUBCOMMAND):
        client_pin(with_pin, {PROTOCOL: with_pin.info.pin_uv_protocols[0], SUBCOMMAND: subcommand})


@pytest.mark.case("CTAP 2.1, 6.5.5.3", needs=PINS)
def test_uv_tries_are_told_where_there_is_user_verification_and_nowhere_else(with_pin):
    members = {PROTOCOL: with_pin.info.pin_uv_protocols[0], SUBCOMMAND: UV_RETRIES}
    if "uv" in with_pin.info.options:
        # 6.5.5.3: between 1 and 25 to begin with.
        assert 1 <= client_pin(with_pin, members)[5] <= 25
    else:
        with refused(*NO_SUBCOMMAND):
            client_pin(with_pin, members)


@pytest.mark.case("CTAP 2.1, 6.5.5.7.3 step 5", needs=PINS)
def test_a_token_is_not_given_by_user_verification_that_is_not_there(with_pin):
    if with_pin.info.options.get("uv"):
        not_offered("built-in user verification is configured")
    exchange = best(with_pin)
    members = exchange.members(UV_TOKEN, permissions=P.GET_ASSERTION, rp_id=RP["id"])
    # Supported and not configured is NOT_ALLOWED; not supported is a subcommand that is not there.
    codes = (ERR.NOT_ALLOWED,) if "uv" in with_pin.info.options else NO_SUBCOMMAND
    with refused(*codes):
        client_pin(with_pin, {**members, KEY: exchange.key})


# A shared secret that cannot be


def _off_curve(key: dict[int, Any]) -> dict[int, Any]:
    return {**key, -3: flipped(key[-3])}


BAD_KEYS = {
    "off-the-curve": _off_curve,
    "zero-point": lambda key: {**key, -2: bytes(32), -3: bytes(32)},
    "x-not-below-the-prime": lambda key: {**key, -2: P256.to_bytes(32, "big")},
    "y-not-below-the-prime": lambda key: {**key, -3: b"\xff" * 32},
    "short-x": lambda key: {**key, -2: key[-2][1:]},
    "other-curve": lambda key: {**key, -1: 2},
    "other-key-type": lambda key: {**key, 1: 1},
    "no-y": lambda key: {member: part for member, part in key.items() if member != -3},
}
BAD_POINT = (ERR.INVALID_PARAMETER,)
BAD_SHAPE = (ERR.INVALID_PARAMETER, ERR.MISSING_PARAMETER, ERR.INVALID_CBOR, ERR.CBOR_UNEXPECTED_TYPE)
"""decapsulate (6.5.6) or the parser (8.2) may reject a COSE_Key of the wrong shape."""


def _codes(kind: str) -> tuple[ERR, ...]:
    return BAD_POINT if kind in ("off-the-curve", "zero-point") else BAD_SHAPE


@pytest.mark.case("CTAP 2.1, 6.5.5.5 step 4; 6.5.6 (ecdh)", needs=PINS)
@pytest.mark.parametrize("kind", BAD_KEYS)
@BOTH
def test_a_pin_is_not_set_with_a_platform_key_that_is_no_point(blank, version, kind):
    exchange = Exchange(blank, version)
    exchange.key = BAD_KEYS[kind](dict(exchange.key))
    with refused(*_codes(kind)):
        exchange.send(SET)
    assert fresh_info(blank).options["clientPin"] is False


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 4; 6.5.5.7.1 step 6; 6.5.5.7.2 step 6", needs=PINS)
@pytest.mark.parametrize("subcommand", [CHANGE, LEGACY_TOKEN, TOKEN], ids=NAMES.get)
@BOTH
def test_a_point_off_the_curve_is_refused_before_a_try_is_taken(with_pin, version, subcommand):
    if subcommand == TOKEN and not with_pin.info.options.get("pinUvAuthToken"):
        not_offered("option pinUvAuthToken is not true")
    exchange = Exchange(with_pin, version)
    exchange.key = _off_curve(dict(exchange.key))
    with refused(*BAD_POINT):
        exchange.send(subcommand, **_rights(subcommand))
    assert tries(with_pin) == with_pin.tries_max


# Setting a PIN


@pytest.mark.case("CTAP 2.1, 6.5.5.5 step 12; 6.4 (clientPin)", needs=PINS)
@BOTH
def test_a_pin_that_was_set_is_in_force(blank, version):
    assert blank.info.options["clientPin"] is False
    Exchange(blank, version).send(SET, new_pin=OTHER_PIN)
    assert fresh_info(blank).options["clientPin"] is True
    assert tries(blank) == blank.tries_max
    assert get_token(blank, version=version, pin=OTHER_PIN)[1]


@pytest.mark.case("CTAP 2.1, 6.5.5.5", needs=PINS)
@pytest.mark.parametrize(("set_by", "used_by"), [(1, 2), (2, 1)], ids=["1-then-2", "2-then-1"])
def test_a_pin_set_by_one_protocol_is_the_pin_of_the_other(blank, set_by, used_by):
    protocol_called(blank, used_by)
    Exchange(blank, set_by).send(SET, new_pin=OTHER_PIN)
    assert get_token(blank, version=used_by, pin=OTHER_PIN)[1]


@pytest.mark.case("CTAP 2.1, 6.5.5.5 step 12", needs=PINS)
def test_a_pin_survives_a_power_cycle(blank):
    best(blank).send(SET, new_pin=OTHER_PIN)
    blank.power_cycle()
    assert blank.info.options["clientPin"] is True
    assert get_token(blank, version=blank.info.pin_uv_protocols[0], pin=OTHER_PIN)[1]


@pytest.mark.case("CTAP 2.1, 6.5.5.5 step 3", needs=PINS)
@BOTH
def test_a_pin_is_not_set_over_another(with_pin, version):
    with refused(ERR.PIN_AUTH_INVALID):
        Exchange(with_pin, version).send(SET, new_pin=OTHER_PIN)
    assert get_token(with_pin, version=version, pin=PIN)[1]


LETTERS = "q7Rz2mXw9KtVb4NcJy8HgLd3FsPe6AuWk5TnGi0BxCjMoQhSvEaYfDlUrZpI1O!?"
FOUR_BYTES = "\U0001f98a\U0001f511\U0001f40c\U0001f33b\U0001f9ed\U0001f3b2\U0001f95d\U0001f4ce"
GOOD_PINS = {
    "shortest": lambda least: LETTERS[:least],
    "shortest-of-four-byte-characters": lambda least: (FOUR_BYTES * 2)[:least],
    "63-bytes": lambda least: LETTERS[:63],
    "63-bytes-in-16-characters": lambda least: (FOUR_BYTES * 2)[:15] + "\u20ac",
    "spaces-and-signs": lambda least: " \t~`\u00e4\u03bb\u4e2d " + LETTERS[:least],
}


@pytest.mark.case("CTAP 2.1, 6.5.1; 6.5.5.5 step 9", needs=PINS)
@pytest.mark.parametrize("kind", GOOD_PINS)
def test_a_pin_within_the_limits_is_accepted(blank, kind):
    pin = GOOD_PINS[kind](blank.info.min_pin_length)
    if len(pin) < blank.info.min_pin_length or len(pin.encode()) > 63:
        not_offered(f"minPINLength is {blank.info.min_pin_length}")
    exchange = best(blank)
    exchange.send(SET, new_pin=pin)
    assert get_token(blank, version=exchange.version, pin=pin)[1]


SHORT_PINS = {
    "none": lambda least: "",
    "one-character-too-few": lambda least: LETTERS[: least - 1],
    # Their bytes are enough, their code points are not (6.5.1: the minimum is in code points).
    "one-four-byte-character-too-few": lambda least: (FOUR_BYTES * 2)[: least - 1],
}


@pytest.mark.case("CTAP 2.1, 6.5.1; 6.5.5.5 step 9", needs=PINS)
@pytest.mark.parametrize("kind", SHORT_PINS)
@BOTH
def test_a_pin_that_is_too_short_is_refused(blank, version, kind):
    pin = SHORT_PINS[kind](blank.info.min_pin_length)
    with refused(ERR.PIN_POLICY_VIOLATION):
        Exchange(blank, version).send(SET, new_pin=pin)
    assert fresh_info(blank).options["clientPin"] is False


@pytest.mark.case("CTAP 2.1, 6.5.1; 6.5.5.5 step 10", needs=PINS)
@BOTH
def test_a_pin_of_64_bytes_is_refused(blank, version):
    # 6.5.1 allows 63 bytes; whether the padding or the policy is broken then, it does not say.
    with refused(ERR.PIN_POLICY_VIOLATION, ERR.INVALID_PARAMETER):
        Exchange(blank, version).send(SET, new_pin=LETTERS[:64].encode())
    assert fresh_info(blank).options["clientPin"] is False


@pytest.mark.case("CTAP 2.1, 6.5.5.5 step 7", needs=(PINS, "FIDO_2_1"))
@pytest.mark.parametrize("length", [16, 48, 80, 128, 256])
@BOTH
def test_a_new_pin_that_is_not_padded_to_64_bytes_is_refused(blank, version, length):
    with refused(ERR.INVALID_PARAMETER):
        Exchange(blank, version).send(SET, new_pin=OTHER_PIN.encode().ljust(length, b"\0"))
    assert fresh_info(blank).options["clientPin"] is False


@pytest.mark.case("CTAP 2.1, 6.5.5.5 step 6; 6.5.6 (decrypt)", needs=PINS)
@BOTH
def test_a_new_pin_that_cannot_be_decrypted_is_refused(blank, version):
    exchange = Exchange(blank, version)
    members = exchange.members(SET)
    members[NEW_PIN] = members[NEW_PIN][:-1]
    members[PARAMETER] = exchange.sign(members[NEW_PIN])
    with refused(ERR.PIN_AUTH_INVALID):
        client_pin(blank, members)
    assert fresh_info(blank).options["clientPin"] is False


def _cut_to_16(exchange: Exchange, members: dict[int, Any]) -> dict[int, Any]:
    """Send a signature of the other protocol's length: 16 bytes for protocol two, 32 for protocol one."""
    whole = exchange.protocol.authenticate(exchange.secret, members[NEW_PIN] + members.get(PIN_HASH, b""))
    return {**members, PARAMETER: whole[:16] if exchange.version == 2 else whole + bytes(16)}


SPOILT = {
    "newPinEnc": lambda exchange, members: {**members, NEW_PIN: flipped(members[NEW_PIN], 0)},
    "newPinEnc-last-bit": lambda exchange, members: {**members, NEW_PIN: flipped(members[NEW_PIN])},
    "pinUvAuthParam": lambda exchange, members: {**members, PARAMETER: flipped(members[PARAMETER])},
    "pinUvAuthParam-of-the-other-length": _cut_to_16,
    "no-bytes-in-pinUvAuthParam": lambda exchange, members: {**members, PARAMETER: b""},
    "other-shared-secret": lambda exchange, members: {
        **members,
        PARAMETER: exchange.protocol.authenticate(flipped(exchange.secret, 0), members[NEW_PIN]),
    },
}


@pytest.mark.case("CTAP 2.1, 6.5.5.5 step 5", needs=PINS)
@pytest.mark.parametrize("kind", SPOILT)
@BOTH
def test_a_pin_is_not_set_by_a_message_that_was_tampered_with(blank, version, kind):
    exchange = Exchange(blank, version)
    with refused(ERR.PIN_AUTH_INVALID):
        client_pin(blank, SPOILT[kind](exchange, exchange.members(SET)))
    assert fresh_info(blank).options["clientPin"] is False


# Changing a PIN


@pytest.mark.case("CTAP 2.1, 6.5.5.6", needs=PINS)
@BOTH
def test_after_a_change_the_new_pin_is_right_and_the_old_one_wrong(with_pin, version):
    Exchange(with_pin, version).send(CHANGE, new_pin=OTHER_PIN)
    with refused(ERR.PIN_INVALID):
        get_token(with_pin, version=version, pin=PIN)
    assert get_token(with_pin, version=version, pin=OTHER_PIN)[1]
    assert tries(with_pin) == with_pin.tries_max


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 17", needs=PINS)
def test_a_changed_pin_survives_a_power_cycle(with_pin):
    best(with_pin).send(CHANGE, new_pin=OTHER_PIN)
    with_pin.power_cycle()
    version = with_pin.info.pin_uv_protocols[0]
    assert get_token(with_pin, version=version, pin=OTHER_PIN)[1]
    with refused(ERR.PIN_INVALID):
        get_token(with_pin, version=version, pin=PIN)


@pytest.mark.case("CTAP 2.1, 6.5.1", needs=PINS)
def test_a_pin_is_compared_by_its_bytes(with_pin):
    """The platform normalises PINs. For the key, composed and decomposed forms are two PINs."""
    composed, decomposed = "caf\u00e9-31415", "cafe\u0301-31415"
    exchange = best(with_pin)
    exchange.send(CHANGE, new_pin=composed)
    with refused(ERR.PIN_INVALID):
        get_token(with_pin, version=exchange.version, pin=decomposed)
    assert get_token(with_pin, version=exchange.version, pin=composed)[1]


@pytest.mark.case("CTAP 2.1, 6.5.5.6", needs=PINS)
def test_there_is_no_pin_to_change_on_a_blank_key(blank):
    with refused(*NOT_SET):
        best(blank).send(CHANGE)
    assert fresh_info(blank).options["clientPin"] is False


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1, 6.5.5.7.2", needs=TOKENS)
@pytest.mark.parametrize("permissions", [None, P.GET_ASSERTION], ids=["getPinToken", "with-permissions"])
def test_a_blank_key_gives_no_token_for_a_pin(blank, permissions):
    with refused(*NOT_SET):
        get_token(blank, permissions, RP["id"] if permissions else None)


@pytest.mark.case("CTAP 2.1, 6.5.5.6 steps 6 and 7", needs=PINS)
@BOTH
def test_a_change_with_a_wrong_pin_costs_a_try_and_changes_nothing(with_pin, version):
    with refused(ERR.PIN_INVALID):
        Exchange(with_pin, version).send(CHANGE, old_pin=WRONG_PIN, new_pin=OTHER_PIN)
    assert tries(with_pin) == with_pin.tries_max - 1
    assert get_token(with_pin, version=version, pin=PIN)[1]


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 8", needs=PINS)
@BOTH
def test_a_change_with_the_right_pin_gives_all_tries_back(with_pin, version):
    guess_wrong(with_pin, version)
    Exchange(with_pin, version).send(CHANGE, new_pin=OTHER_PIN)
    assert tries(with_pin) == with_pin.tries_max
    with_pin.power_cycle()
    assert tries(with_pin) == with_pin.tries_max, "after a power cycle"


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 7.1", needs=PINS)
@BOTH
def test_a_change_with_a_wrong_pin_makes_a_new_key_agreement_key(with_pin, version):
    protocol_called(with_pin, version)
    before = agreed_key(with_pin, version)
    with refused(ERR.PIN_INVALID):
        Exchange(with_pin, version).send(CHANGE, old_pin=WRONG_PIN)
    assert agreed_key(with_pin, version) != before


SPOILT_CHANGES = {
    **SPOILT,
    "pinHashEnc": lambda exchange, members: {**members, PIN_HASH: flipped(members[PIN_HASH], 0)},
    "pinHashEnc-not-authenticated": lambda exchange, members: {
        **members,
        PARAMETER: exchange.sign(members[NEW_PIN]),
    },
    "pinHashEnc-authenticated-first": lambda exchange, members: {
        **members,
        PARAMETER: exchange.sign(members[PIN_HASH] + members[NEW_PIN]),
    },
}


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 5", needs=PINS)
@pytest.mark.parametrize("kind", SPOILT_CHANGES)
@BOTH
def test_a_change_that_was_tampered_with_is_refused_before_a_try_is_taken(with_pin, version, kind):
    exchange = Exchange(with_pin, version)
    with refused(ERR.PIN_AUTH_INVALID):
        client_pin(with_pin, SPOILT_CHANGES[kind](exchange, exchange.members(CHANGE)))
    assert tries(with_pin) == with_pin.tries_max
    assert get_token(with_pin, version=version, pin=PIN)[1]


@pytest.mark.case("CTAP 2.1, 6.5.5.6 steps 8 and 12", needs=PINS)
@pytest.mark.parametrize("kind", SHORT_PINS)
def test_a_change_to_a_pin_that_is_too_short_keeps_the_old_one_and_gives_the_tries_back(with_pin, kind):
    exchange = best(with_pin)
    guess_wrong(with_pin, exchange.version)
    with refused(ERR.PIN_POLICY_VIOLATION):
        best(with_pin).send(CHANGE, new_pin=SHORT_PINS[kind](with_pin.info.min_pin_length))
    assert tries(with_pin) == with_pin.tries_max, "the old PIN was right (step 8)"
    assert get_token(with_pin, version=exchange.version, pin=PIN)[1]


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 10", needs=(PINS, "FIDO_2_1"))
@pytest.mark.parametrize("length", [48, 80])
@BOTH
def test_a_change_to_a_pin_that_is_not_padded_to_64_bytes_is_refused(with_pin, version, length):
    with refused(ERR.INVALID_PARAMETER):
        Exchange(with_pin, version).send(CHANGE, new_pin=OTHER_PIN.encode().ljust(length, b"\0"))
    assert get_token(with_pin, version=version, pin=PIN)[1]


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 9; 6.5.6 (decrypt)", needs=PINS)
@BOTH
def test_a_change_to_a_pin_that_cannot_be_decrypted_is_refused(with_pin, version):
    exchange = Exchange(with_pin, version)
    members = exchange.members(CHANGE)
    members[NEW_PIN] = members[NEW_PIN][:-1]
    members[PARAMETER] = exchange.sign(members[NEW_PIN] + members[PIN_HASH])
    with refused(ERR.PIN_AUTH_INVALID):
        client_pin(with_pin, members)
    assert tries(with_pin) == with_pin.tries_max, "the old PIN was right (step 8)"
    assert get_token(with_pin, version=version, pin=PIN)[1]


# Wrong PINs


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 steps 8 to 10", needs=PINS)
@BOTH
def test_wrong_pins_are_counted_and_the_right_one_gives_all_tries_back(with_pin, version):
    guess_wrong(with_pin, version)
    assert tries(with_pin) == with_pin.tries_max - 1
    guess_wrong(with_pin, version)
    assert tries(with_pin) == with_pin.tries_max - 2
    get_token(with_pin, version=version)
    assert tries(with_pin) == with_pin.tries_max


@pytest.mark.case("CTAP 2.1, 6.5.5.7.2 steps 8 to 10", needs=TOKENS)
@BOTH
def test_a_wrong_pin_costs_a_try_when_permissions_are_asked_for(with_pin, version):
    require_mc_ga(with_pin)
    with refused(ERR.PIN_INVALID):
        get_token(with_pin, P.GET_ASSERTION, RP["id"], version=version, pin=WRONG_PIN)
    assert tries(with_pin) == with_pin.tries_max - 1
    get_token(with_pin, P.GET_ASSERTION, RP["id"], version=version)
    assert tries(with_pin) == with_pin.tries_max


HASHES = {
    "one-byte-short": lambda exchange: exchange.encrypt(bytes(16))[:-1],
    "two-blocks": lambda exchange: exchange.encrypt(pin_hash(PIN) + bytes(16)),
    "no-bytes": lambda exchange: b"",
}


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 9.1 ('an error results, or a mismatch is detected')", needs=PINS)
@pytest.mark.parametrize("kind", HASHES)
@BOTH
def test_a_pin_hash_of_a_wrong_length_is_a_wrong_pin(with_pin, version, kind):
    exchange = Exchange(with_pin, version)
    with refused(ERR.PIN_INVALID):
        client_pin(with_pin, {**exchange.members(LEGACY_TOKEN), PIN_HASH: HASHES[kind](exchange)})
    assert tries(with_pin) == with_pin.tries_max - 1


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 8", needs=PINS)
def test_a_try_that_was_taken_stays_taken_over_a_power_cycle(with_pin):
    version = with_pin.info.pin_uv_protocols[0]
    guess_wrong(with_pin, version)
    guess_wrong(with_pin, version)
    with_pin.power_cycle()
    assert tries(with_pin) == with_pin.tries_max - 2


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 9.1.2; 6.5.5.2 (powerCycleState)", needs=PINS)
@BOTH
def test_the_third_wrong_pin_in_a_row_blocks_until_a_power_cycle(with_pin, version):
    block_for_this_boot(with_pin, version)
    answer = client_pin(with_pin, {PROTOCOL: version, SUBCOMMAND: RETRIES})
    assert answer[3] == with_pin.tries_max - 3
    assert answer.get(4, True) is True, "powerCycleState, if it is told"


BLOCKED = {
    "getPinToken": {"subcommand": LEGACY_TOKEN},
    "with-permissions": {"subcommand": TOKEN, "permissions": P.CREDENTIAL_MGMT},
    "changePIN": {"subcommand": CHANGE},
}


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 9.1.2 ('power cycling is needed')", needs=TOKENS)
@pytest.mark.parametrize("kind", BLOCKED)
@BOTH
def test_while_blocked_the_right_pin_is_refused_and_costs_nothing(with_pin, version, kind):
    request = dict(BLOCKED[kind])
    require_permissions(with_pin, request.get("permissions", 0))
    block_for_this_boot(with_pin, version)
    with refused(ERR.PIN_AUTH_BLOCKED):
        Exchange(with_pin, version).send(request.pop("subcommand"), **request)
    assert tries(with_pin) == with_pin.tries_max - 3


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 9.1.2 ('power cycling is needed')", needs=PINS)
def test_a_new_channel_does_not_lift_the_block(with_pin):
    version = with_pin.info.pin_uv_protocols[0]
    block_for_this_boot(with_pin, version)
    with_pin.connect()
    with refused(ERR.PIN_AUTH_BLOCKED):
        get_token(with_pin, version=version)


def _log_in(authenticator: Authenticator, made: Any) -> None:
    authenticator.get(made)


def _register(authenticator: Authenticator, made: Any) -> None:
    # A key that asks for the PIN here refuses.
    unless_refused(lambda: make_without_pin(authenticator, rp=OTHER_RP))


def _use_u2f(authenticator: Authenticator, made: Any) -> None:
    ctap1, application = Ctap1(authenticator.device), hashlib.sha256(b"u2f").digest()
    with suppress(ApduError), authenticator.touch():
        handle = ctap1.register(HASH, application).key_handle
        ctap1.authenticate(HASH, application, handle)


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 9.1.2 ('power cycling is needed')", needs=PINS)
@pytest.mark.parametrize("use", [_log_in, _register, _use_u2f], ids=["an-assertion", "a-registration", "u2f"])
def test_what_needs_no_pin_does_not_lift_the_block(with_pin, use):
    """Else a thief could guess on after each login of the owner."""
    version = with_pin.info.pin_uv_protocols[0]
    made = with_pin.make(**({"extensions": {"credProtect": 1}} if with_pin.has("credProtect") else {}))
    block_for_this_boot(with_pin, version)
    unless_refused(lambda: use(with_pin, made))
    with refused(ERR.PIN_AUTH_BLOCKED):
        get_token(with_pin, version=version)
    assert tries(with_pin) == with_pin.tries_max - 3


@pytest.mark.waits(60)
@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 9.1.2 ('power cycling is needed')", needs=PINS)
def test_time_does_not_lift_the_block(with_pin):
    version = with_pin.info.pin_uv_protocols[0]
    block_for_this_boot(with_pin, version)
    with_pin.rig.clock.wait_us(60_000_000)
    with refused(ERR.PIN_AUTH_BLOCKED):
        get_token(with_pin, version=version)


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 steps 9.1.2 and 10", needs=PINS)
@BOTH
def test_a_power_cycle_lifts_the_block_and_the_right_pin_gives_all_tries_back(with_pin, version):
    block_for_this_boot(with_pin, version)
    with_pin.power_cycle()
    assert tries(with_pin) == with_pin.tries_max - 3
    assert get_token(with_pin, version=version)[1]
    assert tries(with_pin) == with_pin.tries_max


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 9.1.2 ('consecutive mismatches')", needs=PINS)
def test_a_right_pin_in_between_begins_the_row_of_three_anew(with_pin):
    version = with_pin.info.pin_uv_protocols[0]
    for _ in range(3):
        guess_wrong(with_pin, version)
        guess_wrong(with_pin, version)
        get_token(with_pin, version=version)
    assert tries(with_pin) == with_pin.tries_max


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 8; 6.5.5.7.1 step 9.1.2", needs=PINS)
def test_a_changed_pin_begins_the_row_of_three_anew(with_pin):
    version = with_pin.info.pin_uv_protocols[0]
    guess_wrong(with_pin, version)
    guess_wrong(with_pin, version)
    Exchange(with_pin, version).send(CHANGE, new_pin=OTHER_PIN)
    guess_wrong(with_pin, version)
    guess_wrong(with_pin, version)
    assert get_token(with_pin, version=version, pin=OTHER_PIN)[1]


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 7.1; 6.5.5.7.1 step 9.1; 6.5.5.7.2 step 9.1", needs=TOKENS)
def test_wrong_pins_of_all_subcommands_and_protocols_count_together(with_pin):
    require_mc_ga(with_pin)
    first, last = with_pin.info.pin_uv_protocols[0], with_pin.info.pin_uv_protocols[-1]
    guess_wrong(with_pin, first)
    with refused(ERR.PIN_INVALID):
        Exchange(with_pin, last).send(CHANGE, old_pin=WRONG_PIN)
    with refused(ERR.PIN_AUTH_BLOCKED):
        get_token(with_pin, P.GET_ASSERTION, RP["id"], version=first, pin=WRONG_PIN)
    assert tries(with_pin) == with_pin.tries_max - 3


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 9.1.2", needs=PINS)
def test_the_last_try_tells_that_the_pin_is_blocked(with_pin):
    version = with_pin.info.pin_uv_protocols[0]
    for left in range(with_pin.tries_max - 1, 0, -1):
        with refused(ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED):
            get_token(with_pin, version=version, pin=WRONG_PIN)
        assert tries(with_pin) == left
        if left % 2:
            with_pin.power_cycle()
    with refused(ERR.PIN_BLOCKED):
        get_token(with_pin, version=version, pin=WRONG_PIN)
    assert tries(with_pin) == 0


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 9.1 (pinRetries of 0 comes before three in a row)", needs=PINS)
def test_a_last_try_that_is_the_third_in_a_row_tells_that_the_pin_is_blocked_for_good(with_pin):
    """A client that is told to cycle the power instead sends its user round in circles."""
    version = with_pin.info.pin_uv_protocols[0]
    for left in range(with_pin.tries_max - 1, 0, -1):
        with refused(ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED):
            get_token(with_pin, version=version, pin=WRONG_PIN)
        if left % 3 == 0:
            with_pin.power_cycle()
    for pin in (WRONG_PIN, PIN):
        with refused(ERR.PIN_BLOCKED):
            get_token(with_pin, version=version, pin=pin)
    assert tries(with_pin) == 0


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 10", needs=PINS)
def test_the_right_pin_on_the_last_try_gives_all_tries_back(with_pin):
    version = with_pin.info.pin_uv_protocols[0]
    for _ in range(with_pin.tries_max - 1):
        with refused(ERR.PIN_INVALID):
            get_token(with_pin, version=version, pin=WRONG_PIN)
        with_pin.power_cycle()
    assert tries(with_pin) == 1
    assert get_token(with_pin, version=version)[1]
    assert tries(with_pin) == with_pin.tries_max


AFTER_BLOCKING = {
    "getPinToken": ({"subcommand": LEGACY_TOKEN}, ERR.PIN_BLOCKED),
    "with-permissions": ({"subcommand": TOKEN, "permissions": P.CREDENTIAL_MGMT}, ERR.PIN_BLOCKED),
    "changePIN": ({"subcommand": CHANGE}, ERR.PIN_BLOCKED),
    # A blocked PIN is still set (6.5.5.5 step 3).
    "setPIN": ({"subcommand": SET}, ERR.PIN_AUTH_INVALID),
}


@pytest.mark.case("CTAP 2.1, 6.5.5.5 step 3; 6.5.5.6 step 3; 6.5.5.7.1 and 6.5.5.7.2 step 5", needs=TOKENS)
@pytest.mark.parametrize("kind", AFTER_BLOCKING)
def test_a_blocked_pin_stays_blocked_over_power_cycles_even_for_the_right_one(with_pin, kind):
    request, code = AFTER_BLOCKING[kind]
    request = dict(request)
    subcommand = request.pop("subcommand")
    require_permissions(with_pin, request.get("permissions", 0))
    block_for_ever(with_pin)
    for _ in range(2):
        with_pin.power_cycle()
        with refused(code):
            best(with_pin).send(subcommand, **request)
        assert tries(with_pin) == 0


@pytest.mark.case("CTAP 2.1, 6.6", needs=PINS)
def test_a_reset_frees_a_blocked_pin_by_forgetting_it(with_pin):
    block_for_ever(with_pin)
    with_pin.power_cycle()
    with_pin.reset()
    with_pin.connect()
    assert with_pin.info.options["clientPin"] is False
    best(with_pin).send(SET, new_pin=OTHER_PIN)
    assert tries(with_pin) == with_pin.tries_max
    assert get_token(with_pin, version=with_pin.info.pin_uv_protocols[0], pin=OTHER_PIN)[1]


# Getting a token


@pytest.mark.case("CTAP 2.1, 6.5.6 and 6.5.7 (pinUvAuthToken)", needs=TOKENS)
@BOTH
def test_tokens_have_their_protocols_length_and_no_two_are_the_same(with_pin, version):
    first = get_token(with_pin, version=version)[1]
    second = get_token(with_pin, version=version)[1]
    assert len(first) in ((16, 32) if version == 1 else (32,))
    assert len(second) == len(first)
    assert second != first


@pytest.mark.case("CTAP 2.1, 6.5.7 (encrypt)", needs=PINS)
def test_protocol_two_encrypts_each_token_with_its_own_iv(with_pin):
    first = Exchange(with_pin, 2).send(LEGACY_TOKEN)[2]
    second = Exchange(with_pin, 2).send(LEGACY_TOKEN)[2]
    assert first[:16] != second[:16]


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 steps 3 and 4", needs=TOKENS)
@pytest.mark.parametrize(
    "extra", [{"permissions": P.GET_ASSERTION}, {"rp_id": RP["id"]}], ids=["permissions", "rpId"]
)
@BOTH
def test_getpintoken_takes_no_permissions_and_no_rp_id(with_pin, version, extra):
    with refused(ERR.INVALID_PARAMETER):
        Exchange(with_pin, version).send(LEGACY_TOKEN, **extra)
    assert tries(with_pin) == with_pin.tries_max


@pytest.mark.case("CTAP 2.1, 6.5.5.7.2 step 3", needs=TOKENS)
@BOTH
def test_a_token_with_no_permission_is_not_given(with_pin, version):
    with refused(ERR.INVALID_PARAMETER):
        Exchange(with_pin, version).send(TOKEN, permissions=0, rp_id=RP["id"])
    assert tries(with_pin) == with_pin.tries_max


@pytest.mark.case("CTAP 2.1, 6.5.5.7.2 step 4 ('undefined permissions are ignored')", needs=TOKENS)
def test_permissions_that_nobody_defined_are_ignored(with_pin):
    require_permissions(with_pin, P.CREDENTIAL_MGMT)
    protocol, token = get_token(with_pin, P.CREDENTIAL_MGMT | 0x80)
    assert use_cm(with_pin, protocol, token)[1] == 0


@pytest.mark.case("CTAP 2.1, 6.5.5.7.2 step 4", needs=TOKENS)
@pytest.mark.parametrize("permission", PERMISSION_OPTIONS, ids=lambda one: one.name.lower())
def test_a_permission_is_given_if_getinfo_offers_its_command_and_refused_if_not(with_pin, permission):
    if with_pin.info.options.get(PERMISSION_OPTIONS[permission]):
        protocol, token = get_token(with_pin, permission)
        USES[permission](with_pin, protocol, token)
    else:
        with refused(ERR.UNAUTHORIZED_PERMISSION):
            get_token(with_pin, permission)


@pytest.mark.case("CTAP 2.1, 6.5.5.7.2 step 4", needs=TOKENS)
def test_the_bio_enrolment_permission_is_refused_where_there_is_no_bio_enrolment(with_pin):
    if "bioEnroll" in with_pin.info.options:
        not_offered("this key has bioEnroll")
    with refused(ERR.UNAUTHORIZED_PERMISSION):
        get_token(with_pin, P.BIO_ENROLL)


@pytest.mark.case("CTAP 2.1, 6.5.5.7.2 step 4", needs=TOKENS)
@pytest.mark.parametrize("pin", [PIN, WRONG_PIN], ids=["right-pin", "wrong-pin"])
def test_one_permission_that_is_not_offered_spoils_the_request_before_a_try_is_taken(with_pin, pin):
    require_permissions(with_pin, P.CREDENTIAL_MGMT)
    absent = [one for one, name in PERMISSION_OPTIONS.items() if not with_pin.info.options.get(name)]
    if "bioEnroll" not in with_pin.info.options:
        absent.append(P.BIO_ENROLL)
    if not absent:
        not_offered("this key has every permission")
    with refused(ERR.UNAUTHORIZED_PERMISSION):
        get_token(with_pin, P.CREDENTIAL_MGMT | absent[0], pin=pin)
    assert tries(with_pin) == with_pin.tries_max


@pytest.mark.case("CTAP 2.1, 6.5.5.7 (permissions: RP ID); 6.2.2 step 6.1.7", needs=TOKENS)
@pytest.mark.parametrize("permissions", [P.GET_ASSERTION, MC_GA], ids=["ga", "mc-ga"])
def test_a_token_for_credentials_is_never_good_for_two_rps(with_pin, permissions):
    """The table of permissions requires an RP ID for mc and ga, and no step of 6.5.5.7.2 refuses without.

    So the key may refuse, with 0x14 (step 1) or 0x02; or the token gets its RP ID by its first use.
    """
    require_mc_ga(with_pin)
    mine, other = with_pin.make(), with_pin.make(rp=OTHER_RP)
    codes = (ERR.MISSING_PARAMETER, ERR.INVALID_PARAMETER)
    given = unless_refused(lambda: get_token(with_pin, permissions), *codes)
    if given is None:
        assert tries(with_pin) == with_pin.tries_max
        return
    protocol, token = given
    use_ga(with_pin, protocol, token, mine, options={"up": False})
    with refused(ERR.PIN_AUTH_INVALID):
        use_ga(with_pin, protocol, token, other, OTHER_RP["id"], options={"up": False})


# What a token may be used for


@pytest.mark.case("CTAP 2.1, 6.1.2 step 11.1; 6.2.2 step 6.1", needs=TOKENS)
@BOTH
def test_a_token_makes_a_credential_and_an_assertion_user_verified(with_pin, version):
    require_mc_ga(with_pin)
    protocol, token = get_token(with_pin, P.MAKE_CREDENTIAL, RP["id"], version=version)
    made = use_mc(with_pin, protocol, token)
    assert made.auth_data.is_user_verified()
    protocol, token = get_token(with_pin, P.GET_ASSERTION, RP["id"], version=version)
    assert use_ga(with_pin, protocol, token, made).auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 14 (default permissions: mc and ga)", needs=PINS)
@BOTH
def test_a_token_of_getpintoken_makes_a_credential_and_an_assertion(with_pin, version):
    require_mc_ga(with_pin)
    made = use_mc(with_pin, *get_token(with_pin, version=version))
    assert made.auth_data.is_user_verified()
    assert use_ga(with_pin, *get_token(with_pin, version=version), made).auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 14 (default permissions: mc and ga)", needs=PINS)
@pytest.mark.parametrize("permission", PERMISSION_OPTIONS, ids=lambda one: one.name.lower())
def test_a_token_of_getpintoken_has_no_other_permission(with_pin, permission):
    require_permissions(with_pin, permission)
    with refused(ERR.PIN_AUTH_INVALID):
        USES[permission](with_pin, *get_token(with_pin))


LACKING = [
    (P.GET_ASSERTION, P.MAKE_CREDENTIAL),
    (P.CREDENTIAL_MGMT, P.MAKE_CREDENTIAL),
    (P.LARGE_BLOB_WRITE, P.MAKE_CREDENTIAL),
    (P.AUTHENTICATOR_CFG, P.MAKE_CREDENTIAL),
    (P.MAKE_CREDENTIAL, P.GET_ASSERTION),
    (P.CREDENTIAL_MGMT, P.GET_ASSERTION),
    (P.AUTHENTICATOR_CFG, P.GET_ASSERTION),
    (P.MAKE_CREDENTIAL, P.CREDENTIAL_MGMT),
    (P.GET_ASSERTION, P.CREDENTIAL_MGMT),
    (P.AUTHENTICATOR_CFG, P.CREDENTIAL_MGMT),
    (P.LARGE_BLOB_WRITE, P.CREDENTIAL_MGMT),
    (P.MAKE_CREDENTIAL, P.AUTHENTICATOR_CFG),
    (P.CREDENTIAL_MGMT, P.AUTHENTICATOR_CFG),
    (P.LARGE_BLOB_WRITE, P.AUTHENTICATOR_CFG),
    (P.MAKE_CREDENTIAL, P.LARGE_BLOB_WRITE),
    (P.CREDENTIAL_MGMT, P.LARGE_BLOB_WRITE),
    (P.AUTHENTICATOR_CFG, P.LARGE_BLOB_WRITE),
]


@pytest.mark.case(
    "CTAP 2.1, 6.1.2 step 11.1.2; 6.2.2 step 6.1.2; 6.8.2; 6.10.2 step 5e; 6.11 step 4", needs=TOKENS
)
@pytest.mark.parametrize(
    ("has", "lacks"), LACKING, ids=[f"{has.name}-for-{lacks.name}".lower() for has, lacks in LACKING]
)
def test_a_token_does_nothing_that_it_has_no_permission_for(with_pin, has, lacks):
    require_permissions(with_pin, has | lacks)
    rp_id = RP["id"] if has & MC_GA else None
    with refused(ERR.PIN_AUTH_INVALID):
        USES[lacks](with_pin, *get_token(with_pin, has, rp_id))


@pytest.mark.case("CTAP 2.1, 6.1.2 step 11.1.3", needs=TOKENS)
@BOTH
def test_a_token_for_one_rp_makes_no_credential_for_another(with_pin, version):
    require_mc_ga(with_pin)
    protocol, token = get_token(with_pin, P.MAKE_CREDENTIAL, RP["id"], version=version)
    with refused(ERR.PIN_AUTH_INVALID):
        use_mc(with_pin, protocol, token, OTHER_RP)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 6.1.3", needs=TOKENS)
@BOTH
def test_a_token_for_one_rp_makes_no_assertion_for_another(with_pin, version):
    require_mc_ga(with_pin)
    other = with_pin.make(rp=OTHER_RP)
    protocol, token = get_token(with_pin, P.GET_ASSERTION, RP["id"], version=version)
    with refused(ERR.PIN_AUTH_INVALID):
        use_ga(with_pin, protocol, token, other, OTHER_RP["id"])


@pytest.mark.case("CTAP 2.1, 6.2.2 step 6.1.7 ('associate the request's rpId')", needs=TOKENS)
def test_the_first_rp_that_a_token_of_getpintoken_is_used_for_is_its_only_one(with_pin):
    require_mc_ga(with_pin)
    mine, other = with_pin.make(), with_pin.make(rp=OTHER_RP)
    protocol, token = get_token(with_pin)
    silent = {"up": False}
    use_ga(with_pin, protocol, token, mine, options=silent)
    with refused(ERR.PIN_AUTH_INVALID):
        use_ga(with_pin, protocol, token, other, OTHER_RP["id"], options=silent)
    use_ga(with_pin, protocol, token, mine, options=silent)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 14; 6.2.2 step 9; 6.5.3.2 (clear...ExceptLbw)", needs=TOKENS)
@pytest.mark.parametrize("second", [P.MAKE_CREDENTIAL, P.GET_ASSERTION], ids=["mc", "ga"])
@pytest.mark.parametrize("first", [P.MAKE_CREDENTIAL, P.GET_ASSERTION], ids=["mc-then", "ga-then"])
def test_a_touch_uses_up_the_permissions_for_credentials(with_pin, first, second):
    require_mc_ga(with_pin)
    known = with_pin.make()
    protocol, token = get_token(with_pin, MC_GA, RP["id"])
    if first == P.MAKE_CREDENTIAL:
        use_mc(with_pin, protocol, token)
    else:
        use_ga(with_pin, protocol, token, known)
    with refused(ERR.PIN_AUTH_INVALID):
        if second == P.MAKE_CREDENTIAL:
            use_mc(with_pin, protocol, token)
        else:
            use_ga(with_pin, protocol, token, known)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 14; 6.5.3.2 (clear...ExceptLbw)", needs=TOKENS)
@pytest.mark.parametrize(
    "permission", [P.CREDENTIAL_MGMT, P.AUTHENTICATOR_CFG], ids=lambda one: one.name.lower()
)
def test_a_touch_uses_up_the_other_permissions_as_well(with_pin, permission):
    require_permissions(with_pin, permission | P.MAKE_CREDENTIAL)
    protocol, token = get_token(with_pin, permission | P.MAKE_CREDENTIAL, RP["id"])
    use_mc(with_pin, protocol, token)
    with refused(ERR.PIN_AUTH_INVALID):
        USES[permission](with_pin, protocol, token)


@pytest.mark.case("CTAP 2.1, 6.5.3.2 (clear...ExceptLbw)", needs=TOKENS)
def test_a_touch_leaves_the_permission_to_write_large_blobs(with_pin):
    require_permissions(with_pin, P.LARGE_BLOB_WRITE | P.MAKE_CREDENTIAL)
    protocol, token = get_token(with_pin, P.LARGE_BLOB_WRITE | P.MAKE_CREDENTIAL, RP["id"])
    use_mc(with_pin, protocol, token)
    USES[P.LARGE_BLOB_WRITE](with_pin, protocol, token)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 9 (only if 'up' is true)", needs=TOKENS)
def test_an_assertion_without_a_touch_uses_up_nothing(with_pin):
    require_mc_ga(with_pin)
    known = with_pin.make()
    protocol, token = get_token(with_pin, P.GET_ASSERTION, RP["id"])
    for _ in range(2):
        silent = use_ga(with_pin, protocol, token, known, options={"up": False})
        assert silent.auth_data.is_user_verified()
        assert not silent.auth_data.is_user_present()
    touched = use_ga(with_pin, protocol, token, known)
    assert touched.auth_data.is_user_verified()
    assert touched.auth_data.is_user_present()


@pytest.mark.case("CTAP 2.1, 6.8; 6.5.3.2", needs=(*TOKENS, "credMgmt"))
def test_managing_credentials_uses_up_nothing(with_pin):
    require_permissions(with_pin, P.CREDENTIAL_MGMT)
    protocol, token = get_token(with_pin, P.CREDENTIAL_MGMT)
    for _ in range(3):
        assert use_cm(with_pin, protocol, token)[1] == 0


# How long a token lives


DEAD = (ERR.PIN_AUTH_INVALID, ERR.PIN_TOKEN_EXPIRED)
"""6.5.6 (verify) has PIN_AUTH_INVALID; 8.2 still lists 'pinUvAuthToken expired' for the same."""


def must_be_dead(authenticator: Authenticator, protocol: PinProtocol, token: bytes) -> None:
    """Check that a token with the cm permission no longer counts."""
    with refused(*DEAD):
        use_cm(authenticator, protocol, token)


def cm_token(authenticator: Authenticator, version: int = 2) -> tuple[PinProtocol, bytes]:
    require_permissions(authenticator, P.CREDENTIAL_MGMT)
    return get_token(authenticator, P.CREDENTIAL_MGMT, version=version)


@pytest.mark.waits(31)
@pytest.mark.case("CTAP 2.1, 6.5.2.1 (initial usage time limit: at most 30 seconds on USB)", needs=TOKENS)
@BOTH
def test_a_token_that_is_not_used_in_time_dies(with_pin, version):
    protocol, token = cm_token(with_pin, version)
    with_pin.rig.clock.wait_us(31_000_000)
    must_be_dead(with_pin, protocol, token)


@pytest.mark.waits(31)
@pytest.mark.case("CTAP 2.1, 6.5.2.1 (initial usage time limit)", needs=TOKENS)
def test_a_token_that_is_not_used_in_time_makes_no_credential(with_pin):
    require_mc_ga(with_pin)
    protocol, token = get_token(with_pin)
    with_pin.rig.clock.wait_us(31_000_000)
    with refused(*DEAD):
        use_mc(with_pin, protocol, token)


@pytest.mark.waits(601)
@pytest.mark.case(
    "CTAP 2.1, 6.5.2.1 (max usage time period: it SHOULD be ten minutes at most)",
    needs=TOKENS,
    level="SHOULD",
)
def test_a_token_dies_after_ten_minutes_however_often_it_is_used(with_pin):
    protocol, token = cm_token(with_pin)
    started_us = with_pin.rig.clock.now_us
    while with_pin.rig.clock.now_us - started_us < 580_000_000:
        if unless_refused(lambda: use_cm(with_pin, protocol, token), *DEAD) is None:
            # A shorter period may end it sooner (6.5.2.1).
            break
        with_pin.rig.clock.wait_us(15_000_000)
    with_pin.rig.clock.wait_us(601_000_000 - (with_pin.rig.clock.now_us - started_us))
    must_be_dead(with_pin, protocol, token)


@pytest.mark.case("CTAP 2.1, 6.5.5.1; 6.5.6 (initialize)", needs=TOKENS)
@BOTH
def test_a_token_does_not_survive_a_power_cycle(with_pin, version):
    protocol, token = cm_token(with_pin, version)
    use_cm(with_pin, protocol, token)
    with_pin.power_cycle()
    must_be_dead(with_pin, protocol, token)


@pytest.mark.case("CTAP 2.1, 6 (stateful commands); 6.5.5.1", needs=PINS)
def test_assertions_for_a_verified_user_are_not_continued_after_a_power_cycle(with_pin):
    require_mc_ga(with_pin)
    resident(with_pin)
    with_pin.make(options={"rk": True}, user={"id": b"user-2", "name": "user-2", "displayName": "Two"})
    assertion = use_ga(with_pin, *get_token(with_pin))
    assert assertion.number_of_credentials == 2
    with_pin.power_cycle()
    with refused(ERR.NOT_ALLOWED):
        with_pin.ctap.get_next_assertion()


RENEWALS = {
    "another-by-the-same-protocol": lambda key, version: get_token(key, P.CREDENTIAL_MGMT, version=version),
    "another-by-the-other-protocol": lambda key, version: get_token(
        key, P.CREDENTIAL_MGMT, version=3 - version
    ),
    "one-of-getPinToken": lambda key, version: get_token(key, version=version),
    "a-changed-pin": lambda key, version: Exchange(key, version).send(CHANGE, new_pin=OTHER_PIN),
    "a-pin-changed-by-the-other-protocol": lambda key, version: Exchange(key, 3 - version).send(
        CHANGE, new_pin=OTHER_PIN
    ),
}


@pytest.mark.case("CTAP 2.1, 6.5.5.6 step 19; 6.5.5.7.1 step 12; 6.5.5.7.2 step 13", needs=TOKENS)
@pytest.mark.parametrize("renewal", RENEWALS)
@BOTH
def test_a_token_dies_when_there_is(with_pin, version, renewal):
    protocol, token = cm_token(with_pin, version)
    use_cm(with_pin, protocol, token)
    RENEWALS[renewal](with_pin, version)
    must_be_dead(with_pin, protocol, token)


@pytest.mark.case("CTAP 2.1, 6.6; 6.5.3.1 (pinUvAuthToken)", needs=TOKENS)
def test_a_token_does_not_survive_a_reset(with_pin):
    with_pin.power_cycle()
    protocol, token = cm_token(with_pin)
    with_pin.reset()
    best(with_pin).send(SET, new_pin=PIN)
    must_be_dead(with_pin, protocol, token)


@pytest.mark.case("CTAP 2.1, 6.5.6 (verify: 'not in use')", needs=TOKENS)
@pytest.mark.parametrize(
    "token",
    [b"", bytes(16), bytes(32), b"\xff" * 32],
    ids=["no-bytes", "16-zeros", "32-zeros", "32-ones"],
)
@BOTH
def test_before_a_token_was_given_none_is_valid(with_pin, version, token):
    if not with_pin.info.options.get("credMgmt"):
        not_offered("option credMgmt is not true")
    must_be_dead(with_pin, protocol_called(with_pin, version), token)


@pytest.mark.case("CTAP 2.1, 6.5.4 (each protocol has its own pinUvAuthToken)", needs=TOKENS)
@BOTH
def test_a_token_of_one_protocol_is_none_of_the_other(with_pin, version):
    other = protocol_called(with_pin, 3 - version)
    protocol, token = cm_token(with_pin, version)
    with refused(ERR.PIN_AUTH_INVALID):
        use_cm(with_pin, other, token)
    assert use_cm(with_pin, protocol, token)[1] == 0


@pytest.mark.case("CTAP 2.1, 6.5.6 and 6.5.7 (verify); 6.1.2 step 11.1.1", needs=PINS)
@pytest.mark.parametrize(
    "spoil",
    [lambda param: flipped(param), lambda param: param[:-1], lambda param: param + b"\0"],
    ids=["one-bit-wrong", "one-byte-short", "one-byte-long"],
)
@BOTH
def test_a_spoilt_pinuvauthparam_makes_no_credential(with_pin, version, spoil):
    require_mc_ga(with_pin)
    protocol, token = get_token(with_pin, version=version)
    parameter = spoil(protocol.authenticate(token, HASH))
    with refused(ERR.PIN_AUTH_INVALID):
        with_pin.make(pin_uv_param=parameter, pin_uv_protocol=version)
    assert use_mc(with_pin, protocol, token).auth_data.is_user_verified()


@pytest.mark.case("CTAP 2.1, 6.5.5.7.1 step 11; 6.11.4", needs=(*TOKENS, "authnrCfg", "setMinPINLength"))
@pytest.mark.parametrize("version", [1, 2], ids=["protocol-1", "protocol-2"])
def test_no_token_is_given_while_the_pin_must_be_changed(with_pin, version):
    require_permissions(with_pin, P.AUTHENTICATOR_CFG)
    configure(with_pin, *get_token(with_pin, P.AUTHENTICATOR_CFG, version=version), 0x03, {3: True})
    with refused(ERR.PIN_INVALID):
        get_token(with_pin, version=version)
    with refused_as(with_pin, "token with permissions while the PIN must be changed"):
        get_token(with_pin, P.AUTHENTICATOR_CFG, version=version)
    assert tries(with_pin) == with_pin.tries_max, "the PIN itself was right (step 10)"


@pytest.mark.case("CTAP 2.1, 6.5.5.5 step 8", needs=PINS)
def test_the_padding_is_no_part_of_the_pin(with_pin):
    exchange = best(with_pin)
    exchange.send(CHANGE, new_pin=padded(OTHER_PIN))
    with refused(ERR.PIN_INVALID):
        get_token(with_pin, version=exchange.version, pin=padded(OTHER_PIN).decode())
    assert get_token(with_pin, version=exchange.version, pin=OTHER_PIN)[1]
