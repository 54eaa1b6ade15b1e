"""`script/bench`: measure, and print a table or JSON. Nothing is asserted: machines differ, ratios less."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import harness
from benchmarks import bounds, by_time, cutter, decoding, discovery, drawing, emulator, rigs, search, startup
from benchmarks.campaigns import Bench, Speed
from benchmarks.timing import Beside
from harness.base.errors import CallerError
from harness.run.session import Session
from harness.run.wanted import Wanted

OPERATIONS = ("fido2.client_pin.change", "fido2.get_assertion", "fido2.make_credential.resident")


FULL_BENCH, FULL_RIG = Path(__file__).parent.parent / "rigs" / "full.toml", "nk3-1.8-full"
BUGS = ("pin-compared-first", "settings-lost-open", "migration-not-idempotent")
"""Looked for by time; `python -m benchmarks.by_time` does it with every known bug."""


@dataclass(frozen=True)
class Amounts:
    """How much of each is measured.

    :ivar repeats: of each pair; each figure is their median. :ivar devices: synthetic ones per list of searches.
    :ivar bugs: looked for by time, with `salts` searches each. :ivar rigs: beside one, with `rig_cuts` cuts each.
    """

    operations: tuple[str, ...] = OPERATIONS
    repeats: int = 5
    cutter_rounds: int = cutter.ROUNDS
    devices: int = search.DEVICES
    bugs: tuple[str, ...] = BUGS
    salts: int = by_time.SALTS
    discovery_rounds: int = discovery.ROUNDS
    polled_rounds: int = discovery.POLLED_ROUNDS
    emulator_cuts: int = emulator.CUTS
    rigs: int = 32
    rig_cuts: int = 6


QUICK = Amounts(
    operations=("fido2.client_pin.wrong",),
    repeats=1,
    cutter_rounds=3,
    devices=1,
    bugs=BUGS[:1],
    salts=1,
    discovery_rounds=3,
    polled_rounds=1,
    emulator_cuts=1,
    rigs=2,
    rig_cuts=1,
)
"""As little as each part can be measured with: it shows that the part works, and its figures say nothing."""


def campaigns(amounts: Amounts, seed: int) -> dict[str, Any]:
    """Exhaustive campaigns of the default bench's key, and each look and cut beside its alternative."""
    session = Session(Wanted(operations=amounts.operations, seed=seed))
    benches = [Bench(session, rig, operation) for rig, operation in session.pairs]
    pairs = (
        *(bench.beside_the_client_alone(amounts.repeats) for bench in benches),
        *(bench.beside_cutting_live(amounts.repeats) for bench in benches),
        nearly_full(benches[0], amounts.repeats, seed),
    )
    return {
        "bench": session.bench.shown,
        "speed": [asdict(bench.speed(amounts.repeats)) for bench in benches],
        "beside": [asdict(pair) for pair in pairs],
    }


def nearly_full(empty: Bench, repeats: int, seed: int) -> Beside:
    """A look at a key with as many credentials as fit, beside one with a few."""
    session = Session(Wanted(bench=FULL_BENCH, rigs=(FULL_RIG,), seed=seed))
    full = Bench(session, FULL_RIG, empty.operation.name)
    return full.beside_another_key("nearly full store", empty, "a few credentials", repeats)


def functions(amounts: Amounts, _: int) -> list[dict[str, Any]]:
    """Single functions and commands, each beside its alternative."""
    repeats = amounts.repeats
    pairs = (
        bounds.sums(repeats),
        bounds.million(repeats),
        decoding.info(3 * repeats),
        drawing.cut_map(repeats),
        drawing.flash_raster(repeats),
        startup.command(3 * repeats),
        startup.plugin(3 * repeats),
    )
    return [asdict(pair) for pair in pairs]


