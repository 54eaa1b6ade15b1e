"""Which operations a log has to name at its end, where a run has many; index.html shows them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.report.proof import BOUNDED, EXHAUSTIVE, SAMPLE, proof_of
from harness.report.text import Row
from harness.report.vocabulary import counted

FEW = 40
"""Operations that are all named."""
UNBOUND = 20
"""Operations without a bound and without a violation that are named of more than FEW."""
_WORDS = {
    EXHAUSTIVE: "cut at every modelled flash operation",
    BOUNDED: "with a bound",
    SAMPLE: "without a bound",
}


def notable(operations: Sequence[Row]) -> tuple[list[Row], str]:
    """Return the operations to name, in their order, and a sentence about the others; empty if there are none.

    Named are all that have a violation, and the first ones without a bound.
    """
    if len(operations) <= FEW:
        return list(operations), ""
    unbound = [op for op in operations if not op.get("violations") and proof_of(op) == SAMPLE][:UNBOUND]
    named = [op for op in operations if op.get("violations") or any(op is one for one in unbound)]
    others = Counter(proof_of(op) for op in operations if not any(op is one for one in named))
    said = ", ".join(f"{count} {_WORDS[proof]}" for proof, count in sorted(others.items()))
    what = "more operation" if named else "operation"
    return named, f"{counted(others.total(), what)} without a violation: {said}" if others else ""
