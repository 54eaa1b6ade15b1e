"""What a cut into an emulator takes, and how much of it is ours: beside the emulator's own boots and answers.

The emulator is `keyharness twin`. Ours is everything between that: putting its files back, starting and
killing it, reading its files, the client's arithmetic, judging.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.campaign.common import CampaignTerms
from harness.campaign.timed_live import LiveCampaign
from harness.run.session import Session
from harness.run.wanted import Wanted
from harness.search.stopping import Allowance

OPERATION = "fido2.get_assertion"
CUTS = 40
PARTS = ("boot_ms", "cut_ms", "own_ms")
LIMIT_MS = 50.0
"""What our own share is held to."""


def measure(cuts: int = CUTS) -> dict[str, Any]:
    """Milliseconds a cut: {"cuts", "boot_ms", "cut_ms": {"p50", "p99"}, "own_ms": {"p50", "p99"}, "limit_ms"}."""
    session = Session(Wanted(Path("emulator.toml"), (), (OPERATION,), 1))
    try:
        ((name, operation),) = session.pairs
        rig = session.rig(name)
        terms = CampaignTerms(Allowance(cuts))
        campaign = LiveCampaign(
            rig, rig.key.operations[operation], session.homes.home(name), terms, strategy="vdc", rechecks=0
        )
        timing = campaign.run().timing
        assert timing is not None, "no cut hit: it cannot be measured on a machine this busy"
        return summarize(cuts, timing)
    finally:
        session.close()


def summarize(cuts: int, timing: Mapping[str, Any]) -> dict[str, Any]:
    """What `measure` returns, from the timing of a finished campaign."""
    return {"cuts": cuts, "limit_ms": LIMIT_MS, **{part: timing[part] for part in PARTS}}


def table(result: dict[str, Any]) -> list[str]:
    """The result as lines for a person."""
    whole, own = result["cut_ms"], result["own_ms"]
    return [
        f"emulator: a cut into {OPERATION} of `keyharness twin`, {result['cuts']} of them, in ms",
        f"  {'':<34}{'p50':>10}{'p99':>10}",
        f"  {'the whole cut':<34}{whole['p50']:>10.1f}{whole['p99']:>10.1f}",
        f"  {'of which our own share':<34}{own['p50']:>10.1f}{own['p99']:>10.1f}"
        f"   held to {result['limit_ms']:.0f} (p99)",
        f"  {'one boot of the emulator':<34}{result['boot_ms']:>10.1f}",
    ]
