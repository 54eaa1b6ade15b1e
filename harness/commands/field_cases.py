"""Show what the case files of a folder say together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from harness.base.versions import version_key
from harness.bench.registry import discover
from harness.field.cases import Case, KeptCase, read_cases
from harness.field.knowledge import load
from harness.field.rates import Rate, counted, rates

BIAS = "Only keys that failed are in these figures: over all keys the rate is lower."


class CaseReport:
    """The case files of a folder.

    :raises CallerError: there is none, or one does not fit.
    """

    def __init__(self, folder: Path):
        plugins = discover()
        known = load(plugins.field_files).signatures.keys()
        self.kept: list[KeptCase] = read_cases(folder, known, plugins.scenario_files())
        self.cases: list[Case] = [one.case for one in self.kept]
        self.by_firmware: dict[str, list[Case]] = {}
        for case in sorted(self.cases, key=lambda one: version_key(one.version)):
            self.by_firmware.setdefault(case.version, []).append(case)

    def table(self) -> dict[str, Any]:
        """Return it as a JSON-able table."""
        return {
            "cases": [
                {"file": one.path.name, **one.case.model_dump(mode="json", exclude_none=True)}
                for one in self.kept
            ],
            "counts": [
                {"firmware": firmware, "signature": signature, "cases": count}
                for (firmware, signature), count in counted(self.cases).items()
            ],
            "rates": [
                {"firmware": firmware, **vars(found), "rate": found.rate} for firmware, found in self._rates()
            ],
        }

    def _rates(self) -> list[tuple[str, Rate]]:
        return [(firmware, found) for firmware, cases in self.by_firmware.items() for found in rates(cases)]


def show_cases(report: CaseReport, out: TextIO) -> None:
    """Write it for a person."""
    out.write(f"{len(report.cases)} cases\n\n")
    width = max(len(signature) for _, signature in counted(report.cases))
    for (firmware, signature), count in counted(report.cases).items():
        out.write(f"  {firmware:<12}  {signature:<{width}}  {count:>4}\n")
    told: Sequence[tuple[str, list[Rate]]] = [
        (one, rates(cases)) for one, cases in report.by_firmware.items()
    ]
    if any(found for _, found in told):
        out.write("\n")
    for firmware, found in told:
        for one in found:
            out.write(f"  {firmware:<12}  {one.words}\n")
    if any(found for _, found in told):
        out.write(f"  {BIAS}\n")
    for case in report.cases:
        tried = f", reproduced {case.reproduced.k} of {case.reproduced.n}" if case.reproduced else ""
        fixed = f", fixed in {case.fixed_in}" if case.fixed_in else ""
        out.write(f"\n  {case.id}: {case.product}, {case.firmware}, {case.disposition}{tried}{fixed}\n")
