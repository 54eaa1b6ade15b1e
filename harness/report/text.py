"""A run as lines of text for a terminal: pure functions of a summary.

How it ended is in `harness.report.verdict_text`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from harness.report import vocabulary
from harness.report.vocabulary import counted, number

Row = Mapping[str, Any]
Groups = Mapping[str, Mapping[str, int]]
"""Suite -> test file -> number of cases."""

Paint = Callable[[str, str], str]
"""(text, tone) -> the text in that tone: "good", "bad", "warn", "dim", "strong"."""

CAMPAIGN_SUITE = "endurance"
"""Campaigns are listed under this suite, unless the caller names another."""
BAR = 16


def plain(text: str, tone: str) -> str:
    """Return the text without colour."""
    return text


def ansi(text: str, tone: str) -> str:
    """Colour the text from the terminal's own palette, which its user chose."""
    code = {"good": "1;32", "bad": "1;31", "warn": "1;33", "dim": "2", "strong": "1"}[tone]
    return f"\x1b[{code}m{text}\x1b[0m"


def headline(head: Row, paint: Paint = plain) -> str:
    """Return e.g. keyharness 0.1.0 · bench virtual.toml · seed 20261120 · run 20261120-093012-7c1e"""
    parts = [f"keyharness {head.get('version') or ''}".strip()]
    if head.get("bench"):
        parts.append(f"bench {PurePath(head['bench']).name}")
    if head.get("seed") is not None:
        parts.append(f"seed {head['seed']}")
    parts.append(f"run {head['run']}")
    return paint(parts[0], "strong") + "".join(f" · {part}" for part in parts[1:])


def folded(text: str, width: int) -> list[str]:
    """Break a line of parts between two of them; a part that is wider than the terminal stays whole."""
    first, *parts = text.split(" · ")
    lines = [first]
    for part in parts:
        if len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(f"    {part}")
    return lines


def rig_lines(head: Row) -> list[str]:
    """Describe each rig in a line."""
    rigs = head.get("rigs") or []
    kinds = head.get("evidence_kind") or []
    one = kinds if isinstance(kinds, str) else kinds[0] if len(kinds) == 1 else None
    width = max((len(rig["name"]) for rig in rigs), default=0)
    return [f"  {rig['name']:<{width}}   {' · '.join(_rig_parts(rig, one))}" for rig in rigs]


def _rig_parts(rig: Row, kind: str | None) -> list[str]:
    kind = rig.get("evidence_kind") or kind
    person = f"personality {rig['personality']}" if rig.get("personality") else None
    parts = [
        rig.get("title") or rig.get("key"),
        ", ".join(part for part in (kind, person) if part),
        f"firmware {rig['firmware']}" if rig.get("firmware") else None,
        rig.get("about"),
        "nothing is written to it" if rig.get("expendable") is False else None,
    ]
    return [part for part in parts if part]


def suite_lines(
    summary: Row,
    groups: Groups | None = None,
    *,
    campaign_suite: str = CAMPAIGN_SUITE,
    active: Sequence[str] = (),
    more: str = "",
    width: int = 120,
    paint: Paint = plain,
) -> list[str]:
    """Return a line for each suite, and under the suite of campaigns a line for each operation.

    :param active: lines of campaigns that are under way. :param more: a sentence about operations that have no line.
    """
    suites: Mapping[str, Row] = summary["suites"]
    operations: Sequence[Row] = summary["operations"]
    names = list(suites)
    if (operations or active) and campaign_suite not in names:
        names.append(campaign_suite)
    asides = {
        name: " · ".join(f"{g} {n}" for g, n in ((groups or {}).get(name) or {}).items()) for name in names
    }
    name_width = max((len(name) for name in names), default=0)
    aside_width = max((len(aside) for aside in asides.values()), default=0)
    lines = []
    for name in names:
        counts = _suite_counts(suites[name], paint) if name in suites else ""
        bare = _suite_counts(suites[name], plain) if name in suites else ""
        start, aside = f"  {name:<{name_width}}   ", asides[name]
        if len(start) + aside_width + 4 + len(bare) <= width:
            lines.append(f"{start}{aside:<{aside_width}}{'    ' if aside_width else ''}{counts}".rstrip())
        else:
            rest = [aside] if aside else []
            lines += [
                (start if i == 0 else " " * len(start)) + part for i, part in enumerate([*rest, counts])
            ]
        if name == campaign_suite:
            lines += operation_lines(operations, several_rigs=several_rigs(summary), width=width, paint=paint)
            lines += [*active, *([f"    {more}"] if more else [])]
    return lines


