"""What an application describes for campaigns: items, worlds, operations, homes, and what an owner does next.

Operation   arrange, act (where the power is cut), the worlds it may leave
Item        one observable fact, with a law
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.model.memory import Look, Memory
from harness.model.outcome import Law, Observation, Outcome, Severity, Value

if TYPE_CHECKING:
    from harness.model.pin import PinReference
    from harness.model.rig import Rig


@dataclass(frozen=True)
class Item:
    """One observable fact of a key.

    :param observe: uses the key and returns what it saw. A refusal of the key is a value ("refused: 0x2E"), not
        an exception; only a key that does not answer raises.
    :param spends: what observing costs, e.g. {"counter", "pin try", "flash write"}; empty means nothing. Items that
        cost nothing are observed first, the others in the order in which they are listed.
    :param face: the face of the key in which the item can be observed; "" is any.
    :param after_replug: observed in a second boot, after all items of the first one.
    :param breach: the outcome of a violation; None is the one that belongs to the law.
    :param floor: for rising items, (what the host knows) -> the highest value it has seen.
    :param sound: (what the host knows) -> its value before anything is cut; None if any value will do.
        Without it an item that is wrong from the start is wrong in the same way after each cut, and counts as kept.
    :param may_be_constant_zero: for rising items: a key without this counter reports 0 for ever, and may (WebAuthn
        level 2, section 6.1.1, of the signature counter).
    :param owner_changes: what the owner does next may change it, so it is not observed after that.
    """

    name: str
    law: Law
    observe: Callable[[Look], Value]
    title: str = ""
    severity: Severity = Severity.S1
    spends: frozenset[str] = frozenset()
    after_replug: bool = False
    face: str = "application"
    breach: Outcome | None = None
    floor: Callable[[Memory], int] | None = None
    sound: Callable[[Memory], Value] | None = None
    may_be_constant_zero: bool = False
    owner_changes: bool = False

    @property
    def breach_outcome(self) -> Outcome:
        """The outcome of a violation of this item's own law."""
        return self.breach or _BREACH[self.law]


_BREACH = {
    Law.KEPT: Outcome.LOST,
    Law.ATOMIC: Outcome.TORN,
    Law.RISING: Outcome.ROLLED_BACK,
    Law.FALLING: Outcome.LOOSENED,
    Law.ROOM: Outcome.LOST,
}


@dataclass(frozen=True)
class World:
    """A consistent set of item values that an operation may leave.

    :param values: item name -> its value in this world. Items that are not named obey their own law.
    :param complete: the act that must lead from here to the new world (a half-done reset, for example).
    """

    name: str
    outcome: Outcome
    values: Mapping[str, Value]
    complete: Callable[[Rig, Memory], None] | None = None


def old(values: Mapping[str, Value]) -> World:
    """Return the world in which the operation has not happened."""
    return World("old", Outcome.OLD, values)


def new(values: Mapping[str, Value]) -> World:
    """Return the world in which the operation has happened."""
    return World("new", Outcome.NEW, values)


@dataclass(frozen=True)
class Cost:
    """What one run of an operation spends on a real key."""

    touches: int = 0
    seconds: float = 1.0
    pins: Mapping[PinReference, int] = field(default_factory=dict)
    """Tries of each PIN that the operation uses; a right PIN gives its try back."""
    erases: int = 0
    """Erases of the most-erased flash page, as far as known; twins measure them."""
    irreversible: Mapping[str, int] = field(default_factory=dict)
    """What cannot be given back, by its name in `harness.safety.budget`: so_pin_tries, one_way_settings, ..."""


def arrange_nothing(rig: Rig, memory: Memory) -> None:
    """Leave the key as it is: what comes next starts from the home state."""