PARTS: Mapping[str, Callable[[Amounts, int], Any]] = {
    "campaigns": campaigns,
    "functions": functions,
    "cutter": lambda amounts, _: cutter.measure(amounts.cutter_rounds),
    "search": lambda amounts, _: search.rows(amounts.devices),
    "by_time": lambda amounts, _: by_time.rows(amounts.bugs, salts=amounts.salts),
    "discovery": lambda amounts, _: discovery.measure(amounts.discovery_rounds, amounts.polled_rounds),
    "emulator": lambda amounts, _: emulator.measure(amounts.emulator_cuts),
    "rigs": lambda amounts, _: rigs.measure(amounts.rigs, amounts.rig_cuts),
}
"""What `--only` can name: amounts and seed -> what was measured, as JSON has it."""


def measure(amounts: Amounts, seed: int, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """All parts, or only those that are named, as one JSON-able table."""
    return {
        "version": harness.__version__,
        "python": platform.python_version(),
        "seed": seed,
        "repeats": amounts.repeats,
        **{name: part(amounts, seed) for name, part in PARTS.items() if name in (only or PARTS)},
    }


def show(table: Mapping[str, Any]) -> None:
    """The same for people."""
    print(
        f"keyharness {table['version']} · python {table['python']} · seed {table['seed']} · "
        f"medians of {table['repeats']}"
    )
    for name, show_part in SHOWN.items():
        if name in table:
            print()
            show_part(table[name])


def show_campaigns(table: Mapping[str, Any]) -> None:
    head = ("exhaustive campaigns, all cores", "cuts", "states", "s", "cuts/s", "states/s and core")
    print(f"bench {table['bench']}")
    print("{:<34} {:>6} {:>7} {:>7} {:>8} {:>18}".format(*head))
    for row in table["speed"]:
        speed = Speed(**row)
        print(
            f"  {speed.operation:<32} {speed.cuts:>6} {speed.distinct_states:>7} {speed.duration_s:>7.2f}"
            f" {speed.cuts_per_s:>8.0f} {speed.states_per_s_and_core:>18.0f}"
        )
    print("\nlooks and cuts: one, on one core")
    show_pairs(table["beside"])


def show_pairs(rows: list[dict[str, Any]]) -> None:
    """Ours beside another."""
    for row in rows:
        pair = Beside(**row)
        print(f"  {pair.name}")
        print(f"    {pair.ours_s * 1000:>9.2f} ms  {pair.ours}")
        print(f"    {pair.other_s * 1000:>9.2f} ms  {pair.other}")
        print(f"    {pair.ratio:>9.2f}     ours / other")


SHOWN: Mapping[str, Callable[[Any], None]] = {
    "campaigns": show_campaigns,
    "functions": show_pairs,
    "cutter": lambda found: print("\n".join(cutter.table(found))),
    "search": search.show,
    "by_time": by_time.show,
    "discovery": lambda found: print("\n".join(discovery.table(found))),
    "emulator": lambda found: print("\n".join(emulator.table(found))),
    "rigs": lambda found: print("\n".join(rigs.table(found))),
}
"""Part -> how it is printed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this part (may be repeated)")
    parser.add_argument(
        "--quick", action="store_true", help="as little as works, in seconds: no figures to keep"
    )
    parser.add_argument("--operation", action="append", help="measure this one (may be repeated)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--repeats", type=int, help="number of repetitions, of which the median is shown; default 5"
    )
    parser.add_argument("--devices", type=int, help="number of synthetic devices for each list of searches")
    parser.add_argument("--rigs", type=int, help="number of rigs at once, compared with one rig")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    wanted = parser.parse_args()
    given = {name: getattr(wanted, name) for name in ("repeats", "devices", "rigs")}
    for name, count in given.items():
        if count is not None and count < 1:
            parser.error(f"--{name}: at least 1; --only leaves parts out")
    amounts = replace(
        QUICK if wanted.quick else Amounts(), **{name: count for name, count in given.items() if count}
    )
    if wanted.operation:
        amounts = replace(amounts, operations=tuple(wanted.operation))
    try:
        table = measure(amounts, wanted.seed, tuple(wanted.only or ()))
    except CallerError as error:
        print(error, file=sys.stderr)
        return 4
    if wanted.json:
        print(json.dumps(table, indent=1))
    else:
        show(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
