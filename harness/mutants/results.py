"""What became of each mutant, and what the mutants say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import harness
from harness.evidence.mutation_score import MutationScore
from harness.mutants.choice import Mutant
from harness.mutants.processes import Told
from harness.mutants.trial import BUILD
from harness.search.bounds import lower_bound, upper_bound

CAUGHT, SURVIVED, EQUIVALENT, NOT_REACHED = "caught", "survived", "equivalent", "not-reached"
NOT_BUILT = "not-built"
TAIL = 0.975
"""One-sided confidence of each end of an interval of 95 %."""
_NAMED = 3
_SHORT = 60


@dataclass(frozen=True)
class Result:
    """What became of one mutant. JSON-able; it is a row of the journal.

    :ivar where: file and line. :ivar result: caught, survived, equivalent, not-reached or not-built.
    :ivar by: what caught it: an operation, or a suite. :ivar says: what that says, or why nothing caught it.
    """

    number: int
    where: str
    rule: str
    before: str
    after: str
    result: str
    by: str
    says: str
    cpu_s: float

    @property
    def row(self) -> dict[str, Any]:
        return asdict(self)


def _result(mutant: Mutant, told: Told, result: str, by: str, says: str) -> Result:
    edit = mutant.edit
    return Result(
        mutant.number,
        mutant.where,
        edit.rule,
        edit.before,
        edit.after,
        result,
        by,
        says,
        round(told.cpu_s, 1),
    )


def result_of(mutant: Mutant, told: Told) -> Result | None:
    """The result of a trial; None if the mutant has to be compared with the sound twin first."""
    entries = told.entries
    if "caught" in entries:
        by, says = entries["caught"]
        return _result(mutant, told, CAUGHT, by, says)
    said = entries.get("harness") or told.ended or _last_line(entries.get("error"))
    if entries.get("stage") == BUILD:
        return _result(mutant, told, NOT_BUILT, "", f"no twin can be built: {said}")
    if entries.get("stage") == "home":
        return _result(mutant, told, SURVIVED, "", f"no home: {said}")
    if entries.get("differs"):
        return _result(mutant, told, SURVIVED, "", _reason(entries["differs"], told))
    return None


def compared(mutant: Mutant, told: Told, again: Told) -> Result:
    """The result of a mutant that no law has caught, and that was compared with the sound twin."""
    if differs := again.entries.get("differs"):
        return _result(mutant, told, SURVIVED, "", _reason(differs, told))
    if again.ended or "error" in again.entries:
        why = again.ended or _last_line(again.entries["error"])
        return _result(mutant, told, SURVIVED, "", f"no trace of it could be compared: {why}")
    if told.entries.get("reached") or again.entries.get("reached"):
        return _result(mutant, told, EQUIVALENT, "", "equal traces" + _where_ended(told))
    says = "no case and no operation executes the line" + _where_ended(told)
    return _result(mutant, told, NOT_REACHED, "", says)


def _reason(differs: Mapping[str, str], told: Told) -> str:
    named = [f"{name}: {text}" for name, text in list(differs.items())[:_NAMED]]
    more = len(differs) - len(named)
    said = "; ".join(named) + (f"; {more} more operations differ" if more > 0 else "")
    if harness_said := told.entries.get("harness"):
        said += f"; not blamed on the key: {harness_said}"
    if told.ended:
        said += _where_ended(told)
    elif "error" in told.entries:
        said += f"; the trial ended: {_last_line(told.entries['error'])}"
    return said


def _where_ended(told: Told) -> str:
    return f"; {told.ended} in {told.entries.get('stage', 'the beginning')}" if told.ended else ""


def _last_line(text: object) -> str:
    return str(text).strip().splitlines()[-1]


def score_of(results: Sequence[Result], key: str, code: str, seed: int, made: str) -> MutationScore:
    """Count results; without one that counts, the interval is everything."""
    counts = Counter(one.result for one in results)
    caught, counted = counts[CAUGHT], counts[CAUGHT] + counts[SURVIVED]
    return MutationScore(
        key,
        harness.__version__,
        code,
        made,
        seed,
        caught,
        counted,
        counts[EQUIVALENT],
        counts[NOT_REACHED],
        round(lower_bound(caught, counted, TAIL), 4) if counted else 0.0,
        round(upper_bound(caught, counted, TAIL), 4) if counted else 1.0,
    )


def show(result: Result, out: TextIO) -> None:
    """Write one line on a mutant that was tried."""
    change = f"{_short(result.before)} -> {_short(result.after) or 'nothing'}"
    said = f"{result.by}: {result.says}" if result.by else result.says
    verdict = result.result if result.result == CAUGHT else result.result.upper()
    out.write(f"  {result.number:>3}  {verdict:<11}  {result.rule:<17} {result.where}   {change}\n")
    out.write(f"       {result.cpu_s:>6.1f} s     {_short(said, 160)}\n")
    out.flush()


def show_sum(results: Sequence[Result], score: MutationScore, out: TextIO) -> None:
    """Write what the mutants say together: by what they were caught, by rule, and the score."""
    by = Counter(one.by for one in results if one.result == CAUGHT)
    out.write("\ncaught by\n")
    out.writelines(f"  {count:>4}  {name}\n" for name, count in by.most_common())
    out.write("\nby rule: caught, survived\n")
    for rule in sorted({one.rule for one in results}):
        counts = Counter(one.result for one in results if one.rule == rule)
        out.write(f"  {counts[CAUGHT]:>4} {counts[SURVIVED]:>4}  {rule}\n")
    not_built = sum(one.result == NOT_BUILT for one in results)
    out.write(
        f"\n{score.text}\n{score.equivalent} equivalent (equal traces), {score.not_reached} in code that "
        f"nothing executes{f', {not_built} of which no twin can be built' if not_built else ''}: not counted\n"
    )


def _short(text: str, most: int = _SHORT) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
