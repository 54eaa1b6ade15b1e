"""Keys of every kind, exchanged for one of the same model while their power is off: at each power-up of a campaign
(home, uncut runs, cuts, looks, second replugs), of a question for what is missing, and of an interruption."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.base.errors import RigError
from harness.campaign.home import go_home, missing_of
from harness.campaign.interruption import interrupt
from harness.campaign.timed_live import LiveCampaign
from harness.safety.budget import Grants
from harness.safety.claim import Claims
from harness.safety.identity import identity
from harness.safety.quarantine import clear, quarantined
from support.plugged import CountingSwitch, plugged
from support.substitute import READS
from support.terms import terms

CARD_READS = {0xA4, 0xCA, 0xCB, 0xB0, 0xB1, 0xC0, 0x62}
"""SELECT, GET DATA, READ BINARY, GET RESPONSE (ISO 7816-4), and the UUID of a Nitrokey 3's administration."""
STATUS = 0x00
"""A Nitrokey Pro's GET_STATUS, the second byte of a report."""
KEYS = "openpgp", "nitrokey-hsm2", "nitrokey-pro", "nitrokey3-mini", "nitrokey3-mini-openpgp"
TRIED = 6
"""Power-ups that are tried of the 40 of a campaign, besides the last three: a cut, its look, the second replug."""


def first(rig):
    return next(iter(rig.key.operations.values()))


def campaign(rig):
    home = go_home(rig)
    LiveCampaign(rig, first(rig), home, terms(1)).run()


def asked_what_is_missing(rig):
    missing_of(rig, go_home(rig), [first(rig)])


def interrupted(rig):
    home = go_home(rig)
    rig.power.on()
    rig.wait_until_up()
    interrupt(rig, lambda: first(rig).act(rig, home.memory.copy()))
    rig.power.cycle()
    rig.wait_until_up()
    rig.transports.prove()


def pages(rig):
    """What is on the flash of the rig's key."""
    return {name: chip.pages for name, chip in rig.inside.snapshot().chips.items()}


def run(key, act, at):
    """Exchange the key before that power-up; returns the rig, what it raised, and the claims."""
    mine, other = plugged(key, 1), plugged(key, 2)
    named = identity(mine)
    other.power.cycle()
    other.power.off()
    grants = Grants(relay_operations=1000, one_way_settings=100)
    policy = SimpleNamespace(identity=named, bootloader=None, budget=grants)
    mine.other, mine.before = other, pages(other)
    mine.power.off()
    mine.power = CountingSwitch(mine)
    claims, stopped = Claims(lambda name: policy, "test"), None
    claims.take(mine)
    mine.given, mine.at = 0, at
    try:
        act(mine)
    except RigError as error:
        stopped = error
    mine.power.off()
    return mine, stopped, claims


def writes(sent):
    """What of it does more than ask a key who it is."""
    found = []
    for endpoint, data in sent:
        if endpoint == "card":
            asks = data[1] in CARD_READS
        elif endpoint == "ctaphid":
            asks = not data[4] & 0x80 or (data[4], data[7] if data[4] in (0x90, 0xF2) else None) in READS
        else:
            asks = data[0] == STATUS
        if not asks:
            found.append((endpoint, data.hex()))
    return found


QUICK = ("nitrokey-hsm2", campaign), ("openpgp", asked_what_is_missing), ("openpgp", interrupted)


@pytest.mark.parametrize(
    ("key", "act"),
    [
        pytest.param(key, act, marks=() if (key, act) in QUICK else pytest.mark.long)
        for key in KEYS
        for act in (campaign, asked_what_is_missing, interrupted)
    ],
)
def test_a_key_of_the_same_model_is_not_written_to_at_whatever_power_up_it_came(own_state, key, act):
    rig, stopped, claims = run(key, act, None)
    assert stopped is None
    claims.release()
    power_ups = rig.given
    assert power_ups >= 2
    step = max(1, power_ups // TRIED)
    for at in sorted({*range(1, power_ups + 1, step), *range(max(1, power_ups - 2), power_ups + 1)}):
        rig, stopped, claims = run(key, act, at)
        if stopped is None:
            # Nothing is asked of a boot whose power goes before anything is opened.
            assert rig.sent == []
            assert pages(rig.other) == rig.before
            claims.release()
            continue
        assert "another key is in it" in str(stopped)
        assert writes(rig.sent) == [], f"power-up {at}"
        assert pages(rig.other) == rig.before, f"power-up {at}"
        assert "another key is in it" in quarantined("rig mine").why
        claims.release()
        clear("rig mine", "the right key is back")
