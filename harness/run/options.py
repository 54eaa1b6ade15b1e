"""Parse --budget, --confidence, --below, --search and --require."""

from __future__ import annotations

import re

from harness.base.errors import CallerError, one_of
from harness.report.proof import REQUIRABLE
from harness.search.search import STRATEGIES
from harness.search.stopping import USUAL, Goal

TIME = "time"
SEARCHES = (*STRATEGIES, TIME)
_UNITS_S = {"h": 3600, "m": 60, "min": 60, "s": 1}
_TIME = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)\s*(?P<unit>h|min|m|s)")


def time_us(text: str) -> int:
    """Return a time in microseconds: "2h", "30m", "90s", or several parts such as "1h30m".

    :raises CallerError: the text is no time.
    """
    parts = list(_TIME.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text.strip().replace(" ", ""):
        raise CallerError("--budget", found=text, expected="a time such as 2h, 30m, 90s or 1h30m")
    us = round(sum(float(part["number"]) * _UNITS_S[part["unit"]] for part in parts) * 1_000_000)
    if us == 0:
        raise CallerError("--budget", found=text, expected="a time above zero")
    return us


def share(option: str, text: str) -> float:
    """Return a share: "99", "99%" and "0.99" are 0.99. A number below 1 without a percent sign is a share already.

    :raises CallerError: the text is no share between 0 % and 100 %.
    """
    number = text.strip().removesuffix("%").strip()
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if text.strip().endswith("%") or value >= 1:
        value /= 100
    if not 0 < value < 1:
        raise CallerError(option, found=text, expected="a share between 0 % and 100 %, such as 99 or 1%")
    return value


def goal(confidence: str | None, below: str | None) -> Goal | None:
    """Return the goal of --confidence and --below; the usual value stands in for one that is missing.

    :raises CallerError: one of them is no share.
    """
    if confidence is None and below is None:
        return None
    return Goal(
        share("--confidence", confidence) if confidence is not None else USUAL.confidence,
        share("--below", below) if below is not None else USUAL.below,
    )


def search(name: str | None) -> str | None:
    """Check --search.

    :raises CallerError: there is no such search.
    """
    if name is not None and name not in SEARCHES:
        raise CallerError(
            "--search",
            found=name,
            expected=one_of(name, list(SEARCHES)),
            mend="docs/search.md says what they do",
        )
    return name


def require(name: str | None) -> str | None:
    """Check --require.

    :raises CallerError: there is no such proof to require.
    """
    if name is not None and name not in REQUIRABLE:
        raise CallerError(
            "--require",
            found=name,
            expected=one_of(name, list(REQUIRABLE)),
            mend="docs/reports.md says what each proves",
        )
    return name
