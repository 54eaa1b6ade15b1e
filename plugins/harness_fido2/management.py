"""Delete, rename and replace resident credentials, and observe the result."""

from __future__ import annotations

import hashlib
from typing import Any

from fido2.ctap import CtapError
from fido2.ctap2 import CredentialManagement
from fido2.webauthn import (
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
)

from harness.api import Cost, Item, Law, Look, Memory, Operation, Outcome, Rig, Value, new, old
from harness_fido2.client import (
    FIDO2_PIN,
    Fido,
    fido,
    fido_memory,
    lacks,
    lacks_management,
    pin_in_force,
    refusal,
)
from harness_fido2.items import ASSERTS, NEW_RESIDENT, refusals

NEW_RP = "new.keyharness.example"
USER = b"somebody"
RENAMED = PublicKeyCredentialUserEntity(id=USER, name="renamed", display_name="Renamed")
FIELD = CredentialManagement.RESULT
NOT_LISTED = "not listed"


@refusals
def _count(look: Look) -> Value:
    """The number of resident credentials that the key reports. It must equal the number that it enumerates."""
    mine = fido_memory(look.memory)
    pin = pin_in_force(look)
    if not mine.lists or pin is None:
        return "not offered"
    open_manager = fido(look).management(pin)
    said = open_manager.get_metadata()[FIELD.EXISTING_CRED_COUNT]
    found = sum(len(_credentials(open_manager, rp[FIELD.RP_ID_HASH])) for rp in open_manager.enumerate_rps())
    return said if said == found else f"{said}, but {found} are enumerated"


def remaining(manager: CredentialManagement) -> int:
    """Return how many more resident credentials fit, as the key reports it."""
    return int(manager.get_metadata()[FIELD.MAX_REMAINING_COUNT])


def _credentials(manager: CredentialManagement, rp_id_hash: bytes) -> list[Any]:
    return list(manager.enumerate_creds(rp_id_hash))


@refusals
def _user_name(look: Look) -> Value:
    """The name under which the key lists the user of the new credential."""
    mine = fido_memory(look.memory)
    pin = pin_in_force(look)
    if not mine.lists or pin is None:
        return "not offered"
    listed = _credentials(fido(look).management(pin), hashlib.sha256(NEW_RP.encode()).digest())
    return ", ".join(sorted(str(one[FIELD.USER].get("name")) for one in listed)) or NOT_LISTED


@refusals
def _enrolment(look: Look) -> Value:
    """Log in for a user with two enrolments; the value is which of them asserts: first, second, both or neither."""
    first, second = fido_memory(look.memory).new, fido_memory(look.promise).new
    assert first is not None
    assert second is not None
    client = fido(look)
    try:
        if fido_memory(look.memory).extensions:
            # They are protected: each is found by its id alone.
            got = [one for known in dict.fromkeys((first.id, second.id)) for one in _by_id(client, known)]
        else:
            got = client.assertions(NEW_RP)
    except CtapError as error:
        return "neither" if error.code == CtapError.ERR.NO_CREDENTIALS else refusal(error)
    found = []
    for assertion in got:
        look.kept.setdefault("counters", []).append(assertion.auth_data.counter)
        one_of_both = (("first", first), ("second", second)) if first.id != second.id else (("first", first),)
        for name, one in one_of_both:
            if assertion.credential["id"] == one.id:
                good = client.verified(NEW_RP, assertion, one.public_key)
                found.append(name if good else f"{name} with a wrong signature")
    if not look.exact and len(found) + 1 == len(got):
        # The id of the second one is unknown: the power failed before the answer.
        found.append("second")
    if not got:
        return "neither"
    return " and ".join(found) if len(found) == len(got) else "an unknown credential"


def _by_id(client: Fido, ident: bytes) -> list[Any]:
    try:
        return client.assertions(NEW_RP, [ident])
    except CtapError as error:
        if error.code == CtapError.ERR.NO_CREDENTIALS:
            return []
        raise


