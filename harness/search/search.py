"""Where to cut next, when only a time can be chosen.

    search = Search("hybrid", seed=1, length=120_000, sigma=150, markers=[("request-sent-1", 800)])
    cut = search.ask()
    search.tell(cut, "old")

Pure: no input or output, no clock, no randomness but the seed's. It learns of the key what class of outcome
each cut led to, nothing else. The unit of time is the caller's.

The hybrid has two halves. Covering cuts are the next points of a fixed, scrambled sequence, whatever was
seen; they alone carry the statistics. Between them it refines: gaps between two classes are halved, the
narrowest first; then it aims where `harness.search.acquisition` says, and covers again as soon as a hit there is less
likely than finding something new.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from harness.base.seeds import child, unit
from harness.model.outcome import VIOLATIONS, Outcome
from harness.search.acquisition import Edge, Halo
from harness.search.low_discrepancy import cover
from harness.search.outcome_map import OutcomeMap, Place

Strategy = Literal["hybrid", "random", "sweep", "vdc"]
StreamName = Literal["cover", "refine", "halo"]
STRATEGIES: tuple[Strategy, ...] = ("hybrid", "random", "sweep", "vdc")

SWEEP = 1000
"""Steps of one sweep; the next one lies between them."""
AGAIN = 2
"""How often a covering cut that missed is asked for again, so that it leaves no hole."""

ALWAYS_COVER = 1 / 5
"""Smallest share of all cuts that cover."""
COVER_HITS = 0.35
"""The n-th covering cut is taken to hit with a probability of so much / n, as if all scales were alike."""
GAP_HITS = 0.1
"""How likely halving a gap is to hit: the window is as likely of one scale as of another."""
REFINE = (22, 0.2)
"""Number of cuts that may refine, and of further ones for each that covers: what is hidden is found little later."""
HALO = (20, 0.5)
"""The same for cuts in halos."""


@dataclass(frozen=True)
class CutRequest:
    """One cut to be made.

    :ivar number: its place in the plan, from 0.
    :ivar marker: fired so long after this marker was seen ...
    :ivar offset: ... as this.
    :ivar stream: only those that cover say something of all instants.
    :ivar time: where that is in the operation's own time, from its start.
    """

    number: int
    marker: str
    offset: float
    stream: StreamName
    time: float


class Search:
    """Chooses cuts into one operation.

    Results may be told in any order; cuts may be asked for before earlier ones are told. What `ask` answers
    depends on the seed and on what has been told of which cut by then, never on the order of telling. A
    search is taken up again by asking and telling what had been done.

    :param length: of the operation, with the time after it in which cuts are still made.
    :param sigma: standard deviation of the instant at which a cut takes effect.
    :param markers: (name, when it is seen), from the operation's start. Cuts are anchored to the last one
        before them.
    :param drift: by how much the time after a marker varies from run to run, as a share of it.
    :param reaction: how long after a marker the earliest cut can be that is anchored to it.
    :param start: the name of the marker at 0.
    :param ends: what is known without a cut: the class at 0 and the class at `length`.
    :param rare: classes that say that something near by was interrupted.
    :param bad: classes that are hits.
    """

    def __init__(
        self,
        strategy: Strategy = "hybrid",
        *,
        seed: int | bytes,
        length: float,
        sigma: float,
        markers: Sequence[tuple[str, float]] = (),
        drift: float = 0.0,
        reaction: float = 0.0,
        start: str = "start",
        ends: tuple[str, str] | None = None,
        rare: Iterable[str] = (Outcome.RECOVERED,),
        bad: Iterable[str] = VIOLATIONS,
    ):
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy is {strategy!r}; there are {', '.join(STRATEGIES)}")
        if not length > 0:
            raise ValueError(f"length is {length}; it must be above 0")
        if sigma < 0 or drift < 0 or reaction < 0:
            raise ValueError(f"sigma {sigma}, drift {drift}, reaction {reaction}: none may be below 0")
        self.strategy, self.length, self.sigma, self.drift = strategy, length, sigma, drift
        self.markers = [(start, 0.0), *sorted(markers, key=lambda one: one[1])]
        self._marks = [at for _, at in self.markers]
        self.reaction = reaction
        self.rare, self.bad = frozenset(map(str, rare)), frozenset(map(str, bad))
        self._seed = child(seed, "search", strategy)
        self._asked = self._covered = 0
        self._spent: Counter[str] = Counter()
        self._open: dict[int, CutRequest] = {}
        self._busy: dict[int, Place] = {}
        self._heard: list[tuple[CutRequest, str, float]] = []
        self._again: list[tuple[float, int]] = []
        self._turns: dict[int, int] = {}
        self._map = OutcomeMap(
            length, self.sigma_at, self.rare, self.bad, (str(ends[0]), str(ends[1])) if ends else None
        )

    # Asking and telling.

    def ask(self) -> CutRequest:
        """The next cut."""
        self._learn()
        number = self._asked
        self._asked += 1
        place: Place | None = None
        stream: StreamName = "cover"
        if self.strategy == "hybrid" and self._covered >= ALWAYS_COVER * number:
            rate, place = self._likeliest()
            if rate <= COVER_HITS / (self._covered + 1):
                place = None
        if place is None:
            time = self._cover(number)
        else:
            time = min(max(self._aim(place, number), 0.0), self.length)
            stream = "halo" if isinstance(place, Halo) else "refine"
            self._spent[stream] += 1
            self._busy[number] = place
        name, at = self.markers[self._anchor(time)]
        cut = CutRequest(number, name, time - at, stream, time)
        self._open[number] = cut
        return cut

    def tell(self, cut: CutRequest, outcome: str, landed: float | None = None) -> None:
        """What a cut led to.

        :param outcome: a class of `harness.model.outcome.Outcome`; `missed` if it took no effect in the operation.
        :param landed: where it was measured to have gone, in the operation's own time, if that is known.
        :raises ValueError: this cut was not asked for, or has been told.
        """
        if self._open.get(cut.number) != cut:
            raise ValueError(f"cut {cut.number} was not asked for, or has been told already")
        del self._open[cut.number]
        self._heard.append((cut, str(outcome), cut.time if landed is None else landed))

    def sigma_at(self, x: float) -> float:
        """How far a cut at x strays: more, the longer its marker has gone by."""
        return sqrt(self.sigma**2 + (self.drift * (x - self._marks[self._anchor(x)])) ** 2)

    def edges(self) -> list[tuple[str, str, float]]:
        """(class before, class after, about where) of each change of outcome that was found."""
        self._learn()
        self._map.open_gaps()
        return sorted(((e.left, e.right, e.median()) for e in self._map.edges), key=lambda edge: edge[2])

    def _anchor(self, x: float) -> int:
        """The number of the last marker that is seen early enough to cut at x."""
        return max(bisect_right(self._marks, x - self.reaction) - 1, 0)

    # Where.

    def _cover(self, number: int) -> float:
        """The next point of the sequence, or one again that was missed."""
        if self._again:
            time, self._turns[number] = self._again.pop(0)
            return time
        index = self._covered
        self._covered += 1
        if self.strategy == "random":
            return unit(self._seed, index) * self.length
        if self.strategy == "sweep":
            turn, step = divmod(index, SWEEP)
            within = 0.5 if turn == 0 else cover(1, self._seed, turn)[0]
            return (step + within) / SWEEP * self.length
        return cover(1, self._seed, index)[0] * self.length

    def _likeliest(self) -> tuple[float, Place | None]:
        """(how likely the next cut there hits, where); not where one is being made."""
        best: tuple[float, Place | None] = (0.0, None)
        busy = list(self._busy.values())
        gaps = self._map.open_gaps()
        if self._may("refine", REFINE):
            if free := [gap for gap in gaps if gap not in busy]:
                best = GAP_HITS, min(free, key=lambda gap: gap[1] - gap[0])
            best = self._better(best, self._map.edges, busy)
        if self._may("halo", HALO):
            best = self._better(best, self._map.halos, busy)
        return best

    def _may(self, stream: StreamName, limit: tuple[int, float]) -> bool:
        return self._spent[stream] < limit[0] + limit[1] * self._covered

    def _better(
        self, best: tuple[float, Place | None], places: Sequence[Edge | Halo], busy: list[Place]
    ) -> tuple[float, Place | None]:
        for place in places:
            rate = 0.0 if place.closed else place.best()[1]
            if rate > best[0] and not any(place is one for one in busy):
                best = rate, place
        return best

    def _aim(self, place: Place, number: int) -> float:
        if isinstance(place, tuple):
            return (place[0] + place[1]) / 2
        if isinstance(place, Halo):
            return place.draw(unit(self._seed, "halo", number))
        return place.best()[0]

    # Learning.

    def _learn(self) -> None:
        """Take in what was told since the last cut was asked for, in the order of the plan."""
        heard, self._heard = sorted(self._heard, key=lambda heard: heard[0].number), []
        for cut, outcome, x in heard:
            self._busy.pop(cut.number, None)
            turn = self._turns.pop(cut.number, 0)
            if outcome == Outcome.MISSED:
                if cut.stream == "cover" and turn < AGAIN:
                    self._again.append((cut.time, turn + 1))
            elif self.strategy == "hybrid":
                self._map.see(x, outcome, covers=cut.stream == "cover", covered=self._covered)
