"""Discoverable credentials: what a key stores, what replaces a credential, and how long it lasts.

CTAP 2.1, sections 6.1.2 step 17, 6.2.2 step 7 and 6.4; WebAuthn 2, sections 5.4.3 and 6.4.1 for the user.
"""

from __future__ import annotations

import hashlib

import pytest
from fido2.ctap import CtapError
from fido2.ctap1 import APDU, ApduError, Ctap1
from fido2.ctap2 import AttestationResponse, CredentialManagement
from fido2.webauthn import PublicKeyCredentialDescriptor, PublicKeyCredentialType

from harness.api import deviates
from harness_suites.conformance.ceremonies import (
    ASSERTION,
    ERR,
    GA,
    GET,
    LONG_NAMES,
    OTHER_RP,
    account,
    begins_as_given,
    check,
    descriptor,
    get_all,
    ident,
    make_accounts,
    make_resident,
    management,
    require_algorithm,
    room_for,
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
    unless_refused,
)
from harness_suites.conformance.preparation import (
    require_pin,
)

MANY_AT_MOST = 200
"""A larger store is not filled: that would cost too many touches and erases."""


# The same account again


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.2.2", needs="rk")
def test_a_second_credential_of_an_account_replaces_the_first(blank):
    first, second = make_resident(blank), make_resident(blank)
    assertion = blank.get()
    assert assertion.number_of_credentials in (None, 1)
    check(assertion, second)
    with refused(ERR.NO_CREDENTIALS):
        blank.get(first)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.2", needs="rk")
def test_a_replaced_credential_does_not_come_back_after_a_power_cycle(blank):
    first, second = make_resident(blank), make_resident(blank)
    blank.power_cycle()
    check(blank.get(), second)
    with refused(ERR.NO_CREDENTIALS):
        blank.get(first)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.3", needs=("rk", "clientPin"))
def test_the_names_of_a_replaced_credential_are_replaced_too(with_pin):
    make_accounts(with_pin, 2)
    renamed = {**account(0), "name": "renamed", "displayName": "Renamed"}
    make_resident(with_pin, renamed)
    assert [one.user for one in get_all(with_pin, uv=True)] == [renamed, account(1)]


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.3", needs=("rk", "clientPin"))
def test_names_that_the_new_credential_lacks_do_not_remain(with_pin):
    make_accounts(with_pin, 2)
    make_resident(with_pin, {"id": account(0)["id"]})
    newest = get_all(with_pin, uv=True)[0].user
    assert newest["id"] == account(0)["id"]
    assert not newest.get("name")
    assert not newest.get("displayName")


@pytest.mark.case("CTAP 2.1, 6.2.2 step 12.2.1", needs="rk")
def test_a_replaced_credential_is_the_newest(blank):
    made = make_accounts(blank, 3)
    again = make_resident(blank, account(0))
    assert [ident(one) for one in get_all(blank)] == [ident(one) for one in (again, made[2], made[1])]


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.2", needs="rk")
def test_a_credential_of_another_algorithm_replaces_as_well(blank):
    require_algorithm(blank, EDDSA)
    make_resident(blank, key_params=[ES256])
    second = make_resident(blank, key_params=[EDDSA])
    assert blank.get().number_of_credentials in (None, 1)
    check(blank.get(), second)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.2", needs="rk")
def test_the_same_user_of_another_rp_is_another_account(blank):
    made, other = make_resident(blank), make_resident(blank, rp=OTHER_RP)
    check(blank.get(), made)
    check(blank.get(rp_id=OTHER_RP["id"]), other)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.2: the user handle is what names an account", needs="rk")
def test_the_same_name_with_another_handle_is_another_account(blank):
    make_resident(blank)
    make_resident(blank, {**USER, "id": USER["id"] + b"\0"})
    assert blank.get().number_of_credentials == 2


@pytest.mark.case("CTAP 2.1, 6.1.2 step 18", needs=("rk", "FIDO_2_1"))
def test_a_non_resident_credential_replaces_none(blank):
    made = make_resident(blank)
    beside = blank.make()
    check(blank.get(), made)
    check(blank.get(beside), beside)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 18", needs=("rk", "FIDO_2_1"))
