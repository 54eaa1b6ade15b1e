"""authenticatorLargeBlobs and the largeBlobKey extension (CTAP 2.1, sections 6.10 and 12.3).

The steps are those of section 6.10.2. The array is written in fragments and becomes the stored one when the
last has arrived and its hash is right; until then the old one stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from fido2 import cbor
from fido2.ctap2.pin import PinProtocol

from harness_suites.conformance.device import RP, USER, Authenticator, not_offered, refused, unless_refused
from harness_suites.conformance.pinuv import (
    EMPTY_ARRAY,
    ERR,
    LARGE_BLOBS,
    RETRIES,
    SUBCOMMAND,
    Members,
    P,
    blob_message,
    client_pin,
    flipped,
    fresh_info,
    get_token,
    protocol_called,
    require_permissions,
    use_ga,
    use_mc,
)

GET, SET, OFFSET, LENGTH, PARAMETER, PROTOCOL = 1, 2, 3, 4, 5, 6
BOTH = pytest.mark.parametrize("version", [1, 2], ids=["protocol-1", "protocol-2"])
LEAST = 17
Token = tuple[PinProtocol, bytes]


def offering(authenticator: Authenticator) -> Authenticator:
    if not authenticator.info.options.get("largeBlobs"):
        not_offered("option largeBlobs is not true")
    return authenticator


@pytest.fixture
def open_key(blank: Authenticator) -> Authenticator:
    """A key with large blobs and no PIN: writing needs no token."""
    if blank.info.options.get("alwaysUv"):
        not_offered("alwaysUv is on")
    return offering(blank)


@pytest.fixture
def guarded(with_pin: Authenticator) -> Authenticator:
    """A key with large blobs and a PIN: writing needs a token."""
    require_permissions(offering(with_pin), P.LARGE_BLOB_WRITE)
    return with_pin


def send(authenticator: Authenticator, members: dict[int, Any]) -> dict[int, Any]:
    return authenticator.ctap.send_cbor(LARGE_BLOBS, members)


def fragment_max(authenticator: Authenticator) -> int:
    """Return maxFragmentLength (6.10.1)."""
    return int(authenticator.info.max_msg_size) - 64


def read(authenticator: Authenticator) -> bytes:
    """Read the whole stored array, which needs no token."""
    size, found = fragment_max(authenticator), b""
    while True:
        part: bytes = send(authenticator, {GET: size, OFFSET: len(found)})[1]
        found += part
        if len(part) < size:
            return found


def array(size: int, fill: int = 0x41) -> bytes:
    """Return a serialized large-blob array of exactly this size: CBOR, and the start of its hash."""
    room = size - 16
    for used in range(max(0, room - 4), room):
        content = cbor.encode([bytes((fill,)) * used])
        if len(content) == room:
            return hashed(content)
    raise AssertionError(f"no array of one byte string has {size} bytes")


def hashed(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()[:16]


NEW = array(60)
OLD = array(40, 0x6F)


def put(
    authenticator: Authenticator,
    fragment: bytes,
    offset: int,
    length: int | None = None,
    token: Token | None = None,
) -> dict[int, Any]:
    """Write one fragment: with the array's length if it is the first, authorised if there is a token."""
    members: dict[int, Any] = {SET: fragment, OFFSET: offset}
    if length is not None:
        members[LENGTH] = length
    if token is not None:
        protocol, secret = token
        members[PARAMETER] = protocol.authenticate(secret, blob_message(offset, fragment))
        members[PROTOCOL] = protocol.VERSION
    return send(authenticator, members)


def write(
    authenticator: Authenticator, data: bytes, size: int | None = None, token: Token | None = None
) -> None:
    """Write a whole array in fragments of this size."""
    size = size or fragment_max(authenticator)
    for offset in range(0, len(data), size):
        answer = put(
            authenticator, data[offset : offset + size], offset, None if offset else len(data), token
        )
        assert answer == {}


