"""The samples of a qualification: what each real key has spent, and how long the spares last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

from harness.model.row import Row
from harness.qualify.cells import Cell
from harness.qualify.counted import Campaign
from harness.qualify.plan import Plan

if TYPE_CHECKING:
    from harness.evidence.ledger import Ledger


def samples_of(plan: Plan, ledger: Ledger, campaigns: Sequence[Campaign]) -> list[Row]:
    """Return {"key", "lot", "used", "limit", "retired", "cuts", "spare"} of each key that took part or was chosen.

    The used erases are those of its hottest part, as the ledger sums them over all runs.
    """
    from sqlalchemy import func, select

    wear, keys = ledger.tables.wear, ledger.tables.keys
    worn = ledger.rows(
        select(
            wear.c.key, wear.c.what, func.sum(wear.c.used).label("used"), func.max(wear.c.upto).label("upto")
        )
        .where(wear.c.kind != "twin")
        .group_by(wear.c.key, wear.c.what)
    )
    retired = {row["id"]: row["retired_for"] for row in ledger.rows(select(keys)) if row["retired"]}
    lots = {one.identity: one.lot for one in plan.product.sample}
    cuts: dict[str, int] = {}
    for one in campaigns:
        cuts[one.of.key] = cuts.get(one.of.key, 0) + one.cuts
    real = {one.of.key for one in campaigns if one.of.kind != "twin"}
    return [_sample(key, lots, worn, retired, cuts) for key in sorted(real | set(lots))]


def _sample(
    key: str,
    lots: Mapping[str, str | None],
    worn: Sequence[Row],
    retired: Mapping[str, str],
    cuts: Mapping[str, int],
) -> Row:
    parts = [row for row in worn if row["key"] == key]
    hottest = max(parts, key=lambda row: row["used"] / (row["upto"] or 1e9), default=None)
    return {
        "key": key,
        "lot": lots.get(key),
        "used": hottest["used"] if hottest else 0,
        "limit": hottest["upto"] if hottest else None,
        "retired": retired.get(key),
        "cuts": cuts.get(key, 0),
        "spare": not cuts.get(key) and key not in retired,
    }


def left_of(cells: Sequence[Cell], samples: Sequence[Row], campaigns: Sequence[Campaign]) -> Row:
    """Return what is left to do: {"operations", "cuts", "hours", "erases", "keys", "spares", "keys_run_out"}.

    Hours and erases are those of the cuts so far on each kind of evidence, carried forward; null where there are
    none. `keys_run_out` says after how many further cuts the last key of the samples has spent its erases.
    """
    open_cells = [cell for cell in cells if cell.missing()]
    cuts = {kind: sum(cell.left() for cell in open_cells if cell.kind == kind) for kind in _kinds(open_cells)}
    rates = {kind: _rates([one for one in campaigns if one.of.kind == kind]) for kind in cuts}
    known = [(count, rate) for kind, count in cuts.items() if count and (rate := rates[kind]) is not None]
    # What one kind of evidence costs says nothing of another one.
    are_known = bool(campaigns) and len(known) == sum(1 for count in cuts.values() if count)
    room = [row["limit"] - row["used"] for row in samples if row["limit"] and not row["retired"]]
    need = [max(0, cell.goal.min_keys - len(cell.keys)) for cell in open_cells if not cell.is_model]
    return {
        "operations": [
            {"name": cell.name, "kind": cell.kind, "missing": cell.missing()} for cell in open_cells
        ],
        "cuts": sum(cuts.values()),
        "hours": round(sum(count * rate[0] for count, rate in known) / 3600, 2) if are_known else None,
        "erases": sum(ceil(count * rate[1]) for count, rate in known) if are_known else None,
        "keys": max(need, default=0),
        "spares": sum(1 for row in samples if row["spare"]),
        "keys_run_out": _runs_out(room, rates.get("hardware"), cuts.get("hardware", 0)),
    }


def _kinds(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.kind for cell in cells))


def _rates(campaigns: Sequence[Campaign]) -> tuple[float, float] | None:
    """Seconds and erases of the hottest page, for each cut so far."""
    cuts = sum(one.cuts for one in campaigns)
    if not cuts:
        return None
    erases = sum(max((row.get("used") or 0 for row in one.wear), default=0) for one in campaigns)
    return sum(one.duration_s for one in campaigns) / cuts, erases / cuts


def _runs_out(room: Sequence[int], rate: tuple[float, float] | None, cuts: int) -> Row | None:
    if not room or rate is None or not rate[1]:
        return None
    lasts = int(sum(room) / rate[1])
    return {"after_cuts": lasts, "enough": lasts >= cuts}
