"""Compare two firmwares, or two nights: the risk of each operation, and what it costs the key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from harness.base.errors import CallerError
from harness.evidence.ledger import Ledger
from harness.model.row import Row
from harness.qualify.findings import CONFIDENCE, clean_cuts_for
from harness.qualify.side import Operation, Side, side_of
from harness.run.ledger_entry import enter_abandoned
from harness.search.risk_difference import Difference, holm, independent, paired

AGE_MAX = 0.1
"""Keys whose spent share of erases differs by more are not alike."""
MEASURES = {
    "boot_ms": "boot (ms)",
    "silence_ms": "longest silence (ms)",
    "erases": "erases of one run",
    "wear_per_cut": "erases of the hottest page for each cut",
}


def compare(name_a: str, name_b: str, reports: Path, *, force: bool = False) -> Row:
    """Return the comparison of two runs or two firmware versions as JSON-able fields.

    :param force: compare what is not alike, too; the result says in what.
    :raises CallerError: a side is not there, nothing is common to both, or they are not alike.
    """
    enter_abandoned()
    with Ledger() as ledger:
        a, b = side_of(name_a, reports, ledger), side_of(name_b, reports, ledger)
    unlike = unlike_in(a, b)
    if unlike and not force:
        raise CallerError(
            f"compare {name_a} {name_b}",
            found="; ".join(unlike),
            expected="sides that differ in one thing only",
            mend="choose others, or --force: the result then says in what they differ",
        )
    common = [name for name in a.operations if name in b.operations]
    if not common:
        raise CallerError(
            f"compare {name_a} {name_b}",
            found="no operation that both sides cut",
            expected="at least one",
            mend="run the same operations on both",
        )
    # One interval for each operation: all hold together with the confidence that is asked for.
    each = 1 - (1 - CONFIDENCE) / len(common)
    rows = [_operation(a.operations[name], b.operations[name], each) for name in common]
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_corrected"] = p
        row["differs"] = p < 1 - CONFIDENCE
    return {
        "a": _side(a),
        "b": _side(b),
        "unlike": unlike,
        "confidence": CONFIDENCE,
        "corrected_for": len(common),
        "operations": rows,
        "only_a": sorted(a.operations.keys() - b.operations.keys()),
        "only_b": sorted(b.operations.keys() - a.operations.keys()),
    }


def is_worse(it: Row) -> bool:
    """Return whether B is shown to do harm more often in an operation."""
    return any(row["differs"] and row["difference"] > 0 for row in it["operations"])


def unlike_in(a: Side, b: Side) -> list[str]:
    """Say in what two sides differ beside the firmware."""
    said = []
    if a.kinds != b.kinds:
        said.append(f"evidence: {_named(a.kinds)}, and {_named(b.kinds)}")
    if a.model != b.model:
        said.append(f"keys: {a.model}, and {b.model}")
    for side in (a, b):
        if side.mixed:
            said.append(f"models in {side.name}: {'; '.join(side.mixed)} (name a run instead)")
    if a.homes != b.homes:
        said.append(f"homes: {_named(a.homes)}, and {_named(b.homes)}")
    if a.kernels != b.kernels:
        said.append(f"kernels: {_named(a.kernels)}, and {_named(b.kernels)}")
    if a.age is not None and b.age is not None and abs(a.age - b.age) > AGE_MAX:
        said.append(f"age of the keys: {100 * a.age:.0f} % of the erases were spent, and {100 * b.age:.0f} %")
    return said


def _named(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _operation(a: Operation, b: Operation, confidence: float) -> Row:
    pairs = _pairs(a, b)
    if pairs is not None:
        table = Counter(pairs)
        found = paired(
            table[True, True], table[True, False], table[False, True], table[False, False], confidence
        )
    else:
        found = independent((a.bad, len(a.cuts)), (b.bad, len(b.cuts)), confidence)
    return {
        "operation": a.name,
        "a": [a.bad, len(a.cuts)],
        "b": [b.bad, len(b.cuts)],
        "pairs": len(pairs) if pairs is not None else None,
        **_fields(found),
        "measures": {name: [a.measures.get(name), b.measures.get(name)] for name in MEASURES},
        "not_seen": [*_not_seen(a, b, "b"), *_not_seen(b, a, "a")],
    }


def _fields(found: Difference) -> Row:
    return {"difference": found.value, "low": found.low, "high": found.high, "p": found.p}


def _pairs(a: Operation, b: Operation) -> list[tuple[bool, bool]] | None:
    """The cuts at the same instant; None if the two sides were not planned alike."""
    if not a.is_recorded and a.seeds != b.seeds:
        return None
    of_a, of_b = dict(a.cuts), dict(b.cuts)
    common = [at for at in of_a if at in of_b]
    # A pair needs one cut on each side; several runs of one side repeat an instant, and are taken as they are.
    alone = max(len(a.cuts), len(b.cuts)) - len(common)
    if not common or len(of_a) != len(a.cuts) or len(of_b) != len(b.cuts) or alone > len(common) // 10:
        return None
    return [(of_a[at], of_b[at]) for at in common]


def _not_seen(shown: Operation, other: Operation, where: str) -> list[Row]:
    """What one side shows and the other does not: silence is no proof, and here is what it would take."""
    rows = []
    for (item, law), count in sorted(shown.items.items()):
        if count and not other.items.get((item, law)):
            takes = clean_cuts_for(count, len(shown.cuts))
            enough = takes is not None and len(other.cuts) >= takes
            rows.append(
                {
                    "item": item,
                    "law": law,
                    "in": where,
                    "cuts": len(other.cuts),
                    "takes": takes,
                    "enough": enough,
                }
            )
    return rows


def _side(side: Side) -> Row:
    return {
        "name": side.name,
        "runs": side.runs,
        "key": side.model,
        "firmware": side.firmware,
        "evidence_kind": sorted(side.kinds),
        "homes": sorted(side.homes),
        "age": side.age,
        "kernels": sorted(side.kernels),
    }


def show(it: Row, out: TextIO) -> None:
    """Write a comparison for a person."""
    for name in ("a", "b"):
        side = it[name]
        out.write(
            f"{name.upper()}  {side['name']}: {side['key']} {side['firmware']}, {_listed(side['evidence_kind'])}\n"
        )
    for said in it["unlike"]:
        out.write(f"unlike  {said}\n")
    out.write(
        f"risk of B less risk of A; intervals hold together with {100 * it['confidence']:g} % "
        f"over {it['corrected_for']} operations\n\n"
    )
    for row in it["operations"]:
        word = "differs" if row["differs"] else "no difference shown"
        how = f"{row['pairs']:,} pairs" if row["pairs"] is not None else "not paired"
        out.write(
            f"  {row['operation']}  A {row['a'][0]} of {row['a'][1]:,}, B {row['b'][0]} of {row['b'][1]:,} ({how}): "
            f"{100 * row['difference']:+.2f} % ({100 * row['low']:+.2f} to {100 * row['high']:+.2f} %), {word}\n"
        )
        for name, (was, is_) in row["measures"].items():
            if was is not None and is_ is not None and was != is_:
                out.write(f"      {MEASURES[name]}: {was:g}, then {is_:g}\n")
        for one in row["not_seen"]:
            enough = "enough" if one["enough"] else f"for 95 % it takes {one['takes']:,}"
            out.write(
                f"      {one['item']}: not seen in {one['cuts']:,} cuts of {one['in'].upper()}; {enough}\n"
            )


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)
