"""Judge one cut, and write it down as a line of evidence.

The same for every rig: the images that a campaign on a twin computes, and the runs that are cut on an emulator or a
real key. `harness.model.judge` compares items with worlds; here the law that relates two operations is added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from harness.campaign.observe import Seen
from harness.model.instant import CutInstant
from harness.model.judge import ANSWERS, STUCK_ITEM, Breach, Judgement, judge, stuck
from harness.model.memory import Memory
from harness.model.operation import FRESH, Item, Operation, World
from harness.model.outcome import Law, Observation, Outcome, Severity
from harness.model.rig import Rig
from harness.model.row import Judged, Row, replay_id

PLAN_VERSION = 1
"""Part of a replay id's check. Raise it when the meaning of a cut's label changes."""

UNCUT = "uncut"
"""The cut in a replay id of what goes wrong without a cut."""


def fingerprint(rig: Rig, home: str = FRESH, action: str = "") -> str:
    """The check of a replay id.

    :param home: from which the operation starts. :param action: the owner's after the cut; "" is none.
    """
    more = "".join(
        f":{word}" for word in (home if home != FRESH else "", action and f"next {action}") if word
    )
    return sha256(f"{rig.fingerprint()}:{PLAN_VERSION}{more}".encode()).hexdigest()


def within(worlds: Sequence[World], items: Sequence[Item]) -> list[World]:
    """The worlds, reduced to the items that are observed."""
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
    :ivar divergence_us: how long after its request the operation begins to write what the reference operation does
        not write: by then it has compared the PIN. None if that is not known, as on rigs.
    :ivar least: item of room -> what must be free of each store.
    """

    operation: Operation
    items: tuple[Item, ...]
    before: Observation
    memory: Memory
    promise: Memory
    reference_us: int | None = None
    divergence_us: int | None = None
    least: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def worlds(self) -> list[World]:
        return within(self.operation.worlds(self.memory, self.promise), self.items)

    def _floors(self, known: Memory) -> dict[str, int]:
        return {item.name: item.floor(known) for item in self.items if item.floor and item.law is Law.RISING}

    def verdict(
        self, seen: Seen, completed: Seen | None, *, acknowledged: bool, since_request_us: int | None
    ) -> Judgement:
        """Judge what was observed after one cut.

        :param completed: observed after the world's completing act, where the world has one.
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
            least=self.least,
        )
        if (breach := self._not_lowered(since_request_us, seen.values)) is not None:
            return replace(verdict, outcome=breach.outcome, breaches=(breach, *verdict.breaches))
        if completed is None or verdict.breaches:
            return verdict
        return self._completed(completed, verdict)

    def _not_lowered(self, since_us: int | None, seen: Mapping[str, Any]) -> Breach | None:
        """The law that relates two operations: a wrong guess lowers the counter before a right one is acknowledged."""
        lowered = self.operation.must_be_lowered
        if lowered is None or since_us is None or seen.get(lowered) != self.before.get(lowered):
            return None
        item = next((item for item in self.items if item.name == lowered), None)
        why = self._why_lowered(since_us)
        if item is None or why is None:
            return None
        text = (
            f"{since_us / 1000:.1f} ms after the request {item.title or lowered} is still {seen.get(lowered)}, "
            f"although {why}: a cut in between makes a guess free"
        )
        return Breach(lowered, item.law.value, Outcome.LOOSENED, item.severity, text)

    def _why_lowered(self, since_us: int) -> str | None:
        """Why a wrong guess must have lowered the counter by then, in words; None if it need not."""
        reference = self.operation.reference_operation
        if self.reference_us is not None and since_us >= self.reference_us:
            return f"{reference} is acknowledged after {self.reference_us / 1000:.1f} ms"
        if self.divergence_us is not None and since_us >= self.divergence_us:
            return (
                f"after {self.divergence_us / 1000:.1f} ms the key writes other data than {reference} does, so that "
                "the PIN has been compared"
            )
        return None

    def _completed(self, seen: Seen, verdict: Judgement) -> Judgement:
        """Judge a completed intermediate world: it must have become the new one, with nothing lost."""
        if seen.stuck:
            return stuck(f"completing the {verdict.world} world: {seen.stuck}")
        after = judge(
            items=self.items,
            worlds=[world for world in self.worlds if world.outcome is Outcome.NEW],
            before=self.before,
            seen=seen.values,
            acknowledged=True,
            floors=self._floors(self.promise),
            least=self.least,
        )
        if not after.breaches:
            return verdict
        breaches = tuple(
            replace(breach, text=f"{breach.text}, after the {verdict.world} world was completed")
            for breach in after.breaches
        )
        return replace(verdict, outcome=after.outcome, breaches=breaches, changed=after.changed)


def evidence(
    rig: Rig,
    operation: Operation,
    label: str,
    check: str,
    verdict: Judgement,
    *,
    stream: str,
    planned: Row,
    instant: CutInstant | None,
    acknowledged: bool,
    landed: bool | None,
    boots: int,
    home: str = FRESH,
    action: str = "",
) -> Row:
    """A row of evidence.jsonl.

    :param label: names the cut in a replay id. :param check: see `fingerprint`.
    :param instant: of the cut, counted from the start of the operation; None if no cut was armed.
    :param landed: whether the power went within the operation's declared interval; None if that is not known.
    :param boots: how often the key was powered to observe it.
    :param home: from which the operation starts. :param action: the owner's after the cut; "" is none.
    """
    return {
        "id": replay_id(rig.name, operation.name, rig.seed, label, check, home),
        "rig": rig.name,
        "operation": operation.name,
        "firmware": rig.info().firmware,
        "outcome": verdict.outcome.value,
        "world": verdict.world,
        "changed": {name: list(pair) for name, pair in verdict.changed.items()},
        "death": None,
        "blame": "key" if verdict.breaches else None,
        "seed": rig.seed,
        "stream": stream,
        "planned": planned,
        "fired_us": instant.fired_us if instant else None,
        "lost_us": instant.lost_us if instant else None,
        "acknowledged": acknowledged,
        "landed": landed,
        "boots": boots,
        "home": home,
        "next": action or None,
    }


def noted(breaches: Sequence[Breach]) -> Row:
    """Breaches as a journal's note keeps them; an empty note if there are none."""
    if not breaches:
        return {}
    return {"breaches": [[b.item, b.law, b.outcome, b.severity, b.text] for b in breaches]}


