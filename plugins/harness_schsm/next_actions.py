"""What an owner does with a SmartCard-HSM after a cut: it brings half-done work to light."""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import ANY, KeyFault, Memory, NextAction, Observation, Rig, Value, World, new, pin_for
from harness_schsm import description
from harness_schsm.client import (
    CERTIFICATE,
    DATA,
    EC_SHA256,
    KEY,
    PRKD,
    USER_PIN,
    ScHsm,
)
from harness_schsm.description import OURS
from harness_schsm.home import CANARY_DATA, P256, HsmMemory, generate, known, plaintext
from harness_schsm.items import (
    ABSENT,
    CURRENT,
    NEW,
    NEW_KEY,
    attested,
    canaries,
    public_of_request,
    shown,
    verifies,
)
from harness_schsm.key_operations import NO_KCV

OWN_KEY = 12
"""Number of the key that an owner makes after a cut; no operation and no home uses it."""
SIGNATURES = 5


def pin_of(before: Memory, after: Memory, seen: Observation) -> str | None:
    """The user PIN in force, as the look has found out; None if none is, or it is not known."""
    mine = {CURRENT: known(before).pin, NEW: known(after).pin}
    return mine.get(str(seen.get("schsm.user_pin")))


def _so_pin_of(before: Memory, after: Memory, seen: Observation) -> str:
    return known(after if seen.get("schsm.so_pin") == NEW else before).so_pin


def changed(seen: Observation, values: Mapping[str, Value]) -> list[World]:
    """The world that an action leaves. What the look in between has changed itself is in it, too."""
    # The look imports the shares that are missing.
    completed: dict[str, Value] = {"schsm.dkek": ANY} if "schsm.completed_dkek" in seen else {}
    return [new({**completed, **values})]


def _logged_in(rig: Rig, before: Memory, after: Memory, seen: Observation) -> ScHsm | None:
    """A client of which the user is logged in; None where nobody can log in."""
    pin = pin_of(before, after, seen)
    if pin is None:
        return None
    client = ScHsm(rig)
    client.verify(pin)
    return client


def _objects(seen: Observation) -> tuple[str, ...] | None:
    """The list of files that the look has seen; None if the card showed none."""
    found = seen.get("schsm.objects")
    return tuple(str(one) for one in found) if isinstance(found, tuple) else None


# Make a key


