"""Operations on the PINs of a SmartCard-HSM: each try is paid for first, each change is old or new."""

from __future__ import annotations

from contextlib import suppress

from harness.api import Cost, Memory, Operation, Outcome, Refused, Rig, World, new, old, pin_for
from harness_schsm.client import RESET_ALLOWED, SO_PIN, USER_PIN, ScHsm
from harness_schsm.home import initialize, known
from harness_schsm.items import CURRENT, NEITHER, NEW, NOT_LOGGED_IN, SO_PIN_ITEM, TRANSPORT, canaries

TRANSPORT_OPTION = 0x0002
FULL = USER_PIN.full
_ONE_TRY = Cost(pins={USER_PIN: 1})
_ONE_SO_TRY = Cost(pins={SO_PIN: 1})


def nothing(rig: Rig, memory: Memory) -> None:
    """Arrange nothing: the operation starts from the home state."""


def wrong_pin(rig: Rig, memory: Memory) -> None:
    with suppress(Refused):
        ScHsm(rig).verify(pin_for(rig, "wrong", USER_PIN))


def _right_pin(rig: Rig, memory: Memory) -> None:
    ScHsm(rig).verify(known(memory).pin)


def _change(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    before, mine.pin = mine.pin, pin_for(rig, "changed", USER_PIN)
    ScHsm(rig).change(before, mine.pin)


def _block(rig: Rig, memory: Memory) -> None:
    """Arrange a blocked user PIN."""
    for _ in range(FULL):
        wrong_pin(rig, memory)


def _reset(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    mine.pin = pin_for(rig, "reset", USER_PIN)
    ScHsm(rig).reset_retry(mine.so_pin, mine.pin)


def _wrong_reset(rig: Rig, memory: Memory) -> None:
    with suppress(Refused):
        ScHsm(rig).reset_retry(pin_for(rig, "wrong", SO_PIN), pin_for(rig, "reset", USER_PIN))


def _wrong_initialize(rig: Rig, memory: Memory) -> None:
    with suppress(Refused):
        ScHsm(rig).initialize(pin_for(rig, "wrong", SO_PIN), known(memory).pin, shares=1)


def _change_so(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    before, mine.so_pin = mine.so_pin, pin_for(rig, "changed", SO_PIN)
    ScHsm(rig).change_so(before, mine.so_pin)


def _hand_over(rig: Rig, memory: Memory) -> None:
    """Arrange a card whose owner has to change the transport PIN first."""
    initialize(ScHsm(rig), known(memory), shares=1, options=RESET_ALLOWED | TRANSPORT_OPTION)


def so_lowered(before: Memory, after: Memory) -> list[World]:
    """The worlds of a wrong SO-PIN."""
    return [old({"schsm.so_tries": SO_PIN.full}), new({"schsm.so_tries": SO_PIN.full - 1})]


OPERATIONS = (
    Operation(
        name="schsm.verify",
        title="enter the right user PIN",
        arrange=nothing,
        act=_right_pin,
        worlds=lambda before, after: [
            old({"schsm.user_tries": FULL}),
            World("counted", Outcome.RECOVERED, {"schsm.user_tries": FULL - 1}),
            new({"schsm.user_tries": FULL}),
        ],
        cost=_ONE_TRY,
    ),
    Operation(
        name="schsm.verify.again",
        title="enter the right user PIN after a wrong one",
        # Old, counted and new are three different numbers.
        arrange=wrong_pin,
        act=_right_pin,
        worlds=lambda before, after: [
            old({"schsm.user_tries": FULL - 1}),
            World("counted", Outcome.RECOVERED, {"schsm.user_tries": FULL - 2}),
            new({"schsm.user_tries": FULL}),
        ],
        cost=_ONE_TRY,
    ),
    Operation(
        name="schsm.verify.wrong",
        title="enter a wrong user PIN",
        arrange=nothing,
        act=wrong_pin,
        worlds=lambda before, after: [
            old({"schsm.user_tries": FULL}),
            new({"schsm.user_tries": FULL - 1}),
        ],
        acknowledged_old=Outcome.LOOSENED,
        cost=_ONE_TRY,
        reference_operation="schsm.verify",
        must_be_lowered="schsm.user_tries",
    ),
    Operation(
        name="schsm.change_pin",
        title="change the user PIN",
        arrange=nothing,
        act=_change,
        worlds=lambda before, after: [old({"schsm.user_pin": CURRENT}), new({"schsm.user_pin": NEW})],
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=_ONE_TRY,
    ),
    Operation(
        name="schsm.reset_retry",
        title="unblock the user PIN with the SO-PIN",
        arrange=_block,
        act=_reset,
        worlds=lambda before, after: [
            # Blocked: no PIN works, and no key can be used.
            old(
                {
                    "schsm.user_tries": 0,
                    "schsm.user_pin": NEITHER,
                    "schsm.keys": canaries(before, NOT_LOGGED_IN),
                }
            ),
            new({"schsm.user_tries": FULL, "schsm.user_pin": NEW, "schsm.keys": canaries(before)}),
        ],
        cost=Cost(pins={USER_PIN: FULL, SO_PIN: 1}),
    ),
    Operation(
        name="schsm.reset_retry.wrong",
        title="try to unblock the user PIN with a wrong SO-PIN",
        arrange=nothing,
        act=_wrong_reset,
        worlds=so_lowered,
        acknowledged_old=Outcome.LOOSENED,
        cost=_ONE_SO_TRY,
        reference_operation="schsm.reset_retry",
        must_be_lowered="schsm.so_tries",
    ),
    Operation(
        name="schsm.initialize.wrong",
        title="try to initialise with a wrong SO-PIN",
        arrange=nothing,
        act=_wrong_initialize,
        worlds=so_lowered,
        acknowledged_old=Outcome.LOOSENED,
        cost=_ONE_SO_TRY,
        reference_operation="schsm.initialize",
        must_be_lowered="schsm.so_tries",
    ),
    Operation(
        name="schsm.change_so_pin",
        title="change the SO-PIN",
        arrange=nothing,
        act=_change_so,
        worlds=lambda before, after: [old({"schsm.so_pin": CURRENT}), new({"schsm.so_pin": NEW})],
        items=(SO_PIN_ITEM,),
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=_ONE_SO_TRY,
    ),
    Operation(
        name="schsm.transport_pin",
        title="change the transport PIN of a card that was handed over",
        arrange=_hand_over,
        act=_change,
        worlds=lambda before, after: [
            old({"schsm.state": TRANSPORT, "schsm.user_tries": TRANSPORT, "schsm.user_pin": TRANSPORT}),
            new({"schsm.state": "options 0003", "schsm.user_tries": FULL, "schsm.user_pin": NEW}),
        ],
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(pins={USER_PIN: 1, SO_PIN: 1}),
    ),
)
