"""What a campaign found, counted, and what its covering cuts prove."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import hypot, sqrt
from typing import Any

from harness.model.judge import Breach
from harness.model.operation import Operation
from harness.model.outcome import Outcome, Severity
from harness.model.rig import Rig
from harness.model.row import Row, is_covering
from harness.search.bounds import CONFIDENCE, upper_bound
from harness.search.localization import Hit
from harness.search.stopping import Goal
from harness.search.window import narrowest_window
from harness.twin.trace import Recording, State


@dataclass
class Finding:
    """Equal violations of one campaign, counted.

    :ivar again: whether it is reproduced (`harness.campaign.recheck.recheck_row`); None if that was not tried.
    :ivar narrowest: between which instants it lies (`harness.search.localization`); None where instants are not chosen.
    """

    severity: Severity
    item: str
    law: str
    outcome: Outcome
    text: str
    first: str
    where: str
    count: int = 0
    covering: int = 0
    again: dict[str, Any] | None = None
    narrowest: dict[str, Any] | None = None


@dataclass
class Result:
    """What a campaign found; `rows` are its evidence, in plan order.

    :ivar instants: number of cuts in the walk of every write in every phase; None where there is no walk.
    :ivar missed: section of the operation -> [cuts that missed it, cuts planned in it]; empty on twins.
    :ivar bound: {"confidence", "below"}: with that confidence P(violation) < below; None if that
        cannot be said.
    :ivar window_ms: the narrowest window that would have been hit with 95 %, wherever it lay.
    :ivar timing: how long things took, by name, as {"p50", ...}; empty on twins.
    :ivar goal: what was to be proved; None if nothing particular.
    :ivar marks: (name, when) of what is seen on the transport, where there is no trace.
    """

    operation: Operation
    rig: Rig
    rows: list[Row] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    planned: int = 0
    instants: int | None = None
    distinct_states: int = 0
    exhaustive: bool = False
    live_checked: int = 0
    duration_s: float = 0.0
    observe_s: float = 0.0
    complete: bool = False
    wear: list[dict[str, Any]] = field(default_factory=list)
    trace: Recording[State] | None = None
    missed: dict[str, list[int]] = field(default_factory=dict)
    bound: dict[str, float] | None = None
    window_ms: float | None = None
    timing: dict[str, Any] = field(default_factory=dict)
    plugs: dict[str, Any] | None = None
    """How often the key was enumerated meanwhile and the errors among these, see `harness.evidence.port_log`."""
    goal: Goal | None = None
    switch: Row | None = None
    """What the rig's switch did (`harness.campaign.switch_watch`); None where cuts need no switch."""
    marks: list[tuple[str, int]] = field(default_factory=list)

    @property
    def outcomes(self) -> dict[str, int]:
        return dict(sorted(Counter(row["outcome"] for row in self.rows).items()))

    @property
    def violations(self) -> int:
        return sum(1 for row in self.rows if Outcome(row["outcome"]).is_violation)

    def count(self, breaches: Sequence[Breach], row: Row, where: str, *, covering: bool) -> None:
        """Count what a row violated; `where` is its place in words."""
        for breach in breaches:
            finding = self.finding(breach)
            if finding is None:
                finding = Finding(
                    breach.severity, breach.item, breach.law, breach.outcome, breach.text, row["id"], where
                )
                self.findings.append(finding)
            finding.count += 1
            finding.covering += covering

    def finding(self, breach: Breach) -> Finding | None:
        """The finding that a breach was counted in; None if there is none."""
        for finding in self.findings:
            if (finding.item, finding.outcome) == (breach.item, breach.outcome):
                return finding
        return None


def bound(rows: Iterable[Row], confidence: float = CONFIDENCE) -> dict[str, float] | None:
    """Clopper and Pearson: with that confidence, fewer than `below` of all instants violate.

    None without a covering cut that took effect.
    """
    covering = [row["blame"] == "key" for row in rows if is_covering(row)]
    if not covering:
        return None
    below = upper_bound(sum(covering), len(covering), confidence)
    return {"confidence": confidence, "below": round(below, 9)}


def window_ms(hits: Sequence[Hit], whole_us: float, sigma_at: Callable[[float], float]) -> float | None:
    """w95 in ms: a window that fails every hit and is wider than this would have been found (95 %).

    :param hits: where the covering cuts went, in the operation's own time.
    :param sigma_at: how far a cut strays, as a function of where it went.
    """
    spreads: dict[float, float] = {}
    for earliest, latest in hits:
        middle = (earliest + latest) / 2
        spreads[middle] = max(spreads.get(middle, 0.0), (latest - earliest) / sqrt(12))

    def spread_at(at_us: float) -> float:
        return hypot(sigma_at(at_us), spreads[at_us]) if spreads[at_us] else sigma_at(at_us)

    window = narrowest_window([(earliest + latest) / 2 for earliest, latest in hits], whole_us, spread_at)
    return round(window / 1000, 3) if window is not None else None
