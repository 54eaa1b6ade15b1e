"""authenticatorCredentialManagement: counting, listing, deleting and renaming (CTAP 2.1, section 6.8).

No section fixes the order of RPs and credentials in a listing, so the cases compare sets.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from fido2 import cbor

from harness_suites.conformance.ceremonies import LONG_NAMES, begins_as_given, check
from harness_suites.conformance.device import (
    EDDSA,
    PIN,
    RP,
    USER,
    Authenticator,
    not_offered,
    refused,
    refused_somehow,
    unless_refused,
)
from harness_suites.conformance.pinuv import (
    CREDENTIAL_MANAGEMENT,
    ERR,
    KEY_AGREEMENT,
    OTHER_RP,
    PROTOCOL,
    RETRIES,
    SUBCOMMAND,
    TOKENS,
    P,
    client_pin,
    flipped,
    get_token,
    manage,
    protocol_called,
    require_permissions,
    use_ga,
)

NEEDS = (*TOKENS, "credMgmt", "rk")
PREVIEW = 0x41
METADATA, RPS, NEXT_RP, CREDENTIALS, NEXT_CREDENTIAL, DELETE, UPDATE = range(1, 8)
AUTHORISED = {
    "getCredsMetadata": METADATA,
    "enumerateRPsBegin": RPS,
    "enumerateCredentialsBegin": CREDENTIALS,
    "deleteCredential": DELETE,
    "updateUserInformation": UPDATE,
}
# Members of answers and of subCommandParams (section 6.8).
EXISTING, REMAINING, AN_RP, RP_HASH, RPS_TOTAL = 1, 2, 3, 4, 5
A_USER, CREDENTIAL_ID, PUBLIC_KEY, CREDENTIALS_TOTAL, PROTECT, BLOB_KEY = 6, 7, 8, 9, 10, 11
GIVEN_RP_HASH, GIVEN_ID, GIVEN_USER = 1, 2, 3
ROOM_TOLERANCE = 1
"""By how much an estimate of what still fits may be off, in credentials."""
THIRD_RP = {"id": "third.keyharness.example", "name": "Third"}


def user(number: int) -> dict[str, Any]:
    return {"id": b"user-%d" % number, "name": f"user-{number}", "displayName": f"User No. {number}"}


def rp_hash(rp_id: str = RP["id"]) -> bytes:
    return hashlib.sha256(rp_id.encode()).digest()


def id_of(made: Any) -> bytes:
    return bytes(made.auth_data.credential_data.credential_id)


def descriptor(made: Any) -> dict[str, Any]:
    return {"type": "public-key", "id": id_of(made)}


def resident(authenticator: Authenticator, number: int = 1, rp: dict[str, Any] = RP, **more: Any) -> Any:
    """Make a discoverable credential of user No. `number`. That ends any token."""
    return authenticator.make(rp=rp, user=user(number), options={"rk": True}, **more)


class Manager:
    """Credential management with one token. Create it after the credentials, because `make` gets a token of its own."""

    def __init__(
        self,
        authenticator: Authenticator,
        rp_id: str | None = None,
        *,
        version: int | None = None,
        command: int = CREDENTIAL_MANAGEMENT,
    ):
        with_permissions = bool(authenticator.info.options.get("pinUvAuthToken"))
        if command == CREDENTIAL_MANAGEMENT:
            require_permissions(authenticator, P.CREDENTIAL_MGMT)
        self.authenticator, self.command = authenticator, command
        # The prototype takes any token of a key that has no permissions, else one with the permission for it.
        permissions = P.CREDENTIAL_MGMT if command == CREDENTIAL_MANAGEMENT or with_permissions else None
        self.protocol, self.token = get_token(authenticator, permissions, rp_id, version=version)

    def ask(self, subcommand: int, parameters: dict[int, Any] | None = None) -> dict[int, Any]:
        return manage(
            self.authenticator, self.protocol, self.token, subcommand, parameters, command=self.command
        )

    def next(self, subcommand: int) -> dict[int, Any]:
        """Send a 'next' subcommand, which has no authorisation."""
        return self.authenticator.ctap.send_cbor(self.command, {1: subcommand})

    def metadata(self) -> tuple[int, int]:
        answer = self.ask(METADATA)
        return answer[EXISTING], answer[REMAINING]

    def rps(self) -> list[dict[int, Any]]:
        """List all RPs: one begin, and a next for each further one that it announces."""
        first = self.ask(RPS)
        return [first] + [self.next(NEXT_RP) for _ in range(first[RPS_TOTAL] - 1)]

    def credentials(self, rp_id: str = RP["id"]) -> list[dict[int, Any]]:
        """List all credentials of an RP: one begin, and a next for each further one that it announces."""
        first = self.ask(CREDENTIALS, {GIVEN_RP_HASH: rp_hash(rp_id)})
        return [first] + [self.next(NEXT_CREDENTIAL) for _ in range(first[CREDENTIALS_TOTAL] - 1)]

    def delete(self, made: Any) -> dict[int, Any]:
        return self.ask(DELETE, {GIVEN_ID: descriptor(made)})

    def update(self, made: Any, new: dict[str, Any]) -> dict[int, Any]:
        return self.ask(UPDATE, {GIVEN_ID: descriptor(made), GIVEN_USER: new})


def parameters_for(subcommand: int, made: Any) -> dict[int, Any] | None:
    """Return the parameters that a subcommand needs, for this credential of RP."""
    known: dict[int, dict[int, object]] = {
        CREDENTIALS: {GIVEN_RP_HASH: rp_hash()},
        DELETE: {GIVEN_ID: descriptor(made)},
        UPDATE: {GIVEN_ID: descriptor(made), GIVEN_USER: {**user(1), "name": "renamed"}},
    }
    return known.get(subcommand)


def ids(listed: list[dict[int, Any]]) -> set[bytes]:
    found = [bytes(one[CREDENTIAL_ID]["id"]) for one in listed]
    assert len(set(found)) == len(found), "a credential is listed twice"
    return set(found)


def rp_ids(listed: list[dict[int, Any]]) -> set[str]:
    found = [one[AN_RP]["id"] for one in listed]
    assert len(set(found)) == len(found), "an RP is listed twice"
    return set(found)


# Who may


@pytest.mark.case("CTAP 2.1, 6.8.2 to 6.8.6 step 1", needs=NEEDS)
@pytest.mark.parametrize("name", AUTHORISED)
def test_without_a_pinuvauthparam_nothing_is_told_or_done(with_pin, name):
    made = resident(with_pin)
    members = {1: AUTHORISED[name], 3: with_pin.info.pin_uv_protocols[0]}
    parameters = parameters_for(AUTHORISED[name], made)
    if parameters is not None:
        members[2] = parameters
    with refused(ERR.PUAT_REQUIRED):
        with_pin.ctap.send_cbor(CREDENTIAL_MANAGEMENT, members)
    (found,) = Manager(with_pin).credentials()
    assert found[A_USER]["name"] == user(1)["name"]


@pytest.mark.case("CTAP 2.1, 6.8.2 step 1", needs=NEEDS)
@pytest.mark.parametrize("name", ["getCredsMetadata", "enumerateRPsBegin"])
def test_a_key_without_a_pin_does_not_list_its_credentials(blank, name):
    resident(blank)
    with refused(ERR.PUAT_REQUIRED):
        blank.ctap.send_cbor(CREDENTIAL_MANAGEMENT, {1: AUTHORISED[name]})


@pytest.mark.case("CTAP 2.1, 6.8.2 to 6.8.6 step 2", needs=NEEDS)
@pytest.mark.parametrize("name", AUTHORISED)
def test_a_pinuvauthparam_needs_its_protocol(with_pin, name):
    made = resident(with_pin)
    manager = Manager(with_pin)
    parameters = parameters_for(AUTHORISED[name], made)
    message = bytes((AUTHORISED[name],)) + (cbor.encode(parameters) if parameters is not None else b"")
    members = {1: AUTHORISED[name], 4: manager.protocol.authenticate(manager.token, message)}
    if parameters is not None:
        members[2] = parameters
    with refused(ERR.MISSING_PARAMETER):
        with_pin.ctap.send_cbor(CREDENTIAL_MANAGEMENT, members)


@pytest.mark.case("CTAP 2.1, 6.8.2 step 3", needs=NEEDS)
@pytest.mark.parametrize("number", [0, 3])
def test_a_protocol_that_getinfo_does_not_list_is_refused(with_pin, number):
    manager = Manager(with_pin)
    parameter = manager.protocol.authenticate(manager.token, bytes((METADATA,)))
    with refused(ERR.INVALID_PARAMETER):
        with_pin.ctap.send_cbor(CREDENTIAL_MANAGEMENT, {1: METADATA, 3: number, 4: parameter})


@pytest.mark.case("CTAP 2.1, 6.8", needs=NEEDS)
def test_a_request_without_a_subcommand_is_refused(with_pin):
    with refused(ERR.MISSING_PARAMETER):
        with_pin.ctap.send_cbor(CREDENTIAL_MANAGEMENT, {})


@pytest.mark.case("CTAP 2.1, 6.8; 8.2 (0x3E)", needs=NEEDS)
@pytest.mark.parametrize("number", [0x00, 0x08, 0xFF], ids=hex)
def test_a_subcommand_that_is_not_there_is_refused(with_pin, number):
    # Section 6.8 names no code for it; 8.2 has 0x3E.
    with refused(ERR.INVALID_SUBCOMMAND, ERR.INVALID_PARAMETER):
        Manager(with_pin).ask(number)


@pytest.mark.case("CTAP 2.1, 6.8.2 to 6.8.6 (cm permission)", needs=NEEDS)
@pytest.mark.parametrize("name", AUTHORISED)
def test_a_token_without_the_cm_permission_is_refused(with_pin, name):
    require_permissions(with_pin, P.GET_ASSERTION)
    made = resident(with_pin)
    protocol, token = get_token(with_pin, P.GET_ASSERTION, RP["id"])
    with refused(ERR.PIN_AUTH_INVALID):
        manage(with_pin, protocol, token, AUTHORISED[name], parameters_for(AUTHORISED[name], made))
    assert ids(Manager(with_pin).credentials()) == {id_of(made)}


FORGED = {
    "one-bit-wrong": lambda sign, number, parameters: flipped(sign(bytes((number,)) + parameters)),
    "over-another-subcommand": lambda sign, number, parameters: sign(bytes((METADATA,)) + parameters),
    "over-the-subcommand-alone": lambda sign, number, parameters: sign(bytes((number,))),
    "over-other-parameters": lambda sign, number, parameters: sign(bytes((number,)) + flipped(parameters)),
    "over-the-parameters-alone": lambda sign, number, parameters: sign(parameters),
    "cut-to-8-bytes": lambda sign, number, parameters: sign(bytes((number,)) + parameters)[:8],
    "no-bytes": lambda sign, number, parameters: b"",
}


@pytest.mark.case("CTAP 2.1, 6.8.5 step 4 (verify)", needs=NEEDS)
@pytest.mark.parametrize("kind", FORGED)
@pytest.mark.parametrize("version", [1, 2], ids=["protocol-1", "protocol-2"])
def test_a_credential_is_not_deleted_by_a_forged_request(with_pin, version, kind):
    protocol_called(with_pin, version)
    made = resident(with_pin)
    manager = Manager(with_pin, version=version)
    parameters = {GIVEN_ID: descriptor(made)}

    def sign(message: bytes) -> bytes:
        return manager.protocol.authenticate(manager.token, message)

    forged = FORGED[kind](sign, DELETE, cbor.encode(parameters))
    with refused(ERR.PIN_AUTH_INVALID):
        with_pin.ctap.send_cbor(CREDENTIAL_MANAGEMENT, {1: DELETE, 2: parameters, 3: version, 4: forged})
    assert ids(manager.credentials()) == {id_of(made)}


# Tokens that are bound to an RP


@pytest.mark.case("CTAP 2.1, 6.8.2 and 6.8.3 (no permissions RP ID)", needs=NEEDS)
@pytest.mark.parametrize("name", ["getCredsMetadata", "enumerateRPsBegin"])
def test_a_token_for_one_rp_does_not_tell_of_the_others(with_pin, name):
    resident(with_pin)
    with refused(ERR.PIN_AUTH_INVALID):
        Manager(with_pin, RP["id"]).ask(AUTHORISED[name])


@pytest.mark.case("CTAP 2.1, 6.8.4 (permissions RP ID)", needs=NEEDS)
def test_a_token_for_one_rp_lists_its_credentials(with_pin):
    made = resident(with_pin)
    assert ids(Manager(with_pin, RP["id"]).credentials()) == {id_of(made)}


@pytest.mark.case("CTAP 2.1, 6.8.4 to 6.8.6 (permissions RP ID)", needs=NEEDS)
@pytest.mark.parametrize("name", ["enumerateCredentialsBegin", "deleteCredential", "updateUserInformation"])
def test_a_token_for_one_rp_is_refused_for_the_credentials_of_another(with_pin, name):
    made = resident(with_pin)
    resident(with_pin, 2, OTHER_RP)
    with refused(ERR.PIN_AUTH_INVALID):
        Manager(with_pin, OTHER_RP["id"]).ask(AUTHORISED[name], parameters_for(AUTHORISED[name], made))
    (found,) = Manager(with_pin).credentials()
    assert found[A_USER]["name"] == user(1)["name"]


@pytest.mark.case("CTAP 2.1, 6.8.5 and 6.8.6 (permissions RP ID)", needs=NEEDS)
def test_a_token_for_one_rp_renames_and_deletes_its_credentials(with_pin):
    made = resident(with_pin)
    manager = Manager(with_pin, RP["id"])
    manager.update(made, {**user(1), "name": "renamed"})
    assert manager.credentials()[0][A_USER]["name"] == "renamed"
    manager.delete(made)
    with refused(ERR.NO_CREDENTIALS):
        manager.credentials()


# Counting


@pytest.mark.case("CTAP 2.1, 6.8.2", needs=NEEDS)
@pytest.mark.parametrize("version", [1, 2], ids=["protocol-1", "protocol-2"])
def test_an_empty_key_has_no_credentials_and_room_for_some(with_pin, version):
    protocol_called(with_pin, version)
    answer = Manager(with_pin, version=version).ask(METADATA)
    assert set(answer) == {EXISTING, REMAINING}
    assert answer[EXISTING] == 0
    assert answer[REMAINING] > 0


@pytest.mark.case("CTAP 2.1, 6.8.2", needs=NEEDS)
def test_each_credential_is_counted_and_takes_room(with_pin):
    before = Manager(with_pin).metadata()
    resident(with_pin, 1)
    resident(with_pin, 2, OTHER_RP)
    existing, remaining = Manager(with_pin).metadata()
    assert existing == before[0] + 2
    # An estimate (6.8.2): two credentials may fit in what it leaves out.
    assert remaining <= before[1]


@pytest.mark.case("CTAP 2.1, 6.8.2 to 6.8.4 (discoverable credentials only)", needs=NEEDS)
def test_a_credential_that_is_not_discoverable_is_neither_counted_nor_listed(with_pin):
    with_pin.make()
    manager = Manager(with_pin)
    assert manager.metadata()[0] == 0
    with refused(ERR.NO_CREDENTIALS):
        manager.rps()
    with refused(ERR.NO_CREDENTIALS):
        manager.credentials()


@pytest.mark.case("CTAP 2.1, 6.8.2; 6.8.5", needs=NEEDS)
def test_a_deleted_credential_gives_its_room_back(with_pin):
    resident(with_pin, 1)
    before = Manager(with_pin).metadata()
    for _ in range(4):
        made = resident(with_pin, 2, OTHER_RP)
        manager = Manager(with_pin)
        assert manager.metadata()[0] == before[0] + 1
        manager.delete(made)
        existing, remaining = manager.metadata()
        assert existing == before[0]
        assert remaining >= before[1] - ROOM_TOLERANCE


@pytest.mark.case("CTAP 2.1, 6.1.2 (same RP and user)", needs=NEEDS)
def test_a_new_credential_of_the_same_user_takes_the_place_of_the_old_one(with_pin):
    old = resident(with_pin)
    before = Manager(with_pin).metadata()
    new = resident(with_pin)
    manager = Manager(with_pin)
    existing, remaining = manager.metadata()
    assert existing == before[0]
    assert abs(remaining - before[1]) <= ROOM_TOLERANCE
    assert ids(manager.credentials()) == {id_of(new)}
    assert id_of(old) != id_of(new)


# Listing RPs


@pytest.mark.case("CTAP 2.1, 6.8.3", needs=NEEDS)
def test_an_empty_key_has_no_rps_to_list(with_pin):
    with refused(ERR.NO_CREDENTIALS):
        Manager(with_pin).ask(RPS)


@pytest.mark.case("CTAP 2.1, 6.8.3", needs=NEEDS)
def test_one_rp_is_listed_with_its_id_its_hash_and_the_total(with_pin):
    resident(with_pin)
    answer = Manager(with_pin).ask(RPS)
    assert answer[AN_RP]["id"] == RP["id"]
    assert answer[RP_HASH] == rp_hash()
    assert answer[RPS_TOTAL] == 1
    assert set(answer) == {AN_RP, RP_HASH, RPS_TOTAL}


@pytest.mark.case("CTAP 2.1, 6.8.3", needs=NEEDS)
def test_every_rp_is_listed_once_and_the_total_is_told_first(with_pin):
    for number, rp in enumerate((THIRD_RP, RP, OTHER_RP)):
        resident(with_pin, number, rp)
    listed = Manager(with_pin).rps()
    assert rp_ids(listed) == {RP["id"], OTHER_RP["id"], THIRD_RP["id"]}
    assert all(one[RP_HASH] == rp_hash(one[AN_RP]["id"]) for one in listed)
    assert [one.get(RPS_TOTAL) for one in listed] == [3, None, None]


@pytest.mark.case("CTAP 2.1, 6.8.3", needs=NEEDS)
def test_an_rp_with_two_credentials_is_listed_once(with_pin):
    resident(with_pin, 1)
    resident(with_pin, 2)
    resident(with_pin, 1, OTHER_RP)
    assert rp_ids(Manager(with_pin).rps()) == {RP["id"], OTHER_RP["id"]}


LONG_RP_IDS = [
    "exactly-32-bytes.keyharness.test",
    "a-name-longer-than-32-bytes.keyharness.example",
    "ahostprotocol://a-name-longer-than-32-bytes.keyharness.example",
    "a-protocol-name-longer-than-32-bytes://keyharness.example",
]


def truncated(rp_id: str, size: int) -> str:
    """Truncate an RP ID to `size` bytes by the rule of 6.8.7: the protocol, an ellipsis, the end."""
    if len(rp_id) <= size:
        return rp_id
    kept = rp_id[: rp_id.find(":") + 1][:size]
    room = size - len(kept) - len("\u2026".encode())
    return kept if room < 0 else f"{kept}\u2026{rp_id[len(rp_id) - room :]}"


@pytest.mark.case("CTAP 2.1, 6.8.7", needs=NEEDS)
@pytest.mark.parametrize("rp_id", LONG_RP_IDS)
def test_a_long_rp_id_is_listed_whole_or_truncated_by_the_rule(with_pin, rp_id):
    resident(with_pin, 1, {"id": rp_id, "name": "Long"})
    answer = Manager(with_pin).ask(RPS)
    assert answer[RP_HASH] == rp_hash(rp_id)
    assert answer[AN_RP]["id"] in {truncated(rp_id, size) for size in range(32, len(rp_id) + 1)}


@pytest.mark.case("CTAP 2.1, 6.8.3; WebAuthn 2, 6.4.1", needs=NEEDS)
def test_what_is_told_of_the_name_of_an_rp_is_its_beginning(with_pin):
    """The name need not be kept: the id alone is asked for."""
    given = LONG_NAMES["name"]
    resident(with_pin, 1, {**RP, "name": given})
    with_pin.power_cycle()
    manager = Manager(with_pin)

    def read() -> dict[str, str]:
        told: dict[str, str] = manager.ask(RPS)[AN_RP]
        return {"name": told.get("name") or given}

    begins_as_given(read, {"name": given})


@pytest.mark.case("CTAP 2.1, 6.8.3; 6.8.5", needs=NEEDS)
def test_an_rp_is_no_longer_listed_when_its_last_credential_is_deleted(with_pin):
    resident(with_pin, 1)
    others = [resident(with_pin, number, OTHER_RP) for number in (1, 2)]
    manager = Manager(with_pin)
    manager.delete(others[0])
    assert rp_ids(manager.rps()) == {RP["id"], OTHER_RP["id"]}
    manager.delete(others[1])
    assert rp_ids(manager.rps()) == {RP["id"]}


# Listing credentials


@pytest.mark.case("CTAP 2.1, 6.8.4", needs=NEEDS)
@pytest.mark.parametrize("others", [False, True], ids=["empty-key", "credentials-of-another-rp"])
def test_an_rp_without_credentials_has_none_to_list(with_pin, others):
    if others:
        resident(with_pin, 1, OTHER_RP)
    with refused(ERR.NO_CREDENTIALS):
        Manager(with_pin).credentials()


@pytest.mark.case("CTAP 2.1, 6.8.4", needs=NEEDS)
def test_a_credential_is_listed_with_its_user_its_id_and_its_public_key(with_pin):
    made = resident(with_pin)
    (found,) = Manager(with_pin).credentials()
    assert found[A_USER] == user(1)
    assert found[CREDENTIAL_ID]["id"] == id_of(made)
    assert found[CREDENTIAL_ID]["type"] == "public-key"
    assert dict(found[PUBLIC_KEY]) == dict(made.auth_data.credential_data.public_key)
    assert found[CREDENTIALS_TOTAL] == 1


@pytest.mark.case("CTAP 2.1, 6.8.4", needs=NEEDS)
def test_the_public_key_of_an_eddsa_credential_is_listed(with_pin):
    if -8 not in [one["alg"] for one in with_pin.info.algorithms]:
        not_offered("getInfo does not list EdDSA")
    made = resident(with_pin, key_params=[EDDSA])
    (found,) = Manager(with_pin).credentials()
    assert dict(found[PUBLIC_KEY]) == dict(made.auth_data.credential_data.public_key)
    assert found[PUBLIC_KEY][3] == -8


@pytest.mark.case("CTAP 2.1, 6.8.4", needs=NEEDS)
def test_every_credential_of_the_rp_is_listed_once_and_the_total_is_told_first(with_pin):
    made = [resident(with_pin, number) for number in (3, 1, 2)]
    resident(with_pin, 4, OTHER_RP)
    listed = Manager(with_pin).credentials()
    assert ids(listed) == {id_of(one) for one in made}
    by_id = {bytes(one[CREDENTIAL_ID]["id"]): one[A_USER]["id"] for one in listed}
    assert by_id == {id_of(one): user(number)["id"] for one, number in zip(made, (3, 1, 2))}
    assert [one.get(CREDENTIALS_TOTAL) for one in listed] == [3, None, None]


@pytest.mark.case("CTAP 2.1, 6.8.4", needs=NEEDS)
def test_a_user_without_names_is_listed_without_names(with_pin):
    with_pin.make(user={"id": b"nameless"}, options={"rk": True})
    (found,) = Manager(with_pin).credentials()
    assert {name: value for name, value in found[A_USER].items() if value} == {"id": b"nameless"}


@pytest.mark.case("CTAP 2.1, 6.8.3 and 6.8.4", needs=NEEDS)
def test_the_hashes_that_are_listed_lead_to_all_credentials(with_pin):
    made = {id_of(resident(with_pin, number, rp)) for number in (1, 2) for rp in (OTHER_RP, RP, THIRD_RP)}
    manager = Manager(with_pin)
    listed = [one for rp in manager.rps() for one in manager.credentials(rp[AN_RP]["id"])]
    assert ids(listed) == made


@pytest.mark.case("CTAP 2.1, 6.8.4 (credProtect); 12.1", needs=(*NEEDS, "credProtect"))
@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_credprotect_level_is_listed(with_pin, level):
    resident(with_pin, extensions={"credProtect": level})
    (found,) = Manager(with_pin).credentials()
    assert found[PROTECT] == level


@pytest.mark.case("CTAP 2.1, 6.8.4 (largeBlobKey); 12.3", needs=(*NEEDS, "largeBlobKey"))
def test_the_largeblobkey_is_listed_for_the_credential_that_has_one(with_pin):
    with_key = resident(with_pin, 1, extensions={"largeBlobKey": True})
    without = resident(with_pin, 2)
    found = {bytes(one[CREDENTIAL_ID]["id"]): one.get(BLOB_KEY) for one in Manager(with_pin).credentials()}
    assert found == {id_of(with_key): with_key.large_blob_key, id_of(without): None}


# Begin and next


@pytest.mark.case("CTAP 2.1, 6 (stateful commands); 6.8.3, 6.8.4", needs=NEEDS)
@pytest.mark.parametrize("following", [NEXT_RP, NEXT_CREDENTIAL], ids=["RP", "credential"])
def test_there_is_no_next_before_a_first(with_pin, following):
    for rp in (RP, OTHER_RP):
        resident(with_pin, 1, rp)
        resident(with_pin, 2, rp)
    with refused(ERR.NOT_ALLOWED):
        Manager(with_pin).next(following)


# What begins a listing, and its next.
OTHER_LISTING = {"RP": "credential", "credential": "RP"}
LISTINGS = {"RP": ((RPS, None), NEXT_RP), "credential": ((CREDENTIALS, {1: rp_hash()}), NEXT_CREDENTIAL)}


def two_of_each(authenticator: Authenticator) -> Manager:
    """Make two credentials for each of two RPs."""
    for number in (1, 2):
        for rp in (RP, OTHER_RP):
            resident(authenticator, number, rp)
    return Manager(authenticator)


@pytest.mark.case("CTAP 2.1, 6 (stateful commands); 6.8.3, 6.8.4", needs=NEEDS)
@pytest.mark.parametrize("listing", LISTINGS)
def test_there_is_no_next_after_the_last(with_pin, listing):
    begin, following = LISTINGS[listing]
    manager = two_of_each(with_pin)
    manager.ask(*begin)
    manager.next(following)
    for _ in range(2):
        with refused(ERR.NOT_ALLOWED, ERR.NO_CREDENTIALS):
            manager.next(following)


@pytest.mark.case("CTAP 2.1, 6 (stateful commands)", needs=NEEDS)
@pytest.mark.parametrize("listing", LISTINGS)
def test_the_next_of_the_other_listing_is_refused(with_pin, listing):
    begin, _ = LISTINGS[listing]
    _, other = LISTINGS[OTHER_LISTING[listing]]
    manager = two_of_each(with_pin)
    manager.ask(*begin)
    with refused(ERR.NOT_ALLOWED):
        manager.next(other)


@pytest.mark.case("CTAP 2.1, 6.8.3, 6.8.4", needs=NEEDS)
@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_can_be_begun_again_before_its_end(with_pin, listing):
    begin, following = LISTINGS[listing]
    manager = two_of_each(with_pin)
    first = manager.ask(*begin)
    assert manager.ask(*begin) == first
    second = manager.next(following)
    assert second != first
    with refused(ERR.NOT_ALLOWED, ERR.NO_CREDENTIALS):
        manager.next(following)


@pytest.mark.case("CTAP 2.1, 6.8.4", needs=NEEDS)
def test_a_listing_of_another_rp_takes_the_place_of_the_one_before(with_pin):
    manager = two_of_each(with_pin)
    mine = ids(manager.credentials())
    manager.ask(CREDENTIALS, {GIVEN_RP_HASH: rp_hash()})
    found = manager.credentials(OTHER_RP["id"])
    assert len(found) == 2
    assert not ids(found) & mine
    with refused(ERR.NOT_ALLOWED, ERR.NO_CREDENTIALS):
        manager.next(NEXT_CREDENTIAL)


BETWEEN = {
    "getInfo": lambda manager: manager.authenticator.ctap.get_info(),
    "getPINRetries": lambda manager: client_pin(manager.authenticator, {SUBCOMMAND: RETRIES}),
    "getKeyAgreement": lambda manager: client_pin(
        manager.authenticator, {PROTOCOL: manager.protocol.VERSION, SUBCOMMAND: KEY_AGREEMENT}
    ),
    "getAssertion": lambda manager: manager.authenticator.get(options={"up": False}),
    "getCredsMetadata": lambda manager: manager.metadata(),
    "the-other-listing": None,
    "a-command-that-is-not-there": lambda manager: unless_refused(
        lambda: manager.authenticator.ctap.send_cbor(0x3F, {}), ERR.INVALID_COMMAND
    ),
}


@pytest.mark.case("CTAP 2.1, 6 (stateful commands: state may be given up for another command)", needs=NEEDS)
@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("listing", LISTINGS)
def test_after_another_command_next_is_refused_or_right(with_pin, listing, between):
    """Section 6 lets a key assume that only the listing's own commands come in between, so it may refuse."""
    begin, following = LISTINGS[listing]
    manager = two_of_each(with_pin)
    manager.ask(*begin)
    second = manager.next(following)
    manager.ask(*begin)
    other = BETWEEN[between] or (lambda manager: manager.ask(*LISTINGS[OTHER_LISTING[listing]][0]))
    other(manager)
    assert unless_refused(lambda: manager.next(following), ERR.NOT_ALLOWED) in (None, second)


