"""Make Allure's results readable, and small: titles in words, real severities, steps of a campaign, named attachments.

What identifies a case (uuid, history id, test case id, full name) stays, so that its history goes on. A result that
was made readable before stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.base.shape import Shape, misfit
from harness.report import vocabulary
from harness.report.allure_booking import case_of, case_of_result
from harness.report.allure_labels import SEVERITIES, TAG_LABEL
from harness.report.files import Row
from harness.report.findings import campaign_findings
from harness.report.verdict_text import replay_command
from harness.report.vocabulary import counted

NOT_OFFERED, NOT_RUN, DEVIATION = "not offered", "not run", "deviation"
"""Tags of cases that Allure itself only knows as skipped."""
_NOISE = frozenset(("host", "framework", "language", "package", "parentSuite", "subSuite"))
"""Labels that say nothing of the key. One of them names this machine."""
_THREAD = "thread"
_NAMES = {"log": "log", "stdout": "what the case printed", "stderr": "what the case wrote to standard error"}
_NAMED: Shape = {"name": str, "value?": (str, None)}
_RESULT: Shape = {
    "uuid": str,
    "name": str,
    "status?": (str, None),
    **{f"{name}?": (str, None) for name in ("fullName", "historyId")},
    "start?": (int, None),
    "stop?": (int, None),
    "labels?": ([_NAMED], None),
    "parameters?": ([_NAMED], None),
    "attachments?": ([{"name": str, "source": str}], None),
    "statusDetails?": ({"message?": (str, None), "trace?": (str, None)}, None),
}
_CONTAINER: Shape = {
    "children?": ([str], None),
    "befores?": ([{"name": str}], None),
    "afters?": ([{"name": str}], None),
}


def make_readable(
    results: Path, summary: Row, operations: Sequence[Row], cases: Sequence[Row] | None = None
) -> None:
    """Rewrite the results in a folder.

    :param summary: the run's summary. :param operations: lines of operations.jsonl.
    :param cases: rows of results.jsonl: a case that has none was interrupted. None if that is not known.
    """
    finished = None if cases is None or summary["complete"] else {case_of(case["nodeid"]) for case in cases}
    alone = len(_keep_last(results) - {None}) < 2
    several = len(summary["rigs"]) > 1
    campaigns = {(row["rig"], row["operation"]): row for row in operations}
    used: set[str] = set()
    for path, result in _read(results, "*-result.json", _RESULT):
        campaign = campaigns.get((_parameter(result, "rig"), _label(result, "story")))
        result["name"] = _title(result, campaign, several)
        if (
            finished is not None
            and result.get("status") == "passed"
            and case_of_result(result) not in finished
        ):
            # What allure-pytest says of a case that never ended.
            result |= {"status": "unknown", "statusDetails": {"message": "interrupted: the case did not end"}}
        result["labels"] = _labels(result, campaign)
        details = result.get("statusDetails") or {}
        trace, skipped = str(details.get("trace") or ""), result.get("status") == "skipped"
        if skipped or trace in str(details.get("message") or ""):
            # A failed campaign has none: pytest repeats the message. That of a skipped case names a folder of the host.
            details.pop("trace", None)
        _tell_apart(result)
        if result.get("status") == "passed":
            _slim(result, alone=alone)
        if campaign is not None:
            result["steps"] = campaign_steps(campaign, result, summary.get("bench"))
        for attached in result.get("attachments") or []:
            attached["name"] = _NAMES.get(attached["name"], attached["name"].replace("-", " "))
            used.add(attached["source"])
        _write(path, result)
        _shorten(path, result["uuid"])
    used |= _containers(results)
    for path in results.glob("*-attachment*"):
        if path.name not in used:
            path.unlink()


def _keep_last(results: Path) -> set[str | None]:
    """Remove the results of cases that ran again, after the run was continued; return who ran the cases."""
    threads = set()
    last: dict[str, tuple[int, Path]] = {}
    for path, result in _read(results, "*-result.json", _RESULT):
        threads.add(_label(result, _THREAD))
        history, start = result.get("historyId"), result.get("start") or 0
        if history is None:
            continue
        if history in last:
            (_, older), (start, path) = sorted((last[history], (start, path)))
            older.unlink()
        last[history] = start, path
    return threads


def _tell_apart(result: Row) -> None:
    """Let Allure tell the cases of a test apart by pytest's id and by the rig; a failed case shows the others, too."""
    parameters = result.get("parameters") or []
    if any(one["name"] == "case" for one in parameters):
        for one in parameters:
            if one["name"] not in ("case", "rig"):
                one["excluded"] = True


def _slim(result: Row, *, alone: bool) -> None:
    """Take from a passed case what other files or its full name say, and what is the same in every case.

    :param alone: one thread has run all cases.
    """
    for name in ("attachments", "titlePath"):
        result.pop(name, None)
    result["parameters"] = [one for one in result.get("parameters") or [] if not one.get("excluded")]
    if alone:
        result["labels"] = [one for one in result.get("labels") or [] if one["name"] != _THREAD]


def _read(results: Path, pattern: str, shape: Shape) -> Iterator[tuple[Path, Row]]:
    for path in sorted(results.glob(pattern)):
        try:
            value = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            continue  # half-written by a killed process: Allure leaves it out, too
        if misfit(value, shape) is None:
            yield path, value


def _write(path: Path, value: Row) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _shorten(path: Path, uuid: str) -> None:
    """Name a result by the start of its uuid: an archive holds each name twice, and does not compress it."""
    start = uuid[:8]
    if not start.isalnum():
        return
    short = path.with_name(f"{start}-result.json")
    if len(path.name) > len(short.name) and not short.exists():
        path.rename(short)


