"""Operations on PW1, PW3 and the reset code: each try is paid for first, each change is old or new."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from harness.api import (
    Cost,
    Memory,
    Operation,
    Outcome,
    PinOffer,
    Refused,
    Rig,
    World,
    arrange_nothing,
    new,
    old,
    pin_for,
    wrong_pin,
)
from harness_cards.operations import change, counted
from harness_openpgp.client import ADMIN, OTHER, PW1, PW3, RESET_CODE, OpenPgp
from harness_openpgp.home import DEFAULT_PW1, as_admin, known
from harness_openpgp.items import (
    CURRENT,
    NEITHER,
    NEW,
    NOT_VERIFIED,
    PW1_BY_CHANGE,
    RESET_CODE_ITEM,
    canaries,
)

FULL = PW1.full
Worlds = list[World]
Act = Callable[[Rig, Memory], None]
_PW1 = Cost(pins={PW1: 1})
_PW3 = Cost(pins={PW3: 1})


def lacks_touch(rig: Rig) -> str | None:
    """What a card or a rig lacks for flags that ask for a touch."""
    if not OpenPgp(rig).offers(0xD6):
        return "flags that ask for a touch"
    return None if rig.touch.can_touch else "a rig that touches the key"


def _wrong(reference: int) -> Act:
    def act(rig: Rig, memory: Memory) -> None:
        with suppress(Refused):
            OpenPgp(rig).verify(pin_for(rig, "wrong", PW3 if reference == ADMIN else PW1), reference)

    return act


def _right(reference: int) -> Act:
    def act(rig: Rig, memory: Memory) -> None:
        mine = known(memory)
        OpenPgp(rig).verify(mine.pw3 if reference == ADMIN else mine.pw1, reference)

    return act


def _change_pw1(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    before, mine.pw1 = mine.pw1, pin_for(rig, "changed", PW1)
    OpenPgp(rig).change(before, mine.pw1)


def _shorten(rig: Rig, memory: Memory) -> None:
    """Arrange the PIN of the factory, which is shorter than ours."""
    as_admin(rig, memory).reset_pw1(DEFAULT_PW1)
    known(memory).pw1 = DEFAULT_PW1


def _change_pw3(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    before, mine.pw3 = mine.pw3, pin_for(rig, "changed", PW3)
    OpenPgp(rig).change(before, mine.pw3, ADMIN)


def _set_code(rig: Rig, memory: Memory) -> None:
    client = as_admin(rig, memory)
    known(memory).code = pin_for(rig, "first", RESET_CODE)
    client.set_code(known(memory).code)


def _remove_code(rig: Rig, memory: Memory) -> None:
    as_admin(rig, memory).set_code("")
    known(memory).code = ""


def _removed_worlds(before: Memory, after: Memory) -> Worlds:
    return [
        old({"openpgp.code_tries": FULL, RESET_CODE_ITEM.name: CURRENT}),
        new({"openpgp.code_tries": 0, RESET_CODE_ITEM.name: NEITHER}),
    ]


def _block(rig: Rig, memory: Memory) -> None:
    for _ in range(FULL):
        _wrong(OTHER)(rig, memory)


def _block_with_code(rig: Rig, memory: Memory) -> None:
    """Arrange a blocked PW1, and a reset code."""
    _set_code(rig, memory)
    _block(rig, memory)


def _unblock_by_code(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    mine.pw1 = pin_for(rig, "reset", PW1)
    OpenPgp(rig).reset_pw1(mine.pw1, mine.code)


def _unblock_by_admin(rig: Rig, memory: Memory) -> None:
    client = as_admin(rig, memory)
    known(memory).pw1 = pin_for(rig, "reset", PW1)
    client.reset_pw1(known(memory).pw1)


def _wrong_code(rig: Rig, memory: Memory) -> None:
    with suppress(Refused):
        OpenPgp(rig).reset_pw1(known(memory).pw1, pin_for(rig, "wrong", RESET_CODE))


def _right_code(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    OpenPgp(rig).reset_pw1(mine.pw1, mine.code)


def _unblocked_worlds(before: Memory, after: Memory) -> Worlds:
    return [
        # Blocked: no PIN works, and no key can be used.
        old(
            {
                "openpgp.pw1_tries": 0,
                "openpgp.pw1": NEITHER,
                "openpgp.keys": canaries(before, every=NOT_VERIFIED),
            }
        ),
        # By the reset code: it was paid for, and all else is as before.
        World(
            "code counted",
            Outcome.RECOVERED,
            {
                "openpgp.pw1_tries": 0,
                "openpgp.pw1": NEITHER,
                "openpgp.keys": canaries(before, every=NOT_VERIFIED),
                "openpgp.code_tries": FULL - 1,
            },
        ),
        new({"openpgp.pw1_tries": FULL, "openpgp.pw1": NEW, "openpgp.keys": canaries(before)}),
    ]


def _verify(name: str, title: str, reference: int, cost: Cost, *, again: bool = False) -> Operation:
    item = "openpgp.pw3_tries" if reference == ADMIN else "openpgp.pw1_tries"
    return Operation(
        name=name,
        title=title,
        arrange=_wrong(reference) if again else arrange_nothing,
        act=_right(reference),
        worlds=counted(item, FULL, FULL - again),
        cost=cost,
    )


def _refuse(name: str, title: str, reference: int, right: str) -> Operation:
    pin, item = (PW3, "openpgp.pw3_tries") if reference == ADMIN else (PW1, "openpgp.pw1_tries")
    return wrong_pin(PinOffer(name, title, _wrong(reference), right, pin, item, lambda memory: FULL))


OPERATIONS = (
    _verify("openpgp.verify", "enter the right PW1", OTHER, _PW1),
    # Old, counted and new are three different numbers.
    _verify("openpgp.verify.again", "enter the right PW1 after a wrong one", OTHER, _PW1, again=True),
    _refuse("openpgp.verify.wrong", "enter a wrong PW1", OTHER, "openpgp.verify"),
    _verify("openpgp.verify_admin", "enter the right PW3", ADMIN, _PW3),
    _refuse("openpgp.verify_admin.wrong", "enter a wrong PW3", ADMIN, "openpgp.verify_admin"),
    change("openpgp.change_pw1", "change PW1", "openpgp.pw1", _change_pw1, PW1),
    Operation(
        name="openpgp.change_pw1.longer",
        title="change the PW1 of the factory to a longer one",
        arrange=_shorten,
        act=_change_pw1,
        worlds=lambda before, after: [
            old({"openpgp.pw1": CURRENT, PW1_BY_CHANGE.name: CURRENT}),
            new({"openpgp.pw1": NEW, PW1_BY_CHANGE.name: NEW}),
        ],
        items=(PW1_BY_CHANGE,),
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(pins={PW1: 1, PW3: 1}),
    ),
    change("openpgp.change_pw3", "change PW3", "openpgp.pw3", _change_pw3, PW3),
    Operation(
        name="openpgp.set_code",
        title="set the reset code",
        arrange=arrange_nothing,
        act=_set_code,
        worlds=lambda before, after: [
            old({"openpgp.code_tries": 0, RESET_CODE_ITEM.name: NEITHER}),
            new({"openpgp.code_tries": FULL, RESET_CODE_ITEM.name: NEW}),
        ],
        items=(RESET_CODE_ITEM,),
        cost=_PW3,
    ),
    Operation(
        name="openpgp.remove_code",
        title="remove the reset code",
        arrange=_set_code,
        act=_remove_code,
        worlds=_removed_worlds,
        items=(RESET_CODE_ITEM,),
        acknowledged_old=Outcome.LOOSENED,
        cost=_PW3,
    ),
    Operation(
        name="openpgp.reset_pw1.code",
        title="unblock PW1 with the reset code",
        arrange=_block_with_code,
        act=_unblock_by_code,
        worlds=_unblocked_worlds,
        cost=Cost(pins={PW1: FULL, RESET_CODE: 1, PW3: 1}),
    ),
    Operation(
        name="openpgp.reset_pw1.code_right",
        title="set PW1 anew with the reset code",
        arrange=_set_code,
        act=_right_code,
        worlds=counted("openpgp.code_tries", FULL),
        cost=Cost(pins={RESET_CODE: 1, PW3: 1}),
    ),
    replace(
        wrong_pin(
            PinOffer(
                "openpgp.reset_pw1.code_wrong",
                "try to set PW1 anew with a wrong reset code",
                _wrong_code,
                "openpgp.reset_pw1.code_right",
                RESET_CODE,
                "openpgp.code_tries",
                lambda memory: FULL,
                arrange=_set_code,
            )
        ),
        cost=Cost(pins={RESET_CODE: 1, PW3: 1}),
    ),
    Operation(
        name="openpgp.reset_pw1.admin",
        title="unblock PW1 after PW3",
        arrange=_block,
        act=_unblock_by_admin,
        worlds=_unblocked_worlds,
        cost=Cost(pins={PW1: FULL, PW3: 1}),
    ),
)