def writer(authenticator: Authenticator, version: int = 2) -> Token:
    version = version if version in authenticator.info.pin_uv_protocols else 1
    return get_token(authenticator, P.LARGE_BLOB_WRITE, version=version)


# Reading


@pytest.mark.case("CTAP 2.1, 6.10; 8.2 (0x01)")
def test_a_key_that_does_not_offer_large_blobs_does_not_know_them(blank):
    if blank.info.options.get("largeBlobs"):
        not_offered("this key has large blobs, and is asked in the other cases")
    with refused(ERR.INVALID_COMMAND):
        send(blank, {GET: LEAST, OFFSET: 0})


@pytest.mark.case("CTAP 2.1, 6.4 (maxSerializedLargeBlobArray); 6.10")
def test_there_is_room_for_at_least_1024_bytes(open_key):
    assert open_key.info.max_large_blob >= 1024


@pytest.mark.case("CTAP 2.1, 6.10 (initial serialized large-blob array)")
def test_the_initial_array_is_the_17_bytes_of_the_specification(open_key):
    assert send(open_key, {GET: LEAST, OFFSET: 0}) == {1: EMPTY_ARRAY}
    assert read(open_key) == EMPTY_ARRAY


@pytest.mark.case("CTAP 2.1, 6.10.2 step 4")
def test_reading_needs_no_token(guarded):
    assert read(guarded) == EMPTY_ARRAY


PARTS = {
    "the-first-byte": (0, 1),
    "bytes-in-the-middle": (5, 7),
    "the-last-byte": (16, 1),
    "no-bytes": (3, 0),
    "more-than-there-is": (10, 100),
    "at-the-end": (17, 1),
    "nothing-at-the-end": (17, 0),
}


@pytest.mark.case("CTAP 2.1, 6.10.2 step 4e")
@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_array_is_what_there_is_of_it(open_key, part):
    offset, count = PARTS[part]
    assert send(open_key, {GET: count, OFFSET: offset}) == {1: EMPTY_ARRAY[offset : offset + count]}


@pytest.mark.case("CTAP 2.1, 6.10.2 step 4d")
@pytest.mark.parametrize("offset", [18, 1000])
def test_nothing_is_read_from_behind_the_end(open_key, offset):
    with refused(ERR.INVALID_PARAMETER):
        send(open_key, {GET: 1, OFFSET: offset})


@pytest.mark.case("CTAP 2.1, 6.10.1; 6.10.2 step 4c")
def test_as_much_as_maxfragmentlength_is_read_at_once_and_no_more(open_key):
    assert send(open_key, {GET: fragment_max(open_key), OFFSET: 0}) == {1: EMPTY_ARRAY}
    with refused(ERR.INVALID_LENGTH):
        send(open_key, {GET: fragment_max(open_key) + 1, OFFSET: 0})


SENSELESS: dict[str, Members] = {
    "get-without-offset": {GET: 1},
    "set-without-offset": {SET: EMPTY_ARRAY, LENGTH: LEAST},
    "neither-get-nor-set": {OFFSET: 0},
    "get-and-set": {GET: 1, SET: EMPTY_ARRAY, OFFSET: 0, LENGTH: LEAST},
    "get-with-length": {GET: 1, OFFSET: 0, LENGTH: LEAST},
    "get-with-pinUvAuthParam": {GET: 1, OFFSET: 0, PARAMETER: bytes(16)},
    "get-with-pinUvAuthProtocol": {GET: 1, OFFSET: 0, PROTOCOL: 1},
    "first-fragment-without-length": {SET: EMPTY_ARRAY, OFFSET: 0},
    "length-0": {SET: b"", OFFSET: 0, LENGTH: 0},
    "length-16": {SET: hashlib.sha256().digest()[:16], OFFSET: 0, LENGTH: 16},
}


@pytest.mark.case("CTAP 2.1, 6.10.2 steps 1 to 4b, 5b")
@pytest.mark.parametrize("kind", SENSELESS)
def test_a_request_that_makes_no_sense_is_refused(open_key, kind):
    with refused(ERR.INVALID_PARAMETER):
        send(open_key, SENSELESS[kind])
    assert read(open_key) == EMPTY_ARRAY