def test_a_resident_credential_takes_nothing_from_a_non_resident_one(blank):
    beside = blank.make()
    make_resident(blank)
    check(blank.get(beside), beside)


# Many


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.2", needs="rk")
def test_ten_accounts_of_an_rp_are_all_found(blank):
    made = make_accounts(blank, 10)
    assertions = get_all(blank)
    assert assertions[0].number_of_credentials == 10
    for assertion, one in zip(assertions, reversed(made), strict=True):
        check(assertion, one)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.2", needs="rk")
def test_ten_rps_are_kept_apart(blank):
    rps = [{"id": f"rp-{number}.keyharness.example"} for number in range(10)]
    with room_for("ten discoverable credentials"):
        made = [make_resident(blank, rp=rp) for rp in rps]
    for rp, one in zip(rps, made):
        assertion = blank.get(rp_id=rp["id"])
        assert assertion.number_of_credentials in (None, 1)
        check(assertion, one)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7.2", needs="rk")
def test_the_accounts_of_each_rp_are_counted_for_it(blank):
    make_accounts(blank, 3)
    make_accounts(blank, 2, rp=OTHER_RP)
    assert blank.get().number_of_credentials == 3
    assert blank.get(rp_id=OTHER_RP["id"]).number_of_credentials == 2


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.4 and 6.4 remainingDiscoverableCredentials", needs="rk")
def test_a_full_key_refuses_and_keeps_what_it_has(blank):
    room = blank.ctap.get_info().remaining_disc_creds
    if room is not None and room > MANY_AT_MOST:
        not_offered(f"a store that can be filled: {room} credentials fit")
    made: list[AttestationResponse] = []
    code = None
    while code is None and len(made) <= MANY_AT_MOST:
        try:
            made.append(make_resident(blank, account(len(made))))
        except CtapError as error:
            code = error.code
    if code is None:
        not_offered(f"a store that can be filled: more than {MANY_AT_MOST} credentials fit")
    assert code == ERR.KEY_STORE_FULL
    left = blank.ctap.get_info().remaining_disc_creds
    if room is not None and len(made) < room:
        deviates(f"{len(made)} credentials fit, and getInfo estimated {room}")
    if left:
        deviates(f"a full key says that {left} more credentials fit")
    assert [ident(one) for one in get_all(blank)] == [ident(one) for one in reversed(made)]
    beside = blank.make()
    check(blank.get(beside), beside)


# The empty allow list


@pytest.mark.case("CTAP 2.1, 6.2: it must only use one of the denoted credentials", needs="rk")
def test_an_empty_list_finds_what_no_list_finds_or_nothing(blank):
    """A platform must not send an empty list. A key may take it as no credential, or as absent (step 7.1)."""
    made = make_accounts(blank, 2)
    response = unless_refused(lambda: send(blank, GET, {**ASSERTION, 3: []}))
    if response is not None:
        assert response[1]["id"] == ident(made[1])
        assert response[5] == 2


@pytest.mark.case("CTAP 2.1, 6.2.2 step 7", needs="rk")
def test_a_list_without_the_credential_hides_it(blank):
    make_resident(blank)
    with refused(ERR.NO_CREDENTIALS):
        blank.get(allow_list=[stranger()])


# The user


@pytest.mark.case("WebAuthn 2, 5.4.3: 1 to 64 bytes", needs="rk")
@pytest.mark.parametrize("size", [1, 2, 16, 31, 32, 33, 63, 64])
def test_a_user_handle_comes_back_whole(blank, size):
    handle = hashlib.shake_256(b"handle").digest(size)
    made = make_resident(blank, {**USER, "id": handle})
    assertion = blank.get()
    assert assertion.user["id"] == handle
    check(assertion, made)


@pytest.mark.case("WebAuthn 2, 5.4.3: opaque bytes", needs="rk")
@pytest.mark.parametrize("handle", [bytes(1), bytes(64), b"\xff" * 64, b"\0user", b"user\0"], ids=repr)
def test_a_user_handle_may_hold_any_byte(blank, handle):
    make_resident(blank, {**USER, "id": handle})
    assert blank.get().user["id"] == handle


