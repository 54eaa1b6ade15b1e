"""The page that is signed: one print-ready HTML file, made from the statement (`harness.qualify.statement`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.model.row import Row
from harness.qualify.ruling import NOT_QUALIFIED, NOT_YET, QUALIFIED, WAIVED
from harness.report.rendering import data_text, render
from harness.report.vocabulary import counted

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'"
KINDS = {
    "hardware": "hardware",
    "emulator": "own code, emulated chip",
    "emulator-torn": "own code, torn flash",
    "twin": "model",
}
TONES = {QUALIFIED: "good", WAIVED: "warn", NOT_QUALIFIED: "bad", NOT_YET: "warn"}
LINES_MAX = 12
"""Lines of one row: the JSON has all."""


def page(it: Row) -> str:
    """Return the page of a statement."""
    kinds = [kind for kind in KINDS if any(kind in row["kinds"] for row in it["matrix"])]
    return render(
        "qualification.html",
        policy=POLICY,
        style=data_text("qualification.css"),
        it=it,
        tone=TONES[it["verdict"]],
        product=_joined(
            [
                it["product"]["title"] or it["product"]["key"],
                _named("hardware", it["product"]["hardware"]),
                _named("lots", "/".join(it["product"]["lots"])),
            ]
        ),
        firmware=_firmware(it["firmware"]),
        reasons=_short(it["reasons"]),
        kinds=kinds,
        kind_words=KINDS,
        matrix=[
            {"row": row["row"], "cells": [_cell(row["kinds"].get(kind)) for kind in kinds]}
            for row in it["matrix"]
        ],
        facts=facts(it),
    )


def facts(it: Row) -> list[tuple[str, list[str]]]:
    """Return the rows of the page, as (title, lines); the terminal shows them as well."""
    return [
        (
            "carried over",
            [
                f"{one['operation']} from {one['plan']}: {one['reason']} ({one['by']})"
                for one in it["firmware"]["carried"]
            ],
        ),
        ("changed", [", ".join(it["firmware"]["changed"])] if it["firmware"]["changed"] else []),
        ("findings", _findings(it)),
        ("waivers", _short([_waiver(one) for one in it["waivers"]])),
        ("fixes", _short([_fix(one) for one in it["fixes"]])),
        ("requirements", _short([_requirement(one) for one in it["requirements"]])),
        ("not tested", ["; ".join(it["not_tested"])] if it["not_tested"] else ["nothing is named"]),
        ("deviations", _short(it["deviations"]) or ["none"]),
        ("samples", _samples(it)),
        ("rigs", _short([_rig(one) for one in it["rigs"]])),
        ("runs", [_runs(it)]),
        ("left", _left(it["left"]) if it["verdict"] != QUALIFIED else []),
        ("environment", [text] if (text := _environment(it["environment"])) else []),
        ("tool", [_tool(it["tool"])]),
    ]


def _short(lines: Sequence[str]) -> list[str]:
    more = len(lines) - LINES_MAX
    return [*lines[:LINES_MAX], *([f"… and {more} more in the JSON"] if more > 0 else [])]


def _joined(parts: Sequence[str | None]) -> str:
    return " · ".join(part for part in parts if part)


def _named(name: str, value: object) -> str | None:
    return f"{name} {value}" if value else None


def _firmware(it: Mapping[str, Any]) -> str:
    return _joined(
        [
            f"Firmware v{str(it['version']).removeprefix('v')}",
            _named("sha256", it["sha256"]),
            _named("signer", it["signer"]),
            _named("predecessor", it["predecessor"]),
        ]
    )


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "–"
    said = [f"{cell['done']} of {cell['of']}"]
    if cell["exhaustive"]:
        said.append("exhaustive")
    if cell["carried"]:
        said.append(f"{cell['carried']} carried over")
    if cell["keys"]:
        said.append(counted(cell["keys"], "key"))
    return ", ".join(said)


def _findings(it: Row) -> list[str]:
    states = ("new", "waived", "unexplained", "cosmetic")
    counts = {state: sum(1 for one in it["findings"] if one["state"] == state) for state in states}
    fixed = sum(1 for one in it["fixes"] if one["state"] == "fixed")
    head = f"new {counts['new']} · waived {counts['waived']} · fixed {fixed} · unexplained {counts['unexplained']}"
    if counts["cosmetic"]:
        head += f" · cosmetic {counts['cosmetic']}"
    return [head, *_short([_finding(one) for one in it["findings"]])]


def _finding(one: Mapping[str, Any]) -> str:
    first = f", first bad firmware {one['first_bad_firmware']}" if one["first_bad_firmware"] else ""
    home = "" if one["home"] == "fresh" else f" from the home {one['home']}"
    what = f"{one['operation']}, {one['item']} {one['outcome']}{home}"
    return f"{one['severity']} {one['state']}: {what}, {one['k']:,} of {one['n']:,}{first}"


def _waiver(one: Mapping[str, Any]) -> str:
    until = f"until {one['until']['date']} and {one['until']['version']}"
    why = f": {one['why']}" if one["why"] else ""
    return (
        f"{one['id']} {one['state']}{why} · {one['finding']['operation']}, {one['finding']['item']} · at most "
        f"{one['ceiling'][0]} of {one['ceiling'][1]} · {until} · {one['impact']} · {one['ticket']} · "
        f"{', '.join(one['approver'])}"
    )


def _fix(one: Mapping[str, Any]) -> str:
    takes = "its earlier rate is not known" if one["takes"] is None else f"for 95 % it takes {one['takes']:,}"
    what = f"{one['finding']['operation']}, {one['finding']['item']}"
    return f"{what}: {one['state']} in {one['cuts']:,} cuts; {takes} ({one['ticket']})"


def _requirement(one: Mapping[str, Any]) -> str:
    lacking = f": {'; '.join(one['lacking'][:3])}" if one["lacking"] else ""
    return f"{one['id']} {one['state']}{lacking} · {one['text']}"


def _samples(it: Row) -> list[str]:
    chosen = it["product"]["chosen"]
    real = it["samples"]
    if not real:
        return ["no real key took part: models only" + (f" · chosen: {chosen}" if chosen else "")]
    worst = max(real, key=lambda row: row["used"])
    limit = f" of {worst['limit']:,}" if worst["limit"] else ""
    lines = [f"{counted(len(real), 'key')}, worst {worst['used']:,}{limit} erases ({worst['key']})"]
    return [*lines, *([f"chosen: {chosen}"] if chosen else [])]


def _rig(one: Mapping[str, Any]) -> str:
    made = f"calibrated {one['calibrated'][:10]}, " if one["calibrated"] else ""
    counts = f"{counted(one['runs'], 'run')}, rig faults {one['faults']}, strayed cuts {one['strayed']}"
    return f"{one['rig']} ({one['kind']}): {made}{counts}"


def _runs(it: Row) -> str:
    excluded = it["runs"]["excluded"]
    why = "; ".join(f"{one['run']}: {one['reason']} ({one['by']})" for one in excluded)
    return f"{len(it['runs']['counted'])} counted, {len(excluded)} excluded" + (f" ({why})" if why else "")


def _left(left: Mapping[str, Any]) -> list[str]:
    if not left["operations"]:
        return []
    hours = f", {left['hours']:g} hours" if left["hours"] is not None else ""
    erases = f", {left['erases']:,} erases" if left["erases"] is not None else ""
    keys = (
        f", {counted(left['keys'], 'more key')} ({counted(left['spares'], 'spare')})" if left["keys"] else ""
    )
    lines = [f"{counted(len(left['operations']), 'operation')}: {left['cuts']:,} cuts{hours}{erases}{keys}"]
    if (ends := left["keys_run_out"]) is not None:
        enough = "enough" if ends["enough"] else "not enough"
        lines.append(f"the keys' erases last for {ends['after_cuts']:,} further cuts: {enough}")
    return lines


def _environment(it: Mapping[str, Any]) -> str:
    named = [f"{name} {version}" for name, version in it["clients"].items()]
    more = [_named(name, it[name]) for name in ("kernel", "libccid", "temperature")]
    return _joined([*named, *more])


def _tool(it: Mapping[str, Any]) -> str:
    score = it["score"]
    said = (
        f"its own score {score['caught']} of {score['of']} known bugs"
        if score
        else "its own score is not known"
    )
    mutants = f"; {it['mutants_text']}" if it["mutants_text"] else ""
    return f"keyharness {it['keyharness']}; {said}{mutants}"
