"""How many cuts a search by time needs for what the walk of every flash operation knows to be there.

One known bug at a time is in a twin. The walk says which instants are harmful; then each strategy looks for
them by time alone, as on a real key: from the classes of outcomes, without seeing the flash.

    python -m benchmarks.by_time [DEFECT]...
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.allowance import Allowance
from harness.campaign import Campaign
from harness.discovery import discover
from harness.errors import KeyFault
from harness.home import Home, go_home, missing
from harness.key import Key, Operation
from harness.search import Strategy
from harness.timed import TimedCampaign
from harness.twin.model import TwinOptions
from harness.twin.record import Trace
from harness.twin.rig import TwinRig
from harness.verdicts import Result

KEY = "nitrokey3-mini"
LIMIT = 2000
"""So many cuts a search gets."""
STEP, SALTS = 50, 5
"""So many cuts are made before it is looked whether one of them hit; so many searches are started each."""
AMONG: tuple[Strategy, ...] = ("hybrid", "vdc", "random")
WALK = 600
"""On personalities whose operations are long so many cuts of the walk are made, evenly spread."""


@dataclass(frozen=True)
class Window:
    """What the walk knows of one bug.

    :ivar harmful_ms: all harmful instants of the operation together. :ivar share: of its time.
    :ivar first: strategy -> number of the first cut that showed a violation, median of several searches; None
        if half of them found none.
    """

    defect: str
    operation: str
    harmful_ms: float
    share: float
    first: dict[str, int | None]


def twin_with(defect: str, seed: int = 1) -> tuple[Key, TwinRig]:
    """A twin with a bug, on the personality that it belongs to."""
    key = discover().keys[KEY]
    assert key.twin is not None
    own = key.twin.defects[defect].personality
    options = TwinOptions(defects=(defect,)) if own is None else TwinOptions(own, defects=(defect,))
    return key, TwinRig("by-time", key, options, seed, expendable=True)


def harmful_us(result: Result) -> float:
    """The time of an operation in which a cut is harmful, as its walk knows it.

    A torn state stands for its equal part of the flash operation; `before` and `after` for the pauses around it.
    """
    trace = result.trace
    assert trace is not None
    harmful = 0.0
    phases = max((int(row["planned"]["phase"][4:]) for row in _torn(result)), default=0)
    for row in result.rows:
        planned = row["planned"]
        if row["blame"] != "key" or "nested" in planned or planned["phase"] == "end":
            continue
        harmful += _worth_us(trace, planned["flash_op"], planned["phase"], phases)
    return harmful


def _torn(result: Result) -> Iterator[dict[str, Any]]:
    return (row for row in result.rows if row["planned"]["phase"].startswith("torn"))


def _worth_us(trace: Trace, number: int, phase: str, phases: int) -> float:
    op = trace.ops[number - 1]
    if phase.startswith("torn"):
        return (op.end_us - op.start_us) / phases
    # A pause is after one operation and before the next: half of it each.
    if phase == "before":
        return (op.start_us - (trace.ops[number - 2].end_us if number > 1 else trace.start_us)) / 2
    return ((trace.ops[number].start_us if number < len(trace.ops) else trace.end_us) - op.end_us) / 2


def caught(key: Key, rig: TwinRig, home: Home, only: Sequence[str] = ()) -> tuple[Operation, Result] | None:
    """The first operation in whose walk a bug shows, with that walk."""
    assert key.twin is not None
    known = key.twin.defects[rig.options.defects[0]]
    # Its own application's first, else FIDO2's: what happens to a whole chip shows in every application.
    nearest = known.application or "fido2"
    ours = sorted(key.operations.values(), key=lambda one: one.application != nearest)
    for operation in ours:
        if (only and operation.name not in only) or missing(rig, home, operation):
            continue
        cuts = None if known.personality is None else WALK
        try:
            result = Campaign(rig, operation, home, cuts=cuts, processes=_processes()).run()
        except KeyFault:
            continue
        if any(row["blame"] == "key" and "nested" not in row["planned"] for row in result.rows):
            return operation, result
    return None


def _processes() -> int:
    return len(os.sched_getaffinity(0))


def first_hit(
    rig: TwinRig, operation: Operation, home: Home, strategy: Strategy, limit: int = LIMIT, salt: int = 0
) -> int | None:
    """The number of the first cut of a search that shows a violation, from 1; None within the limit."""
    campaign = TimedCampaign(
        rig,
        operation,
        home,
        strategy=strategy,
        salt=salt,
        cuts=min(STEP, limit),
        processes=_processes(),
    )
    result = campaign.run()
    while True:
        # The first row is the end, which is no cut of the search.
        for number, row in enumerate(result.rows[1:], start=1):
            if row["blame"] == "key":
                return number
        if campaign.planned >= limit:
            return None
        result = campaign.more(Allowance(min(campaign.planned + STEP, limit)))


def median_hit(
    rig: TwinRig, operation: Operation, home: Home, strategy: Strategy, limit: int = LIMIT, salts: int = SALTS
) -> int | None:
    """The same of several searches: their median."""
    hits = [first_hit(rig, operation, home, strategy, limit, salt) for salt in range(salts)]
    middle = sorted(limit + 1 if hit is None else hit for hit in hits)[salts // 2]
    return middle if middle <= limit else None


def window(
    defect: str,
    only: Sequence[str] = (),
    among: Sequence[Strategy] = AMONG,
    limit: int = LIMIT,
    salts: int = SALTS,
) -> Window | None:
    """What the walk knows of a bug, and what searches by time make of it; None if no walk shows it."""
    key, rig = twin_with(defect)
    try:
        home = go_home(rig)
    except KeyFault:
        return None
    shown = caught(key, rig, home, only)
    if shown is None:
        return None
    operation, result = shown
    assert result.trace is not None
    harmful = harmful_us(result)
    whole = result.trace.end_us - result.trace.start_us
    first = {name: median_hit(rig, operation, home, name, limit, salts) for name in among}
    return Window(defect, operation.name, round(harmful / 1000, 3), harmful / whole, dict(first))


def rows(
    defects: Sequence[str] = (), among: Sequence[Strategy] = AMONG, salts: int = SALTS
) -> list[dict[str, Any]]:
    """One row per bug that the walk of some operation shows."""
    twin = discover().keys[KEY].twin
    assert twin is not None
    found = (window(name, (), among, LIMIT, salts) for name in defects or twin.defects)
    return [asdict(one) for one in found if one is not None]


def show(table: Sequence[dict[str, Any]]) -> None:
    """The same for people."""
    print(
        f"{'first cut that shows the bug, by time':<34}{'in':<36}{'harmful':>12}{'share':>9}"
        + "".join(f"{n:>8}" for n in AMONG)
    )
    for row in table:
        cells = "".join(f"{_shown(row['first'], name):>8}" for name in AMONG)
        share = f"{100 * row['share']:.3g} %"
        print(f"  {row['defect']:<32}{row['operation']:<36}{row['harmful_ms']:>9.2f} ms{share:>9}{cells}")


def _shown(first: Mapping[str, int | None], name: str) -> str:
    if name not in first:
        return "-"
    return str(first[name] or f">{LIMIT}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.by_time", description=__doc__.splitlines()[0])
    parser.add_argument("defect", nargs="*")
    show(rows(parser.parse_args().defect))
    return 0


if __name__ == "__main__":
    sys.exit(main())