# Writing


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5 (not protected)")
def test_a_key_without_a_pin_takes_an_array_from_anybody(open_key):
    write(open_key, NEW)
    assert read(open_key) == NEW


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5")
@BOTH
def test_an_array_is_written_with_a_token(guarded, version):
    protocol_called(guarded, version)
    write(guarded, NEW, token=writer(guarded, version))
    assert read(guarded) == NEW


SIZES = pytest.mark.parametrize("size", [1, 16, 17, 59, 60])


@pytest.mark.case("CTAP 2.1, 6.10.2 steps 5c to 5k")
@SIZES
def test_an_array_may_come_in_fragments(open_key, size):
    write(open_key, NEW, size)
    assert read(open_key) == NEW


@pytest.mark.case("CTAP 2.1, 6.10.2 steps 5c to 5k; 6.5.3.2")
@SIZES
def test_one_token_authorises_all_fragments_of_an_array(guarded, size):
    write(guarded, NEW, size, writer(guarded))
    assert read(guarded) == NEW


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5")
def test_fragments_need_not_have_one_size(open_key):
    put(open_key, NEW[:7], 0, len(NEW))
    put(open_key, NEW[7:40], 7)
    put(open_key, NEW[40:41], 40)
    put(open_key, NEW[41:], 41)
    assert read(open_key) == NEW


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5j")
@pytest.mark.parametrize("size", [17, 40], ids=["shortest", "shorter"])
def test_a_shorter_array_takes_the_place_of_a_longer_one(open_key, size):
    write(open_key, NEW)
    shorter = EMPTY_ARRAY if size == LEAST else array(size)
    write(open_key, shorter)
    assert read(open_key) == shorter


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5j")
def test_an_array_of_the_same_length_takes_the_place_of_another(open_key):
    """A key that saves itself a write must compare all of it."""
    for number in range(1, 4):
        other = hashed(NEW[:-LEAST] + bytes((NEW[-LEAST] ^ number,)))
        assert len(other) == len(NEW)
        write(open_key, other)
        assert read(open_key) == other
    open_key.power_cycle()
    assert read(open_key) == other


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5j (only the hash is looked at)")
def test_what_is_stored_is_the_platforms_affair(open_key):
    content = hashed(b"\xff this is no CBOR")
    write(open_key, content)
    assert read(open_key) == content


@pytest.mark.case("CTAP 2.1, 6.4 (maxSerializedLargeBlobArray); 6.10.2 step 5b")
def test_an_array_may_have_the_size_that_getinfo_says(open_key):
    largest = array(open_key.info.max_large_blob)
    write(open_key, largest)
    assert read(open_key) == largest


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5b")
@pytest.mark.parametrize("more", [1, 100_000])
def test_an_array_that_is_too_large_is_refused_at_its_first_fragment(open_key, more):
    write(open_key, OLD)
    with refused(ERR.LARGE_BLOB_STORAGE_FULL):
        put(open_key, NEW[:20], 0, open_key.info.max_large_blob + more)
    assert read(open_key) == OLD


@pytest.mark.case("CTAP 2.1, 6.10.1; 6.10.2 step 5a")
def test_as_much_as_maxfragmentlength_is_written_at_once_and_no_more(open_key):
    size = fragment_max(open_key)
    if size + LEAST > open_key.info.max_large_blob:
        not_offered("maxSerializedLargeBlobArray is less than maxFragmentLength")
    data = array(size + LEAST)
    with refused(ERR.INVALID_LENGTH):
        put(open_key, data[: size + 1], 0, len(data))
    put(open_key, data[:size], 0, len(data))
    put(open_key, data[size:], size)
    assert read(open_key) == data


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5c")
def test_only_the_first_fragment_has_a_length(open_key):
    write(open_key, OLD)
    put(open_key, NEW[:20], 0, len(NEW))
    with refused(ERR.INVALID_PARAMETER):
        put(open_key, NEW[20:], 20, len(NEW))
    assert read(open_key) == OLD


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5d")
@pytest.mark.parametrize("offset", [1, 19, 21, 40], ids=["back", "overlap", "gap", "far"])
def test_a_fragment_at_another_offset_than_the_next_is_refused(open_key, offset):
    write(open_key, OLD)
    put(open_key, NEW[:20], 0, len(NEW))
    with refused(ERR.INVALID_SEQ):
        put(open_key, NEW[offset:], offset)
    assert read(open_key) == OLD


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5d")
def test_a_later_fragment_without_a_first_one_is_refused(open_key):
    with refused(ERR.INVALID_SEQ):
        put(open_key, NEW[20:], 20)
    assert read(open_key) == EMPTY_ARRAY


