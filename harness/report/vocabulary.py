"""The words, numbers and colours that terminal, pages and pictures share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

from harness.evidence.rundir import NOT_ASKED
from harness.model.outcome import VIOLATIONS, Outcome


@dataclass(frozen=True)
class ClassLook:
    """Word, colour and hatching of an outcome class.

    :ivar colour: from the palette of Okabe and Ito, for readers who cannot tell red from green.
    :ivar hatch: hatching of matplotlib, for print and for colours that are used twice.
    """

    word: str
    colour: str
    hatch: str = ""


CLASSES: Mapping[str, ClassLook] = {
    Outcome.OLD: ClassLook("unchanged", "#56B4E9"),
    Outcome.NEW: ClassLook("completed", "#009E73"),
    Outcome.BOOTLOADER: ClassLook("bootloader", "#F0E442", "----"),
    Outcome.RECOVERED: ClassLook("recovered", "#0072B2", "////"),
    Outcome.TORN: ClassLook("torn", "#E69F00", "xxxx"),
    Outcome.LOST: ClassLook("lost", "#D55E00"),
    Outcome.ROLLED_BACK: ClassLook("rolled back", "#CC79A7"),
    Outcome.LOOSENED: ClassLook("loosened", "#CC79A7", "\\\\\\\\"),
    Outcome.STUCK: ClassLook("stuck", "#000000"),
    Outcome.MISSED: ClassLook("missed", "#BBBBBB", "||||"),
}
"""In the order of every list: sound outcomes, then violations, then missed cuts."""

EVIDENCE_KINDS = {
    "twin": "model run: simulated key, no vendor firmware executed",
    "emulator": "emulator run: vendor firmware on an emulated chip, which proves order, not timing",
    "emulator-torn": "emulated run: vendor firmware build, modelled flash",
    "hardware": "hardware run",
}
"""What each kind of evidence is about."""

COUNTED = ("hardware", "emulator", "emulator-torn")
"""Kinds of evidence with real firmware: the number of keys is named."""

EVERY_OPERATION = "every modelled flash operation"
EVERY_PHASE = f"{EVERY_OPERATION} in every modelled phase"


def is_violation(outcome: str) -> bool:
    """Return whether an outcome, as files spell it, is a violation."""
    return outcome in {violation.value for violation in VIOLATIONS}


def in_order(outcomes: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return (class, number of cuts) of the classes that occur, in the order of CLASSES."""
    return [(name.value, outcomes[name]) for name in Outcome if outcomes.get(name)]


def number(value: float) -> str:
    """1234.0 -> "1,234"; 0.25 -> "0.25"."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2g}"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """(1, "cut") -> "1 cut"; (1200, "cut") -> "1,200 cuts"."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def percent(part: float, whole: float) -> str:
    """Format a share in whole percents; "0 %" means none and "100 %" means all."""
    if not whole:
        return "0 %"
    share = 100 * part / whole
    if 0 < share < 1:
        return "<1 %"
    if 99 < share < 100:
        return ">99 %"
    return f"{share:.0f} %"


def fraction(value: float) -> str:
    """0.01 -> "1 %"; 0.001 -> "0.1 %"."""
    return f"{100 * value:.3g} %"


def at_most(value: float) -> str:
    """Format an upper bound, rounded up to two digits: 0.00998 -> "1 %", 0.0942 -> "9.5 %"."""
    if not 0 < value < 1:
        return fraction(value)
    digits = 1 - floor(log10(value))
    # A round number must not be rounded up because of the last bit of its float.
    return fraction(ceil(value * 10**digits - 1e-9) / 10**digits)


def shares(outcomes: Mapping[str, int]) -> list[str]:
    """Say the outcomes of the cuts: "unchanged 61 %", "completed 39 %", "lost 28".

    Violations and missed cuts are shown as numbers, because a single one matters.
    """
    judged = sum(count for name, count in outcomes.items() if name != Outcome.MISSED)
    said = []
    for name, count in in_order(outcomes):
        exact = is_violation(name) or name == Outcome.MISSED
        said.append(f"{CLASSES[name].word} {number(count) if exact else percent(count, judged)}")
    return said


def keys_in(rigs: Iterable[Mapping[str, Any]]) -> int:
    """Count the real keys that took part. Twins and rigs that were absent do not count."""
    return len(
        {
            rig["name"]
            for rig in rigs
            if rig.get("firmware") != NOT_ASKED and not str(rig.get("transport")).startswith("twin")
        }
    )


def evidence_sentence(kinds: Sequence[str], rigs: Sequence[Mapping[str, Any]]) -> str:
    """Say what kind of evidence a run is; with several kinds, each one.

    :param rigs: those of a summary. They say what a modelled flash is: a real key has no file system of ours.
    """
    keys, said = keys_in(rigs), []
    flash = "; ".join(dict.fromkeys(str(rig["flash"]) for rig in rigs if rig.get("flash")))
    for kind in kinds:
        text = EVIDENCE_KINDS.get(kind, f"{kind} run")
        text += f" ({flash})" if flash and kind == "emulator-torn" else ""
        said.append(f"{text}: {counted(keys, 'key')} took part" if kind in COUNTED else text)
    return "; ".join(said) or "nothing says what kind of evidence this is"


def bound_sentence(operation: Mapping[str, Any]) -> str:
    """Say what the cuts of a sampled operation prove; empty if there is no bound."""
    bound = operation.get("bound")
    if not bound:
        return ""
    found = "" if operation.get("violations") else "no violation in "
    text = (
        f"{found}{number(operation.get('covering_cuts') or 0)} evenly spread cuts: "
        f"below {at_most(bound['below'])} of instants ({fraction(bound['confidence'])}, approximate)"
    )
    if operation.get("window_ms") is not None and not operation.get("violations"):
        text += (
            f"; a window that fails every hit and is wider than {number(operation['window_ms'])} ms "
            "would have been found (95 %)"
        )
    return text


def proof(operation: Mapping[str, Any]) -> str:
    """Say in a few words what an operation's cuts prove."""
    if operation.get("exhaustive"):
        return EVERY_OPERATION
    bound = operation.get("bound")
    if not bound:
        return sampled(operation) if operation.get("cuts", 1) else "no cut"
    window = operation.get("window_ms") if not operation.get("violations") else None
    text = f"below {at_most(bound['below'])} ({fraction(bound['confidence'])})"
    return f"{text}, wider than {number(window)} ms found" if window is not None else text


def sampled(operation: Mapping[str, Any]) -> str:
    """Say how many cuts of a whole walk were made: "a sample: 60 of 335 cuts"; "a sample" where that is unknown."""
    made, of = operation.get("covering_cuts"), operation.get("instants")
    return "a sample" if of is None or made is None else f"a sample: {number(made)} of {counted(of, 'cut')}"


def weakest(operations: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the sampled operation with the weakest proof; None if every operation was exhaustive."""
    sampled = [op for op in operations if not op.get("exhaustive")]

    def weakness(op: Mapping[str, Any]) -> tuple[float, float, str]:
        bound = op.get("bound") or {}
        return -bound.get("below", 2.0), op.get("covering_cuts") or 0, str(op.get("operation"))

    return min(sampled, key=weakness, default=None)


def hottest(wear: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the row of wear with the highest share of its limit."""
    return max(wear, key=lambda row: row["used"] / (row.get("limit") or float("inf")), default=None)
