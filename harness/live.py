"""A campaign on a key whose inside nobody sees: emulators and hardware.

The operation really runs for every cut. It is first run uncut, three times, which says how long it takes and
what is seen on its transport; then cuts are spread evenly over that time. Each is anchored to the last marker
before it, because the time since a marker strays less than the time since the start, and fired by the cutter
process while the operation runs. When it fired and when the key was lost is always recorded; a cut outside
of the operation is missed, never a pass.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fido2.ctap import CtapError

from harness import interrupt
from harness.confidence import bound, narrowest_window_us
from harness.errors import CallerError, HarnessFault, KeyFault, KeyharnessError, RigError
from harness.evidence import Judged, Row, replay_id
from harness.home import FORGETFUL, Home, go_home, require_expendable
from harness.judge import STUCK_ITEM, Breach, Judgement, find_world, matches
from harness.key import Item, Memory, Operation, Outcome, Severity
from harness.observe import NO_ANSWER, Seen, observe
from harness.rig import KeyGone, LiveCutter, Rig, Shot
from harness.seeds import child
from harness.spread import cover
from harness.tap import Mark
from harness.verdicts import Question, Result, evidence, fingerprint

DEFAULT_CUTS = 59
"""Without a violation they say: below 5 % of all instants, with 95 % confidence."""
UNCUT_RUNS = 3
TAIL_SHARE, TAIL_US = 0.05, 1_000
"""Cuts are planned until so long after the end, because what was acknowledged a moment ago must last."""
SLACK_US = 2_000
"""An instant that was measured in one run and is compared with another may be off by so much."""
REPLAY_TRIES = 5
START, END = "start", "end"

Progress = Callable[[int, int], None]
_LABEL = re.compile(r"(?P<marker>[a-z][a-z0-9-]*)\+(?P<offset>[0-9]+)us")


@dataclass(frozen=True)
class Plan:
    """One cut as planned: so long after a marker.

    :ivar time_us: where that is in the operation's own time, from its start.
    """

    marker: str
    offset_us: int
    time_us: int

    @property
    def label(self) -> str:
        return END if self.marker == END else f"{self.marker}+{self.offset_us}us"


@dataclass(frozen=True)
class Uncut:
    """One run of the operation in which nobody cut.

    :ivar marks: name -> when, from the start; `end` is when the operation returned.
    :ivar status: what the last response said.
    """

    marks: dict[str, int]
    memory: Memory
    status: int | None

    @property
    def last(self) -> str | None:
        """The name of the last response."""
        return next((name for name in reversed(self.marks) if name.startswith("response")), None)

    @property
    def requests(self) -> int:
        return sum(1 for name in self.marks if name.startswith("request-sent"))


@dataclass
class Try:
    """One run of the operation that was to be cut.

    :ivar ended_us: when it came to its end, by itself or by an error.
    :ivar returned: whether that was its own end.
    :ivar shot: what the cutter did; None if its marker was never seen.
    """

    promise: Memory
    start_us: int
    marks: tuple[Mark, ...]
    ended_us: int
    returned: bool
    shot: Shot | None
    deaths: list[str]

    def at_us(self, name: str) -> int | None:
        """When a marker was seen."""
        if name == START:
            return self.start_us
        return next((mark.at_us for mark in self.marks if mark.name == name), None)


class LiveCampaign:
    """Cut one operation of a real key, or of an emulator, while it runs.

    :param home: the state to start from (see `go_home`).
    :param cuts: how many, evenly spread.
    :param processes: not used: one key does one thing at a time.
    :param on_progress: called with (done, planned).
    :param on_judged: called with each row as soon as it is judged, in plan order.
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
        if rig.cutter is None:
            raise RigError(f'rig "{rig.name}" cannot cut while an operation runs')
        if not home.lasting:
            raise RigError(
                f'rig "{rig.name}": {FORGETFUL}',
                found="a blank key after a clean restart",
                expected="a key that keeps what it acknowledged: otherwise no cut says anything",
                mend="start the emulator so that it keeps its state",
            )
        self.rig, self.operation, self.home = rig, operation, home
        self.cutter: LiveCutter = rig.cutter
        self._cuts = DEFAULT_CUTS if cuts is None else cuts
        self._on_progress = on_progress or (lambda done, total: None)
        self._on_rows = on_rows or (lambda rows: None)
        self._on_judged = on_judged or (lambda judged: None)
        self._earlier = earlier
        self.items: tuple[Item, ...] = (*rig.key.items, *operation.items)
        self._check = fingerprint(rig)
        self._own_ms: list[float] = []
        self._whole_ms: list[float] = []
        self._late_us: list[float] = []
        self._hits_us: list[int] = []

    # What is known before the first cut.

    def prepare(self) -> None:
        """Arrange, run the operation uncut, and look at the key before and after it.

        :raises KeyFault: the key is not as it must be before anything was cut.
        """
        rig = self.rig
        self.realtime = self.cutter.realtime
        self._arrange()
        rig.take_deaths()
        self.uncut = [self._uncut(self.operation) for _ in range(UNCUT_RUNS)]
        self.last_run = self._look(self.uncut[-1].memory, exact=True)
        self.markers = self._stable_markers()
        self.length_us = round(statistics.median(run.marks[END] for run in self.uncut))
        self.jitter_us = self._jitter_us()
        self.tail_us = max(TAIL_US, round(self.length_us * TAIL_SHARE))
        self._rival_us = self._rival()
        self._begin()
        before = observe(rig, self.items, self.memory, self.uncut[0].memory, exact=False)
        self.before = before.values
        rig.power.off()
        self._check_before(before)

    def _arrange(self) -> None:
        """Bring the key to where the operation starts, and keep a copy of that where there can be one."""
        rig, vault = self.rig, self.rig.vault
        if vault is None:
            return
        vault.restore(self.home.state)
        self.memory = self.home.memory.copy()
        rig.power.on()
        rig.wait_until_up()
        self.operation.arrange(rig, self.memory)
        rig.power.off()
        self.start = vault.snapshot()

    def _begin(self) -> None:
        """The key off, in the state in which the operation starts."""
        rig = self.rig
        if rig.vault is not None:
            rig.vault.restore(self.start)
            return
        self.home = go_home(rig, self.home.memory)
        self.memory = self.home.memory.copy()
        rig.power.on()
        rig.wait_until_up()
        self.operation.arrange(rig, self.memory)
        rig.power.off()

    def _power(self) -> None:
        if self.operation.powered:
            self.rig.power.on()
            self.rig.wait_until_up()

    def _uncut(self, operation: Operation) -> Uncut:
        """Run an operation to its end; the key is off afterwards.

        :raises KeyFault: it died, hung or failed without a cut.
        """
        rig = self.rig
        self._begin()
        self._power()
        memory = self.memory.copy()
        rig.tap.clear()
        start_us = rig.clock.now_us
        try:
            operation.act(rig, memory)
        except (KeyGone, OSError) as error:
            rig.power.off()
            how = "; ".join(rig.take_deaths()) or str(error)
            raise KeyFault(
                f"{operation.name}: the key failed in an operation that nobody cut",
                found=how,
                expected="an answer, as the operation's own run before the first cut must have one",
            ) from error
        except CtapError as error:
            raise KeyFault(
                f"{operation.name}: the key refused an operation that nobody cut",
                found=str(error),
                expected="that it does what its getInfo offers",
            ) from error
        marks = {mark.name: mark.at_us - start_us for mark in rig.tap.marks}
        marks[END] = rig.clock.now_us - start_us
        last = rig.tap.last("response")
        rig.power.off()
        return Uncut(marks, memory, last.status if last else None)

    def _stable_markers(self) -> list[tuple[str, int]]:
        """Markers that every run has in the same order, with the median of when they were seen."""
        common = [
            name
            for name in self.uncut[0].marks
            if name != END and all(name in run.marks for run in self.uncut)
        ]
        orders = [[name for name in run.marks if name in common] for run in self.uncut]
        if any(order != orders[0] for order in orders):
            common = [name for name in common if not name.startswith("keepalive")]
        markers = [(START, 0)]
        for name in common:
            at_us = round(statistics.median(run.marks[name] for run in self.uncut))
            if at_us >= markers[-1][1]:
                markers.append((name, at_us))
        return markers

    def _jitter_us(self) -> float:
        """How much the time between two markers strays from run to run, at its worst."""
        names = [name for name, _ in self.markers if name != START]
        worst = 0.0
        for before, after in zip([START, *names], [*names, END]):
            spans = [run.marks[after] - run.marks.get(before, 0) for run in self.uncut]
            worst = max(worst, statistics.stdev(spans))
        return worst

    def _rival(self) -> int | None:
        """How long after its request the rival operation is acknowledged, at the latest (facts: P1)."""
        if self.operation.rival is None:
            return None
        rival = self.rig.key.operations[self.operation.rival]
        spans = []
        for _ in range(UNCUT_RUNS):
            run = self._uncut(rival)
            if run.last is None:
                return None
            request = [name for name in run.marks if name.startswith("request-sent")][-1]
            spans.append(run.marks[run.last] - run.marks[request])
        return round(max(spans) + 3 * statistics.stdev(spans)) + SLACK_US

    def _check_before(self, before: Seen) -> None:
        """Before the first cut the key must be in the operation's own old world, or nothing can be judged."""
        if before.stuck:
            raise KeyFault(f"{self.operation.name}: {before.stuck}, before anything was cut")
        for world in self.operation.worlds(self.memory, self.uncut[0].memory):
            if world.outcome is Outcome.OLD and (wrong := matches(world, before.values)):
                raise KeyFault(
                    f"{self.operation.name}: the key is not as it must be before anything was cut",
                    found={name: before.values.get(name) for name in wrong},
                    expected={name: world.values[name] for name in wrong},
                    mend="an acknowledged write did not outlive a clean power-off; or the plugin is wrong",
                )

    # The plan.

    def plan(self) -> list[Plan]:
        """The cuts in the order in which they are made: scrambled, so that it may stop at any time."""
        seed = child(self.rig.seed, "live", self.rig.name, self.operation.name)
        whole_us = self.length_us + self.tail_us
        return [self._at(round(point * whole_us)) for point in cover(self._cuts, seed)]

    def _at(self, time_us: int) -> Plan:
        name, at_us = next(marker for marker in reversed(self.markers) if marker[1] <= time_us)
        return Plan(name, time_us - at_us, time_us)

    def planned(self, label: str) -> Plan:
        """The cut that a label names.

        :raises CallerError: it names none of this operation.
        """
        if label == END:
            return Plan(END, 0, self.length_us)
        match = _LABEL.fullmatch(label)
        if match is None:
            raise CallerError(
                f'cut "{label}"',
                found=label,
                expected=f"end, or a marker of this operation and an offset, as {self.markers[-1][0]}+1234us",
                mend="copy the replay id as it was printed",
            )
        offset_us = int(match["offset"])
        return Plan(match["marker"], offset_us, dict(self.markers).get(match["marker"], 0) + offset_us)

    # The cuts.

    def run(self) -> Result:
        """Cut and judge everything that was planned.

        On KeyboardInterrupt the evidence of what was done has been handed on and `self.result` holds it.
        """
        started = time.monotonic()
        self.result = result = Result(self.operation, self.rig)
        try:
            self.prepare()
            plan = self.plan()
            result.planned = len(plan) + 1
            self._take_up([Plan(END, 0, self.length_us), *plan])
            if not self._earlier:
                self._note(self._judge_uncut())
            for number, cut in enumerate(plan, start=1):
                interrupt.check()
                if number >= len(self._earlier):
                    self._note(self._one(cut, "cover"))
                self._on_progress(number, len(plan))
            result.complete = True
        finally:
            self.rig.power.off()
            result.duration_s = time.monotonic() - started
            self._conclude()
        return result

    def _note(self, judged: Judged) -> None:
        self.result.rows.append(judged.row)
        self._on_judged([judged])
        self._on_rows([judged.row])

    def _take_up(self, plan: Sequence[Plan]) -> None:
        """Count what was judged before as it was counted then.

        :raises CallerError: it is not the beginning of this plan.
        """
        for cut, one in zip(plan, self._earlier):
            wanted = self._id(cut)
            # Offsets are of times measured anew by every process: the rest of the id tells what it is of.
            if _less_cut(one.row["id"]) != _less_cut(wanted):
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
            self.result.count(breaches, one.row, one.note.get("where", ""), covering=True)
            self._section(one.row["planned"]["marker"], one.row["outcome"] == Outcome.MISSED)
            if "hit_us" in one.note:
                self._hits_us.append(one.note["hit_us"])

    def _section(self, marker: str, missed: bool) -> None:
        # Keepalives are many and alike: one section for all of them.
        name = "keepalive" if marker.startswith("keepalive") else marker
        count = self.result.missed.setdefault(name, [0, 0])
        count[0] += missed
        count[1] += 1

    def _try(self, cut: Plan) -> Try:
        """Run the operation and cut it; the key is off afterwards."""
        rig = self.rig
        self._begin()
        self._power()
        promise = self.memory.copy()
        rig.take_deaths()
        rig.tap.clear()
        armed = False

        def arm(mark: Mark | None) -> None:
            nonlocal armed
            if not armed and (mark.name if mark else START) == cut.marker and rig.power.is_on:
                armed = True
                self.cutter.arm((mark.at_us if mark else start_us) + cut.offset_us)

        rig.tap.on_mark = arm
        returned = False
        shot: Shot | None = None
        start_us = rig.clock.now_us
        try:
            if cut.marker == START and rig.power.is_on:
                arm(None)
            self.operation.act(rig, promise)
            returned = True
        except (KeyGone, OSError):
            pass
        except KeyharnessError:
            raise
        except Exception as error:
            # Whatever a client library makes of a connection that broke; without a cut it is a fault.
            if not armed:
                raise HarnessFault(
                    f"{self.operation.name} could not be run", found=f"{type(error).__name__}: {error}"
                ) from error
        finally:
            rig.tap.on_mark = None
            ended_us = rig.clock.now_us
            if armed:
                shot = self.cutter.collect()
        rig.power.off()
        return Try(promise, start_us, tuple(rig.tap.marks), ended_us, returned, shot, rig.take_deaths())

    def _one(self, cut: Plan, stream: str) -> Judged:
        """One cut: run, cut, boot, observe, judge."""
        rig = self.rig
        began_us, boot_us, talk_us = rig.clock.now_us, rig.boot_us, rig.talk_us
        tried = self._try(cut)
        acknowledged = self._acknowledged(tried)
        landed = self._landed(tried)
        waited_us = self._waited_us(tried)
        if not landed and not tried.deaths:
            verdict, seen = Judgement(Outcome.MISSED, None), Seen()
        else:
            promise = tried.promise if acknowledged else self.uncut[0].memory
            seen, completed = self._look(promise, exact=acknowledged)
            question = self._question(promise)
            verdict = question.verdict(
                seen, completed, acknowledged=acknowledged, since_request_us=self._since_request_us(tried)
            )
        spent_us = rig.boot_us - boot_us + rig.talk_us - talk_us + waited_us
        whole_us = rig.clock.now_us - began_us
        self._own_ms.append((whole_us - spent_us) / 1000)
        self._whole_ms.append(whole_us / 1000)
        return self._judged(cut, stream, tried, verdict, seen, acknowledged=acknowledged, landed=landed)

    def _look(self, promise: Memory, *, exact: bool) -> tuple[Seen, Seen | None]:
        """Observe the key, and again after the world's completing act if it has one; it is off afterwards."""
        rig = self.rig
        seen = observe(rig, self.items, self.memory, promise, exact=exact)
        completed = None
        worlds = self.operation.worlds(self.memory, promise)
        world = None if seen.stuck else find_world(worlds, seen.values, False)
        if world is not None and world.complete is not None:
            rig.power.cycle()
            memory = self.memory.copy()
            world.complete(rig, memory)
            rig.power.off()
            completed = observe(rig, self.items, self.memory, memory)
        rig.power.off()
        return seen, completed

    def _question(self, promise: Memory) -> Question:
        return Question(self.operation, self.items, self.before, self.memory, promise, self._rival_us)

    def _acknowledged(self, tried: Try) -> bool:
        """Was the last response delivered whole, as the tap saw it?"""
        last = self.uncut[0].last
        if last is None:
            return False
        if any(run.last != last for run in self.uncut):
            # How often the client asks differs from run to run: only its return tells the last answer.
            return tried.returned
        mark = next((mark for mark in tried.marks if mark.name == last), None)
        return mark is not None and mark.status == self.uncut[0].status

    def _landed(self, tried: Try) -> bool:
        """Did the power go while the operation ran, or in the declared time after it?"""
        shot = tried.shot
        if shot is None or not shot.took or shot.fired_us is None:
            return False
        return shot.fired_us <= tried.ended_us + self.tail_us + SLACK_US

    def _waited_us(self, tried: Try) -> int:
        """How long the operation had been over when its cut came."""
        shot = tried.shot
        if shot is None or shot.fired_us is None:
            return 0
        return max(0, shot.fired_us - tried.ended_us)

    def _since_request_us(self, tried: Try) -> int | None:
        requests = [mark.at_us for mark in tried.marks if mark.name.startswith("request-sent")]
        if tried.shot is None or tried.shot.fired_us is None or len(requests) < self.uncut[0].requests:
            return None
        return tried.shot.fired_us - requests[-1]

    def _judge_uncut(self) -> Judged:
        """The run that nobody cut, and a clean restart: everything acknowledged must be there."""
        promise = self.uncut[-1].memory
        seen, completed = self.last_run
        verdict = self._question(promise).verdict(
            seen, completed, acknowledged=self.uncut[-1].last is not None, since_request_us=None
        )
        cut = Plan(END, 0, self.length_us)
        tried = Try(promise, 0, (), self.length_us, True, None, self.rig.take_deaths())
        return self._judged(cut, "cover", tried, verdict, seen, acknowledged=True, landed=True)

    def _judged(
        self,
        cut: Plan,
        stream: str,
        tried: Try,
        verdict: Judgement,
        seen: Seen,
        *,
        acknowledged: bool,
        landed: bool,
    ) -> Judged:
        deaths = list(dict.fromkeys([*tried.deaths, *self.rig.take_deaths()]))
        if deaths and NO_ANSWER in seen.values.values() and any(how.startswith("hung") for how in deaths):
            # What it did not answer is neither lost nor kept: it hangs.
            breach = Breach(STUCK_ITEM, "answers", Outcome.STUCK, Severity.S1, f"the key {'; '.join(deaths)}")
            verdict = Judgement(Outcome.STUCK, verdict.world, (breach,), verdict.changed)
        outcome = verdict.outcome
        if deaths and not verdict.breaches:
            # It came back with nothing lost, and yet a key must not fall over.
            verdict = Judgement(outcome, verdict.world, (_died(deaths),), verdict.changed)
        shot = tried.shot
        fired_us = shot.fired_us - tried.start_us if shot and shot.fired_us is not None else None
        row = evidence(
            self.rig,
            self.operation,
            cut.label,
            self._check,
            verdict,
            stream=stream,
            planned={"marker": cut.marker, "offset_us": cut.offset_us},
            fired_us=fired_us if cut.marker != END else self.length_us,
            lost_us=shot.lost_us - tried.start_us if shot and shot.lost_us is not None else None,
            acknowledged=acknowledged,
            landed=landed,
            boots=seen.boots,
            death="; ".join(deaths) or None,
        )
        if outcome is Outcome.MISSED:
            row["blame"] = "rig"
        where = self.where(cut)
        self.result.count(verdict.breaches, row, where, covering=stream == "cover")
        self._section(cut.marker, outcome is Outcome.MISSED)
        note: Row = {}
        if verdict.breaches:
            note["breaches"] = [[b.item, b.law, b.outcome, b.severity, b.text] for b in verdict.breaches]
            note["where"] = where
        if shot is not None:
            self._late_us.append(shot.late_us)
            anchor_us = tried.at_us(cut.marker)
            if landed and shot.fired_us is not None and anchor_us is not None:
                hit_us = cut.time_us - cut.offset_us + shot.fired_us - anchor_us
                self._hits_us.append(hit_us)
                note["hit_us"] = hit_us
        return Judged(row, note)

    def where(self, cut: Plan) -> str:
        """A cut in words."""
        if cut.marker == END:
            return "after everything, at a clean restart"
        named = "the start" if cut.marker == START else f'"{cut.marker.replace("-", " ")}"'
        return f"{cut.offset_us / 1000:.1f} ms after {named}"

    def _id(self, cut: Plan) -> str:
        return replay_id(self.rig.name, self.operation.name, self.rig.seed, cut.label, self._check)

    def _conclude(self) -> None:
        """What the covering cuts prove, and what they cost."""
        result = self.result
        result.distinct_states = len({str((row["world"], row["changed"])) for row in result.rows})
        judged = [row for row in result.rows if row["stream"] == "cover" and row["landed"]]
        if result.complete and not result.findings:
            result.bound = bound(len(judged))
        if self._hits_us:
            window_us = narrowest_window_us(self._hits_us, self.length_us, self.jitter_us)
            result.window_ms = round(window_us / 1000, 3) if window_us is not None else None
            result.timing = {
                "operation_ms": round(self.length_us / 1000, 3),
                "jitter_ms": round(self.jitter_us / 1000, 3),
                "realtime": self.realtime,
                "late_us": _spread(self._late_us),
                "cut_ms": _spread(self._whole_ms),
                "own_ms": _spread(self._own_ms),
            }

    def replay(self, label: str) -> tuple[Row, list[Breach]]:
        """Do one cut again, up to five times until it violates something: no two runs take the same time.

        :raises CallerError: the label names no cut of this operation.
        """
        self.result = Result(self.operation, self.rig)
        self.prepare()
        cut = self.planned(label)
        tries = 0
        while True:
            tries += 1
            judged = self._judge_uncut() if cut.marker == END else self._one(cut, "replay")
            if judged.note.get("breaches") or cut.marker == END or tries == REPLAY_TRIES:
                break
        self.rig.power.off()
        self.replayed_at = self.where(cut) + (f", cut {tries} times" if tries > 1 else "")
        breaches = [
            Breach(item, law, Outcome(outcome), Severity(severity), text)
            for item, law, outcome, severity, text in judged.note.get("breaches", ())
        ]
        return judged.row, breaches


def _less_cut(replay: str) -> list[str]:
    parts = replay.split(":")
    return [*parts[:3], *parts[4:]]


def _died(deaths: Sequence[str]) -> Breach:
    text = f"the key {'; '.join(deaths)}, and nobody had cut"
    return Breach(STUCK_ITEM, "answers", Outcome.STUCK, Severity.S2, text)


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    if not values:
        return {}
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
    }
