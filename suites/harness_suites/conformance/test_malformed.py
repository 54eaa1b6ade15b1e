"""Requests that are not CBOR, not canonical CBOR, or have wrong members: refused, without damage.

CTAP 2.1, section 8. That unknown members are ignored is a requirement (MUST). That CBOR which is not in the canonical
form is rejected is a recommendation (SHOULD), and so are the codes of section 8.2: those cases say so, and a key that
does otherwise deviates. `Asker.refused`, `refused_somehow` and `accepted` check afterwards that the key still answers.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from fido2.ctap import CtapError

from harness.api import NOT_OFFERED, deviates
from harness_suites.conformance.device import ES256, HASH, RP, USER
from harness_suites.conformance.handmade import (
    ARRAY,
    BYTES,
    MAP,
    NINT,
    TAG,
    TAKEN,
    TEXT,
    UINT,
    Asker,
    encode,
    hand_map,
    head,
    nested,
)

ERR = CtapError.ERR
MAKE, GET, GET_INFO, PIN, MANAGE, BLOBS, CONFIG = 0x01, 0x02, 0x04, 0x06, 0x0A, 0x0C, 0x0D

MALFORMED = (ERR.INVALID_CBOR, ERR.INVALID_LENGTH)
"""No CBOR at all: "error when parsing CBOR", or "invalid message or item length" (8.2)."""
NOT_CANONICAL = (ERR.INVALID_CBOR, ERR.CBOR_UNEXPECTED_TYPE)
"""CBOR in another form: section 8 recommends to reject it and fixes no code; 8.2 has two for CBOR."""
WRONG_TYPE = (ERR.CBOR_UNEXPECTED_TYPE, ERR.INVALID_CBOR)
"""A known member of the wrong type: section 8 recommends the first, 6.1.2 step 3 calls it an example, and to
a key whose decoder knows the types it is an error of parsing."""
INCOMPLETE = (ERR.MISSING_PARAMETER, ERR.INVALID_CBOR, ERR.INVALID_PARAMETER)
"""A structure inside a request that lacks a member: "an error, for example ..." (6.1.2 step 3.1.1)."""

CREATION = {1: HASH, 2: RP, 3: USER, 4: [ES256]}
ASSERTION = {1: RP["id"], 2: HASH}
LISTED = 23
"""Placeholder for a PIN/UV auth protocol in hand-written requests: `listed` replaces it by one that the key lists."""
RETRIES = encode({1: LISTED, 2: 1})
"""getPINRetries: needs neither touch nor PIN. CTAP 2.1 looks at no protocol for it, CTAP 2.0 did (6.5.5.2)."""
NEEDS = {PIN: "clientPin", MANAGE: "credMgmt", BLOBS: "largeBlobs", CONFIG: "authnrCfg"}


@pytest.fixture
def asker(blank):
    return Asker(blank)


def require(asker, command):
    """Skip unless the key has a command (section 6.4)."""
    name = NEEDS.get(command)
    options = asker.authenticator.info.options
    if name and not (name in options if name == "clientPin" else options.get(name)):
        pytest.skip(f"{NOT_OFFERED}: {name} is not true in getInfo")


def listed(asker, data):
    """Return the data with LISTED replaced by a protocol that the key lists."""
    protocol = next(iter(asker.authenticator.info.pin_uv_protocols), 1)
    return data.replace(bytes((LISTED,)), bytes((protocol,)))


PROTOCOL_MEMBER = {PIN: 1, MANAGE: 3}
"""Command -> its member that names the PIN/UV auth protocol, which is 1 in the tables below."""


def of_listed_protocol(asker, command, members):
    """Return the members with a protocol that the key lists."""
    number = PROTOCOL_MEMBER.get(command)
    if members.get(number) != 1:
        return members
    return {**members, number: next(iter(asker.authenticator.info.pin_uv_protocols), 1)}


def request(command, members):
    return bytes((command,)) + encode(members)


def creation(**spelt):
    """Return a makeCredential request with these encoded members in place of its own: hash, rp, user, params."""
    parts = {"hash": HASH, "rp": RP, "user": USER, "params": [ES256]}
    members = [spelt.get(name, encode(value)) for name, value in parts.items()]
    return bytes((MAKE,)) + hand_map(*((encode(key), value) for key, value in enumerate(members, 1)))


# No CBOR


TRUNCATED = {
    "nothing but the head of a map": b"\xa2",
    "a value is missing": b"\xa2\x01\x01\x02",
    "a member is missing": b"\xa3\x01\x01\x02\x01",
    "an integer ends in its head": b"\xa1\x02\x19\x01",
    "a byte string is too short": b"\xa1\x06" + head(BYTES, 16) + b"four",
    "a text is too short": b"\xa1\x0a" + head(TEXT, 20) + b"four",
    "an array is too short": b"\xa1\x03\x82\x01",
    "a map in the map is too short": b"\xa1\x03\xa2\x01\x02",
}


@pytest.mark.case("CTAP 2.1, 8 and 8.2", needs="clientPin")
@pytest.mark.parametrize("data", TRUNCATED.values(), ids=TRUNCATED)
def test_a_request_that_ends_too_early_is_refused(asker, data):
    asker.refused_somehow(bytes((PIN,)) + data, *MALFORMED)


@pytest.mark.case("CTAP 2.1, 8 and 8.2")
@pytest.mark.parametrize("command, members", [(MAKE, CREATION), (GET, ASSERTION)], ids=["make", "get"])
def test_a_request_that_ends_at_any_byte_is_refused(asker, command, members):
    whole = request(command, members)
    for size in range(2, len(whole)):
        status, body = asker.ask(whole[:size])
        assert status not in TAKEN, f"status {status:#04x} to the first {size} bytes of {len(whole)}"
        if status not in MALFORMED:
            deviates(
                f"truncated CBOR refused with {status:#04x}; recommended: {' or '.join(map(repr, MALFORMED))}"
            )
        assert body == b""
    asker.is_alive()


@pytest.mark.case("CTAP 2.1, 8.2")
@pytest.mark.parametrize("command", [MAKE, GET, PIN, MANAGE, BLOBS, CONFIG], ids=lambda one: f"{one:#04x}")
def test_a_command_without_its_parameters_is_refused(asker, command):
    # Members that are not there, or a map that is not there: 8.2 has a code for each. Large blobs say
    # INVALID_PARAMETER for what is missing (6.10.1, 6.10.2).
    require(asker, command)
    codes = (ERR.MISSING_PARAMETER, *MALFORMED, ERR.CBOR_UNEXPECTED_TYPE)
    asker.refused_somehow(bytes((command,)), *codes, *([ERR.INVALID_PARAMETER] if command == BLOBS else []))


OVERSIZED = {
    f"{name}, {size} bytes of length": head(major, (1 << 8 * size) - 1, size)
    for name, major in (("bytes", BYTES), ("text", TEXT), ("array", ARRAY), ("map", MAP))
    for size in (2, 4, 8)
}


@pytest.mark.case("CTAP 2.1, 8 and 8.2")
@pytest.mark.parametrize("item", OVERSIZED.values(), ids=OVERSIZED)
def test_an_item_that_claims_more_than_there_is_is_refused(asker, item):
    # A limit of the key may be met before the end of the message is (8.2, LIMIT_EXCEEDED).
    asker.refused_somehow(creation(hash=item), *MALFORMED, *WRONG_TYPE, ERR.LIMIT_EXCEEDED)


@pytest.mark.case("CTAP 2.1, 8 and 8.2", needs="clientPin")
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_a_map_that_claims_more_members_than_there_are_is_refused(asker, size):
    opening = head(MAP, (1 << 8 * size) - 1, size)
    asker.refused_somehow(
        bytes((PIN,)) + opening + listed(asker, RETRIES[1:]), *MALFORMED, ERR.LIMIT_EXCEEDED
    )


ILL_FORMED = {
    "reserved head 28": b"\xa1\x02\x1c",
    "reserved head 30": b"\xa1\x02\x1e",
    "a break on its own": b"\xff",
    "a break for a value": b"\xa1\x02\xff",
    "an indefinite integer": b"\xa1\x02\x1f",
    "a simple value in two bytes that has one": b"\xa1\x02\xf8\x01",
    "ones": b"\xff" * 40,
}


@pytest.mark.case("CTAP 2.1, 8 and RFC 8949, 3 (not well-formed)", needs="clientPin")
@pytest.mark.parametrize("data", ILL_FORMED.values(), ids=ILL_FORMED)
def test_what_is_not_well_formed_is_refused(asker, data):
    asker.refused_somehow(bytes((PIN,)) + data, *MALFORMED, ERR.CBOR_UNEXPECTED_TYPE)


# CBOR in another form than the canonical one


NON_CANONICAL_RETRIES = {
    "a key longer than it need be": b"\xa2\x01\x17\x18\x02\x01",
    "a value in 2 bytes": b"\xa2\x01\x17\x02\x18\x01",
    "a value in 3 bytes": b"\xa2\x01\x17\x02\x19\x00\x01",
    "a value in 5 bytes": b"\xa2\x01\x17\x02" + head(UINT, 1, 4),
    "a value in 9 bytes": b"\xa2\x01\x17\x02" + head(UINT, 1, 8),
    "a map's length in 2 bytes": head(MAP, 2, 1) + RETRIES[1:],
    "keys out of order": b"\xa2\x02\x01\x01\x17",
    "a map of indefinite length": b"\xbf" + RETRIES[1:] + b"\xff",
    "a tag on the map": head(TAG, 55799, 2) + RETRIES,
    "a tag on a value": b"\xa2\x01\x17\x02" + head(TAG, 1) + b"\x01",
    "a text key before integers": b"\xa3\x61x\x00" + RETRIES[1:],
    "a negative key before positive ones": b"\xa3\x20\x00" + RETRIES[1:],
}


@pytest.mark.case("CTAP 2.1, 8 (decoders SHOULD reject)", needs="clientPin", level="SHOULD")
@pytest.mark.parametrize("data", NON_CANONICAL_RETRIES.values(), ids=NON_CANONICAL_RETRIES)
def test_cbor_that_is_not_canonical_is_refused_as_recommended(asker, data):
    asker.refused(bytes((PIN,)) + listed(asker, data), *NOT_CANONICAL)


@pytest.mark.case("CTAP 2.1, 8 (decoders SHOULD reject)", needs="clientPin", level="SHOULD")
@pytest.mark.parametrize(
    "data", [b"\xa3\x01\x17\x02\x01\x02\x01", b"\xa3\x01\x17\x02\x01\x02\x05"], ids=["equal", "different"]
)
def test_a_key_that_is_there_twice_is_refused_as_recommended(asker, data):
    asker.refused(bytes((PIN,)) + listed(asker, data), *NOT_CANONICAL, ERR.INVALID_PARAMETER)


@pytest.mark.case("CTAP 2.1, 8 (decoders SHOULD reject)", needs="clientPin", level="SHOULD")
@pytest.mark.parametrize("more", [b"\0", RETRIES, b"\xff"], ids=["a byte", "another map", "a break"])
def test_what_follows_the_parameters_is_refused_as_recommended(asker, more):
    asker.refused(bytes((PIN,)) + listed(asker, RETRIES + more), *NOT_CANONICAL, ERR.INVALID_LENGTH)


ID, NAME = (encode("id"), encode(RP["id"])), (encode("name"), encode("x"))
NON_CANONICAL_CREATION = {
    "keys of the rp out of order": {"rp": hand_map(NAME, ID)},
    "a key of the rp twice": {"rp": hand_map(ID, ID)},
    "the rp in a map of indefinite length": {"rp": hand_map(ID, opening=b"\xbf", closing=b"\xff")},
    "the rp's id in chunks": {"rp": hand_map((ID[0], b"\x7f" + ID[1] + b"\xff"))},
    "the rp's id with a length in 3 bytes": {
        "rp": hand_map((ID[0], head(TEXT, len(RP["id"]), 2) + RP["id"].encode()))
    },
    "the hash in chunks": {"hash": b"\x5f" + encode(HASH[:16]) + encode(HASH[16:]) + b"\xff"},
    "the hash with a length in 3 bytes": {"hash": head(BYTES, 32, 2) + HASH},
    "the hash with a tag": {"hash": head(TAG, 2) + encode(HASH)},
    "the algorithms in an array of indefinite length": {"params": b"\x9f" + encode(ES256) + b"\xff"},
    "an array's length in 2 bytes": {"params": head(ARRAY, 1, 1) + encode(ES256)},
    "an algorithm in 2 bytes": {
        "params": b"\x81"
        + hand_map((encode("alg"), head(NINT, 6, 1)), (encode("type"), encode("public-key")))
    },
    "an algorithm as a float": {
        "params": b"\x81" + hand_map((encode("alg"), b"\xf9\xc7\x00"), (encode("type"), encode("public-key")))
    },
}


@pytest.mark.case("CTAP 2.1, 8 (decoders SHOULD reject)", level="SHOULD")
@pytest.mark.parametrize("spelt", NON_CANONICAL_CREATION.values(), ids=NON_CANONICAL_CREATION)
def test_a_request_with_something_not_canonical_inside_is_refused_as_recommended(asker, spelt):
    asker.refused(creation(**spelt), *NOT_CANONICAL)


@pytest.mark.case("CTAP 2.1, 8 and RFC 8949, 3.1 (text is UTF-8)", level="SHOULD")
@pytest.mark.parametrize("text", [b"\xff\xfe", b"\xc0\xaf", b"ab\xe2\x82"], ids=["no", "overlong", "cut"])
def test_text_that_is_not_utf_8_is_refused_as_recommended(asker, text):
    spelt = head(TEXT, len(text)) + text
    asker.refused(creation(rp=hand_map((ID[0], spelt))), *NOT_CANONICAL, ERR.INVALID_PARAMETER)


# Wrong types


@pytest.mark.case("CTAP 2.1, 8 (parameters are a map)", needs="clientPin")
@pytest.mark.parametrize(
    "data",
    [[1, 2], 1, -1, "text", b"bytes", True, None],
    ids=["array", "integer", "negative", "text", "bytes", "true", "null"],
)
def test_parameters_that_are_no_map_are_refused(asker, data):
    asker.refused_somehow(request(PIN, data), *WRONG_TYPE)


_Row = tuple[int, Mapping[int, object], int, object]
"""Command, its right members, the key of one of them, and a value of a wrong type for it."""
SET_PIN = {1: 1, 2: 3, 3: {1: 2, 3: -25, -1: 1, -2: b"x" * 32, -3: b"y" * 32}, 4: bytes(16), 5: bytes(64)}
PIN_TOKEN = {1: 1, 2: 9, 3: SET_PIN[3], 6: bytes(16), 9: 1, 10: RP["id"]}


def _wrong(command: int, members: Mapping[int, object], key: int, *values: object) -> list[_Row]:
    return [(command, members, key, value) for value in values]


WRONG_TYPES: list[_Row] = [
    *_wrong(MAKE, CREATION, 1, "text", 1, [HASH]),
    *_wrong(MAKE, CREATION, 2, "text", [RP], None),
    *_wrong(MAKE, CREATION, 3, b"bytes", [USER]),
    *_wrong(MAKE, CREATION, 4, ES256, "text", b""),
    *_wrong(MAKE, CREATION, 5, {}, b"bytes"),
    *_wrong(MAKE, CREATION, 6, [], "hmac-secret"),
    *_wrong(MAKE, CREATION, 7, [], True, {"rk": 1}, {"up": "true"}),
    (MAKE, {**CREATION, 9: 1}, 8, "text"),
    (MAKE, {**CREATION, 8: bytes(16)}, 9, "text"),
    (MAKE, CREATION, 2, {"id": RP["id"].encode()}),
    (MAKE, CREATION, 3, {"id": "text"}),
    (MAKE, CREATION, 3, {"id": b"user", "name": b"bytes"}),
    (MAKE, CREATION, 5, [b"bytes"]),
    (MAKE, CREATION, 5, [{"type": "public-key", "id": "text"}]),
    *_wrong(GET, ASSERTION, 1, RP["id"].encode(), RP, 1),
    *_wrong(GET, ASSERTION, 2, "text", 1),
    *_wrong(GET, ASSERTION, 3, {}, "text", [b"bytes"]),
    (GET, ASSERTION, 3, [{"type": "public-key", "id": "text"}]),
    *_wrong(GET, ASSERTION, 4, [], "text"),
    *_wrong(GET, ASSERTION, 5, [], {"up": 1}),
    (GET, {**ASSERTION, 7: 1}, 6, "text"),
    (GET, {**ASSERTION, 6: bytes(16)}, 7, "text"),
    (PIN, {1: 1, 2: 2}, 1, "text"),
    (PIN, {1: 1, 2: 2}, 2, "text"),
    (PIN, SET_PIN, 3, [1, 2]),
    (PIN, SET_PIN, 4, "text"),
    (PIN, SET_PIN, 5, "text"),
    (PIN, PIN_TOKEN, 6, "text"),
    (PIN, PIN_TOKEN, 9, "text"),
    (PIN, PIN_TOKEN, 10, b"bytes"),
    (MANAGE, {1: 1, 3: 1, 4: bytes(16)}, 1, "text"),
    (MANAGE, {1: 4, 3: 1, 4: bytes(16)}, 2, [1]),
    (MANAGE, {1: 1, 3: 1, 4: bytes(16)}, 3, "text"),
    (MANAGE, {1: 1, 3: 1, 4: bytes(16)}, 4, "text"),
    (BLOBS, {1: 17, 3: 0}, 1, "text"),
    (BLOBS, {1: 17, 3: 0}, 3, "text"),
    (BLOBS, {3: 0, 4: 17}, 2, "text"),
    (CONFIG, {1: 3, 2: {1: 4}}, 1, "text"),
    (CONFIG, {1: 3, 2: {1: 4}}, 2, [1]),
]


BEFORE_PARAMETERS = [row for row in WRONG_TYPES if row[0] in (MANAGE, CONFIG) and row[2] == 2]


def _wrong_type_id(row):
    command, _, key, wrong = row
    return f"{command:#04x}-{key:#04x}-{wrong!r:.40}"


@pytest.mark.case("CTAP 2.1, 8 and 8.2")
@pytest.mark.parametrize("row", WRONG_TYPES, ids=_wrong_type_id)
def test_a_member_of_the_wrong_type_is_refused(asker, row):
    command, members, key, wrong = row
    require(asker, command)
    members = of_listed_protocol(asker, command, members)
    if key == 9 and command == PIN and not asker.authenticator.info.options.get("pinUvAuthToken"):
        pytest.skip(f"{NOT_OFFERED}: pinUvAuthToken is not true in getInfo")
    # Where the key verifies pinUvAuthParam before it looks into subCommandParams, that says no first.
    first = (ERR.PIN_AUTH_INVALID, ERR.PIN_NOT_SET, ERR.PUAT_REQUIRED) if row in BEFORE_PARAMETERS else ()
    asker.refused_somehow(request(command, {**members, key: wrong}), *WRONG_TYPE, *first)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 3.1.2 (an error, for example CBOR_UNEXPECTED_TYPE)")
@pytest.mark.parametrize(
    "entry",
    ["public-key", b"", {"alg": "ES256", "type": "public-key"}, {"alg": -7, "type": 1}],
    ids=["text", "bytes", "alg", "type"],
)
def test_an_algorithm_of_the_wrong_type_is_refused(asker, entry):
    asker.refused_somehow(request(MAKE, {**CREATION, 4: [entry]}), *WRONG_TYPE, ERR.INVALID_PARAMETER)


# Members that are missing


MISSING = [
    *((MAKE, CREATION, key) for key in CREATION),
    *((GET, ASSERTION, key) for key in ASSERTION),
    (PIN, {1: 1, 2: 1}, 2),
    (PIN, {1: 1, 2: 2}, 1),
    *((PIN, SET_PIN, key) for key in (1, 3, 4, 5)),
    *((PIN, {1: 1, 2: 5, 3: SET_PIN[3], 6: bytes(16)}, key) for key in (1, 3, 6)),
    (MANAGE, {1: 1}, 1),
    (CONFIG, {1: 3}, 1),
]


@pytest.mark.case("CTAP 2.1, 8, 8.2 and 6.5.5 (MISSING_PARAMETER)")
@pytest.mark.parametrize(
    "row", MISSING, ids=lambda row: f"{row[0]:#04x}-{row[1].get(2, '')!r:.2}-{row[2]:#04x}"
)
def test_a_request_without_a_required_member_is_refused(asker, row):
    command, members, key = row
    require(asker, command)
    members = of_listed_protocol(asker, command, members)
    asker.refused(
        request(command, {one: value for one, value in members.items() if one != key}), ERR.MISSING_PARAMETER
    )


INCOMPLETE_PARTS = {
    "rp without id": {2: {"name": "x"}},
    "user without id": {3: {"name": "x"}},
    "algorithm without alg": {4: [{"type": "public-key"}]},
    "algorithm without type": {4: [{"alg": -7}]},
    "algorithm without anything": {4: [{}]},
    "excluded credential without id": {5: [{"type": "public-key"}]},
    "excluded credential without type": {5: [{"id": bytes(16)}]},
}


@pytest.mark.case("CTAP 2.1, 6.1.2 step 3.1.1 and 8")
@pytest.mark.parametrize("members", INCOMPLETE_PARTS.values(), ids=INCOMPLETE_PARTS)
def test_a_request_with_an_incomplete_part_is_refused(asker, members):
    asker.refused_somehow(request(MAKE, {**CREATION, **members}), *INCOMPLETE)


@pytest.mark.case("CTAP 2.1, 8")
@pytest.mark.parametrize("entry", [{"type": "public-key"}, {"id": bytes(16)}], ids=["no id", "no type"])
def test_an_allow_list_with_an_incomplete_entry_is_refused(asker, entry):
    asker.refused_somehow(request(GET, {**ASSERTION, 3: [entry]}), *INCOMPLETE)


# Unknown members


SURPLUS: dict[str, dict[int | str, object]] = {
    "an integer key": {0x5A: 1},
    "a negative key": {-90: 1},
    "a text key": {"keyharness": 1},
    "a long value": {0x5A: bytes(400)},
    "as many levels as a request may have": {0x5A: {1: [[0]]}},
    "null": {0x5A: None},
    "something in the rp": {2: {**RP, "keyharness": {"a": [1]}}},
    "something in the user": {3: {**USER, "keyharness": b"x"}},
    "something in an algorithm": {4: [{**ES256, "keyharness": 1}]},
    "an integer key in the user": {3: dict([*USER.items(), (7, 1)])},
    "something in an excluded credential": {5: [{"type": "public-key", "id": bytes(32), "keyharness": 1}]},
    "transports of an excluded credential": {
        5: [{"type": "public-key", "id": bytes(32), "transports": ["usb", "keyharness"]}]
    },
}


@pytest.mark.case("CTAP 2.1, 8 (unknown map keys MUST be ignored)")
@pytest.mark.parametrize("members", SURPLUS.values(), ids=SURPLUS)
def test_what_a_key_does_not_know_in_make_credential_is_ignored(asker, members):
    asker.accepted(request(MAKE, {**CREATION, **members}))


@pytest.mark.case("CTAP 2.1, 6.1.2 step 5 (unknown option keys are ignored)")
def test_an_option_of_make_credential_that_a_key_does_not_know_is_ignored(asker):
    asker.accepted(request(MAKE, {**CREATION, 7: {"keyharness": True}}))


@pytest.mark.case("CTAP 2.1, 6.1.2 step 15 and WebAuthn 2, 9 (unknown extensions are ignored)")
@pytest.mark.parametrize("value", [True, {"deep": [1]}, b"\0"], ids=["true", "map", "bytes"])
def test_an_extension_of_make_credential_that_a_key_does_not_know_is_ignored(asker, value):
    asker.accepted(request(MAKE, {**CREATION, 6: {"keyharness": value}}))


@pytest.mark.case("CTAP 2.1, 6.1.2 step 3.1 (other types and algorithms are passed over)")
@pytest.mark.parametrize("before", [{"alg": -65000, "type": "public-key"}, {"alg": -7, "type": "keyharness"}])
def test_an_algorithm_that_a_key_does_not_know_is_passed_over(asker, before):
    asker.accepted(request(MAKE, {**CREATION, 4: [before, ES256]}))


@pytest.mark.case("CTAP 2.1, 8 (unknown map keys MUST be ignored)")
@pytest.mark.parametrize(
    "surplus",
    [{0x5A: 1}, {"keyharness": [1]}, {5: {"keyharness": True}}, {4: {"keyharness": True}}],
    ids=["integer", "text", "option", "extension"],
)
def test_what_a_key_does_not_know_in_get_assertion_is_ignored(asker, surplus):
    made = asker.authenticator.make()
    credential = {"type": "public-key", "id": made.auth_data.credential_data.credential_id}
    asker.accepted(request(GET, {**ASSERTION, 3: [{**credential, "keyharness": 1}], **surplus}))


@pytest.mark.case("CTAP 2.1, 8 (unknown map keys MUST be ignored)", needs="clientPin")
@pytest.mark.parametrize("surplus", [{0x5A: 1}, {"keyharness": [1]}], ids=["integer", "text"])
def test_what_a_key_does_not_know_in_client_pin_is_ignored(asker, surplus):
    retries = listed(asker, bytes((PIN,)) + RETRIES)
    assert asker.accepted(listed(asker, request(PIN, {1: LISTED, 2: 1, **surplus}))) == asker.accepted(
        retries
    )


# Nesting and size


@pytest.mark.case("CTAP 2.1, 8 (at most four levels)")
@pytest.mark.parametrize("levels", [4, 16, 250])
def test_parameters_nested_too_deep_do_no_harm(asker, levels):
    """A client must not send it. A key may refuse it, or ignore it as unknown."""
    members = [(encode(key), encode(value)) for key, value in CREATION.items()]
    deep = bytes((MAKE,)) + hand_map(*members, (encode(0x5A), nested(levels)))
    status, _ = asker.ask(deep)
    refusals = (*NOT_CANONICAL, ERR.LIMIT_EXCEEDED, ERR.INVALID_PARAMETER, ERR.REQUEST_TOO_LARGE)
    done = () if asker.authenticator.rig.touch.can_withhold else (0,)
    assert status in (*refusals, ERR.KEEPALIVE_CANCEL, *done), f"status {status:#04x}"
    asker.is_alive()


@pytest.mark.case("CTAP 2.1, 8", needs="clientPin")
@pytest.mark.parametrize("byte", [b"\x81", b"\xa1", b"\x9f", b"\xbf", b"\xc1"], ids=lambda one: one.hex())
def test_as_many_levels_as_a_message_holds_are_refused(asker, byte):
    size = asker.authenticator.info.max_msg_size - 1
    codes = (*MALFORMED, *WRONG_TYPE, ERR.LIMIT_EXCEEDED, ERR.INVALID_PARAMETER, ERR.REQUEST_TOO_LARGE)
    asker.refused_somehow(bytes((PIN,)) + byte * size, *codes)


@pytest.mark.case("CTAP 2.1, 6.4 (maxMsgSize) and 8", needs="clientPin")
@pytest.mark.parametrize("byte", [0x00, 0x60, 0xA0], ids=["zeros", "empty texts", "empty maps"])
def test_a_message_as_long_as_can_be_full_of_rubbish_is_refused(asker, byte):
    size = asker.authenticator.info.max_msg_size - 1
    codes = (*MALFORMED, *WRONG_TYPE, ERR.MISSING_PARAMETER, ERR.REQUEST_TOO_LARGE)
    asker.refused_somehow(bytes((PIN,)) + bytes((byte,)) * size, *codes)


@pytest.mark.case("CTAP 2.1, 8", needs="clientPin")
def test_a_request_with_hundreds_of_unknown_members_is_served_or_refused(asker):
    members = {
        1: next(iter(asker.authenticator.info.pin_uv_protocols), 1),
        2: 1,
        **{0x100 + number: number for number in range(200)},
    }
    status, _ = asker.ask(request(PIN, members))
    # MUST be ignored; a key may still have a limit, and say so (8.2).
    assert status in (0, ERR.LIMIT_EXCEEDED, ERR.REQUEST_TOO_LARGE)
    asker.is_alive()


# Commands


@pytest.mark.case("CTAP 2.1, 8.1 and 8.2 (INVALID_COMMAND)")
@pytest.mark.parametrize("data", [b"", encode({1: 1})], ids=["bare", "with parameters"])
@pytest.mark.parametrize("command", [0x00, 0x03, 0x05, 0x20, 0x3F, 0xC0, 0xFF], ids=lambda one: f"{one:#04x}")
def test_a_command_that_does_not_exist_is_refused(asker, command, data):
    # 0x40 to 0xbf are the vendor's (8.1): who knows what they do.
    asker.refused(bytes((command,)) + data, ERR.INVALID_COMMAND)


@pytest.mark.case("CTAP 2.1, 6.4 (this method takes no inputs)")
@pytest.mark.parametrize("data", [b"\xa0", b"\xa1\x01\x01", b"\xff"], ids=["empty map", "map", "rubbish"])
def test_parameters_of_get_info_are_ignored_or_refused(asker, data):
    status, body = asker.ask(bytes((GET_INFO,)) + data)
    if status == 0:
        assert body == asker.accepted(bytes((GET_INFO,)))
    else:
        assert status in (*MALFORMED, ERR.CBOR_UNEXPECTED_TYPE, ERR.INVALID_PARAMETER)
    asker.is_alive()


# Anything at all


@pytest.mark.case("CTAP 2.1, 8.2 and 6.1.2 step 14 (no credential without a touch)", withheld=True)
@pytest.mark.parametrize("bit", [0, 3, 5, 7])
def test_a_request_with_any_one_bit_spoilt_is_answered_and_makes_no_credential(asker, bit):
    whole = request(MAKE, CREATION)
    for at in range(1, len(whole)):
        spoilt = bytearray(whole)
        spoilt[at] ^= 1 << bit
        status, _ = asker.ask(bytes(spoilt))
        assert status != 0, f"a credential without a touch, with byte {at} spoilt"
        assert status in list(ERR), f"status {status:#04x}, which does not exist, with byte {at} spoilt"
    asker.is_alive()


@pytest.mark.case("CTAP 2.1, 8.2")
@pytest.mark.parametrize("command", [MAKE, GET, PIN, MANAGE, BLOBS, CONFIG], ids=lambda one: f"{one:#04x}")
def test_rubbish_is_refused(asker, command):
    require(asker, command)
    rubbish = random.Random(command)
    for size in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610):
        status, body = asker.ask(bytes((command,)) + rubbish.randbytes(size))
        assert status in list(ERR)
        assert (status != 0, body) == (True, b""), f"{size} bytes of rubbish were served"
    asker.is_alive()