COUNT = Item(
    "fido2.credential_count",
    Law.ATOMIC,
    _count,
    "the number of resident credentials",
    spends=frozenset({"pin try"}),
    after_replug=True,
)
_SPENDS = frozenset({"counter"})
NAME = Item(
    "fido2.user_name",
    Law.ATOMIC,
    _user_name,
    "the user's name",
    spends=frozenset({"pin try"}),
    after_replug=True,
)
_ENROLMENT = Item("fido2.enrolment", Law.ATOMIC, _enrolment, "the enrolment of a user", spends=_SPENDS)


def _lacks_update(rig: Rig) -> str | None:
    return lacks(rig, "rk", "clientPin", "credMgmt")


def enrol(rig: Rig, memory: Memory) -> None:
    """Register a resident credential for USER of NEW_RP."""
    mine = fido_memory(memory)
    mine.new, response = Fido(rig).make_credential(
        NEW_RP, USER, resident=True, pin=mine.pin, extensions=mine.extensions, names=mine.names
    )
    mine.counter = max(mine.counter, response.auth_data.counter)


def manager(rig: Rig, memory: Memory) -> CredentialManagement:
    """Open credential management with the PIN in force."""
    pin = fido_memory(memory).pin
    assert pin is not None
    return Fido(rig).management(pin)


def descriptor(memory: Memory) -> PublicKeyCredentialDescriptor:
    """Name the credential that was registered last."""
    credential = fido_memory(memory).new
    assert credential is not None
    return PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=credential.id)


def delete(rig: Rig, memory: Memory) -> None:
    """Delete the credential that was registered last."""
    manager(rig, memory).delete_cred(descriptor(memory))


def rename(rig: Rig, memory: Memory) -> None:
    """Give the user of the credential that was registered last another name."""
    manager(rig, memory).update_user_info(descriptor(memory), RENAMED)


def _resident(memory: Memory) -> int:
    mine = fido_memory(memory)
    return len(mine.resident) + bool(mine.protected) + mine.marked + mine.filled


def name_of(memory: Memory) -> str:
    """The name under which operations register USER."""
    return fido_memory(memory).names.get("name", USER.decode())


def listed(memory: Memory) -> tuple[dict[str, Value], dict[str, Value]]:
    """Values of credential management before and after a credential for USER of NEW_RP is registered."""
    if not fido_memory(memory).lists:
        return {}, {}
    before = {"fido2.user_name": NOT_LISTED, "fido2.credential_count": _resident(memory)}
    return before, {"fido2.user_name": name_of(memory), "fido2.credential_count": _resident(memory) + 1}


OPERATIONS = (
    Operation(
        name="fido2.make_credential.over",
        title="enrol a user anew over the first resident credential",
        arrange=enrol,
        act=enrol,
        worlds=lambda before, after: [old({"fido2.enrolment": "first"}), new({"fido2.enrolment": "second"})],
        items=(_ENROLMENT,),
        cost=Cost(touches=1, pins={FIDO2_PIN: 1}),
        missing=lambda rig: lacks(rig, "rk"),
    ),
    Operation(
        name="fido2.credential_management.delete",
        title="delete a resident credential",
        arrange=enrol,
        act=delete,
        worlds=lambda before, after: [
            old({"fido2.new_credential": ASSERTS, "fido2.credential_count": _resident(before) + 1}),
            new({"fido2.new_credential": "absent", "fido2.credential_count": _resident(before)}),
        ],
        items=(NEW_RESIDENT, COUNT),
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(pins={FIDO2_PIN: 1}),
        missing=lacks_management,
    ),
    Operation(
        name="fido2.credential_management.update_user",
        title="rename the user of a resident credential",
        arrange=enrol,
        act=rename,
        worlds=lambda before, after: [
            old({"fido2.user_name": name_of(before), "fido2.new_credential": ASSERTS}),
            new({"fido2.user_name": "renamed", "fido2.new_credential": ASSERTS}),
        ],
        items=(NEW_RESIDENT, NAME),
        cost=Cost(pins={FIDO2_PIN: 1}),
        missing=_lacks_update,
    ),
)
