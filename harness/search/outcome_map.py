"""What the cuts into one operation have shown so far: where outcomes change, and where something rare turned up."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable

from harness.search.acquisition import Edge, Halo

Gap = tuple[float, float]
Place = Gap | Edge | Halo

FINEST = 1 / 16384
"""A jitter below this share of the operation is not told from it."""
NARROW = 8
"""Width in sigma of a gap that counts as an edge: nearer cuts would only contradict each other."""
EDGES, HALOS = 128, 16
"""Largest numbers of edges and of halos that are looked into."""
RARE_SHARE = 0.2
"""A class that more of the covering cuts lead to is not rare."""


class OutcomeMap:
    """The outcomes of one operation along its time.

    :param length: of the operation. :param sigma_at: how far a cut strays, by its instant.
    :param rare: classes that say that something near by was interrupted. :param bad: classes that are hits.
    :param ends: what is known without a cut: the class at 0 and the class at `length`.
    :ivar edges: where one class gives way to another. :ivar halos: around what is rare.
    """

    def __init__(
        self,
        length: float,
        sigma_at: Callable[[float], float],
        rare: frozenset[str],
        bad: frozenset[str],
        ends: tuple[str, str] | None = None,
    ):
        self._length, self._sigma_at, self._rare, self._bad = length, sigma_at, rare, bad
        self._rare_covers = 0
        # Everything seen, and of that what is neither rare nor within reach of an edge.
        self._all: list[tuple[float, str]] = []
        self._xs: list[float] = [0.0, length] if ends else []
        self._classes: list[str] = [str(end) for end in ends] if ends else []
        self._gaps: list[Gap] | None = None
        self.edges: list[Edge] = []
        self.halos: list[Halo] = []

    def see(self, x: float, outcome: str, *, covers: bool, covered: int) -> None:
        """Take in one cut.

        :param covers: it was one that covers. :param covered: number of covering cuts so far, it included.
        """
        insort(self._all, (x, outcome))
        places: list[Edge | Halo] = [*self.edges, *self.halos]
        for place in places:
            self._show(place, x, outcome)
        if outcome in self._rare:
            self._rare_covers += covers
            self._see_rare(x, outcome, covered)
        elif not any(edge.covers(x) for edge in self.edges):
            at = bisect_right(self._xs, x)
            self._xs.insert(at, x)
            self._classes.insert(at, outcome)
            self._gaps = None

    def _show(self, place: Edge | Halo, x: float, outcome: str) -> None:
        if outcome in self._bad:
            # What there was to be found here has been.
            place.closed |= place.covers(x)
        else:
            place.see(x, outcome)

    def _found(self, place: Edge | Halo) -> None:
        """A new place learns what was seen around it before."""
        first = bisect_left(self._all, (place.middle - place.reach,))
        last = bisect_right(self._all, (place.middle + place.reach, "~"))
        for x, outcome in self._all[first:last]:
            self._show(place, x, outcome)

    def _see_rare(self, x: float, outcome: str, covered: int) -> None:
        if len(self.halos) >= HALOS or self._rare_covers > RARE_SHARE * covered + 3:
            return
        if any(halo.rare == outcome and halo.explains(x) for halo in self.halos):
            return
        halo = Halo(outcome, x, self._blur(x), self._length)
        self._found(halo)
        self.halos.append(halo)

    def _blur(self, x: float) -> float:
        return max(self._sigma_at(x), self._length * FINEST)

    def open_gaps(self) -> list[Gap]:
        """Neighbouring cuts of different classes; where they have come near to each other is an edge."""
        if self._gaps is None:
            self._gaps = []
            xs, classes = self._xs, self._classes
            for i in range(len(xs) - 1):
                if classes[i] == classes[i + 1]:
                    continue
                middle = (xs[i] + xs[i + 1]) / 2
                if any(edge.covers(middle) for edge in self.edges):
                    continue
                blur = self._blur(middle)
                if xs[i + 1] - xs[i] > NARROW * blur:
                    self._gaps.append((xs[i], xs[i + 1]))
                elif len(self.edges) < EDGES:
                    edge = Edge(classes[i], classes[i + 1], middle, blur)
                    edge.closed = not self._bad.isdisjoint((edge.left, edge.right))
                    self._found(edge)
                    self.edges.append(edge)
        return self._gaps
