"""A qualification plan: what is asked of a firmware before it is shipped, as pydantic models (docs/qualify.md).

What is asked is frozen: `Plan.frozen` leaves out what can only be known later (amendments, excluded runs, waivers,
fixes), and its digest opens the evidence of every run that the plan begins.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from harness.base.versions import version_key
from harness.bench.bench import NAME
from harness.model.operation import FRESH

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(gt=0, lt=1)]
Kind = Literal["twin", "emulator", "emulator-torn", "hardware"]
LATER = ("amendment", "exclude", "waiver", "fix")
"""Tables that are written after the plan was frozen."""


def person(name: str) -> str:
    """What is the same in all ways to write a name: "J.D.", "J. D." and "jd" are one person."""
    return "".join(sign for sign in name.casefold() if sign.isalnum()) or name


class Table(BaseModel):
    """A table of a plan: exactly these fields."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Sample(Table):
    """A key that was taken for the qualification, by its identity in the ledger."""

    identity: Text
    lot: Text | None = None


class Product(Table):
    """What is shipped. :ivar key: the model, by the name of its plugin. :ivar chosen: how samples were chosen."""

    key: Text
    title: Text | None = None
    hardware: Text | None = None
    lots: list[Text] = []
    chosen: Text | None = None
    sample: list[Sample] = []


class Carried(Table):
    """An operation that is not run again: its evidence is that of an earlier qualification."""

    operation: Text
    plan: Text
    reason: Text
    by: Text


class Firmware(Table):
    """:ivar file: its update container, relative to the plan; its digest must be `sha256`.
    :ivar from_versions: the versions that updates start from."""

    version: Text
    sha256: Digest | None = None
    file: Text | None = None
    signer: Text | None = None
    predecessor: Text | None = None
    changed: list[Text] = []
    from_versions: list[Text] = []
    carried: list[Carried] = []

    @model_validator(mode="after")
    def _whole(self) -> Firmware:
        if self.from_versions and not self.file:
            raise ValueError("from_versions needs `file`, the container that is installed over them")
        if self.file and not self.sha256:
            raise ValueError("`file` needs its sha256; `sha256sum FILE` shows it")
        return self


class BenchUse(Table):
    """Rigs that take part. :ivar kind: what their evidence is; runs of another kind do not count for this row."""

    file: Text
    kind: Kind
    rigs: list[Annotated[str, StringConstraints(pattern=NAME)]] = []
    suites: list[Text] = ["endurance"]
    homes: list[Text] = Field(default=[FRESH], min_length=1)


class Bound(Table):
    """What an operation has to show. On models the proof that `models` names, elsewhere a bound.

    :ivar below: with `confidence`, fewer than this share of the instants may do harm.
    :ivar cuts: number of judged cuts on a model, if `models` is "sample".
    """

    confidence: Share = 0.99
    below: Share = 0.01
    max_window_ms: float | None = Field(default=None, gt=0)
    min_keys: int = Field(default=1, ge=1)
    min_nights: int = Field(default=1, ge=1)
    models: Literal["exhaustive", "bounded", "sample"] = "exhaustive"
    cuts: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _whole(self) -> Bound:
        if self.models == "sample" and self.cuts is None:
            raise ValueError('models = "sample" needs `cuts`, the number of cuts to make')
        return self


class Goal(Bound):
    """The goal of all operations. :ivar operations: their names; every one that the benches offer if there is none."""

    operations: list[Text] = []


class OperationGoal(Bound):
    """Another goal for one operation."""

    name: Text


class Environment(Table):
    """Where it was tested, as far as it is known."""

    clients: dict[str, Text] = {}
    kernel: Text | None = None
    libccid: Text | None = None
    temperature: Text | None = None


class Decision(Table):
    """:ivar missed_max: share of cuts that may be missed. :ivar stop: the last day for evidence."""

    missed_max: Share = 0.02
    stop: date | None = None