@pytest.mark.case("CTAP 2.1, 6 (state is not kept over power cycles)", needs=NEEDS)
@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_is_not_continued_after_a_power_cycle(with_pin, listing):
    begin, following = LISTINGS[listing]
    manager = two_of_each(with_pin)
    manager.ask(*begin)
    with_pin.power_cycle()
    with refused(ERR.NOT_ALLOWED):
        manager.next(following)


@pytest.mark.waits(601)
@pytest.mark.case(
    "CTAP 2.1, 6 (state is discarded with the token that authorised it); 6.5.2.1", needs=NEEDS, level="SHOULD"
)
@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_ends_when_its_token_expires(with_pin, listing):
    begin, following = LISTINGS[listing]
    manager = two_of_each(with_pin)
    manager.ask(*begin)
    with_pin.rig.clock.wait_us(601_000_000)
    with refused(ERR.NOT_ALLOWED):
        manager.next(following)


def _change_pin(authenticator: Authenticator) -> None:
    authenticator.client_pin().change_pin(PIN, PIN[::-1])


def _reset(authenticator: Authenticator) -> None:
    authenticator.reset()


DISCARDS = {
    "a-changed-pin": _change_pin,
    "a-new-token": lambda authenticator: get_token(authenticator, P.CREDENTIAL_MGMT),
    "a-reset": _reset,
}


