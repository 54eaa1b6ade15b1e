"""Extensions whose data a cut may damage: hmac-secret and credProtect (CTAP 2.1, sections 12.1 and 12.5)."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

from fido2.ctap import CtapError
from fido2.ctap2.pin import ClientPin, PinProtocol

from harness.api import Cost, Item, Law, Look, Memory, Operation, Outcome, Rig, Value, new, old
from harness_fido2.client import (
    FIDO2_PIN,
    Credential,
    Fido,
    fido,
    fido_memory,
    lacks,
    pin_in_force,
    refusal,
    usable,
)

HMAC_SECRET, CRED_PROTECT = "hmac-secret", "credProtect"
BY_ID_ONLY, BY_PIN_ONLY = 2, 3
"""Levels of credProtect: userVerificationOptionalWithCredentialIDList and userVerificationRequired."""
PROTECTED_RP, SECRET_RP = "protected.keyharness.example", "secret.keyharness.example"
SALT = hashlib.sha256(b"keyharness salt").digest()
VERIFIED = 0x04
NOT_OFFERED = "not offered"
HIDDEN = "found by its id alone"
_SECRETS = "hmac-secret outputs"


def offers(client: Fido, *names: str) -> bool:
    """Tell whether getInfo lists all these extensions."""
    return set(names) <= set(client.info.extensions)


def requested(client: Fido) -> dict[str, object]:
    """Inputs of makeCredential for a canary: its secret, where the key has such."""
    return {HMAC_SECRET: True} if offers(client, HMAC_SECRET) else {}


class SecretReader:
    """Asks for hmac-secret outputs during one boot, with one key agreement for all of them.

    Without the extension, or a PIN protocol for the key agreement, nothing is asked for.
    """

    def __init__(self, client: Fido):
        self._session: tuple[PinProtocol, dict[int, Any], bytes] | None = None
        spoken = [kind for kind in ClientPin.PROTOCOLS if kind.VERSION in client.info.pin_uv_protocols]
        if offers(client, HMAC_SECRET) and spoken:
            protocol = spoken[0]()
            answer = client.ctap.client_pin(protocol.VERSION, ClientPin.CMD.GET_KEY_AGREEMENT)
            key, shared = protocol.encapsulate(answer[ClientPin.RESULT.KEY_AGREEMENT])
            self._session = (protocol, dict(key), shared)

    @property
    def inputs(self) -> dict[str, object]:
        """Extension inputs of getAssertion; empty where nothing is asked for."""
        if self._session is None:
            return {}
        protocol, key, shared = self._session
        salt = protocol.encrypt(shared, SALT)
        return {HMAC_SECRET: {1: key, 2: salt, 3: protocol.authenticate(shared, salt), 4: protocol.VERSION}}

    def digest(self, assertion: Any) -> str:
        """Digest the output of an assertion; a few words if there is none that can be read."""
        found = (assertion.auth_data.extensions or {}).get(HMAC_SECRET)
        if self._session is None or found is None:
            return "no output"
        protocol, _, shared = self._session
        try:
            return hashlib.sha256(protocol.decrypt(shared, found)).hexdigest()[:12]
        except ValueError:
            return "an output that cannot be decrypted"


def reader(look: Look) -> SecretReader:
    """The reader that a look shares."""
    return look.once("hmac-secret", lambda: SecretReader(fido(look)))


def note(look: Look, name: str, assertion: Any) -> None:
    """Keep whether a canary's secret is as before, for the item that is observed later."""
    known = fido_memory(look.memory).secrets.get(name)
    if known is None:
        return
    wanted = known[bool(assertion.auth_data.flags & VERIFIED)]
    found = reader(look).digest(assertion)
    # With user verification a key gives another secret, which is not known of every canary.
    same = found == wanted or not wanted
    look.kept.setdefault(_SECRETS, {})[name] = name if same else f"{name} with another secret"


def keep_secrets(client: Fido, memory: Memory) -> None:
    """Read the secrets of the canaries, without user verification."""
    mine = fido_memory(memory)
    secrets = SecretReader(client)
    if not secrets.inputs:
        return
    for name, one in _canaries(memory).items():
        (assertion,) = client.assertions(one.rp, [one.id], extensions=secrets.inputs)
        mine.counter = max(mine.counter, assertion.auth_data.counter)
        mine.secrets[name] = (secrets.digest(assertion), "")


def protect(client: Fido, memory: Memory) -> None:
    """Register the canary that a key must hide from those who do not know its id."""
    mine = fido_memory(memory)
    if not offers(client, CRED_PROTECT) or not client.info.options.get("rk"):
        return
    mine.protected, response = client.make_credential(
        PROTECTED_RP, b"canary-4", resident=True, pin=mine.pin, extensions={CRED_PROTECT: BY_ID_ONLY}
    )
    mine.counter = max(mine.counter, response.auth_data.counter)


def _canaries(memory: Memory) -> dict[str, Credential]:
    mine = fido_memory(memory)
    others = {} if mine.non_resident is None else {"canary-3": mine.non_resident}
    return {**mine.resident, **others}


