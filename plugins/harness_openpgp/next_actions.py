"""What an owner does with an OpenPGP card after a cut: it brings half-done work to light."""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import ANY, KeyFault, Memory, NextAction, Observation, Rig, Value, World, new, pin_for
from harness_cards.values import CURRENT, NEW, shown
from harness_openpgp.client import ADMIN, PW1, SIGN, OpenPgp
from harness_openpgp.data_operations import fresh_values
from harness_openpgp.home import DEFAULT_PW1, DEFAULT_PW3, P256, URL, describe, known, make, message
from harness_openpgp.items import (
    BEGAN_AGAIN,
    COUNTER_START,
    DATA,
    NOT_VERIFIED,
    OF_ITS_KEY,
    OPERATIONAL,
    TERMINATED,
    WORKS,
)
from harness_openpgp.key_operations import host_key, lacks_curves
from harness_openpgp.slots import Slot

SIGNATURES = 5
NOTE = b"https://example.org/after-a-cut"


def _of(seen: Observation, item: str, before: str, after: str) -> str | None:
    if seen.get("openpgp.state") != OPERATIONAL:
        return None
    return {CURRENT: before, NEW: after}.get(str(seen.get(item)))


def pw1_of(before: Memory, after: Memory, seen: Observation) -> str | None:
    """PW1 in force, as the look has found out; None if none is, or it is not known."""
    return _of(seen, "openpgp.pw1", known(before).pw1, known(after).pw1)


def pw3_of(before: Memory, after: Memory, seen: Observation) -> str | None:
    """The same of PW3."""
    return _of(seen, "openpgp.pw3", known(before).pw3, known(after).pw3)


def _as_admin(rig: Rig, before: Memory, after: Memory, seen: Observation) -> OpenPgp | None:
    """A client of which PW3 is verified; None where nobody knows PW3."""
    pin = pw3_of(before, after, seen)
    if pin is None:
        return None
    client = OpenPgp(rig)
    client.verify(pin.encode("latin-1"), ADMIN)
    return client


def changed(seen: Observation, values: Mapping[str, Value]) -> list[World]:
    """The world that an action leaves."""
    # Of a new signature key the host does not know the counter; that it began again, the look has seen.
    again: dict[str, Value] = {"openpgp.counter": ANY} if seen.get(COUNTER_START.name) == BEGAN_AGAIN else {}
    return [new({**again, **values})]


def _values(seen: Observation, item: str) -> tuple[Value, ...]:
    found = seen.get(item)
    return found if isinstance(found, tuple) else ()


# A new key


