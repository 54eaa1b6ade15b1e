"""What has been seen around one place, and where to cut there next.

Two models, each small enough to be updated after every cut. An `Edge` is where one outcome class gives way to
another: a write that is not atomic shows between them. A `Halo` is where a rare class ("recovered") turned
up: the key had something to mend near by. Both are posteriors over where a window lies and how wide it is;
both allow for there being none, so that what they promise of the next cut falls with every cut in vain.
"""

from __future__ import annotations

from math import erf, exp, sqrt

STEPS = 4
"""Grid steps to one sigma of an edge."""
REACH = 8
"""Sigma on each side within which an edge is looked for."""
WIDTHS = (0, 1, 2, 4, 8, 16, 32)
"""Widths of a window at an edge, in steps; 0 is no window at all."""
NO_WINDOW = 0.4
"""Prior probability that there is no window. The widths share the rest equally: nothing is known of the scale."""
NEAR = 32
"""Sigma on each side within which a window that does not touch the edge is looked for."""
NEAR_WINDOW = 0.4
"""Prior probability of such a window; it falls with the distance from the edge."""
NEAR_HITS = 0.4
"""Assumed share of cuts aimed at such a window that hit it: the window may be narrower than sigma."""

SLIP = 1e-3
"""Assumed share of cuts whose class is not the one that their place implies."""

HALO_RINGS = 16
"""Number of places within half a halo at which its middle may be."""
HALO_SIGMAS = 1.0
"""Half of the narrowest halo, in sigma; each further one is twice as wide."""
HALO_WIDEST = 1 / 32
"""Half of the widest halo, in lengths of the operation."""
SEEN = 0.5
"""Assumed share of cuts in a halo that lead to its rare class."""
CORE = 1 / 8
"""Assumed width of the window, as a share of its halo."""
CORE_HITS = 0.7
"""Assumed share of cuts in the core that hit: below 1, because the window may lie beside the middle."""
WINDOW_IN_HALO = 0.8
"""Prior probability that a halo has a window."""

_LIMIT = 5 * STEPS
_BELOW = [0.5 * (1 + erf(k / STEPS / sqrt(2))) for k in range(-_LIMIT, _LIMIT + 1)]


_CELLS = 2 * REACH * STEPS + 1
_HALF = WIDTHS[-1] // 2


def below(z: float) -> float:
    """P(a standard normal number < z)."""
    return 0.5 * (1 + erf(z / 1.4142135623730951))


