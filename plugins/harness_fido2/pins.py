"""Offer wrong PINs: one table of all ways, the block after the last try (P3), and the limit of each boot (P5)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from fido2.ctap import CtapError
from fido2.ctap2.pin import ClientPin

from harness.api import (
    ANY,
    Cost,
    KeyFault,
    Memory,
    Operation,
    Outcome,
    PinOffer,
    Rig,
    Value,
    World,
    new,
    old,
    wrong_pin,
)
from harness_fido2.client import FIDO2_PIN, Fido, fido_memory, lacks, pin_for, refusal

TRIES_PER_BOOT = 3
"""Number of wrong PINs in a row after which the key takes none in this boot (CTAP 2.1, section 6.5.5.7)."""
BLOCKED = "refused: PIN_BLOCKED (0x32)"
RETRIES = "fido2.pin_retries"

Way = Callable[[Fido, str, str], None]
"""(client, PIN, a new PIN): offers the PIN; raises CtapError."""


def _token(client: Fido, pin: str, new_pin: str) -> None:
    """Offer a PIN by getPinToken (0x05)."""
    client.pin().get_pin_token(pin)


def _token_with_permissions(client: Fido, pin: str, new_pin: str) -> None:
    """Offer a PIN by getPinUvAuthTokenUsingPinWithPermissions (0x09)."""
    client.pin().get_pin_token(pin, ClientPin.PERMISSION.GET_ASSERTION, "other.keyharness.example")


def _change(client: Fido, pin: str, new_pin: str) -> None:
    """Offer a PIN as the old one of changePIN (0x04)."""
    client.pin().change_pin(pin, new_pin)


def _wrongly(way: Way) -> Callable[[Rig, Memory], None]:
    def offer(rig: Rig, memory: Memory) -> None:
        with suppress(CtapError):
            way(Fido(rig), pin_for(rig, "wrong"), pin_for(rig, "changed"))

    return offer


wrong_guess = _wrongly(_token)


def _right(way: Way) -> Callable[[Rig, Memory], None]:
    def offer(rig: Rig, memory: Memory) -> None:
        pin = fido_memory(memory).pin
        assert pin is not None
        way(Fido(rig), pin, pin_for(rig, "changed"))

    return offer


right_pin = _right(_token)


def lacks_pin(rig: Rig) -> str | None:
    return lacks(rig, "clientPin")


def _lacks_permissions(rig: Rig) -> str | None:
    return lacks(rig, "clientPin", "pinUvAuthToken")


def _tries(memory: Memory) -> int:
    return fido_memory(memory).tries


OFFERS = (
    PinOffer(
        "fido2.client_pin.wrong",
        "enter a wrong PIN",
        wrong_guess,
        "fido2.client_pin.verify",
        FIDO2_PIN,
        RETRIES,
        _tries,
        missing=lacks_pin,
    ),
    PinOffer(
        "fido2.client_pin.wrong.permissions",
        "enter a wrong PIN for a token with permissions",
        _wrongly(_token_with_permissions),
        "fido2.client_pin.verify.permissions",
        FIDO2_PIN,
        RETRIES,
        _tries,
        missing=_lacks_permissions,
    ),
    PinOffer(
        "fido2.client_pin.wrong.change",
        "change the PIN with a wrong old one",
        _wrongly(_change),
        "fido2.client_pin.change",
        FIDO2_PIN,
        RETRIES,
        _tries,
        missing=lacks_pin,
    ),
)
"""Every command that carries a PIN (CTAP 2.1, sections 6.5.5.6, 6.5.5.7.1 and 6.5.5.7.2)."""


def _verify(name: str, title: str, way: Way, missing: Callable[[Rig], str | None]) -> Operation:
    return Operation(
        name=name,
        title=title,
        # One wrong guess before, so that old, counted and new are three different numbers.
        arrange=wrong_guess,
        act=_right(way),
        worlds=lambda before, after: [
            old({RETRIES: _tries(before) - 1}),
            World("counted", Outcome.RECOVERED, {RETRIES: _tries(before) - 2}),
            new({RETRIES: _tries(before)}),
        ],
        cost=Cost(pins={FIDO2_PIN: 1}),
        missing=missing,
    )


def exhaust(rig: Rig, memory: Memory, left: int) -> None:
    """Enter wrong PINs until `left` tries are left, with a power cycle where the limit of the boot is reached.

    :raises KeyFault: the tries do not go down, or come back with the power.
    """
    # A sound key takes one try for each wrong PIN, and none for one in three or four that its boot refuses.
    for _ in range(2 * FIDO2_PIN.full):
        if (tries := Fido(rig).tries()) <= left:
            return
        wrong_guess(rig, memory)
        if Fido(rig).tries() == tries:
            rig.power.cycle()
            rig.wait_until_up()
    raise KeyFault(
        "wrong PINs do not use up the tries",
        found=f"{Fido(rig).tries()} tries after {2 * FIDO2_PIN.full} wrong PINs",
        expected=f"{left} tries",
    )


PIN_IS_BLOCKED: dict[str, Value] = {
    RETRIES: 0,
    "fido2.pin": f"neither ({BLOCKED})",
    # Some keys register nothing without their PIN.
    "fido2.attestation": ANY,
    "fido2.fresh_credential": ANY,
}


def _use_up(rig: Rig, memory: Memory) -> None:
    exhaust(rig, memory, 1)


def _block(rig: Rig, memory: Memory) -> None:
    exhaust(rig, memory, 0)


def _try_a_blocked_pin(rig: Rig, memory: Memory) -> None:
    """Power up and offer the right PIN by every way.

    :raises KeyFault: the key takes it.
    """
    rig.power.on()
    rig.wait_until_up()
    ways = {_token: lacks_pin, _token_with_permissions: _lacks_permissions, _change: lacks_pin}
    for way in [way for way, missing in ways.items() if not missing(rig)]:
        try:
            _right(way)(rig, memory)
        except CtapError as error:
            if error.code == CtapError.ERR.PIN_BLOCKED:
                continue
            found = refusal(error)
        else:
            found = "the PIN was taken"
        raise KeyFault("a blocked PIN is offered", found=found, expected=f"{BLOCKED}, invariant P3")


def _three_wrong(rig: Rig, memory: Memory) -> None:
    """Enter as many wrong PINs as one boot takes, and then the right one, which is refused.

    :raises KeyFault: it is taken, or refused in another way.
    """
    for _ in range(TRIES_PER_BOOT):
        wrong_guess(rig, memory)
    try:
        _right(_token)(rig, memory)
    except CtapError as error:
        if error.code == CtapError.ERR.PIN_AUTH_BLOCKED:
            return
        found = refusal(error)
    else:
        found = "the PIN was taken"
    raise KeyFault(
        f"a PIN is offered in the boot in which {TRIES_PER_BOOT} wrong ones were",
        found=found,
        expected="refused: PIN_AUTH_BLOCKED (0x34), invariant P5",
    )


OPERATIONS: tuple[Operation, ...] = (
    *(wrong_pin(offer) for offer in OFFERS),
    _verify("fido2.client_pin.verify", "enter the right PIN", _token, lacks_pin),
    _verify(
        "fido2.client_pin.verify.permissions",
        "enter the right PIN for a token with permissions",
        _token_with_permissions,
        _lacks_permissions,
    ),
    Operation(
        name="fido2.client_pin.wrong.boot",
        title=f"enter {TRIES_PER_BOOT} wrong PINs in one boot",
        arrange=lambda rig, memory: None,
        act=_three_wrong,
        worlds=lambda before, after: [
            old({RETRIES: _tries(before)}),
            *(World(f"{n} counted", Outcome.RECOVERED, {RETRIES: _tries(before) - n}) for n in (1, 2)),
            new({RETRIES: _tries(before) - TRIES_PER_BOOT}),
        ],
        acknowledged_old=Outcome.LOOSENED,
        cost=Cost(pins={FIDO2_PIN: TRIES_PER_BOOT + 1}),
        missing=lacks_pin,
    ),
    replace(
        wrong_pin(
            replace(
                OFFERS[0],
                name="fido2.client_pin.block",
                title="enter a wrong PIN with the last try",
                arrange=_use_up,
            )
        ),
        worlds=lambda before, after: [old({RETRIES: 1, "fido2.pin": "current"}), new(PIN_IS_BLOCKED)],
        cost=Cost(pins={FIDO2_PIN: FIDO2_PIN.full}),
    ),
    Operation(
        name="fido2.client_pin.blocked",
        title="power up with a blocked PIN, and offer it",
        arrange=_block,
        act=_try_a_blocked_pin,
        worlds=lambda before, after: [old(PIN_IS_BLOCKED), new(PIN_IS_BLOCKED)],
        cost=Cost(pins={FIDO2_PIN: FIDO2_PIN.full}),
        missing=lacks_pin,
        powered=False,
    ),
)
