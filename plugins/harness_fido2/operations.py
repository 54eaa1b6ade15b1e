"""The operations of a FIDO2 key that write, and the worlds that each may leave."""

from __future__ import annotations

from fido2.ctap import CtapError

from harness.api import (
    ANY,
    Application,
    CallerError,
    Cost,
    Memory,
    Operation,
    Outcome,
    Rig,
    Value,
    World,
    arrange_nothing,
    glass_box,
    new,
    old,
)
from harness_fido2 import (
    extensions,
    homes,
    left_behind,
    management,
    next_actions,
    ownership,
    pin_policy,
    pins,
    settings,
    u2f,
)
from harness_fido2.client import (
    CANARY_RP,
    FIDO2_PIN,
    Fido,
    fault,
    fido_memory,
    lacks,
    manages_credentials,
    pin_for,
)
from harness_fido2.items import ASSERTS, ITEMS, NEW_NON_RESIDENT, NEW_RESIDENT
from harness_fido2.paired import PAIRED
from harness_fido2.reset import RESET_WINDOW_S as RESET_WINDOW_S
from harness_fido2.reset import forget as forget
from harness_fido2.reset import reset_after_power_up
from harness_fido2.reset import reset_key as reset_key
from harness_fido2.volatile import volatile
from harness_transports.client_random import client_random

NEW_RP, FILL_RP = "new.keyharness.example", "fill.keyharness.example"

Worlds = list[World]


def _canaries(rig: Rig, memory: Memory) -> None:
    """Register the canaries: two discoverable credentials, where the key has such, and one that is not.

    The last one is used, so that the signature counter is known.
    """
    mine = fido_memory(memory)
    client = Fido(rig)
    for name in ("canary-1", "canary-2") if client.info.options.get("rk") else ():
        credential, response = client.make_credential(
            CANARY_RP, name.encode(), resident=True, pin=mine.pin, extensions=extensions.requested(client)
        )
        mine.resident[name] = credential
        mine.counter = max(mine.counter, response.auth_data.counter)
    credential, response = client.make_credential(
        "other.keyharness.example",
        b"canary-3",
        resident=False,
        pin=mine.pin,
        extensions=extensions.requested(client),
    )
    mine.non_resident = credential
    (assertion,) = client.assertions(credential.rp, [credential.id])
    mine.counter = max(mine.counter, response.auth_data.counter, assertion.auth_data.counter)
    extensions.protect(client, memory)
    extensions.keep_secrets(client, memory)
    u2f.prepare(client, memory)


def prepare(rig: Rig, memory: Memory) -> None:
    """Prepare a key as its owner has it: a PIN, and credentials of both kinds. What it does not offer is left out.

    :raises CallerError: the key holds something that we did not make.
    """
    mine = fido_memory(memory)
    if glass_box(rig) is None:
        _make_room(rig, memory)
    mine.marked = ownership.keep_mark(rig)
    client = Fido(rig)
    mine.min_pin = client.info.min_pin_length
    if "clientPin" in client.info.options:
        mine.pin = pin_for(rig, "first")
        client.pin().set_pin(mine.pin)
        if glass_box(rig) is None:
            mine.tries = client.tries()
        mine.lists = manages_credentials(client.info)
    _canaries(rig, memory)
    if rig.fill:
        fill(rig, memory)


