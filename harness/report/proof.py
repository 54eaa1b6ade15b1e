"""What the cuts of a run prove: everything, a bound, or nothing but what they saw.

    exhaustive   every modelled flash operation was cut in every modelled phase
    bounded      evenly spread cuts bound the share of instants at which a cut violates
    sample       some cuts were made, or none; they bound nothing

A run proves what the least proved of its operations does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.report.vocabulary import at_most, counted, fraction, number, weakest

Row = Mapping[str, Any]

EXHAUSTIVE, BOUNDED, SAMPLE = "exhaustive", "bounded", "sample"
PROOFS = (SAMPLE, BOUNDED, EXHAUSTIVE)
"""The weakest first."""
REQUIRABLE = (BOUNDED, EXHAUSTIVE)
"""What --require can ask for; a sample is what every run has."""
NAMED_MAX = 5
"""Number of operations that are named; the others are counted."""


def proof_of(operation: Row) -> str:
    """Return what an operation's cuts prove: one of PROOFS.

    :param operation: its line in operations.jsonl, or its row in summary.json.
    """
    if operation.get("exhaustive"):
        return EXHAUSTIVE
    # "Below 100 % of instants" says nothing.
    return BOUNDED if (operation.get("bound") or {}).get("below", 1.0) < 1 else SAMPLE


def proof_of_run(operations: Sequence[Row]) -> str | None:
    """Return the weakest proof of all operations; None if no operation was to be cut."""
    return min((proof_of(op) for op in operations), key=PROOFS.index, default=None)


def proof_words(operations: Sequence[Row]) -> str:
    """Say a run's proof in a few words, for the headline; empty if no operation was to be cut.

    "exhaustive"; "bounded: below 1 % of instants, 99 %"; "sample: 22 of 27 operations have no bound".
    """
    proved = proof_of_run(operations)
    if proved == SAMPLE:
        without = sum(1 for op in operations if proof_of(op) == SAMPLE)
        verb = "has" if len(operations) == 1 else "have"
        return f"sample: {number(without)} of {counted(len(operations), 'operation')} {verb} no bound"
    if proved == BOUNDED and (least := weakest(operations)) is not None:
        bound = least["bound"]
        return f"bounded: below {at_most(bound['below'])} of instants, {fraction(bound['confidence'])}"
    return proved or ""


def unmet(operations: Sequence[Row], required: str | None) -> list[str]:
    """Say which operations prove less than --require asks for: a list of at most one sentence.

    An operation with a violation needs no proof: it is one.

    :param required: one of REQUIRABLE; None asks for nothing.
    """
    if required is None:
        return []
    if required not in REQUIRABLE:
        # A damaged run.json must not ask for less.
        return [f"the proof that the run was asked for is none: {required!r}"]
    if not operations:
        return [f"--require {required}: no power was cut, so nothing is proved"]
    less = [
        f"{op['operation']} on {op['rig']}"
        for op in operations
        if PROOFS.index(proof_of(op)) < PROOFS.index(required) and not op.get("violations")
    ]
    if not less:
        return []
    named = ", ".join(less[:NAMED_MAX])
    more = f" and {len(less) - NAMED_MAX} more" if len(less) > NAMED_MAX else ""
    lacks = "is not bounded" if required == BOUNDED else "was not cut exhaustively"
    plural = "are not bounded" if required == BOUNDED else "were not cut exhaustively"
    return [
        f"--require {required}: {number(len(less))} of {counted(len(operations), 'operation')} "
        f"{lacks if len(less) == 1 else plural}: {named}{more}"
    ]
