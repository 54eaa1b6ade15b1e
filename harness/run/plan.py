"""Show what a run would cut, cost and write, and do nothing: `keyharness run --plan`."""

from __future__ import annotations

from math import ceil, inf
from pathlib import Path
from typing import TextIO

from harness.run.estimate import BACK_S, BOOTS_PER_CUT, OFF_S, Estimate, costs_of
from harness.run.session import Session

CAMPAIGNS = "endurance"
"""The suite of the campaigns."""


def show_plan(session: Session, suites: list[str], reports: Path, out: TextIO) -> None:
    """Write what a run would do and cost; do nothing else."""
    out.write(f"bench {session.bench.shown} · seed {session.seed}\n")
    out.write(f"suites {', '.join(suites)}\n")
    total = Estimate()
    if CAMPAIGNS in suites:
        for rig_name in session.rig_names:
            total.add(_rig(session, rig_name, out))
        if session.wanted.budget_us is not None:
            total.seconds = min(total.seconds, session.wanted.budget_us / 1e6)
        out.write(f"\n  {total.certainty}{total.cuts} cuts{_at_most(total)}, about {_time(total.seconds)} ")
        out.write(f"on {session.processes()} processes; {total.touches} touches")
        out.write(f"{', all simulated' if not _real(session) else ''}\n")
    else:
        out.write("no campaigns in these suites\n")
    out.write(f"  {_written(session, reports)}\n")


def _at_most(cost: Estimate) -> str:
    return f" (at most {cost.most:.0f})" if cost.certainty == "about " and cost.most < inf else ""


def _there(session: Session) -> list[str]:
    return [name for name in session.rig_names if name not in session.absent]


def _real(session: Session) -> list[str]:
    """The rigs with a real key."""
    return [name for name in _there(session) if session.rig(name).evidence_kind == "hardware"]


def _written(session: Session, reports: Path) -> str:
    """Say where a run writes to: also the key, if it is a real one."""
    keys = [name for name in _real(session) if session.rig(name).expendable]
    places = f"below {reports}/ and into the ledger"
    if not keys:
        return f"a run writes {places}, and nowhere else"
    on = "the key on rig" if len(keys) == 1 else "the keys on rigs"
    return (
        f"a run writes to {on} {', '.join(keys)} (resets, PINs, credentials, settings, whatever the suites ask for), "
        f"{places}"
    )


def _rig(session: Session, rig_name: str, out: TextIO) -> Estimate:
    of_rig = Estimate()
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
    names = [operation for at, operation in session.pairs if at == rig_name]
    # To ask a real key, its home state has to be written first; a plan writes nothing.
    real = rig.evidence_kind == "hardware"
    missing = {name: None if real else session.missing(rig_name, name) for name in names}
    offered = [name for name in names if missing[name] is None]
    found, rest = costs_of(session, rig, [rig.key.operations[name] for name in offered])
    costs = dict(zip(offered, found))
    out.write(f"    {'operation':<34} {'cuts':>6} {'touches':>8} {'erases, hottest page':>21}\n")
    for name in names:
        if name not in costs:
            out.write(f"    {name:<34} not offered: {missing[name]}\n")
            continue
        out.write(f"    {name:<34} {_columns(costs[name])}\n")
        of_rig.add(costs[name])
    if rest.cuts:
        out.write(f"    {'where outcomes are new':<34} {_columns(rest)}\n")
        of_rig.add(rest)
    out.write(f"    {_on_real_keys(session, rig_name, of_rig, bounded=bool(rest.cuts))}\n")
    return of_rig


def _columns(cost: Estimate) -> str:
    return f"{cost.cuts:>6} {cost.touches:>8} {cost.erases:>21}"


def _on_real_keys(session: Session, rig_name: str, cost: Estimate, *, bounded: bool) -> str:
    """Say what the same cuts would take of real keys; a campaign is spread over as many as it wears out.

    :param bounded: the erases are an upper bound, because it depends on the outcomes which operations are cut.
    """
    rig = session.rig(rig_name)
    granted = session.bench.settings(rig_name).budget.erases
    keys = max(1, ceil(cost.erases / granted)) if granted else 0
    seconds = cost.seconds
    if rig.evidence_kind != "hardware":
        one = sum(rig.key.operations[name].cost.seconds for at, name in session.pairs if at == rig_name)
        each = one / max(1, sum(1 for at, _ in session.pairs if at == rig_name))
        seconds = cost.cuts * (each + BOOTS_PER_CUT * (BACK_S["hardware"] + OFF_S["hardware"]))
    whose = "it" if rig.evidence_kind == "hardware" else "a real key"
    sure = "at most " if bounded and not cost.certainty else cost.certainty
    return (
        f"of {whose}: {seconds / 3600:.1f} hours, {sure}{cost.erases:,} erases of its hottest page; "
        f"at {granted:,} a key that takes {keys} key{'' if keys == 1 else 's'}"
    )


def _time(seconds: float) -> str:
    """Format a time: minutes below two hours, hours above."""
    return f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{max(0.1, seconds / 60):.1f} minutes"
