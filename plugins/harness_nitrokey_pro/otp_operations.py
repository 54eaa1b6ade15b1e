"""Operations on slots, counters, time and configuration."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from harness.api import (
    ANY,
    Cost,
    KeyFault,
    Memory,
    Operation,
    Outcome,
    Refused,
    Rig,
    Value,
    World,
    arrange_nothing,
    new,
    old,
)
from harness_nitrokey_pro.client import HIDDEN_SLOT, NitrokeyPro
from harness_nitrokey_pro.codes import hotp
from harness_nitrokey_pro.home import (
    EIGHT_DIGITS,
    HOTP,
    LAST_TOTP,
    OTHER_HOTP,
    TOTP,
    OtpSlot,
    as_admin,
    known,
    put_slot,
    secret,
    use_hotp,
)
from harness_nitrokey_pro.items import FREE, WORKS, slots_value
from harness_openpgp.client import PW3
from harness_openpgp.items import CURRENT, NEW

Worlds = list[World]
Act = Callable[[Rig, Memory], None]
USES = 1016
"""Uses that a counter page takes before it is begun anew."""
BEFORE_WRAP = 2**32 - 500
DAYS = 30 * 86_400
ROOM_OF_TIMES = 128
_PW3 = Cost(pins={PW3: 1}, erases=1)
_FLASH = Cost(erases=1)
OTHER = OtpSlot(b"kh other", secret("other"), 40, EIGHT_DIGITS)
OTHER_TOTP = OtpSlot(b"kh other totp", secret("other totp"), 30)


def _write(number: int, slot: OtpSlot) -> Act:
    return lambda rig, memory: put_slot(as_admin(rig, memory), known(memory), number, slot)


def _erase(number: int) -> Act:
    def act(rig: Rig, memory: Memory) -> None:
        as_admin(rig, memory).erase_slot(number)
        known(memory).slots.pop(number)
        known(memory).counters.pop(number, None)

    return act


def _with_slots(before: dict[str, Value], after: dict[str, Value]) -> Callable[[Memory, Memory], Worlds]:
    """The worlds of a written slot. :param before: what else is seen in the old world; `after` likewise."""
    return lambda memory, promise: [
        old({"pro.slots": slots_value(known(memory)), **before}),
        new({"pro.slots": slots_value(known(promise)), **after}),
    ]


def _erase_unauthorised(rig: Rig, memory: Memory) -> None:
    """What a thief tries: erase a slot without the admin PIN."""
    with suppress(Refused):
        NitrokeyPro(rig).erase_slot(TOTP, temporary=b"guess")


def _verify(rig: Rig, memory: Memory) -> None:
    """As a verified boot: the firmware of a computer has the next code of the shared secret."""
    mine = known(memory)
    slot, counter = mine.slots[HIDDEN_SLOT], mine.counters[HIDDEN_SLOT]
    if NitrokeyPro(rig).verify(hotp(slot.secret, counter, slot.digits)) != 0:
        raise KeyFault("a right code", found="refused", expected="taken, with none passed over")
    mine.counters[HIDDEN_SLOT] = counter + 1


def use_up(rig: Rig, memory: Memory) -> None:
    """Arrange a counter page without room, whose first count is below 2^32 and its last one above."""
    put_slot(
        as_admin(rig, memory), known(memory), HOTP, replace(known(memory).slots[HOTP], parameter=BEFORE_WRAP)
    )
    for _ in range(USES):
        use_hotp(rig, memory)


def _set_time(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    assert mine.time is not None
    mine.time += DAYS
    NitrokeyPro(rig).set_time(mine.time)


def _fill_times(rig: Rig, memory: Memory) -> None:
    """Arrange a page of times without room."""
    client, mine = NitrokeyPro(rig), known(memory)
    assert mine.time is not None
    for _ in range(ROOM_OF_TIMES - 1):
        mine.time += 60
        client.set_time(mine.time)


def _time_worlds(before: Memory, after: Memory) -> Worlds:
    return [old({"pro.time": CURRENT}), new({"pro.time": NEW})]


def _ask_for_pin(rig: Rig, memory: Memory) -> None:
    as_admin(rig, memory).set_config(num=1, caps=0, scroll=255, pin_on=1, delete=1)
    known(memory).config = (1, 0, 255, 1, 1)


def _config_worlds(before: Memory, after: Memory) -> Worlds:
    return [old({"pro.config": known(before).config}), new({"pro.config": known(after).config})]


OPERATIONS = (
    Operation(
        name="pro.write_hotp",
        title="write a HOTP slot that was free",
        arrange=arrange_nothing,
        act=_write(OTHER_HOTP, OTHER),
        worlds=_with_slots({}, {}),
        cost=_PW3,
    ),
    Operation(
        name="pro.replace_hotp",
        title="replace a HOTP secret and its counter",
        arrange=arrange_nothing,
        act=_write(HOTP, OTHER),
        # A counter belongs to its secret: with the new one it begins at another number.
        worlds=_with_slots({"pro.hotp": WORKS}, {"pro.hotp": NEW, "pro.hotp_counter": (OTHER.parameter,)}),
        cost=_PW3,
    ),
    Operation(
        name="pro.write_totp",
        title="write a TOTP slot that was free",
        arrange=arrange_nothing,
        act=_write(TOTP + 1, OTHER_TOTP),
        worlds=_with_slots({}, {}),
        cost=_PW3,
    ),
    Operation(
        name="pro.replace_totp",
        title="replace a TOTP secret",
        arrange=arrange_nothing,
        act=_write(LAST_TOTP, OTHER_TOTP),
        worlds=_with_slots({"pro.totp": (WORKS, WORKS)}, {"pro.totp": (WORKS, NEW)}),
        cost=_PW3,
    ),
    Operation(
        name="pro.erase_hotp",
        title="erase a HOTP slot",
        arrange=arrange_nothing,
        act=_erase(HOTP),
        worlds=_with_slots({"pro.hotp": WORKS}, {"pro.hotp": FREE, "pro.hotp_counter": ANY}),
        cost=_PW3,
    ),
    Operation(
        name="pro.erase_totp",
        title="erase a TOTP slot",
        arrange=arrange_nothing,
        act=_erase(TOTP),
        worlds=_with_slots({"pro.totp": (WORKS, WORKS)}, {"pro.totp": (FREE, WORKS)}),
        cost=_PW3,
    ),
    Operation(
        name="pro.erase_totp.unauthorised",
        title="try to erase a slot without the admin PIN",
        arrange=arrange_nothing,
        act=_erase_unauthorised,
        worlds=lambda before, after: [old({"pro.slots": slots_value(known(before))})],
    ),
    Operation(
        name="pro.hotp",
        title="let the key make a HOTP code",
        arrange=arrange_nothing,
        act=use_hotp,
        worlds=lambda before, after: [old({}), new({})],
        acknowledged_old=Outcome.ROLLED_BACK,
    ),
    Operation(
        name="pro.hotp.roll",
        title="let the key make the code for which its counter page has no room",
        arrange=use_up,
        act=use_hotp,
        worlds=lambda before, after: [old({}), new({})],
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(pins={PW3: 1}, seconds=120, erases=2),
    ),
    Operation(
        name="pro.verify",
        title="verify a code of a boot",
        arrange=arrange_nothing,
        act=_verify,
        worlds=lambda before, after: [old({}), new({})],
        acknowledged_old=Outcome.ROLLED_BACK,
    ),
    Operation(
        name="pro.set_time",
        title="tell the time",
        arrange=arrange_nothing,
        act=_set_time,
        worlds=_time_worlds,
        acknowledged_old=Outcome.ROLLED_BACK,
    ),
    Operation(
        name="pro.set_time.full",
        title="tell the time where its page has no room",
        arrange=_fill_times,
        act=_set_time,
        worlds=_time_worlds,
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=_FLASH,
    ),
    Operation(
        name="pro.config",
        title="let codes ask for the user PIN",
        arrange=arrange_nothing,
        act=_ask_for_pin,
        worlds=_config_worlds,
        acknowledged_old=Outcome.LOOSENED,
        cost=_PW3,
    ),
)