def _parameter(result: Row, name: str) -> str | None:
    """Return a parameter's value; allure-pytest quotes it as Python does."""
    found = next((one.get("value") for one in result.get("parameters") or [] if one["name"] == name), None)
    return found[1:-1] if found is not None and len(found) > 1 and found[0] == found[-1] == "'" else found


def _label(result: Row, name: str) -> str | None:
    return next((one.get("value") for one in result.get("labels") or [] if one["name"] == name), None)


def _title(result: Row, campaign: Row | None, several: bool) -> str:
    """Say what a case is: "init on a busy channel (57)"; a title that was given is kept."""
    rig = _parameter(result, "rig")
    at = f" on {rig}" if several and rig else ""
    function = str(result.get("fullName") or "").rpartition("#")[2]
    words = function.removeprefix("test_").replace("_", " ")
    rest = _less_rig(_parameter(result, "case") or "", rig or "")
    said = f"{words[:1].upper()}{words[1:]}{f' ({rest})' if rest else ''}{at}"
    if not function or not (result["name"].startswith(function) or result["name"] == said):
        return str(result["name"])
    if campaign is not None and campaign.get("title"):
        title = str(campaign["title"])
        return f"{title[:1].upper()}{title[1:]}{at}"
    return said


def _less_rig(case: str, rig: str) -> str:
    """Take the rig out of pytest's id of the parameters: it is a parameter of its own."""
    if case == rig or not rig:
        return "" if case == rig else case
    return case.removeprefix(f"{rig}-") if case.startswith(f"{rig}-") else case.removesuffix(f"-{rig}")


def _labels(result: Row, campaign: Row | None) -> list[dict[str, str]]:
    kept = [one for one in result.get("labels") or [] if one["name"] not in _NOISE]
    if severity := severity_of(result, campaign):
        kept = [one for one in kept if one["name"] != "severity"]
        kept.append({"name": "severity", "value": severity})
    tag = {"name": TAG_LABEL, "value": skip_tag(result) or ""}
    return [*kept, tag] if tag["value"] and tag not in kept else kept


def severity_of(result: Row, campaign: Row | None) -> str | None:
    """Return Allure's severity of a campaign, of its worst finding, or of a failed case; None leaves it as it is.

    S1 is a blocker, S2 critical, S3 minor. A failed case without a finding is critical: it fails the run.
    """
    findings = (campaign or {}).get("findings") or []
    if findings:
        return SEVERITIES[min(str(finding.get("severity") or "S1") for finding in findings)]
    message = str((result.get("statusDetails") or {}).get("message") or "")
    if result.get("status") == "failed":
        named = [name for name in sorted(SEVERITIES) if f"{name} " in message]
        return SEVERITIES[named[0]] if named else SEVERITIES["S2"]
    return SEVERITIES["S3"] if skip_tag(result) == DEVIATION else None


def skip_tag(result: Row) -> str | None:
    """Tell what Allure calls skipped apart: the key does not offer it, it was not run, or it is a deviation."""
    if result.get("status") != "skipped":
        return None
    message = str((result.get("statusDetails") or {}).get("message") or "").removeprefix("Skipped: ")
    if message.startswith("XFAIL"):
        return DEVIATION
    return NOT_OFFERED if message.startswith(NOT_OFFERED) else NOT_RUN


def campaign_steps(campaign: Row, result: Row, bench: str | None) -> list[Row]:
    """Return the steps of a campaign: run it uncut, cut it, judge it, and a failed step for each finding."""
    outcomes = campaign.get("outcomes") or {}
    missed = sum(pair[0] for pair in (campaign.get("missed") or {}).values())
    steps = [
        ("Run the operation uncut, and note what the transport and the flash show", "passed", ""),
        (
            f"Cut the power in {counted(campaign.get('planned') or sum(outcomes.values()), 'cut')}: "
            + ", ".join(vocabulary.shares(outcomes)),
            "passed" if not missed else "broken",
            f"{counted(missed, 'cut')} missed the operation" if missed else "",
        ),
        (
            f"Judge what the owner has afterwards: {vocabulary.proof(campaign)}",
            "failed" if campaign.get("violations") else "passed",
            "",
        ),
    ]
    for finding in campaign_findings(campaign):
        replay = replay_command(finding["first"], bench) if finding["first"] else ""
        steps.append((f"{finding['severity']}: {finding['sentence']}", "failed", replay))
    times = {name: result[name] for name in ("start", "stop") if result.get(name) is not None}
    return [
        {"name": name, "status": status, **times, **({"statusDetails": {"message": more}} if more else {})}
        for name, status, more in steps
    ]


def _containers(results: Path) -> set[str]:
    """Keep only the fixtures that failed, with a name; return the attachments that they need.

    allure-pytest writes one for each fixture of each case. "campaign::<lambda>" tells nobody anything.
    """
    used: set[str] = set()
    for path in sorted(results.glob("*-container.json")):
        try:
            value = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            continue
        if misfit(value, _CONTAINER) is not None:
            continue
        for side, verb in (("befores", "Set up"), ("afters", "Tear down")):
            value[side] = [one for one in value.get(side) or [] if one.get("status") in ("failed", "broken")]
            for one in value[side]:
                if not one["name"].startswith(verb):
                    one["name"] = f"{verb} {one['name'].partition('::')[0]}"
                used |= {attached["source"] for attached in one.get("attachments") or []}
        if value["befores"] or value["afters"]:
            _write(path, value)
        else:
            path.unlink()
    return used
