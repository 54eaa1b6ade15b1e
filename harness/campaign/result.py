"""Verdicts: one cut judged, written down as a row of evidence, and counted with its equals.

The same for every rig: what a campaign on a twin computes and what one on an emulator or on hardware lives
through is judged here, by `harness.model.judge` and by the laws that relate two operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.campaign.observe import Seen
from harness.model.judge import STUCK_ITEM, Breach, Judgement, judge, stuck
from harness.model.key import Item, Law, Memory, Observation, Operation, Outcome, Severity, World
from harness.model.rig import Rig
from harness.model.row import Judged, Row, replay_id

if TYPE_CHECKING:
    from harness.search.stopping import Goal
    from harness.twin.trace import Trace

PLAN_VERSION = 1
"""Part of a replay id's check: raise it when the meaning of a cut's label changes."""


def fingerprint(rig: Rig) -> str:
    """The check of a replay id."""
    from hashlib import sha256

    return sha256(f"{rig.fingerprint()}:{PLAN_VERSION}".encode()).hexdigest()


@dataclass
class Finding:
    """Equal violations of one campaign, counted.

    :ivar again: whether it comes back (`harness.campaign.recheck.recheck_row`); None if that was not tried.
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

    :ivar missed: section of the operation -> [cuts that missed it, cuts planned in it]; empty on twins.
    :ivar bound: {"confidence", "below"}: with it, fewer than so many of all instants violate; None if that
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
    distinct_states: int = 0
    exhaustive: bool = False
    live_checked: int = 0
    duration_s: float = 0.0
    observe_s: float = 0.0
    complete: bool = False
    wear: list[dict[str, Any]] = field(default_factory=list)
    trace: Trace | None = None
    missed: dict[str, list[int]] = field(default_factory=dict)
    bound: dict[str, float] | None = None
    window_ms: float | None = None
    timing: dict[str, Any] = field(default_factory=dict)
    plugs: dict[str, Any] | None = None
    """How often the key was enumerated meanwhile and the errors among these, see `harness.evidence.port_log`."""
    goal: Goal | None = None
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
        """What a breach was counted as."""
        for finding in self.findings:
            if (finding.item, finding.outcome) == (breach.item, breach.outcome):
                return finding
        return None


def within(worlds: Sequence[World], items: Sequence[Item]) -> list[World]:
    """The worlds as far as they are of items that are watched."""
    names = {item.name for item in items}
    return [
        replace(world, values={name: value for name, value in world.values.items() if name in names})
        for world in worlds
    ]


