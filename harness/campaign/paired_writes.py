"""Write and undo hundreds of times, and count the free blocks of a twin before and after: a leak has a slope (E2)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.base.errors import NoRoom, Refused
from harness.campaign.home import Home, seeded
from harness.campaign.worker_pool import Died, WorkerPool
from harness.model.operation import PairedWrite
from harness.model.rig import Rig
from harness.twin.glass_box import GlassBox, require_glass_box

WRITES = 500
"""Paired writes of a key altogether, shared by its pairs."""
WARM_UP = 4
"""Rounds before the blocks are counted: the first ones may make directories."""
SLACK = 2
"""Blocks that the metadata of a file system may take besides."""
REPLUGS = 4
"""How often the power goes off and on meanwhile, evenly spread."""
HUNG_S = 600.0
"""How long the rounds of one pair may take on a busy host; on an idle one they take seconds."""


@dataclass(frozen=True)
class Drift:
    """What the rounds of one pair took of the stores.

    :ivar lost: store -> blocks that are free no more, where more than SLACK are missing.
    :ivar refused: how the key refused one of the rounds; None if it did not.
    """

    pair: str
    rounds: int
    lost: dict[str, int]
    refused: str | None = None

    @property
    def text(self) -> str:
        """What is wrong, in words; empty if nothing is."""
        said = [
            f"{self.pair}: after {self.rounds} times {count} blocks fewer are free in the store {store}"
            for store, count in self.lost.items()
        ]
        if self.refused:
            said.append(f"{self.pair}: {self.refused}")
        return "; ".join(said)


def drifts(rig: Rig, home: Home, writes: int = WRITES, processes: int = 1) -> list[Drift]:
    """Do the paired writes of all applications of a twin; the key is off afterwards.

    :param processes: number of pairs that are worked on at the same time, each from the home state in a copy of the
        twin: the number changes no result.
    :raises HarnessFault: the key on the rig is no twin.
    """
    glass = require_glass_box(rig)
    offered = []
    for pair in (pair for application in rig.key.applications for pair in application.paired):
        glass.restore(home.state)
        rig.power.on()
        rig.wait_until_up()
        with seeded(rig, "missing", pair.name):
            if pair.missing is None or pair.missing(rig) is None:
                offered.append(pair)
    rig.power.off()
    rounds = max(1, writes // max(1, len(offered)))
    found: dict[int, Drift | None] = {}

    def arrived(index: int, drift: Drift | Died | None) -> None:
        if isinstance(drift, Died):
            drift = Drift(offered[index].name, rounds, {}, f"the simulated firmware {drift.how}")
        found[index] = drift

    pool = WorkerPool(lambda index: _drift(rig, glass, home, offered[index], rounds), processes, HUNG_S)
    pool.run(len(offered), arrived)
    return [drift for _, drift in sorted(found.items()) if drift is not None]


def _drift(rig: Rig, glass: GlassBox, home: Home, pair: PairedWrite, rounds: int) -> Drift | None:
    """None if the key has no room for a single round."""
    glass.restore(home.state)
    memory = home.memory.copy()

    def replug() -> dict[str, int]:
        rig.power.off()
        rig.power.on()
        rig.wait_until_up()
        return glass.free_blocks()

    replug()
    before: dict[str, int] = {}
    done = -WARM_UP
    try:
        with seeded(rig, "paired", pair.name):
            if pair.arrange is not None:
                pair.arrange(rig, memory)
            for done in range(-WARM_UP, rounds):
                if done % -(-rounds // REPLUGS) == 0:
                    free = replug()
                    before = before or free
                pair.write(rig, memory)
                pair.undo(rig, memory)
    except Exception as error:
        fault = rig.key.fault(error)
        if fault is None:
            raise
        if done < 0 and isinstance(fault, NoRoom):
            # The store is as full as the home made it: there is nothing to write and undo.
            return None
        said = fault.value if isinstance(fault, Refused) else fault.what
        return Drift(pair.name, done, {}, f"{said} in round {done + 1} of {rounds}")
    after = replug()
    lost = {store: count - after.get(store, 0) for store, count in before.items()}
    return Drift(pair.name, rounds, {store: count for store, count in lost.items() if count > SLACK})
