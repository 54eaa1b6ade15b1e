"""Operations on the PINs of a SmartCard-HSM: each try is paid for first, each change is old or new."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from harness.api import (
    Cost,
    KeyFault,
    Memory,
    Operation,
    Outcome,
    PinOffer,
    Refused,
    Rig,
    Value,
    arrange_nothing,
    new,
    old,
    pin_for,
    wrong_pin,
)
from harness_cards.operations import change, counted
from harness_schsm.client import RESET_ALLOWED, SO_PIN, USER_PIN, ScHsm
from harness_schsm.home import initialize, known
from harness_schsm.items import CURRENT, NEITHER, NEW, NOT_LOGGED_IN, SO_PIN_ITEM, TRANSPORT, canaries

TRANSPORT_OPTION = 0x0002
FULL = USER_PIN.full
_ONE_TRY = Cost(pins={USER_PIN: 1})


def wrong_guess(rig: Rig, memory: Memory) -> None:
    """Enter a wrong user PIN."""
    with suppress(Refused):
        ScHsm(rig).verify(pin_for(rig, "wrong", USER_PIN))


def right_pin(rig: Rig, memory: Memory) -> None:
    """Enter the right user PIN."""
    ScHsm(rig).verify(known(memory).pin)


def _change(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    before, mine.pin = mine.pin, pin_for(rig, "changed", USER_PIN)
    ScHsm(rig).change(before, mine.pin)


def block_user_pin(rig: Rig, memory: Memory) -> None:
    """Arrange a blocked user PIN."""
    for _ in range(FULL):
        wrong_guess(rig, memory)


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


def _wrong_change(rig: Rig, memory: Memory) -> None:
    with suppress(Refused):
        ScHsm(rig).change(pin_for(rig, "wrong", USER_PIN), pin_for(rig, "changed", USER_PIN))


def _wrong_so_change(rig: Rig, memory: Memory) -> None:
    try:
        ScHsm(rig).change_so(pin_for(rig, "wrong", SO_PIN), pin_for(rig, "changed", SO_PIN))
    except Refused:
        # The first one is still in force: to try the other one first would cost a try that nothing gives back.
        pin_for(rig, "first", SO_PIN)


def _use_up(rig: Rig, memory: Memory) -> None:
    """Arrange a user PIN with one try left."""
    for _ in range(FULL - 1):
        wrong_guess(rig, memory)


def _try_a_blocked_pin(rig: Rig, memory: Memory) -> None:
    """Power up and offer the right user PIN by each command that carries it.

    :raises KeyFault: the card takes it.
    """
    rig.power.on()
    rig.wait_until_up()
    mine = known(memory)
    ways: dict[str, Callable[[], None]] = {
        "VERIFY": lambda: ScHsm(rig).verify(mine.pin),
        "CHANGE REFERENCE DATA": lambda: ScHsm(rig).change(mine.pin, pin_for(rig, "changed", USER_PIN)),
    }
    for command, offer in ways.items():
        try:
            offer()
        except Refused as refused:
            if refused.status == "6983":
                continue
            found = refused.value
        else:
            found = "the PIN was taken"
        raise KeyFault(f"{command} with a blocked PIN", found=found, expected="6983, invariant P3")


def _user_tries(memory: Memory) -> int:
    return FULL


def _so_tries(memory: Memory) -> int:
    return known(memory).so_tries


def _offer(
    name: str, title: str, offer: Callable[[Rig, Memory], None], right: str, *, so: bool = False
) -> PinOffer:
    if so:
        return PinOffer(name, title, offer, right, SO_PIN, "schsm.so_tries", _so_tries)
    return PinOffer(name, title, offer, right, USER_PIN, "schsm.user_tries", _user_tries)


OFFERS = {
    offer.name: offer
    for offer in (
        _offer("schsm.verify.wrong", "enter a wrong user PIN", wrong_guess, "schsm.verify"),
        _offer(
            "schsm.change_pin.wrong",
            "change the user PIN with a wrong old one",
            _wrong_change,
            "schsm.change_pin",
        ),
        _offer(
            "schsm.reset_retry.wrong",
            "try to unblock the user PIN with a wrong SO-PIN",
            _wrong_reset,
            "schsm.reset_retry",
            so=True,
        ),
        _offer(
            "schsm.initialize.wrong",
            "try to initialise with a wrong SO-PIN",
            _wrong_initialize,
            "schsm.initialize",
            so=True,
        ),
        _offer(
            "schsm.change_so_pin.wrong",
            "change the SO-PIN with a wrong old one",
            _wrong_so_change,
            "schsm.change_so_pin",
            so=True,
        ),
    )
}
"""Every command that carries a PIN."""


def blocked(memory: Memory) -> dict[str, Value]:
    """The values of a card whose user PIN is blocked: no PIN works, and no key can be used."""
    return {
        "schsm.user_tries": 0,
        "schsm.user_pin": NEITHER,
        "schsm.keys": canaries(memory, NOT_LOGGED_IN),
    }


OPERATIONS = (
    Operation(
        name="schsm.verify",
        title="enter the right user PIN",
        arrange=arrange_nothing,
        act=right_pin,
        worlds=counted("schsm.user_tries", FULL),
        cost=_ONE_TRY,
    ),
    Operation(
        name="schsm.verify.again",
        title="enter the right user PIN after a wrong one",
        # Old, counted and new are three different numbers.
        arrange=wrong_guess,
        act=right_pin,
        worlds=counted("schsm.user_tries", FULL, FULL - 1),
        cost=_ONE_TRY,
    ),
    wrong_pin(OFFERS["schsm.verify.wrong"]),
    replace(
        wrong_pin(
            replace(
                OFFERS["schsm.verify.wrong"],
                name="schsm.verify.block",
                title="enter a wrong user PIN with the last try",
                arrange=_use_up,
            )
        ),
        worlds=lambda before, after: [
            old({"schsm.user_tries": 1, "schsm.user_pin": CURRENT}),
            new(blocked(before)),
        ],
        cost=Cost(pins={USER_PIN: FULL}),
    ),
    Operation(
        name="schsm.verify.blocked",
        title="power up with a blocked user PIN, and offer it",
        arrange=block_user_pin,
        act=_try_a_blocked_pin,
        worlds=lambda before, after: [old(blocked(before)), new(blocked(before))],
        cost=Cost(pins={USER_PIN: FULL}),
        powered=False,
    ),
    wrong_pin(OFFERS["schsm.change_pin.wrong"]),
    change("schsm.change_pin", "change the user PIN", "schsm.user_pin", _change, USER_PIN),
    Operation(
        name="schsm.reset_retry",
        title="unblock the user PIN with the SO-PIN",
        arrange=block_user_pin,
        act=_reset,
        worlds=lambda before, after: [
            old(blocked(before)),
            new({"schsm.user_tries": FULL, "schsm.user_pin": NEW, "schsm.keys": canaries(before)}),
        ],
        cost=Cost(pins={USER_PIN: FULL, SO_PIN: 1}),
    ),
    wrong_pin(OFFERS["schsm.reset_retry.wrong"]),
    wrong_pin(OFFERS["schsm.initialize.wrong"]),
    wrong_pin(OFFERS["schsm.change_so_pin.wrong"]),
    change(
        "schsm.change_so_pin", "change the SO-PIN", "schsm.so_pin", _change_so, SO_PIN, items=(SO_PIN_ITEM,)
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