@dataclass(frozen=True)
class CutJudge:
    """What a cut is judged by: the operation, what was seen before it, and what the host knew.

    :ivar memory: what the host knew before the operation.
    :ivar promise: what it knows of it after an acknowledgement.
    :ivar reference_us: how long after its request the reference operation is acknowledged (invariant P1).
    """

    operation: Operation
    items: tuple[Item, ...]
    before: Observation
    memory: Memory
    promise: Memory
    reference_us: int | None = None

    @property
    def worlds(self) -> list[World]:
        return within(self.operation.worlds(self.memory, self.promise), self.items)

    def _floors(self, known: Memory) -> dict[str, int]:
        return {item.name: item.floor(known) for item in self.items if item.floor and item.law is Law.RISING}

    def verdict(
        self, seen: Seen, completed: Seen | None, *, acknowledged: bool, since_request_us: int | None
    ) -> Judgement:
        """Judge one look.

        :param completed: the look after the world's completing act, where it has one.
        :param since_request_us: how long after the last request the power went; None if it was not sent.
        """
        if seen.stuck:
            return stuck(seen.stuck)
        verdict = judge(
            items=self.items,
            worlds=self.worlds,
            before=self.before,
            seen=seen.values,
            acknowledged=acknowledged,
            acknowledged_old=self.operation.acknowledged_old,
            floors=self._floors(self.promise if acknowledged else self.memory),
        )
        if (breach := self._unpaid(since_request_us, seen.values)) is not None:
            return replace(verdict, outcome=breach.outcome, breaches=(breach, *verdict.breaches))
        if completed is None or verdict.breaches:
            return verdict
        return self._completed(completed, verdict)

    def _unpaid(self, since_us: int | None, seen: Mapping[str, Any]) -> Breach | None:
        """The relational law: when the right guess would have been told the wrong one must have been paid."""
        lowered = self.operation.must_be_lowered
        if self.reference_us is None or lowered is None or since_us is None or since_us < self.reference_us:
            return None
        if seen.get(lowered) != self.before.get(lowered):
            return None
        item = next((item for item in self.items if item.name == lowered), None)
        if item is None:
            return None
        text = (
            f"{since_us / 1000:.1f} ms after the request {item.title or lowered} is still {seen.get(lowered)}, "
            f"although {self.operation.reference_operation} is acknowledged after "
            f"{self.reference_us / 1000:.1f} ms: a cut in between makes a guess free"
        )
        return Breach(lowered, item.law.value, Outcome.LOOSENED, item.severity, text)

    def _completed(self, seen: Seen, verdict: Judgement) -> Judgement:
        """A named intermediate world whose completing act must have led to the new one, with nothing lost."""
        if seen.stuck:
            return stuck(f"completing the {verdict.world} world: {seen.stuck}")
        after = judge(
            items=self.items,
            worlds=[world for world in self.worlds if world.outcome is Outcome.NEW],
            before=self.before,
            seen=seen.values,
            acknowledged=True,
            floors=self._floors(self.promise),
        )
        if not after.breaches:
            return verdict
        breaches = tuple(
            replace(breach, text=f"{breach.text}, after the {verdict.world} world was completed")
            for breach in after.breaches
        )
        return replace(verdict, outcome=after.outcome, breaches=breaches, changed=after.changed)


def evidence(rig: Rig, operation: Operation, label: str, check: str, verdict: Judgement, **more: Any) -> Row:
    """A row of evidence.jsonl; `more` are the fields that only the campaign knows."""
    return {
        "id": replay_id(rig.name, operation.name, rig.seed, label, check),
        "rig": rig.name,
        "operation": operation.name,
        "firmware": rig.info().firmware,
        "outcome": verdict.outcome.value,
        "world": verdict.world,
        "changed": {name: list(pair) for name, pair in verdict.changed.items()},
        "death": None,
        "blame": "key" if verdict.breaches else None,
        "seed": rig.seed,
        **more,
    }


def noted(breaches: Sequence[Breach]) -> Row:
    """Breaches as a journal's note keeps them; empty if there are none."""
    if not breaches:
        return {}
    return {"breaches": [[b.item, b.law, b.outcome, b.severity, b.text] for b in breaches]}


def breaches_of(judged: Judged) -> list[Breach]:
    """The breaches in a note."""
    return [
        Breach(item, law, Outcome(outcome), Severity(severity), text)
        for item, law, outcome, severity, text in judged.note.get("breaches", ())
    ]


def with_deaths(verdict: Judgement, deaths: Sequence[str], unanswered: Sequence[str]) -> Judgement:
    """A judgement of a key that also ended by itself, which no key may.

    :param unanswered: the items that got no answer, by which it was not judged.
    """
    how = "; ".join(deaths) or "fell silent"
    if unanswered:
        how += f" when it was asked for {', '.join(unanswered)}"
    if unanswered and (not deaths or any(death.startswith("hung") for death in deaths)):
        # What it did not answer is neither lost nor kept: it hangs.
        breach = Breach(STUCK_ITEM, "answers", Outcome.STUCK, Severity.S1, f"the key {how}")
        return Judgement(Outcome.STUCK, verdict.world, (breach,), verdict.changed)
    if deaths and not verdict.breaches:
        # Nothing is lost, and yet a key must not fall over.
        breach = Breach(
            STUCK_ITEM, "answers", Outcome.STUCK, Severity.S2, f"the key {how}, and nobody had cut"
        )
        return Judgement(verdict.outcome, verdict.world, (breach,), verdict.changed)
    return verdict
