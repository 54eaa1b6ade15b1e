"""Show what a run would cut, cost and write, and do nothing: `keyharness run --plan`."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf
from pathlib import Path
from typing import Any, TextIO

from harness.run.estimate import BACK_S, BOOTS_PER_CUT, OFF_S, Estimate, costs_of
from harness.run.session import Session

CAMPAIGNS = "endurance"
"""The suite of the campaigns."""


@dataclass(frozen=True)
class RigPlan:
    """What a run would do on one rig.

    :ivar absent: why the rig would be left out; None if it is there.
    :ivar title: the key, in words.
    :ivar operations: name -> cost, or why the key does not offer it.
    :ivar rest: cost of what the operations' shares leave of a budget.
    :ivar total: cost of all of it.
    :ivar on_real_keys: what the same would cost of real keys, in a sentence.
    """

    name: str
    expendable: bool
    absent: str | None = None
    title: str = ""
    operations: dict[str, Estimate | str] | None = None
    rest: Estimate | None = None
    total: Estimate | None = None
    on_real_keys: str = ""

    def table(self) -> dict[str, Any]:
        """Return it as a JSON-able table."""
        return {
            "rig": self.name,
            "absent": self.absent,
            "title": self.title or None,
            "expendable": self.expendable,
            "operations": [
                {
                    "operation": name,
                    "not_offered": cost if isinstance(cost, str) else None,
                    **_cost(None if isinstance(cost, str) else cost),
                }
                for name, cost in (self.operations or {}).items()
            ],
            "rest": _cost(self.rest) if self.rest and self.rest.cuts else None,
            "on_real_keys": self.on_real_keys or None,
        }


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    :ivar rigs: None if no campaign is among the suites.
    :ivar writes: where a run writes to, in a sentence.
    """

    bench: str
    seed: int
    suites: tuple[str, ...]
    rigs: list[RigPlan] | None
    total: Estimate
    processes: int
    simulated: bool
    writes: str

    def table(self) -> dict[str, Any]:
        """Return it as a JSON-able table."""
        return {
            "bench": self.bench,
            "seed": self.seed,
            "suites": list(self.suites),
            "rigs": [rig.table() for rig in self.rigs or []],
            "total": {**_cost(self.total), "seconds": round(self.total.seconds, 1)},
            "processes": self.processes,
            "simulated": self.simulated,
            "writes": self.writes,
        }


def plan_of(session: Session, suites: list[str], reports: Path) -> Plan:
    """Find out what a run would do and cost; do nothing else."""
    rigs = None
    total = Estimate()
    if CAMPAIGNS in suites:
        rigs = [_rig(session, name) for name in session.rig_names]
        for rig in rigs:
            if rig.total is not None:
                total.add(rig.total)
        if session.wanted.budget_us is not None:
            total.seconds = min(total.seconds, session.wanted.budget_us / 1e6)
    return Plan(
        session.bench.shown,
        session.seed,
        tuple(suites),
        rigs,
        total,
        session.processes(),
        not _real(session),
        _written(session, reports),
    )


def show_plan(plan: Plan, out: TextIO) -> None:
    """Write a plan for a person."""
    out.write(f"bench {plan.bench} · seed {plan.seed}\n")
    out.write(f"suites {', '.join(plan.suites)}\n")
    if plan.rigs is None:
        out.write("no campaigns in these suites\n")
    else:
        for rig in plan.rigs:
            _show_rig(rig, out)
        total = plan.total
        out.write(f"\n  {total.certainty}{total.cuts} cuts{_at_most(total)}, about {_time(total.seconds)} ")
        out.write(f"on {plan.processes} processes; {total.touches} touches")
        out.write(f"{', all simulated' if plan.simulated else ''}\n")
    out.write(f"  {plan.writes}\n")


def _cost(cost: Estimate | None) -> dict[str, Any]:
    """The figures of a cost; null where there is none."""
    names = ("cuts", "touches", "erases")
    if cost is None:
        return dict.fromkeys((*names, "certainty"))
    return {**{name: getattr(cost, name) for name in names}, "certainty": cost.certainty.strip() or "exact"}


def _at_most(cost: Estimate) -> str:
    return f" (at most {cost.most:.0f})" if cost.certainty == "about " and cost.most < inf else ""


def _real(session: Session) -> list[str]:
    """The rigs with a real key, those that are not there included as far as that is known of them."""
    return [
        name
        for name in session.rig_names
        if (name not in session.absent and session.rig(name).evidence_kind == "hardware")
        or (name in session.absent and session.bench.is_actuated(name))
    ]


def _written(session: Session, reports: Path) -> str:
    """Say where a run writes to: also the key, if it is a real one."""
    keys = [
        name for name in _real(session) if name not in session.absent and session.bench.is_expendable(name)
    ]
    places = f"below {reports}/ and into the ledger"
    if not keys:
        return f"a run writes {places}, and nowhere else"
    on = "the key on rig" if len(keys) == 1 else "the keys on rigs"
    return (
        f"a run writes to {on} {', '.join(keys)} (resets, PINs, credentials, settings, whatever the suites ask for), "
        f"{places}"
    )


def _rig(session: Session, rig_name: str) -> RigPlan:
    may = session.bench.is_expendable(rig_name)
    if error := session.absent.get(rig_name):
        return RigPlan(rig_name, may, str(error))
    rig = session.rig(rig_name)
    info = rig.info()
    title = f"{info.title} · {info.transport}, personality {info.personality}"
    if not rig.expendable:
        return RigPlan(rig_name, may, title=title)
    names = [operation for at, operation in session.pairs if at == rig_name]
    # To ask a real key, its home state has to be written first; a plan writes nothing.
    real = rig.evidence_kind == "hardware"
    missing = {name: None if real else session.homes.missing(rig_name, name) for name in names}
    offered = [name for name in names if missing[name] is None]
    found, rest = costs_of(session, rig, [rig.key.operations[name] for name in offered])
    costs = dict(zip(offered, found, strict=True))
    of_rig = Estimate()
    for cost in [*found, *([rest] if rest.cuts else [])]:
        of_rig.add(cost)
    return RigPlan(
        rig_name,
        may,
        title=title,
        operations={name: costs[name] if name in costs else str(missing[name]) for name in names},
        rest=rest,
        total=of_rig,
        on_real_keys=_on_real_keys(session, rig_name, of_rig, bounded=bool(rest.cuts)),
    )


def _show_rig(rig: RigPlan, out: TextIO) -> None:
    if rig.absent is not None:
        text = rig.absent.replace("\n", "\n    ")
        out.write(f"\n  {rig.name}   is not there, and would be left out: {text}\n")
        return
    out.write(f"\n  {rig.name}   {rig.title}\n")
    if rig.operations is None:
        out.write("    not called expendable: nothing will be written to it, nothing will be cut\n")
        return
    out.write(f"    {'operation':<34} {'cuts':>6} {'touches':>8} {'erases, hottest page':>21}\n")
    for name, cost in rig.operations.items():
        out.write(f"    {name:<34} {f'not offered: {cost}' if isinstance(cost, str) else _columns(cost)}\n")
    if rig.rest is not None and rig.rest.cuts:
        out.write(f"    {'where outcomes are new':<34} {_columns(rig.rest)}\n")
    out.write(f"    {rig.on_real_keys}\n")


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
