"""Deviations that a bench names as known and accepted: what they are of, why, and until when.

[[deviation]]
case = "test_ctaphid.py::test_wink_does_what_the_capability_says"
reason = "firmware 1.2 winks without saying so; mended in 1.3"
until = 2027-03-31
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, Field

from harness.base.errors import CallerError, one_of


class AcceptedDeviation(BaseModel):
    """One `[[deviation]]` of a bench. `case` or `clause` names what deviates."""

    model_config = ConfigDict(extra="forbid")

    case: str | None = Field(default=None, min_length=1)
    """A function, `function[parameters]`, or a node id, all with or without the file and the rig."""
    clause: str | None = Field(default=None, min_length=1)
    """The section that cases name, or its beginning: "CTAP 2.1, 11.2.9.2.1"."""
    rig: str | None = None
    """The rig that it holds for; all rigs of the bench if None."""
    reason: str = Field(min_length=1)
    until: date
    """The last day on which it holds, in UTC."""

    @property
    def what(self) -> str:
        """What it is of, as the bench names it."""
        return " of ".join(f'{kind} "{name}"' for kind in ("case", "clause") if (name := getattr(self, kind)))

    def names(self, case: CaseName) -> bool:
        """Tell whether it is of this case, whatever the date."""
        if self.rig is not None and self.rig != case.rig:
            return False
        if self.case is not None and self.case not in case.spellings:
            return False
        return self.clause is None or is_within(case.clause, self.clause)


@dataclass(frozen=True)
class CaseName:
    """A case, as a bench can name it.

    :param nodeid: suite/test_file.py::test_function[rig-parameters].
    :param clause: the section of the specification that asks for it; None if the case names none.
    """

    nodeid: str
    rig: str | None
    clause: str | None

    @property
    def function(self) -> str:
        """Its function's name, e.g. test_wink_does_what_the_capability_says."""
        return self.nodeid.rpartition("::")[2].partition("[")[0]

    @property
    def spellings(self) -> frozenset[str]:
        """Each name that a bench may call it."""
        path, _, tail = self.nodeid.partition("::")
        function, _, bracket = tail.partition("[")
        parameters = bracket.removesuffix("]").removeprefix(str(self.rig)).removeprefix("~").removeprefix("-")
        tails = {tail, function, *([f"{function}[{parameters}]"] if parameters else [])}
        files = {path, path.rpartition("/")[2]}
        return frozenset(tails | {f"{file}::{name}" for file in files for name in tails})


def is_within(section: str | None, clause: str) -> bool:
    """Tell whether a section is this clause or a part of it: 6.1.2 step 5 is in 6.1.2, and 6.1.20 is not."""
    if section is None or not section.startswith(clause):
        return False
    following = section[len(clause) :]
    return not (following[:1].isdigit() and clause[-1].isdigit())


def accepted(
    deviations: Iterable[AcceptedDeviation], case: CaseName, today: date
) -> AcceptedDeviation | None:
    """Return the deviation that accepts a failure of this case today; None if none does."""
    return next((one for one in deviations if one.names(case) and today <= one.until), None)


def check_deviations(deviations: Sequence[AcceptedDeviation], shown: str, rigs: list[str]) -> None:
    """:raises CallerError: a deviation names nothing, or a rig that the bench does not have."""
    for number, one in enumerate(deviations, 1):
        where = f"{shown}: deviation number {number}"
        if one.case is None and one.clause is None:
            raise CallerError(
                where,
                found="neither case nor clause",
                expected="what deviates",
                mend='e.g. case = "test_ctaphid.py::test_wink_does_what_the_capability_says"',
            )
        if one.rig is not None and one.rig not in rigs:
            raise CallerError(
                f"{where} · rig",
                found=f'"{one.rig}"',
                expected=f"a rig of the bench: {one_of(one.rig, rigs)}",
            )


def remarks(
    deviations: Iterable[AcceptedDeviation], cases: Sequence[tuple[CaseName, str]], today: date
) -> list[str]:
    """Say which deviations of a bench have expired, are of no case of a run, or were not needed in it.

    :param cases: the cases of the run with their outcomes, as in results.jsonl.
    """
    said = []
    for number, one in enumerate(deviations, 1):
        outcomes = [outcome for case, outcome in cases if one.names(case)]
        asked = [outcome for outcome in outcomes if outcome not in ("skipped", "not_offered")]
        start = f"deviation number {number} of the bench, {one.what}"
        if today > one.until:
            said.append(f"{start}: it held until {one.until}; its cases count again. Renew it or remove it")
        elif not outcomes:
            wanted = (one.case or "").rpartition("::")[2].partition("[")[0]
            near = get_close_matches(wanted, sorted({case.function for case, _ in cases}), n=1)
            more = f"; the nearest is {near[0]}" if near else ""
            said.append(f"{start}: no case of this run is called so{more}")
        elif asked and all(outcome == "passed" for outcome in asked):
            passed = "its case" if len(asked) == 1 else f"all {len(asked)} of its cases"
            said.append(f"{start}: not needed, {passed} passed. Remove it")
    return said
