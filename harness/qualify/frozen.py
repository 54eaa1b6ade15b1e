"""Freeze a plan: from its first use on it stays as it is, unless an amendment says who changed it, when and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.errors import CallerError
from harness.evidence.ledger import now
from harness.evidence.ledger_runs import freeze, frozen_as
from harness.qualify.plan import Plan

if TYPE_CHECKING:
    from harness.evidence.ledger import Ledger


def freeze_plan(plan: Plan, path: Path, ledger: Ledger) -> bool:
    """Enter a plan into the ledger; return whether it is new there, or amended.

    :raises CallerError: another plan of this id is frozen, and no amendment replaces it.
    """
    states = frozen_as(ledger, plan.id)
    digest = plan.digest
    if not states:
        freeze(ledger, plan.id, digest, None, plan.frozen(), now())
        return True
    last = states[-1]["digest"]
    if last == digest:
        return False
    if not any(one.replaces == last for one in plan.amendment):
        raise CallerError(
            f"plan {path} · {plan.id}",
            found=f"a plan of digest {digest[:12]}...; it was frozen as {last[:12]}... on {states[-1]['at'][:10]}",
            expected="the plan as it was frozen, or an [[amendment]] that says who changed it, when and why",
            mend=f'put it back, or add [[amendment]] with replaces = "{last}"; a new id begins anew',
        )
    freeze(ledger, plan.id, digest, last, plan.frozen(), now())
    return True
