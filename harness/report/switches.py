"""What the power switches of a run's rigs did, and why a run proves nothing if one of them is not to be believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.model.power_loss import STRAYED_MAX, can_prove
from harness.report.vocabulary import counted, fraction, number

Row = Mapping[str, Any]


def switches_of(operations: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Return what each rig's switch did in all campaigns, by the rig's name; rigs whose cuts need none are left out.

    :param operations: lines of operations.jsonl.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in operations:
        if (switch := row.get("switch")) is None:
            continue
        of = found.setdefault(row["rig"], {**switch, "cuts": 0, "strayed": 0, "first": None})
        of["calibrated"] = of["calibrated"] and switch["calibrated"]
        of["cuts"] += switch["cuts"]
        of["strayed"] += switch["strayed"]
        of["first"] = of["first"] or switch["first"]
    return found


def switch_words(switches: Mapping[str, Row]) -> str:
    """Say in a few words which switches prove nothing, for the headline; empty if each of them can."""
    said = []
    for rig, switch in sorted(switches.items()):
        if not switch["calibrated"]:
            said.append(f"the switch of {rig} is not calibrated")
        elif not can_prove(switch):
            said.append(
                f"the switch of {rig} strayed in {number(switch['strayed'])} of {number(switch['cuts'])} cuts"
            )
    return "; ".join(said)


def switch_doubts(operations: Iterable[Row]) -> list[str]:
    """Say for each switch that proves nothing why, and how to mend it."""
    doubts = []
    for rig, switch in sorted(switches_of(operations).items()):
        if can_prove(switch):
            continue
        named = f"rig {rig}: its switch ({switch['name']})"
        cuts = counted(switch["cuts"], "cut")
        if not switch["calibrated"]:
            doubts.append(
                f"{named} is not calibrated as it is wired now, so where the power of {cuts} went is not proved: "
                f"`keyharness calibrate {rig}`"
            )
        else:
            doubts.append(
                f"{named} strayed in {number(switch['strayed'])} of {cuts}, and in at most {fraction(STRAYED_MAX)} "
                f"it may: {switch['first']}; see to the switch, the hub and the load of this host, then "
                f"`keyharness calibrate {rig}`"
            )
    return doubts
