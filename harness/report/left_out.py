"""What a run asked of no key, in one sentence: features that no rig offers, versions that none starts from,
suites that the bench asks of no rig with that key.

A case that one rig does not offer and another one does is not left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from harness.report.text import Row
from harness.report.vocabulary import counted

NAMED_MAX = 3
"""Reasons that the sentence names; the page lists all of them, case by case."""


def left_out(
    cases: Iterable[Row],
    starts: Mapping[str, Sequence[str]],
    suites: Mapping[str, Sequence[str]] | None = None,
) -> str | None:
    """Return the sentence; None if nothing was left out.

    :param cases: rows of results.jsonl, the last one of each case.
    :param starts: name of a key -> versions from which its firmware is updated in a way of its own, and which no
        rig starts from.
    :param suites: name of a key -> suites that no rig with it was asked.
    """
    said = [part for part in (_not_offered(cases), _starts(starts), _suites(suites or {})) if part]
    return f"left out: {'; '.join(said)}" if said else None


def _not_offered(cases: Iterable[Row]) -> str:
    reasons: dict[tuple[str, str], str] = {}
    asked: set[tuple[str, str]] = set()
    for case in cases:
        name = _without_rig(case)
        if case["outcome"] == "not_offered":
            text = " ".join(str(case.get("reason") or "no reason given").split())
            reasons.setdefault(name, text.removeprefix("not offered: "))
        else:
            asked.add(name)
    counts = Counter(text for name, text in reasons.items() if name not in asked)
    if not counts:
        return ""
    first = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:NAMED_MAX]
    named = ", ".join(f"{text} ({count:,})" for text, count in first)
    more = f", and {counted(len(counts) - NAMED_MAX, 'more reason')}" if len(counts) > NAMED_MAX else ""
    return f"{counted(counts.total(), 'case')} that no rig offers: {named}{more}"


def _without_rig(case: Row) -> tuple[str, str]:
    """The function of a case, and its parameters less the rig's name."""
    function, _, parameters = str(case["nodeid"]).partition("[")
    rig = str(case.get("rig"))
    inside = parameters.removesuffix("]")
    # pytest puts parameters in the order of their fixtures, so the rig may stand anywhere.
    parts = f"-{inside}-".replace(f"-{rig}-", "-", 1)
    return function, parts.strip("-")


def _starts(starts: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(
        f"no {key} that starts from {' or '.join(f'v{version}' for version in versions)}"
        for key, versions in sorted(starts.items())
        if versions
    )


def _suites(suites: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(
        f"suite{'s' if len(names) > 1 else ''} {' and '.join(names)} of {key}"
        for key, names in sorted(suites.items())
        if names
    )