@pytest.mark.case("WebAuthn 2, 5.4.3", needs="rk")
def test_handles_that_begin_alike_are_different_accounts(blank):
    handles = [b"a", b"a\0", b"a" * 63, b"a" * 64]
    for handle in handles:
        make_resident(blank, {**USER, "id": handle})
    assert [one.user["id"] for one in get_all(blank)] == handles[::-1]


def _stored(authenticator, name):
    """Make two accounts with this name; return the names that the key tells a verified user."""
    for number in range(2):
        make_resident(authenticator, {"id": account(number)["id"], "name": name, "displayName": name[::-1]})
    try:
        user = get_all(authenticator, uv=True)[0].user
    except UnicodeDecodeError as error:
        raise AssertionError(f"a name that is no UTF-8: {error}") from None
    return user.get("name"), user.get("displayName")


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.3", needs=("rk", "clientPin"))
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("x", id="one-byte"),
        pytest.param("n" * 64, id="64-bytes"),
        pytest.param("ö" * 32, id="64-bytes-of-two"),
        pytest.param("鍵" * 21, id="63-bytes-of-three"),
        pytest.param("🔑" * 16, id="64-bytes-of-four"),
        pytest.param('"\\\x01\n\t', id="controls"),
        pytest.param("אבג def ١٢٣", id="both-directions"),
    ],
)
def test_names_of_up_to_64_bytes_come_back_whole(with_pin, name):
    assert _stored(with_pin, name) == (name, name[::-1])


@pytest.mark.case(
    "WebAuthn 2, 6.4.1: at least 64 bytes, cut at a character's end",
    needs=("rk", "clientPin"),
    level="SHOULD",
)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("n" * 65, id="65-bytes"),
        pytest.param("n" * 300, id="300-bytes"),
        pytest.param("a" + "ö" * 40, id="two-byte-at-64"),
        pytest.param("鍵" * 40, id="three-byte-at-64"),
        pytest.param("aa" + "鍵" * 40 + "a", id="three-byte-at-62"),
        pytest.param("aaa" + "🔑" * 20 + "aaa", id="four-byte-at-61"),
        pytest.param("a" + "🔑" * 20 + "a", id="four-byte-at-63"),
    ],
)
def test_longer_names_are_whole_or_cut_at_a_character(with_pin, name):
    """A name that is truncated inside a character is not UTF-8, and no client can decode it."""
    for given, kept in zip((name, name[::-1]), _stored(with_pin, name)):
        assert given.startswith(kept)
        assert len(kept) >= len(given.encode()[:64].decode(errors="ignore"))


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.3", needs=("rk", "clientPin"))
def test_no_names_are_invented(with_pin):
    for number in range(2):
        make_resident(with_pin, {"id": account(number)["id"]})
    for one in get_all(with_pin, uv=True):
        assert not one.user.get("name")
        assert not one.user.get("displayName")


@pytest.mark.case("CTAP 2.1, 6.8.7: an RP id may be cut, its credentials are found by its hash", needs="rk")
def test_rp_ids_that_end_alike_are_kept_apart(blank):
    long = [".".join([letter * 60, "very-long-label" * 4, "keyharness", "example"]) for letter in "ab"]
    made = [make_resident(blank, rp={"id": rp_id}) for rp_id in long]
    blank.power_cycle()
    for rp_id, one in zip(long, made):
        assertion = blank.get(rp_id=rp_id)
        assert assertion.number_of_credentials in (None, 1)
        check(assertion, one)


@pytest.mark.case("WebAuthn 2, 6.1 (rpIdHash); CTAP 2.1, 6.2.2 step 7", needs="rk")
def test_an_rp_id_is_taken_as_it_comes(blank):
    """A browser writes it in lower case. A key that does so, too, mixes what an application keeps apart."""
    mixed = {"id": "Mixed.Keyharness.Example"}
    made = make_resident(blank, rp=mixed)
    blank.power_cycle()
    assertion = blank.get(rp_id=mixed["id"])
    check(assertion, made)
    assert assertion.auth_data.rp_id_hash == hashlib.sha256(mixed["id"].encode()).digest()
    with refused(ERR.NO_CREDENTIALS):
        blank.get(rp_id=mixed["id"].lower())


