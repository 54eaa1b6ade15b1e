"""How many cuts a search by time needs for what the walk of every flash operation knows to be there.

One known bug at a time is in a twin. The walk says which instants are harmful; then each strategy looks for
them by time alone, as on a real key: from the classes of outcomes, without seeing the flash.

    python -m benchmarks.by_time [DEFECT]...
    python -m benchmarks.by_time --survey [DEFECT]...     where else each shows: half a minute each
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.bench.registry import discover
from harness.campaign.common import CampaignTerms
from harness.campaign.home import Home, go_home, missing
from harness.campaign.recording import UncutFault
from harness.campaign.result import Result
from harness.campaign.timed_twin import TimedCampaign
from harness.campaign.walk import Campaign
from harness.model.key import Key
from harness.model.operation import Operation
from harness.search.search import Strategy
from harness.search.stopping import Allowance
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness.twin.trace import Trace

KEY = "nitrokey3-mini"
LIMIT = 2000
"""So many cuts a search gets."""
STEP, SALTS = 50, 5
"""Number of cuts before a search is asked whether one hit; number of searches for each bug."""
AMONG: tuple[Strategy, ...] = ("hybrid", "vdc", "random")
WALK = 600
"""Number of cuts of the walk, evenly spread, on personalities whose operations are long."""


WHERE: dict[str, str] = {
    "late-journal-replay": "fido2.get_assertion",
    "no-journal": "fido2.get_assertion",
    "format-on-unmountable": "fido2.get_assertion",
    "fresh-on-missing-state": "fido2.get_assertion",
    "pin-compared-first": "fido2.client_pin.wrong",
    "counter-in-ram": "fido2.client_pin.wrong",
    "reset-wrong-order": "fido2.reset",
    "zero-length-file": "fido2.get_assertion",
    "journal-migration-once": "update.install",
    "migration-not-idempotent": "update.install",
    "settings-lost-open": "update.install",
    "version-raised-early": "update.install",
    "version-raised-late": "update.install",
    "written-before-verified": "update.install.interrupted",
    "refusal-erases": "update.refused",
    "same-version-unchecked": "update.install.interrupted",
    "overwrite-deletes-first": "fido2.make_credential.over",
    "credential-in-place": "fido2.credential_management.update_user",
    "names-apart": "fido2.make_credential.resident",
    "create-leaks": "admin.interrupted_registrations",
    "pin-lost-rename": "fido2.client_pin.change",
    "minimum-in-place": "fido2.config.min_pin.again",
    "minimum-before-duty": "fido2.config.min_pin.forced",
    "setting-saved-later": "fido2.config.always_uv",
    "blobs-in-place": "fido2.large_blobs.rewrite",
    "sign-counter-in-ram": "fido2.client_pin.set",
    "reset-key-not-saved": "fido2.reset.register",
    "self-attestation": "admin.power_up.lost_certificate",
    "reset-not-finished": "admin.factory_reset",
    "certificate-moved": "update.install",
    "external-store-made-anew": "admin.power_up.slow_store",
    "worn-journal": "admin.worn_page",
}
"""Defect -> an operation in which it shows, where there are several a narrow one (`--survey` lists them).

