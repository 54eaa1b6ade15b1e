"""The contracts for other tools: summary.json and the lines of evidence.jsonl, as pydantic models.

`Summary.model_json_schema()` is the JSON Schema. Unknown fields are refused, so that the contract cannot grow
unnoticed. For tests and for programs that read reports; a run never imports this module.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from harness.base.errors import Blame
from harness.model.outcome import Outcome, Severity

Proof = Literal["exhaustive", "bounded", "sample"]
Count = Annotated[int, Field(ge=0)]
_PHASE = r"before|torn[1-9][0-9]*|after|(without|file)[1-9][0-9]*|unsynced|alone"
Phase = Annotated[str, StringConstraints(pattern=rf"^({_PHASE}|end)$")]
Marker = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
ReplayId = Annotated[
    str,
    StringConstraints(
        pattern=r"^kh1:[^/:]+/[^:@]+(@[^:@]+)?:-?[0-9]+:"
        rf"((end|op[1-9][0-9]*\.({_PHASE})(\+boot[1-9][0-9]*\.[a-z0-9.]+)?)(\+next\.[^:+]+)?"
        r"|[a-z0-9-]+\+[0-9]+us(\+boot[1-9][0-9]*\+[0-9]+us)*(\+off[0-9]+us)?)"
        r":[0-9a-f]{6}$"
    ),
]
"""kh1:<rig>/<operation>[@<home>]:<seed>:<cut>:<check>; cut: op17.torn2[+boot1.op3.torn1][+next.delete], end,
request-sent+1234us."""


class Shape(BaseModel):
    """A model with exactly these fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SwitchShape(Shape):
    """What a rig's power switch did in all campaigns of the run.

    :ivar strayed: cuts that did not go as the calibration says. :ivar first: the first of them, in words.
    """

    name: str
    calibrated: bool
    cuts: Count
    strayed: Count
    first: str | None


class RigShape(Shape):
    name: str
    key: str | None
    firmware: str | None
    personality: str | None
    transport: str | None
    expendable: bool | None
    flash: str | None = None
    switch: SwitchShape | None


class SuiteShape(Shape):
    passed: Count
    failed: Count
    skipped: Count
    not_offered: Count
    error: Count
    deviation: Count


class BoundShape(Shape):
    """With this confidence, a cut violates at fewer than this fraction of the operation's instants."""

    confidence: float = Field(gt=0, lt=1)
    below: float = Field(gt=0, le=1)


class OperationShape(Shape):
    rig: str
    operation: str
    cuts: Count
    covering_cuts: Count | None
    instants: Count | None
    distinct_states: Count | None
    exhaustive: bool
    proof: Proof
    outcomes: dict[Outcome, Count]
    violations: Count
    missed: dict[str, tuple[Count, Count]] | None
    unresolved: Count
    bound: BoundShape | None
    window_ms: float | None
    duration_s: float | None


class ViolationShape(Shape):
    severity: Severity
    blame: Blame
    rig: str
    operation: str
    item: str | None
    law: str | None
    count: Count
    covering_count: Count | None
    of: Count | None
    first: ReplayId | None
    sentence: str
    text: str


class CasesShape(Shape):
    """Cases with one cause, or deviations of one kind from one clause.

    :ivar cases: the first node ids.
    """

    kind: Literal["failed", "error", "recommendation", "accepted"]
    blame: Blame
    clause: str | None
    count: Count
    cases: list[str]
    text: str


class PlugsShape(Shape):
    """Enumerations of the key on a rig, and errors -71 and -110 in the kernel's log of its port."""

    rig: str
    plugs: Count
    errors: dict[str, Count]
    per_thousand: dict[str, float | None]


class WearShape(Shape):
    rig: str
    what: str
    used: Count
    limit: Count | None
    estimated: bool


class Summary(Shape):
    """summary.json. A field that is not known is null."""

    schema_: int = Field(alias="schema")
    run: str
    version: str | None
    seed: int | None
    bench: str | None
    started: str | None
    duration_s: float | None
    complete: bool
    verdict: Literal["pass", "fail", "interrupted", "inconclusive", "nothing-tested"]
    proof: Proof | None
    evidence_kind: list[Literal["twin", "emulator", "emulator-torn", "hardware"]]
    reasons: list[str]
    rigs: list[RigShape]
    suites: dict[str, SuiteShape]
    cuts: Count
    distinct_states: Count
    missed_cuts: Count
    unresolved_cuts: Count
    rig_faults: Count
    cuts_per_s: float | None
    distinct_states_per_s: float | None
    operations: list[OperationShape]
    violations: list[ViolationShape]
    failures: list[CasesShape]
    deviations: list[CasesShape]
    notes: list[str]
    wear: list[WearShape]
    plugs: list[PlugsShape]


class NestedCut(Shape):
    """A second cut, in a boot after the first."""

    boot: int = Field(ge=1)
    flash_op: int = Field(ge=1)
    phase: Phase


class PlannedOp(Shape):
    """A cut on a twin: a flash operation, counted from 1, and its phase."""

    flash_op: int = Field(ge=1)
    phase: Phase
    nested: NestedCut | None = None


class NestedOffset(Shape):
    """A second cut in time, counted from when the power came back."""

    boot: int = Field(ge=1)
    offset_us: Count


class PlannedOffset(Shape):
    """A cut in time, counted from a marker."""

    marker: Marker
    offset_us: int
    nested: NestedOffset | None = None
    burst: list[Count] | None = None
    off_us: Count | None = None


class AgainShape(Shape):
    """Outcomes of observing the key again after an abnormal outcome."""

    read: list[Outcome]
    cycle: list[Outcome]


class EvidenceLine(Shape):
    """One cut: a line of evidence.jsonl."""

    id: ReplayId
    rig: str
    operation: str
    firmware: str
    stream: Literal[
        "cover", "refine", "halo", "exhaustive", "nested", "burst", "rest", "replay", "home", "next"
    ]
    planned: PlannedOp | PlannedOffset
    again: AgainShape | None = None
    fired_us: int | None
    acted_us: int | None = None
    lost_us: int | None
    lost: tuple[int, int | None] | None = None
    acknowledged: bool | None
    landed: bool | None
    boots: Count
    outcome: Outcome
    world: str | None
    changed: dict[str, tuple[object, object]]
    like: Count | None = None
    death: str | None
    blame: Blame | None
    seed: int
    home: str = "fresh"
    next: str | None = None


def check_summary(text: str | bytes) -> Summary:
    """Parse a summary.

    :raises pydantic.ValidationError: it breaks the contract; the error names each field.
    """
    return Summary.model_validate_json(text)


def check_evidence(text: str | bytes) -> EvidenceLine:
    """Parse one line of evidence.

    :raises pydantic.ValidationError: as `check_summary`.
    """
    return EvidenceLine.model_validate_json(text)
