"""Operations on what a company asks of PINs: a PIN that must be changed, and who may learn the minimum length.

Each is one command of which a key may store the parts one after the other (CTAP 2.1, sections 6.5.5.6 and 6.11.4).
"""

from __future__ import annotations

from harness.api import ANY, Cost, Item, Law, Look, Memory, Operation, Outcome, Rig, Value, new, old
from harness_fido2.client import FIDO2_PIN, Fido, fido_memory, lacks, pin_for, pin_in_force, usable
from harness_fido2.items import refusals
from harness_fido2.settings import FORCE_CHANGE, MIN_PIN, ONE_WAY, config_commands, lacks_config

OLD_RP, NEW_RP = "old-policy.keyharness.example", "new-policy.keyharness.example"


def _demand_change(rig: Rig, memory: Memory) -> None:
    config_commands(rig, memory).set_min_pin_length(force_change_pin=True)


def _change(rig: Rig, memory: Memory) -> None:
    mine = fido_memory(memory)
    assert mine.pin is not None
    pin = pin_for(rig, "changed")
    Fido(rig).pin().change_pin(mine.pin, pin)
    mine.pin = pin


def _lacks_force(rig: Rig) -> str | None:
    return lacks(rig, "clientPin", "authnrCfg", "setMinPINLength")


@refusals
def _told(look: Look) -> Value:
    """Register at both relying parties; name those that are told the minimum PIN length (CTAP 2.1, section 12.4)."""
    client, pin = usable(look), pin_in_force(look)
    told = []
    for rp in (OLD_RP, NEW_RP):
        _, made = client.make_credential(
            rp, b"policy", resident=False, pin=pin, extensions={"minPinLength": True}
        )
        look.kept.setdefault("counters", []).append(made.auth_data.counter)
        if "minPinLength" in (made.auth_data.extensions or {}):
            told.append(rp)
    return ", ".join(told) or "none"


TOLD = Item(
    "fido2.told_min_pin",
    Law.ATOMIC,
    _told,
    "who is told the minimum PIN length",
    spends=frozenset({"counter", "pin try"}),
    after_replug=True,
)


def _list_old(rig: Rig, memory: Memory) -> None:
    config_commands(rig, memory).set_min_pin_length(rp_ids=[OLD_RP])


def _list_new(rig: Rig, memory: Memory) -> None:
    config_commands(rig, memory).set_min_pin_length(MIN_PIN, [NEW_RP])


def _lacks_list(rig: Rig) -> str | None:
    if (why := lacks_config("setMinPINLength")(rig)) is not None:
        return why
    info = Fido(rig).info
    if "minPinLength" not in info.extensions:
        return "getInfo does not list the extension minPinLength"
    return None if info.max_rpids_for_min_pin else "maxRPIDsForSetMinPINLength is 0"


OPERATIONS = (
    Operation(
        name="fido2.client_pin.change.forced",
        title="change a PIN that must be changed",
        arrange=_demand_change,
        act=_change,
        worlds=lambda before, after: [
            # To look at a key with such a PIN the PIN is changed (`harness_fido2.client.usable`).
            old({FORCE_CHANGE.name: True, "fido2.pin": ANY}),
            new({FORCE_CHANGE.name: False, "fido2.pin": "new"}),
        ],
        items=(FORCE_CHANGE,),
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(pins={FIDO2_PIN: 2}),
        missing=_lacks_force,
    ),
    Operation(
        name="fido2.config.rp_list",
        title="replace the list of those who may learn the minimum PIN length, and raise it",
        arrange=_list_old,
        act=_list_new,
        worlds=lambda before, after: [
            old({"fido2.min_pin": fido_memory(before).min_pin, TOLD.name: OLD_RP}),
            new({"fido2.min_pin": MIN_PIN, TOLD.name: NEW_RP}),
        ],
        items=(TOLD,),
        acknowledged_old=Outcome.LOOSENED,
        cost=Cost(pins={FIDO2_PIN: 1}, irreversible=ONE_WAY),
        missing=_lacks_list,
    ),
)
