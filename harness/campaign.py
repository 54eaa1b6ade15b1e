"""A campaign: many cuts into one operation, each judged.

On a twin the operation runs once, uncut, while every flash operation is recorded. The image of each cut is
computed from that, equal images are observed once, through the real client, in a pool of processes; each cut
is then judged by itself, because whether the operation had been acknowledged differs between equal images. A
sample is cut live and must leave the computed image, byte for byte.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import CallerError, HarnessFault, KeyFault
from harness.evidence import Judged, Row, replay_id
from harness.home import Home, require_expendable, seeded
from harness.judge import Breach, Judgement, find_world, matches, stuck
from harness.key import Item, Memory, Operation, Outcome, Severity
from harness.observe import Seen, observe
from harness.pool import Died, Pool
from harness.rig import GlassBox, Rig
from harness.seeds import unit
from harness.twin.record import Cut, Trace, all_cuts, cut_at, images
from harness.twin.state import BoardState
from harness.verdicts import Question, Result, evidence, fingerprint

LIVE_CHECKS = 3
NESTED_STATES = 3
BATCH = 64

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Look:
    """What one image was found to be: the observation, and a second one after a completing act."""

    seen: Seen
    completed: Seen | None
    boot_ops: int

    @property
    def writes(self) -> bool:
        """Does the boot after the cut write, so that it may be cut as well?"""
        return bool(self.boot_ops) and not self.seen.stuck


@dataclass(frozen=True)
class Earlier:
    """What is still known of an image that was judged before the run was taken up again."""

    writes: bool


@dataclass(frozen=True)
class Target:
    """One image to be observed: which cut it is, before or after which boot, and its place in the plan."""

    cut: Cut
    state: BoardState
    label: str
    nested: Cut | None = None
    number: int = 0


class Campaign:
    """Cut one operation of the key on one rig.

    :param home: the state to start from (see `go_home`).
    :param cuts: at most so many cuts, evenly spread; None for every modelled one.
    :param processes: how many observe at the same time.
    :param on_progress: called with (done, total) in distinct states.
    :param on_rows: called with evidence rows as soon as they are judged, in plan order.
    :param on_judged: the same, with what a campaign that is taken up again needs of them.
    :param earlier: what was judged of this plan before: its first rows, which are not cut again.
    """

    def __init__(
        self,
        rig: Rig,
        operation: Operation,
        home: Home,
        *,
        cuts: int | None = None,
        processes: int = 1,
        on_progress: Progress | None = None,
        on_rows: Callable[[Sequence[Row]], None] | None = None,
        on_judged: Callable[[Sequence[Judged]], None] | None = None,
        earlier: Sequence[Judged] = (),
    ):
        require_expendable(rig)
        if rig.glass is None or home.state is None:
            raise HarnessFault("this campaign needs a glass box: a twin")
        self.rig, self.operation, self.home = rig, operation, home
        self.glass: GlassBox = rig.glass
        self._cuts, self._processes = cuts, processes
        self._on_progress = on_progress or (lambda done, total: None)
        self._on_rows = on_rows or (lambda rows: None)
        self._on_judged = on_judged or (lambda judged: None)
        self._earlier = earlier
        self.items: tuple[Item, ...] = (*rig.key.items, *operation.items)
        self._check = fingerprint(rig)

    def prepare(self) -> Trace:
        """Arrange, record the operation, and look at the key before it."""
        glass, rig, operation = self.glass, self.rig, self.operation
        assert self.home.state is not None
        glass.restore(self.home.state)
        self.memory = self.home.memory.copy()
        rig.power.on()
        rig.wait_until_up()
        with seeded(rig, "arrange", operation.name):
            operation.arrange(rig, self.memory)
        rig.power.off()
        self.start = glass.snapshot()
        self.promise = self.memory.copy()
        self.trace = self._recorded(operation, self.promise)
        self.worlds = list(operation.worlds(self.memory, self.promise))
        rival_us = self._rival()
        glass.restore(self.trace.base)
        with seeded(rig, "before", operation.name):
            self.before = observe(rig, self.items, self.memory, self.promise)
        self.question = Question(
            operation, self.items, self.before.values, self.memory, self.promise, rival_us
        )
        self._wear_of_look = _worn(self.trace.base, glass.snapshot())
        self._check_before()
        return self.trace

    def _check_before(self) -> None:
        """Before the first cut the key must be in the operation's own old world, or nothing can be judged."""
        if self.before.stuck:
            raise KeyFault(f"{self.operation.name}: {self.before.stuck}, before anything was cut")
        for world in self.worlds:
            if world.outcome is Outcome.OLD and (wrong := matches(world, self.before.values)):
                raise KeyFault(
                    f"{self.operation.name}: the key is not as it must be before anything was cut",
                    found={name: self.before.values.get(name) for name in wrong},
                    expected={name: world.values[name] for name in wrong},
                    mend="an acknowledged write did not outlive a clean power-off; or the plugin is wrong",
                )

    def _recorded(self, operation: Operation, promise: Memory) -> Trace:
        self.glass.restore(self.start)
        if operation.powered:
            self.rig.power.on()
            self.rig.wait_until_up()
        trace = self.glass.record(lambda: operation.act(self.rig, promise))
        self.rig.power.off()
        return trace

    def _rival(self) -> int | None:
        """When, after its request, the rival operation is acknowledged (facts: P1)."""
        if self.operation.rival is None:
            return None
        rival = self.rig.key.operations[self.operation.rival]
        trace = self._recorded(rival, self.memory.copy())
        if trace.acknowledged_us is None:
            return None
        return trace.acknowledged_us - trace.requested_us

    def plan(self) -> tuple[list[Cut], bool]:
        """The cuts, in plan order, and whether they are all there are."""
        cuts = all_cuts(self.trace, self.glass.torn_phases)
        if self._cuts is None or self._cuts >= len(cuts):
            return cuts, True
        return spread(cuts, self._cuts, self.trace.tear_seed), False

    def run(self) -> Result:
        """Cut, observe and judge everything that was planned.

        On KeyboardInterrupt the evidence of what was done has been handed on and `self.result` holds it.
        """
        started = time.monotonic()
        self.result = result = Result(self.operation, self.rig)
        trace = self.prepare()
        result.trace = trace
        cuts, result.exhaustive = self.plan()
        stream = "exhaustive" if result.exhaustive else "cover"
        targets = [
            Target(cut, state, cut.label, number=n) for n, (cut, state) in enumerate(images(trace, cuts))
        ]
        result.planned = len(targets)
        try:
            looks = self._look_at(targets, stream)
            nested = self._nested_targets(targets, looks)
            result.planned += len(nested)
            self._look_at(nested, "nested")
            self._check_live(cuts)
            result.complete = True
        finally:
            result.duration_s = time.monotonic() - started
            result.wear = self.estimated_wear(len(result.rows))
        return result

    def _look_at(self, targets: list[Target], stream: str) -> dict[bytes, Look | Died | Earlier]:
        """Observe each distinct image once, and judge every cut as soon as its turn in the plan has come."""
        digests = [target.state.digest() for target in targets]
        looks = self._take_up(targets, digests)
        judged = len(self._earlier_of(targets))
        first_with = {digests[i]: i for i in reversed(range(judged, len(targets)))}
        order = sorted(first_with.values())
        self.result.distinct_states += len(looks.keys() - first_with.keys())
        offset, total = self.result.distinct_states, self.result.distinct_states + len(order)
        arrivals: dict[bytes, Look | Died] = {}
        self._on_progress(offset, total)

        def settle(final: bool = False) -> None:
            nonlocal judged
            ready = judged
            while ready < len(targets) and digests[ready] in arrivals:
                ready += 1
            if ready - judged >= BATCH or final:
                done = [self._judged(targets[i], arrivals[digests[i]], stream) for i in range(judged, ready)]
                judged = ready
                rows = [one.row for one in done]
                self.result.rows += rows
                self._on_judged(done)
                self._on_rows(rows)

        def arrived(index: int, look: Look | Died) -> None:
            arrivals[digests[order[index]]] = look
            self.result.distinct_states += 1
            self._on_progress(offset + len(arrivals), total)
            settle()

        began = time.monotonic()
        try:
            Pool(lambda index: self._look(targets[order[index]]), self._processes).run(len(order), arrived)
        finally:
            self.result.observe_s += time.monotonic() - began
            settle(final=True)
        return {**looks, **arrivals}

    def _earlier_of(self, targets: list[Target]) -> Sequence[Judged]:
        start = targets[0].number if targets else 0
        return self._earlier[start : start + len(targets)]

    def _take_up(self, targets: list[Target], digests: list[bytes]) -> dict[bytes, Look | Died | Earlier]:
        """Count what was judged before as it was counted then.

        :raises CallerError: it is not the beginning of this plan.
        """
        looks: dict[bytes, Look | Died | Earlier] = {}
        for target, digest, one in zip(targets, digests, self._earlier_of(targets)):
            wanted = replay_id(self.rig.name, self.operation.name, self.rig.seed, target.label, self._check)
            if one.row["id"] != wanted:
                raise CallerError(
                    f"the journal of {self.operation.name} on {self.rig.name}",
                    found=one.row["id"],
                    expected=wanted,
                    mend="take a run up again with the bench, the plugins and the version it was begun with",
                )
            breaches = [
                Breach(item, law, Outcome(outcome), Severity(severity), text)
                for item, law, outcome, severity, text in one.note.get("breaches", ())
            ]
            self.result.rows.append(one.row)
            self.result.count(breaches, one.row, self._place(target), covering=target.nested is None)
            looks[digest] = Earlier(one.note.get("writes", False))
        return looks

    def _look(self, target: Target) -> Look:
        """Boot one image and observe it; runs in a worker."""
        rig, glass = self.rig, self.glass
        glass.restore(target.state)
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
        return Look(seen, completed, len(boot.ops))

    def _nested_targets(
        self, targets: list[Target], looks: dict[bytes, Look | Died | Earlier]
    ) -> list[Target]:
        """Cuts into the boot that follows a cut, for a few of the states whose boot writes."""
        writing: dict[bytes, Target] = {}
        for target in targets:
            digest = target.state.digest()
            look = looks[digest]
            if not isinstance(look, Died) and look.writes:
                writing.setdefault(digest, target)
        chosen = list(writing.values())
        if self._cuts is None:
            chosen = spread(chosen, NESTED_STATES, self.trace.tear_seed)
        else:
            chosen = []
        traces: dict[int, Trace | Died] = {}

        def boot(index: int) -> Trace:
            self.glass.restore(chosen[index].state)
            return self.glass.record(self.rig.power.on)

        Pool(boot, self._processes).run(len(chosen), lambda index, trace: traces.update({index: trace}))
        nested: list[Target] = []
        for index, outer in enumerate(chosen):
            trace = traces[index]
            if isinstance(trace, Trace):
                for cut, state in images(trace, all_cuts(trace, self.glass.torn_phases)):
                    label = f"{outer.label}+boot1.{cut.label}"
                    nested.append(Target(outer.cut, state, label, cut, len(targets) + len(nested)))
        return nested

    def _check_live(self, cuts: list[Cut]) -> None:
        """Cut a few live: the power must really fail there, and leave the image that was computed."""
        real = [cut for cut in cuts if cut.phase != "end"]
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
            Pool(lambda _, at=index: live(at), 1).run(1, lambda _, got, at=index: compare(at, got))  # type: ignore[misc]

    def _judged(self, target: Target, look: Look | Died, stream: str) -> Judged:
        cut = target.cut
        response_us = self.trace.acknowledged_us
        acknowledged = response_us is not None and cut.at_us >= response_us
        if isinstance(look, Died):
            verdict = stuck(f"the simulated firmware {look.how}")
        else:
            verdict = self.question.verdict(
                look.seen,
                look.completed,
                acknowledged=acknowledged,
                since_request_us=cut.at_us - self.trace.requested_us,
            )
        boots = look.seen.boots if isinstance(look, Look) else 0
        row = self._row(target, stream, verdict, acknowledged, boots)
        row["death"] = look.how if isinstance(look, Died) else None
        self.result.count(verdict.breaches, row, self._place(target), covering=target.nested is None)
        note: Row = {}
        if verdict.breaches:
            note["breaches"] = [[b.item, b.law, b.outcome, b.severity, b.text] for b in verdict.breaches]
        if isinstance(look, Look) and look.writes:
            note["writes"] = True
        return Judged(row, note)

    def _place(self, target: Target) -> str:
        return self.where(target.cut) + (f", then {target.nested} of the next boot" if target.nested else "")

    def _row(self, target: Target, stream: str, verdict: Judgement, acknowledged: bool, boots: int) -> Row:
        cut = target.cut
        planned: dict[str, Any] = {"flash_op": cut.flash_op, "phase": cut.phase}
        if target.nested is not None:
            planned["nested"] = {
                "boot": 1,
                "flash_op": target.nested.flash_op,
                "phase": target.nested.phase,
            }
        fired = cut.at_us - self.trace.start_us
        return evidence(
            self.rig,
            self.operation,
            target.label,
            self._check,
            verdict,
            stream=stream,
            planned=planned,
            fired_us=fired,
            lost_us=fired,
            acknowledged=acknowledged,
            landed=True,
            boots=boots,
        )

    def where(self, cut: Cut) -> str:
        """A cut in words: 3.2 ms after "request sent" (flash op 17, erase of page 4, torn)."""
        before = [mark for mark in self.trace.marks if mark.at_us <= cut.at_us]
        if before:
            after = (
                f'{(cut.at_us - before[-1].at_us) / 1000:.1f} ms after "{before[-1].name.replace("-", " ")}"'
            )
        else:
            after = f"{(cut.at_us - self.trace.start_us) / 1000:.1f} ms after the start"
        if cut.phase == "end":
            return f"{after} (after everything)"
        op = self.trace.ops[cut.flash_op - 1]
        phase = "torn" if cut.phase.startswith("torn") else cut.phase
        what = "erase of" if op.kind == "erase" else f"program of {len(op.data)} bytes in"
        return f"{after} (flash op {cut.flash_op}, {what} page {op.page}, {phase})"

    def estimated_wear(self, cuts: int) -> list[dict[str, Any]]:
        """What a real key would have spent: each cut arranges, acts and observes once."""
        if not hasattr(self, "trace") or self.home.state is None:
            return []
        once = Counter(self.trace.wear())
        once.update(_worn(self.home.state, self.start))
        once.update(getattr(self, "_wear_of_look", Counter()))
        parts = self.trace.parts
        return [
            {
                "what": f"{chip} page {page}",
                "used": count * cuts,
                "limit": parts[chip].endurance,
                "estimated": True,
            }
            for (chip, page), count in sorted(once.items())
            if count
        ]

    def replay(self, label: str) -> tuple[Row, list[Breach]]:
        """Do one cut again: observe and judge it, and if it is not nested cut it live as well.

        :raises CallerError: the label names no cut of this operation.
        """
        self.result = Result(self.operation, self.rig)
        trace = self.prepare()
        outer_label, _, inner_label = label.partition("+boot1.")
        cut = cut_at(trace, outer_label, self.glass.torn_phases)
        ((_, state),) = images(trace, [cut])
        target = Target(cut, state, outer_label)
        if inner_label:
            self.glass.restore(state)
            boot = self.glass.record(self.rig.power.on)
            inner = cut_at(boot, inner_label, self.glass.torn_phases)
            ((_, state),) = images(boot, [inner])
            target = Target(cut, state, label, inner)
        found: list[Look | Died] = []
        Pool(lambda _: self._look(target), 1).run(1, lambda _, look: found.append(look))
        row = self._judged(target, found[0], "replay").row
        self.replayed_at = self.where(cut)
        if not inner_label and cut.phase != "end":
            self._check_live([cut])
        breaches = [Breach(f.item, f.law, f.outcome, f.severity, f.text) for f in self.result.findings]
        return row, breaches


def _worn(before: BoardState, after: BoardState) -> Counter[tuple[str, int]]:
    """Erases between two states, by (chip, page)."""
    worn: Counter[tuple[str, int]] = Counter()
    for name, image in after.chips.items():
        if image.erases != before.chips[name].erases:
            for page, (was, now) in enumerate(zip(before.chips[name].erases, image.erases)):
                if now > was:
                    worn[name, page] = now - was
    return worn


def spread(things: Sequence[Any], count: int, seed: bytes) -> list[Any]:
    """At most `count` of `things`, in order, one from each of `count` equal parts."""
    if count >= len(things):
        return list(things)
    places = (int((i + unit(seed, "spread", i)) * len(things) / count) for i in range(count))
    return [things[place] for place in places]