def _generate(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    client = _as_admin(rig, before, after, seen)
    if client is not None:
        make(client, known(after), Slot.DECIPHER)
        known(before).keys[Slot.DECIPHER] = known(after).keys[Slot.DECIPHER]


def _move(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    """As gpg's keytocard: the attributes where they differ, the key, its fingerprint, its date."""
    client = _as_admin(rig, before, after, seen)
    if client is None:
        return
    slot, made = Slot.AUTHENTICATE, host_key(Slot.AUTHENTICATE)
    if client.algorithm(slot) != P256[slot]:
        client.put(slot.attributes, P256[slot].encoded())
    client.import_key(slot, made.parts)
    known(before).keys[slot] = known(after).keys[slot] = made.public
    describe(client, known(after), slot)


def _with_key(slot: Slot, before: Memory, after: Memory, seen: Observation) -> list[World]:
    """The world of a key that was made by the action: it works, it is described, and all else is as it was."""
    if pw3_of(before, after, seen) is None:
        return changed(seen, {})
    place = list(known(before).keys).index(slot)
    keys, prints = list(_values(seen, "openpgp.keys")), list(_values(seen, "openpgp.fingerprints"))
    usable = pw1_of(before, after, seen) is not None
    # A canary that was not on the card before has no place in what was seen.
    keys[place : place + 1] = [f"{slot.title} {WORKS if usable else NOT_VERIFIED}"]
    prints[slot.value] = OF_ITS_KEY
    values: dict[str, Value] = {"openpgp.keys": tuple(keys), "openpgp.fingerprints": tuple(prints)}
    if slot is Slot.AUTHENTICATE:
        values["openpgp.algorithms"] = ANY
    if "openpgp.new_key" in seen:
        values["openpgp.new_key"] = ANY
    return changed(seen, values)


# PINs


def _change_pw1(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    pin = pw1_of(before, after, seen)
    if pin is None:
        return
    wanted = pin_for(rig, "next", PW1)
    OpenPgp(rig).change(pin.encode("latin-1"), wanted.encode("latin-1"))
    known(before).pw1, known(after).pw1 = pin, wanted


def _pw1_changed(before: Memory, after: Memory, seen: Observation) -> list[World]:
    return changed(seen, {} if pw1_of(before, after, seen) is None else _new_pw1(seen))


def _new_pw1(seen: Observation) -> dict[str, Value]:
    return {"openpgp.pw1": NEW, **({"openpgp.pw1_by_change": NEW} if "openpgp.pw1_by_change" in seen else {})}


def _set_pw1(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    client = _as_admin(rig, before, after, seen)
    if client is None:
        return
    wanted = pin_for(rig, "next", PW1)
    client.reset_pw1(wanted)
    known(after).pw1 = wanted


def _pw1_set(before: Memory, after: Memory, seen: Observation) -> list[World]:
    if pw3_of(before, after, seen) is None:
        return changed(seen, {})
    values = _new_pw1(seen)
    if pw1_of(before, after, seen) is None:
        # What nobody could use without PW1 is seen now.
        values |= {name: ANY for name in ("openpgp.keys", "openpgp.new_key") if name in seen}
    return changed(seen, values)


# Data


def _put_data(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    client = _as_admin(rig, before, after, seen)
    if client is not None:
        client.put(URL, NOTE)


def _data_put(before: Memory, after: Memory, seen: Observation) -> list[World]:
    if pw3_of(before, after, seen) is None:
        return changed(seen, {})
    found = list(_values(seen, "openpgp.data"))
    found[DATA.index(URL)] = shown(NOTE)
    return changed(seen, {"openpgp.data": tuple(found)})


# Sign


def _sign(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    """Log in and sign, again and again.

    :raises KeyFault: a signature does not verify.
    """
    pin, slot = pw1_of(before, after, seen), Slot.SIGN
    if pin is None or f"{slot.title} {WORKS}" not in _values(seen, "openpgp.keys"):
        return
    client, key = OpenPgp(rig), known(before).keys[slot]
    touches = known(before).has_touch and client.get(slot.uif)[0]
    for number in range(SIGNATURES):
        client.verify(pin.encode("latin-1"), SIGN)
        if touches:
            with rig.touch.pressing():
                signature = client.sign(key.signed_data(message(slot)))
        else:
            signature = client.sign(key.signed_data(message(slot)))
        if not key.verifies(signature, message(slot)):
            raise KeyFault(
                f"signature {number + 1} after a cut",
                found="one that does not verify",
                expected="one under the key that was made before",
            )
    known(after).counter = max(known(after).counter, client.counter())


# Reset


def _reset(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    if seen.get("openpgp.state") == TERMINATED:
        OpenPgp(rig, terminated=True).activate()
    else:
        client = _as_admin(rig, before, after, seen)
        if client is None:
            return
        client.terminate()
        client.activate()
    mine = known(after)
    mine.pw1, mine.pw3, mine.code, mine.counter = DEFAULT_PW1, DEFAULT_PW3, "", 0


def _was_reset(before: Memory, after: Memory, seen: Observation) -> list[World]:
    if seen.get("openpgp.state") != TERMINATED and pw3_of(before, after, seen) is None:
        return changed(seen, {})
    rest: dict[str, Value] = {name: ANY for name in seen if name.startswith("openpgp.")}
    mine = known(before)
    which = {True: CURRENT, False: NEW}
    pins = {"openpgp.pw1": which[mine.pw1 == DEFAULT_PW1], "openpgp.pw3": which[mine.pw3 == DEFAULT_PW3]}
    return changed(seen, {**rest, **fresh_values(before), **pins})


NEXT_ACTIONS: tuple[NextAction, ...] = (
    NextAction(
        "generate-on-card",
        "generate a decryption key and describe it",
        _generate,
        lambda before, after, seen: _with_key(Slot.DECIPHER, before, after, seen),
    ),
    NextAction(
        "move-to-card",
        "move an authentication key to the card",
        _move,
        lambda before, after, seen: _with_key(Slot.AUTHENTICATE, before, after, seen),
        missing=lacks_curves,
    ),
    NextAction("change-pw1", "change PW1", _change_pw1, _pw1_changed),
    NextAction("set-pw1", "set PW1 with PW3", _set_pw1, _pw1_set),
    NextAction("put-data", "write a data object", _put_data, _data_put),
    NextAction(
        "sign-on-card", f"sign {SIGNATURES} times", _sign, lambda before, after, seen: changed(seen, {})
    ),
    NextAction("reset-card", "reset the card", _reset, _was_reset),
)