@pytest.mark.case("CTAP 2.1, 6 (state is discarded with the token that authorised it) and 6.6", needs=NEEDS)
@pytest.mark.parametrize("what", DISCARDS)
@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_ends_with_what_ends_its_token(with_pin, listing, what):
    begin, following = LISTINGS[listing]
    two_of_each(with_pin)
    # A reset must come within ten seconds of power-up.
    with_pin.power_cycle()
    manager = Manager(with_pin)
    manager.ask(*begin)
    DISCARDS[what](with_pin)
    with refused(ERR.NOT_ALLOWED):
        manager.next(following)


@pytest.mark.case("CTAP 2.1, 6.8.4; 6.8.5", needs=NEEDS)
def test_a_credential_that_was_deleted_during_the_listing_is_not_listed(with_pin):
    manager = two_of_each(with_pin)
    first, second = manager.credentials()
    manager.ask(CREDENTIALS, {1: rp_hash()})
    manager.ask(DELETE, {GIVEN_ID: dict(second[CREDENTIAL_ID])})
    answer = unless_refused(lambda: manager.next(NEXT_CREDENTIAL), ERR.NOT_ALLOWED, ERR.NO_CREDENTIALS)
    assert answer is None
    assert ids(manager.credentials()) == {bytes(first[CREDENTIAL_ID]["id"])}


