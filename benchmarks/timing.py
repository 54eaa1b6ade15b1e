"""Medians of repeated measurements, and two of them beside each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def seconds_each(act: Callable[[T], object], things: Sequence[T]) -> float:
    """The mean over things."""
    return seconds(lambda: [act(thing) for thing in things]) / len(things)


def cpu_seconds_each(act: Callable[[T], object], things: Sequence[T]) -> float:
    """The mean over things, of this process's CPU time: what else runs on the machine counts little."""
    began = time.process_time()
    for thing in things:
        act(thing)
    return (time.process_time() - began) / len(things)


@dataclass(frozen=True)
class Beside:
    """Two things measured in turn, so that what disturbs the machine disturbs both.

    :ivar ours_s: seconds, median. :ivar other_s: the alternative's.
    :ivar ratio: median of the ratios ours / other of each turn.
    """

    name: str
    ours: str
    other: str
    ours_s: float
    other_s: float
    ratio: float
    repeats: int


def beside(
    name: str,
    ours: str,
    our_time: Callable[[], float],
    other: str,
    other_time: Callable[[], float],
    repeats: int,
) -> Beside:
    """Measure both `repeats` times; each callable returns seconds."""
    turns = [(our_time(), other_time()) for _ in range(repeats)]
    return Beside(
        name=name,
        ours=ours,
        other=other,
        ours_s=statistics.median(turn[0] for turn in turns),
        other_s=statistics.median(turn[1] for turn in turns),
        ratio=statistics.median(turn[0] / turn[1] for turn in turns),
        repeats=repeats,
    )