class Edge:
    """A place where class `left` gives way to class `right`, with or without a window between them or near.

    :param middle: about where; within `REACH` sigma.
    :param sigma: how far a cut strays.
    """

    def __init__(self, left: str, right: str, middle: float, sigma: float):
        self.left, self.right, self.middle, self.sigma = left, right, middle, sigma
        self.low, self.high = middle - REACH * sigma, middle + REACH * sigma
        self.reach = (NEAR + 3) * sigma
        self.closed = False
        """A hit was made here."""
        share = (1 - NO_WINDOW) / (len(WIDTHS) - 1)
        # weight[width][i]: the middle of the change is at grid point i.
        self._weight = [[share if width else NO_WINDOW] * _CELLS for width in WIDTHS]
        near = [1 / (4 + abs(k)) for k in range(-NEAR, NEAR + 1)]
        # P(a window apart from the edge lies in this cell, of one sigma).
        self._near = [NEAR_WINDOW * w / sum(near) for w in near]
        self._best: tuple[float, float] | None = None

    def covers(self, x: float) -> bool:
        """Return whether x is near enough that its class tells something of this edge."""
        return self.low <= x <= self.high

    def see(self, x: float, outcome: str) -> None:
        """Take in a cut at x that led to this class and was no hit.

        A class that is neither of the edge's two says only that it was no hit.
        """
        if abs(x - self.middle) > self.reach:
            return
        self._pass_by(x)
        if self.covers(x):
            self._weigh(x, outcome)
        self._best = None

    def _pass_by(self, x: float) -> None:
        at = (x - self.middle) / self.sigma + NEAR
        for k in range(max(0, int(at) - 3), min(len(self._near), int(at) + 5)):
            self._near[k] *= 1 - NEAR_HITS * exp(-((k - at) ** 2) / 2)

    def _weigh(self, x: float, outcome: str) -> None:
        # P(the cut took effect before grid point i); this grid begins half the greatest width further left.
        first = (self.low - x) / self.sigma - _HALF / STEPS
        before = [below(first + i / STEPS) for i in range(_CELLS + 2 * _HALF)]
        total = 0.0
        for row, width in enumerate(WIDTHS):
            begin = _HALF - width // 2
            starts = before[begin : begin + _CELLS]
            ends = before[begin + width : begin + width + _CELLS]
            weight = self._weight[row]
            # A class may be wrong once in a while: nothing is quite impossible.
            if outcome == self.left:
                weight = [w * (a + SLIP) for w, a in zip(weight, starts)]
            elif outcome == self.right:
                weight = [w * (1 + SLIP - b) for w, b in zip(weight, ends)]
            else:
                weight = [w * (1 + SLIP - b + a) for w, a, b in zip(weight, starts, ends)]
            self._weight[row] = weight
            total += sum(weight)
        self._weight = [[w / total for w in weight] for weight in self._weight]

    def best(self) -> tuple[float, float]:
        """(where the next cut hits most likely, how likely)."""
        if self._best is None:
            self._best = max(self._best_between(), self._best_near(), key=lambda one: one[1])
        return self._best

    def _best_near(self) -> tuple[float, float]:
        weight = max(self._near)
        # Cells are as wide as a cut strays, so that the neighbours' weight counts as well.
        return self.middle + (self._near.index(weight) - NEAR) * self.sigma, 2 * NEAR_HITS * weight

    def _best_between(self) -> tuple[float, float]:
        # P(hit at x) = sum over grid points g of P(before g) * (P(window ends at g) - P(it starts at g)).
        change = [0.0] * (_CELLS + 2 * _HALF)
        for weight, width in zip(self._weight, WIDTHS):
            if width:
                for i, w in enumerate(weight, start=_HALF - width // 2):
                    if w > 1e-7:
                        change[i] -= w
                        change[i + width] += w
        points = [(g, d) for g, d in enumerate(change) if d]
        best, best_at = 0.0, _HALF
        for at in range(_HALF, _HALF + _CELLS, 2):
            hit = 0.0
            for g, d in points:
                k = g - at + _LIMIT
                if k > 2 * _LIMIT:
                    hit += d
                elif k > 0:
                    hit += d * _BELOW[k]
            if hit > best:
                best, best_at = hit, at
        return self._at(best_at - _HALF), best

    def _at(self, cell: int) -> float:
        return self.low + cell * self.sigma / STEPS

    def median(self) -> float:
        """Where the middle of the change lies, as likely before as after."""
        total = 0.0
        for i, column in enumerate(zip(*self._weight)):
            total += sum(column)
            if total >= 0.5:
                return self._at(i)
        return self.high


class Halo:
    """A place where a rare class was seen.

    :param at: where first.
    :param length: of the operation.
    """

    def __init__(self, rare: str, at: float, sigma: float, length: float):
        self.rare, self.middle, self.sigma = rare, at, sigma
        self.closed = False
        """A hit was made here."""
        self._alive = WINDOW_IN_HALO
        self._cells: list[list[float]] = []
        """[middle, half width, weight]"""
        half = HALO_SIGMAS * sigma
        while not self._cells or half <= length * HALO_WIDEST:
            # The wider a halo, the likelier it is that a cut fell into it: its weight.
            for ring in range(-HALO_RINGS, HALO_RINGS + 1):
                self._cells.append([at + half * ring / HALO_RINGS, half, half])
            self.reach = 2 * half + 4 * sigma
            half *= 2
        self._normalise()
        self._best: tuple[float, float] | None = None

    def covers(self, x: float) -> bool:
        """Return whether x may lie in the halo."""
        return abs(x - self.middle) <= self.reach

    def explains(self, x: float) -> bool:
        """Return whether this halo is a likely cause of its rare class at x."""
        return self.covers(x) and sum(w * self._inside(x, at, half) for at, half, w in self._cells) > 0.04

    def see(self, x: float, outcome: str) -> None:
        """Take in a cut at x that led to this class and was no hit."""
        if not self.covers(x):
            return
        hit = self._hit(x)
        self._alive *= (1 - hit) / (1 - self._alive * hit)
        for cell in self._cells:
            at, half, _ = cell
            inside = self._inside(x, at, half)
            core = CORE_HITS * self._inside(x, at, half * CORE) if inside > 1e-3 else 0.0
            if outcome == self.rare:
                cell[2] *= SEEN * (inside - core) + SLIP
            else:
                cell[2] *= 1 - SEEN * inside - (1 - SEEN) * core
        self._normalise()
        self._best = None

    def draw(self, at: float) -> float:
        """Choose where to cut next: draw the middle of the halo from its posterior, by a number in [0, 1).

        Always to cut where a hit is likeliest is to stay where the class was seen first: how far a halo reaches,
        and so where its middle is, shows only at its ends.
        """
        for middle, _, weight in self._cells:
            at -= weight
            if at < 0:
                return middle
        return self.middle

    def best(self) -> tuple[float, float]:
        """(where the next cut hits most likely, how likely)."""
        if self._best is None:
            top = sorted(self._cells, key=lambda cell: -cell[2] / cell[1])[:8]
            hit, at = max((self._hit(cell[0]), cell[0]) for cell in top)
            self._best = at, hit * self._alive
        return self._best

    def _hit(self, x: float) -> float:
        """P(a cut at x hits), if there is a window."""
        return CORE_HITS * sum(w * self._inside(x, middle, half * CORE) for middle, half, w in self._cells)

    def _inside(self, x: float, middle: float, half: float) -> float:
        near = middle - x
        if abs(near) > half + 4 * self.sigma:
            return 0.0
        return below((near + half) / self.sigma) - below((near - half) / self.sigma)

    def _normalise(self) -> None:
        total = sum(cell[2] for cell in self._cells)
        for cell in self._cells:
            cell[2] /= total
        # What is next to impossible only costs time.
        self._cells = [cell for cell in self._cells if cell[2] > 1e-6]
