"""A campaign: many cuts into one operation, each judged.

On a twin the operation runs once, uncut, while every flash operation is recorded. The image of each cut is
computed from that, equal images are observed once, through the real client, in a pool of processes; each cut
is then judged by itself, because whether the operation had been acknowledged differs between equal images. A
sample is cut live and must leave the computed image, byte for byte.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from harness.base.errors import CallerError, HarnessFault
from harness.campaign.common import CampaignBase
from harness.campaign.cut_images import CutImage, Inspection, Resumed, evenly_ordered, spread, where
from harness.campaign.home import Home, seeded
from harness.campaign.observe import observe
from harness.campaign.recording import UNCUT as UNCUT
from harness.campaign.recording import RecordedOperation
from harness.campaign.recording import UncutFault as UncutFault
from harness.campaign.result import Result, breaches_of, evidence, noted
from harness.campaign.second_look import TwinRecheck
from harness.campaign.worker_pool import Died, WorkerPool
from harness.model.judge import Breach, Judgement, find_world, stuck
from harness.model.key import Operation
from harness.model.rig import Rig
from harness.model.row import Judged, Row, is_covering, replay_id
from harness.search.stopping import Allowance
from harness.twin.trace import Cut, Trace, all_cuts, cut_at, images

LIVE_CHECKS = 3
NESTED_STATES = 3
BATCH = 64
"""So many rows are written at once; and under a budget in time, so many cuts are begun at once."""

Inspections = dict[bytes, Inspection | Died | Resumed]
"""What was seen of an image, by its digest."""


class Campaign(RecordedOperation, CampaignBase):
    """Cut one operation of the key on one rig.

    :param home: the state to start from (see `go_home`).
    :param terms: see `harness.campaign.common`; a number of cuts is evenly spread over all modelled ones.
    """

    def __init__(self, rig: Rig, operation: Operation, home: Home, **terms: Any):
        RecordedOperation.__init__(self, rig, operation, home)
        CampaignBase.__init__(self, rig, operation, **terms)
        self._numbered = 0
        self._walked: set[str] = set()
        self._looks: dict[bytes, Inspection | Died] = {}
        self._seen: set[bytes] = set()
        self._second_looks = TwinRecheck()

    def plan(self) -> tuple[list[Cut], bool]:
        """The cuts that are made first, in plan order, and whether they are all there are."""
        cuts, most = self._all, self.allowance.cuts
        if self.allowance.until_us is not None:
            return self._left()[:BATCH], False
        if most is None or most >= len(cuts):
            return cuts, True
        if most < 2:
            return spread(cuts, most, self.trace.tear_seed), False
        *within, end = cuts
        return [*spread(within, most - 1, self.trace.tear_seed), end], False

    @cached_property
    def _all(self) -> list[Cut]:
        return all_cuts(self.trace, self.glass.torn_phases)

    @cached_property
    def _order(self) -> list[Cut]:
        # What was acknowledged is there to stay or it is not: a beginning without that instant proves little.
        *within, end = self._all
        return [end, *evenly_ordered(within, self.trace.tear_seed)]

    def _left(self) -> list[Cut]:
        """The cuts that have not been made, in an order of which every beginning is evenly spread."""
        return [cut for cut in self._order if cut.label not in self._walked]

    def run(self) -> Result:
        """Cut, observe and judge everything that was planned.

        On KeyboardInterrupt the evidence of what was done has been handed on and `self.result` holds it.
        """
        with self._working():
            self.result.trace = self.prepare()
            cuts, self.result.exhaustive = self.plan()
            looked = self._walk(cuts, "exhaustive" if self.result.exhaustive else "cover")
            self._check_live(cuts)
            if self.allowance.until_us is not None:
                self._in_parts(self.allowance)
            elif self.allowance.cuts is None:
                self._nest(*looked)
            self._look_again()
        return self.result

    @property
    def planned(self) -> int:
        """So many cuts were planned so far."""
        return self._numbered

    def more(self, allowance: Allowance) -> Result:
        """Go on after `run`, until so much is spent all in all; sooner if there is no more to be cut."""
        with self._working():
            if allowance.cuts is None:
                self._in_parts(allowance)
            else:
                self._walk(self._left()[: max(0, allowance.cuts - self.planned)], "cover")
            self.result.exhaustive = not self._left()
            self._look_again()
        return self.result

    def _conclude(self) -> None:
        self.result.goal = self.allowance.goal
        self.result.wear = self.estimated_wear(len(self.result.rows))

    def _in_parts(self, allowance: Allowance) -> None:
        """Walk as far as the time goes: each part is evenly spread over the operation."""
        while left := self._left():
            if self.planned >= len(self._earlier) and not allowance.goes_on(self.planned, 0):
                return
            self._walk(left[:BATCH], "cover")
        self.result.exhaustive = True

    def _walk(self, cuts: Sequence[Cut], stream: str) -> tuple[list[CutImage], Inspections]:
        """Make cuts, in the order of the operation."""
        ordered = sorted(cuts, key=lambda cut: (cut.flash_op, cut.phi))
        self._walked |= {cut.label for cut in ordered}
        targets = [
            CutImage(cut, state, cut.label, number=self._numbered + n)
            for n, (cut, state) in enumerate(images(self.trace, ordered))
        ]
        self._numbered += len(targets)
        self.result.planned = self._numbered
        return targets, self._look_at(targets, stream)

    def _nest(self, targets: list[CutImage], looks: Inspections) -> None:
        nested = self._nested_targets(targets, looks)
        self.result.planned += len(nested)
        self._look_at(nested, "nested")

    def _look_at(self, targets: list[CutImage], stream: str) -> Inspections:
        """Observe each distinct image once, and judge every cut as soon as its turn in the plan has come."""
        digests = [target.state.digest() for target in targets]
        looks = self._take_up(targets, digests)
        judged = len(self._earlier_of(targets))
        known = {} if stream == "nested" else self._looks
        seen: set[bytes] = set() if stream == "nested" else self._seen
        arrivals = {digest: known[digest] for digest in digests[judged:] if digest in known}
        first_with = {
            digests[i]: i for i in reversed(range(judged, len(targets))) if digests[i] not in arrivals
        }
        order = sorted(first_with.values())
        self.result.distinct_states += len(looks.keys() - first_with.keys() - seen)
        offset = self.result.distinct_states
        total = offset + len(first_with.keys() - seen)
        seen |= looks.keys() - first_with.keys()
        self._on_progress(offset, total)

        def settle(final: bool = False) -> None:
            nonlocal judged
            ready = judged
            while ready < len(targets) and digests[ready] in arrivals:
                ready += 1
            if ready - judged >= BATCH or final:
                done = [self._judged(targets[i], arrivals[digests[i]], stream) for i in range(judged, ready)]
                judged = ready
                self.result.rows += [one.row for one in done]
                self._hand_on(done)

        def arrived(index: int, look: Inspection | Died) -> None:
            digest = digests[order[index]]
            arrivals[digest] = look
            self.result.distinct_states += digest not in seen
            seen.add(digest)
            self._on_progress(self.result.distinct_states, total)
            settle()

        began = time.monotonic()
        try:
            WorkerPool(lambda index: self._look(targets[order[index]]), self._processes).run(
                len(order), arrived
            )
        finally:
            self.result.observe_s += time.monotonic() - began
            settle(final=True)
        if stream != "nested":
            self._looks |= arrivals
        return {**looks, **arrivals}

    def _earlier_of(self, targets: list[CutImage]) -> Sequence[Judged]:
        start = targets[0].number if targets else 0
        return self._earlier[start : start + len(targets)]

    def _take_up(self, targets: list[CutImage], digests: list[bytes]) -> Inspections:
        """Count what was judged before as it was counted then.

        :raises CallerError: it is not the beginning of this plan.
        """
        looks: Inspections = {}
        for target, digest, one in zip(targets, digests, self._earlier_of(targets)):
            wanted = replay_id(self.rig.name, self.operation.name, self.rig.seed, target.label, self._check)
            if one.row["id"] != wanted:
                raise CallerError(
                    f"the journal of {self.operation.name} on {self.rig.name}",
                    found=one.row["id"],
                    expected=wanted,
                    mend="take a run up again with the bench, the plugins and the version it was begun with",
                )
            self.result.rows.append(one.row)
            self._count(target, one.row, breaches_of(one))
            looks[digest] = Resumed(one.note.get("writes", False))
        return looks

    def _count(self, target: CutImage, row: Row, breaches: Sequence[Breach]) -> None:
        self.result.count(breaches, row, self._place(target), covering=is_covering(row))
        if self.glass.is_metastable:
            self._second_looks.note(target, row["outcome"], breaches)

    def _look_again(self) -> None:
        """Does what was abnormal stay, and come back? Asked where a state need not read the same twice."""
        due = self._second_looks.looks()
        found: dict[int, str] = {}

        def arrived(index: int, look: Inspection | Died) -> None:
            found[index] = str(self._verdict(due[index][0], look).outcome)

        WorkerPool(lambda index: self._look(*due[index]), self._processes).run(len(due), arrived)
        for breaches, again in self._second_looks.told(found.__getitem__):
            for breach in breaches:
                if (finding := self.result.finding(breach)) is not None and finding.again is None:
                    finding.again = again

    def _look(self, target: CutImage, cycles: int = 0) -> Inspection:
        """Boot one image and observe it, after so many power cycles; runs in a worker."""
        rig, glass = self.rig, self.glass
        glass.restore(target.state)
        for _ in range(cycles):
            rig.power.on()
            rig.power.off()
        boot = glass.record(rig.power.on)
        with seeded(rig, "look", target.state.digest().hex()):
            seen = observe(rig, self.items, self.memory, self.promise)
            seen.boots += 1
            completed = None
            world = None if seen.stuck else find_world(self.worlds, seen.values, False)
            if world is not None and world.complete is not None:
                rig.power.cycle()
                memory = self.memory.copy()
                world.complete(rig, memory)
                rig.power.off()
                completed = observe(rig, self.items, self.memory, memory)
        return Inspection(seen, completed, len(boot.ops))

    def _nested_targets(self, targets: list[CutImage], looks: Inspections) -> list[CutImage]:
        """Cuts into the boot that follows a cut, for a few of the states whose boot writes."""
        writing: dict[bytes, CutImage] = {}
        for target in targets:
            digest = target.state.digest()
            look = looks[digest]
            if not isinstance(look, Died) and look.writes:
                writing.setdefault(digest, target)
        chosen = list(writing.values())
        chosen = spread(chosen, NESTED_STATES, self.trace.tear_seed)
        traces: dict[int, Trace | Died] = {}

        def boot(index: int) -> Trace:
            self.glass.restore(chosen[index].state)
            return self.glass.record(self.rig.power.on)

        WorkerPool(boot, self._processes).run(len(chosen), lambda index, trace: traces.update({index: trace}))
        nested: list[CutImage] = []
        for index, outer in enumerate(chosen):
            trace = traces[index]
            if isinstance(trace, Trace):
                for cut, state in images(trace, all_cuts(trace, self.glass.torn_phases)):
                    label = f"{outer.label}+boot1.{cut.label}"
                    nested.append(CutImage(outer.cut, state, label, cut, len(targets) + len(nested)))
        return nested

    def _check_live(self, cuts: Sequence[Cut]) -> None:
        """Cut a few live: the power must really fail there, and leave the image that was computed."""
        ordered = sorted(cuts, key=lambda cut: (cut.flash_op, cut.phi))
        real = [cut for cut in ordered if cut.phase != "end"]
        chosen = spread(real, LIVE_CHECKS, self.trace.tear_seed)
        wanted = {cut: state.digest() for cut, state in images(self.trace, chosen)}

        def live(index: int) -> tuple[bool, bytes]:
            cut = chosen[index]
            self.glass.restore(self.start)
            if self.operation.powered:
                self.rig.power.on()
            memory = self.memory.copy()
            fired = self.glass.cut_live(lambda: self.operation.act(self.rig, memory), cut.flash_op, cut.phi)
            return fired, self.glass.snapshot().digest()

        def compare(index: int, got: tuple[bool, bytes] | Died) -> None:
            cut = chosen[index]
            if isinstance(got, Died):
                raise HarnessFault(f"{self.operation.name} cut live at {cut.label}: the twin {got.how}")
            fired, digest = got
            if not fired:
                raise HarnessFault(f"{self.operation.name} cut live at {cut.label}: the cut never fired")
            if digest != wanted[cut]:
                raise HarnessFault(
                    f"{self.operation.name} cut live at {cut.label} left another image than the computed one"
                )
            self.result.live_checked += 1

        # A process for each: a twin that lost its power in the middle of C code is not used again.
        for index in range(len(chosen)):
            WorkerPool(lambda _, at=index: live(at), 1).run(1, lambda _, got, at=index: compare(at, got))  # type: ignore[misc]

    def _judged(self, target: CutImage, look: Inspection | Died, stream: str) -> Judged:
        acknowledged, verdict = self._acknowledged(target), self._verdict(target, look)
        boots = look.seen.boots if isinstance(look, Inspection) else 0
        row = self._row(target, stream, verdict, acknowledged, boots)
        row["death"] = look.how if isinstance(look, Died) else None
        self._count(target, row, verdict.breaches)
        note = noted(verdict.breaches)
        if isinstance(look, Inspection) and look.writes:
            note["writes"] = True
        return Judged(row, note)

    def _acknowledged(self, target: CutImage) -> bool:
        response_us = self.trace.acknowledged_us
        return response_us is not None and target.cut.at_us >= response_us

    def _verdict(self, target: CutImage, look: Inspection | Died) -> Judgement:
        if isinstance(look, Died):
            return stuck(f"the simulated firmware {look.how}")
        return self.question.verdict(
            look.seen,
            look.completed,
            acknowledged=self._acknowledged(target),
            since_request_us=target.cut.at_us - self.trace.requested_us,
        )

    def _place(self, target: CutImage) -> str:
        return self.where(target.cut) + (
            f", then {target.nested.label} of the next boot" if target.nested else ""
        )

    def _planned(self, target: CutImage) -> Row:
        cut = target.cut
        planned: dict[str, Any] = {"flash_op": cut.flash_op, "phase": cut.phase}
        if target.nested is not None:
            planned["nested"] = {
                "boot": 1,
                "flash_op": target.nested.flash_op,
                "phase": target.nested.phase,
            }
        return planned

    def _row(self, target: CutImage, stream: str, verdict: Judgement, acknowledged: bool, boots: int) -> Row:
        cut = target.cut
        fired = cut.at_us - self.trace.start_us
        return evidence(
            self.rig,
            self.operation,
            target.label,
            self._check,
            verdict,
            stream=stream,
            planned=self._planned(target),
            fired_us=fired,
            lost_us=fired,
            acknowledged=acknowledged,
            landed=True,
            boots=boots,
        )

    def where(self, cut: Cut) -> str:
        """A cut in words: 3.2 ms after "request sent" (flash op 17, erase of page 4, torn)."""
        return where(self.trace, cut)

    def replay(self, label: str) -> tuple[Row, list[Breach]]:
        """Do one cut again: observe and judge it, and if it is not nested cut it live as well.

        :raises CallerError: the label names no cut of this operation.
        """
        trace = self.prepare()
        outer_label, _, inner_label = label.partition("+boot1.")
        cut = cut_at(trace, outer_label, self.glass.torn_phases)
        ((_, state),) = images(trace, [cut])
        target = CutImage(cut, state, outer_label)
        if inner_label:
            self.glass.restore(state)
            boot = self.glass.record(self.rig.power.on)
            inner = cut_at(boot, inner_label, self.glass.torn_phases)
            ((_, state),) = images(boot, [inner])
            target = CutImage(cut, state, label, inner)
        found: list[Inspection | Died] = []
        WorkerPool(lambda _: self._look(target), 1).run(1, lambda _, look: found.append(look))
        row = self._judged(target, found[0], "replay").row
        self.replayed_at = self.where(cut)
        if not inner_label and cut.phase != "end":
            self._check_live([cut])
        breaches = [Breach(f.item, f.law, f.outcome, f.severity, f.text) for f in self.result.findings]
        return row, breaches
