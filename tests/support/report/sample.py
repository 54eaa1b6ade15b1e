"""A made-up run, as the pytest plugin and its campaigns would leave it: one that passes, one with violations.

The shapes are those of real runs; the figures come from a seed, so that the same seed gives the same bytes.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]

TORN_PHASES = 3
WORD_US, ERASE_US = 41, 85_000
SEED = 20261120
RUN = "20261120-093012-7c1e"


@dataclass
class Sample:
    """What is to be written, to be changed by a test before it is."""

    head: Row
    evidence: list[Row] = field(default_factory=list)
    operations: list[Row] = field(default_factory=list)
    results: list[Row] = field(default_factory=list)
    finish: Row | None = None
    traces: dict[tuple[str, str], Row] = field(default_factory=dict)

    def write(self, run_dir: Path) -> Path:
        run_dir.mkdir(parents=True, exist_ok=True)
        (run_dir / "run.json").write_text(json.dumps(self.head))
        for name in ("evidence", "operations", "results"):
            lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in getattr(self, name))
            (run_dir / f"{name}.jsonl").write_text(lines)
        if self.finish is not None:
            (run_dir / "finish.json").write_text(json.dumps(self.finish))
        for (rig, operation), trace in self.traces.items():
            path = run_dir / "logs" / f"{rig}.{operation}.trace.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(trace))
        return run_dir


def make_trace(rng: random.Random, erases: int, programs: int, keepalives: int = 3) -> Row:
    """A journalled write: pages are programmed word by word, now and then one is erased."""
    ops: list[Row] = []
    at = 41_000
    start, request = at - 6_000, at - 1_500
    kinds = ["erase"] * erases + ["program"] * programs
    rng.shuffle(kinds)
    for kind in kinds:
        external = rng.random() < 0.15
        took = ERASE_US if kind == "erase" else WORD_US * rng.choice([4, 16, 64])
        page = rng.choice([3, 4, 5, 9, 18, 19]) if not external else rng.choice([0, 1, 12])
        chip = "external" if external else "internal"
        ops.append({"chip": chip, "kind": kind, "page": page, "start_us": at, "end_us": at + took})
        at += took + rng.choice([0, 60, 900])
    response = at + 2_400
    marks = [{"name": "request-sent", "at_us": request}]
    for i in range(keepalives):
        name = "keepalive" if i == 0 else f"keepalive-{i + 1}"
        marks.append({"name": name, "at_us": request + (response - request) * (i + 1) // (keepalives + 1)})
    marks.append({"name": "response", "at_us": response})
    return {"ops": ops, "marks": marks, "start_us": start, "end_us": response + 500}


def _instant(op: Row, phase: str) -> int:
    share = {"before": 0.0, "after": 1.0}.get(phase)
    if share is None:
        share = (int(phase[4:]) - 0.5) / TORN_PHASES
    return int(op["start_us"] + share * (op["end_us"] - op["start_us"]))


def walk(
    rig: str,
    operation: str,
    trace: Row,
    *,
    commit: int,
    bad: dict[tuple[int, str], str] | None = None,
    middle: str | None = None,
    seed: int = SEED,
    nested: int = 0,
) -> list[Row]:
    """Every flash operation in every phase: old up to the commit point, new after it, or `bad`."""
    cuts = [
        (number, phase)
        for number in range(1, len(trace["ops"]) + 1)
        for phase in ("before", *(f"torn{i}" for i in range(1, TORN_PHASES + 1)), "after")
    ]
    cuts.append((len(trace["ops"]) + 1, "end"))
    response = trace["marks"][-1]["at_us"]
    rows = []
    for number, phase in cuts:
        at = trace["end_us"] if phase == "end" else _instant(trace["ops"][number - 1], phase)
        done = number > commit or (number == commit and phase == "after")
        outcome = (bad or {}).get((number, phase)) or ("new" if done else "old")
        if middle and not done and number > commit // 2 and outcome == "old":
            outcome = middle
        label = "end" if phase == "end" else f"op{number}.{phase}"
        planned: Row = {"flash_op": number, "phase": phase}
        rows.append(
            evidence(rig, operation, label, planned, outcome, at - trace["start_us"], at >= response, seed)
        )
    for i in range(nested):
        outer = rows[(i * 7) % len(rows)]
        planned = {**outer["planned"], "nested": {"boot": 1, "flash_op": 1 + i % 4, "phase": "torn1"}}
        cut = f"{outer['id'].split(':')[3]}+boot1.op{1 + i % 4}.torn1"
        row = evidence(rig, operation, cut, planned, outer["outcome"], outer["fired_us"], False, seed)
        rows.append({**row, "stream": "nested", "boots": 2})
    return rows


def evidence(
    rig: str,
    operation: str,
    cut: str,
    planned: Row,
    outcome: str,
    fired_us: int,
    acknowledged: bool,
    seed: int,
) -> Row:
    """One line of evidence."""
    violated = outcome in ("torn", "lost", "rolled-back", "loosened", "stuck")
    return {
        "id": f"kh1:{rig}/{operation}:{seed}:{cut}:9f31c2",
        "rig": rig,
        "operation": operation,
        "firmware": "v1.8.3",
        "stream": "exhaustive",
        "planned": planned,
        "fired_us": fired_us,
        "lost_us": fired_us,
        "acknowledged": acknowledged,
        "landed": outcome != "missed",
        "boots": 1,
        "outcome": outcome,
        "world": outcome if outcome in ("old", "new") else None,
        "changed": {"credential list": ["3f21", "9c02"]} if outcome == "new" else {},
        "death": None,
        "blame": "key" if violated else None,
        "seed": seed,
    }


def campaign(
    rows: list[Row], *, exhaustive: bool = True, title: str = "", distinct: int | None = None
) -> Row:
    """The line a campaign writes when it is finished."""
    outcomes: dict[str, int] = {}
    for row in rows:
        outcomes[row["outcome"]] = outcomes.get(row["outcome"], 0) + 1
    judged = sum(n for name, n in outcomes.items() if name != "missed")
    bad = {n: c for n, c in outcomes.items() if n in ("torn", "lost", "rolled-back", "loosened", "stuck")}
    covering = [
        row for row in rows if row["stream"] in ("cover", "exhaustive") and row["outcome"] != "missed"
    ]
    firsts = {name: next(row for row in rows if row["outcome"] == name) for name in bad}
    findings = [
        {
            "severity": "S1",
            "blame": "key",
            "item": "attestation certificate" if name == "lost" else f"{name} item",
            "law": "kept",
            "outcome": name,
            "count": count,
            "covering_count": sum(1 for row in covering if row["outcome"] == name),
            "of": len(covering),
            "first": firsts[name]["id"],
            "narrowest": {"text": '3.2 ms after "request sent" (flash op 17, erase of page 4, torn)'},
            "text": "the key said status ok and answered without x5c",
        }
        for name, count in bad.items()
    ]
    return {
        "rig": rows[0]["rig"],
        "operation": rows[0]["operation"],
        "title": title,
        "cuts": judged,
        "covering_cuts": len(covering),
        "distinct_states": distinct if distinct is not None else judged * 2 // 7,
        "exhaustive": exhaustive,
        "outcomes": dict(sorted(outcomes.items())),
        "violations": sum(bad.values()),
        "missed": {"all": [outcomes.get("missed", 0), len(rows)]},
        "bound": None,
        "window_ms": None,
        "duration_s": round(len(rows) / 148, 3),
        "observe_s": round(len(rows) / 160, 3),
        "complete": True,
        "wear": [
            {"what": "internal page 4", "used": 3 * judged, "limit": 10_000, "estimated": True},
            {"what": "external page 0", "used": judged, "limit": 100_000, "estimated": True},
        ],
        "findings": findings,
    }


def by_time(
    rig: str, operation: str, *, cuts: int, bad: float = 0.0, missed: int = 0, seed: int = 1
) -> tuple[list[Row], Row, Row]:
    """A campaign on hardware: cuts after a marker, the outcome known only from outside."""
    rng = random.Random(f"{seed}{operation}")
    length, commit = 400_000, 0.62
    rows = []
    for i in range(cuts):
        place = (i + rng.random()) / cuts
        name, base = ("request-sent", 0.0) if place < 0.5 else ("keepalive", 0.5)
        offset = int((place - base) * length)
        outcome = "new" if place > commit else "old"
        if bad and abs(place - commit) < bad:
            outcome = "lost"
        if 0.3 < place < 0.33:
            outcome = "recovered"
        if i < missed:
            outcome = "missed"
        planned = {"marker": name, "offset_us": offset}
        row = evidence(
            rig, operation, f"{name}+{offset}us", planned, outcome, int(place * length), False, seed
        )
        rows.append({**row, "stream": "cover" if i % 2 else "refine"})
    op = campaign(rows, exhaustive=False, distinct=0)
    op["distinct_states"] = None
    op["bound"] = {"confidence": 0.99, "below": 0.01} if not bad else {"confidence": 0.99, "below": 0.08}
    op["window_ms"] = 12.0
    marks = [
        {"name": "request-sent", "at_us": 0},
        {"name": "keepalive", "at_us": length // 2},
        {"name": "response", "at_us": length},
    ]
    return rows, op, {"ops": [], "marks": marks, "start_us": 0, "end_us": length}


def head(**changes: Any) -> Row:
    """run.json."""
    rig = {
        "name": "nk3-mini",
        "key": "nitrokey3",
        "title": "Nitrokey 3A Mini",
        "firmware": "v1.8.3",
        "personality": "reference",
        "transport": "ctaphid",
        "expendable": True,
        "about": "nrf52 flash, layer safe",
    }
    return {
        "schema": 1,
        "run": RUN,
        "version": "0.1.0",
        "seed": SEED,
        "bench": "rigs/late-replay.toml",
        "started": "2026-11-20T09:30:12Z",
        "rigs": [rig],
        "evidence_kind": "twin",
        **changes,
    }


_CASES = [
    ("conformance", "ctaphid", ["ping", "init", "cancel", "busy", "timeout", "lock", "msg_too_long", "wink"]),
    ("conformance", "u2f", ["register", "authenticate", "version", "wrong_handle", "counter_rises"]),
    (
        "conformance",
        "fido2",
        ["get_info", "make_credential", "exclude_list", "resident", "pin_retries"],
    ),
    ("conformance", "admin", ["status", "uuid", "version", "locked"]),
    ("downgrade", "versions", [f"pair_{i:02d}" for i in range(12)]),
    ("downgrade", "images", ["truncated", "bit_flipped", "unsigned", "other_key"]),
]


def results(rig: str = "nk3-mini") -> list[Row]:
    """results.jsonl: some sixty cases."""
    rows = []
    for suite, group, names in _CASES:
        for i, name in enumerate(names):
            offered = not (group == "admin" and i == 3)
            rows.append(
                {
                    "nodeid": f"{suite}/test_{group}.py::test_{name}[{rig}]",
                    "suite": suite,
                    "rig": rig,
                    "outcome": "passed" if offered else "not_offered",
                    "blame": None,
                    "reason": None if offered else "this key has no such command",
                    "duration_s": 0.012 * (i + 1),
                }
            )
    return rows


OPERATIONS = {
    "fido2.make_credential.resident": (9, 61, "Register a discoverable credential"),
    "fido2.make_credential": (3, 22, "Register a credential"),
    "fido2.get_assertion": (4, 18, "Sign in"),
    "fido2.client_pin.set": (6, 40, "Set a PIN"),
    "fido2.client_pin.change": (6, 44, "Change the PIN"),
    "fido2.reset": (14, 120, "Reset"),
}


def passing(**changes: Any) -> Sample:
    """A run on a twin without a violation."""
    sample = Sample(head(**changes), results=results())
    for name, (erases, programs, title) in OPERATIONS.items():
        trace = make_trace(random.Random(name), erases, programs)
        rows = walk("nk3-mini", name, trace, commit=(erases + programs) * 3 // 5, nested=12)
        _add(sample, name, trace, rows, title)
    sample.finish = {
        "complete": True,
        "interrupted": False,
        "ended": "2026-11-20T09:31:02Z",
        "duration_s": 49.8,
    }
    return sample


def failing() -> Sample:
    """The same run on a key with a defect: certificates are lost while pages are erased."""
    sample = passing()
    name = "fido2.get_assertion"
    trace = sample.traces["nk3-mini", name]
    erased = [i for i, op in enumerate(trace["ops"], 1) if op["kind"] == "erase"]
    bad = {(i, phase): "lost" for i in erased for phase in ("torn1", "torn2", "torn3", "after")}
    bad[erased[1], "before"] = "stuck"
    rows = walk("nk3-mini", name, trace, commit=13, bad=bad, nested=12)
    sample.evidence = [row for row in sample.evidence if row["operation"] != name]
    sample.operations = [row for row in sample.operations if row["operation"] != name]
    sample.results = [row for row in sample.results if not row["nodeid"].endswith(f"-{name}]")]
    _add(sample, name, trace, rows, "Sign in", outcome="failed")
    sample.results[3] = {
        **sample.results[3],
        "outcome": "failed",
        "blame": "key",
        "reason": "CTAPHID_INIT while busy was answered with 0x7F, not 0x06",
    }
    return sample


def hardware(**how: Any) -> Sample:
    """A run on two real keys."""
    rigs = [
        {**head()["rigs"][0], "name": f"mini-{i}", "personality": None, "about": "hub 1-1.4"} for i in (1, 2)
    ]
    sample = Sample(head(evidence_kind=["hardware"], rigs=rigs), results=results("mini-1"))
    for rig in ("mini-1", "mini-2"):
        rows, op, trace = by_time(rig, "fido2.client_pin.change", cuts=918, **how)
        sample.evidence += rows
        sample.operations.append(op)
        sample.traces[rig, op["operation"]] = trace
    sample.finish = {
        "complete": True,
        "interrupted": False,
        "ended": "2026-11-20T10:31:02Z",
        "duration_s": 3650.0,
    }
    return sample


def _add(sample: Sample, name: str, trace: Row, rows: list[Row], title: str, outcome: str = "passed") -> None:
    sample.traces["nk3-mini", name] = trace
    sample.evidence += rows
    sample.operations.append(campaign(rows, title=title))
    failed = outcome == "failed"
    sample.results.append(
        {
            "nodeid": f"endurance/test_power_cut.py::test_campaign[nk3-mini-{name}]",
            "suite": "endurance",
            "rig": "nk3-mini",
            "outcome": outcome,
            "blame": "key" if failed else None,
            "reason": f"{name}: violations" if failed else None,
            "duration_s": 2.8,
        }
    )


def one(made, operation="fido2.get_assertion", rig="nk3-mini"):
    """One operation of a run: its line of the summary, its evidence and its trace."""
    op = next(op for op in made.operations if op["operation"] == operation)
    rows = [row for row in made.evidence if (row["rig"], row["operation"]) == (rig, operation)]
    return op, rows, made.traces[rig, operation]
