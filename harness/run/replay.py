"""Do one cut again, from its replay id."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TextIO

from harness.base.errors import CallerError, KeyFault, one_of
from harness.campaign.common import CampaignTerms
from harness.campaign.judging import fingerprint
from harness.campaign.recording import UNCUT
from harness.campaign.timed_live import LiveCampaign
from harness.campaign.walk import Campaign
from harness.evidence.abnormal import find
from harness.model.judge import Breach
from harness.model.key import Outcome
from harness.model.row import REPLAY_PREFIX, Row
from harness.run.session import Session, Wanted, campaign_kind
from harness.search.plan import is_time_label

_ID = re.compile(
    r"(?P<prefix>[^:]*):(?P<rig>[^/:]+)/(?P<operation>[^:]+):(?P<seed>-?[0-9]{1,19}):(?P<cut>[^:]+)"
    r":(?P<check>[0-9a-f]{6})"
)


def replay(text: str, bench: Path | None, out: TextIO, evidence: Path | None = None) -> int:
    """Replay a cut and describe its outcome; return 0 if nothing is violated, 1 if something is.

    :param evidence: the folder of a run that has kept what the cut left: that is looked at again, and nothing is cut.
    :raises CallerError: the text is no replay id, or an id of another bench, firmware or version.
    """
    match = _ID.fullmatch(text.strip())
    if not match or match["prefix"] != REPLAY_PREFIX:
        raise CallerError(
            "replay id",
            found=text,
            expected=f"{REPLAY_PREFIX}:<rig>/<operation>:<seed>:<cut>:<check>",
            mend="copy it whole, as the report prints it",
        )
    session = Session(Wanted(bench, (match["rig"],), (), int(match["seed"])), purpose="replay")
    try:
        return _replay(session, text.strip(), match, out, evidence)
    finally:
        session.close()


def _replay(session: Session, text: str, match: re.Match[str], out: TextIO, evidence: Path | None) -> int:
    rig = session.rig(match["rig"])
    operations = rig.key.operations
    if match["operation"] not in operations:
        raise CallerError(
            f'operation "{match["operation"]}"',
            found=match["operation"],
            expected=one_of(match["operation"], list(operations)),
            mend="replay it with the version of Keyharness that printed the id",
        )
    if (check := fingerprint(rig)[:6]) != match["check"]:
        raise CallerError(
            f"replay id {text}",
            found=f"check {match['check']}",
            expected=f"{check}, which stands for firmware, personality, defects and flash of {session.bench.shown}",
            mend="name the bench file that is printed with the id, with --bench, and use the same version",
        )
    kind = campaign_kind(rig, "time" if is_time_label(match["cut"]) else None)
    home = session.home(rig.name)
    # Looked up again: since the rig is claimed, its operations reserve what they spend.
    campaign = kind(rig, rig.key.operations[match["operation"]], home, CampaignTerms())
    if match["cut"] == UNCUT:
        return _uncut(campaign, out)
    if evidence is not None:
        return _look_again(campaign, text, evidence, out)
    row, breaches = campaign.replay(match["cut"])
    return _tell(row, breaches, campaign, match["cut"], out)


def _look_again(campaign: Campaign | LiveCampaign, text: str, run: Path, out: TextIO) -> int:
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
    out.write(f"{row['operation']} on {row['rig']}, {row['firmware']}, as {folder} has kept it\n")
    out.write(f"  then       {row['outcome']}\n")
    return _tell_seen(seen, breaches, out)


def _uncut(campaign: Campaign | LiveCampaign, out: TextIO) -> int:
    """Repeat a finding that was made before the first cut: it needs no cut."""
    out.write(f"{campaign.operation.name} on {campaign.rig.name}, {campaign.rig.info().firmware}\n")
    try:
        campaign.prepare()
    except KeyFault as fault:
        out.write(f"  uncut      {fault}\n")
        return 1
    out.write("  uncut      the key is as it must be before anything is cut\n")
    return 0


def _tell(
    row: Row, breaches: list[Breach], campaign: Campaign | LiveCampaign, label: str, out: TextIO
) -> int:
    out.write(f"{row['operation']} on {row['rig']}, {row['firmware']}, seed {row['seed']}\n")
    out.write(f"  cut        {label}: {campaign.replayed_at}\n")
    live = "cut live too: the same image" if campaign.result.live_checked else "computed only"
    if isinstance(campaign, LiveCampaign):
        live = "cut while it ran"
    out.write(f"  live       {live}\n")
    out.write(
        f"  answered   {'acknowledged' if row['acknowledged'] else 'not acknowledged'} when the power went\n"
    )
    return _tell_seen(row, breaches, out)


def _tell_seen(row: Row, breaches: list[Breach], out: TextIO) -> int:
    out.write(f"  outcome    {row['outcome']}\n")
    if row["death"]:
        out.write(f"  death      {row['death']}\n")
    for name, (was, now) in row["changed"].items():
        out.write(f"  changed    {name}: {was} -> {now}\n")
    for breach in breaches:
        out.write(f'  {breach.severity} key     item "{breach.item}" {breach.outcome}: {breach.text}\n')
    return 1 if Outcome(row["outcome"]).is_violation or breaches else 0