@dataclass(frozen=True)
class Operation:
    """One thing that a key does and that writes to its flash.

    :param name: "application.thing", e.g. "fido2.make_credential.resident".
    :param arrange: brings a key from its home state to the state in which the operation starts; updates the memory.
    :param act: does the operation, with new handles from the rig; the power is cut while it runs. Updates the
        memory as an acknowledged run does.
    :param worlds: (memory before, memory after an acknowledged run) -> the worlds that the operation may leave.
    :param items: items of this operation alone, observed besides those of the application.
    :param acknowledged_old: the outcome if the operation was acknowledged and the old world is found.
    :param missing: asks a key that is on, and returns what the operation needs and the key does not offer; None if
        nothing is missing.
    :param resets: whether the operation brings its application back to factory state; `recover --reset` runs it in a
        new boot.
    :param powered: False for an operation that begins with the power off (power-up).
    :param reference_operation: name of the operation whose answer must not arrive before this one has lowered
        its counter, measured from the request. A right PIN is the reference of a wrong one: if its answer came
        first, a cut between the two would make a guess free (docs/invariants.md, P1).
    :param must_be_lowered: name of the item that must be lowered by then.
    """

    name: str
    title: str
    arrange: Callable[[Rig, Memory], None]
    act: Callable[[Rig, Memory], None]
    worlds: Callable[[Memory, Memory], Sequence[World]]
    items: tuple[Item, ...] = ()
    cost: Cost = Cost()
    acknowledged_old: Outcome = Outcome.LOST
    missing: Callable[[Rig], str | None] | None = None
    resets: bool = False
    powered: bool = True
    reference_operation: str | None = None
    must_be_lowered: str | None = None

    @property
    def application(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class PairedWrite:
    """Something that is written and then undone: whatever it takes of a store, it gives back (invariant E2).

    :param name: "application.thing". :param arrange: what both need, once.
    :param missing: as of an operation.
    """

    name: str
    title: str
    write: Callable[[Rig, Memory], None]
    undo: Callable[[Rig, Memory], None]
    arrange: Callable[[Rig, Memory], None] | None = None
    missing: Callable[[Rig], str | None] | None = None


FRESH = "fresh"
"""The name of the home that `Application.prepare` lays down: a key with canaries, and otherwise as new."""


def _as_it_is(operation: Operation) -> Operation | None:
    return operation


def _no_values(memory: Memory) -> Mapping[str, Value]:
    return {}


@dataclass(frozen=True)
class NamedHome:
    """One application's part in a state of the key that campaigns start from, besides the fresh one.

    Applications that offer a home of one name share it: each does its part, in the order of the key.

    :param name: "full", for example; stands in replay ids, so no "/", ":", "@" or "+".
    :param lay_down: brings a key in its fresh home, switched on, into this one; updates the memory.
    :param settle: is called when an operation has been arranged, with the key on, and does what would not outlast
        that (a store that is filled to its last place). It may leave the key off.
    :param in_boot: is called in the boot of the operation, just before it; that boot's memory is part of the home.
    :param adapt: returns the operation as it goes in this home, e.g. refused; None if it is not asked there.
    :param values: what must be seen of the home before any cut: (what the host knows) -> item -> value.
    :param items: what is observed besides the items of the key and the operation.
    :param missing: asks a key that is on what this part needs and the key does not offer; None if nothing.
    :param cuts: evenly spread cuts into each operation, in a run that names no homes; 0: only where it is named.
    :param turn: of the homes with one word here, such a run takes one for each operation, in turn; "" takes all.
    """

    name: str
    title: str
    lay_down: Callable[[Rig, Memory], None] = arrange_nothing
    settle: Callable[[Rig, Memory], None] = arrange_nothing
    in_boot: Callable[[Rig, Memory], None] | None = None
    adapt: Callable[[Operation], Operation | None] = _as_it_is
    values: Callable[[Memory], Mapping[str, Value]] = _no_values
    items: tuple[Item, ...] = ()
    missing: Callable[[Rig], str | None] | None = None
    cuts: int = 6
    turn: str = ""


@dataclass(frozen=True)
class NextAction:
    """What an owner does with a key after a cut: it may bring half-done work to light.

    :param name: "delete", for example; stands in replay ids, so no ":" and no "+".
    :param act: (rig, before, after, seen) does it, on a key that is on, and nothing where there is nothing to do it to.
        `before` and `after` are what the host knew before the operation that was cut, and what it would know had that
        been acknowledged: copies, which `act` brings up to date, because the key is observed by them again. `seen` is
        what was observed in between.
    :param worlds: (before, after, seen) -> the worlds that the action, which was acknowledged, may leave. Items that
        are not named keep the value that was seen before; those of the law "falling" may have any.
    :param missing: as `Operation.missing`.
    """

    name: str
    title: str
    act: Callable[[Rig, Memory, Memory, Observation], None]
    worlds: Callable[[Memory, Memory, Observation], Sequence[World]]
    missing: Callable[[Rig], str | None] | None = None