# Power


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.1", needs="rk")
@pytest.mark.parametrize("algorithm", [ES256, EDDSA], ids=["es256", "eddsa"])
def test_a_discoverable_credential_outlives_power_cycles(blank, algorithm):
    require_algorithm(blank, algorithm)
    made = make_resident(blank, key_params=[algorithm])
    for _ in range(3):
        blank.power_cycle()
        assertion = blank.get()
        assert assertion.user == {"id": USER["id"]}
        check(assertion, made)


@pytest.mark.case("WebAuthn 2, 5.4.3 and 6.4.1: 64 bytes each", needs=("rk", "clientPin"))
def test_the_longest_handle_names_and_rp_id_outlive_a_power_cycle(with_pin):
    rp = {"id": ".".join(["long-label" * 6, "keyharness", "example"])}
    users = [
        {"id": bytes((number,)) * 64, "name": f"{number}" * 64, "displayName": f"{number}D" * 32}
        for number in (1, 2)
    ]
    made = [make_resident(with_pin, user, rp=rp) for user in users]
    with_pin.power_cycle()
    first = with_pin.get(rp_id=rp["id"], **with_pin.auth(HASH, GA, rp["id"]))
    for assertion, one, user in zip((first, with_pin.ctap.get_next_assertion()), made[::-1], users[::-1]):
        check(assertion, one)
        assert assertion.user == user


@pytest.mark.case("WebAuthn 2, 5.4.1, 5.4.3 and 6.4.1: 64 bytes each", needs=("rk", "clientPin"))
def test_the_longest_names_of_many_byte_characters_outlive_a_power_cycle(with_pin):
    """A limit that is counted in characters, or a buffer that is shorter on the flash, shows only in the next boot."""
    names = [("ö" * 32, "x" + "鍵" * 21), ("🔑" * 16, "鍵" * 21 + "x")]
    users = [
        {"id": account(number)["id"], "name": name, "displayName": shown}
        for number, (name, shown) in enumerate(names)
    ]
    for user in users:
        make_resident(with_pin, user)
    with_pin.power_cycle()
    assert [one.user for one in get_all(with_pin, uv=True)] == users[::-1]


@pytest.mark.case("WebAuthn 2, 6.4.1: a name may be cut, after 64 bytes or more", needs=("rk", "clientPin"))
@pytest.mark.parametrize("boot", ["the same boot", "the next boot"])
def test_what_is_told_of_a_longer_name_is_its_beginning(with_pin, boot):
    users = [{"id": account(number)["id"], **LONG_NAMES} for number in range(2)]
    for user in users:
        make_resident(with_pin, user)
    if boot == "the next boot":
        with_pin.power_cycle()
    begins_as_given(lambda: get_all(with_pin, uv=True)[0].user, LONG_NAMES)


@pytest.mark.case("CTAP 2.1, 6.2.2 step 12.2.1", needs=("rk", "clientPin"))
def test_order_and_names_outlive_a_power_cycle(with_pin):
    made = make_accounts(with_pin, 4)
    with_pin.power_cycle()
    newest = make_resident(with_pin, account(9))
    with_pin.power_cycle()
    assertions = get_all(with_pin, uv=True)
    assert [ident(one) for one in assertions] == [ident(one) for one in (newest, *reversed(made))]
    assert [one.user for one in assertions] == [account(n) for n in (9, 3, 2, 1, 0)]


@pytest.mark.case("CTAP 2.1, 6.5.5.5", needs=("rk", "clientPin"))
def test_setting_and_changing_the_pin_leaves_the_credentials(blank):
    made = make_accounts(blank, 2)
    require_pin(blank.info)
    client = blank.client_pin()
    client.set_pin(PIN)
    client.change_pin(PIN, PIN[::-1])
    assert [ident(one) for one in get_all(blank)] == [ident(one) for one in reversed(made)]


# How many there are, and how many more fit