class Tool(Table):
    """:ivar version: the version of Keyharness. :ivar prove_min: least share of known bugs that `prove` caught.
    :ivar mutants_min: least share of mutants that `prove --random` caught.
    :ivar calibration_age_max_days: the age of a switch's calibration.
    """

    version: Text | None = None
    prove_min: float | None = Field(default=None, gt=0, le=1)
    mutants_min: float | None = Field(default=None, gt=0, le=1)
    calibration_age_max_days: int = Field(default=30, ge=1)


class Roles(Table):
    """Who executes, reviews and approves."""

    executor: Text
    reviewer: Text
    approver: Text


class Requirement(Table):
    """A requirement of the reader's own, and the operations that show it."""

    id: Name
    text: Text
    operations: list[Text] = Field(min_length=1)


class Amendment(Table):
    """A change of a plan that was frozen already. :ivar replaces: the digest that the plan had before."""

    at: date
    by: Text
    why: Text
    replaces: Digest


class Exclusion(Table):
    """A run that does not count."""

    run: Text
    reason: Text
    by: Text


class Fingerprint(Table):
    """Which finding: operation, item and law; home and window only where it is bound to one."""

    operation: Text
    item: Text
    law: Text
    home: Text | None = None
    window_ms: float | None = Field(default=None, gt=0)


class Until(Table):
    """When a waiver ends: after this day, and with this version."""

    date: date
    version: Text


class Waiver(Table):
    """A finding that is accepted for a while.

    :ivar ceiling: (k, n): accepted while at most k of n cuts show it. :ivar severity: of the finding; S1 needs two
        approvers. :ivar impact: what the owner loses.
    """

    id: Name
    finding: Fingerprint
    severity: Literal["S1", "S2"]
    firmware_from: Text
    firmware_to: Text
    ceiling: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    impact: Text
    ticket: Text
    approver: list[Text] = Field(min_length=1)
    until: Until

    @model_validator(mode="after")
    def _whole(self) -> Waiver:
        if self.severity == "S1" and len({person(name) for name in self.approver}) < 2:
            raise ValueError("a waiver of an S1 finding needs two different approvers")
        if self.ceiling[0] > self.ceiling[1]:
            raise ValueError("ceiling is [k, n] with k at most n")
        if version_key(self.firmware_from) > version_key(self.firmware_to):
            raise ValueError(
                f"firmware_from, {self.firmware_from}, is not above firmware_to, {self.firmware_to}"
            )
        return self


class Fix(Table):
    """A finding of an earlier firmware that somebody fixed: believed only with enough cuts that do not show it."""

    finding: Fingerprint
    ticket: Text
    by: Text


class Plan(Table):
    """A qualification plan."""

    schema_: Literal[1] = Field(alias="schema")
    id: Name
    product: Product
    firmware: Firmware
    bench: list[BenchUse] = Field(min_length=1)
    goal: Goal = Goal()
    operation: list[OperationGoal] = []
    environment: Environment = Environment()
    decision: Decision = Decision()
    tool: Tool = Tool()
    roles: Roles
    requirement: list[Requirement] = []
    not_tested: list[Text] = []
    seed: int = 1
    night: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?[smh]$")] | None = None
    """Time for one call on keys and emulators; without it a call goes on until the goals are reached."""
    amendment: list[Amendment] = []
    exclude: list[Exclusion] = []
    waiver: list[Waiver] = []
    fix: list[Fix] = []

    def frozen(self) -> str:
        """Return what is frozen of the plan, as canonical JSON: sorted keys, no spaces, a newline."""
        held = self.model_dump(mode="json", by_alias=True, exclude={*LATER}, exclude_none=True)
        return json.dumps(held, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"

    @property
    def digest(self) -> str:
        """The SHA-256 of `frozen`, in hex."""
        return hashlib.sha256(self.frozen().encode()).hexdigest()

    def goal_of(self, operation: str) -> Bound:
        """Return the goal of an operation."""
        return next((one for one in self.operation if one.name == operation), self.goal)
