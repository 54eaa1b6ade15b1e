"""What a campaign's rows prove of its operation: only its covering cuts, never those that were aimed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from harness.model.row import Row, is_covering
from harness.search.bounds import CONFIDENCE, upper_bound
from harness.search.window import narrowest_window


def bound(rows: Iterable[Row], confidence: float = CONFIDENCE) -> dict[str, float] | None:
    """Clopper and Pearson: with that confidence, fewer than `below` of all instants violate.

    None without a covering cut that took effect.
    """
    covering = [row["blame"] == "key" for row in rows if is_covering(row)]
    if not covering:
        return None
    below = upper_bound(sum(covering), len(covering), confidence)
    return {"confidence": confidence, "below": round(below, 9)}


def window_ms(
    hits_us: Sequence[float], whole_us: float, sigma_us: float | Callable[[float], float]
) -> float | None:
    """w95 in ms: a window that fails every hit and is wider than this would have been found (95 %).

    :param hits_us: where the covering cuts went, in the operation's own time.
    """
    window = narrowest_window(hits_us, whole_us, sigma_us)
    return round(window / 1000, 3) if window is not None else None
