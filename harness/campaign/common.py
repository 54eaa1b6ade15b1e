"""What all campaigns have in common: what they may spend, who hears of it, and what was judged before."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from harness.campaign.result import Result
from harness.model.key import Operation
from harness.model.rig import Rig
from harness.model.row import Judged, Row
from harness.search.stopping import Allowance

Progress = Callable[[int, int], None]


class CampaignBase(ABC):
    """A campaign's terms.

    :param cuts: at most so many cuts; None for all, or until `harness.search.stopping.USUAL` is reached.
    :param allowance: the same in more detail; then `cuts` is not looked at.
    :param processes: how many observe at the same time, where a key can be copied.
    :param on_progress: called with (done, total).
    :param on_rows: called with evidence rows as soon as they are judged, in plan order.
    :param on_judged: the same, with what a campaign that is taken up again needs of them.
    :param earlier: what was judged of this plan before: its first rows, which are not cut again.
    """

    def __init__(
        self,
        rig: Rig,
        operation: Operation,
        *,
        cuts: int | None = None,
        allowance: Allowance | None = None,
        processes: int = 1,
        on_progress: Progress | None = None,
        on_rows: Callable[[Sequence[Row]], None] | None = None,
        on_judged: Callable[[Sequence[Judged]], None] | None = None,
        earlier: Sequence[Judged] = (),
    ):
        self.allowance = allowance or Allowance(cuts)
        self._processes = processes
        self._on_progress = on_progress or (lambda done, total: None)
        self._on_rows = on_rows or (lambda rows: None)
        self.on_judged = on_judged or (lambda judged: None)
        self._earlier = list(earlier)
        self.result = Result(operation, rig)

    def _hand_on(self, judged: Sequence[Judged]) -> None:
        self.on_judged(judged)
        self._on_rows([one.row for one in judged])

    @abstractmethod
    def _conclude(self) -> None:
        """What the result says at the end, however that came."""

    @contextmanager
    def _working(self) -> Iterator[None]:
        """While a campaign goes on: it is complete if nothing ends it before its time."""
        started = time.monotonic()
        self.result.complete = False
        try:
            yield
            self.result.complete = True
        finally:
            self.result.duration_s += time.monotonic() - started
            self._conclude()
