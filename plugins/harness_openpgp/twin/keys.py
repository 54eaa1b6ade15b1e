"""Key slots: generate, import, read the public key, change the algorithm (specification 3.4, section 7.2.14).

A new key, its public key, and the counter that starts again are one change. A slot whose key is replaced loses
fingerprint and date: the host writes those of the new key.
"""

from __future__ import annotations

from dataclasses import replace

from harness.api import Damaged
from harness_cards.tlv import NotTlv, first, tlv
from harness_openpgp.algorithms import ECDH, ECDSA, EDDSA, Algorithm, decode, fits, on_curve, rsa
from harness_openpgp.slots import BY_CRT, Slot
from harness_openpgp.twin import pins, secrets
from harness_openpgp.twin.secrets import Secret
from harness_openpgp.twin.state import GENERATED, IMPORTED, KEY_FILES, NOT_MADE, STATE, Card
from harness_openpgp.twin.status import INTERNAL, NO_REFERENCE, WRONG_DATA, WRONG_P1P2, CardError

_EC_US, _RSA_US = 120_000, 1_500_000


def generate(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """GENERATE ASYMMETRIC KEY PAIR: a new key (P1 80), or the public key of the one that is there (P1 81)."""
    if p1 not in (0x80, 0x81) or p2:
        raise CardError(WRONG_P1P2)
    slot = _named(data)
    if p1 == 0x80:
        pins.require_admin(card)
        algorithm = card.state.slot(slot).algorithm
        card.services.work(_RSA_US if algorithm.is_rsa else _EC_US)
        _store(card, slot, _made(card, algorithm), GENERATED)
    found = card.state.slot(slot)
    if found.origin == NOT_MADE:
        raise CardError(NO_REFERENCE)
    return tlv(secrets.PUBLIC, found.public)


def _made(card: Card, algorithm: Algorithm) -> Secret:
    """A new key; there are few RSA keys, so one that the card has already is passed over."""
    taken = {slot.public for slot in card.state.slots}
    while True:
        made = secrets.generated(algorithm, card.services.stream("key"))
        if secrets.public_of(made) not in taken:
            return made


def _named(data: bytes) -> Slot:
    try:
        tag, _, whole = first(data)
    except NotTlv:
        raise CardError(WRONG_DATA) from None
    if tag not in BY_CRT or whole != data:
        raise CardError(WRONG_DATA)
    return BY_CRT[tag]


def import_key(card: Card, data: bytes) -> None:
    """PUT DATA 3FFF: a private key."""
    pins.require_admin(card)
    try:
        crt, parts = secrets.template(data)
        slot = BY_CRT[crt]
        secret = secrets.imported(card.state.slot(slot).algorithm, parts)
    except (ValueError, KeyError):
        raise CardError(WRONG_DATA) from None
    _store(card, slot, secret, IMPORTED)


def _store(card: Card, slot: Slot, secret: Secret, origin: int) -> None:
    content = pins.wrapped(pins.key_for(pins.user_key(card), KEY_FILES[slot]), secrets.sealed(secret))
    state = card.state
    before = state.slot(slot)
    kept = before if card.has("old-fingerprint-kept") else before.emptied()
    full = replace(kept, origin=origin, public=secrets.public_of(secret))
    if card.has("touch-lost-on-import") and origin == IMPORTED:
        full = replace(full, touch=0)
    after = state.with_slot(slot, full)
    if slot is Slot.SIGN and not card.has("counter-kept-for-new-key"):
        after = replace(after, counter=0)
    if card.has("slot-before-key"):
        card.in_pieces({STATE: after.sealed(), KEY_FILES[slot]: content})
    elif card.has("key-in-pieces"):
        # The slot is empty while the key is written, so a cut leaves no key: an order that is sound, too.
        card.in_pieces({STATE: state.with_slot(slot, before.emptied()).sealed()} if before.origin else {})
        card.in_pieces({KEY_FILES[slot]: content, STATE: after.sealed()})
    else:
        card.commit({KEY_FILES[slot]: content, STATE: after.sealed()})


def set_algorithm(card: Card, slot: Slot, attributes: bytes) -> None:
    """Set the algorithm of a slot; another one than before removes its key.

    :raises CardError: it is not offered.
    """
    pins.require_admin(card)
    try:
        algorithm = decode(attributes)
    except ValueError:
        raise CardError(WRONG_DATA) from None
    if algorithm not in offered(card, slot):
        raise CardError(WRONG_DATA)
    state = card.state
    before = state.slot(slot)
    if algorithm == before.algorithm:
        return
    if card.has("attributes-keep-key"):
        card.save(state.with_slot(slot, replace(before, algorithm=algorithm)))
        return
    empty = replace(before.emptied(), algorithm=algorithm)
    after = state.with_slot(slot, empty)
    if slot is Slot.SIGN:
        after = replace(after, counter=0)
    if card.has("key-in-pieces"):
        card.in_pieces({STATE: state.with_slot(slot, before.emptied()).sealed()})
        card.in_pieces({KEY_FILES[slot]: None, STATE: after.sealed()})
    else:
        card.commit({STATE: after.sealed(), KEY_FILES[slot]: None})


def offered(card: Card, slot: Slot) -> list[Algorithm]:
    """The algorithms that a slot may have, in the order in which DO FA lists them."""
    deciphers = slot is Slot.DECIPHER
    every = [rsa(bits) for bits in card.traits.rsa]
    for name in card.traits.curves:
        every += [on_curve(number, name) for number in (ECDH, ECDSA, EDDSA)]
    return [one for one in every if fits(one, deciphers=deciphers)]


def secret_of(card: Card, slot: Slot) -> Secret:
    """The private key in a slot; PW1 is verified.

    :raises CardError: there is none.
    """
    if card.state.slot(slot).origin == NOT_MADE:
        raise CardError(NO_REFERENCE)
    data = card.files.read(KEY_FILES[slot])
    plain = pins.unwrapped(pins.key_for(pins.user_key(card), KEY_FILES[slot]), data) if data else None
    if plain is None:
        raise CardError(INTERNAL)
    try:
        return secrets.unsealed(plain)
    except Damaged:
        raise CardError(INTERNAL) from None
