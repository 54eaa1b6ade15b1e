"""A finished campaign as a line of operations.jsonl, and what its pictures need of it."""

from __future__ import annotations

from dataclasses import asdict

from harness.campaign.result import Result
from harness.model.outcome import Outcome
from harness.model.row import Row, is_covering, is_judged


def campaign_row(result: Result) -> Row:
    """A line of operations.jsonl."""
    judged = sum(1 for row in result.rows if is_judged(row))
    covering = sum(1 for row in result.rows if is_covering(row))
    return {
        "rig": result.rig.name,
        "operation": result.operation.name,
        "title": result.operation.title,
        "cuts": judged,
        "planned": result.planned,
        "covering_cuts": covering,
        "instants": result.instants,
        "distinct_states": result.distinct_states,
        "exhaustive": result.exhaustive and result.complete,
        "outcomes": result.outcomes,
        "violations": result.violations,
        "unresolved": sum(
            1 for row in result.rows if row["outcome"] != Outcome.MISSED and not is_judged(row)
        ),
        "switch": result.switch,
        "missed": result.missed or {"whole operation": [0, len(result.rows)]},
        "bound": result.bound,
        "window_ms": result.window_ms,
        "goal": asdict(result.goal) if result.goal else None,
        "timing": result.timing,
        "plugs": result.plugs,
        "live_checked": result.live_checked,
        "duration_s": round(result.duration_s, 3),
        "observe_s": round(result.observe_s, 3),
        "complete": result.complete,
        "wear": result.wear,
        "spent": {
            name: amount * len(result.rows)
            for name, amount in (
                *((one.tries, tries) for one, tries in result.operation.cost.pins.items()),
                ("touches", result.operation.cost.touches),
            )
            if amount
        },
        "findings": [
            {
                "severity": finding.severity.value,
                "blame": "key",
                "item": finding.item,
                "law": finding.law,
                "outcome": finding.outcome.value,
                "count": finding.count,
                "covering_count": finding.covering,
                "of": covering,
                "first": finding.first,
                "where": finding.where,
                "text": finding.text,
                "narrowest": finding.narrowest,
                "again": finding.again,
            }
            for finding in sorted(result.findings, key=lambda f: (f.severity, -f.count, f.item))
        ],
    }


def trace_row(result: Result) -> Row | None:
    """What the pictures need of the operation, times from its start; without flash operations where nobody
    sees them. None if nothing is known."""
    trace = result.trace
    if trace is None:
        if not result.marks:
            return None
        end_us = round(1000 * result.timing.get("operation_ms", 0))
        marks = [{"name": name, "at_us": at_us} for name, at_us in result.marks]
        return {"ops": [], "marks": marks, "start_us": 0, "end_us": end_us}
    start = trace.start_us
    return {
        "ops": [
            {
                "chip": op.chip,
                "kind": op.kind,
                "page": op.page,
                "start_us": op.start_us - start,
                "end_us": op.end_us - start,
            }
            for op in trace.ops
        ],
        "marks": [{"name": mark.name, "at_us": mark.at_us - start} for mark in trace.marks],
        "start_us": 0,
        "end_us": trace.end_us - start,
    }