def breaches_of(judged: Judged) -> list[Breach]:
    """The breaches that a journal's note keeps."""
    return [
        Breach(item, law, Outcome(outcome), Severity(severity), text)
        for item, law, outcome, severity, text in judged.note.get("breaches", ())
    ]


def with_deaths(verdict: Judgement, deaths: Sequence[str], unanswered: Sequence[str]) -> Judgement:
    """Add to a judgement that the key crashed, hung or gave no answer without a cut.

    :param deaths: how the key ended by itself, in words.
    :param unanswered: the items that got no answer; the judgement leaves them out.
    """
    how = "; ".join(deaths) or "fell silent"
    if unanswered:
        how += f" when it was asked for {', '.join(unanswered)}"
    if unanswered and (not deaths or any(death.startswith("hung") for death in deaths)):
        # An item without an answer is neither lost nor kept: the key hangs.
        breach = Breach(STUCK_ITEM, ANSWERS, Outcome.STUCK, Severity.S1, f"the key {how}")
        return Judgement(Outcome.STUCK, verdict.world, (breach,), verdict.changed)
    if deaths and not verdict.breaches:
        # Nothing is lost, but a key must not crash.
        breach = Breach(
            STUCK_ITEM, ANSWERS, Outcome.STUCK, Severity.S2, f"the key {how}, and no power was cut"
        )
        return Judgement(verdict.outcome, verdict.world, (breach,), verdict.changed)
    return verdict
