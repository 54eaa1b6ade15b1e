"""Observe and judge the image of one cut of a twin: boot it, use it through the real client, compare."""

from __future__ import annotations

from typing import Any

from harness.campaign.cut_images import CutImage, Inspection, where
from harness.campaign.home import seeded
from harness.campaign.judging import evidence, with_deaths
from harness.campaign.observe import NO_ANSWER, Seen, complete, observe
from harness.campaign.recording import RecordedOperation
from harness.campaign.worker_pool import Died
from harness.model.instant import CutInstant
from harness.model.judge import Judgement, find_world, stuck
from harness.model.operation import FRESH
from harness.model.row import Row
from harness.search.plan import END
from harness.twin.trace import Cut, State


class ImageObserver(RecordedOperation):
    """Observes and judges images of the recorded operation.

    :ivar action: name of the owner's action between the cut and the last look; "" is none.
    """

    action = ""

    def inspect(self, image: CutImage, cycles: int = 0) -> Inspection:
        """Boot an image and observe it, after a number of power cycles; runs in a worker process."""
        rig, glass, judge = self.rig, self.glass, self.prepared.judge
        glass.restore(image.state)
        for _ in range(cycles):
            rig.power.on()
            rig.power.off()
        boot_ops = glass.writes(rig.power.on)
        with seeded(rig, "look", image.state.digest().hex()):
            seen = observe(rig, self.items, judge.memory, judge.promise)
            seen.boots += 1
            completed = None
            world = None if seen.stuck else find_world(judge.worlds, seen.values, False)
            if world is not None and world.complete is not None:
                memory = judge.memory.copy()
                if (why := complete(rig, world, memory)) is not None:
                    completed = Seen(stuck=why)
                else:
                    completed = observe(rig, self.items, judge.memory, memory)
        return Inspection(seen, completed, boot_ops, tuple(rig.take_deaths()))

    def look_at(self, state: State) -> tuple[Judgement, Seen]:
        """Boot the key on a state of which nobody knows how it came about: (the judge's word on it, what was seen).

        It is judged as if the operation had not been acknowledged.
        """
        image = CutImage(Cut(0, END, 0.0, self.prepared.trace.end_us), state, END)
        found: list[Inspection | Died] = []
        self.pool(lambda _: self.inspect(image), 1).run(1, lambda _, seen: found.append(seen))
        (seen,) = found
        if isinstance(seen, Died):
            return stuck(f"the simulated firmware {seen.how}"), Seen(stuck=seen.how)
        judge = self.prepared.judge
        verdict = judge.verdict(seen.seen, seen.completed, acknowledged=False, since_request_us=None)
        return verdict, seen.seen

    def _acknowledged(self, image: CutImage) -> bool:
        """Had the operation been acknowledged when the power went?"""
        response_us = self.prepared.trace.acknowledged_us
        return response_us is not None and image.cut.at_us >= response_us

    def verdict(self, image: CutImage, found: Inspection | Died) -> Judgement:
        if isinstance(found, Died):
            return stuck(f"the simulated firmware {found.how}")
        verdict = self.prepared.judge.verdict(
            found.seen,
            found.completed,
            acknowledged=self._acknowledged(image),
            since_request_us=image.cut.at_us - self.prepared.trace.requested_us,
        )
        if not found.deaths:
            return verdict
        silent = [name for name, value in found.seen.values.items() if value == NO_ANSWER]
        return with_deaths(verdict, found.deaths, silent)

    def where(self, cut: Cut) -> str:
        """The place of a cut in words: 3.2 ms after "request sent" (flash op 17, erase of page 4, torn)."""
        return where(self.prepared.trace, cut)

    def place(self, image: CutImage) -> str:
        after = f", then {image.nested.label} of the next boot" if image.nested else ""
        home = f", from the home {self.home.name}" if self.home.name != FRESH else ""
        return self.where(image.cut) + after + home

    def _planned(self, image: CutImage) -> Row:
        """The field `planned` of a line of evidence."""
        cut, nested = image.cut, image.nested
        planned: dict[str, Any] = {"flash_op": cut.flash_op, "phase": cut.phase}
        if nested is not None:
            planned["nested"] = {"boot": 1, "flash_op": nested.flash_op, "phase": nested.phase}
        return planned

    def row(self, image: CutImage, found: Inspection | Died, verdict: Judgement, stream: str) -> Row:
        """The line of evidence of one cut."""
        row = evidence(
            self.rig,
            self.operation,
            image.label,
            self._check,
            verdict,
            stream=stream,
            planned=self._planned(image),
            instant=CutInstant.exact(image.cut.at_us).since(self.prepared.trace.start_us),
            acknowledged=self._acknowledged(image),
            landed=True,
            boots=found.seen.boots if isinstance(found, Inspection) else 0,
            home=self.home.name,
            action=self.action,
        )
        row["death"] = found.how if isinstance(found, Died) else None
        return row