# What must be given


INCOMPLETE = {
    "enumerateCredentialsBegin-without-parameters": (CREDENTIALS, None),
    "enumerateCredentialsBegin-without-rpIDHash": (CREDENTIALS, {}),
    "deleteCredential-without-parameters": (DELETE, None),
    "deleteCredential-without-credentialID": (DELETE, {}),
    "updateUserInformation-without-parameters": (UPDATE, None),
    "updateUserInformation-without-credentialID": (UPDATE, {GIVEN_USER: user(1)}),
    "updateUserInformation-without-user": (UPDATE, "credential"),
}


@pytest.mark.case("CTAP 2.1, 6.8.4 to 6.8.6 step 2", needs=NEEDS)
@pytest.mark.parametrize("kind", INCOMPLETE)
def test_a_request_without_a_mandatory_parameter_is_refused(with_pin, kind):
    made = resident(with_pin)
    subcommand, parameters = INCOMPLETE[kind]
    given = {GIVEN_ID: descriptor(made)} if isinstance(parameters, str) else parameters
    manager = Manager(with_pin)
    with refused(ERR.MISSING_PARAMETER):
        manager.ask(subcommand, given)
    (found,) = manager.credentials()
    assert found[A_USER] == user(1)


# Deleting


@pytest.mark.case("CTAP 2.1, 6.8.5", needs=NEEDS)
@pytest.mark.parametrize("version", [1, 2], ids=["protocol-1", "protocol-2"])
def test_a_deleted_credential_is_gone_and_its_neighbours_are_not(with_pin, version):
    require_permissions(with_pin, P.GET_ASSERTION)
    protocol_called(with_pin, version)
    gone, kept, other = resident(with_pin, 1), resident(with_pin, 2), resident(with_pin, 1, OTHER_RP)
    manager = Manager(with_pin, version=version)
    assert manager.delete(gone) == {}
    assert ids(manager.credentials()) == {id_of(kept)}
    assert ids(manager.credentials(OTHER_RP["id"])) == {id_of(other)}
    with refused(ERR.NO_CREDENTIALS):
        use_ga(with_pin, *get_token(with_pin, P.GET_ASSERTION, RP["id"]), gone)
    use_ga(with_pin, *get_token(with_pin, P.GET_ASSERTION, RP["id"]), kept)