@pytest.mark.case("CTAP 2.1, 6.10.2 steps 5d and 5f")
def test_there_is_no_fragment_after_the_last(open_key):
    write(open_key, NEW)
    # Nothing resets the expected offset after the last fragment; a key that does says INVALID_SEQ.
    with refused(ERR.INVALID_SEQ, ERR.INVALID_PARAMETER):
        put(open_key, b"more", len(NEW))
    assert read(open_key) == NEW


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5f")
@pytest.mark.parametrize("before", [0, 20], ids=["in-the-first-fragment", "in-the-second-fragment"])
def test_more_bytes_than_the_length_are_refused(open_key, before):
    write(open_key, OLD)
    if before:
        put(open_key, NEW[:before], 0, len(NEW))
    with refused(ERR.INVALID_PARAMETER):
        put(open_key, NEW[before:] + b"\0", before, None if before else len(NEW))
    assert read(open_key) == OLD


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "hash-with-one-bit-wrong": lambda content: flipped(hashed(content)),
    "content-with-one-bit-wrong": lambda content: flipped(hashed(content), 3),
    "the-other-half-of-the-hash": lambda content: content + hashlib.sha256(content).digest()[16:],
    "hash-of-nothing": lambda content: content + hashlib.sha256().digest()[:16],
    "no-hash": lambda content: content + bytes(16),
}


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5j (integrity)")
@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("size", [100, 20], ids=["one-fragment", "several-fragments"])
def test_an_array_whose_hash_is_wrong_is_refused_and_the_old_one_stays(open_key, size, kind):
    write(open_key, OLD)
    broken = BROKEN[kind](NEW[:-16])
    *fragments, last = range(0, len(broken), size)
    for offset in fragments:
        put(open_key, broken[offset : offset + size], offset, None if offset else len(broken))
    with refused(ERR.INTEGRITY_FAILURE):
        put(open_key, broken[last:], last, None if last else len(broken))
    assert read(open_key) == OLD
    write(open_key, NEW)
    assert read(open_key) == NEW


# Interrupted


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5k")
def test_until_the_last_fragment_the_old_array_is_read(open_key):
    write(open_key, OLD)
    put(open_key, NEW[:59], 0, len(NEW))
    assert read(open_key) == OLD


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5b")
def test_a_first_fragment_begins_anew(open_key):
    write(open_key, OLD)
    other = array(50, 0x78)
    put(open_key, other[:30], 0, len(other))
    write(open_key, NEW, 20)
    assert read(open_key) == NEW


@pytest.mark.case("CTAP 2.1, 6 (state is not kept over power cycles); 6.10.2 step 5d")
@pytest.mark.parametrize("received", [1, 30, 59])
def test_an_upload_that_a_power_cycle_ends_leaves_the_old_array(open_key, received):
    write(open_key, OLD)
    put(open_key, NEW[:received], 0, len(NEW))
    open_key.power_cycle()
    assert read(open_key) == OLD
    with refused(ERR.INVALID_SEQ):
        put(open_key, NEW[received:], received)
    assert read(open_key) == OLD


