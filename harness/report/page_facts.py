"""What a run was made with and of, for its page: keys, firmware, switches, bench, host, version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.base.shape import misfit
from harness.evidence.rundir import NOT_ASKED
from harness.report import files, row_shapes
from harness.report.files import Damage, Row, read_object
from harness.report.text import duration
from harness.report.vocabulary import number

UNKNOWN_DIGEST = {
    "twin": "no vendor firmware ran",
    "emulator": "not known",
    "emulator-torn": "not known",
    "hardware": "a key does not give its firmware out, so there is no digest",
}


@dataclass(frozen=True)
class Fact:
    """A label and what stands behind it, a line each; `code` is for what people compare letter by letter."""

    label: str
    lines: Sequence[str]
    code: bool = False


@dataclass
class RigFacts:
    """A rig with its facts."""

    name: str
    title: str
    told: list[Fact] = field(default_factory=list)


def rigs_of(run_dir: Path | None, summary: Row, head: Row) -> list[RigFacts]:
    """Describe each rig: firmware with digests and signer, identity, transport, switch and its calibration."""
    titles = {rig["name"]: rig.get("title") for rig in head.get("rigs") or []}
    return [_rig(run_dir, rig, titles.get(rig["name"]), summary["evidence_kind"]) for rig in summary["rigs"]]


def _rig(run_dir: Path | None, rig: Row, title: str | None, kinds: Sequence[str]) -> RigFacts:
    noted = _noted(run_dir, rig["name"])
    asked = rig["firmware"] and rig["firmware"] != NOT_ASKED
    facts = [
        Fact(
            "firmware",
            [rig["firmware"] if asked else "not known: the rig was not there, or another worker had it"],
        )
    ]
    if rig.get("personality"):
        facts.append(Fact("personality", [rig["personality"]]))
    kind = _kind(rig, kinds)
    facts += _files(noted.get("files") or [], kind)
    facts.append(
        Fact("key's identity", [_identity(noted.get("identity"), kind)], code=bool(noted.get("identity")))
    )
    facts.append(Fact("reached by", [rig["transport"] or "not known"]))
    facts.append(Fact("power switch", _switch(rig.get("switch"), noted.get("calibration"))))
    if rig.get("expendable") is False:
        facts.append(Fact("expendable", ["no: nothing was written to it"]))
    return RigFacts(rig["name"], title or rig["key"] or "", facts)


def _noted(run_dir: Path | None, rig: str) -> Row:
    found = read_object(files.facts_path(run_dir, rig), Damage()) if run_dir else None
    return found if found and not misfit(found, row_shapes.FACTS) else {}


def _kind(rig: Row, kinds: Sequence[str]) -> str:
    """Return what kind of evidence a rig gives. A run says it of all its rigs, and each rig in how it is reached."""
    reached = str(rig.get("transport") or "")
    named = [kind for kind in ("twin", "emulator") if reached.startswith(kind)]
    return kinds[0] if len(kinds) == 1 and kinds[0] in UNKNOWN_DIGEST else [*named, "hardware"][0]


def _files(noted: Sequence[Row], kind: str) -> list[Fact]:
    if not noted:
        return [Fact("firmware's sha256", [UNKNOWN_DIGEST[kind]])]
    facts = []
    for file in noted:
        about = [f"{label}: {text}" for label, text in file.get("about") or []]
        facts.append(
            Fact(file["name"], [f"sha256 {file.get('sha256') or 'not readable'}", *about], code=True)
        )
    return facts


def _identity(identity: str | None, kind: str) -> str:
    if identity:
        return identity
    return "none: a twin is made anew for each run" if kind == "twin" else "not proved"


def _switch(switch: Row | None, calibration: Row | None) -> list[str]:
    if switch is None:
        return ["none is needed: cuts are computed, or end a process"]
    lines = [
        f"{switch['name']}, {'calibrated' if switch['calibrated'] else 'NOT calibrated'}: "
        f"strayed in {number(switch['strayed'])} of {number(switch['cuts'])} cuts"
    ]
    if calibration:
        said = {
            "cut_ms": "power gone after {} ms",
            "cut_p99_ms": "99 % within {} ms",
            "back_ms": "key back after {} ms",
        }
        parts = [
            text.format(number(calibration[name]))
            for name, text in said.items()
            if isinstance(calibration.get(name), (int, float))
        ]
        lines.append(f"calibrated {calibration.get('at')}: {', '.join(parts)}")
    if switch.get("first"):
        lines.append(f"the first that strayed: {switch['first']}")
    return lines


def run_facts(summary: Row, head: Row) -> list[Fact]:
    """Describe the run itself: bench, seed, host, version, commit."""
    asked = head.get("asked") or {}
    host = head.get("host") or {}
    facts = [
        Fact("bench", _present(summary["bench"])),
        Fact("bench's sha256", _present(asked.get("bench_digest")), code=True),
        Fact("seed", [str(summary["seed"])] if summary["seed"] is not None else []),
        Fact("started", _present(summary["started"])),
        Fact("took", [duration(summary["duration_s"])] if summary["duration_s"] is not None else []),
        Fact("host", _host(host)),
        Fact("Keyharness", _present(summary["version"])),
        Fact("mutants caught", head.get("mutation_scores") or []),
        Fact("commit", _present(head.get("commit")) or ["not known"], code=True),
        Fact("asked for", _asked(asked)),
    ]
    return [fact for fact in facts if fact.lines]


def _present(value: object) -> list[str]:
    return [str(value)] if value else []


def _host(host: Row) -> list[str]:
    parts = [
        host.get("system"),
        host.get("machine"),
        f"Python {host['python']}" if host.get("python") else None,
        f"{host['cpus']} processors" if host.get("cpus") else None,
    ]
    said = " · ".join(str(part) for part in parts if part)
    return [said] if said else []


def _asked(asked: Row) -> list[str]:
    """Name the options that make a run smaller, because what they leave out is not tested."""
    said = []
    for name in ("suites", "rigs", "operations"):
        if asked.get(name):
            said.append(f"{name}: {', '.join(map(str, asked[name]))}")
    if asked.get("cuts") is not None:
        said.append(f"{number(asked['cuts'])} cuts over all operations")
    if asked.get("budget_us") is not None:
        said.append(f"a budget of {duration(asked['budget_us'] / 1e6)}")
    said += [f"search: {asked['search']}"] if asked.get("search") else []
    said += [f"proof: {asked['require']}"] if asked.get("require") else []
    said += ["quick: cases that wait for long were left out"] if asked.get("quick") else []
    return said
