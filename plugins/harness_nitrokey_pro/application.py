"""The applications of a Nitrokey Pro: the HID side, and the OpenPGP card as it is in this key.

The safe's key hangs on the card: whatever resets the card makes the safe unusable. The card's own operations know
nothing of that, so their worlds are told here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.api import ANY, Application, Memory, NextAction, Observation, Operation, Value, World
from harness_nitrokey_pro import (
    otp_operations,
    pin_operations,
    reset_operations,
    safe_operations,
    update_operations,
)
from harness_nitrokey_pro.home import HOTP, blank, foreign, known, prepare, unseen
from harness_nitrokey_pro.homes import HOMES
from harness_nitrokey_pro.items import ITEMS, NOT_TYPED, PIN_UNKNOWN, UNUSABLE, safe_value, typable
from harness_nitrokey_pro.next_actions import NEXT_ACTIONS
from harness_openpgp.application import OPENPGP
from harness_openpgp.home import known as card_known
from harness_openpgp.items import NEITHER, NEW, NO_FINGERPRINTS, OPERATIONAL

PRO = Application(
    name="pro",
    title="one-time passwords and password safe",
    prepare=prepare,
    operations=(
        *otp_operations.OPERATIONS,
        *safe_operations.OPERATIONS,
        *pin_operations.OPERATIONS,
        *reset_operations.OPERATIONS,
        *update_operations.OPERATIONS,
    ),
    items=ITEMS,
    foreign=foreign,
    blank=blank,
    unseen=unseen,
    homes=HOMES,
    next_actions=NEXT_ACTIONS,
)

Worlds = Callable[[Memory, Memory], Sequence[World]]


def _beside_the_safe(operation: Operation) -> Operation:
    """The operation of a card on which the safe's key hangs."""

    def worlds(before: Memory, after: Memory) -> list[World]:
        return [
            replace(world, values={**world.values, **_safe_in(world, before, after)})
            for world in operation.worlds(before, after)
        ]

    return replace(operation, worlds=worlds)


def _safe_in(world: World, before: Memory, after: Memory) -> dict[str, Value]:
    """What is seen of the safe in a world of the card."""
    values = world.values
    if values.get("openpgp.state", OPERATIONAL) != OPERATIONAL or values.get("openpgp.pw1") == NEITHER:
        return {"pro.safe": PIN_UNKNOWN}
    if reset := _safe_if_reset(world):
        return reset
    if values.get("openpgp.pw1") == NEW and not typable(card_known(after).pw1):
        return {"pro.safe": NOT_TYPED}
    return {"pro.safe": safe_value(known(before))}


def _owner_beside_the_safe(action: NextAction) -> NextAction:
    """The owner's action of a card on which the safe's key hangs."""

    def worlds(before: Memory, after: Memory, seen: Observation) -> list[World]:
        # Through another PIN the safe is seen that was not seen before.
        hidden: dict[str, Value] = (
            {"pro.safe": ANY} if seen.get("pro.safe") in (PIN_UNKNOWN, NOT_TYPED) else {}
        )
        if known(before).slots.get(HOTP) != known(after).slots.get(HOTP):
            # Each secret has a counter of its own, and the host knows that of the new one.
            hidden["pro.hotp_counter"] = ANY
        return [
            replace(world, values={**world.values, **hidden, **_safe_if_reset(world)})
            for world in action.worlds(before, after, seen)
        ]

    return replace(action, worlds=worlds)


def _safe_if_reset(world: World) -> dict[str, Value]:
    prints = world.values.get("openpgp.fingerprints")
    # "Anything" would be equal to this, too.
    return {"pro.safe": UNUSABLE} if isinstance(prints, tuple) and prints == NO_FINGERPRINTS else {}


OPENPGP_IN_PRO = replace(
    OPENPGP,
    # The card's AES key is that of the safe, which `pro.new_safe` makes.
    operations=tuple(
        _beside_the_safe(one) for one in OPENPGP.operations if one.name != "openpgp.put_aes_key"
    ),
    next_actions=tuple(map(_owner_beside_the_safe, OPENPGP.next_actions)),
)
"""Before PRO in a key's applications: the HID side uses the PINs that it lays down."""
