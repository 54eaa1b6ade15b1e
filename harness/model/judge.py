"""The judge: find the world that matches what was observed after a cut, and every item that breaks its law.

The judge knows no key. Its input: the items with their laws, the worlds that the operation may leave, what was
observed before and after the cut, and whether the acknowledgement had arrived. One world must match all the items
that it names; every other item obeys its own law; the worst violation decides the outcome.

An answer that cannot be read is a value like others, and breaks the law of its item. If the transfer itself was
garbled, nothing is known of the item: then the key breaks the law that it answers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.base.errors import GARBLED
from harness.model.memory import Memory
from harness.model.operation import Item, World
from harness.model.outcome import Law, Observation, Outcome, Severity, Value

STUCK_ITEM = "device"
"""The name of the item that stands for a key that does not come back."""
ANSWERS = "answers"
"""The law that a key answers, of every item."""


@dataclass(frozen=True)
class Breach:
    """One item that broke its law, or matches no world."""

    item: str
    law: str
    outcome: Outcome
    severity: Severity
    text: str


@dataclass(frozen=True)
class Judgement:
    """What a cut led to.

    :ivar outcome: the outcome of the worst breach; without a breach that of the world.
    :ivar world: name of the world that matched, None if none did.
    :ivar breaches: the worst one first; empty if nothing was violated.
    :ivar changed: item -> (before, after), where they differ.
    """

    outcome: Outcome
    world: str | None
    breaches: tuple[Breach, ...] = ()
    changed: Mapping[str, tuple[Value, Value]] = field(default_factory=dict)


_RANK = [Outcome.LOST, Outcome.TORN, Outcome.ROLLED_BACK, Outcome.LOOSENED, Outcome.STUCK]


def _badness(breach: Breach) -> tuple[int, int, str]:
    return list(Severity).index(breach.severity), _RANK.index(breach.outcome), breach.item


def stuck(why: str) -> Judgement:
    """Return the judgement of a key that did not come back, or stopped answering for good."""
    return Judgement(Outcome.STUCK, None, (Breach(STUCK_ITEM, ANSWERS, Outcome.STUCK, Severity.S1, why),))


def matches(world: World, seen: Observation) -> list[str]:
    """Return the names of the items whose observed values differ from those of a world."""
    return [name for name, value in world.values.items() if seen.get(name) != value]


def unsound(items: Sequence[Item], named: Collection[str], memory: Memory, seen: Observation) -> list[Breach]:
    """Return the breaches of items that have not the value that they have before anything is cut.

    :param named: items that a world speaks of; they are left out.
    """
    return [
        Breach(
            item.name,
            item.law.value,
            item.breach_outcome,
            item.severity,
            f"{item.title or item.name} is {_show(seen[item.name])}; it must be {_show(item.sound(memory))}",
        )
        for item in items
        if item.sound is not None
        and item.name not in named
        and item.name in seen
        and seen[item.name] != item.sound(memory)
    ]


def find_world(worlds: Sequence[World], seen: Observation, acknowledged: bool) -> World | None:
    """Return the world that matches; None if none does.

    Of several: the one that fits the acknowledgement best, then the one that names most items.
    """
    wanted = [Outcome.NEW, Outcome.BOOTLOADER, Outcome.RECOVERED, Outcome.OLD]
    if not acknowledged:
        wanted.reverse()
    fitting = [world for world in worlds if not matches(world, seen)]
    return min(fitting, key=lambda world: (wanted.index(world.outcome), -len(world.values)), default=None)


def judge(
    *,
    items: Sequence[Item],
    worlds: Sequence[World],
    before: Observation,
    seen: Observation,
    acknowledged: bool,
    acknowledged_old: Outcome = Outcome.LOST,
    floors: Mapping[str, int] | None = None,
    least: Mapping[str, Sequence[int]] | None = None,
) -> Judgement:
    """Judge one cut.

    :param before: the values of the items before the operation.
    :param seen: their values after the cut.
    :param acknowledged: whether the acknowledgement had arrived before the power went.
    :param acknowledged_old: the outcome if the operation was acknowledged and the old world is found.
    :param floors: for rising items, the highest value that the host had seen when the power went.
    :param least: for items of room, how much of each store must be free.
    """
    garbled = [item for item in items if _is_garbled(seen.get(item.name))]
    if garbled:
        names = {item.name for item in garbled}
        items = [item for item in items if item.name not in names]
        worlds = [_without(world, names) for world in worlds]
    by_name = {item.name: item for item in items}
    breaches = [_unread(item, seen) for item in garbled]
    world = find_world(worlds, seen, acknowledged)
    if world is None:
        nearest = min(worlds, key=lambda w: _distance(w, seen, acknowledged))
        for name in matches(nearest, seen):
            breaches.append(_torn(by_name[name], nearest, worlds, seen))
        named = set(nearest.values)
        place = nearest
    else:
        place = world
        named = set(world.values)
        if acknowledged and world.outcome is not Outcome.NEW and _distinct(worlds):
            for name in _telling(world, worlds):
                item = by_name[name]
                breaches.append(
                    Breach(
                        name,
                        item.law.value,
                        acknowledged_old,
                        item.severity,
                        f"the key had acknowledged the operation, and {item.title or name} is still "
                        f"{_show(seen.get(name))}",
                    )
                )
    for item in items:
        if item.name not in seen and place.outcome is Outcome.BOOTLOADER:
            # In the bootloader the application cannot be asked; it can, after the world has been completed.
            continue
        if item.name in named:
            continue
        if item.law is Law.ROOM:
            breaches += _no_room(item, seen.get(item.name), (least or {}).get(item.name, ()))
        elif breach := _by_law(item, before, seen, floors or {}):
            breaches.append(breach)
    breaches.sort(key=_badness)
    changed = {
        name: (before.get(name), seen.get(name))
        for name in sorted({*before, *seen})
        if before.get(name) != seen.get(name)
    }
    if breaches:
        outcome = breaches[0].outcome
    else:
        assert world is not None
        outcome = world.outcome
    return Judgement(outcome, world.name if world else None, tuple(breaches), changed)


def _is_garbled(value: Value) -> bool:
    return isinstance(value, str) and value.startswith(GARBLED)


def _without(world: World, names: Collection[str]) -> World:
    values = {name: value for name, value in world.values.items() if name not in names}
    return replace(world, values=values)


def _unread(item: Item, seen: Observation) -> Breach:
    """The breach of a key whose transfer broke: nothing is known of the item, and the key cannot be used so."""
    text = f"{item.title or item.name} could not be read: {seen[item.name]}"
    return Breach(item.name, ANSWERS, Outcome.STUCK, Severity.S2, text)


def _distance(world: World, seen: Observation, acknowledged: bool) -> tuple[int, bool, bool]:
    """Distance between what was observed and a world; a difference in the item that it names first counts more."""
    wrong = matches(world, seen)
    return len(wrong), next(iter(world.values), None) in wrong, (world.outcome is Outcome.NEW) != acknowledged


def _distinct(worlds: Sequence[World]) -> bool:
    return any(world.outcome is Outcome.NEW for world in worlds)


def _telling(world: World, worlds: Sequence[World]) -> list[str]:
    """Return the items in which a world differs from the new one."""
    new = next(w for w in worlds if w.outcome is Outcome.NEW)
    return [name for name, value in new.values.items() if world.values.get(name) != value] or list(new.values)


def _torn(item: Item, nearest: World, worlds: Sequence[World], seen: Observation) -> Breach:
    """Return the breach of an item where no world matches, with the outcome that describes it best."""
    value = seen.get(item.name)
    legal = [world.values[item.name] for world in worlds if item.name in world.values]
    outcome, remark = item.breach or Outcome.TORN, ""
    if item.law is Law.FALLING and isinstance(value, int):
        numbers = [number for number in legal if isinstance(number, int)]
        outcome = Outcome.LOOSENED if numbers and value > max(numbers) else Outcome.TORN
        remark = _remark(value)
    wanted = " or ".join(dict.fromkeys(_show(number) for number in legal))
    text = f"{item.title or item.name} is {_show(value)}; it must be {wanted}{remark}"
    if value in legal:
        text += f", and here {_show(nearest.values[item.name])}, as the rest of what was seen belongs to the "
        text += f"{nearest.name} world"
    return Breach(item.name, item.law.value, outcome, item.severity, text)


def _by_law(item: Item, before: Observation, seen: Observation, floors: Mapping[str, int]) -> Breach | None:
    was, now = before.get(item.name), seen.get(item.name)
    title = item.title or item.name
    if item.law is Law.RISING:
        return _rising(item, now, floors.get(item.name, 0))
    if item.law is Law.FALLING and isinstance(was, int) and isinstance(now, int):
        if now < 0 <= was:
            # Nothing is loosened by it: it is reported, and fails no run.
            text = f"{title} was {was} and is {now}{_remark(now)}"
            return Breach(item.name, item.law.value, Outcome.TORN, Severity.S3, text)
        if now <= was:
            return None
        text = f"{title} was raised from {was} to {now}"
        return Breach(item.name, item.law.value, item.breach_outcome, item.severity, text)
    if was == now:
        return None
    outcome = item.breach_outcome if item.law is not Law.FALLING else Outcome.LOST
    return Breach(
        item.name, item.law.value, outcome, item.severity, f"{title} was {_show(was)} and is {_show(now)}"
    )


def _no_room(item: Item, now: Value, least: Sequence[int]) -> list[Breach]:
    if not isinstance(now, tuple) or all(free >= wanted for free, wanted in zip(now, least)):
        return []
    text = f"{item.title or item.name}: {_show(now)}; uncut, at least {_show(tuple(least))} are left"
    return [Breach(item.name, item.law.value, item.breach_outcome, item.severity, text)]


def _rising(item: Item, now: Value, floor: int) -> Breach | None:
    title = item.title or item.name
    if not isinstance(now, tuple) or not all(isinstance(value, int) for value in now):
        # Another item reports why the counter could not be read (the credential that did not assert).
        return None
    if item.may_be_constant_zero and floor == 0 and set(now) == {0}:
        return None
    last = floor
    for value in now:
        if value <= last:
            text = f"{title} went from {last} to {value}"
            return Breach(item.name, item.law.value, item.breach_outcome, item.severity, text)
        last = value
    return None


def _remark(value: int) -> str:
    return ": no counter of tries can be below zero, so what it is counted in is damaged" if value < 0 else ""


def _show(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
