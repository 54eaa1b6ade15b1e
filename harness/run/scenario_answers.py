"""Hold what people were told: run the cases of suites that a scenario's answers name, and say which answers hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.base.errors import CallerError, one_of
from harness.evidence.case_archive import case_lines
from harness.field.scenario_file import Answer, Scenario
from harness.run.launch import Launch
from harness.run.wanted import Wanted

PASSED, NOT_OFFERED = "passed", ("not_offered", "skipped")


@dataclass(frozen=True)
class Held:
    """One answer, and what its cases say.

    :ivar passed: of `asked` cases; `not_offered` more do not fit the key.
    :ivar against: the cases that did not pass.
    """

    says: str
    asked: int
    passed: int
    not_offered: int
    against: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return self.asked > 0 and self.passed == self.asked

    def table(self) -> dict[str, Any]:
        """Return it as a JSON-able table."""
        return {**vars(self), "against": list(self.against), "holds": self.holds}


def case_fits(case: str, node: str) -> bool:
    """Tell whether a case of a scenario, as `test_name word word`, means a pytest node.

    The first word is the function's whole name; each further one stands somewhere in the id of the parameters.
    """
    name, *words = case.split()
    function, _, parameters = node.rpartition("::")[2].partition("[")
    # Parameters are words of their own between hyphens: "keys" must not fit "monkeys".
    padded = f"-{parameters.removesuffix(']')}-".lower()
    return function == name and all(f"-{word.lower()}-" in padded for word in words)


def expression(cases: Iterable[str]) -> str:
    """The expression by which pytest selects these cases, and perhaps some more."""
    return " or ".join("(" + " and ".join(case.split()) + ")" for case in dict.fromkeys(cases))


def hold(
    scenario: Scenario,
    bench: Path | None,
    rigs: tuple[str, ...],
    seed: int | None,
    reports: Path,
    shown: Sequence[str] = (),
    *,
    hidden: bool = False,
) -> tuple[list[Held], Path, int]:
    """Run the cases of all answers in one run: (what holds, the run's folder, its exit code).

    :param shown, hidden: as of `Launch.run`.

    :raises CallerError: a suite or a rig does not exist, or an answer names a case that no suite has.
    """
    answers = scenario.answer
    cases = [case for answer in answers for case in answer.cases]
    suites = list(dict.fromkeys(answer.suite for answer in answers))
    launch = Launch(Wanted(bench, rigs, (), seed), suites, reports, ["-k", expression(cases)])
    code = launch.run(["--color", "no", *shown], hidden=hidden)
    assert launch.path is not None, "it was started"
    rows = [json.loads(line) for line in case_lines(launch.path).splitlines()]
    if rows:
        _require_cases(answers, [row["nodeid"] for row in rows])
    return [_held(answer, rows) for answer in answers], launch.path, code


def _require_cases(answers: Sequence[Answer], nodes: list[str]) -> None:
    for answer in answers:
        for case in answer.cases:
            if not any(case_fits(case, node) for node in nodes):
                known = sorted({node.rpartition("::")[2].partition("[")[0] for node in nodes})
                raise CallerError(
                    f"answer {answer.says!r}",
                    found=f"{case}, which no case of the suite {answer.suite} is",
                    expected=one_of(case.split()[0], known),
                    mend="the first word is the name of a test, others stand in the id of its parameters",
                )


def _held(answer: Answer, rows: Sequence[dict[str, Any]]) -> Held:
    mine = {
        row["nodeid"]: row["outcome"]
        for row in rows
        if row.get("suite") in (answer.suite, None)
        and any(case_fits(case, row["nodeid"]) for case in answer.cases)
    }
    asked = {node: outcome for node, outcome in mine.items() if outcome not in NOT_OFFERED}
    against = tuple(node for node, outcome in asked.items() if outcome != PASSED)
    return Held(answer.says, len(asked), len(asked) - len(against), len(mine) - len(asked), against)
