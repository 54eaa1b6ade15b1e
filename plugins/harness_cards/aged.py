"""Aged homes of simulated cards: what they count stands just below a power of two when an operation begins.

So the operation, a cut into it and the recovery go over the wrap: of a counter of the application, of the revision
counts of the file system under it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.api import Memory, NamedHome, Operation, Rig, glass_box

AGES = (8, 16, 32)
"""Bits of the counters that wrap."""
CUTS = 3
"""Into each operation, from the one of these homes whose turn it is, in a run that names no homes."""


def aged(
    learn: Callable[[Memory, Mapping[str, int]], None],
    adapt: Callable[[Operation], Operation | None] = lambda operation: operation,
) -> tuple[NamedHome, ...]:
    """Return the aged homes of an application.

    :param learn: (what the host knows, what the twin's model says that it counts now) brings the memory up to date.
    :param adapt: as `NamedHome.adapt`.
    """

    def age(bits: int) -> Callable[[Rig, Memory], None]:
        def settle(rig: Rig, memory: Memory) -> None:
            rig.power.off()
            glass = glass_box(rig)
            assert glass is not None
            assert glass.age is not None
            learn(memory, glass.age(bits))

        return settle

    return tuple(
        NamedHome(
            name=f"aged-{bits}",
            title=f"counters just below 2^{bits}, pages erased hundreds of times",
            settle=age(bits),
            adapt=adapt,
            missing=_cannot_age,
            cuts=CUTS,
            turn="other",
        )
        for bits in AGES
    )


def _cannot_age(rig: Rig) -> str | None:
    glass = glass_box(rig)
    if glass is None or glass.age is None:
        return "counters are set inside a simulated key"
    return None