One that does not stand here is looked for in the operation where it is hardest to hit; to find that takes its time.
"""


@dataclass(frozen=True)
class Known:
    """What the walk of an operation knows of a bug: for how long a cut is harmful, and what share that is.

    Both are 0 where it shows without a cut in it: the key is not as it must be, or an acknowledged write is gone.
    """

    operation: Operation
    harmful_ms: float
    share: float


@dataclass(frozen=True)
class Window:
    """What a search by time makes of what the walk knows.

    :ivar harmful_ms: all harmful instants of the operation together. :ivar share: of its time.
    :ivar first: strategy -> number of the first cut that showed a violation, median of several searches: 0 if
        it showed before the search had begun, None if half of them found none.
    """

    defect: str
    operation: str
    harmful_ms: float
    share: float
    first: dict[str, int | None]


def twin_with(defect: str, seed: int = 1) -> tuple[Key, TwinRig]:
    """A twin with a bug, on the personality that it belongs to."""
    plugins = discover()
    key, twin = plugins.keys[KEY], plugins.twins[KEY]
    own = twin.defects[defect].personality
    options = TwinOptions(defects=(defect,)) if own is None else TwinOptions(own, defects=(defect,))
    return key, TwinRig("by-time", key, twin, options, seed, expendable=True)


def harmful_us(result: Result) -> float:
    """The time of an operation in which a cut is harmful, as its walk knows it.

    A torn state stands for its equal part of the flash operation; `before` and `after` for the pauses around it.
    """
    trace = result.trace
    assert trace is not None
    harmful = 0.0
    phases = max((int(row["planned"]["phase"][4:]) for row in _torn(result)), default=0)
    for row in result.rows:
        planned = row["planned"]
        if row["blame"] != "key" or "nested" in planned or planned["phase"] == "end":
            continue
        harmful += _worth_us(trace, planned["flash_op"], planned["phase"], phases)
    return harmful


def _torn(result: Result) -> Iterator[dict[str, Any]]:
    return (row for row in result.rows if row["planned"]["phase"].startswith("torn"))


def _worth_us(trace: Trace, number: int, phase: str, phases: int) -> float:
    op = trace.ops[number - 1]
    if phase.startswith("torn"):
        return (op.end_us - op.start_us) / phases
    # A pause is after one operation and before the next: half of it each.
    if phase == "before":
        return (op.start_us - (trace.ops[number - 2].end_us if number > 1 else trace.start_us)) / 2
    return ((trace.ops[number].start_us if number < len(trace.ops) else trace.end_us) - op.end_us) / 2


def known(rig: TwinRig, operation: Operation, home: Home) -> Known | None:
    """What the walk of an operation knows of the bug in a twin; None if it knows nothing."""
    bug = rig.model.defects[rig.options.defects[0]]
    cuts = None if bug.personality is None else WALK
    try:
        result = Campaign(rig, operation, home, CampaignTerms(Allowance(cuts), _processes())).run()
    except UncutFault:
        return Known(operation, 0.0, 0.0)
    if not any(row["blame"] == "key" for row in result.rows):
        return None
    assert result.trace is not None
    harmful = harmful_us(result)
    return Known(operation, harmful / 1000, harmful / (result.trace.end_us - result.trace.start_us))


def everywhere(defect: str) -> list[Known]:
    """What the walks of all operations know of a bug, the hardest to hit first.

    What shows without any cut of a search, because the key is not as it must be or an acknowledged write does
    not last, comes last: that is found in any case.
    """
    key, rig = twin_with(defect)
    home = go_home(rig)
    offered = (one for one in key.operations.values() if not missing(rig, home, one))
    found = [one for operation in offered if (one := known(rig, operation, home)) is not None]
    return sorted(found, key=lambda one: (not one.share, one.share))


def _processes() -> int:
    return len(os.sched_getaffinity(0))


def first_hit(
    rig: TwinRig, operation: Operation, home: Home, strategy: Strategy, limit: int = LIMIT, salt: int = 0
) -> int | None:
    """The number of the first cut of a search that shows a violation; 0 if none is needed, None within the limit."""
    campaign = TimedCampaign(
        rig,
        operation,
        home,
        CampaignTerms(Allowance(min(STEP, limit)), _processes()),
        strategy=strategy,
        salt=salt,
    )
    try:
        result = campaign.run()
    except UncutFault:
        return 0
    while True:
        # Row 0 is the one cut after everything, which every search makes before it chooses any.
        for number, row in enumerate(result.rows):
            if row["blame"] == "key":
                return number
        if campaign.planned >= limit:
            return None
        result = campaign.more(Allowance(min(campaign.planned + STEP, limit)))


def median_hit(
    rig: TwinRig, operation: Operation, home: Home, strategy: Strategy, limit: int = LIMIT, salts: int = SALTS
) -> int | None:
    """The same of several searches: their median."""
    hits = [first_hit(rig, operation, home, strategy, limit, salt) for salt in range(salts)]
    middle = sorted(limit + 1 if hit is None else hit for hit in hits)[salts // 2]
    return middle if middle <= limit else None


def window(
    defect: str,
    among: Sequence[Strategy] = AMONG,
    limit: int = LIMIT,
    salts: int = SALTS,
) -> Window:
    """What the walk knows of a bug, and what searches by time make of it."""
    key, rig = twin_with(defect)
    home = go_home(rig)
    operation = key.operations[WHERE[defect]] if defect in WHERE else everywhere(defect)[0].operation
    walked = known(rig, operation, home)
    assert walked is not None, f"{defect} does not show in {operation.name}: see --survey"
    first = {name: median_hit(rig, operation, home, name, limit, salts) for name in among}
    return Window(defect, operation.name, round(walked.harmful_ms, 3), walked.share, dict(first))


def rows(
    defects: Sequence[str] = (), among: Sequence[Strategy] = AMONG, salts: int = SALTS
) -> list[dict[str, Any]]:
    """One row per bug."""
    return [asdict(window(name, among, salts=salts)) for name in defects or known_bugs()]


def known_bugs() -> list[str]:
    return list(discover().twins[KEY].defects)


def show(table: Sequence[dict[str, Any]]) -> None:
    """The same for people."""
    print(HEAD)
    for row in table:
        print(line(row))


HEAD = f"{'first cut that shows the bug':<34}{'in':<42}{'harmful':>12}{'share':>9}" + "".join(
    f"{name:>8}" for name in AMONG
)


def line(row: Mapping[str, Any]) -> str:
    """One row for people; 0 stands for what shows before the search begins."""
    cells = "".join(f"{_shown(row['first'], name):>8}" for name in AMONG)
    share = f"{100 * row['share']:.3g} %"
    return f"  {row['defect']:<32}{row['operation']:<42}{row['harmful_ms']:>9.2f} ms{share:>9}{cells}"


def _shown(first: Mapping[str, int | None], name: str) -> str:
    if name not in first:
        return "-"
    return f">{LIMIT}" if first[name] is None else str(first[name])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.by_time", description=__doc__.splitlines()[0])
    parser.add_argument("defect", nargs="*")
    parser.add_argument("--survey", action="store_true", help="walk all operations, and say where each shows")
    wanted = parser.parse_args()
    if not wanted.survey:
        print(HEAD)
    for name in wanted.defect or known_bugs():
        if wanted.survey:
            shown = [f"{one.operation.name} {100 * one.share:.3g} %" for one in everywhere(name)]
            print(f"{name}: {', '.join(shown) or 'nowhere'}", flush=True)
        else:
            print(line(asdict(window(name))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