@pytest.mark.case("CTAP 2.1, 6.8.5", needs=NEEDS)
def test_a_deleted_credential_stays_gone_after_a_power_cycle(with_pin):
    gone, kept = resident(with_pin, 1), resident(with_pin, 2)
    Manager(with_pin).delete(gone)
    with_pin.power_cycle()
    assert ids(Manager(with_pin).credentials()) == {id_of(kept)}


NOT_THERE = {
    "an-id-nobody-made": lambda authenticator: {"type": "public-key", "id": b"\x5a" * 64},
    "an-id-without-bytes": lambda authenticator: {"type": "public-key", "id": b""},
    "a-credential-that-is-not-discoverable": lambda authenticator: descriptor(authenticator.make()),
    "an-id-with-one-bit-changed": lambda authenticator: {
        "type": "public-key",
        "id": flipped(id_of(resident(authenticator, 7))),
    },
}


@pytest.mark.case("CTAP 2.1, 6.8.5 and 6.8.6 (no matching credential)", needs=NEEDS)
@pytest.mark.parametrize("kind", NOT_THERE)
@pytest.mark.parametrize("subcommand", [DELETE, UPDATE], ids=["delete", "update"])
def test_a_credential_that_is_not_there_is_neither_deleted_nor_renamed(with_pin, subcommand, kind):
    resident(with_pin)
    named = NOT_THERE[kind](with_pin)
    manager = Manager(with_pin)
    before = {bytes(one[CREDENTIAL_ID]["id"]): one[A_USER] for one in manager.credentials()}
    parameters = {GIVEN_ID: named} | ({GIVEN_USER: {**USER, "name": "x"}} if subcommand == UPDATE else {})
    # An id without bytes may be refused as no id at all.
    with refused(ERR.NO_CREDENTIALS) if named["id"] else refused_somehow(ERR.NO_CREDENTIALS):
        manager.ask(subcommand, parameters)
    assert {bytes(one[CREDENTIAL_ID]["id"]): one[A_USER] for one in manager.credentials()} == before


