"""A finding in one plain sentence: what was done, where it was cut, what the owner lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.model.outcome import Outcome
from harness.report.vocabulary import CLASSES

Row = Mapping[str, Any]

_PLACE = re.compile(r'(?P<when>(?:between )?[0-9.]+(?: and [0-9.]+)? ms after )(?P<marker>"[^"]+"|the start)')
_SAID = (
    re.compile(r"^the key had acknowledged the operation, and (?P<what>.+?) is still "),
    re.compile(r"^(?P<what>.+?) could not be read: "),
    re.compile(r"^(?P<what>.+?) (?:was raised|went) from "),
    re.compile(r"^(?P<what>.+?) (?:was|were) .+ and (?:is|are) ", re.DOTALL),
    re.compile(r"^(?P<what>.+?) (?:is|are) .+; it must be ", re.DOTALL),
)
"""How `harness.model.judge` describes a breach; before all else stands the title of the item."""
WHAT_MAX = 80
_GONE = re.compile(r"^(the key did not .+?)(?: \(|; |$)")
"""A key that is gone is no item: the text says it all."""
_ACTS = {
    Outcome.TORN: "half old, half new",
    Outcome.LOST: "lost",
    Outcome.ROLLED_BACK: "rolled back",
    Outcome.LOOSENED: "weaker than before",
    Outcome.STUCK: "does not answer",
}


def finding_sentence(finding: Row, operation: Row | None) -> str:
    """Say a finding: "Log in, cut 53 ms after "request sent": attestation certificate lost".

    :param finding: one of `findings` in a line of operations.jsonl, or a violation of a summary.
    :param operation: its line in operations.jsonl; None if it has none.
    """
    row = operation or {}
    title = str(row.get("title") or "")
    # "FIDO2 reset" stays as it is, and so does the name of an operation.
    doing = title[:1].upper() + title[1:] or str(row.get("operation") or finding.get("operation") or "")
    place = place_of(finding)
    gone = _GONE.match(str(finding.get("text") or ""))
    lost = gone[1] if gone else f"{_what(finding)} {_act(finding)}"
    return f"{doing}{f', cut {place}' if place else ''}: {lost}"


def place_of(finding: Row) -> str:
    """Say when the power went: '53.0 ms after "keepalive 5"'; empty if that is not known."""
    said = str((finding.get("narrowest") or {}).get("text") or finding.get("where") or "")
    match = _PLACE.search(said)
    return match["when"] + match["marker"] if match else ""


def marker_of(finding: Row) -> str | None:
    """Return the marker that a finding names, as a trace spells it: "keepalive-5"; None if it names none."""
    match = _PLACE.search(place_of(finding))
    if match is None or match["marker"] == "the start":
        return None
    return match["marker"].strip('"').replace(" ", "-")


def _what(finding: Row) -> str:
    """Return what is violated, as the judge describes it; else its name."""
    said = str(finding.get("text") or "")
    matches = [match for pattern in _SAID if (match := pattern.match(said))]
    if matches and len(matches[0]["what"]) <= WHAT_MAX:
        return matches[0]["what"].removeprefix("the ")
    return str(finding.get("item") or "something")


def _act(finding: Row) -> str:
    outcome = str(finding.get("outcome") or "")
    if outcome in {one.value for one in _ACTS}:
        return _ACTS[Outcome(outcome)]
    return CLASSES[outcome].word if outcome in CLASSES else outcome.replace("-", " ")
