"""A sound key whose state nobody copies, as each real one: the home state is laid down anew before each cut.

What the home draws anew (keys, PINs, dates) must not be taken for a loss, and what an operation leaves must not stay.
"""

from __future__ import annotations

import pytest

from harness.campaign.home import go_home, missing
from harness.campaign.timed_live import LiveCampaign
from support.plugged import plugged
from support.terms import terms

QUICK = (
    ("openpgp", "openpgp.verify"),
    ("openpgp", "openpgp.change_pw3"),
    ("openpgp", "openpgp.import.touch"),
    ("nitrokey3-mini", "fido2.client_pin.set"),
    ("nitrokey3-mini", "fido2.client_pin.change"),
    ("nitrokey-hsm2", "schsm.unwrap"),
    ("nitrokey-hsm2", "schsm.unwrap.forced"),
    ("nitrokey-hsm2", "schsm.change_pin"),
    ("nitrokey-hsm2", "schsm.change_so_pin"),
    ("nitrokey-hsm2", "schsm.reset_retry.wrong"),
    ("nitrokey-hsm2", "schsm.initialize.wrong"),
    ("nitrokey-hsm2", "schsm.change_so_pin.wrong"),
)
"""Each of these failed a sound key."""


def findings(rig, name, cuts):
    """What a campaign finds, as words; cuts more than the uncut runs."""
    rig.power.on()
    home = go_home(rig)
    operation = rig.key.operations[name]
    if missing(rig, home, operation):
        return []
    campaign = LiveCampaign(rig, operation, home, terms(cuts))
    campaign.run()
    assert campaign.result.rows
    return [f"{one.item} {one.outcome}: {one.text}" for one in campaign.result.findings]


@pytest.mark.parametrize(("key", "name"), QUICK)
def test_a_sound_key_fails_none(own_state, key, name):
    rig = plugged(key, 1)
    for _ in range(2):
        assert findings(rig, name, 2) == []


def test_a_kdf_which_no_home_undoes_is_not_set_up(own_state):
    rig = plugged("openpgp", 1)
    rig.power.on()
    home = go_home(rig)
    assert "no home undoes a KDF" in missing(rig, home, rig.key.operations["openpgp.set_kdf"])
    assert findings(rig, "openpgp.verify_admin", 1) == [], "no try of PW3 was lost"
