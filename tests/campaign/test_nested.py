"""Second cuts: how many a boot gets."""

from __future__ import annotations

import pytest

from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.nested import BOOT_CUTS, NESTED_STATES, PAIRED_OPS, second_cuts
from harness.campaign.walk import Campaign
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from support.terms import terms


@pytest.mark.parametrize("operation", ["admin.factory_reset", "fido2.client_pin.change"])
def test_a_boot_that_writes_for_long_is_cut_at_so_many_places_at_most(operation):
    """A boot that completes a factory reset has 500 modelled cuts; three of them were a tenth of a whole run."""
    plugins = discover()
    rig = TwinRig(
        "one",
        plugins.keys["nitrokey3-mini"],
        plugins.twins["nitrokey3-mini"],
        TwinOptions(),
        1,
        expendable=True,
    )
    campaign = Campaign(rig, rig.key.operations[operation], go_home(rig), terms())
    campaign.prepare()
    # Every tenth cut: what boots after them is as long.
    made = second_cuts(campaign, campaign.plan()[0][::10], 2)
    assert 0 < made <= NESTED_STATES * BOOT_CUTS + PAIRED_OPS**2
    assert (made >= BOOT_CUTS) == (operation == "admin.factory_reset")
