"""CTAP1/U2F: a canary that is registered through it, and its two operations that write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from fido2.ctap1 import ApduError, Ctap1

from harness.api import ANY, Cost, Item, Law, Look, Memory, Operation, Rig, Value, new, old
from harness_fido2.client import Fido, fido, fido_memory
from harness_fido2.items import refusals
from harness_transports.answers import reading

APPLICATION = hashlib.sha256(b"https://u2f.keyharness.example").digest()
CHALLENGE = hashlib.sha256(b"u2f challenge").digest()
NOT_OFFERED = "U2F_V2 is not among getInfo's versions"
TOUCH_US = 50_000
"""When the key is touched. It waits for a fraction of a second, then refuses with 6985, and the client asks again."""


def offered(client: Fido) -> bool:
    """Tell whether the key offers U2F now. alwaysUv turns it off (CTAP 2.1, section 7.2)."""
    return "U2F_V2" in client.info.versions


def register(client: Fido) -> tuple[bytes, bytes]:
    """Register, and verify the attestation. Returns key handle and public key."""
    with client.rig.touch.pressing(delay_us=TOUCH_US):
        data = Ctap1(client.device).register(CHALLENGE, APPLICATION)
    with reading("U2F_REGISTER"):
        data.verify(APPLICATION, CHALLENGE)
    return data.key_handle, data.public_key


def authenticate(client: Fido, handle: bytes, public_key: bytes) -> int:
    """Authenticate. Returns the signature counter.

    :raises InvalidSignature: the signature does not verify under the public key that was kept.
    """
    with client.rig.touch.pressing(delay_us=TOUCH_US):
        signed = Ctap1(client.device).authenticate(CHALLENGE, APPLICATION, handle)
    with reading("U2F_AUTHENTICATE"):
        signed.verify(APPLICATION, CHALLENGE, public_key)
    return int(signed.counter)


def _authenticates(look: Look, handle: bytes, public_key: bytes) -> Value:
    client = fido(look)
    if not handle or not offered(client):
        return "not offered"
    try:
        counter = authenticate(client, handle, public_key)
    except ApduError as error:
        return f"refused: {error.code:04X}"
    except InvalidSignature:
        return "wrong signature"
    look.kept.setdefault("counters", []).append(counter)
    return "authenticates"


@refusals
def _canary(look: Look) -> Value:
    mine = fido_memory(look.memory)
    return _authenticates(look, mine.handle, mine.handle_key)


U2F_CANARY = Item("fido2.u2f_handle", Law.KEPT, _canary, "the U2F key handle", spends=frozenset({"counter"}))


def prepare(client: Fido, memory: Memory) -> None:
    """Register the canary, where the key speaks U2F."""
    if offered(client):
        mine = fido_memory(memory)
        mine.handle, mine.handle_key = register(client)
        mine.counter = max(mine.counter, authenticate(client, mine.handle, mine.handle_key))


def _missing(rig: Rig) -> str | None:
    return None if offered(Fido(rig)) else NOT_OFFERED


def _register(rig: Rig, memory: Memory) -> None:
    mine = fido_memory(memory)
    mine.handle, mine.handle_key = register(Fido(rig))


def _log_in(rig: Rig, memory: Memory) -> None:
    mine = fido_memory(memory)
    mine.counter = max(mine.counter, authenticate(Fido(rig), mine.handle, mine.handle_key))


@refusals
def _new_handle(look: Look) -> Value:
    mine = fido_memory(look.promise)
    return _authenticates(look, mine.handle, mine.handle_key)


def _operation(
    name: str, title: str, act: Callable[[Rig, Memory], None], items: tuple[Item, ...]
) -> Operation:
    # A key handle is not stored: once the master key exists it may authenticate at any time.
    changes = {item.name: "authenticates" for item in items}
    return Operation(
        name=f"fido2.u2f.{name}",
        title=title,
        arrange=lambda rig, memory: None,
        act=act,
        worlds=lambda before, after: [old(dict.fromkeys(changes, ANY)), new(changes)],
        items=items,
        cost=Cost(touches=1),
        missing=_missing,
    )


_NEW = Item(
    "fido2.new_handle", Law.ATOMIC, _new_handle, "the new U2F key handle", spends=frozenset({"counter"})
)

OPERATIONS = (
    _operation("register", "register by U2F", _register, (_NEW,)),
    _operation("authenticate", "log in by U2F", _log_in, ()),
)
