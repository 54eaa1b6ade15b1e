"""What many cases say together: counts by firmware and signature, and how often a key fails, with an interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, lgamma, log

from harness.base.versions import version_key
from harness.field.cases import Case

CONFIDENCE = 0.95
NO_SIGNATURE = "unexplained"
_STEPS = 80


@dataclass(frozen=True)
class Rate:
    """Failures over what the keys went through until then.

    :ivar per: "month" or "plug". :ivar exposure: of all keys together. :ivar keys: whose exposure is known.
    :ivar low, high: between which rates the true one is, with 95 %.
    """

    per: str
    failures: int
    exposure: float
    keys: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        return self.failures / self.exposure

    @property
    def words(self) -> str:
        """In words: once in 5.8 months (95 %: once in 1.0 to 229 months)."""
        longest = _round(1 / self.low) if self.low else "any number of"
        keys = "1 key" if self.keys == 1 else f"{self.keys} keys"
        return (
            f"once in {_round(1 / self.rate)} {self.per}s "
            f"(95 %: once in {_round(1 / self.high)} to {longest} {self.per}s; {keys})"
        )


def _round(number: float) -> str:
    """Three digits that count."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def poisson_interval(count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Garwood's exact interval of a Poisson mean (Biometrika 28, 1936), of which `count` events were seen.

    :raises ValueError: a negative count, or a confidence that is not between 0 and 1.
    """
    if count < 0 or not 0 < confidence < 1:
        raise ValueError(f"a count and a confidence, not {count} and {confidence}")
    tail = (1 - confidence) / 2
    # P(X >= count) rises with the mean, P(X <= count) falls.
    low = 0.0 if count == 0 else _where(lambda mean: 1 - _at_most(count - 1, mean) < tail, count)
    return low, _where(lambda mean: _at_most(count, mean) > tail, count)


def _where(below: Callable[[float], bool], count: int) -> float:
    """The mean at which `below` turns from true to false."""
    least, most = 0.0, 20.0 + 4 * count
    for _ in range(_STEPS):
        middle = (least + most) / 2
        least, most = (middle, most) if below(middle) else (least, middle)
    return (least + most) / 2


def _at_most(count: int, mean: float) -> float:
    """P(X <= count) of a Poisson variable."""
    if mean <= 0:
        return 1.0
    return min(1.0, sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(count + 1)))


def rate(per: str, told: Iterable[tuple[int, float]]) -> Rate | None:
    """The rate over keys of which it is told; None if of none.

    :param told: (failures, exposure) of each key.
    """
    pairs = list(told)
    if not pairs:
        return None
    failures, exposure = sum(one for one, _ in pairs), sum(one for _, one in pairs)
    low, high = poisson_interval(failures)
    return Rate(per, failures, exposure, len(pairs), low / exposure, high / exposure)


def rates(cases: Sequence[Case]) -> list[Rate]:
    """Per month and per plug, as far as it is told.

    Only keys that failed are in it: those that never did are known to nobody, so the true rate of all keys is lower.
    """
    months = rate("month", ((1, one.months) for one in cases if one.months is not None))
    plugs = rate("plug", ((one.failures, float(one.plugs)) for one in cases if one.plugs is not None))
    return [found for found in (months, plugs) if found is not None]


def counted(cases: Sequence[Case]) -> dict[tuple[str, str], int]:
    """(firmware at the failure, signature) -> in how many cases; a case without one is unexplained."""
    found = Counter(
        (case.version, name) for case in cases for name in dict.fromkeys(case.signatures or [NO_SIGNATURE])
    )
    return dict(
        sorted(found.items(), key=lambda one: (version_key(one[0][0]), one[0][0], -one[1], one[0][1]))
    )
