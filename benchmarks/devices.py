"""Synthetic devices with a window in which a cut does harm; the operation lasts 1.

`old` before b1, `bootloader` up to b2, then `new`; `torn` in the window. A cut takes effect at the instant it
was commanded for plus a normal deviate, and with drift another one that grows from marker to marker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

BAD = "torn"
CHUNKS = 64


@dataclass(frozen=True)
class Scenario:
    """One kind of window.

    :ivar width: of the window. :ivar sigma: of the instant that takes effect.
    :ivar drift: by how much the operation's speed varies. :ivar markers: their number; they are evenly spread.
    """

    name: str
    kind: str
    width: float
    sigma: float
    drift: float = 0.0
    markers: int = 1

    def device(self, number: int) -> Device:
        """Device `number` of the fixed list; those from 5000 on were never tuned on."""
        return Device(self, number)


class Device:
    """One device; `cut(x)` says what a cut commanded for x led to, and nothing else."""

    def __init__(self, scenario: Scenario, number: int):
        self._scenario = scenario
        self._random = random = Random(f"{scenario.kind} {scenario.width} {scenario.sigma} {number}")
        self.b1, self.b2 = random.uniform(0.1, 0.3), random.uniform(0.55, 0.9)
        width = scenario.width
        self.at = random.choice((self.b1, self.b2))
        if scenario.kind in ("hidden", "halo"):
            self.at = random.uniform(0, 1 - width)
        elif scenario.kind == "near":
            self.at += random.uniform(-8, 8) * width
        self._bad: Callable[[float], bool] = {
            "periodic": self._periodic,
            "scattered": self._scattered,
        }.get(scenario.kind, self._window)
        self._phase = random.random() * 0.95
        self._places = [random.uniform(i / 20, (i + 1) / 20 - width / 20) for i in range(20)]

    def _window(self, x: float) -> bool:
        return self.at <= x < self.at + self._scenario.width

    def _periodic(self, x: float) -> bool:
        """Each of 64 chunks is vulnerable in `width` of its length."""
        return 0 <= x * CHUNKS % 1 - self._phase < self._scenario.width

    def _scattered(self, x: float) -> bool:
        """20 windows of width / 20."""
        return any(0 <= x - place < self._scenario.width / 20 for place in self._places)

    def cut(self, x: float) -> str:
        scenario, random = self._scenario, self._random
        y = x + random.gauss(0, scenario.sigma)
        if scenario.drift:
            y += random.gauss(0, scenario.drift) * (x - int(x * scenario.markers) / scenario.markers)
        if self._bad(y):
            return BAD
        if scenario.kind == "halo":
            near = self.at - 5 * scenario.width <= y < self.at + 6 * scenario.width
            if near and random.random() < 0.5:
                return "recovered"
        return "old" if y < self.b1 else "bootloader" if y < self.b2 else "new"
