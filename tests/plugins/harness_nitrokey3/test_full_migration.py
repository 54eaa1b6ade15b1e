"""An update that moves the data of a full key, cut in its first boot."""

from __future__ import annotations

import pytest

from harness.bench.registry import discover
from harness.campaign.home import Home, go_home, go_to_home
from harness.campaign.walk import Campaign
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from support.terms import terms

KEY = "nitrokey3-mini"


@pytest.mark.long
def test_a_boot_that_finds_no_room_for_the_move_mounts_anew_and_goes_on():
    """littlefs said NOSPC in the 91st rename of the boot after the cut, with 73 blocks free; the next one completed."""
    plugins = discover()
    options = TwinOptions(personality="reference-1.2")
    rig = TwinRig("nk3-1.2", plugins.keys[KEY], plugins.twins[KEY], options, 1, expendable=True)
    full = go_to_home(rig, go_home(rig), "full")
    assert isinstance(full, Home)
    row, breaches = Campaign(rig, rig.key.operations["update.install"], full, terms()).replay("op1716.before")
    assert (row["outcome"], row["landed"], breaches) == ("new", True, [])
