"""What every campaign shares: its terms, its result, and how it hands evidence on."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.campaign.home import Home
from harness.campaign.result import Result
from harness.model.operation import NextAction, Operation
from harness.model.rig import Rig
from harness.model.row import Judged, Row
from harness.search.stopping import Allowance


def _ignore_progress(done: int, total: int) -> None:
    return None


def _ignore_rows(rows: Sequence[Row]) -> None:
    return None


def _ignore_judged(judged: Sequence[Judged]) -> None:
    return None


@dataclass(frozen=True)
class Beside:
    """What a campaign without a budget makes of its operation besides every cut from its own home.

    :ivar sample: number of cuts from its own home, evenly spread; None is every cut.
    :ivar homes: other homes from which the operation is cut, each with the number of its cuts; None is every cut.
    :ivar actions: what an owner does after some of the cuts.
    :ivar second: whether second cuts are made.
    """

    sample: int | None = None
    homes: Sequence[tuple[Home, int | None]] = ()
    actions: Sequence[NextAction] = ()
    second: bool = True


@dataclass(frozen=True)
class CampaignTerms:
    """State, limits and callbacks of every campaign.

    :ivar allowance: limits in cuts and time, and the goal.
    :ivar processes: number of processes that observe at the same time, where a key can be copied.
    :ivar on_progress: called with (done, total).
    :ivar on_rows: called with evidence rows as soon as they are judged, in plan order.
    :ivar on_judged: called with the same rows and what a resumed campaign needs to know of them.
    :ivar beside: what is cut besides; only where no budget limits the campaign.
    :ivar earlier: cuts of this plan that were judged before the run was interrupted: its first ones, in order.
        They are counted and not made again.
    """

    allowance: Allowance = field(default_factory=Allowance)
    processes: int = 1
    on_progress: Callable[[int, int], None] = _ignore_progress
    on_rows: Callable[[Sequence[Row]], None] = _ignore_rows
    on_judged: Callable[[Sequence[Judged]], None] = _ignore_judged
    earlier: Sequence[Judged] = ()
    beside: Beside = Beside()


class CampaignBase(ABC):
    """Keeps a campaign's result and hands its evidence on.

    :ivar allowance: the limits that hold now; more is granted to a campaign that goes on.
    :ivar on_judged: where judged cuts go now; a campaign that goes on writes to another journal.
    """

    def __init__(self, rig: Rig, operation: Operation, terms: CampaignTerms):
        self.allowance = terms.allowance
        self.on_judged = terms.on_judged
        self._processes = terms.processes
        self._on_progress = terms.on_progress
        self._on_rows = terms.on_rows
        self._earlier = list(terms.earlier)
        self._extras = terms.beside
        self.result = Result(operation, rig)

    def _hand_on(self, judged: Sequence[Judged]) -> None:
        self.on_judged(judged)
        self._on_rows([one.row for one in judged])

    @abstractmethod
    def _conclude(self) -> None:
        """Complete the result; called at the end, however the campaign ended."""

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Time the campaign while entered. Its result is complete if no exception ends it."""
        started = time.monotonic()
        self.result.complete = False
        try:
            yield
            self.result.complete = True
        finally:
            self.result.duration_s += time.monotonic() - started
            self._conclude()
