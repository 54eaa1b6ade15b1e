"""Make a passed case a failed one in Allure's results, where its violation was found after it had ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from harness.base.atomic_file import replace_file
from harness.report.allure_labels import failure_labels
from harness.report.files import Row


def book_failure(results: Path, nodeid: str, text: str, blame: str, outcomes: Sequence[str]) -> None:
    """Rewrite the results of a case; do nothing if Allure wrote none.

    :param results: Allure's folder of results. :param text: what the violation is, with the command that repeats it.
    :param outcomes: its violation classes.
    """
    for path in results.glob("*-result.json"):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            # Half-written by a killed process: Allure leaves it out, too.
            continue
        if result.get("status") == "passed" and _is_of(result, nodeid):
            result["status"] = "failed"
            result["statusDetails"] = {"message": text}
            result.setdefault("labels", []).extend(
                {"name": name, "value": value} for name, value in failure_labels(blame, outcomes)
            )
            replace_file(path, json.dumps(result))


def _is_of(result: Row, nodeid: str) -> bool:
    return case_of_result(result) == case_of(nodeid)


def case_of(nodeid: str) -> tuple[str, str]:
    """Return what tells a case in Allure's results: its full name and the parameter `case`.

    "endurance/test_power_cut.py::test_power_cut[a]" -> ("endurance.test_power_cut#test_power_cut", "'a'").
    """
    address, _, parameters = nodeid.partition("[")
    file, *names = address.split("::")
    module = ".".join([file.removesuffix(".py").replace("/", "."), *names[:-1]])
    return f"{module}#{names[-1] if names else ''}", repr(parameters.removesuffix("]"))


def case_of_result(result: Row) -> tuple[str | None, str | None]:
    """Return the same of a result."""
    values = [one.get("value") for one in result.get("parameters") or [] if one.get("name") == "case"]
    return result.get("fullName"), next(iter(values), None)
