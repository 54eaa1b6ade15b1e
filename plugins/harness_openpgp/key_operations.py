"""Operations on keys, as GnuPG does them: several commands, between which a cut leaves a world of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from harness.api import (
    ANY,
    Cost,
    Item,
    Memory,
    Operation,
    Outcome,
    Rig,
    Value,
    World,
    arrange_nothing,
    new,
    old,
)
from harness_cards.tlv import tlv
from harness_openpgp.algorithms import ECDH, ED25519, EDDSA, X25519, Algorithm, on_curve
from harness_openpgp.client import ADMIN, OTHER, PW1, PW3, SIGN, OpenPgp
from harness_openpgp.home import OURS, as_admin, describe, known, make, message
from harness_openpgp.items import (
    ABSENT,
    ANOTHER_PLAINTEXT,
    BEGAN_AGAIN,
    COUNTER_START,
    GOES_ON,
    NEW_KEYS,
    OFTEN,
    WORKS,
    WRONG_SIGNATURE,
    canaries,
)
from harness_openpgp.pin_operations import Act, lacks_touch
from harness_openpgp.public_keys import PublicKey
from harness_openpgp.slots import Slot

Worlds = list[World]
_ADMIN = Cost(seconds=30.0, pins={PW1: 1, PW3: 1})
OLD_KEY, NEW_KEY = f"old key {WORKS}", f"new key {WORKS}"
DESCRIBED, NO_FINGERPRINT, NO_DATE = "described", "without a fingerprint", "without its date"


@dataclass(frozen=True)
class HostKey:
    """A key that the host has made, for imports."""

    algorithm: Algorithm
    parts: dict[int, bytes]
    public: PublicKey


def host_key(slot: Slot, name: str = "secp256r1") -> HostKey:
    """A key on a curve, the same in each run: what is imported is known."""
    number = hashlib.sha256(OURS + b"imported " + slot.title.encode()).digest()
    if name == X25519:
        private = X25519PrivateKey.from_private_bytes(number)
        public = private.public_key().public_bytes_raw()
        algorithm = on_curve(ECDH, X25519)
        # The number travels big-endian; RFC 7748 writes it little-endian.
        parts = {0x92: number[::-1], 0x99: b"\x40" + public}
        return HostKey(algorithm, parts, PublicKey(algorithm, tlv(0x86, public)))
    algorithm = on_curve(ECDH if slot is Slot.DECIPHER else 0x13, name)
    curve = algorithm.curve
    d = int.from_bytes(number, "big") % (curve.order - 1) + 1
    parts = {0x92: d.to_bytes(curve.size, "big"), 0x99: curve.point(d)}
    return HostKey(algorithm, parts, PublicKey(algorithm, tlv(0x86, curve.point(d))))


DESCRIPTION: dict[str, Value] = {"openpgp.algorithms": ANY, "openpgp.fingerprints": ANY}
"""The item of the new key says whether these are right."""


def _counts(slot: Slot, start: Value) -> dict[str, Value]:
    """The signature counter, which a new signature key begins again."""
    if slot is not Slot.SIGN:
        return {}
    return (
        {COUNTER_START.name: start}
        if start == GOES_ON
        else {COUNTER_START.name: start, "openpgp.counter": ANY}
    )


def _finish(slot: Slot) -> Callable[[Rig, Memory], None]:
    """Read the public key, and write what describes it: what a user's repetition of the last steps does."""

    def complete(rig: Rig, memory: Memory) -> None:
        client, mine = as_admin(rig, memory), known(memory)
        mine.keys[slot] = PublicKey(client.algorithm(slot), client.public(slot))
        describe(client, mine, slot)

    return complete


def _keys(before: Memory, slot: Slot, found: str) -> dict[str, Value]:
    """The canaries under their old public keys, where the one in a slot was replaced."""
    return {"openpgp.keys": canaries(before, **{slot.title: found})}


