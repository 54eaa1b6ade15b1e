"""A settings file that is damaged: a key that goes back to its defaults has to say so in its status."""

from __future__ import annotations

import pytest

from harness.base.errors import HarnessFault
from harness.campaign.recording import UncutFault
from harness_nitrokey3 import damaged_settings
from harness_nitrokey3.twin import settings
from support.nitrokey import nitrokey, walked

DAMAGED = "admin.power_up.damaged_settings"


@pytest.mark.parametrize("personality", ["", "reference-all", "reference-1.7", "reference-1.9", "1.8.3"])
def test_a_sound_key_tells_it(personality):
    result = walked(DAMAGED, personality=personality)
    assert result.rows
    assert not result.findings


def test_defaults_under_a_status_that_says_ok_fail(monkeypatch):
    monkeypatch.setattr(settings, "CONFIG_ERROR", 0)
    with pytest.raises(UncutFault) as told:
        walked(DAMAGED)
    assert "under a status that says ok" in str(told.value.found)


def test_a_twin_with_its_settings_elsewhere_is_a_fault_of_the_harness(monkeypatch):
    monkeypatch.setattr(damaged_settings, "PATH", "admin/other")
    with pytest.raises(HarnessFault, match="admin/other"):
        walked(DAMAGED)


def test_there_is_nothing_to_damage_without_a_file():
    rig = nitrokey()
    rig.power.on()
    assert not rig.inside.damage("internal", settings.PATH)