@pytest.mark.case("CTAP 2.1, 6.8.5", needs=NEEDS)
def test_a_credential_cannot_be_deleted_twice(with_pin):
    made = resident(with_pin)
    manager = Manager(with_pin)
    manager.delete(made)
    with refused(ERR.NO_CREDENTIALS):
        manager.delete(made)


# Renaming


@pytest.mark.case("CTAP 2.1, 6.8.6", needs=NEEDS)
@pytest.mark.parametrize("version", [1, 2], ids=["protocol-1", "protocol-2"])
def test_a_renamed_user_is_listed_under_the_new_names_and_nothing_else_changes(with_pin, version):
    protocol_called(with_pin, version)
    made, neighbour = resident(with_pin, 1), resident(with_pin, 2)
    manager = Manager(with_pin, version=version)
    before = {bytes(one[CREDENTIAL_ID]["id"]): one for one in manager.credentials()}
    new = {"id": user(1)["id"], "name": "new-name", "displayName": "New Name"}
    assert manager.update(made, new) == {}
    after = {bytes(one[CREDENTIAL_ID]["id"]): one for one in manager.credentials()}
    assert after[id_of(made)][A_USER] == new
    for ident in (id_of(made), id_of(neighbour)):
        same = {A_USER, CREDENTIALS_TOTAL} if ident == id_of(made) else {CREDENTIALS_TOTAL}
        assert {key: value for key, value in before[ident].items() if key not in same} == {
            key: value for key, value in after[ident].items() if key not in same
        }