def _replaced(slot: Slot) -> Callable[[Memory, Memory], Worlds]:
    """The worlds of a new key: the old one; no key; the new one, not, half and wholly described."""
    item = NEW_KEYS[slot].name
    gone = ANOTHER_PLAINTEXT if slot is Slot.DECIPHER else WRONG_SIGNATURE
    repeats = _finish(slot)

    def worlds(before: Memory, after: Memory) -> Worlds:
        replaced: dict[str, Value] = {
            **_keys(before, slot, gone),
            **_counts(slot, BEGAN_AGAIN),
            **DESCRIPTION,
        }
        return [
            old({item: f"{OLD_KEY}, {DESCRIBED}", **_keys(before, slot, WORKS), **_counts(slot, GOES_ON)}),
            World(
                "no key",
                Outcome.RECOVERED,
                {item: ABSENT, **replaced, **_keys(before, slot, ABSENT), **_counts(slot, ANY)},
            ),
            World(
                "not described",
                Outcome.RECOVERED,
                {item: f"{NEW_KEY}, {NO_FINGERPRINT}", **replaced},
                complete=repeats,
            ),
            World(
                "without its date",
                Outcome.RECOVERED,
                {item: f"{NEW_KEY}, {NO_DATE}", **replaced},
                complete=repeats,
            ),
            new({item: f"{NEW_KEY}, {DESCRIBED}", **replaced}),
        ]

    return worlds


def _generate(slot: Slot) -> Operation:
    def act(rig: Rig, memory: Memory) -> None:
        make(as_admin(rig, memory), known(memory), slot)

    return Operation(
        name=f"openpgp.generate.{slot.name.lower()}",
        title=f"generate a {slot.title} key and describe it",
        arrange=_sign_often if slot is Slot.SIGN else arrange_nothing,
        act=act,
        worlds=_replaced(slot),
        items=_items(slot),
        cost=_ADMIN,
    )


def _move(slot: Slot) -> Act:
    """What gpg's keytocard sends: the key, its fingerprint, its date."""

    def act(rig: Rig, memory: Memory) -> None:
        client, mine, made = as_admin(rig, memory), known(memory), host_key(slot)
        client.import_key(slot, made.parts)
        mine.keys[slot] = made.public
        describe(client, mine, slot)

    return act


def _import(slot: Slot) -> Operation:
    return Operation(
        name=f"openpgp.import.{slot.name.lower()}",
        title=f"move a {slot.title} key to the card",
        arrange=_sign_often if slot is Slot.SIGN else arrange_nothing,
        act=_move(slot),
        worlds=_replaced(slot),
        items=_items(slot),
        cost=_ADMIN,
        missing=lacks_curves,
    )


def _items(slot: Slot) -> tuple[Item, ...]:
    return (NEW_KEYS[slot], COUNTER_START) if slot is Slot.SIGN else (NEW_KEYS[slot],)


def _sign_often(rig: Rig, memory: Memory) -> None:
    """Arrange a signature counter that shows whether it began again."""
    for _ in range(OFTEN):
        _sign(rig, memory)


def lacks_curves(rig: Rig) -> str | None:
    """What a card lacks for keys on curves."""
    return None if OpenPgp(rig).version >= (3, 0) else "keys on curves, which came with version 3.0"


def _ask_for_touch(rig: Rig, memory: Memory) -> None:
    """Arrange a flag that asks for a touch, for the slot that gets a key."""
    as_admin(rig, memory).put(Slot.AUTHENTICATE.uif, b"\x01\x20")


def _change_and_import(rig: Rig, memory: Memory) -> None:
    """As keytocard with a key on another curve: attributes first."""
    client, mine = as_admin(rig, memory), known(memory)
    made = host_key(Slot.DECIPHER, X25519)
    client.put(Slot.DECIPHER.attributes, made.algorithm.encoded())
    client.verify(mine.pw3, ADMIN)
    client.import_key(Slot.DECIPHER, made.parts)
    mine.keys[Slot.DECIPHER] = made.public
    describe(client, mine, Slot.DECIPHER)


def _change_and_generate(rig: Rig, memory: Memory) -> None:
    """As gpg's key-attr and generate: attributes, PW3 again, the key, its description."""
    client, mine = as_admin(rig, memory), known(memory)
    client.put(Slot.AUTHENTICATE.attributes, on_curve(EDDSA, ED25519).encoded())
    client.verify(mine.pw3, ADMIN)
    make(client, mine, Slot.AUTHENTICATE)


def _lacks_ed25519(rig: Rig) -> str | None:
    client = OpenPgp(rig)
    wanted = on_curve(EDDSA, ED25519).encoded()
    return None if client.offers(0xFA) and wanted in client.get(0xFA) else "keys on Ed25519"


