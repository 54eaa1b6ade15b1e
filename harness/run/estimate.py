"""Estimate what a run would cut and cost: `keyharness run --plan`."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TextIO

from harness.bench.calibration import calibration_of
from harness.campaign.common import CampaignTerms
from harness.campaign.walk import Campaign
from harness.model.key import Operation
from harness.model.rig import Rig
from harness.run.session import Session
from harness.search.stopping import Allowance
from harness.twin.glass_box import glass_box

WALK_CUTS_PER_S = 50
"""Cuts of a walk that one core judges in a second."""
BOOTS_PER_CUT = 3
"""One boot each to arrange, to cut and to observe."""
BACK_S, OFF_S = {"hardware": 1.0, "emulator": 0.15}, {"hardware": 1.0, "emulator": 0.0}
"""Seconds that a boot takes, and that the key is off before it, where neither was measured."""
COVERING = 0.5
"""Share of the cuts of a hybrid search that cover."""


@dataclass
class Estimate:
    """Estimated cost of the cuts into one operation on one rig.

    :ivar erases: erases of the most-erased flash page.
    :ivar seconds: time on this host or this rig.
    """

    cuts: int
    touches: int
    erases: int
    seconds: float


def show_plan(session: Session, suites: list[str], reports: Path, out: TextIO) -> None:
    """Write what a run would do and cost; do nothing else."""
    out.write(f"bench {session.bench.shown} · seed {session.seed}\n")
    out.write(f"suites {', '.join(suites)}\n")
    if "endurance" not in suites:
        out.write("no campaigns in these suites\n")
        return
    total = Estimate(0, 0, 0, 0.0)
    for rig_name in session.rig_names:
        of_rig = _rig(session, rig_name, out)
        total.cuts, total.touches = total.cuts + of_rig.cuts, total.touches + of_rig.touches
        total.seconds += of_rig.seconds
    if session.wanted.budget_us is not None:
        total.seconds = min(total.seconds, session.wanted.budget_us / 1e6)
    out.write(f"\n  {total.cuts} cuts, about {_time(total.seconds)} on {session.processes()} processes; ")
    there = [name for name in session.rig_names if name not in session.absent]
    simulated = all(session.rig(name).evidence_kind != "hardware" for name in there)
    out.write(f"{total.touches} touches{', all simulated' if simulated else ''}\n")
    out.write(f"  a run writes below {reports}/ and into the ledger, and nowhere else\n")


def _rig(session: Session, rig_name: str, out: TextIO) -> Estimate:
    of_rig = Estimate(0, 0, 0, 0.0)
    if error := session.absent.get(rig_name):
        text = str(error).replace("\n", "\n    ")
        out.write(f"\n  {rig_name}   is not there, and would be left out: {text}\n")
        return of_rig
    rig = session.rig(rig_name)
    info = rig.info()
    out.write(f"\n  {rig_name}   {info.title} · {info.transport}, personality {info.personality}\n")
    if not rig.expendable:
        out.write("    not called expendable: nothing will be written to it, nothing will be cut\n")
        return of_rig
    out.write(f"    {'operation':<34} {'cuts':>6} {'touches':>8} {'erases, hottest page':>21}\n")
    for name in [operation for at, operation in session.pairs if at == rig_name]:
        # To ask a real key, its home state has to be written first; a plan writes nothing.
        real = rig.evidence_kind == "hardware"
        if not real and (missing := session.missing(rig_name, name)):
            out.write(f"    {name:<34} not offered: {missing}\n")
            continue
        cost = cost_of(session, rig, rig.key.operations[name])
        out.write(f"    {name:<34} {cost.cuts:>6} {cost.touches:>8} {cost.erases:>21}\n")
        of_rig.cuts += cost.cuts
        of_rig.touches += cost.touches
        of_rig.erases += cost.erases
        of_rig.seconds += cost.seconds
    out.write(f"    {_on_real_keys(session, rig_name, of_rig)}\n")
    return of_rig


def _on_real_keys(session: Session, rig_name: str, cost: Estimate) -> str:
    """Say what the same cuts would take of real keys; a campaign is spread over as many as it wears out."""
    rig = session.rig(rig_name)
    granted = session.bench.settings(rig_name).budget.erases
    keys = max(1, ceil(cost.erases / granted)) if granted else 0
    seconds = cost.seconds
    if rig.evidence_kind != "hardware":
        one = sum(rig.key.operations[name].cost.seconds for at, name in session.pairs if at == rig_name)
        each = one / max(1, sum(1 for at, _ in session.pairs if at == rig_name))
        seconds = cost.cuts * (each + BOOTS_PER_CUT * (BACK_S["hardware"] + OFF_S["hardware"]))
    whose = "it" if rig.evidence_kind == "hardware" else "a real key"
    return (
        f"of {whose}: {seconds / 3600:.1f} hours, {cost.erases:,} erases; at {granted:,} a key that takes "
        f"{keys} key{'' if keys == 1 else 's'}"
    )


def cost_of(session: Session, rig: Rig, operation: Operation) -> Estimate:
    """Return the cost of one operation on a rig: planned on a twin, calculated for other rigs."""
    allowance = session.shares(rig.name).expected(operation.name)
    if glass_box(rig) is not None and session.wanted.search is None:
        terms = CampaignTerms(Allowance(allowance.cuts))
        campaign = Campaign(rig, operation, session.home(rig.name), terms)
        campaign.prepare()
        cuts = len(campaign.plan()[0])
        worn = max((row["used"] for row in campaign.estimated_wear(cuts)), default=0)
        seconds = cuts / WALK_CUTS_PER_S / session.processes()
        return Estimate(cuts, operation.cost.touches * cuts, worn, seconds)
    each_s = _seconds(rig, operation, session)
    cuts = _cuts(allowance, each_s)
    grants = session.bench.settings(rig.name).budget
    erases = (operation.cost.erases or grants.erases_per_operation) + BOOTS_PER_CUT * grants.erases_per_boot
    return Estimate(cuts, operation.cost.touches * cuts, erases * cuts, each_s * cuts)


def _cuts(allowance: Allowance, each_s: float) -> int:
    limits = [round(allowance.aim.cuts / COVERING)] if allowance.goal or not allowance.bounded else []
    if allowance.cuts is not None:
        limits.append(allowance.cuts)
    if allowance.until_us is not None:
        left_s = (allowance.until_us - allowance.clock.now_us) / 1e6
        limits.append(max(1, int(left_s / each_s)))
    return min(limits)


def _seconds(rig: Rig, operation: Operation, session: Session) -> float:
    """Seconds that one cut takes, with its boots and waits."""
    if glass_box(rig) is not None:
        return 1 / WALK_CUTS_PER_S / session.processes()
    measured = calibration_of(rig)
    back_s, off_s = BACK_S[rig.evidence_kind], OFF_S[rig.evidence_kind]
    if measured is not None:
        back_s = measured.back_ms / 1000 if measured.back_ms is not None else back_s
        off_s = measured.off_s if measured.off_s is not None else off_s
    acts_s = operation.cost.seconds if rig.evidence_kind == "hardware" else min(operation.cost.seconds, 0.2)
    return acts_s + BOOTS_PER_CUT * (back_s + off_s)


def _time(seconds: float) -> str:
    """Format a time: minutes below two hours, hours above."""
    return f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{max(0.1, seconds / 60):.1f} minutes"
