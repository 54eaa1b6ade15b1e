"""The coloured home: everything that can be set is set, and each write has to keep all of it.

Two relying parties whose hashes begin alike have a resident credential each, with every extension that the key offers
and with names of the greatest length; a third credential is not resident. What a key stores with a credential shows
in credential management and in assertions; secrets are shown as digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from fido2.ctap import CtapError
from fido2.ctap2 import Config, CredentialManagement
from fido2.ctap2.pin import ClientPin, PinProtocol, PinProtocolV2

from harness.api import (
    ANY,
    Item,
    KeyFault,
    Law,
    Look,
    Memory,
    NamedHome,
    Operation,
    Outcome,
    Rig,
    Value,
    World,
)
from harness_fido2 import settings
from harness_fido2.client import (
    Credential,
    Fido,
    challenge,
    fido,
    fido_memory,
    lacks,
    lacks_management,
    pin_in_force,
    refusal,
    usable,
)
from harness_fido2.items import refusals

RPS = ("rp-58423.keyharness.example", "rp-368861.keyharness.example")
"""Their SHA-256 hashes have the first five bytes in common."""
PLAIN_RP = "coloured.keyharness.example"
PROTECTION = {RPS[0]: 3, RPS[1]: 2, PLAIN_RP: 2}
"""credProtect: 3 asks for the PIN, 2 for the PIN or the credential's id (CTAP 2.1, section 12.1)."""
NEW_RP = "new.keyharness.example"
NAMES = {"name": "n" * 64, "displayName": "d" * 64}
"""Names of 64 bytes, which every authenticator must keep whole (CTAP 2.1, section 6.1.2)."""
BLOB = bytes(range(32))
"""32 bytes, which every authenticator with credBlob takes (CTAP 2.1, section 12.2)."""
SALT = hashlib.sha256(b"salt of the coloured home").digest()
MIN_PIN = 5
FIELD = CredentialManagement.RESULT
PAYMENT = 0x0C
"""thirdPartyPayment among what credential management tells (CTAP 2.2, section 6.8.4)."""


def _inputs(client: Fido, protect: int, *, resident: bool) -> dict[str, object]:
    """The inputs of every extension that the key offers."""
    offered = client.info.extensions
    inputs: dict[str, object] = {"credProtect": protect, "hmac-secret": True, "thirdPartyPayment": True}
    if resident:
        inputs |= {"credBlob": BLOB, "largeBlobKey": True}
    return {name: value for name, value in inputs.items() if name in offered}


def _lay_down(rig: Rig, memory: Memory) -> None:
    mine = fido_memory(memory)
    client = Fido(rig, mine.pin)
    mine.extensions, mine.names = _inputs(client, 2, resident=True), dict(NAMES)
    for rp, protection in PROTECTION.items():
        resident = rp != PLAIN_RP
        inputs = _inputs(client, protection, resident=resident)
        credential, response = client.make_credential(
            rp, b"coloured", resident=resident, pin=mine.pin, extensions=inputs, names=NAMES
        )
        mine.coloured[rp] = credential
        mine.filled += resident
        mine.counter = max(mine.counter, response.auth_data.counter)
    info = client.info
    assert mine.pin is not None
    if info.options.get("setMinPINLength") and info.min_pin_length < MIN_PIN:
        token = client.token(mine.pin, ClientPin.PERMISSION.AUTHENTICATOR_CFG)
        Config(client.ctap, *token).set_min_pin_length(MIN_PIN, list(RPS))
        mine.min_pin = MIN_PIN
        mine.tells_min_pin = "minPinLength" in info.extensions
    if info.options.get("largeBlobs"):
        settings.write_blobs(rig, memory)
    for rp, credential in mine.coloured.items():
        found = _used(client, credential, mine.pin, mine.extensions, listed=rp == PLAIN_RP)
        if not found.startswith("secret"):
            raise KeyFault(
                f"a credential of {rp} is not what it was when it was registered, although nothing was cut",
                found=found,
                expected="an assertion of this credential alone",
            )


def _missing(rig: Rig) -> str | None:
    return lacks_management(rig) or lacks(rig, "clientPin")


def _short(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:8]


def _secret(client: Fido, extensions: Mapping[str, Any] | None, protocol: PinProtocol, shared: bytes) -> str:
    output = (extensions or {}).get("hmac-secret")
    return _short(protocol.decrypt(shared, output)) if isinstance(output, bytes) else "none"


