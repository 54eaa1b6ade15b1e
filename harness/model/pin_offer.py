"""The ways in which a PIN is offered to a key: a table of an application, and the law that holds for each (P1).

A wrong PIN costs a try whichever command carries it, and the try is counted before the PIN is compared. An application
lists its ways; `wrong_pin` makes of each one an operation that offers a wrong PIN while the power is cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.model.memory import Memory
from harness.model.operation import Cost, Operation, arrange_nothing, new, old
from harness.model.outcome import Outcome

if TYPE_CHECKING:
    from harness.model.pin import PinReference
    from harness.model.rig import Rig


@dataclass(frozen=True)
class PinOffer:
    """One way to offer a PIN.

    :param name: of the operation that offers a wrong PIN, "application.command.wrong".
    :param offer: offers a wrong PIN; the key's refusal is not raised.
    :param right: name of the operation that offers the right PIN in the same way, from the same state.
    :param pin: the PIN that is meant.
    :param counter: name of the falling item that counts its tries.
    :param tries: (what the host knew) -> the tries that are left before.
    :param arrange: brings the key from home to where a wrong PIN is offered.
    :param missing: as of an operation.
    """

    name: str
    title: str
    offer: Callable[[Rig, Memory], None]
    right: str
    pin: PinReference
    counter: str
    tries: Callable[[Memory], int]
    arrange: Callable[[Rig, Memory], None] = arrange_nothing
    missing: Callable[[Rig], str | None] | None = None


def wrong_pin(way: PinOffer) -> Operation:
    """Return the operation that offers a wrong PIN: a cut leaves all tries or one less, and no guess is free."""
    return Operation(
        name=way.name,
        title=way.title,
        arrange=way.arrange,
        act=way.offer,
        worlds=lambda before, after: [
            old({way.counter: way.tries(before)}),
            new({way.counter: way.tries(before) - 1}),
        ],
        acknowledged_old=Outcome.LOOSENED,
        cost=Cost(pins={way.pin: 1}),
        missing=way.missing,
        reference_operation=way.right,
        must_be_lowered=way.counter,
    )
