"""Campaigns into a simulated Nitrokey 3A Mini, for tests that look at one operation with or without a defect."""

from __future__ import annotations

from harness.bench.registry import discover
from harness.campaign.home import Home, go_home
from harness.campaign.result import Result
from harness.campaign.walk import Campaign
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from support.terms import terms

NAME = "nitrokey3-mini"


def nitrokey(*defects: str, personality: str = "", seed: int = 1) -> TwinRig:
    """A rig with the key as it leaves the factory, without power."""
    plugins = discover()
    twin = plugins.twins[NAME]
    options = TwinOptions(personality=personality or twin.sound[0], defects=defects)
    return TwinRig("nk3-mini", plugins.keys[NAME], twin, options, seed, expendable=True)


def at_home(*defects: str, personality: str = "", seed: int = 1) -> tuple[TwinRig, Home]:
    """A rig whose key is in its home state, without power."""
    rig = nitrokey(*defects, personality=personality, seed=seed)
    return rig, go_home(rig)


def walked(
    operation: str, *defects: str, cuts: int | None = None, personality: str = "", seed: int = 1
) -> Result:
    """Cut one operation: everywhere, or in a sample that is spread evenly."""
    rig, home = at_home(*defects, personality=personality, seed=seed)
    return Campaign(rig, rig.key.operations[operation], home, terms(cuts)).run()


def found(result: Result) -> set[tuple[str, str]]:
    """(item, outcome) of each finding."""
    return {(finding.item, finding.outcome.value) for finding in result.findings}
