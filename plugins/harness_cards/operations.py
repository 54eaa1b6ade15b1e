"""Operations that every card with PINs has: a right PIN is counted before it is compared, a change is old or new.

Wrong PINs are `harness.api.wrong_pin`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.api import (
    ANY,
    Cost,
    Item,
    Memory,
    Operation,
    Outcome,
    PinReference,
    Rig,
    World,
    arrange_nothing,
    new,
    old,
)
from harness_cards.values import CURRENT, NEW

Act = Callable[[Rig, Memory], None]
Worlds = Callable[[Memory, Memory], list[World]]


def counted(item: str, full: int, before: int | None = None) -> Worlds:
    """The worlds of a right PIN: a cut may cost the try that it was paid for with, and no more.

    :param item: name of the item that counts the tries. :param full: how many there are after a right PIN.
    :param before: how many there are at the start; None: all.
    """
    start = full if before is None else before
    return lambda _before, _after: [
        old({item: start}),
        World("counted", Outcome.RECOVERED, {item: start - 1}),
        new({item: full}),
    ]


def change(
    name: str,
    title: str,
    item: str,
    act: Act,
    pin: PinReference,
    *,
    arrange: Act = arrange_nothing,
    items: tuple[Item, ...] = (),
) -> Operation:
    """A change of a PIN: the old or the new one is in force, and once it is acknowledged the new one.

    :param item: name of the item that tells which PIN is in force: CURRENT, NEW. :param pin: the one that is offered.
    :param arrange: as of an operation; `items` too.
    """
    return Operation(
        name=name,
        title=title,
        arrange=arrange,
        act=act,
        worlds=lambda before, after: [old({item: CURRENT}), new({item: NEW})],
        items=items,
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(pins={pin: 1}),
    )


def may_lose(operation: Operation, item: Item) -> Operation:
    """Return the operation, after which nothing is asked of an item that the state before it has."""

    def worlds(before: Memory, after: Memory) -> list[World]:
        return [
            one if one.outcome is Outcome.OLD else replace(one, values={**one.values, item.name: ANY})
            for one in operation.worlds(before, after)
        ]

    return replace(operation, worlds=worlds)
