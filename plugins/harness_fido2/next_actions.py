"""What an owner does with a FIDO2 key after a cut: it brings half-done work to light."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fido2.ctap import CtapError

from harness.api import ANY, Memory, NextAction, Observation, Rig, Value, World, new
from harness_fido2 import management
from harness_fido2.client import Fido, fido_memory, manages_credentials, pin_for
from harness_fido2.items import ASSERTS
from harness_fido2.reset import reset_key

LOGINS = 20


def pin_of(before: Memory, after: Memory, seen: Observation) -> str | None:
    """The PIN in force, as the look has found out; None if there is none, or it is not known."""
    was, wanted = fido_memory(before).pin, fido_memory(after).pin
    return {"new": wanted, "current": was}.get(str(seen.get("fido2.pin")))


def changed(seen: Observation, values: Mapping[str, Value]) -> list[World]:
    """The world that an action leaves. What the look in between has changed itself is in it, too."""
    # A PIN that had to be changed was changed by the look (`harness_fido2.client.usable`).
    forced: dict[str, Value] = {"fido2.force_change": ANY} if seen.get("fido2.force_change") else {}
    return [new({**forced, **values})]


def _count(seen: Observation, more: int) -> dict[str, Value]:
    count = seen.get("fido2.credential_count")
    return {"fido2.credential_count": count + more} if isinstance(count, int) else {}


def _paid_back(before: Memory) -> dict[str, Value]:
    """A right PIN has given all its tries back."""
    return {"fido2.pin_retries": fido_memory(before).tries}


# Delete what an operation registers


def _delete(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    pin = pin_of(before, after, seen)
    if pin is None or not manages_credentials(Fido(rig).info):
        return
    manager = Fido(rig).management(pin)
    try:
        found = list(manager.enumerate_creds(hashlib.sha256(management.NEW_RP.encode()).digest()))
    except CtapError as error:
        if error.code != CtapError.ERR.NO_CREDENTIALS:
            raise
        return
    for one in found:
        manager.delete_cred(one[management.FIELD.CREDENTIAL_ID])
    fido_memory(after).removed = len(found)


def _deleted(before: Memory, after: Memory, seen: Observation) -> list[World]:
    removed = fido_memory(after).removed
    if not removed:
        return changed(seen, {})
    return changed(
        seen,
        {
            "fido2.new_credential": "absent",
            "fido2.user_name": management.NOT_LISTED,
            "fido2.enrolment": "neither",
            "fido2.new_colours": ANY,
            **_paid_back(before),
            **_count(seen, -removed),
        },
    )


# Enrol the same user again


def _may_register(rig: Rig, before: Memory, after: Memory, seen: Observation) -> bool:
    options = Fido(rig).info.options
    if str(seen.get("fido2.attestation")).startswith("refused"):
        # The look could not register either, as the operation's worlds say.
        return False
    return bool(options.get("rk")) and (
        pin_of(before, after, seen) is not None or not options.get("clientPin")
    )


def _enrol(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    if not _may_register(rig, before, after, seen):
        return
    mine = fido_memory(after)
    made, response = Fido(rig).make_credential(
        management.NEW_RP, management.USER, resident=True, pin=pin_of(before, after, seen), names=mine.names
    )
    mine.enrolled = True
    if mine.new is None or mine.new.rp == management.NEW_RP:
        mine.new = made
    mine.counter = max(mine.counter, response.auth_data.counter)


def _enrolled(before: Memory, after: Memory, seen: Observation) -> list[World]:
    mine = fido_memory(after)
    if not mine.enrolled:
        return changed(seen, {})
    replaced = seen.get("fido2.new_credential") == ASSERTS
    return changed(
        seen,
        {
            **({"fido2.new_credential": ASSERTS} if mine.new and mine.new.rp == management.NEW_RP else {}),
            **({"fido2.user_name": management.name_of(after)} if _lists(before) else {}),
            "fido2.enrolment": "second",
            "fido2.new_colours": ANY,
            **(_paid_back(before) if pin_of(before, after, seen) else {}),
            **_count(seen, 0 if replaced else 1),
        },
    )


def _lists(before: Memory) -> bool:
    """Whether the key lists credentials: one without credential management shows no names."""
    return fido_memory(before).lists


# Change the PIN


def _change_pin(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    pin = pin_of(before, after, seen)
    if pin is None:
        return
    wanted = pin_for(rig, "next")
    Fido(rig).pin().change_pin(pin, wanted)
    fido_memory(before).pin, fido_memory(after).pin = pin, wanted


def _pin_changed(before: Memory, after: Memory, seen: Observation) -> list[World]:
    if pin_of(before, after, seen) is None:
        return changed(seen, {})
    return changed(seen, {"fido2.pin": "new", **_paid_back(before)})


# Reset


def _reset(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    rig.power.cycle()
    rig.wait_until_up()
    reset_key(rig, after)


def _was_reset(before: Memory, after: Memory, seen: Observation) -> list[World]:
    mine, new_one = fido_memory(before), fido_memory(after).new
    ours = new_one is not None and new_one.rp == management.NEW_RP
    lasting = ("fido2.aaguid", "fido2.attestation", "fido2.fresh_credential")
    rest: dict[str, Value] = {name: ANY for name in seen if name.startswith("fido2.") and name not in lasting}
    return [
        new(
            {
                **rest,
                "fido2.pin_set": False if seen.get("fido2.pin_set") is not None else None,
                "fido2.pin": "none",
                "fido2.resident_credentials": (),
                "fido2.fillers": ("absent",) * len(mine.fillers),
                "fido2.non_resident_credential": "absent",
                # What another relying party's item says of it is its own affair.
                **({"fido2.new_credential": "absent"} if new_one is None or ours else {}),
                "fido2.enrolment": "neither",
                "fido2.large_blobs": "empty",
            }
        )
    ]


# Log in, again and again


def _log_in(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    credential = fido_memory(before).non_resident
    if credential is None or seen.get("fido2.non_resident_credential") != ASSERTS:
        return
    client = Fido(rig, pin_of(before, after, seen))
    for _ in range(LOGINS):
        (got,) = client.assertions(credential.rp, [credential.id])
        mine = fido_memory(after)
        mine.counter = max(mine.counter, got.auth_data.counter)


NEXT_ACTIONS: tuple[NextAction, ...] = (
    NextAction("delete", "delete the credential that the operation registers", _delete, _deleted),
    NextAction("enrol", "enrol the same user again", _enrol, _enrolled),
    NextAction("change-pin", "change the PIN", _change_pin, _pin_changed),
    NextAction("reset", "reset the FIDO2 application", _reset, _was_reset),
    NextAction("log-in", f"log in {LOGINS} times", _log_in, lambda before, after, seen: changed(seen, {})),
)
