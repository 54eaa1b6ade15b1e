"""Do one cut again, from its replay id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from harness.base.errors import CallerError, KeyFault, one_of
from harness.campaign.common import CampaignTerms
from harness.campaign.home import HomeFault
from harness.campaign.judging import UNCUT, fingerprint
from harness.campaign.next_action import ACTION
from harness.campaign.timed_live import LiveCampaign
from harness.campaign.walk import Campaign
from harness.evidence.abnormal import find
from harness.model.judge import Breach
from harness.model.operation import FRESH
from harness.model.outcome import Outcome
from harness.model.row import REPLAY_PREFIX, Row
from harness.run.run_campaigns import campaign_kind
from harness.run.session import Session
from harness.run.wanted import Wanted
from harness.search.plan import is_time_label

_ID = re.compile(
    r"(?P<prefix>[^:]*):(?P<rig>[^/:]+)/(?P<operation>[^:@]+)(@(?P<home>[^:@]+))?:(?P<seed>-?[0-9]{1,19}):(?P<cut>[^:]+)"
    r":(?P<check>[0-9a-f]{6})"
)


@dataclass(frozen=True)
class Replayed:
    """What a replay has shown.

    :ivar cut: the cut as the id says it. :ivar at: the same in words.
    :ivar live: how it was cut, or what else was done.
    :ivar then: the outcome that the run had noted, where a kept state was booted instead of a cut.
    :ivar uncut: what is wrong without a cut; None if the finding needs one.
    :ivar row: what was seen; None if nothing was cut.
    """

    rig: str
    operation: str
    firmware: str
    seed: int
    cut: str
    at: str | None = None
    live: str | None = None
    then: str | None = None
    uncut: str | None = None
    row: Row | None = None
    breaches: tuple[Breach, ...] = ()

    @property
    def violated(self) -> bool:
        seen = self.row is not None and Outcome(self.row["outcome"]).is_violation
        return seen or bool(self.breaches) or self.uncut is not None

    def table(self) -> dict[str, Any]:
        """Return it as a JSON-able table."""
        row: Row = self.row or {}
        return {
            **{name: getattr(self, name) for name in ("rig", "operation", "firmware", "seed", "cut", "at")},
            **{name: getattr(self, name) for name in ("live", "then", "uncut", "violated")},
            "acknowledged": row.get("acknowledged") if self.then is None else None,
            "outcome": row.get("outcome"),
            "death": row.get("death"),
            "changed": {name: list(pair) for name, pair in row.get("changed", {}).items()},
            "breaches": [
                {
                    "severity": str(one.severity),
                    "item": one.item,
                    "law": one.law,
                    "outcome": str(one.outcome),
                    "text": one.text,
                }
                for one in self.breaches
            ],
        }


def replay(text: str, bench: Path | None, evidence: Path | None = None) -> Replayed:
    """Replay a cut.

    :param evidence: the folder of a run that has kept what the cut left: that is looked at again, and nothing is cut.
    :raises CallerError: the text is no replay id, or an id of another bench, firmware or version.
    """
    match = _ID.fullmatch(text.strip())
    if not match or match["prefix"] != REPLAY_PREFIX:
        raise CallerError(
            "replay id",
            found=text,
            expected=f"{REPLAY_PREFIX}:<rig>/<operation>[@<home>]:<seed>:<cut>:<check>",
            mend="copy it whole, as the report prints it",
        )
    session = Session(Wanted(bench, (match["rig"],), (), int(match["seed"])), purpose="replay")
    try:
        return _replay(session, text.strip(), match, evidence)
    finally:
        session.close()


def _replay(session: Session, text: str, match: re.Match[str], evidence: Path | None) -> Replayed:
    rig = session.rig(match["rig"])
    operations = rig.key.operations
    if match["operation"] not in operations:
        raise CallerError(
            f'operation "{match["operation"]}"',
            found=match["operation"],
            expected=one_of(match["operation"], list(operations)),
            mend="replay it with the version of Keyharness that printed the id",
        )
    name = match["home"] or FRESH
    action = match["cut"].partition(ACTION)[2]
    if (check := fingerprint(rig, name, action)[:6]) != match["check"]:
        raise CallerError(
            f"replay id {text}",
            found=f"check {match['check']}",
            expected=f"{check}, which stands for firmware, personality, defects and flash of {session.bench.shown}, "
            "and for the home and the next action in the id",
            mend="name the bench file that is printed with the id, with --bench, and use the same version",
        )
    kind = campaign_kind(rig, "time" if is_time_label(match["cut"].partition(ACTION)[0]) else None)
    try:
        home = session.homes.named_home(rig.name, name)
    except HomeFault as fault:
        if match["cut"] != UNCUT:
            raise
        firmware = rig.info().firmware
        return Replayed(rig.name, match["operation"], firmware, session.seed, UNCUT, uncut=str(fault))
    if isinstance(home, str):
        raise CallerError(
            f'home "{name}" of rig "{rig.name}"', found=home, expected="a home that the key offers"
        )
    # Looked up again: since the rig is claimed, its operations reserve what they spend.
    campaign = kind(rig, rig.key.operations[match["operation"]], home, CampaignTerms())
    if match["cut"] == UNCUT:
        return _uncut(campaign, session.seed)
    if evidence is not None:
        return _look_again(campaign, text, evidence)
    row, breaches = campaign.replay(match["cut"])
    live = "cut live too: the same image" if campaign.result.live_checked else "computed only"
    if isinstance(campaign, LiveCampaign):
        live = "cut while it ran"
    return Replayed(
        row["rig"],
        row["operation"],
        row["firmware"],
        row["seed"],
        match["cut"],
        at=campaign.replayed_at,
        live=live,
        row=row,
        breaches=tuple(breaches),
    )


def _look_again(campaign: Campaign | LiveCampaign, text: str, run: Path) -> Replayed:
    """Boot the state that a run has kept of a cut, look at it and judge it."""
    row, folder = find(run, text)
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    try:
        seen, breaches = campaign.look_again(row, files)
    except (KeyError, ValueError, TypeError) as error:
        raise CallerError(
            f"{folder}", found=f"{type(error).__name__}: {error}", expected="the files of a kept state, whole"
        ) from error
    return Replayed(
        row["rig"],
        row["operation"],
        row["firmware"],
        row["seed"],
        text,
        live=f"as {folder} has kept it",
        then=row["outcome"],
        row=seen,
        breaches=tuple(breaches),
    )


def _uncut(campaign: Campaign | LiveCampaign, seed: int) -> Replayed:
    """Repeat a finding that was made before the first cut: it needs no cut."""
    wrong = None
    try:
        said = [
            f'{breach.severity} key     item "{breach.item}" {breach.outcome}: {breach.text}'
            for breach in campaign.prepare().breaches
        ]
    except KeyFault as fault:
        wrong = str(fault)
    else:
        wrong = "\n  ".join(said) or None
    firmware = campaign.rig.info().firmware
    return Replayed(campaign.rig.name, campaign.operation.name, firmware, seed, UNCUT, uncut=wrong)


def show(found: Replayed, out: TextIO) -> None:
    """Write it for a person."""
    head = f"{found.operation} on {found.rig}, {found.firmware}"
    if found.row is None:
        said = found.uncut or "the key is as it must be before anything is cut"
        out.write(f"{head}\n  uncut      {said}\n")
        return
    if found.then is not None:
        out.write(f"{head}, {found.live}\n  then       {found.then}\n")
    else:
        answered = "acknowledged" if found.row["acknowledged"] else "not acknowledged"
        out.write(f"{head}, seed {found.seed}\n  cut        {found.cut}: {found.at}\n")
        out.write(f"  live       {found.live}\n  answered   {answered} when the power went\n")
        if found.row["home"] != FRESH:
            out.write(f"  home       {found.row['home']}\n")
        if found.row["next"]:
            out.write(f"  then       the owner's next action: {found.row['next']}\n")
    out.write(f"  outcome    {found.row['outcome']}\n")
    if found.row["death"]:
        out.write(f"  death      {found.row['death']}\n")
    for name, (was, now) in found.row["changed"].items():
        out.write(f"  changed    {name}: {was} -> {now}\n")
    for breach in found.breaches:
        out.write(f'  {breach.severity} key     item "{breach.item}" {breach.outcome}: {breach.text}\n')