@pytest.mark.case("CTAP 2.1, 6 (state is not kept over power cycles); 6.10.2 step 5d")
def test_a_new_token_does_not_continue_the_upload_of_before_a_power_cycle(guarded):
    write(guarded, OLD, token=writer(guarded))
    put(guarded, NEW[:30], 0, len(NEW), writer(guarded))
    guarded.power_cycle()
    token = writer(guarded)
    with refused(ERR.INVALID_SEQ):
        put(guarded, NEW[30:], 30, token=token)
    assert read(guarded) == OLD


BETWEEN: dict[str, Callable[[Authenticator], Any]] = {
    "getInfo": fresh_info,
    "getPINRetries": lambda key: client_pin(key, {SUBCOMMAND: RETRIES}),
    "makeCredential": lambda key: key.make(),
    "reading": read,
    "a-refused-fragment": lambda key: unless_refused(lambda: put(key, b"x", 55), ERR.INVALID_SEQ),
}


@pytest.mark.case("CTAP 2.1, 6 (stateful commands: state may be given up for another command); 6.10.2")
@pytest.mark.parametrize("between", BETWEEN)
def test_after_another_command_an_upload_goes_on_or_leaves_the_old_array(open_key, between):
    write(open_key, OLD)
    put(open_key, NEW[:30], 0, len(NEW))
    BETWEEN[between](open_key)
    done = unless_refused(lambda: put(open_key, NEW[30:], 30), ERR.INVALID_SEQ)
    assert read(open_key) == (OLD if done is None else NEW)


@pytest.mark.case("CTAP 2.1, 6.10")
def test_an_array_survives_a_power_cycle(open_key):
    write(open_key, NEW)
    open_key.power_cycle()
    assert read(open_key) == NEW


@pytest.mark.case("CTAP 2.1, 6.6 (large-blob array)")
def test_a_reset_brings_the_initial_array_back(open_key):
    write(open_key, NEW)
    open_key.power_cycle()
    open_key.reset()
    assert read(open_key) == EMPTY_ARRAY


# Who may write


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5e.i")
def test_where_a_pin_is_set_nothing_is_written_without_a_token(guarded):
    with refused(ERR.PUAT_REQUIRED):
        put(guarded, NEW, 0, len(NEW))
    assert read(guarded) == EMPTY_ARRAY


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5e (alwaysUv)", needs=("alwaysUv", "authnrCfg"))
def test_with_alwaysuv_nothing_is_written_without_a_token(open_key):
    open_key.ctap.config(0x02)
    with refused(ERR.PUAT_REQUIRED):
        put(open_key, NEW, 0, len(NEW))
    assert read(open_key) == EMPTY_ARRAY


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5e.ii")
def test_a_pinuvauthparam_needs_its_protocol(guarded):
    protocol, token = writer(guarded)
    parameter = protocol.authenticate(token, blob_message(0, NEW))
    with refused(ERR.MISSING_PARAMETER):
        send(guarded, {SET: NEW, OFFSET: 0, LENGTH: len(NEW), PARAMETER: parameter})
    assert read(guarded) == EMPTY_ARRAY


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5e.iii")
@pytest.mark.parametrize("number", [0, 3])
def test_a_protocol_that_getinfo_does_not_list_is_refused(guarded, number):
    protocol, token = writer(guarded)
    parameter = protocol.authenticate(token, blob_message(0, NEW))
    with refused(ERR.INVALID_PARAMETER):
        send(guarded, {SET: NEW, OFFSET: 0, LENGTH: len(NEW), PARAMETER: parameter, PROTOCOL: number})