def _generate(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    """Make a key, describe it, and use it.

    :raises KeyFault: what it signs does not verify under the key that the card has attested.
    """
    client = _logged_in(rig, before, after, seen)
    if client is None:
        return
    public = attested(client, generate(client, OWN_KEY, "ec"))
    client.update(PRKD | OWN_KEY, description.private_key("ec", f"{OURS}after a cut", OWN_KEY, P256.bits))
    message = plaintext(OWN_KEY)
    if not verifies(public, client.sign(OWN_KEY, EC_SHA256, message), message):
        raise KeyFault(
            "the first signature of a new key",
            found="one that does not verify",
            expected="one under the public key of its request",
        )


def _generated(before: Memory, after: Memory, seen: Observation) -> list[World]:
    there = _objects(seen)
    if pin_of(before, after, seen) is None or there is None:
        return changed(seen, {})
    made = {f"{fid | OWN_KEY:04X}" for fid in (KEY, CERTIFICATE, PRKD)}
    return changed(seen, {"schsm.objects": tuple(sorted({*there, *made}))})


# Delete what an operation makes

_OF_NEW_KEY = (
    "schsm.new_key",
    "schsm.new_aes",
    "schsm.spent_key",
    "schsm.made_key",
    "schsm.replaced_key",
    "schsm.request",
    "schsm.made_request",
    "schsm.description",
)
"""Items of operations that tell of the new key and its files."""


def _new_files(there: tuple[str, ...]) -> list[str]:
    return [name for fid in (KEY, CERTIFICATE, PRKD) if (name := f"{fid | NEW_KEY:04X}") in there]


def _delete(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    there = _objects(seen) or ()
    if not _new_files(there):
        return
    client = _logged_in(rig, before, after, seen)
    if client is not None:
        for name in _new_files(there):
            client.delete(int(name, 16))


def _deleted(before: Memory, after: Memory, seen: Observation) -> list[World]:
    there = _objects(seen) or ()
    gone = _new_files(there)
    if not gone or pin_of(before, after, seen) is None:
        return changed(seen, {})
    values: dict[str, Value] = {"schsm.objects": tuple(one for one in there if one not in gone)}
    values |= {name: ABSENT for name in _OF_NEW_KEY if name in seen}
    return changed(seen, values)


# Change the PIN, and write


def _change_pin(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    pin = pin_of(before, after, seen)
    if pin is None:
        return
    wanted = pin_for(rig, "next", USER_PIN)
    ScHsm(rig).change(pin, wanted)
    known(before).pin, known(after).pin = pin, wanted


def _pin_changed(before: Memory, after: Memory, seen: Observation) -> list[World]:
    return changed(seen, {} if pin_of(before, after, seen) is None else {"schsm.user_pin": NEW})


NOTE = f"{OURS}after a cut ".encode() * 5


def _write(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    client = _logged_in(rig, before, after, seen)
    if client is not None and seen.get("schsm.data") != ABSENT:
        client.update(DATA | CANARY_DATA, NOTE)


def _written(before: Memory, after: Memory, seen: Observation) -> list[World]:
    if pin_of(before, after, seen) is None or seen.get("schsm.data") == ABSENT:
        return changed(seen, {})
    return changed(seen, {"schsm.data": shown(NOTE)})


# Initialise


def _initialize(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    if seen.get("schsm.so_tries") == 0:
        return
    so_pin = _so_pin_of(before, after, seen)
    wanted = pin_for(rig, "next", USER_PIN)
    ScHsm(rig).initialize(so_pin, wanted, shares=1)
    for memory in (before, after):
        _as_initialized(known(memory), wanted, so_pin)


def _as_initialized(mine: HsmMemory, pin: str, so_pin: str) -> None:
    mine.pin, mine.so_pin = pin, so_pin


def _initialized(before: Memory, after: Memory, seen: Observation) -> list[World]:
    if seen.get("schsm.so_tries") == 0:
        return changed(seen, {})
    rest: dict[str, Value] = {name: ANY for name in seen if name.startswith("schsm.")}
    fresh: dict[str, Value] = {
        "schsm.device": seen.get("schsm.device"),
        "schsm.state": "options 0001",
        "schsm.user_pin": CURRENT,
        "schsm.dkek": (1, 1, NO_KCV),
        "schsm.keys": canaries(before, ABSENT),
        "schsm.data": ABSENT,
    }
    return [new({**rest, **{name: value for name, value in fresh.items() if name in seen}})]


# Use a key


def _sign(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    """Log in and sign, again and again.

    :raises KeyFault: a signature does not verify.
    """
    signing = [one.split()[0] for one in _signers(seen)]
    if not signing:
        return
    client = _logged_in(rig, before, after, seen)
    request = known(before).requests.get(int(signing[0]))
    if client is None or request is None:
        return
    for number in range(SIGNATURES):
        message = plaintext(number)
        signature = client.sign(int(signing[0]), EC_SHA256, message)
        if not verifies(public_of_request(request), signature, message):
            raise KeyFault(
                f"signature {number + 1} after a cut",
                found="one that does not verify",
                expected="one under the key that was made before",
            )


def _signers(seen: Observation) -> list[str]:
    found = seen.get("schsm.keys")
    return [str(one) for one in found if str(one) == "1 signs"] if isinstance(found, tuple) else []


NEXT_ACTIONS: tuple[NextAction, ...] = (
    NextAction("generate", "make another key and describe it", _generate, _generated),
    NextAction("delete-key", "delete the key that the operation makes", _delete, _deleted),
    NextAction("change-user-pin", "change the user PIN", _change_pin, _pin_changed),
    NextAction("write", "replace the data object", _write, _written),
    NextAction("initialize", "initialise the card again", _initialize, _initialized),
    NextAction("sign", f"sign {SIGNATURES} times", _sign, lambda before, after, seen: changed(seen, {})),
)
