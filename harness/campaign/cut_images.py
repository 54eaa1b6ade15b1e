"""Images of a twin's flash at a cut: what is observed, what was seen, and the place of a cut in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.base.seeds import unit
from harness.campaign.observe import Seen
from harness.model.memory import Memory
from harness.search.low_discrepancy import cover
from harness.twin.trace import Cut, Recording, State

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class AfterAction:
    """What was observed after the owner's next action and a restart.

    :ivar before: what the host knew before the operation that was cut, brought up to date by the action.
    :ivar promise: the same of what it would know had the operation been acknowledged.
    :ivar refused: what the key said instead of doing it; None if it did it.
    """

    seen: Seen
    before: Memory
    promise: Memory
    refused: str | None = None


@dataclass(frozen=True)
class Inspection:
    """What was observed in one image.

    :ivar completed: observed after the world's completing act, where it has one.
    :ivar boot_ops: number of flash operations of the boot after the cut (see `Recorder.writes`).
    :ivar deaths: how the key ended by itself while it was observed, in words.
    :ivar after: observed after the owner's next action, where one followed.
    """

    seen: Seen
    completed: Seen | None
    boot_ops: int
    deaths: tuple[str, ...] = ()
    after: AfterAction | None = None

    @property
    def writes(self) -> bool:
        """Does the boot after the cut write, so that it can be cut as well?"""
        return bool(self.boot_ops) and not self.seen.stuck


@dataclass(frozen=True)
class Resumed:
    """What a resumed run still knows of an image that was judged before."""

    writes: bool


@dataclass(frozen=True)
class CutImage:
    """One image to be observed.

    :ivar cut: the cut that left it. :ivar nested: a second cut, in the boot after the first one.
    :ivar number: its place in the plan.
    :ivar crossed: a second cut that was enumerated, not drawn.
    """

    cut: Cut
    state: State
    label: str
    nested: Cut | None = None
    number: int = 0
    crossed: bool = False


def spread(things: Sequence[Thing], count: int, seed: bytes) -> list[Thing]:
    """At most `count` of `things`, in order and none twice: one from each of `count` equal parts."""
    if count >= len(things):
        return list(things)
    places: list[int] = []
    for i in range(count):
        place = int((i + unit(seed, "spread", i)) * len(things) / count)
        # Where a part ends within a thing, two parts can choose that thing: the second one takes the next thing.
        places.append(max(place, places[-1] + 1) if places else place)
    return [things[place] for place in places]


def evenly_ordered(things: Sequence[Thing], seed: bytes) -> list[Thing]:
    """All of `things`, ordered so that every beginning of the list is spread evenly over them."""
    count = len(things)
    order: dict[int, None] = {}
    number = 0
    # Places repeat. When hardly any new one comes, the rest follows in its own order.
    while len(order) < count and number < 4 * count:
        order[int(cover(1, seed, number)[0] * count)] = None
        number += 1
    return [things[place] for place in (*order, *(n for n in range(count) if n not in order))]


def where(trace: Recording[State], cut: Cut) -> str:
    """A cut in words: 3.2 ms after "request sent" (flash op 17, erase of page 4, torn)."""
    before = [mark for mark in trace.marks if mark.at_us <= cut.at_us]
    if before:
        after = f'{(cut.at_us - before[-1].at_us) / 1000:.1f} ms after "{before[-1].name.replace("-", " ")}"'
    else:
        after = f"{(cut.at_us - trace.start_us) / 1000:.1f} ms after the start"
    if cut.phase == "end":
        return f"{after} (after everything)"
    return f"{after} (flash op {cut.flash_op}, {trace.words(cut.flash_op)}, {trace.phase_words(cut)})"