DIGEST = hashlib.sha256(NEW).digest()
PREFIX = b"\xff" * 32
FORGED = {
    "for-other-bytes": PREFIX + b"\x0c\x00" + bytes(4) + hashlib.sha256(OLD).digest(),
    "for-another-offset": PREFIX + b"\x0c\x00" + b"\x01\0\0\0" + DIGEST,
    "for-the-bytes-themselves": PREFIX + b"\x0c\x00" + bytes(4) + NEW,
    "for-the-hash-alone": DIGEST,
    "without-the-prefix": b"\x0c\x00" + bytes(4) + DIGEST,
    "without-the-zero": PREFIX + b"\x0c" + bytes(4) + DIGEST,
    "for-another-command": PREFIX + b"\x0d\x00" + bytes(4) + DIGEST,
    "with-two-bytes-of-offset": PREFIX + b"\x0c\x00" + bytes(2) + DIGEST,
    "with-their-cbor-head": PREFIX + b"\x0c\x00" + bytes(4) + hashlib.sha256(cbor.encode(NEW)).digest(),
}


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5e.iv (32*ff || 0c00 || uint32LittleEndian(offset) || SHA-256)")
@pytest.mark.parametrize("kind", FORGED)
@BOTH
def test_a_fragment_that_is_authorised_for_something_else_is_refused(guarded, version, kind):
    protocol_called(guarded, version)
    protocol, token = writer(guarded, version)
    parameter = protocol.authenticate(token, FORGED[kind])
    with refused(ERR.PIN_AUTH_INVALID):
        send(guarded, {SET: NEW, OFFSET: 0, LENGTH: len(NEW), PARAMETER: parameter, PROTOCOL: version})
    assert read(guarded) == EMPTY_ARRAY


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5e.iv (uint32LittleEndian(offset))")
def test_the_offset_is_authorised_in_little_endian(guarded):
    protocol, token = writer(guarded)
    put(guarded, NEW[:20], 0, len(NEW), (protocol, token))
    message = PREFIX + b"\x0c\x00" + (20).to_bytes(4, "big") + hashlib.sha256(NEW[20:]).digest()
    members = {SET: NEW[20:], OFFSET: 20, PROTOCOL: protocol.VERSION}
    with refused(ERR.PIN_AUTH_INVALID):
        send(guarded, {**members, PARAMETER: protocol.authenticate(token, message)})
    assert read(guarded) == EMPTY_ARRAY


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5e")
@pytest.mark.parametrize("kind", ["no-token", "the-first-fragments-parameter"])
def test_every_fragment_needs_its_own_authorisation(guarded, kind):
    protocol, token = writer(guarded)
    put(guarded, NEW[:20], 0, len(NEW), (protocol, token))
    members: dict[int, Any] = {SET: NEW[20:], OFFSET: 20}
    code = ERR.PUAT_REQUIRED
    if kind != "no-token":
        code = ERR.PIN_AUTH_INVALID
        members[PARAMETER] = protocol.authenticate(token, blob_message(0, NEW[:20]))
        members[PROTOCOL] = protocol.VERSION
    with refused(code):
        send(guarded, members)
    assert read(guarded) == EMPTY_ARRAY


@pytest.mark.case("CTAP 2.1, 6.10.2 step 5e.v (lbw permission)")
@pytest.mark.parametrize("permission", [P.MAKE_CREDENTIAL, P.CREDENTIAL_MGMT], ids=["mc", "cm"])
def test_a_token_without_the_lbw_permission_writes_nothing(guarded, permission):
    require_permissions(guarded, permission)
    rp_id = RP["id"] if permission == P.MAKE_CREDENTIAL else None
    with refused(ERR.PIN_AUTH_INVALID):
        write(guarded, NEW, token=get_token(guarded, permission, rp_id))
    assert read(guarded) == EMPTY_ARRAY


@pytest.mark.case("CTAP 2.1, 6.5.5.7 (lbw: RP ID ignored); 6.5.3.2 (clear...ExceptLbw)")
def test_a_token_for_a_credential_may_also_write_before_and_after_the_touch(guarded):
    require_permissions(guarded, P.MAKE_CREDENTIAL)
    protocol, token = get_token(guarded, P.MAKE_CREDENTIAL | P.LARGE_BLOB_WRITE, RP["id"])
    write(guarded, OLD, token=(protocol, token))
    use_mc(guarded, protocol, token)
    write(guarded, NEW, 30, (protocol, token))
    assert read(guarded) == NEW


# The largeBlobKey extension

