"""Show results to a person: what repeats stands in one line, and a total at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TextIO

from harness.doctor.context import CheckResult, Level

NAMED_MAX = 8
"""Rigs or lines of one group that are shown; the others are counted."""
_WORDS: dict[Level, str] = {"ok": "ok", "warn": "warning", "fault": "fault"}


def show(found: Sequence[CheckResult], out: TextIO) -> None:
    """Write all results in their order, each group where its first stands, and the total."""
    widest = max((len(one.rig) for one in found if one.rig is not None), default=0)
    for group in _groups(found):
        first = group[0]
        if first.rig is None or len(group) == 1:
            rig = "" if first.rig is None else f"rig {first.rig:<{widest}}  "
            _write(f"{rig}{first.level:<6} ", [one.text for one in group], first.mend, out)
        else:
            names = [str(one.rig) for one in group]
            said = f"{len(group)} rigs: {_without_name(first)[0]} ({', '.join(_some(names))})"
            _write(f"{first.level:<6} ", [said], _without_name(first)[1], out)
    out.write(f"{total(found)}\n")


def totals(found: Iterable[CheckResult]) -> dict[str, int]:
    """Return the number of results of each level."""
    counted = Counter(one.level for one in found)
    return {level: counted[level] for level in _WORDS}


def total(found: Iterable[CheckResult]) -> str:
    """Say how many results there are of each level, and what that means for a run."""
    counts = totals(found)
    parts = [f"{counts['ok']} ok"]
    parts += [_counted(counts[level], word) for level, word in _WORDS.items() if level != "ok"]
    means = "mend the faults before a run" if counts["fault"] else "nothing keeps a run from working"
    return f"total  {', '.join(parts)}: {means}"


def _groups(found: Sequence[CheckResult]) -> list[list[CheckResult]]:
    groups: dict[tuple[object, ...], list[CheckResult]] = {}
    for number, one in enumerate(found):
        if one.level == "ok":
            # Each says something of its own.
            groups[(number,)] = [one]
        elif one.rig is None:
            groups.setdefault((one.check, one.level, one.mend), []).append(one)
        else:
            groups.setdefault((one.check, one.level, *_without_name(one)), []).append(one)
    return list(groups.values())


def _without_name(one: CheckResult) -> tuple[str, str | None]:
    """The text and what to do about it, with RIG for the rig's own name."""
    rig = str(one.rig)

    def general(text: str) -> str:
        return " ".join(
            "RIG" if word == rig else word for word in text.replace(f" {rig}`", " RIG`").split(" ")
        )

    return general(one.text), None if one.mend is None else general(one.mend)


def _write(head: str, texts: Sequence[str], mend: str | None, out: TextIO) -> None:
    room = " " * len(head)
    for number, text in enumerate(_some(texts)):
        out.write((room if number else head) + text.replace("\n", "\n" + room) + "\n")
    if mend is not None:
        out.write(f"{room}mend: {mend}\n")


def _some(texts: Sequence[str]) -> list[str]:
    left = len(texts) - NAMED_MAX
    return [*texts[:NAMED_MAX], *([f"and {left} more"] if left > 0 else [])]


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
