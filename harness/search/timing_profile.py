"""How long an operation takes and what is seen on its transport, from a few uncut runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import hypot, sqrt
from typing import Any

from harness.model.memory import Memory
from harness.search.plan import END, START

TAIL_SHARE, TAIL_US = 0.05, 1_000
"""Cuts are planned until so long after the end, because what was acknowledged a moment ago must last."""
SIGMA_US_MIN = 20.0
"""No clock of a transport tells instants apart better."""
_REFERENCE_FIELD = "rival_us"
"""What journals call `reference_us`; kept, so that runs which were interrupted can be resumed."""


@dataclass(frozen=True)
class UncutRun:
    """One run of the operation without a cut.

    :ivar marks: name -> when, from the start; `end` is when the operation returned.
    :ivar status: what the last response said.
    :ivar off_us: when the power went, from the start.
    """

    marks: dict[str, int]
    memory: Memory
    status: int | None
    off_us: int = 0

    @property
    def last(self) -> str | None:
        """The name of the last response."""
        return next((name for name in reversed(self.marks) if name.startswith("response")), None)

    @property
    def lived_on_us(self) -> int:
        """How long the key kept its power after its last answer."""
        return self.off_us - self.marks[self.last or END]

    @property
    def requests(self) -> int:
        return sum(1 for name in self.marks if name.startswith("request-sent"))


@dataclass(frozen=True)
class TimingProfile:
    """What the search knows of an operation, in microseconds from its start.

    :ivar markers: (name, when) of what every run shows, in order; the first is `start`.
    :ivar length_us: of the operation; `tail_us`: so long after it is still cut.
    :ivar sigma_us: how far a cut strays from where it was meant to be, apart from drift.
    :ivar drift: by how much the time after a marker varies from run to run, as a share of it.
    :ivar boot_us: how long the key takes to come up.
    :ivar reference_us: how long after its request the reference operation is acknowledged, at most (invariant P1).
    :ivar last, status, requests: the last response, what it said, and how many requests there are.
    :ivar steady: whether every run has the same last response.
    :ivar lead_us: how long it takes from the switch's command until the power is gone, where that was measured.
    :ivar begin_us: when the first byte is sent. Before it the client opens a device that does nothing yet: cuts there
        would make every bound better than it is.
    """

    markers: tuple[tuple[str, int], ...]
    length_us: int
    tail_us: int
    sigma_us: float
    drift: float
    boot_us: int
    reference_us: int | None
    last: str | None
    status: int | None
    requests: int
    steady: bool
    lead_us: int = 0
    begin_us: int = 0

    def row(self) -> dict[str, Any]:
        """As JSON, for the journal: a resumed campaign goes on with the same profile."""
        row = {**asdict(self), "markers": [list(marker) for marker in self.markers]}
        row[_REFERENCE_FIELD] = row.pop("reference_us")
        return row

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> TimingProfile:
        """Read what `row` wrote."""
        markers = tuple((name, at_us) for name, at_us in row["markers"])
        rest = {name: value for name, value in row.items() if name not in ("markers", _REFERENCE_FIELD)}
        return cls(markers=markers, reference_us=row[_REFERENCE_FIELD], **rest)

    @property
    def whole_us(self) -> int:
        return self.length_us + self.tail_us

    def anchored(self, time_us: int) -> tuple[str, int]:
        """(the last marker before an instant, how long before)."""
        name, at_us = next(marker for marker in reversed(self.markers) if marker[1] <= time_us)
        return name, time_us - at_us


def measured_profile(
    runs: Sequence[UncutRun],
    *,
    boot_us: int,
    reference_us: int | None,
    late_us: Sequence[float],
    release_us: tuple[int, int] = (0, 0),
    lead_us: int = 0,
    powered: bool = False,
) -> TimingProfile:
    """The profile that several uncut runs show together.

    :param late_us: how late trial shots of the cutter were.
    :param release_us: the switch's shortest and longest delay.
    :param lead_us: how much earlier than wanted the switch is told.
    :param powered: the key has power before the operation starts, which begins with the first byte then.
    """
    unsure_us = release_us[1] - release_us[0]
    markers = stable_markers(runs)
    sigma_us, drift = _spread(runs, [name for name, _ in markers])
    length_us = round(statistics.median(run.marks[END] for run in runs))
    jitter_us = statistics.stdev(late_us) if len(late_us) > 1 else 0.0
    return TimingProfile(
        markers=tuple(markers),
        length_us=length_us,
        # The last cuts that surely lie inside leave out the switch's own uncertainty: it is planned beyond the end.
        tail_us=max(TAIL_US, round(length_us * TAIL_SHARE), min(unsure_us, length_us)),
        sigma_us=round(max(SIGMA_US_MIN, hypot(sigma_us, jitter_us, unsure_us / sqrt(12))), 3),
        drift=round(drift, 6),
        boot_us=boot_us,
        reference_us=reference_us,
        last=runs[0].last,
        status=runs[0].status,
        requests=runs[0].requests,
        steady=all(run.last == runs[0].last for run in runs),
        lead_us=lead_us,
        begin_us=markers[1][1] if powered and len(markers) > 1 else 0,
    )


def stable_markers(runs: Sequence[UncutRun]) -> list[tuple[str, int]]:
    """Markers that every run has in the same order, with the median of when they were seen."""
    common = [name for name in runs[0].marks if name != END and all(name in run.marks for run in runs)]
    orders = [[name for name in run.marks if name in common] for run in runs]
    if any(order != orders[0] for order in orders):
        common = [name for name in common if not name.startswith("keepalive")]
    markers = [(START, 0)]
    for name in common:
        at_us = round(statistics.median(run.marks[name] for run in runs))
        if at_us >= markers[-1][1]:
            markers.append((name, at_us))
    return markers


def _spread(runs: Sequence[UncutRun], names: Sequence[str]) -> tuple[float, float]:
    """(how much the steadiest time between two markers strays, by what share of it the others do)."""
    if len(runs) < 2:
        return 0.0, 0.0
    strays, squares, means = [], 0.0, 0.0
    for before, after in zip(names, [*names[1:], END]):
        spans = [run.marks[after] - run.marks.get(before, 0) for run in runs]
        strays.append(statistics.stdev(spans))
        squares += strays[-1] ** 2
        means += statistics.mean(spans) ** 2
    return min(strays), sqrt(squares / means) if means else 0.0
