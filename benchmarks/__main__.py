"""`script/bench`: measure, and print a table or JSON. Nothing is asserted: machines differ, ratios less."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from typing import Any

import harness
from benchmarks import bounds, by_time, cutter, decoding, discovery, emulator, rigs, search, startup
from benchmarks.campaigns import Bench, Speed
from benchmarks.timing import Beside
from harness.base.errors import CallerError
from harness.run.session import Session, Wanted

OPERATIONS = ("fido2.client_pin.change", "fido2.get_assertion", "fido2.make_credential.resident")


BUGS = ("pin-compared-first", "settings-lost-open", "migration-not-idempotent")
"""Looked for by time; `python -m benchmarks.by_time` does it with every known bug."""


def measure(
    operations: tuple[str, ...], seed: int, repeats: int, devices: int, at_once: int
) -> dict[str, Any]:
    """Everything as one JSON-able table.

    :param devices: so many synthetic devices each search is tried on; 0 leaves searches out.
    :param at_once: so many rigs beside one; 0 leaves that out.
    """
    session = Session(Wanted(operations=operations, seed=seed))
    benches = [Bench(session, rig, operation) for rig, operation in session.pairs]
    return {
        "cutter": cutter.measure(),
        "search": search.rows(devices) if devices else [],
        "by_time": by_time.rows(BUGS) if devices else [],
        "discovery": discovery.measure(),
        "emulator": emulator.measure(),
        "rigs": rigs.measure(at_once) if at_once else None,
        "version": harness.__version__,
        "python": platform.python_version(),
        "bench": session.bench.shown,
        "seed": seed,
        "repeats": repeats,
        "campaigns": [asdict(bench.speed(repeats)) for bench in benches],
        "beside": [
            asdict(one)
            for one in (
                *(bench.beside_the_client_alone(repeats) for bench in benches),
                *(bench.beside_cutting_live(repeats) for bench in benches),
                bounds.sums(repeats),
                bounds.million(repeats),
                decoding.info(3 * repeats),
                startup.command(3 * repeats),
                startup.plugin(3 * repeats),
            )
        ],
    }


def show(table: dict[str, Any]) -> None:
    """The same for people."""
    print(
        f"keyharness {table['version']} · python {table['python']} · bench {table['bench']} · "
        f"seed {table['seed']} · medians of {table['repeats']}\n"
    )
    head = ("exhaustive campaigns, all cores", "cuts", "states", "s", "cuts/s", "states/s and core")
    print("{:<34} {:>6} {:>7} {:>7} {:>8} {:>18}".format(*head))
    for row in table["campaigns"]:
        speed = Speed(**row)
        print(
            f"  {speed.operation:<32} {speed.cuts:>6} {speed.distinct_states:>7} {speed.duration_s:>7.2f}"
            f" {speed.cuts_per_s:>8.0f} {speed.states_per_s_and_core:>18.0f}"
        )
    print("\nours beside another (looks and cuts: one, on one core)")
    for row in table["beside"]:
        pair = Beside(**row)
        print(f"  {pair.name}")
        print(f"    {pair.ours_s * 1000:>9.2f} ms  {pair.ours}")
        print(f"    {pair.other_s * 1000:>9.2f} ms  {pair.other}")
        print(f"    {pair.ratio:>9.2f}     ours / other")
    print("\n" + "\n".join(cutter.table(table["cutter"])))
    if table["search"]:
        print()
        search.show(table["search"])
        print()
        by_time.show(table["by_time"])
    print("\n" + "\n".join(discovery.table(table["discovery"])))
    print("\n" + "\n".join(emulator.table(table["emulator"])))
    if table["rigs"] is not None:
        print("\n" + "\n".join(rigs.table(table["rigs"])))


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("--operation", action="append", help="measure this one (may be repeated)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--devices", type=int, default=search.DEVICES, help="for searches; 0 leaves them out")
    parser.add_argument("--rigs", type=int, default=32, help="so many rigs at once; 0 leaves them out")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    wanted = parser.parse_args()
    if wanted.repeats < 1:
        parser.error("--repeats: at least 1")
    try:
        operations = tuple(wanted.operation or OPERATIONS)
        table = measure(operations, wanted.seed, wanted.repeats, wanted.devices, wanted.rigs)
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