@pytest.mark.case("CTAP 2.1, 6.8.6", needs=NEEDS)
def test_a_renamed_user_keeps_the_new_names_over_a_power_cycle(with_pin):
    made = resident(with_pin)
    new = {"id": user(1)["id"], "name": "new-name", "displayName": "New Name"}
    Manager(with_pin).update(made, new)
    with_pin.power_cycle()
    (found,) = Manager(with_pin).credentials()
    assert found[A_USER] == new


@pytest.mark.case("CTAP 2.1, 6.8.6; WebAuthn 2, 6.4.1", needs=NEEDS)
@pytest.mark.parametrize("boot", ["the same boot", "the next boot"])
def test_what_is_told_of_a_longer_new_name_is_its_beginning(with_pin, boot):
    made = resident(with_pin)
    long = {"id": user(1)["id"], **LONG_NAMES}
    if unless_refused(lambda: Manager(with_pin).update(made, long), ERR.INVALID_LENGTH) is None:
        # No section says whether a key may refuse what it need not keep.
        not_offered("names of more than 64 bytes")
    if boot == "the next boot":
        with_pin.power_cycle()
    manager = Manager(with_pin)
    begins_as_given(lambda: manager.credentials()[0][A_USER], LONG_NAMES)


@pytest.mark.case("CTAP 2.1, 6.8.6; 6.2", needs=NEEDS)
def test_the_credential_of_a_renamed_user_still_asserts(with_pin):
    require_permissions(with_pin, P.GET_ASSERTION)
    made = resident(with_pin)
    Manager(with_pin).update(made, {**user(1), "name": "new-name"})
    assertion = use_ga(with_pin, *get_token(with_pin, P.GET_ASSERTION, RP["id"]))
    assert assertion.user["id"] == user(1)["id"]
    check(assertion, made)