@pytest.mark.case("CTAP 2.1, 6.4 remainingDiscoverableCredentials", needs="rk")
def test_the_room_that_remains_does_not_grow_with_a_credential(blank):
    before = blank.ctap.get_info().remaining_disc_creds
    if before is None:
        not_offered("getInfo does not list remainingDiscoverableCredentials")
    make_accounts(blank, 3)
    assert blank.ctap.get_info().remaining_disc_creds <= before + 1


@pytest.mark.case("CTAP 2.1, 6.8.2 existingResidentCredentialsCount", needs=("rk", "clientPin"))
def test_credential_management_counts_each_credential_once(with_pin):
    counts = []

    def count():
        counts.append(management(with_pin).get_metadata()[CredentialManagement.RESULT.EXISTING_CRED_COUNT])

    count()
    make_accounts(with_pin, 2)
    count()
    make_resident(with_pin, account(0))  # replaces
    count()
    with_pin.make()  # is not discoverable
    count()
    make_resident(with_pin, rp=OTHER_RP)
    count()
    assert counts == [0, 2, 2, 2, 3]


@pytest.mark.case("CTAP 2.1, 6.8.5", needs=("rk", "clientPin"))
def test_a_deleted_credential_is_not_found_and_the_others_are(with_pin):
    made = make_accounts(with_pin, 3)
    management(with_pin).delete_cred(
        PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=ident(made[1]))
    )
    for _ in range(2):
        assert [ident(one) for one in get_all(with_pin)] == [ident(made[2]), ident(made[0])]
        with refused(ERR.NO_CREDENTIALS):
            with_pin.get(made[1])
        with_pin.power_cycle()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 12.2.1", needs=("rk", "clientPin"))
def test_a_new_account_is_the_newest_after_older_ones_were_deleted(with_pin):
    """A number that is counted from what is there would be given twice."""
    made = make_accounts(with_pin, 4)
    for number in range(10, 13):
        gone = made.pop(0)
        management(with_pin).delete_cred(
            PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=ident(gone))
        )
        made.append(make_resident(with_pin, account(number)))
    for _ in range(2):
        assert [ident(one) for one in get_all(with_pin)] == [ident(one) for one in reversed(made)]
        with_pin.power_cycle()


@pytest.mark.case("CTAP 2.1, 6.2.2 step 6", needs=("rk", "clientPin"))
def test_the_account_that_a_user_chose_may_be_asserted_with_its_id(with_pin):
    made = make_accounts(with_pin, 3)
    chosen = get_all(with_pin, uv=True)[2]
    assertion = with_pin.get(allow_list=[chosen.credential], **with_pin.auth(HASH, GA, RP["id"]))
    check(assertion, made[0])
    assert assertion.user["id"] == account(0)["id"]


# A credential that is gone is gone everywhere


def _replaced(authenticator):
    gone = make_resident(authenticator)
    make_resident(authenticator)
    return gone


def _deleted(authenticator):
    gone = make_resident(authenticator)
    management(authenticator).delete_cred(
        PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=ident(gone))
    )
    return gone


GONE = pytest.mark.parametrize("how", [_replaced, _deleted], ids=["replaced", "deleted"])


@pytest.mark.case("CTAP 2.1, 6.1.2 step 12 and 17.2.2; 6.8.5", needs=("rk", "clientPin"))
@GONE
def test_a_credential_that_is_gone_excludes_nothing(with_pin, how):
    gone = how(with_pin)
    made = with_pin.make(user=account(7), exclude_list=[descriptor(gone)])
    assert ident(made) != ident(gone)


@pytest.mark.case("CTAP 2.1, 6.1.2 step 17.2.2; 6.8.5; 10.3", needs=("rk", "clientPin", "U2F_V2"))
@GONE
def test_a_credential_that_is_gone_signs_nothing_through_u2f(with_pin, how):
    gone = how(with_pin)
    with with_pin.touch(), pytest.raises(ApduError) as refusal:
        Ctap1(with_pin.device).authenticate(HASH, gone.auth_data.rp_id_hash, ident(gone), check_only=True)
    assert refusal.value.code == APDU.WRONG_DATA
