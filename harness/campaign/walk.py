"""Walk a twin's operation: cut it in every flash operation and every phase, and judge each cut.

The operation runs once, uncut, while every flash operation is recorded. The image of each cut is computed from that
recording. Equal images are observed once, through the real client, in a pool of processes. Each cut is then judged by
itself, because whether the operation had been acknowledged differs between cuts with equal images. A sample is cut
live and must leave the computed image, byte for byte.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property

from harness.base.errors import CallerError
from harness.campaign.common import CampaignBase, CampaignTerms
from harness.campaign.cut_images import CutImage, Inspection, Resumed, evenly_ordered, spread
from harness.campaign.home import Home
from harness.campaign.image_observer import ImageObserver
from harness.campaign.judging import breaches_of, noted
from harness.campaign.live_check import check_live
from harness.campaign.nested import Inspections, home_images, nested_images
from harness.campaign.next_action import ACTION, NextActionObserver, action_called, drawn
from harness.campaign.recheck import TwinRecheck
from harness.campaign.recording import UncutFault
from harness.campaign.result import Result
from harness.campaign.worker_pool import Died
from harness.model.judge import Breach
from harness.model.operation import NextAction, Operation
from harness.model.rig import Rig
from harness.model.row import BEYOND, Judged, Row, is_covering
from harness.search.plan import END
from harness.search.stopping import Allowance
from harness.twin.trace import Cut

BATCH = 64
"""Number of rows that are written at once; under a budget in time also the number of cuts that are begun at once."""


class Campaign(ImageObserver, CampaignBase):
    """Cuts one operation of the twin on one rig. A number of cuts is spread evenly over all modelled ones.

    :param home: the state to start from (see `go_home`).
    :ivar replayed_at: the place of the cut that `replay` made, in words.
    """

    def __init__(self, rig: Rig, operation: Operation, home: Home, terms: CampaignTerms | None = None):
        ImageObserver.__init__(self, rig, operation, home)
        self._asked = operation
        CampaignBase.__init__(self, rig, operation, terms or CampaignTerms())
        self._numbered = 0
        self._walked: set[str] = set()
        self._inspections: dict[bytes, Inspection | Died] = {}
        self._seen: set[bytes] = set()
        self._recheck = TwinRecheck(self.glass.at_boot)
        self.replayed_at = ""

    def plan(self) -> tuple[list[Cut], bool]:
        """(the cuts that are made first, in plan order; whether these are all modelled cuts)."""
        cuts, most = self._all, self.allowance.cuts
        if most is None:
            most = self._extras.sample
        if self.allowance.until_us is not None:
            return self._left()[:BATCH], False
        if most is None or most >= len(cuts):
            return cuts, True
        if most < 2:
            return spread(cuts, most, self.prepared.trace.tear_seed), False
        *within, end = cuts
        return [*spread(within, most - 1, self.prepared.trace.tear_seed), end], False

    @cached_property
    def _all(self) -> list[Cut]:
        return self.prepared.trace.all_cuts(self.glass.torn_phases)

    @cached_property
    def _order(self) -> list[Cut]:
        # The end comes first: whether an acknowledged operation lasts is the most telling cut.
        *within, end = self._all
        return [end, *evenly_ordered(within, self.prepared.trace.tear_seed)]

    def _left(self) -> list[Cut]:
        """The cuts that are still to be made. Every beginning of the list is spread evenly over the operation."""
        return [cut for cut in self._order if cut.label not in self._walked]

    def run(self) -> Result:
        """Cut, observe and judge everything that was planned.

        On KeyboardInterrupt `self.result` holds what was done, and its evidence has been handed on.
        """
        with self._working():
            self.result.trace = self.prepare().trace
            self._note_uncut()
            cuts, self.result.exhaustive = self.plan()
            self.result.instants = len(self._all)
            walked = self._walk(cuts, "exhaustive" if self.result.exhaustive else "cover")
            self._check_live(cuts)
            if self.allowance.until_us is not None:
                self._in_parts(self.allowance)
            elif self.allowance.cuts is None:
                if self._extras.second:
                    self._nest(*walked)
                self._use()
                self._leave_home()
            self._recheck_abnormal()
        return self.result

    def _note_uncut(self) -> None:
        """Count what the uncut run violates."""
        self.result.count(self.prepared.breaches, {"id": self.uncut_id}, "uncut", covering=False)

    @property
    def planned(self) -> int:
        """Number of cuts that were planned so far."""
        return self._numbered

    def more(self, allowance: Allowance) -> Result:
        """Go on after `run` until the whole allowance is spent, or until every modelled cut has been made."""
        with self._working():
            if allowance.cuts is None:
                self._in_parts(allowance)
            else:
                self._walk(self._left()[: max(0, allowance.cuts - self.planned)], "cover")
            self.result.exhaustive = not self._left()
            self._recheck_abnormal()
        return self.result

    def _conclude(self) -> None:
        self.result.goal = self.allowance.goal
        self.result.wear = self.estimated_wear(len(self.result.rows))

    def _in_parts(self, allowance: Allowance) -> None:
        """Walk in batches until the time is over; each batch is spread evenly over the operation."""
        while left := self._left():
            if self.planned >= len(self._earlier) and not allowance.goes_on(self.planned, 0):
                return
            self._walk(left[:BATCH], "cover")
        self.result.exhaustive = True

    def _walk(self, cuts: Sequence[Cut], stream: str) -> tuple[list[CutImage], Inspections]:
        """Make cuts, in the order of the operation: their images, and what was observed in these."""
        ordered = sorted(cuts, key=lambda cut: (cut.flash_op, cut.phi))
        self._walked |= {cut.label for cut in ordered}
        targets = [
            CutImage(cut, state, cut.label, number=self._numbered + n)
            for n, (cut, state) in enumerate(self.prepared.trace.images(ordered))
        ]
        self._numbered += len(targets)
        self.result.planned = self._numbered
        return targets, self._observe(targets, stream)

    def _nest(self, targets: list[CutImage], looks: Inspections) -> None:
        nested = nested_images(self, targets, looks, self._processes)
        self._beside(nested, "nested")

    def _use(self) -> None:
        """Let the owner go on after some of all modelled cuts, however many of them the walk made."""
        if not self._extras.actions:
            return
        every = [CutImage(cut, state, cut.label) for cut, state in self.prepared.trace.images(self._all)]
        actions = [one for one in self._extras.actions if not self.glass.may_vary or self._lasts(one)]
        chosen = drawn(self, every, actions, self.result.planned)
        by = [NextActionObserver(self, action) for action, _ in chosen]
        self._beside([target for _, target in chosen], "next", by)

    def _lasts(self, action: NextAction) -> bool:
        """Whether an action leaves what it must before and after the uncut operation.

        A firmware that nobody knows may do it wrongly without any cut: then nothing that follows it is a cut's doing.
        """
        trace, observer = self.prepared.trace, NextActionObserver(self, action)
        for state, at_us in ((trace.base, trace.start_us), (trace.final, trace.end_us)):
            image = CutImage(Cut(0, END, 0.0, at_us), state, END)
            found = self._inspected(image, observer)
            if self.verdict(image, found).breaches or not observer.verdict(image, found).breaches:
                continue
            said = f"the owner's action {action.name} goes wrong without a cut, and is not tried after one"
            if said not in self.rig.remark:
                self.rig.remark = "; ".join(filter(None, (self.rig.remark, said)))
            return False
        return True

    def _leave_home(self) -> None:
        """Cut the operation from other homes as well.

        :raises UncutFault: without a cut, the key is not as it must be in one of them; the others have been cut.
        """
        wrong: UncutFault | None = None
        for home, most in self._extras.homes:
            if home.adapted(self._asked) is None:
                continue
            there = ImageObserver(self.rig, self._asked, home)
            try:
                cuts = home_images(there, most, self.result.planned)
                self._beside(cuts, "home", [there] * len(cuts))
            except UncutFault as fault:
                wrong = wrong or fault
        if wrong is not None:
            raise wrong

    def _beside(
        self, targets: list[CutImage], stream: str, by: Sequence[ImageObserver] | None = None
    ) -> None:
        """Make cuts that follow the walk: they count for nothing but themselves."""
        self.result.planned += len(targets)
        self._observe(targets, stream, by)

    def _observe(
        self, targets: list[CutImage], stream: str, by: Sequence[ImageObserver] | None = None
    ) -> Inspections:
        """Observe each distinct image once, and judge every cut as soon as its turn in the plan has come.

        :param by: for each of them, what has recorded the operation, observes and judges; None: the campaign itself.
        """
        observers = by or [self] * len(targets)
        digests = [target.state.digest() for target in targets]
        looks = self._resumed(targets, digests, observers)
        judged = len(self._earlier_of(targets))
        walks = stream not in ("nested", *BEYOND)
        known = self._inspections if walks else {}
        seen: set[bytes] = self._seen if walks else set()
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
                done = [
                    self._judged(targets[i], arrivals[digests[i]], stream, observers[i])
                    for i in range(judged, ready)
                ]
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
            self.pool(
                lambda index: observers[order[index]].inspect(targets[order[index]]), self._processes
            ).run(len(order), arrived)
        finally:
            self.result.observe_s += time.monotonic() - began
            settle(final=True)
        if walks:
            self._inspections |= arrivals
        return {**looks, **arrivals}

    def _earlier_of(self, targets: list[CutImage]) -> Sequence[Judged]:
        start = targets[0].number if targets else 0
        return self._earlier[start : start + len(targets)]

    def _resumed(
        self, targets: list[CutImage], digests: list[bytes], observers: Sequence[ImageObserver]
    ) -> Inspections:
        """Count the cuts that were judged before the run was interrupted.

        :raises CallerError: the journal does not hold the beginning of this plan.
        """
        looks: Inspections = {}
        for target, digest, observer, one in zip(targets, digests, observers, self._earlier_of(targets)):
            wanted = observer.replay_id(target.label)
            if one.row["id"] != wanted:
                raise CallerError(
                    f"the journal of {self.operation.name} on {self.rig.name} is of another plan of cuts",
                    found=one.row["id"],
                    expected=wanted,
                    mend="resume a run with the bench, the plugins and the version that began it",
                )
            self.result.rows.append(one.row)
            self._count(target, one.row, breaches_of(one), observer)
            looks[digest] = Resumed(one.note.get("writes", False))
        return looks

    def _count(self, target: CutImage, row: Row, breaches: Sequence[Breach], observer: ImageObserver) -> None:
        self.result.count(breaches, row, observer.place(target), covering=is_covering(row))
        if self.glass.is_metastable and observer is self and not target.crossed:
            self._recheck.note(target, row["outcome"], breaches)

    def _recheck_abnormal(self) -> None:
        """Observe abnormal states again, on twins where a state need not read the same twice."""
        due = self._recheck.due()
        found: dict[int, str] = {}

        def arrived(index: int, seen: Inspection | Died) -> None:
            found[index] = str(self.verdict(due[index][0], seen).outcome)

        self.pool(lambda index: self.inspect(*due[index]), self._processes).run(len(due), arrived)
        for breaches, again in self._recheck.results([found[index] for index in range(len(due))]):
            for breach in breaches:
                if (finding := self.result.finding(breach)) is not None and finding.again is None:
                    finding.again = again

    def _check_live(self, cuts: Sequence[Cut]) -> None:
        self.result.live_checked += check_live(self, cuts)

    def _judged(
        self, image: CutImage, seen: Inspection | Died, stream: str, observer: ImageObserver
    ) -> Judged:
        """Judge one image and count it."""
        verdict = observer.verdict(image, seen)
        row = observer.row(image, seen, verdict, stream)
        self._count(image, row, verdict.breaches, observer)
        note = noted(verdict.breaches)
        if isinstance(seen, Inspection) and seen.writes:
            note["writes"] = True
        return Judged(row, note, (lambda: self._files(image, seen)) if verdict.breaches else None)

    def _files(self, image: CutImage, seen: Inspection | Died) -> dict[str, bytes]:
        """What is kept of an abnormal cut."""
        files = {f"state/{name}": content for name, content in self.glass.to_files(image.state).items()}
        if isinstance(seen, Inspection):
            files |= {f"answer-{item}.bin": answer for item, answer in seen.seen.answers.items()}
        return {**files, **self.prepared.logs}

    def look_again(self, row: Row, files: Mapping[str, bytes]) -> tuple[Row, list[Breach]]:
        """Observe and judge a state that a run has kept.

        :param row: the evidence of its cut. :param files: of its folder, by their paths.
        :raises KeyError, ValueError, TypeError: the files are not whole.
        """
        state = self.glass.from_files(
            {name.removeprefix("state/"): content for name, content in files.items()}
        )
        trace = self.prepare().trace
        image = CutImage(Cut(0, END, 0.0, trace.end_us), state, END)
        seen: list[Inspection | Died] = []
        self.pool(lambda _: self.inspect(image), 1).run(1, lambda _, found: seen.append(found))
        (found,) = seen
        if isinstance(found, Died):
            verdict = self.verdict(image, found)
        else:
            # Whether a guess was free depends on when it was cut, and that is in the row.
            verdict = self.prepared.judge.verdict(
                found.seen, found.completed, acknowledged=bool(row["acknowledged"]), since_request_us=None
            )
        changed = {name: list(pair) for name, pair in verdict.changed.items()}
        again = {"outcome": verdict.outcome.value, "world": verdict.world, "changed": changed}
        return {**row, **again}, list(verdict.breaches)

    def _judge_alone(self, image: CutImage, observer: ImageObserver) -> Row:
        """Observe and judge one image, for a replay; the row."""
        return self._judged(image, self._inspected(image, observer), "replay", observer).row

    def _inspected(self, image: CutImage, observer: ImageObserver) -> Inspection | Died:
        """Observe one image in a process of its own."""
        found: list[Inspection | Died] = []
        self.pool(lambda _: observer.inspect(image), 1).run(1, lambda _, seen: found.append(seen))
        return found[0]

    def _breaches_found(self) -> list[Breach]:
        return [Breach(f.item, f.law, f.outcome, f.severity, f.text) for f in self.result.findings]

    def replay(self, label: str) -> tuple[Row, list[Breach]]:
        """Make one cut again: observe and judge it. If it is not nested, cut it live as well.

        :raises CallerError: the label names no cut of this operation.
        """
        trace = self.prepare().trace
        cut_label, _, action = label.partition(ACTION)
        observer = NextActionObserver(self, action_called(self.rig, action)) if action else self
        outer_label, _, inner_label = cut_label.partition("+boot1.")
        cut = trace.cut_at(outer_label, self.glass.torn_phases)
        ((_, state),) = trace.images([cut])
        image = CutImage(cut, state, label)
        if inner_label:
            self.glass.restore(state)
            self.glass.ready_to_record()
            boot = self.glass.record(self.rig.power.on)
            inner = boot.cut_at(inner_label, self.glass.torn_phases)
            ((_, state),) = boot.images([inner])
            image = CutImage(cut, state, label, inner)
        row = self._judge_alone(image, observer)
        self.replayed_at = observer.place(image)
        if not inner_label and trace.can_be_live(cut):
            self._check_live([cut])
        return row, self._breaches_found()
