"""Read from the ledger what was done to keys: `keyharness history`."""

from __future__ import annotations

import json
from typing import Any, TextIO

from harness.base.errors import CallerError, one_of
from harness.evidence.ledger import Ledger


def keys_of(ledger: Ledger) -> list[dict[str, Any]]:
    """Return all keys with their numbers of runs and cuts, real ones first."""
    from sqlalchemy import case, func, select

    keys, outcomes = ledger.tables.keys, ledger.tables.outcomes
    cuts = select(func.coalesce(func.sum(outcomes.c.cuts), 0)).where(outcomes.c.key == keys.c.id)
    runs = select(func.count(func.distinct(outcomes.c.run))).where(outcomes.c.key == keys.c.id)
    real_first = case((keys.c.kind == "twin", 1), else_=0)
    return ledger.rows(
        select(keys, cuts.scalar_subquery().label("cuts"), runs.scalar_subquery().label("runs")).order_by(
            real_first, keys.c.first_seen, keys.c.id
        )
    )


def history_of(ledger: Ledger, key: str) -> dict[str, Any]:
    """Return the runs, outcomes, wear, spent budgets and uncontrolled power cycles of one key.

    :raises CallerError: the ledger does not know the key.
    """
    from sqlalchemy import func, select

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
    return {
        "key": known[key],
        "runs": ledger.rows(
            select(runs)
            .where(runs.c.id.in_(select(out.c.run).where(out.c.key == key)))
            .order_by(runs.c.started, runs.c.id)
        ),
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