def several_rigs(summary: Row) -> bool:
    """Return whether operations have to be named together with their rig."""
    return len(summary["rigs"]) > 1 or len({op["rig"] for op in summary["operations"]}) > 1


def _suite_counts(suite: Row, paint: Paint) -> str:
    parts = [f"{number(suite['passed'])} passed"]
    for key, word in (("failed", "failed"), ("error", "broken")):
        if suite[key]:
            parts.append(paint(f"{number(suite[key])} {word}", "bad"))
    if suite.get("deviation"):
        parts.append(paint(counted(suite["deviation"], "deviation"), "warn"))
    if suite["not_offered"]:
        parts.append(f"{number(suite['not_offered'])} not offered by this key")
    parts.append(f"{number(suite['skipped'])} not run")
    return " · ".join(parts)


def operation_name(rig: str, operation: str, several_rigs: bool) -> str:
    """Return an operation's name, after its rig if there are several rigs."""
    return f"{rig} {operation}" if several_rigs else operation


def bar(done: int, total: int, width: int = BAR) -> str:
    """Draw a bar such as █████████▌······"""
    halves = min(2 * width, (2 * width * done) // total) if total else 0
    full, half = divmod(halves, 2)
    return "█" * full + "▌" * half + "·" * (width - full - half)


def operation_lines(
    operations: Sequence[Row], *, several_rigs: bool = False, width: int = 120, paint: Paint = plain
) -> list[str]:
    """Return a line for each finished campaign. On a narrow terminal it lacks the bar, then the proof.

    Where not even the outcomes fit, violations are said first.
    """
    names = [operation_name(op["rig"], op["operation"], several_rigs) for op in operations]
    cuts_said = [counted(op["cuts"], "cut") for op in operations]
    room = width - 9 - max(map(len, names), default=0) - max(map(len, cuts_said), default=0)
    columns = [
        (name, cuts, _shares(op.get("outcomes") or {}, room), vocabulary.proof(op))
        for op, name, cuts in zip(operations, names, cuts_said)
    ]
    name_w, cuts_w, said_w, proof_w = (max((len(row[i]) for row in columns), default=0) for i in range(4))
    needed = 4 + name_w + 3 + cuts_w + 2 + said_w
    with_proof = needed + 3 + proof_w <= width
    with_bar = needed + with_proof * (3 + proof_w) + BAR + 2 <= width
    lines = []
    for op, (name, cuts, said, proved) in zip(operations, columns):
        start = f"    {name:<{name_w}}   {bar(1, 1) + '  ' if with_bar else ''}{cuts:>{cuts_w}}  "
        tail = f"{said:<{said_w}}   {proved}" if with_proof else said
        lines.append((start + (paint(tail, "bad") if op.get("violations") else tail)).rstrip())
    return lines


def _shares(outcomes: Mapping[str, int], room: int) -> str:
    """Say the outcomes; if there is no room for all, those that matter most, and "…"."""
    said = vocabulary.shares(outcomes)
    if len(whole := "  ".join(said)) <= room:
        return whole
    bad = [not vocabulary.is_violation(name) for name, _ in vocabulary.in_order(outcomes)]
    kept = [part for _, part in sorted(zip(bad, said), key=lambda pair: pair[0])]
    while len(kept) > 1 and len("  ".join(kept)) + 3 > room:
        kept.pop()
    return "  ".join([*kept, "…"])


def active_line(
    name: str, done: int, total: int, rate: float | None, eta_s: float | None, name_width: int
) -> str:
    """Return the line of a campaign that is running."""
    parts = [f"    {name:<{name_width}}   {bar(done, total)}  {number(done)}/{number(total)}"]
    if rate is not None:
        parts.append(f" {number(round(rate, 1) if rate < 10 else round(rate))} cuts/s")
    if eta_s is not None:
        parts.append(f"{duration(eta_s)} left")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Format seconds: 0.25 -> "0.25 s", 65 -> "1 min 5 s", 7380 -> "2 h 3 min"."""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds < 0.995 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole % 3600 >= 60 else f"{whole // 3600} h"
