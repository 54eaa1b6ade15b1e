"""Read from the ledger what was done to keys: `keyharness history`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from harness.base.errors import CallerError, one_of
from harness.evidence.ledger import Ledger
from harness.model.outcome import Outcome

if TYPE_CHECKING:
    from sqlalchemy import Subquery


def keys_of(ledger: Ledger) -> list[dict[str, Any]]:
    """Return all keys with their numbers of runs and cuts, real ones first."""
    from sqlalchemy import case, func, select

    keys, outcomes = ledger.tables.keys, ledger.tables.outcomes
    filed = _filed(ledger)
    cuts = select(func.coalesce(func.sum(outcomes.c.cuts), 0)).where(outcomes.c.key == keys.c.id)
    runs = select(func.count()).select_from(filed).where(filed.c.key == keys.c.id)
    real_first = case((keys.c.kind == "twin", 1), else_=0)
    return ledger.rows(
        select(keys, cuts.scalar_subquery().label("cuts"), runs.scalar_subquery().label("runs")).order_by(
            real_first, keys.c.first_seen, keys.c.id
        )
    )


def _filed(ledger: Ledger) -> Subquery:
    """Each run with each of its keys once: also a run without a cut, and those that an older version filed."""
    from sqlalchemy import select, union

    run_keys, outcomes = ledger.tables.run_keys, ledger.tables.outcomes
    return union(select(run_keys.c.run, run_keys.c.key), select(outcomes.c.run, outcomes.c.key)).subquery()


def _trend(ledger: Ledger, key: str, runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return how the runs of a key went, firmware by firmware, in the order in which these were first tested.

    :param runs: the runs of the key, the oldest first.
    """
    from sqlalchemy import func, select

    run_keys, out = ledger.tables.run_keys, ledger.tables.outcomes
    of = {row["run"]: row["firmware"] for row in ledger.rows(select(run_keys).where(run_keys.c.key == key))}
    cuts = ledger.rows(
        select(out.c.run, out.c.outcome, func.sum(out.c.cuts).label("cuts"))
        .where(out.c.key == key)
        .group_by(out.c.run, out.c.outcome)
    )
    trend: dict[str | None, dict[str, Any]] = {}
    for run in runs:
        firmware = of.get(run["id"])
        row = trend.setdefault(
            firmware,
            {
                "firmware": firmware,
                "first": run["started"],
                "runs": 0,
                "cuts": 0,
                "violations": 0,
                "verdicts": {},
            },
        )
        row["runs"] += 1
        row["last"] = run["started"]
        row["verdicts"][run["verdict"]] = row["verdicts"].get(run["verdict"], 0) + 1
        for one in cuts:
            if one["run"] == run["id"]:
                row["cuts"] += one["cuts"]
                row["violations"] += one["cuts"] if _is_violation(one["outcome"]) else 0
    return list(trend.values())


def _is_violation(outcome: str) -> bool:
    return outcome in {one.value for one in Outcome} and Outcome(outcome).is_violation


def history_of(ledger: Ledger, key: str) -> dict[str, Any]:
    """Return the runs, outcomes, wear, spent budgets and uncontrolled power cycles of one key.

    :raises CallerError: the ledger does not know the key.
    """
    from sqlalchemy import func, select

    filed = _filed(ledger)
    known = {row["id"]: row for row in keys_of(ledger)}
    if key not in known:
        raise CallerError(
            f'key "{key}"',
            found=key,
            expected=one_of(key, list(known)),
            mend="`keyharness history` lists the keys",
        )
    tables = ledger.tables
    out, wear, spent, runs = tables.outcomes, tables.wear, tables.spent, tables.runs
    lost = tables.uncontrolled
    of_key = ledger.rows(
        select(runs)
        .where(runs.c.id.in_(select(filed.c.run).where(filed.c.key == key)))
        .order_by(runs.c.started, runs.c.id)
    )
    return {
        "key": known[key],
        "runs": of_key,
        "trend": _trend(ledger, key, of_key),
        "outcomes": ledger.rows(
            select(out.c.operation, out.c.outcome, func.sum(out.c.cuts).label("cuts"))
            .where(out.c.key == key)
            .group_by(out.c.operation, out.c.outcome)
            .order_by(out.c.operation, out.c.outcome)
        ),
        "wear": ledger.rows(
            select(
                wear.c.what,
                func.sum(wear.c.used).label("used"),
                func.max(wear.c.upto).label("limit"),
                func.max(wear.c.estimated).label("estimated"),
            )
            .where(wear.c.key == key)
            .group_by(wear.c.what)
            .order_by(func.sum(wear.c.used).desc())
        ),
        "spent": ledger.rows(
            select(spent.c.what, func.sum(spent.c.amount).label("amount"))
            .where(spent.c.key == key)
            .group_by(spent.c.what)
            .order_by(spent.c.what)
        ),
        "uncontrolled": [
            {"at": row["at"], "rig": row["rig"], "why": row["why"], "seen": json.loads(row["seen"])}
            for row in ledger.rows(
                select(lost.c.at, lost.c.rig, lost.c.why, lost.c.seen)
                .where(lost.c.key == key)
                .order_by(lost.c.n)
            )
        ],
    }


def show_keys(rows: list[dict[str, Any]], out: TextIO) -> None:
    """Write the table of keys for a person."""
    if not rows:
        out.write("the ledger knows no key yet\n")
    for row in rows:
        retired = f" · retired: {row['retired_for']}" if row["retired"] else ""
        out.write(
            f"  {row['id']:<44} {row['kind']:<9} {row['runs']:>4} runs {row['cuts']:>9,} cuts{retired}\n"
        )


def show_history(table: dict[str, Any], out: TextIO) -> None:
    """Write the history of a key for a person."""
    key = table["key"]
    out.write(f"{key['id']} · {key['kind']} · {key['model']} · since {key['first_seen']}\n")
    if key["retired"]:
        out.write(f"  retired {key['retired']}: {key['retired_for']}\n")
    for run in table["runs"]:
        out.write(f"  run {run['id']}  seed {run['seed']}  {run['bench']}  {run['verdict']}\n")
    for row in table["trend"]:
        out.write(f"  firmware {row['firmware'] or 'not noted':<29} {_trend_words(row)}\n")
    for row in table["outcomes"]:
        out.write(f"  {row['operation']:<40} {row['outcome']:<12} {row['cuts']:>9,} cuts\n")
    for row in table["wear"][:5]:
        how = " (estimated)" if row["estimated"] else ""
        out.write(f"  {row['what']:<40} {row['used']:>9,} of {row['limit'] or '?'} erases{how}\n")
    for row in table["spent"]:
        out.write(f"  spent {row['what']:<34} {row['amount']:>9,}\n")
    for row in table["uncontrolled"]:
        out.write(f"  not controlled {row['at']}, rig {row['rig']}: {row['why']}\n")
        for name, value in row["seen"].items():
            out.write(f"    {name:<38} {value}\n")


def _trend_words(row: Mapping[str, Any]) -> str:
    """E.g. 3 runs, 1,240 cuts, 2 violations (0.16 %): fail 1, pass 2."""
    share = f" ({100 * row['violations'] / row['cuts']:.2g} %)" if row["violations"] else ""
    verdicts = ", ".join(f"{name} {count}" for name, count in sorted(row["verdicts"].items()))
    counts = [(row["runs"], "run"), (row["cuts"], "cut"), (row["violations"], "violation")]
    words = ", ".join(f"{number:,} {word}{'' if number == 1 else 's'}" for number, word in counts)
    return f"{words}{share}: {verdicts}"
