"""junit.xml: one testsuite for each suite and rig, with the verdict, for servers that read nothing else.

pytest writes the file first, with what a case printed and with tracebacks. This takes them over, and adds what pytest
does not know: counts and proof of campaigns, and campaigns that prove nothing, which are errors.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.base.atomic_file import replace_file
from harness.base.errors import Blame
from harness.report import files
from harness.report.causes import blame_of
from harness.report.files import Row
from harness.report.proof import proof_of, unmet
from harness.report.switches import switch_doubts
from harness.report.verdict import INCONCLUSIVE, INTERRUPTED, NOTHING_TESTED, unproven
from harness.report.verdict_text import replay_command

Address = tuple[str, str]
"""Class name and name of a case, as pytest makes them of a node id."""
Cases = Mapping[Address, ET.Element]

OTHER = "other"
"""The suite of cases that are asked of no rig."""
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 forbids, section 2.2. A key's answer may hold it."""
_PRINTED = ("system-out", "system-err")
_RESULTS = ("failure", "error", "skipped")


def write_junit(
    run_dir: Path,
    summary: Row,
    cases: Sequence[Row],
    operations: Sequence[Row],
    required: str | None = None,
) -> Path:
    """Write junit.xml of a run; what an earlier one says of a case is kept.

    :param summary: the run's summary. :param cases: rows of results.jsonl; the last row of a case counts.
    :param operations: lines of operations.jsonl. :param required: the proof that --require asks for.
    """
    out = run_dir / files.JUNIT
    before = _read(out)
    root = ET.Element("testsuites", name=_text(f"keyharness {summary['run']}"))
    campaigns = {(row["rig"], row["operation"]): row for row in operations}
    groups: dict[tuple[str, str], list[ET.Element]] = {}
    cuts: dict[tuple[str, str], int] = {}
    last = {(case["nodeid"], case.get("rig")): case for case in cases}
    known: set[Address] = set()
    for case in last.values():
        at = str(case.get("suite") or OTHER), str(case.get("rig") or "")
        campaign = campaigns.get((at[1], str(case.get("operation"))))
        address = address_of(case["nodeid"])
        known.add(address)
        element = _case(case, campaign, before.get(address), summary, required)
        groups.setdefault(at, []).append(element)
        cuts[at] = cuts.get(at, 0) + (campaign["cuts"] if campaign and campaign.get("cuts") else 0)
    for address, element in before.items():
        if address not in known and address != VERDICT and not _is_unfinished(element):
            groups.setdefault((OTHER, ""), []).append(element)
    for (suite, rig), elements in groups.items():
        _add_suite(root, suite, rig, elements, summary, cuts.get((suite, rig), 0))
    _add_verdict(root, summary)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ET.indent(root, " ")
    replace_file(out, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
    return out


def address_of(nodeid: str) -> Address:
    """conformance/test_u2f.py::test_version[a] -> ("conformance.test_u2f", "test_version[a]"), as pytest does."""
    path, bracket, parameters = nodeid.partition("[")
    file, *names = path.split("::")
    classes = [re.sub(r"\.py$", "", file.replace("/", ".")), *names[:-1]]
    return _text(".".join(classes)), _text((names[-1] if names else "") + bracket + parameters)


VERDICT: Address = ("keyharness", "verdict")
"""The case that stands for a run that proves nothing, where no case of its own says so."""


def _read(path: Path) -> dict[Address, ET.Element]:
    """Return the cases of an earlier file; none if it is not there, or damaged."""
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError, ValueError, LookupError):
        return {}
    return {(case.get("classname", ""), case.get("name", "")): case for case in root.iter("testcase")}


def _is_unfinished(element: ET.Element) -> bool:
    """Return whether a case of a rig, which has no row of its own, was interrupted: pytest would call it passed."""
    return "rig" in _properties_of(element) and all(element.find(tag) is None for tag in _RESULTS)


def _case(
    case: Row, campaign: Row | None, before: ET.Element | None, summary: Row, required: str | None
) -> ET.Element:
    classname, name = address_of(case["nodeid"])
    element = ET.Element(
        "testcase", classname=classname, name=name, time=f"{case.get('duration_s') or 0:.3f}"
    )
    known = {**_properties_of(before), **_of_case(case), **_counts(campaign)}
    result = _result(case, campaign, before, summary, required)
    # The testsuite says rig and suite; who asks by which clause a case passed finds it in results.jsonl.
    said_elsewhere = ("rig", "suite", "clause") if result is None else ("rig", "suite")
    _add_properties(element, {name: value for name, value in known.items() if name not in said_elsewhere})
    if result is not None:
        element.append(result)
        for tag in _PRINTED:
            if before is not None and (printed := before.find(tag)) is not None:
                element.append(printed)
    return element


def _of_case(case: Row) -> dict[str, object]:
    names = ("clause", "deviation", "blame")
    found = {name: case[name] for name in names if case.get(name)}
    if case["outcome"] == "not_offered":
        found["outcome"] = "not offered"
    return found


def _counts(campaign: Row | None) -> dict[str, object]:
    if campaign is None:
        return {}
    bound = campaign.get("bound") or {}
    missed = sum(pair[0] for pair in (campaign.get("missed") or {}).values())
    return {
        "operation": campaign["operation"],
        "proof": proof_of(campaign),
        **{
            name: campaign[name]
            for name in ("cuts", "covering_cuts", "distinct_states", "violations", "unresolved")
            if campaign.get(name) is not None
        },
        "missed_cuts": missed,
        **({"below": bound["below"], "confidence": bound["confidence"]} if bound else {}),
        **{f"outcome.{name}": count for name, count in (campaign.get("outcomes") or {}).items()},
    }