REMOVED = {
    "name-absent": ({"displayName": "Kept"}, {"displayName": "Kept"}),
    "displayName-absent": ({"name": "kept"}, {"name": "kept"}),
    "both-absent": ({}, {}),
    "name-empty": ({"name": "", "displayName": "Kept"}, {"displayName": "Kept"}),
    "displayName-empty": ({"name": "kept", "displayName": ""}, {"name": "kept"}),
}


@pytest.mark.case("CTAP 2.1, 6.8.6 ('not present or empty: remove it')", needs=NEEDS)
@pytest.mark.parametrize("kind", REMOVED)
def test_a_name_that_is_absent_or_empty_is_removed(with_pin, kind):
    given, left = REMOVED[kind]
    made = resident(with_pin)
    manager = Manager(with_pin)
    manager.update(made, {"id": user(1)["id"], **given})
    (found,) = manager.credentials()
    assert {name: value for name, value in found[A_USER].items() if value} == {"id": user(1)["id"], **left}


@pytest.mark.case("CTAP 2.1, 6.8.6 (user ID)", needs=NEEDS)
def test_a_credential_is_not_given_to_another_user(with_pin):
    made = resident(with_pin)
    manager = Manager(with_pin)
    with refused(ERR.INVALID_PARAMETER):
        manager.update(made, user(2))
    (found,) = manager.credentials()
    assert found[A_USER] == user(1)


# The command of before CTAP 2.1


@pytest.mark.case(
    "CTAP 2.1, 6.13 (prototype command 0x41)", needs=("clientPin", "credentialMgmtPreview", "rk")
)
def test_the_preview_command_counts_and_lists(with_pin):
    made = resident(with_pin)
    manager = Manager(with_pin, command=PREVIEW)
    assert manager.metadata()[0] == 1
    assert rp_ids(manager.rps()) == {RP["id"]}
    assert ids(manager.credentials()) == {id_of(made)}


@pytest.mark.case(
    "CTAP 2.1, 6.13 (prototype command 0x41)", needs=("clientPin", "credentialMgmtPreview", "rk")
)
def test_the_preview_command_deletes(with_pin):
    made = resident(with_pin)
    manager = Manager(with_pin, command=PREVIEW)
    manager.delete(made)
    with refused(ERR.NO_CREDENTIALS):
        manager.credentials()


@pytest.mark.case(
    "CTAP 2.1, 6.13 (prototype command 0x41)", needs=("clientPin", "credentialMgmtPreview", "rk")
)
def test_the_preview_command_does_nothing_without_authorisation(with_pin):
    resident(with_pin)
    # The prototype predates 0x36 being fixed for this.
    with refused(ERR.PUAT_REQUIRED, ERR.MISSING_PARAMETER):
        with_pin.ctap.send_cbor(PREVIEW, {1: METADATA})
