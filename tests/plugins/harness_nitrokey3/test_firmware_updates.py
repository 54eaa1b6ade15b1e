"""What the plugin answers for the downgrade suite: versions, containers, and an updater that can be stopped."""

from __future__ import annotations

import pickle

import pytest

from harness.bench.firmware_updates import ACCEPTED, SlowBoot, UpdateRefused
from harness.bench.registry import discover
from harness.model.outcome import ANY
from harness_nitrokey3.firmware_updates import Nitrokey3Updates
from support.update import MakeRig

UPDATES = Nitrokey3Updates()


def test_the_plugin_offers_it_by_the_name_of_its_key() -> None:
    offered = discover().update_rules
    assert isinstance(offered["nitrokey3-mini"], Nitrokey3Updates)


@pytest.mark.parametrize(
    ("version", "earlier", "later"),
    [("1.8.3", "1.8.2", "1.8.4"), ("1.9.0", "1.8.63", "1.9.1"), ("2.0.0", "1.65535.63", "2.0.1")],
)
def test_neighbours_differ_by_one_number(version: str, earlier: str, later: str) -> None:
    assert UPDATES.earlier(version) == earlier
    assert UPDATES.later(version) == later


@pytest.mark.parametrize(
    ("version", "consistent"),
    [("1.8.3", True), ("1.8.3-rc.1", True), ("1.8.64", False), ("1.65536.0", False), ("1024.0.0", False)],
)
def test_a_version_that_overflows_its_number_is_inconsistent(version: str, consistent: bool) -> None:
    assert UPDATES.is_consistent(version) is consistent


def test_values_after_an_update() -> None:
    kept = UPDATES.after_update(7, deleted=False)
    assert kept["admin.version"] is ANY
    assert kept["admin.status"] == "ok"
    assert "admin.uuid" not in kept
    assert UPDATES.after_update(None, deleted=False)["admin.uuid"] is ANY
    assert UPDATES.after_update(7, deleted=True)["fido2.pin"] == "none"


def test_the_updater_stops_at_the_warnings_that_are_named(make_rig: MakeRig) -> None:
    rig = make_rig()
    new = UPDATES.container(rig, UPDATES.target, client=UPDATES.client_of_the_future).data
    seen: list[str] = []
    with pytest.raises(UpdateRefused) as refusal:
        UPDATES.update(
            rig, new, stop_at={UPDATES.client_too_old}, before_bootloader=lambda: seen.append("bootloader")
        )
    assert refusal.value.by == "host"
    assert not seen
    said = UPDATES.update(rig, new, before_bootloader=lambda: seen.append("bootloader"))
    assert ("warning", UPDATES.client_too_old) in said
    assert seen == ["bootloader"]
    assert rig.key.identify(rig)["firmware"] == f"v{UPDATES.target}"


def test_the_bootloader_accepts_a_later_image_and_refuses_an_older_one(make_rig: MakeRig) -> None:
    rig = make_rig()
    UPDATES.enter_bootloader(rig)
    older = UPDATES.container(rig, UPDATES.earlier(UPDATES.installed))
    assert UPDATES.offer(rig, older).startswith(UPDATES.refused_as_older)
    assert UPDATES.offer(rig, UPDATES.container(rig, UPDATES.target), whole=True) == ACCEPTED


def test_how_an_update_ended_crosses_processes() -> None:
    refused = pickle.loads(pickle.dumps(UpdateRefused("a lower version", "key")))
    assert (str(refused), refused.by) == ("a lower version", "key")
    slow = pickle.loads(pickle.dumps(SlowBoot("too slow", found=70, expected="60 tries")))
    assert (slow.found, slow.expected) == (70, "60 tries")
