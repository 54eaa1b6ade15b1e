"""Boots from damaged flash: a sound key starts nothing that nobody signed, and mends what it can."""

from __future__ import annotations

import zlib

import pytest

from harness.campaign.common import Beside
from harness.campaign.recording import UncutFault
from harness.campaign.walk import Campaign
from harness_nitrokey3.twin import dfu_image, dfu_settings, migration, reset
from harness_nitrokey3.twin.dfu_settings import DfuSettings
from support.nitrokey import at_home, found, walked
from support.terms import terms


@pytest.mark.parametrize(
    ("operation", "outcome"),
    [
        ("update.forged_image", "bootloader"),
        ("update.damaged_settings", "old"),
        ("update.damaged_backup", "old"),
        ("update.lost_settings", "bootloader"),
    ],
)
def test_a_sound_key_passes(operation, outcome):
    result = walked(operation)
    assert set(result.outcomes) == {outcome}
    assert not result.findings


@pytest.mark.parametrize(
    "operation", ["update.forged_image", "update.damaged_settings", "update.lost_settings"]
)
def test_a_sound_key_lets_its_owner_go_on_where_it_can(operation):
    rig, home = at_home()
    beside = Beside(2, (), rig.key.next_actions, second=False)
    result = Campaign(rig, rig.key.operations[operation], home, terms(beside=beside)).run()
    assert {row["stream"] for row in result.rows} >= {"next"}
    assert not result.findings, "in a bootloader that takes no firmware nothing can be done"


def test_a_sound_first_boot_makes_a_damaged_copy_anew():
    result = walked("update.damaged_copy", cuts=20, personality="reference-1.2")
    assert set(result.outcomes) == {"new"}
    assert not result.findings


def test_a_boot_that_looks_at_the_check_sum_alone_is_found(monkeypatch):
    def by_check_sum(pages, size, crc, *_proof):
        return zlib.crc32(b"".join(pages)[:size]) == crc

    monkeypatch.setattr(dfu_image, "_checked", by_check_sum)
    assert ("update.runs", "torn") in found(walked("update.forged_image"))
    assert not walked("update.damaged_image").findings, "its check sum does not fit either"


def test_a_copy_of_the_settings_that_is_not_mended_is_found(monkeypatch):
    load = dfu_settings.load

    def lenient(flash, *defects):
        main, backup = (dfu_settings.decode(page) for page in flash.pages)
        return (main or backup) if (main is None) != (backup is None) else load(flash, *defects)

    monkeypatch.setattr(reset.dfu_settings, "load", lenient)
    for operation in ("update.damaged_settings", "update.damaged_backup"):
        with pytest.raises(UncutFault, match="settings"):
            walked(operation)


def test_a_bootloader_without_settings_that_forgets_its_floor_is_found(monkeypatch):
    load = dfu_settings.load

    def open_to_all(flash, *defects):
        loaded = load(flash, *defects)
        return DfuSettings() if loaded == DfuSettings(app_version=dfu_settings.CLOSED) else loaded

    monkeypatch.setattr(reset.dfu_settings, "load", open_to_all)
    assert found(walked("update.lost_settings"))


def test_a_copy_that_is_believed_unchecked_is_found(monkeypatch):
    def believed(spare):
        magic, size, _ = migration._HEAD.unpack_from(spare.pages[0])
        return spare.read(migration._PROGRAM, size) if magic == migration._MAGIC else None

    monkeypatch.setattr(migration, "_copied", believed)
    try:
        result = walked("update.damaged_copy", cuts=2, personality="reference-1.2")
    except UncutFault:
        return
    assert found(result)
