"""A simulated Nitrokey HSM 2 for tests: with power, or in its home state."""

from __future__ import annotations

from collections import Counter

from harness.bench.registry import discover
from harness.campaign.home import Home, go_home
from harness.campaign.result import Result
from harness.campaign.walk import Campaign
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from support.terms import terms

NAME = "nitrokey-hsm2"


def hsm(*defects: str, personality: str = "reference", seed: int = 1) -> TwinRig:
    """A rig with the key, never initialised, without power."""
    plugins = discover()
    options = TwinOptions(personality=personality, defects=defects)
    return TwinRig("hsm-1", plugins.keys[NAME], plugins.twins[NAME], options, seed, expendable=True)


def up(rig: TwinRig) -> TwinRig:
    """Switch a rig on."""
    rig.power.on()
    rig.wait_until_up()
    return rig


def at_home(*defects: str) -> tuple[TwinRig, Home]:
    """A rig whose key is in its home state, without power."""
    rig = hsm(*defects)
    return rig, go_home(rig)


def walked(operation: str, *defects: str) -> Result:
    """Cut one operation in every flash operation and every phase."""
    rig, home = at_home(*defects)
    return Campaign(rig, rig.key.operations[operation], home, terms()).run()


def outcomes(result: Result) -> Counter[str]:
    return Counter(row["outcome"] for row in result.rows)