def _lacks_x25519(rig: Rig) -> str | None:
    client = OpenPgp(rig)
    wanted = on_curve(ECDH, X25519).encoded()
    return None if client.offers(0xFA) and wanted in client.get(0xFA) else "keys on X25519"


def _set_attributes(rig: Rig, memory: Memory) -> None:
    client = as_admin(rig, memory)
    client.put(Slot.AUTHENTICATE.attributes, on_curve(0x13, "secp384r1").encoded())
    del known(memory).keys[Slot.AUTHENTICATE]


def _attributes_worlds(before: Memory, after: Memory) -> Worlds:
    item = NEW_KEYS[Slot.AUTHENTICATE].name
    gone = {item: ABSENT, "openpgp.keys": canaries(before, authentication=ABSENT)}
    return [
        old({item: f"{OLD_KEY}, {DESCRIBED}", "openpgp.keys": canaries(before)}),
        # An order that empties the slot first; setting the attributes again completes it.
        World("emptied", Outcome.RECOVERED, {**gone, **DESCRIPTION}, complete=_set_attributes_again),
        new({**gone, **DESCRIPTION}),
    ]


def _set_attributes_again(rig: Rig, memory: Memory) -> None:
    client = as_admin(rig, memory)
    client.put(Slot.AUTHENTICATE.attributes, on_curve(0x13, "secp384r1").encoded())


def _sign(rig: Rig, memory: Memory) -> None:
    client, mine = OpenPgp(rig), known(memory)
    client.verify(mine.pw1, SIGN)
    client.sign(mine.keys[Slot.SIGN].signed_data(message(Slot.SIGN)))
    mine.counter += 1


def _decipher(rig: Rig, memory: Memory) -> None:
    client, mine = OpenPgp(rig), known(memory)
    client.verify(mine.pw1, OTHER)
    client.decipher(mine.keys[Slot.DECIPHER].cryptogram(message(Slot.DECIPHER))[0])


OPERATIONS = (
    _generate(Slot.SIGN),
    _generate(Slot.DECIPHER),
    _import(Slot.SIGN),
    _import(Slot.DECIPHER),
    _import(Slot.AUTHENTICATE),
    Operation(
        name="openpgp.import.touch",
        title="move a key to a slot whose flag asks for a touch",
        arrange=_ask_for_touch,
        act=_move(Slot.AUTHENTICATE),
        worlds=_replaced(Slot.AUTHENTICATE),
        items=_items(Slot.AUTHENTICATE),
        cost=Cost(touches=3, seconds=30.0, pins={PW1: 1, PW3: 1}),
        missing=lacks_touch,
    ),
    Operation(
        name="openpgp.import.other_curve",
        title="move a key on another curve to the card: attributes, key, description",
        arrange=arrange_nothing,
        act=_change_and_import,
        worlds=_replaced(Slot.DECIPHER),
        items=(NEW_KEYS[Slot.DECIPHER],),
        cost=_ADMIN,
        missing=_lacks_x25519,
    ),
    Operation(
        name="openpgp.generate.other_curve",
        title="generate a key on another curve: attributes, key, description",
        arrange=arrange_nothing,
        act=_change_and_generate,
        worlds=_replaced(Slot.AUTHENTICATE),
        items=_items(Slot.AUTHENTICATE),
        cost=_ADMIN,
        missing=_lacks_ed25519,
    ),
    Operation(
        name="openpgp.set_attributes",
        title="set another algorithm, which removes the key",
        arrange=arrange_nothing,
        act=_set_attributes,
        worlds=_attributes_worlds,
        items=(NEW_KEYS[Slot.AUTHENTICATE],),
        cost=_ADMIN,
        missing=lacks_curves,
    ),
    Operation(
        name="openpgp.sign",
        title="sign",
        arrange=arrange_nothing,
        act=_sign,
        # The counter moves, and has a law of its own.
        worlds=lambda before, after: [old({}), new({})],
        cost=Cost(pins={PW1: 1}),
    ),
    Operation(
        name="openpgp.decipher",
        title="decipher",
        arrange=arrange_nothing,
        act=_decipher,
        worlds=lambda before, after: [old({}), new({})],
        cost=Cost(pins={PW1: 1}),
    ),
)