def _result(
    case: Row, campaign: Row | None, before: ET.Element | None, summary: Row, required: str | None
) -> ET.Element | None:
    """Return the element that says how a case ended; None if it passed."""
    outcome, reason = case["outcome"], str(case.get("reason") or "")
    findings = [
        found
        for found in summary["violations"]
        if campaign is not None
        and (found["rig"], found["operation"]) == (campaign["rig"], campaign["operation"])
    ]
    if outcome == "failed" and findings:
        return _element(
            "failure", _said(findings), _findings_text(findings, summary["bench"]), findings[0]["severity"]
        )
    if outcome in ("failed", "error"):
        blame = blame_of(case)
        # A failure is the key's; what the rig or the harness did wrong says nothing of the key.
        tag = "failure" if outcome == "failed" and blame == Blame.KEY else "error"
        return _element(tag, reason, _text_of(before) or reason, blame)
    if outcome == "deviation":
        return _element("skipped", f"deviation: {reason}", reason, f"deviation.{case.get('deviation')}")
    if outcome in ("skipped", "not_offered"):
        return _element("skipped", reason, reason, outcome.replace("_", "-"))
    if campaign is not None and (doubts := _doubts(campaign, summary, required)):
        return _element("error", doubts[0], "\n".join(doubts), INCONCLUSIVE)
    return None


def _said(findings: Sequence[Row]) -> str:
    first = f"{findings[0]['severity']}: {findings[0]['sentence']}"
    return first if len(findings) == 1 else f"{first} (and {len(findings) - 1} more)"


def _findings_text(findings: Sequence[Row], bench: str | None) -> str:
    said = []
    for found in findings:
        said.append(f"{found['severity']} {found['blame']}: {found['sentence']}")
        said += [f"  {line}" for line in str(found["text"]).split("\n")]
        said += [f"  {replay_command(found['first'], bench)}"] if found["first"] else []
    return "\n".join(said)


def _doubts(campaign: Row, summary: Row, required: str | None) -> list[str]:
    """Say why a campaign proves nothing; empty if it does, or if the run has another verdict."""
    if summary["verdict"] != INCONCLUSIVE:
        return []
    start = f"{campaign['operation']} on {campaign['rig']}: "
    said = [why for why in summary["reasons"] if why.startswith(start)]
    said += [*unproven(campaign, None), *switch_doubts([campaign]), *unmet([campaign], required)]
    return list(dict.fromkeys(said))


def _add_suite(
    root: ET.Element, suite: str, rig: str, cases: Sequence[ET.Element], summary: Row, cuts: int
) -> None:
    count = {tag: sum(1 for case in cases if case.find(tag) is not None) for tag in _RESULTS}
    element = ET.SubElement(
        root,
        "testsuite",
        name=_text(f"{suite} on {rig}" if rig else suite),
        tests=str(len(cases)),
        failures=str(count["failure"]),
        errors=str(count["error"]),
        skipped=str(count["skipped"]),
        time=f"{sum(float(case.get('time') or 0) for case in cases):.3f}",
        timestamp=str(summary["started"] or "").removesuffix("Z"),
    )
    firmware = next((one["firmware"] for one in summary["rigs"] if one["name"] == rig), None)
    _add_properties(
        element,
        {
            "run": summary["run"],
            "verdict": summary["verdict"],
            "proof": summary["proof"] or "none",
            "seed": summary["seed"],
            "rig": rig or None,
            "firmware": firmware,
            "evidence_kind": ", ".join(summary["evidence_kind"]),
            "cuts": cuts,
            "bench": summary["bench"],
            "keyharness": summary["version"],
        },
    )
    element.extend(cases)


def _add_verdict(root: ET.Element, summary: Row) -> None:
    """Add an error for a run that proves nothing, if no case is one: a server would show it as passed."""
    doubtful = summary["verdict"] in (INCONCLUSIVE, INTERRUPTED, NOTHING_TESTED)
    if not doubtful or any(case.find("error") is not None for case in root.iter("testcase")):
        return
    reasons = summary["reasons"] or [summary["verdict"]]
    case = ET.Element("testcase", classname=VERDICT[0], name=VERDICT[1], time="0.000")
    case.append(_element("error", reasons[0], "\n".join(reasons), summary["verdict"]))
    _add_suite(root, VERDICT[0], "", [case], summary, 0)


def _element(tag: str, message: str, text: str, kind: str) -> ET.Element:
    element = ET.Element(tag, message=_text(message), type=_text(kind))
    element.text = _text(text)
    return element


def _add_properties(element: ET.Element, values: Mapping[str, object]) -> None:
    known = {name: value for name, value in values.items() if value is not None}
    if known:
        inner = ET.SubElement(element, "properties")
        for name, value in known.items():
            ET.SubElement(inner, "property", name=_text(name), value=_text(str(value)))


def _properties_of(before: ET.Element | None) -> dict[str, object]:
    found = before.iterfind("properties/property") if before is not None else ()
    return {one.get("name", ""): one.get("value", "") for one in found}


def _text_of(before: ET.Element | None) -> str | None:
    found = [before.findtext(tag) for tag in ("failure", "error")] if before is not None else []
    return next((text for text in found if text), None)


def _text(text: str) -> str:
    """Return a text with what XML forbids as escapes."""
    return _ILLEGAL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
