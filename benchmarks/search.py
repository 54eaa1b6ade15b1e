"""Cuts until the first hit, on synthetic devices, for each strategy beside the figures it is held to.

    python -m benchmarks.search [--quick]

Each figure is over 200 devices; the parameters of the search were chosen on the list "tuned", the list "held
out" was only measured. The search is told the class of each outcome and that the operation begins old and
ends new.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from benchmarks.devices import BAD, Scenario
from harness.search.bounds import upper_bound
from harness.search.search import STRATEGIES, CutRequest, Search, Strategy
from harness.search.window import narrowest_window

DEVICES = 200
LISTS = {"tuned": 0, "held out": 5000}
LIMIT = 8000
"""A run that has not hit by then counts as if it did."""
PERIODIC_CUTS = 459
CONFIDENCE = 0.95

SCENARIOS = (
    Scenario("boundary, w 1 %, sigma 0.1 %", "boundary", 0.01, 0.001),
    Scenario("boundary, w 0.1 %, sigma 0.1 %", "boundary", 0.001, 0.001),
    Scenario("boundary, w 1 %, sigma 1 %", "boundary", 0.01, 0.01),
    Scenario("hidden, w 1 %, sigma 0.1 %", "hidden", 0.01, 0.001),
    Scenario("halo, w 0.1 %, sigma 0.1 %", "halo", 0.001, 0.001),
    Scenario("near a boundary, w 0.1 %, sigma 0.1 %", "near", 0.001, 0.001),
    Scenario("drift 2 %, no markers, w 0.1 %", "boundary", 0.001, 0.001, drift=0.02, markers=1),
    Scenario("drift 2 %, 32 markers, w 0.1 %", "boundary", 0.001, 0.001, drift=0.02, markers=32),
)
PROVING = (
    Scenario("hidden, 1 %", "hidden", 0.01, 0.001),
    Scenario("20 windows, 1 % together", "scattered", 0.01, 0.0001),
    Scenario("64 chunks, 5 % of each", "periodic", 0.05, 0.0001),
)

FIGURES: dict[tuple[str, str], tuple[int, int | None]] = {
    **{(SCENARIOS[0].name, s): f for s, f in zip(STRATEGIES, ((18, 24), (61, 270), (283, 848), (56, 125)))},
    **{
        (SCENARIOS[1].name, s): f
        for s, f in zip(STRATEGIES, ((38, 126), (648, 2496), (686, 2802), (661, 2864)))
    },
    **{(SCENARIOS[2].name, s): f for s, f in zip(STRATEGIES, ((21, 88), (62, 351), (285, 855), (53, 255)))},
    **{(SCENARIOS[3].name, s): f for s, f in zip(STRATEGIES, ((83, 214), (65, 296), (518, 930), (49, 127)))},
    **{
        (SCENARIOS[4].name, s): f
        for s, f in zip(STRATEGIES, ((186, 476), (614, 2729), (812, 2944), (545, 2477)))
    },
    (SCENARIOS[6].name, "hybrid"): (234, None),
    (SCENARIOS[7].name, "hybrid"): (32, None),
}
"""(scenario, strategy) -> median and 95th percentile of a first, simpler search, which ours has to reach."""


@dataclass(frozen=True)
class Hits:
    """Cuts to the first hit over a list of devices. :ivar cut_us: median time of one ask and tell."""

    median: float
    p95: int
    mean: float
    cut_us: float


def search_for(scenario: Scenario, strategy: Strategy, seed: int) -> Search:
    """A search that knows of the device what a campaign knows beforehand."""
    return Search(
        strategy,
        seed=seed,
        length=1.0,
        sigma=scenario.sigma,
        drift=scenario.drift,
        markers=[(f"chunk-{i}", i / scenario.markers) for i in range(1, scenario.markers)],
        ends=("old", "new"),
    )


def cuts_of(search: Search, scenario: Scenario, number: int) -> Iterator[tuple[CutRequest, str, float]]:
    """(cut, outcome, seconds it took to choose it and to learn from it) without end."""
    device = scenario.device(number)
    while True:
        began = time.perf_counter()
        cut = search.ask()
        asked = time.perf_counter()
        outcome = device.cut(cut.time)
        told = time.perf_counter()
        search.tell(cut, outcome)
        yield cut, outcome, time.perf_counter() - told + asked - began


def first_hit(scenario: Scenario, strategy: Strategy, number: int) -> tuple[int, float]:
    """(cuts to the first hit on one device, median seconds of a cut)."""
    taken = []
    for _, outcome, seconds in islice(
        cuts_of(search_for(scenario, strategy, number), scenario, number), LIMIT
    ):
        taken.append(seconds)
        if outcome == BAD:
            break
    return len(taken), statistics.median(taken)


def hits(scenario: Scenario, strategy: Strategy, numbers: Sequence[int], pool: Pool | None = None) -> Hits:
    """First hits over a list of devices."""
    found = list((pool or Pool(1)).map(partial(first_hit, scenario, strategy), numbers))
    counts = sorted(count for count, _ in found)
    return Hits(
        statistics.median(counts),
        counts[min(len(counts) - 1, int(0.95 * len(counts)))],
        statistics.mean(counts),
        statistics.median(seconds for _, seconds in found) * 1e6,
    )


def proved(scenario: Scenario, strategy: Strategy, cuts: int, number: int) -> tuple[bool, bool, bool]:
    """(nothing was hit, the bound is false, w95 is false) after a number of cuts into one device."""
    done = list(islice(cuts_of(search_for(scenario, strategy, number), scenario, number), cuts))
    covering = [(cut.time, outcome) for cut, outcome, _ in done if cut.stream == "cover"]
    failures = sum(1 for _, outcome in covering if outcome == BAD)
    harmful = scenario.width
    bound = upper_bound(failures, len(covering), CONFIDENCE)
    window = narrowest_window([x for x, _ in covering], 1.0, scenario.sigma, CONFIDENCE)
    # "Nothing wider than this" is false if something wider is there and was not hit.
    false_window = scenario.kind == "hidden" and not failures and window is not None and harmful > window
    return all(outcome != BAD for _, outcome, _ in done), bound < harmful, false_window


class Pool:
    """`map` over processes, or in this one."""

    def __init__(self, processes: int):
        self._pool = ProcessPoolExecutor(processes) if processes > 1 else None

    def map(self, act: Any, things: Sequence[int]) -> Iterator[Any]:
        return self._pool.map(act, things, chunksize=10) if self._pool else map(act, things)

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown()


def rows(devices: int = DEVICES) -> list[dict[str, Any]]:
    """One row per list, scenario and strategy; and one per claim that is to be true."""
    pool = Pool(len(os.sched_getaffinity(0)))
    try:
        return [*_hit_rows(devices, pool), *_proof_rows(devices, pool)]
    finally:
        pool.close()


def _hit_rows(devices: int, pool: Pool) -> Iterator[dict[str, Any]]:
    for scenario in SCENARIOS:
        for strategy in STRATEGIES:
            goal = FIGURES.get((scenario.name, strategy), (None, None))
            for name, first in LISTS.items():
                found = hits(scenario, strategy, range(first, first + devices), pool)
                yield {
                    "kind": "cuts to the first hit",
                    "scenario": scenario.name,
                    "strategy": strategy,
                    "list": name,
                    "devices": devices,
                    "median": found.median,
                    "p95": found.p95,
                    "goal_median": goal[0],
                    "goal_p95": goal[1],
                    "ask_and_tell_us": round(found.cut_us),
                }


def _proof_rows(devices: int, pool: Pool) -> Iterator[dict[str, Any]]:
    for scenario in PROVING:
        for strategy in STRATEGIES:
            for name, first in LISTS.items():
                act = partial(proved, scenario, strategy, PERIODIC_CUTS)
                found = list(pool.map(act, range(first, first + devices)))
                yield {
                    "kind": f"after {PERIODIC_CUTS} cuts",
                    "scenario": scenario.name,
                    "strategy": strategy,
                    "list": name,
                    "devices": devices,
                    "missed": sum(1 for one in found if one[0]),
                    "bound_false": sum(1 for one in found if one[1]),
                    "w95_false": sum(1 for one in found if one[2]),
                    "allowed": round((1 - CONFIDENCE) * devices),
                }


def show(table: Sequence[dict[str, Any]]) -> None:
    """The same for people."""
    lists = list(LISTS)
    head = "cuts to the first hit, median / p95"
    print(f"{head:<40}{'':8}" + "".join(f"{name:>15}" for name in (*lists, "goal")) + f"{'us a cut':>10}")
    for row in table:
        if "median" in row and row["list"] == lists[0]:
            same = [r for r in table if "median" in r and _key(r) == _key(row)]
            cells = [f"{r['median']:g} / {r['p95']}" for r in same]
            cells.append(" / ".join(str(row[f] or "-") for f in ("goal_median", "goal_p95")))
            text = "".join(f"{cell:>15}" for cell in cells)
            print(f"{row['scenario']:<40}{row['strategy']:8}{text}{row['ask_and_tell_us']:>10}")
    head = f"after {PERIODIC_CUTS} cuts: not found, bound false, w95 false"
    print(f"\n{head:<48}" + "".join(f"{name:>15}" for name in (*lists, "allowed")))
    for row in table:
        if "missed" in row and row["list"] == lists[0]:
            same = [r for r in table if "missed" in r and _key(r) == _key(row)]
            cells = [f"{r['missed']}, {r['bound_false']}, {r['w95_false']}" for r in same]
            text = "".join(f"{cell:>15}" for cell in (*cells, f"-, {row['allowed']}, {row['allowed']}"))
            print(f"{row['scenario']:<40}{row['strategy']:8}{text}")


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["scenario"], row["strategy"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 devices instead of 200")
    show(rows(20 if parser.parse_args().quick else DEVICES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