def _used(client: Fido, credential: Credential, pin: str, offered: Collection[str], *, listed: bool) -> str:
    """Log in with the extensions that were offered when it was registered; what came of it, in words.

    :param listed: name its id; without it, every credential of the relying party is found.
    """
    inputs: dict[str, object] = {
        name: True for name in ("credBlob", "largeBlobKey", "thirdPartyPayment") if name in offered
    }
    protocol: PinProtocol = PinProtocolV2()
    shared = b""
    if "hmac-secret" in offered:
        agreed = client.ctap.client_pin(2, ClientPin.CMD.GET_KEY_AGREEMENT)
        key, shared = protocol.encapsulate(agreed[ClientPin.RESULT.KEY_AGREEMENT])
        salt = protocol.encrypt(shared, SALT)
        inputs["hmac-secret"] = {1: key, 2: salt, 3: protocol.authenticate(shared, salt), 4: protocol.VERSION}
    request_hash = challenge("get", credential.rp)
    used, token = client.token(pin, ClientPin.PERMISSION.GET_ASSERTION, credential.rp)
    try:
        with client.rig.touch.pressing():
            got = client.ctap.get_assertion(
                credential.rp,
                request_hash,
                allow_list=[{"type": "public-key", "id": credential.id}] if listed else None,
                extensions=inputs or None,
                pin_uv_param=used.authenticate(token, request_hash),
                pin_uv_protocol=used.VERSION,
            )
    except CtapError as error:
        return "absent" if error.code == CtapError.ERR.NO_CREDENTIALS else refusal(error)
    outputs: Mapping[str, Any] | None = got.auth_data.extensions
    if (got.number_of_credentials or 1) > 1 or got.credential["id"] != credential.id:
        return f"{got.number_of_credentials or 1} credentials are found, of which another one comes first"
    words = [] if client.verified(credential.rp, got, credential.public_key) else ["a wrong signature"]
    words.append(f"secret {_secret(client, outputs, protocol, shared)}")
    words += [f"{name} {_short((outputs or {}).get(name))}" for name in ("credBlob", "thirdPartyPayment")]
    words.append(f"large blob key {_short(got.large_blob_key)}")
    return ", ".join(words)


def _told(client: Fido, pin: str, allowed: bool) -> str:
    """Whether a relying party is told the minimum PIN length, as it was allowed to be (CTAP 2.1, section 12.4)."""
    if not allowed:
        return "nobody may be told the minimum PIN length"
    _, response = client.make_credential(
        RPS[0], b"asks", resident=False, pin=pin, extensions={"minPinLength": True}
    )
    told = "minPinLength" in (response.auth_data.extensions or {})
    return f"{RPS[0]} is {'' if told else 'not '}told the minimum PIN length"


def _listed(client: Fido, pin: str, offered: Collection[str]) -> tuple[str, ...]:
    """What credential management says of the coloured relying parties, and of their credentials."""
    pays = "thirdPartyPayment" in offered
    manager = client.management(pin)
    found = []
    for rp in manager.enumerate_rps():
        name = rp[FIELD.RP]["id"]
        if name not in RPS:
            continue
        for one in manager.enumerate_creds(rp[FIELD.RP_ID_HASH]):
            user = one[FIELD.USER]
            found.append(
                f"{name}: credProtect {one.get(FIELD.CRED_PROTECT)}, "
                f"name of {len(user.get('name') or '')}, display name of {len(user.get('displayName') or '')}, "
                f"{_short((user.get('name'), user.get('displayName')))}, "
                f"large blob key {_short(one.get(FIELD.LARGE_BLOB_KEY))}, "
                f"payment {one.get(PAYMENT) if pays else 'not offered'}"
            )
    return tuple(sorted(found))


@refusals
def _colours(look: Look) -> Value:
    mine = fido_memory(look.memory)
    client = usable(look)
    pin = pin_in_force(look)
    if pin is None or not client.info.options.get("clientPin"):
        return "no PIN"
    used = (
        f"{rp}: {_used(client, one, pin, mine.extensions, listed=rp == PLAIN_RP)}"
        for rp, one in mine.coloured.items()
    )
    return (*used, *_listed(client, pin, mine.extensions), _told(client, pin, mine.tells_min_pin))


COLOURS = Item(
    "fido2.colours",
    Law.KEPT,
    _colours,
    "what is stored with the coloured credentials",
    spends=frozenset({"counter", "pin try"}),
    after_replug=True,
)


