"""Binomial tail probabilities of up to millions of trials, without a sum over the trials.

P(X <= k) of a binomial X is a regularized incomplete beta function (DLMF 8.17.5). That is computed by its
continued fraction (DLMF 8.17.22) with Lentz's algorithm, which needs about sqrt(n) steps. The factor before the
fraction is a binomial probability, computed as in C. Loader, "Fast and accurate computation of binomial
probabilities" (2000): the large logarithms of factorials cancel by formula, not by subtraction.
"""

from __future__ import annotations

from math import exp, lgamma, log, log1p, pi

_TINY = 1e-300
_EPSILON = 1e-15
_STEPS_MAX = 100_000
_SERIES_FROM = 16
"""From this number on, Stirling's series with four terms is exact to the last bit but one."""


def binomial_pmf(k: int, n: int, p: float) -> float:
    """P(X = k) for n trials that each succeed with probability p; 0 < p < 1, 0 <= k <= n."""
    if k == 0:
        return exp(n * log1p(-p))
    if k == n:
        return exp(n * log(p))
    stirling = _stirling_error(n) - _stirling_error(k) - _stirling_error(n - k)
    deviance = _deviance(k, n * p) + _deviance(n - k, n * (1 - p))
    return exp(stirling - deviance + 0.5 * log(n / (2 * pi * k * (n - k))))


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k) for n trials that each succeed with probability p; 0 <= p <= 1, 0 <= k <= n."""
    if k >= n or p <= 0:
        return 1.0
    if p >= 1:
        return 0.0
    # The fraction converges fast on the far side of the mean. On the near side the complement is computed.
    if k + 1 > (n + 1) * p:
        return max(0.0, 1.0 - _upper_tail(k + 1, n, p))
    return _upper_tail(n - k, n, 1 - p)


def _upper_tail(k: int, n: int, p: float) -> float:
    """P(X >= k), that is the incomplete beta function I_p(k, n - k + 1); 1 <= k <= n, best for k > n p."""
    return min(1.0, binomial_pmf(k, n, p) * (1 - p) * _continued_fraction(k, n - k + 1, p))


def _continued_fraction(a: int, b: int, x: float) -> float:
    """The continued fraction of I_x(a, b) by the modified Lentz algorithm."""
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d or _TINY)
    fraction = d
    for m in range(1, _STEPS_MAX):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / ((1 + even * d) or _TINY)
        c = (1 + even / c) or _TINY
        fraction *= c * d
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / ((1 + odd * d) or _TINY)
        c = (1 + odd / c) or _TINY
        step = c * d
        fraction *= step
        if abs(step - 1) < _EPSILON:
            return fraction
    raise ArithmeticError(f"the incomplete beta function of ({a}, {b}) at {x} does not converge")


def _stirling_error(n: int) -> float:
    """log(n!) - log(sqrt(2 pi n) (n/e)^n): what Stirling's formula leaves out."""
    if n < _SERIES_FROM:
        return lgamma(n + 1) - (n + 0.5) * log(n) + n - 0.5 * log(2 * pi)
    square = 1 / (n * n)
    return (1 / 12 - (1 / 360 - (1 / 1260 - square / 1680) * square) * square) / n


def _deviance(k: int, mean: float) -> float:
    """k log(k / mean) + mean - k."""
    off = k - mean
    return k * log1p(off / mean) - off
