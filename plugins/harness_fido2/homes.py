"""Homes of a FIDO2 key besides the fresh one: a store at its limit, and writes in one boot.

`harness_fido2.coloured` has the home in which everything is set.
"""

from __future__ import annotations

from dataclasses import replace

from fido2.ctap import CtapError
from fido2.ctap2 import Config
from fido2.ctap2.pin import ClientPin
from fido2.webauthn import (
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
)

from harness.api import ANY, KeyFault, Memory, NamedHome, Operation, Rig, Value, World, new, old
from harness_fido2 import management
from harness_fido2.client import (
    Credential,
    Fido,
    fido_memory,
    lacks,
    lacks_management,
    pin_for,
)
from harness_fido2.coloured import COLOURED, RESETS, with_values
from harness_fido2.items import ASSERTS

FULL_RP, BOOT_RP = "full.keyharness.example", "boot.keyharness.example"
SPARE_PLACES = 3
"""Places that are left until an operation has been arranged, which may need one."""
FILL_MAX = 200
"""Credentials beyond those that the key said it had room for."""
MIN_PIN = 5
FORCED = "fido2.client_pin.change.forced"


# A store at its limit


def _register(client: Fido, memory: Memory, rp: str, user: bytes) -> Credential:
    mine = fido_memory(memory)
    credential, response = client.make_credential(rp, user, resident=True, pin=mine.pin)
    mine.filled += 1
    mine.counter = max(mine.counter, response.auth_data.counter)
    return credential


def _nearly_fill(rig: Rig, memory: Memory) -> None:
    """Register until a few places are left, as the key says."""
    mine = fido_memory(memory)
    client = Fido(rig, mine.pin)
    assert mine.pin is not None
    room = management.remaining(client.management(mine.pin))
    for number in range(max(0, room - SPARE_PLACES)):
        credential = _register(client, memory, FULL_RP, b"full %d" % number)
        if number == 0:
            mine.fillers["first of a full key"] = credential


def _fill(rig: Rig, memory: Memory) -> None:
    """Register until the key refuses; a key that does not show its application stays as it is."""
    if rig.face != rig.key.faces[0].name:
        return
    mine = fido_memory(memory)
    client = Fido(rig, mine.pin)
    last: Credential | None = None
    for number in range(FILL_MAX):
        try:
            last = _register(client, memory, FULL_RP, b"last %d" % number)
        except CtapError as error:
            if error.code != CtapError.ERR.KEY_STORE_FULL:
                raise
            break
    else:
        raise KeyFault(
            "a full key refuses no registration",
            found=f"{FILL_MAX} credentials more than {SPARE_PLACES}, for which it said that it had room",
            expected="KEY_STORE_FULL (0x28)",
        )
    if last is not None:
        mine.fillers["last of a full key"] = last


def _fill_and_free_one(rig: Rig, memory: Memory) -> None:
    mine = fido_memory(memory)
    _fill(rig, memory)
    last = mine.fillers.pop("last of a full key", None)
    if last is not None and mine.pin is not None:
        Fido(rig).management(mine.pin).delete_cred(_descriptor(last))
        mine.filled -= 1


def _descriptor(credential: Credential) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=credential.id)


def _refused(operation: Operation) -> Operation:
    """A registration for which there is no room: it is refused, and nothing has changed."""

    def act(rig: Rig, memory: Memory) -> None:
        try:
            operation.act(rig, memory)
        except CtapError as error:
            if error.code != CtapError.ERR.KEY_STORE_FULL:
                raise
        else:
            raise KeyFault(
                "a full key took one more credential than it had room for",
                found="a new credential",
                expected="refused: KEY_STORE_FULL (0x28), as the registration just before it",
            )

    def worlds(before: Memory, after: Memory) -> list[World]:
        values: dict[str, Value] = {}
        if fido_memory(before).lists:
            values = dict(operation.worlds(before, before)[0].values)
            values.pop("fido2.new_credential", None)
        return [old(values), new(values)]

    items = tuple(item for item in operation.items if item.name != "fido2.new_credential")
    return replace(
        operation, title=f"{operation.title}, without room for it", act=act, worlds=worlds, items=items
    )


def _may_be_refused(operation: Operation) -> Operation:
    """A write that needs room for a moment: it is done, or refused and nothing has changed."""

    def act(rig: Rig, memory: Memory) -> None:
        try:
            operation.act(rig, memory)
        except CtapError as error:
            if error.code != CtapError.ERR.KEY_STORE_FULL:
                raise
            fido_memory(memory).refused = True

    def worlds(before: Memory, after: Memory) -> list[World]:
        found = list(operation.worlds(before, after))
        if not fido_memory(after).refused:
            return found
        return [old(found[0].values), new(found[0].values)]

    return replace(operation, act=act, worlds=worlds)