def _properties(look: Look, credential: Credential | None, offered: Collection[str]) -> Value:
    """What is stored with a new credential, its names left out; secrets are there or not."""
    client, pin = fido(look), pin_in_force(look)
    if pin is None or credential is None:
        return "no PIN"
    try:
        there = list(client.management(pin).enumerate_creds(hashlib.sha256(NEW_RP.encode()).digest()))
    except CtapError as error:
        return "absent" if error.code == CtapError.ERR.NO_CREDENTIALS else refusal(error)
    if not there:
        return "absent"
    return "; ".join(
        f"credProtect {one.get(FIELD.CRED_PROTECT)}, payment {bool(one.get(PAYMENT))}, "
        f"large blob key {'there' if one.get(FIELD.LARGE_BLOB_KEY) else 'none'}, {_stored(client, one, pin, offered)}"
        for one in there
    )


def _stored(client: Fido, listed: Mapping[int, Any], pin: str, offered: Collection[str]) -> str:
    """Blob and secret of a listed credential, as an assertion shows them."""
    one = Credential(NEW_RP, b"", listed[FIELD.CREDENTIAL_ID]["id"], dict(listed[FIELD.PUBLIC_KEY]))
    words = _used(client, one, pin, offered, listed=True).split(", ")
    blob = next((word for word in words if word.startswith("credBlob")), "credBlob none")
    return f"{blob}, secret {'none' if 'secret none' in words else 'there'}"


@refusals
def _new_colours(look: Look) -> Value:
    return _properties(look, fido_memory(look.promise).new, fido_memory(look.memory).extensions)


NEW_COLOURS = Item(
    "fido2.new_colours",
    Law.ATOMIC,
    _new_colours,
    "what is stored with the new credential",
    spends=frozenset({"counter", "pin try"}),
    after_replug=True,
)


def _expected(memory: Memory) -> str:
    """What is to be stored with a credential that an operation registers."""
    inputs = fido_memory(memory).extensions
    return (
        f"credProtect {inputs.get('credProtect', 1)}, payment {bool(inputs.get('thirdPartyPayment'))}, "
        f"large blob key {'there' if 'largeBlobKey' in inputs else 'none'}, "
        f"credBlob {_short(inputs.get('credBlob'))}, secret {'there' if 'hmac-secret' in inputs else 'none'}"
    )


RESETS = ("fido2.reset", "fido2.reset.register", "admin.factory_reset")
"""Operations after which nothing of a home is left."""


def with_values(operation: Operation, values: Mapping[str, Value]) -> Operation:
    """The operation, with these values in each of its worlds but the old one."""

    def worlds(before: Memory, after: Memory) -> list[World]:
        return [
            one if one.outcome is Outcome.OLD else replace(one, values={**one.values, **values})
            for one in operation.worlds(before, after)
        ]

    return replace(operation, worlds=worlds)


_NOT_ASKED = {
    "fido2.client_pin.set": "it is arranged by a reset, which leaves no colour",
    "fido2.large_blobs.write": "the array is written already",
    "fido2.config.rp_list": "the list is one of the colours",
}


def _adapt(operation: Operation) -> Operation | None:
    if operation.name in _NOT_ASKED:
        return None
    if operation.name.startswith("fido2.client_pin.block"):
        # Without the PIN nothing of it is seen.
        return with_values(operation, {COLOURS.name: ANY})
    if operation.name in RESETS:
        return with_values(
            operation, {COLOURS.name: "no PIN", settings.LARGE_BLOBS.name: ANY, "fido2.min_pin": ANY}
        )
    registers = operation.name == "fido2.make_credential.resident"
    if not registers and operation.name not in (
        "fido2.make_credential.over",
        "fido2.credential_management.update_user",
        "fido2.credential_management.delete",
    ):
        return operation
    deletes = operation.name == "fido2.credential_management.delete"

    def worlds(before: Memory, after: Memory) -> list[World]:
        values = {Outcome.OLD: "absent" if registers else _expected(before)}
        values[Outcome.NEW] = "absent" if deletes else _expected(before)
        return [
            replace(one, values={**one.values, NEW_COLOURS.name: values[one.outcome]})
            for one in operation.worlds(before, after)
        ]

    return replace(operation, items=(*operation.items, NEW_COLOURS), worlds=worlds)


COLOURED = NamedHome(
    name="coloured",
    title="everything that can be set is set",
    lay_down=_lay_down,
    adapt=_adapt,
    values=lambda memory: {},
    items=(COLOURS,),
    missing=_missing,
    cuts=6,
)
