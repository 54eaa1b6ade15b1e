"""Updates that are cut twice or broken off, as operations of a campaign: sound ones pass, and bugs show."""

from __future__ import annotations

import pytest

from harness.api import Outcome, require_glass_box
from harness.campaign.home import go_home
from harness.campaign.result import Result
from harness.campaign.walk import Campaign
from harness.twin.rig import TwinRig
from harness_nitrokey3 import update_operations
from harness_nitrokey3.twin import migration
from support.terms import terms
from support.update import MakeRig

CUTS = 18
FORGOTTEN = "0123456789abcdef.0123456789abcdef"


def campaign(rig: TwinRig, operation: str, cuts: int = CUTS) -> Result:
    rig.power.off()
    return Campaign(rig, rig.key.operations[operation], go_home(rig), terms(cuts)).run()


def requests(result: Result) -> int:
    assert result.trace is not None
    return sum(1 for mark in result.trace.marks if mark.name.startswith("request-sent"))


def test_the_run_that_completes_a_cut_update_may_be_cut_itself(make_rig: MakeRig) -> None:
    result = campaign(make_rig("reference-1.7"), "update.install.interrupted")
    assert not result.findings
    assert set(result.outcomes) == {"bootloader", "new"}, (
        "it begins in the bootloader, never in the old version"
    )


def test_a_killed_updater_is_followed_by_one_that_goes_on(make_rig: MakeRig) -> None:
    whole = campaign(make_rig(), "update.install", 3)
    broken = campaign(make_rig(), "update.install.aborted")
    assert not broken.findings
    assert set(broken.outcomes) <= {"old", "bootloader", "new"}
    assert requests(broken) > requests(whole), "the updater was never killed"


@pytest.mark.parametrize(
    ("defect", "personality", "update"),
    [
        pytest.param("version-raised-early", "reference", "update.install.aborted", marks=pytest.mark.long),
        pytest.param(
            "journal-migration-once", "reference-1.2", "update.install.interrupted", marks=pytest.mark.long
        ),
        ("settings-lost-open", "reference", "update.install.interrupted"),
    ],
)
def test_a_bug_shows_in_them(make_rig: MakeRig, defect: str, personality: str, update: str) -> None:
    made = make_rig(personality, defects=(defect,))
    assert campaign(made, update, 60).findings


def shortened(walk):
    """The copy of all files has the first 300 bytes of each."""
    return lambda store, path: [(name, data and data[:300]) for name, data in walk(store, path)]


def certificate_left_out(walk):
    return lambda store, path: [one for one in walk(store, path) if not one[0].startswith("fido/x5c/")]


@pytest.mark.parametrize("spoilt", [shortened, certificate_left_out])
def test_a_move_to_another_flash_layer_that_loses_a_part_of_a_file_fails(monkeypatch, make_rig, spoilt):
    monkeypatch.setattr(migration, "_walk", spoilt(migration._walk))
    found = campaign(make_rig("reference-1.2"), "update.install", 3).findings
    assert "update.files" in {one.item for one in found}


def test_a_move_of_credentials_that_leaves_one_behind_fails(monkeypatch, make_rig):
    """That one is none of the canaries: nobody logs in with it."""
    rename = migration._rename

    def others(store, old, new):
        rename(store, old, new)
        store.remove(f"{new}/{FORGOTTEN}")

    def arranged(rig, ours):
        glass = require_glass_box(rig)
        glass._board.stores["internal"].write(f"{migration.CREDENTIALS[1]}/{FORGOTTEN}", bytes(range(80)))
        return kept(rig, ours)

    kept = update_operations.kept_files
    monkeypatch.setattr(update_operations, "kept_files", arranged)
    monkeypatch.setattr(migration, "_rename", others)
    (found,) = campaign(make_rig("reference-1.7"), "update.install", 3).findings
    assert (found.item, found.outcome) == ("update.files", Outcome.LOST)
