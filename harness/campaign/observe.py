"""Look at a key after a cut: power it, read what is free, use what costs, plug it in again, use the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.base.errors import (
    MALFORMED,
    HarnessFault,
    KeyFault,
    KeyharnessError,
    MalformedAnswer,
    Refused,
    refuse_host_error,
)
from harness.model.memory import Look, Memory
from harness.model.operation import Item, World
from harness.model.outcome import Observation
from harness.model.rig import KeyGone, Rig

BOOTS_TO_COME_BACK = 3
"""So many times is the power switched on before a key counts as stuck."""

SHOWN = 80
"""Most characters of what a client found that are a part of an item's value."""
NO_ANSWER = "no answer"
"""The value of an item during whose observation the key hung or fell off the bus."""


@dataclass
class Seen:
    """What one look found.

    :ivar values: item -> value; empty when the key did not come back.
    :ivar boots: how often the power was switched on.
    :ivar stuck: why the key counts as stuck, else None.
    :ivar answers: item -> the bytes of an answer that could not be read.
    """

    values: Observation = field(default_factory=dict)
    boots: int = 0
    stuck: str | None = None
    answers: dict[str, bytes] = field(default_factory=dict)


def observe(rig: Rig, items: Sequence[Item], memory: Memory, promise: Memory, *, exact: bool = True) -> Seen:
    """Observe all items of the face that the key shows, the free ones first.

    The key is on afterwards unless it is stuck.

    :param promise: what the host would know had the operation been acknowledged.
    :param exact: see `harness.model.memory.Look`.
    """
    seen = Seen()
    look = Look(rig, memory, promise, exact)
    order = sorted(items, key=lambda item: (item.after_replug, bool(item.spends)))
    if not _bring_up(rig, seen):
        return seen
    replugged = False
    for item in order:
        if item.face not in ("", rig.face):
            continue
        if item.after_replug and not replugged:
            replugged = True
            rig.power.off()
            look.replugged()
            if not _bring_up(rig, seen):
                return seen
        try:
            seen.values[item.name] = item.observe(look)
        except (KeyGone, OSError) as error:
            refuse_host_error(error)
            # It hung or left while it was used: note that, and go on with a fresh boot.
            seen.values[item.name] = NO_ANSWER
            rig.power.off()
            look.replugged()
            if not _bring_up(rig, seen):
                return seen
        except Exception as error:
            if isinstance(error, KeyharnessError) and not isinstance(error, KeyFault):
                raise
            fault = rig.key.fault(error)
            if isinstance(fault, MalformedAnswer):
                seen.values[item.name] = fault.value
                seen.answers[item.name] = fault.answer
                if not fault.garbled:
                    continue
                # The rest of a broken transfer would be taken for the next answer.
                rig.power.off()
                look.replugged()
                if not _bring_up(rig, seen):
                    return seen
                continue
            if fault is not None:
                # What the key refuses, or answers without sense, is what was seen of the item.
                seen.values[item.name] = _value(fault)
                continue
            raise HarnessFault(
                f'item "{item.name}" could not be observed',
                found=f"{type(error).__name__}: {error}",
                expected="a value: what a key refuses is one, too",
                mend=f"mend the plugin that offers {item.name.partition('.')[0]}",
            ) from error
    return seen


def _value(fault: KeyFault) -> str:
    if isinstance(fault, Refused):
        return fault.value
    return f"{MALFORMED}: {fault.what} ({str(fault.found)[:SHOWN]})" if fault.found else fault.what


def complete(rig: Rig, world: World, memory: Memory) -> str | None:
    """Do the act that must lead from an intermediate world to the new one; the key must be off or on.

    :returns: why the key did not let it be done, in words; None if it was done. The key is off then.
    """
    assert world.complete is not None
    rig.power.cycle()
    try:
        world.complete(rig, memory)
    except Exception as error:
        refuse_host_error(error)
        fault = rig.key.fault(error)
        gone = isinstance(error, OSError) and not isinstance(error, KeyharnessError)
        if fault is None and not gone:
            raise
        return str(error) if fault is None else fault.value if isinstance(fault, Refused) else fault.what
    finally:
        rig.power.off()
    return None


def _bring_up(rig: Rig, seen: Seen) -> bool:
    why = ""
    for _ in range(BOOTS_TO_COME_BACK):
        if not rig.power.is_on:
            rig.power.on()
            seen.boots += 1
        try:
            rig.wait_until_up()
        except KeyGone as gone:
            why = gone.what
            rig.power.off()
        else:
            return True
    seen.stuck = f"the key did not come back in {BOOTS_TO_COME_BACK} boots ({why})"
    return False
