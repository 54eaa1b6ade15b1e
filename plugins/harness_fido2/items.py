"""What must hold of a FIDO2 key after every operation (invariants P, F, E of docs/invariants.md).

Each item is observed by using it: a credential exists if an assertion verifies under the public key that was kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any

from fido2.ctap import CtapError
from fido2.ctap2 import CredentialManagement

from harness.api import Item, Law, Look, Outcome, Severity, Value
from harness_fido2 import extensions
from harness_fido2.client import (
    CANARY_RP,
    Credential,
    fido,
    fido_memory,
    manages_credentials,
    pin_in_force,
    refusal,
    usable,
)

ASSERTS = "asserts"
FRESH_RP = "fresh.keyharness.example"

COUNTER = frozenset({"counter"})
TRY = frozenset({"pin try"})


def refusals(observe: Callable[[Look], Value]) -> Callable[[Look], Value]:
    """What the key refuses is a value."""

    @wraps(observe)
    def wrapped(look: Look) -> Value:
        try:
            return observe(look)
        except CtapError as error:
            return refusal(error)

    return wrapped


def _count(look: Look, counter: int) -> None:
    look.kept.setdefault("counters", []).append(counter)


@refusals
def aaguid(look: Look) -> Value:
    return fido(look).info.aaguid.hex()


@refusals
def pin_set(look: Look) -> Value:
    return fido(look).info.options.get("clientPin")


@refusals
def pin_retries(look: Look) -> Value:
    if "clientPin" not in fido(look).info.options:
        return "not offered"
    return fido(look).tries()


@refusals
def resident_credentials(look: Look) -> Value:
    """Log in with every canary. The value is their names; unknown credentials of that relying party are named too."""
    known = fido_memory(look.memory).resident
    try:
        assertions = usable(look).assertions(CANARY_RP, extensions=extensions.reader(look).inputs)
    except CtapError as error:
        if error.code == CtapError.ERR.NO_CREDENTIALS:
            return ()
        raise
    found = []
    for assertion in assertions:
        _count(look, assertion.auth_data.counter)
        names = [name for name, one in known.items() if one.id == assertion.credential["id"]]
        for name in names:
            extensions.note(look, name, assertion)
        if not names:
            found.append("unknown credential")
        elif not fido(look).verified(CANARY_RP, assertion, known[names[0]].public_key):
            found.append(f"{names[0]} with a wrong signature")
        else:
            found.append(names[0])
    return tuple(sorted(found))


def asserts(look: Look, credential: Credential, *, listed: bool, name: str = "") -> Value:
    """Log in with a credential; ASSERTS if the assertion verifies under the public key that was kept.

    :param listed: name its id. One that is protected (credProtect 2) is not found without, unless by the PIN.
    :param name: of the canary, whose hmac-secret is asked for too.
    """
    listed = listed or bool(fido_memory(look.memory).extensions)
    inputs = extensions.reader(look).inputs if name else None
    try:
        got = usable(look).assertions(credential.rp, [credential.id] if listed else None, extensions=inputs)
    except CtapError as error:
        return "absent" if error.code == CtapError.ERR.NO_CREDENTIALS else refusal(error)
    for assertion in got:
        _count(look, assertion.auth_data.counter)
    if len(got) != 1:
        return f"{len(got)} assertions instead of one"
    if name:
        extensions.note(look, name, got[0])
    return ASSERTS if fido(look).verified(credential.rp, got[0], credential.public_key) else "wrong signature"


@refusals
def non_resident_credential(look: Look) -> Value:
    credential = fido_memory(look.memory).non_resident
    assert credential is not None
    return asserts(look, credential, listed=True, name="canary-3")


@refusals
def fillers(look: Look) -> Value:
    known = fido_memory(look.memory).fillers
    return tuple(asserts(look, known[name], listed=True) for name in sorted(known))


@refusals
def attestation(look: Look) -> Value:
    """Register a credential, without authorisation where the key allows it, else with the PIN in force."""
    client = usable(look)
    allowed = client.info.options.get("makeCredUvNotRqd") or not client.info.options.get("clientPin")
    pin = None if allowed else pin_in_force(look)
    user = b"fresh"
    credential, response = client.make_credential(FRESH_RP, user, resident=False, pin=pin)
    look.kept["fresh"] = credential
    _count(look, response.auth_data.counter)
    return client.attested(FRESH_RP, user, response)


@refusals
def fresh_credential(look: Look) -> Value:
    credential = look.kept.get("fresh")
    return asserts(look, credential, listed=True) if credential else "none could be made"


@refusals
def pin(look: Look) -> Value:
    """Use the PIN to find out which one is in force. The new one is tried first, so at most one try is spent."""
    client = fido(look)
    if not client.info.options.get("clientPin"):
        return "none"
    was, wanted = fido_memory(look.memory).pin, fido_memory(look.promise).pin
    last = "unknown"
    for name, candidate in (("new", wanted if wanted != was else None), ("current", was)):
        if candidate is None:
            continue
        try:
            client.pin().get_pin_token(candidate)
        except CtapError as error:
            last = refusal(error)
            if error.code != CtapError.ERR.PIN_INVALID:
                break
        else:
            return name
    return f"neither ({last})"


def counters(look: Look) -> Value:
    return tuple(look.kept.get("counters", ()))


ITEMS: tuple[Item, ...] = (
    Item("fido2.aaguid", Law.KEPT, aaguid, "the AAGUID"),
    Item("fido2.pin_set", Law.KEPT, pin_set, "the flag that a PIN is set", breach=Outcome.LOOSENED),
    Item("fido2.pin_retries", Law.FALLING, pin_retries, "the PIN retry counter"),
    Item(
        "fido2.resident_credentials",
        Law.KEPT,
        resident_credentials,
        "the set of resident canary credentials",
        spends=COUNTER,
    ),
    Item(
        "fido2.non_resident_credential",
        Law.KEPT,
        non_resident_credential,
        "the non-resident canary credential",
        spends=COUNTER,
    ),
    *extensions.ITEMS,
    Item(
        "fido2.fillers",
        Law.KEPT,
        fillers,
        "a sample of the credentials that fill the key up",
        spends=COUNTER,
    ),
    Item("fido2.attestation", Law.KEPT, attestation, "the attestation certificate", spends=COUNTER),
    Item(
        "fido2.fresh_credential",
        Law.KEPT,
        fresh_credential,
        "a credential registered after the cut, replugged,",
        spends=COUNTER,
        after_replug=True,
    ),
    Item("fido2.pin", Law.KEPT, pin, "the PIN in force", spends=TRY, after_replug=True),
    Item(
        "fido2.sign_count",
        Law.RISING,
        counters,
        "the signature counter",
        spends=COUNTER,
        after_replug=True,
        floor=lambda memory: fido_memory(memory).counter,
        may_be_constant_zero=True,
    ),
)


@refusals
def _new_resident(look: Look) -> Value:
    credential, earlier = fido_memory(look.promise).new, fido_memory(look.memory).new
    assert credential is not None
    if look.exact or (earlier is not None and earlier.id == credential.id):
        return asserts(look, credential, listed=False)
    return stranger(look, credential.rp, credential.user)


def stranger(look: Look, rp: str, user: bytes) -> Value:
    """Log in with a discoverable credential whose id is unknown: the power failed before the answer.

    Its user identifies it. Where the key lists public keys, the assertion must verify under the listed one.
    """
    client = fido(look)
    try:
        got = client.assertions(rp)
    except CtapError as error:
        return "absent" if error.code == CtapError.ERR.NO_CREDENTIALS else refusal(error)
    for assertion in got:
        _count(look, assertion.auth_data.counter)
    if len(got) != 1:
        return f"{len(got)} assertions instead of one"
    if got[0].user is None or got[0].user["id"] != user:
        return "a credential of another user"
    key = listed_key(look, rp, got[0].credential["id"])
    return ASSERTS if key is None or client.verified(rp, got[0], key) else "wrong signature"


def listed_key(look: Look, rp: str, ident: bytes) -> dict[int, Any] | None:
    """Return the public key that credential management lists for a credential; None where there is none."""
    client, pin = fido(look), fido_memory(look.memory).pin
    if pin is None or not manages_credentials(client.info):
        return None
    field = CredentialManagement.RESULT
    for one in client.management(pin).enumerate_creds(hashlib.sha256(rp.encode()).digest()):
        if one[field.CREDENTIAL_ID]["id"] == ident:
            return dict(one[field.PUBLIC_KEY])
    return None


@refusals
def _new_non_resident(look: Look) -> Value:
    credential = fido_memory(look.promise).new
    assert credential is not None
    return asserts(look, credential, listed=True)


NEW_RESIDENT = Item(
    "fido2.new_credential", Law.ATOMIC, _new_resident, "the new resident credential", Severity.S1, COUNTER
)
NEW_NON_RESIDENT = Item(
    "fido2.new_credential", Law.ATOMIC, _new_non_resident, "the new credential", Severity.S1, COUNTER
)
