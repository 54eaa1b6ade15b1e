"""A simulated OpenPGP card for tests: with power, or in its home state."""

from __future__ import annotations

from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.result import Result
from harness.campaign.walk import Campaign
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from support.terms import terms

NAME = "openpgp"


def openpgp_card(*defects: str, personality: str = "reference", seed: int = 1) -> TwinRig:
    """A rig with the card as it leaves the factory, without power."""
    plugins = discover()
    options = TwinOptions(personality=personality, defects=defects)
    return TwinRig("card-1", plugins.keys[NAME], plugins.twins[NAME], options, seed, expendable=True)


def walked(operation: str, *defects: str, personality: str = "reference", cuts: int | None = None) -> Result:
    """Cut one operation in every flash operation and every phase, or so often."""
    rig = openpgp_card(*defects, personality=personality)
    return Campaign(rig, rig.key.operations[operation], go_home(rig), terms(cuts)).run()