def _hmac_secret(look: Look) -> Value:
    known = fido_memory(look.memory).secrets
    if not known:
        return NOT_OFFERED
    told = look.kept.setdefault(_SECRETS, {})
    for name, one in _canaries(look.memory).items():
        if name in known and name not in told:
            # The item that uses this canary could not be observed to its end: ask for the secret alone.
            with suppress(CtapError):
                for assertion in fido(look).assertions(one.rp, [one.id], extensions=reader(look).inputs):
                    note(look, name, assertion)
    return tuple(sorted(told.values()))


def _cred_protect(look: Look) -> Value:
    """Whether the protected canary is there, and hidden from those who do not know its id. Costs nothing."""
    credential = fido_memory(look.memory).protected
    if credential is None:
        return NOT_OFFERED
    client = fido(look)
    try:
        shown, there = client.silent(PROTECTED_RP), client.silent(PROTECTED_RP, credential.id)
    except CtapError as error:
        return refusal(error)
    return ("shown to anybody" if shown else HIDDEN) if there else "absent"


ITEMS = (
    Item(
        "fido2.hmac_secret",
        Law.KEPT,
        _hmac_secret,
        "the set of canaries whose hmac-secret is as before",
        spends=frozenset({"counter"}),
        # Like the credentials that it is asked of.
        after_replug=True,
        sound=lambda memory: kept(memory)["fido2.hmac_secret"],
    ),
    Item(
        "fido2.cred_protect",
        Law.KEPT,
        _cred_protect,
        "the credential that credProtect hides",
        after_replug=True,
        breach=Outcome.LOOSENED,
        sound=lambda memory: kept(memory)["fido2.cred_protect"],
    ),
)


def _register(rig: Rig, memory: Memory) -> None:
    mine = fido_memory(memory)
    client = Fido(rig)
    mine.new, response = client.make_credential(
        SECRET_RP,
        b"somebody",
        resident=True,
        pin=mine.pin,
        extensions={CRED_PROTECT: BY_PIN_ONLY, HMAC_SECRET: True},
    )
    mine.counter = max(mine.counter, response.auth_data.counter)


def _new_protected(look: Look) -> Value:
    """Use the new credential without a PIN, which must fail, and with it."""
    credential = fido_memory(look.promise).new
    assert credential is not None
    client = usable(look)
    try:
        if client.silent(SECRET_RP):
            return "shown to anybody"
        if look.exact and client.silent(SECRET_RP, credential.id):
            return "usable without the PIN"
        got = client.assertions(SECRET_RP, pin=pin_in_force(look), extensions=reader(look).inputs)
    except CtapError as error:
        return "absent" if error.code == CtapError.ERR.NO_CREDENTIALS else refusal(error)
    return _whole(look, credential, got)


def _whole(look: Look, credential: Credential, got: list[Any]) -> Value:
    for assertion in got:
        look.kept.setdefault("counters", []).append(assertion.auth_data.counter)
    if len(got) != 1:
        return f"{len(got)} assertions instead of one"
    if look.exact and not fido(look).verified(SECRET_RP, got[0], credential.public_key):
        return "wrong signature"
    if "output" in (digest := reader(look).digest(got[0])):
        return digest
    return PROTECTED


PROTECTED = "asserts with the PIN alone, and has a secret"
NEW_PROTECTED = Item(
    "fido2.new_credential",
    Law.ATOMIC,
    _new_protected,
    "the new protected credential",
    spends=frozenset({"counter", "pin try"}),
)


def _lacks_protection(rig: Rig) -> str | None:
    if (why := lacks(rig, "rk", "clientPin")) is not None:
        return why
    client = Fido(rig)
    for name in (CRED_PROTECT, HMAC_SECRET):
        if not offers(client, name):
            return f"getInfo does not list the extension {name}"
    return None


OPERATIONS = (
    Operation(
        name="fido2.make_credential.protected",
        title="register a resident credential with credProtect 3 and hmac-secret",
        arrange=lambda rig, memory: None,
        act=_register,
        worlds=lambda before, after: [
            old({"fido2.new_credential": "absent"}),
            new({"fido2.new_credential": PROTECTED}),
        ],
        items=(NEW_PROTECTED,),
        cost=Cost(touches=1, pins={FIDO2_PIN: 1}),
        missing=_lacks_protection,
    ),
)


def gone(memory: Memory) -> dict[str, Value]:
    """The values of these items after a reset."""
    mine = fido_memory(memory)
    return {
        "fido2.hmac_secret": () if mine.secrets else NOT_OFFERED,
        "fido2.cred_protect": "absent" if mine.protected else NOT_OFFERED,
    }


def kept(memory: Memory) -> dict[str, Value]:
    """Their values before it."""
    mine = fido_memory(memory)
    return {
        "fido2.hmac_secret": tuple(sorted(mine.secrets)) if mine.secrets else NOT_OFFERED,
        "fido2.cred_protect": HIDDEN if mine.protected else NOT_OFFERED,
    }
