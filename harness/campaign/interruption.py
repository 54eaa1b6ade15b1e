"""Leave a key as a power cut half-way through something does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from harness.base.errors import RigError
from harness.model.rig import Rig
from harness.twin.glass_box import glass_box
from harness.twin.trace import cut_at, images


def interrupt(rig: Rig, act: Callable[[], None], *, at: float = 0.5, recovering: bool = True) -> None:
    """Leave the key as a power cut about half-way through `act` does, with something to recover; off.

    What writes nothing (a login of a key whose counter is constant) cannot be interrupted in a write: it is whole.

    :param at: how far it gets. :param recovering: False to take the instant as it is.
    """
    glass = glass_box(rig)
    if glass is None:
        _interrupt_live(rig, act, at)
        return
    trace = glass.record(act)
    if not trace.ops:
        rig.power.off()
        return
    middle = min(int(len(trace.ops) * at), len(trace.ops) - 1)
    # A boot that writes nothing would show nothing: take the first instant after which it recovers.
    for number in [*range(middle, len(trace.ops)), *range(middle)]:
        ((_, state),) = images(trace, [cut_at(trace, f"op{number + 1}.before", 0)])
        glass.restore(state)
        if not recovering or glass.record(rig.power.on).ops:
            break
    glass.restore(state)


def _interrupt_live(rig: Rig, act: Callable[[], None], at: float) -> None:
    """The same of a key whose inside nobody sees: it is run whole once, for its length, and then cut.

    What the whole run did is undone where states can be copied, and stays on a real key.

    :raises RigError: the rig cannot cut.
    """
    if rig.cutter is None:
        raise RigError(f'rig "{rig.name}" cannot cut while an operation runs')
    vault, state = rig.vault, None
    if vault is not None:
        rig.power.off()
        state = vault.snapshot()
        rig.power.on()
        rig.wait_until_up()
    rig.transports.prove()
    began_us = rig.clock.now_us
    act()
    length_us = rig.clock.now_us - began_us
    rig.power.off()
    if vault is not None:
        vault.restore(state)
    rig.power.on()
    rig.wait_until_up()
    # Now, so that it takes no time of the act and its error is not lost with those of the cut.
    rig.transports.prove()
    rig.cutter.prepare()
    rig.cutter.arm(rig.clock.now_us + round(length_us * at))
    # Whatever a client makes of a connection that breaks; that it breaks is meant.
    with suppress(Exception):
        act()
    rig.cutter.collect()
    rig.power.off()
    rig.take_deaths()