def fill(rig: Rig, memory: Memory) -> None:
    """Register resident credentials until the wanted share of the room that the key reports is used.

    Below 1 room for one is left at least: then a key that says it is full is wrong.
    """
    mine = fido_memory(memory)
    if mine.pin is None or not mine.lists:
        return
    client = Fido(rig)
    room = management.remaining(client.management(mine.pin))
    wanted = room if rig.fill == 1 else min(round(room * rig.fill), room - 1)
    for number in range(wanted):
        try:
            credential, response = client.make_credential(
                FILL_RP, b"filler %d" % number, resident=True, pin=mine.pin
            )
        except CtapError as error:
            if error.code == CtapError.ERR.KEY_STORE_FULL and rig.fill == 1:
                break
            raise
        mine.filled += 1
        mine.counter = max(mine.counter, response.auth_data.counter)
        if number in (0, wanted // 2, wanted - 1):
            mine.fillers[f"filler {number}"] = credential


def blank(rig: Rig) -> bool:
    """Tell whether the key has neither a PIN nor a canary, as far as that can be seen without cost."""
    client = Fido(rig)
    return not client.info.options.get("clientPin") and not client.silent(CANARY_RP)


def _make_room(rig: Rig, memory: Memory) -> None:
    """Remove what an earlier home state left, and nothing else.

    :raises CallerError: the key holds something that we did not make.
    """
    mine = fido_memory(memory)
    # What an earlier run left on a real key is known by its PIN and its canaries; custody has seen that there
    # is nothing else.
    ours = rig.evidence_kind == "hardware" and not blank(rig) and not ownership.foreign(rig)
    if mine.non_resident is not None or ours:
        reset_after_power_up(rig, memory)
        mine.resident.clear()
        mine.secrets.clear()
    elif not blank(rig):
        raise CallerError(
            f'rig "{rig.name}": the key is not empty',
            found="a PIN or a credential that this run did not make",
            expected="an empty key: what somebody else put on a key is never removed",
            mend="reset its FIDO2 application yourself if nobody needs what is on it",
        )


def _lacks_rk(rig: Rig) -> str | None:
    return lacks(rig, "rk")


def _make(resident: bool) -> Operation:
    def act(rig: Rig, memory: Memory) -> None:
        mine = fido_memory(memory)
        # The colours of a home go into what is stored.
        colours = (mine.extensions, mine.names) if resident else ({}, {})
        mine.new, response = Fido(rig).make_credential(
            NEW_RP, b"somebody", resident=resident, pin=mine.pin, extensions=colours[0], names=colours[1]
        )
        mine.counter = max(mine.counter, response.auth_data.counter)

    def worlds(before: Memory, after: Memory) -> Worlds:
        # A non-resident credential is not stored: once the master key exists its id may assert at any time.
        absent, listed = "absent" if resident else ANY, management.listed(before) if resident else ({}, {})
        return [
            old({"fido2.new_credential": absent, **listed[0]}),
            new({"fido2.new_credential": ASSERTS, **listed[1]}),
        ]

    kind = "resident" if resident else "non_resident"
    return Operation(
        name=f"fido2.make_credential.{kind}",
        title=f"register a {kind.replace('_', '-')} credential",
        arrange=arrange_nothing,
        act=act,
        worlds=worlds,
        items=(NEW_RESIDENT, management.COUNT, management.NAME) if resident else (NEW_NON_RESIDENT,),
        cost=Cost(touches=1),
        missing=_lacks_rk if resident else None,
    )


def _assert(resident: bool) -> Operation:
    def act(rig: Rig, memory: Memory) -> None:
        mine = fido_memory(memory)
        assert mine.non_resident is not None
        client = Fido(rig, mine.pin)
        if resident:
            got = client.assertions(CANARY_RP)
        else:
            got = client.assertions(mine.non_resident.rp, [mine.non_resident.id])
        mine.counter = max(mine.counter, *(one.auth_data.counter for one in got))

    return Operation(
        name="fido2.get_assertion.resident" if resident else "fido2.get_assertion",
        title="log in with a resident credential" if resident else "log in with a non-resident credential",
        arrange=arrange_nothing,
        act=act,
        # Nothing but the counter changes, and that has a law of its own.
        worlds=lambda before, after: [old({}), new({})],
        cost=Cost(touches=1),
        missing=_lacks_rk if resident else None,
    )


def reset_worlds(before: Memory, after: Memory) -> Worlds:
    """The worlds that a reset may leave: everything is there, or nothing is."""
    mine = fido_memory(before)
    fresh: dict[str, Value] = {
        "fido2.pin_set": False if mine.pin else None,
        "fido2.pin": "none",
        "fido2.resident_credentials": (),
        "fido2.fillers": ("absent",) * len(mine.fillers),
        "fido2.non_resident_credential": "absent",
        **extensions.gone(before),
        # 6A80, wrong data: the handle is not one of this key's any more (U2F raw messages, 3.3).
        "fido2.u2f_handle": "refused: 6A80" if mine.handle else "not offered",
        "fido2.pin_retries": mine.tries if mine.pin else "not offered",
        # All credentials are gone, and with them every value that a relying party could compare.
        "fido2.sign_count": ANY,
        **left_behind.values(before, left_behind.NONE),
    }
    return [
        old(
            {
                "fido2.pin_set": True if mine.pin else None,
                "fido2.pin": "current" if mine.pin else "none",
                "fido2.resident_credentials": tuple(sorted(mine.resident)),
                "fido2.fillers": (ASSERTS,) * len(mine.fillers),
                "fido2.non_resident_credential": ASSERTS,
                **extensions.kept(before),
                "fido2.u2f_handle": "authenticates" if mine.handle else "not offered",
                **left_behind.values(before, left_behind.ALL),
            }
        ),
        new(fresh),
        # A key that asks for its PIN in every boot asks for none when it has none.
        World("new, unsealed", Outcome.NEW, {**fresh, "fido2.always_uv": False}),
    ]


def _reset_and_register(rig: Rig, memory: Memory) -> None:
    reset_key(rig, memory)
    mine = fido_memory(memory)
    mine.new, response = Fido(rig).make_credential(NEW_RP, b"somebody", resident=False)
    mine.counter = response.auth_data.counter


def _reset_and_register_worlds(before: Memory, after: Memory) -> Worlds:
    was, *fresh = reset_worlds(before, after)
    return [
        old({**was.values, "fido2.new_credential": "absent"}),
        *(
            World("reset", Outcome.RECOVERED, {**one.values, "fido2.new_credential": "absent"})
            for one in fresh
        ),
        *(World(one.name, Outcome.NEW, {**one.values, "fido2.new_credential": ASSERTS}) for one in fresh),
    ]


def _arrange_no_pin(rig: Rig, memory: Memory) -> None:
    """Arrange a key without a PIN, with canaries registered after the reset."""
    rig.power.cycle()
    reset_key(rig, memory)
    fido_memory(memory).resident.clear()
    fido_memory(memory).secrets.clear()
    fido_memory(memory).fillers.clear()
    fido_memory(memory).filled = 0
    _canaries(rig, memory)


def _set_pin(rig: Rig, memory: Memory) -> None:
    pin = pin_for(rig, "set")
    Fido(rig).pin().set_pin(pin)
    fido_memory(memory).pin = pin


def _set_pin_worlds(before: Memory, after: Memory) -> Worlds:
    put = {"fido2.pin_set": True, "fido2.pin": "new"}
    return [
        old({"fido2.pin_set": False, "fido2.pin": "none"}),
        new(put),
        # Some keys seal their secrets with the PIN, and ask for it in every boot from the first one on.
        World("new, sealed", Outcome.NEW, {**put, "fido2.always_uv": True, "fido2.u2f_handle": ANY}),
    ]


def _change_pin(rig: Rig, memory: Memory) -> None:
    mine = fido_memory(memory)
    assert mine.pin is not None
    pin = pin_for(rig, "changed")
    Fido(rig).pin().change_pin(mine.pin, pin)
    mine.pin = pin


OPERATIONS: tuple[Operation, ...] = (
    _make(resident=True),
    _make(resident=False),
    _assert(resident=False),
    _assert(resident=True),
    Operation(
        name="fido2.client_pin.set",
        title="set the first PIN",
        arrange=_arrange_no_pin,
        act=_set_pin,
        worlds=_set_pin_worlds,
        acknowledged_old=Outcome.LOOSENED,
        missing=pins.lacks_pin,
    ),
    Operation(
        name="fido2.client_pin.change",
        title="change the PIN",
        arrange=arrange_nothing,
        act=_change_pin,
        worlds=lambda before, after: [old({"fido2.pin": "current"}), new({"fido2.pin": "new"})],
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(pins={FIDO2_PIN: 1}),
        missing=pins.lacks_pin,
    ),
    *pins.OPERATIONS,
    Operation(
        name="fido2.reset",
        title="reset the FIDO2 application",
        arrange=left_behind.note,
        act=reset_key,
        resets=True,
        worlds=reset_worlds,
        items=(left_behind.FILES_OF_BEFORE,),
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(touches=1),
    ),
    Operation(
        name="fido2.reset.register",
        title="reset the FIDO2 application and register at once",
        arrange=left_behind.note,
        act=_reset_and_register,
        worlds=_reset_and_register_worlds,
        items=(NEW_NON_RESIDENT, left_behind.FILES_OF_BEFORE),
        cost=Cost(touches=2),
    ),
)

FIDO2 = Application(
    name="fido2",
    title="FIDO2",
    prepare=prepare,
    operations=(
        *OPERATIONS,
        *extensions.OPERATIONS,
        *management.OPERATIONS,
        *u2f.OPERATIONS,
        *settings.OPERATIONS,
        *pin_policy.OPERATIONS,
    ),
    # Flags of getInfo are free; the U2F handle goes before what is looked at after a replug.
    items=(settings.ALWAYS_UV, settings.MIN_PIN_LENGTH, u2f.U2F_CANARY, *ITEMS),
    foreign=ownership.foreign,
    blank=blank,
    unseen=ownership.unseen,
    marker=ownership.marker,
    mark=ownership.mark,
    homes=homes.HOMES,
    next_actions=next_actions.NEXT_ACTIONS,
    volatile=volatile,
    randomness=client_random,
    fault=fault,
    # CTAPHID_KEEPALIVE "at least every 100 ms" (CTAP 2.1, section 11.2.9.2.1).
    keepalive_us=100_000,
    paired=PAIRED,
)