_REFUSED = ("fido2.make_credential.resident", "fido2.make_credential.protected")
_MAY_BE_REFUSED = ("fido2.make_credential.over", "fido2.credential_management.update_user")
_NOT_ASKED = (
    "fido2.client_pin.set",
    "fido2.client_pin.verify",
    "fido2.client_pin.block",
    "fido2.client_pin.wrong.boot",
    FORCED,
)
"""Beginnings of names. The first is arranged by a reset, which empties the store, the next ones by wrong PINs: to fill
the store takes the right one, which gives the tries back. A PIN that must be changed fills nothing."""


def _adapt_full(operation: Operation) -> Operation | None:
    if operation.name.startswith(_NOT_ASKED):
        return None
    if operation.name in _REFUSED:
        return _refused(operation)
    return _may_be_refused(operation) if operation.name in _MAY_BE_REFUSED else operation


def _adapt_nearly_full(operation: Operation) -> Operation | None:
    if operation.name.startswith(_NOT_ASKED):
        return None
    return _may_be_refused(operation) if operation.name in (*_MAY_BE_REFUSED, *_REFUSED) else operation


def _lacks_room(rig: Rig) -> str | None:
    return lacks_management(rig)


def _fillers_assert(memory: Memory) -> dict[str, Value]:
    return {"fido2.fillers": (ASSERTS,) * len(fido_memory(memory).fillers)}


FULL = NamedHome(
    name="full",
    title="a store at its limit",
    lay_down=_nearly_fill,
    settle=_fill,
    adapt=_adapt_full,
    values=_fillers_assert,
    missing=_lacks_room,
    cuts=10,
)
NEARLY_FULL = NamedHome(
    name="full-minus-one",
    title="a store with room for one more",
    lay_down=_nearly_fill,
    settle=_fill_and_free_one,
    adapt=_adapt_nearly_full,
    values=_fillers_assert,
    missing=_lacks_room,
    cuts=0,
)


# Writes in one boot


def _write_before(rig: Rig, memory: Memory) -> None:
    """Do one of each write that leaves something to see, in the boot of the operation."""
    mine = fido_memory(memory)
    client = Fido(rig, mine.pin)
    if mine.non_resident is not None:
        (got,) = client.assertions(mine.non_resident.rp, [mine.non_resident.id])
        mine.counter = max(mine.counter, got.auth_data.counter)
    if mine.pin is None or client.tries() != mine.tries:
        # Whether a PIN is set, or a try is missing, is what the operation is about.
        return
    changed = pin_for(rig, "in this boot")
    client.pin().change_pin(mine.pin, changed)
    mine.pin = changed
    client = Fido(rig, mine.pin)
    _limit_pins(client, memory, changed)
    if client.info.options.get("rk"):
        made = _register(client, memory, BOOT_RP, b"in this boot")
        mine.fillers["of this boot"] = made
        if client.info.options.get("credMgmt"):
            _rename(client, changed, made)


def _rename(client: Fido, pin: str, made: Credential) -> None:
    """Rename a user; a key that has the prototype's commands and not this one stays as it is."""
    renamed = PublicKeyCredentialUserEntity(id=made.user, name="renamed", display_name="Renamed")
    try:
        client.management(pin).update_user_info(_descriptor(made), renamed)
    except CtapError as error:
        # That it says credMgmt all the same is a matter of the conformance cases.
        if error.code not in (CtapError.ERR.INVALID_COMMAND, CtapError.ERR.INVALID_SUBCOMMAND):
            raise


def _limit_pins(client: Fido, memory: Memory, pin: str) -> None:
    info = client.info
    if info.options.get("setMinPINLength") and info.min_pin_length < MIN_PIN:
        token = client.token(pin, ClientPin.PERMISSION.AUTHENTICATOR_CFG)
        Config(client.ctap, *token).set_min_pin_length(MIN_PIN)
        fido_memory(memory).min_pin = MIN_PIN


def _written_before(memory: Memory) -> dict[str, Value]:
    mine = fido_memory(memory)
    values: dict[str, Value] = dict(_fillers_assert(memory))
    if mine.pin is not None:
        values["fido2.pin"] = "current"
    return values


def _adapt_same_boot(operation: Operation) -> Operation | None:
    if operation.name in RESETS:
        return with_values(operation, {"fido2.min_pin": ANY})
    # An operation that begins without power has a boot of its own. A PIN that must be changed is changed here first.
    return operation if operation.powered and operation.name != FORCED else None


SAME_BOOT = NamedHome(
    name="same-boot",
    title="each write after others in the same boot",
    in_boot=_write_before,
    adapt=_adapt_same_boot,
    values=_written_before,
    missing=lambda rig: lacks(rig, "clientPin"),
    cuts=6,
)

HOMES: tuple[NamedHome, ...] = (FULL, NEARLY_FULL, SAME_BOOT, COLOURED)