KEYS = ("largeBlobKey", "rk")
WISH = {"largeBlobKey": True}


def with_blob_key(authenticator: Authenticator, number: int = 1) -> Any:
    """Make a discoverable credential with a large-blob key."""
    user = {**USER, "id": b"user-%d" % number}
    return authenticator.make(user=user, options={"rk": True}, extensions=WISH)


@pytest.mark.case("CTAP 2.1, 12.3 (makeCredential)", needs=KEYS)
def test_a_large_blob_key_has_32_bytes_and_is_not_in_the_signed_data(open_key):
    made = with_blob_key(open_key)
    assert len(made.large_blob_key) == 32
    assert "largeBlobKey" not in (made.auth_data.extensions or {})


@pytest.mark.case("CTAP 2.1, 12.3 (makeCredential)", needs=KEYS)
def test_a_credential_gets_no_large_blob_key_unless_it_is_asked_for(open_key):
    made = open_key.make(options={"rk": True})
    assert made.large_blob_key is None
    assert open_key.get(made, extensions=WISH).large_blob_key is None


@pytest.mark.case("CTAP 2.1, 12.3 (makeCredential)", needs=KEYS)
@pytest.mark.parametrize("options", [None, {"rk": False}], ids=["rk-absent", "rk-false"])
def test_only_a_discoverable_credential_has_a_large_blob_key(open_key, options):
    with refused(ERR.INVALID_OPTION):
        open_key.make(options=options, extensions=WISH)


@pytest.mark.case("CTAP 2.1, 12.3 (the value must be true)", needs=KEYS)
@pytest.mark.parametrize("command", ["makeCredential", "getAssertion"])
def test_largeblobkey_false_is_refused(open_key, command):
    made = with_blob_key(open_key)
    with refused(ERR.INVALID_OPTION):
        if command == "makeCredential":
            open_key.make(options={"rk": True}, extensions={"largeBlobKey": False})
        else:
            open_key.get(made, extensions={"largeBlobKey": False})


@pytest.mark.case("CTAP 2.1, 12.3 (getAssertion)", needs=KEYS)
def test_an_assertion_tells_the_key_if_and_only_if_it_is_asked_for(open_key):
    made = with_blob_key(open_key)
    for _ in range(2):
        assertion = open_key.get(made, extensions=WISH)
        assert assertion.large_blob_key == made.large_blob_key
        assert "largeBlobKey" not in (assertion.auth_data.extensions or {})
    assert open_key.get(made).large_blob_key is None


@pytest.mark.case("CTAP 2.1, 12.3", needs=KEYS)
def test_each_credential_has_its_own_large_blob_key_in_every_assertion(open_key):
    made = [with_blob_key(open_key, number) for number in (1, 2)]
    expected = {bytes(one.auth_data.credential_data.credential_id): one.large_blob_key for one in made}
    assert len(set(expected.values())) == 2
    first = open_key.get(extensions=WISH)
    assert first.number_of_credentials == 2
    found = [first, open_key.ctap.get_next_assertion()]
    assert {bytes(one.credential["id"]): one.large_blob_key for one in found} == expected


@pytest.mark.case("CTAP 2.1, 12.3", needs=KEYS)
def test_a_large_blob_key_survives_a_power_cycle(open_key):
    made = with_blob_key(open_key)
    open_key.power_cycle()
    assert open_key.get(made, extensions=WISH).large_blob_key == made.large_blob_key


@pytest.mark.case("CTAP 2.1, 12.3", needs=KEYS)
def test_a_large_blob_key_is_the_same_with_and_without_user_verification(guarded):
    require_permissions(guarded, P.GET_ASSERTION)
    made = with_blob_key(guarded)
    verified = use_ga(guarded, *get_token(guarded, P.GET_ASSERTION, RP["id"]), made, extensions=WISH)
    assert verified.large_blob_key == made.large_blob_key
    if not fresh_info(guarded).options.get("alwaysUv"):
        assert guarded.get(made, extensions=WISH).large_blob_key == made.large_blob_key
