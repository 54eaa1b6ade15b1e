"""The findings that count for a firmware, one for each fingerprint, and the waivers and fixes that speak of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import ceil, log

from harness.base.versions import version_key
from harness.model.row import Row
from harness.qualify.counted import Campaign, plain
from harness.qualify.plan import Fingerprint, Fix, Plan, Waiver

CONFIDENCE = 0.95
Print = tuple[str, str, str, str]
"""(operation, item, law, home)."""


@dataclass
class Finding:
    """A violation of one law, over all counted cuts of its operation.

    :ivar hits: (k, n): of n evenly spread cuts from its home k show it; of all cuts, where only aimed ones do.
    :ivar state: "new", "waived", "unexplained" (nobody saw it twice), or "cosmetic" (S3, which decides nothing).
    :ivar why: of a waiver that does not hold: why.
    """

    print: Print
    severity: str
    outcome: str
    models: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    hits: tuple[int, int] = (0, 0)
    seen: int = 0
    came_back: bool = False
    window_ms: float | None = None
    first: str | None = None
    text: str = ""
    first_bad: str | None = None
    state: str = "new"
    waiver: str | None = None
    why: str | None = None

    @property
    def name(self) -> str:
        operation, item, _, home = self.print
        return f'{operation}: "{item}" {self.outcome}' + ("" if home == "fresh" else f" from the home {home}")

    def table(self) -> Row:
        """As JSON-able fields."""
        operation, item, law, home = self.print
        return {
            "state": self.state,
            "severity": self.severity,
            "operation": operation,
            "item": item,
            "law": law,
            "home": home,
            "outcome": self.outcome,
            "window_ms": self.window_ms,
            "k": self.hits[0],
            "n": self.hits[1],
            "cuts_that_show_it": self.seen,
            "came_back": self.came_back,
            "runs": sorted(self.runs),
            "models": sorted(self.models),
            "first": self.first,
            "first_bad_firmware": self.first_bad,
            "waiver": self.waiver,
            "why": self.why,
            "text": self.text,
        }


def findings_of(campaigns: Sequence[Campaign], gone: Iterable[Mapping[str, object]] = ()) -> list[Finding]:
    """Return the findings of counted campaigns, worst first.

    :param gone: rows of the ledger of runs whose folder is gone: what they found stays found.
    """
    found: dict[Print, Finding] = {}
    for one in campaigns:
        named = one.findings or _unnamed(one)
        for row in named:
            at = _add(found, {**row, "run": one.of.run, "about": one.of.about})
            # A model does the same again.
            at.came_back = at.came_back or one.of.kind == "twin" or _came_back(row)
            width = _width_ms(row.get("narrowest"))
            if width and (at.window_ms is None or width < at.window_ms):
                at.window_ms = width
    for entry in gone:
        _add(found, entry)
    for at in found.values():
        at.hits = _hits(at, campaigns)
        if len(at.runs) > 1 or at.seen > 1:
            at.came_back = True
        at.state = "cosmetic" if at.severity == "S3" else "new" if at.came_back else "unexplained"
    return sorted(found.values(), key=lambda one: (one.severity, one.print))


def _add(found: dict[Print, Finding], row: Mapping[str, object]) -> Finding:
    key = (str(row["operation"]), str(row.get("item")), str(row.get("law")), str(row.get("home") or "fresh"))
    at = found.setdefault(key, Finding(key, str(row.get("severity") or "S1"), str(row.get("outcome"))))
    at.severity = min(at.severity, str(row.get("severity") or "S1"))
    at.runs.add(str(row["run"]))
    at.seen += int(str(row.get("count") or 0))
    at.first = at.first or (str(row["first"]) if row.get("first") else None)
    at.text = at.text or " · ".join(str(row[name]) for name in ("where", "text") if row.get(name))
    if row.get("about"):
        at.models.add(str(row["about"]))
    return at


def _unnamed(one: Campaign) -> list[Row]:
    """What a campaign that never wrote its findings violated: nobody knows the item, so it is taken as severe."""
    if not one.violations:
        return []
    common = {"operation": one.operation, "item": None, "law": None, "home": "fresh", "severity": "S1"}
    return [{**common, "outcome": "violation", "count": one.violations, "covering_count": one.bad}]


def _came_back(row: Row) -> bool:
    return bool(((row.get("again") or {}).get("reproduced") or [0])[0])


def _width_ms(narrowest: Row | None) -> float:
    if not narrowest or narrowest.get("to_us") is None or narrowest.get("from_us") is None:
        return 0.0
    return float(narrowest["to_us"] - narrowest["from_us"]) / 1000


def _hits(finding: Finding, campaigns: Sequence[Campaign]) -> tuple[int, int]:
    operation, item, law, home = finding.print
    covering = count = 0
    of_operation = [one for one in campaigns if one.operation == operation]
    for one in of_operation:
        for row in one.findings or _unnamed(one):
            if (str(row.get("item")), str(row.get("law")), row.get("home")) == (item, law, home):
                covering += row.get("covering_count") or 0
                count += row.get("count") or 0
    if covering:
        return covering, sum(one.homes.get(home, [0])[0] for one in of_operation)
    return count, sum(one.cuts for one in of_operation)


def name_first_bad(findings: Sequence[Finding], known: Iterable[Mapping[str, object]]) -> None:
    """Note in each finding the lowest firmware version that shows it, by all that the ledger knows of the model."""
    versions: dict[Print, set[str]] = {}
    for row in known:
        key = (str(row["operation"]), str(row["item"]), str(row["law"]), str(row["home"]))
        versions.setdefault(key, set()).add(plain(str(row["firmware"] or "")))
    for finding in findings:
        seen = sorted((one for one in versions.get(finding.print, set()) if one), key=version_key)
        finding.first_bad = seen[0] if seen else None


@dataclass
class WaiverState:
    """:ivar state: "used", "unused", "expired" or "exceeded". :ivar why: in words; None if it is used."""

    waiver: Waiver
    state: str
    why: str | None = None

    def table(self) -> Row:
        """As JSON-able fields."""
        return {**self.waiver.model_dump(mode="json"), "state": self.state, "why": self.why}


def waive(findings: Sequence[Finding], plan: Plan, today: date) -> list[WaiverState]:
    """Set the state of the findings that a waiver holds for; return what became of each waiver."""
    states = []
    for waiver in plan.waiver:
        matching = [one for one in findings if _is_of(waiver.finding, one) and one.state != "cosmetic"]
        if not matching:
            states.append(WaiverState(waiver, "unused", "no counted cut shows this finding"))
            continue
        ended = _expired(waiver, plan, today)
        state, wrong = ("expired" if ended else "used"), ended
        for one in matching:
            why = ended or _exceeded(waiver, one)
            if why is None:
                one.state, one.waiver, one.why = "waived", waiver.id, None
                continue
            if one.state != "waived":
                one.waiver, one.why = waiver.id, f"waiver {waiver.id} does not hold: {why}"
            if not ended:
                state, wrong = "exceeded", wrong or why
        states.append(WaiverState(waiver, state, wrong))
    return states


def _is_of(asked: Fingerprint, finding: Finding) -> bool:
    operation, item, law, home = finding.print
    return (asked.operation, asked.item, asked.law) == (operation, item, law) and asked.home in (None, home)


def _expired(waiver: Waiver, plan: Plan, today: date) -> str | None:
    version = plan.firmware.version
    if today > waiver.until.date:
        return f"it ended on {waiver.until.date}"
    if version_key(version) >= version_key(waiver.until.version):
        return f"it ends with firmware {waiver.until.version}"
    if not version_key(waiver.firmware_from) <= version_key(version) <= version_key(waiver.firmware_to):
        return f"it is for firmware {waiver.firmware_from} to {waiver.firmware_to}"
    return None


def _exceeded(waiver: Waiver, finding: Finding) -> str | None:
    if finding.severity == "S1" and waiver.severity != "S1":
        return "the finding has severity S1, and it was given for S2"
    asked = waiver.finding.window_ms
    if asked is not None and (finding.window_ms or 0) > asked:
        return f"the window has {finding.window_ms:g} ms, and {asked:g} ms are accepted"
    (k, n), (most, of) = finding.hits, waiver.ceiling
    if k * of > most * n:
        return f"{k} of {n} cuts show it, and {most} of {of} are accepted"
    return None


def fixes(
    plan: Plan,
    findings: Sequence[Finding],
    known: Sequence[Mapping[str, object]],
    campaigns: Sequence[Campaign],
) -> list[Row]:
    """Return what became of the fixes that the plan names: "fixed", "not seen", "seen again" or "unknown".

    Silence alone fixes nothing: as many cuts must be clean as show the finding with 95 % at its earlier rate.
    """
    rows = []
    for fix in plan.fix:
        k, n = _before(fix, plan, known)
        cuts = sum(one.covering for one in campaigns if one.operation == fix.finding.operation)
        takes = clean_cuts_for(k, n)
        if any(_is_of(fix.finding, one) for one in findings):
            state = "seen again"
        elif takes is None:
            state = "unknown"
        else:
            state = "fixed" if cuts >= takes else "not seen"
        rows.append(
            {**fix.model_dump(mode="json"), "state": state, "before": [k, n], "cuts": cuts, "takes": takes}
        )
    return rows


def _before(fix: Fix, plan: Plan, known: Sequence[Mapping[str, object]]) -> tuple[int, int]:
    asked, k, n = fix.finding, 0, 0
    for row in known:
        same = (row["operation"], row["item"], row["law"]) == (asked.operation, asked.item, asked.law)
        if same and plain(str(row["firmware"])) != plain(plan.firmware.version):
            k, n = k + int(str(row["covering"] or 0)), n + int(str(row["of"] or 0))
    return k, n


def clean_cuts_for(k: int, n: int, confidence: float = CONFIDENCE) -> int | None:
    """Return how many clean cuts it takes to see a finding with this confidence that k of n cuts showed.

    :returns: None if k is 0.
    """
    if not k:
        return None
    return 1 if k >= n else max(1, ceil(log(1 - confidence) / log(1 - k / n) - 1e-9))
