"""The vendor's updater on a twin, from the question to the version check; the genuine container."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from nitrokey.nk3 import _NK3_DATA

from harness.bench.firmware_updates import UpdateRefused
from harness.campaign.home import go_home
from harness.campaign.walk import Campaign
from harness.model.rig import KeyGone
from harness.twin.glass_box import require_glass_box
from harness_nitrokey3 import bootloader_probe, containers, images, sdk, signing
from harness_nitrokey3.admin import identify
from harness_nitrokey3.images import Recipe
from harness_nitrokey3.sdk import open_nk3
from harness_nitrokey3.updater import Handler, update
from support.terms import terms
from support.update import MakeRig, container

POLLS_MAX, POLLS_MAX_MIGRATION = 60, 500
"""How long the vendor's updater waits for the first boot (invariant U5; nitrokey-sdk-py d39506a, updates.py)."""


def test_an_update_ends_with_the_version_that_was_asked_for(make_rig: MakeRig) -> None:
    rig = make_rig()
    phases: list[str] = []
    ui = update(rig, container(rig, "1.9.0").data, progress=lambda phase, done, total: phases.append(phase))
    assert identify(rig)["firmware"] == "v1.9.0"
    assert [kind for kind, _ in ui.said] == ["update", "touch"]
    assert phases.count("transfer") == images.PAGES + 1
    assert 0 < phases.count("finalization") <= POLLS_MAX


def test_the_tap_sees_every_object_and_chunk(make_rig: MakeRig) -> None:
    rig = make_rig()
    trace = require_glass_box(rig).record(lambda: update(rig, container(rig, "1.9.0").data))
    kinds = [mark.name.rstrip("0123456789").rstrip("-") for mark in trace.marks]
    assert kinds.count("object") == 1 + images.PAGES
    assert kinds.count("execute") == 1 + images.PAGES
    assert kinds.count("chunk") >= 4 * images.PAGES
    # Two boots: into the bootloader before anything is written, and into the new firmware after everything.
    assert trace.boots == (0, len(trace.ops))
    assert {op.chip for op in trace.ops} == {"app", "settings"}


def test_the_same_seed_gives_the_same_update(make_rig: MakeRig) -> None:
    ends = []
    for _ in range(2):
        rig = make_rig()
        trace = require_glass_box(rig).record(lambda rig=rig: update(rig, container(rig, "1.9.0").data))  # type: ignore[misc]
        ends.append((trace.final.digest(), trace.end_us, tuple(mark.name for mark in trace.marks)))
    assert ends[0] == ends[1]


def test_the_sdk_is_as_it_was_afterwards(make_rig: MakeRig) -> None:
    before = list(_NK3_DATA.nrf52_signature_keys)
    rig = make_rig()
    with pytest.raises(UpdateRefused):
        update(rig, b"no container")
    assert _NK3_DATA.nrf52_signature_keys == before
    assert sdk._rig is None


def test_a_lower_version_is_refused_by_the_host_in_the_application(make_rig: MakeRig) -> None:
    rig = make_rig()
    with pytest.raises(UpdateRefused, match=r"v1\.8\.2 is lower than v1\.8\.3") as refusal:
        update(rig, container(rig, "1.8.2").data)
    assert refusal.value.by == "host"
    assert rig.face == "application"


def test_a_lower_version_is_refused_by_the_key_in_the_bootloader(make_rig: MakeRig) -> None:
    rig = make_rig()
    bootloader_probe.enter_bootloader(rig)
    with pytest.raises(UpdateRefused, match="firmware version is too low") as refusal:
        update(rig, container(rig, "1.8.2").data)
    assert refusal.value.by == "key"


def test_the_same_version_can_be_declined(make_rig: MakeRig) -> None:
    rig = make_rig()
    with pytest.raises(UpdateRefused, match="running already"):
        update(rig, container(rig, "1.8.3").data, allow_same=False)
    assert ("same version", "v1.8.3") in update(rig, container(rig, "1.8.3").data).said


def test_without_a_touch_nothing_happens(make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make_rig()
    before = require_glass_box(rig).snapshot()
    monkeypatch.setattr("harness_nitrokey3.updater.Ui.request_bootloader_confirmation", lambda self: None)
    with pytest.raises(UpdateRefused, match="not confirmed with the touch button"):
        update(rig, container(rig, "1.9.0").data)
    assert rig.face == "application"
    assert require_glass_box(rig).differing(before, require_glass_box(rig).snapshot()) == []


def test_a_key_that_loses_its_power_is_gone_and_then_completed(make_rig: MakeRig) -> None:
    rig = make_rig()
    data = container(rig, "1.9.0").data
    rig.board.rail.arm_op(20, 0.5)
    with pytest.raises(KeyGone):
        update(rig, data)
    rig.power.off()
    rig.power.on()
    assert rig.face == "bootloader"
    update(rig, data)
    assert identify(rig)["firmware"] == "v1.9.0"


def test_a_container_signed_for_another_seed_is_nobodys(make_rig: MakeRig) -> None:
    rig = make_rig()
    other = containers.make(signing.seed_of(make_rig(seed=2)), Recipe("1.9.0"))
    with pytest.raises(UpdateRefused, match="not signed by Nitrokey"):
        update(rig, other.data)
    bootloader_probe.enter_bootloader(rig)
    assert bootloader_probe.offer(rig, other.image) == "refused: Response Code InvalidSignature"


@pytest.mark.parametrize("personality", ["reference-1.7", "reference-1.2", "1.7.1", "1.2.2", "1.0.0"])
def test_the_first_boot_comes_up_in_the_time_that_the_updater_waits(
    make_rig: MakeRig, personality: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls: list[int] = []
    real = Handler.await_device

    def noted(self: Handler, *args: object) -> object:
        device = real(self, *args)  # type: ignore[arg-type]
        polls.append(self.polls)
        return device

    monkeypatch.setattr(Handler, "await_device", noted)
    rig = make_rig(personality)
    update(rig, container(rig, "1.8.3").data)
    assert identify(rig)["firmware"] == "v1.8.3"
    assert polls[0] <= (POLLS_MAX_MIGRATION if "1.2" in personality or "1.0" in personality else POLLS_MAX)
    # The moves are done once: a boot after that writes nothing.
    rig.power.off()
    booted = require_glass_box(rig).record(rig.power.on)
    assert not [op for op in booted.ops if op.chip in ("efs", "spare", "app", "settings")]


# The genuine container


def test_the_genuine_container_is_what_it_says(genuine: Path) -> None:
    known = containers.about(genuine, b"any seed")
    assert (known.version, known.variants) == ("v1.7.2", ("lpc55", "nrf52"))
    assert (known.signed_by, known.official) == ("Nitrokey", True)
    assert (known.number, known.size, known.hardware) == (4194754, 503236, 52)


@pytest.mark.parametrize("personality", ["1.7.1", "reference-1.2"])
def test_a_twin_takes_the_genuine_container_and_reports_its_version(
    make_rig: MakeRig, genuine: Path, personality: str
) -> None:
    rig = make_rig(personality)
    made = containers.read(genuine)
    update(rig, made.data)
    assert identify(rig)["firmware"] == "v1.7.2"
    flashed = b"".join(rig.board.flash["app"].pages)[: len(made.image.bin)]
    assert hashlib.sha256(flashed).digest() == hashlib.sha256(made.image.bin).digest()


@pytest.mark.parametrize("version", ["1.8.0", "1.8.3", "1.7.3"])
def test_a_twin_above_it_refuses_the_genuine_container(
    make_rig: MakeRig, genuine: Path, version: str
) -> None:
    rig = make_rig(version)
    data = containers.read(genuine).data
    with pytest.raises(UpdateRefused) as refusal:
        update(rig, data)
    assert refusal.value.by == "host"
    bootloader_probe.enter_bootloader(rig)
    before = require_glass_box(rig).snapshot()
    with pytest.raises(UpdateRefused, match="too low") as refusal:
        update(rig, data)
    assert refusal.value.by == "key"
    assert require_glass_box(rig).differing(before, require_glass_box(rig).snapshot()) == []
    rig.power.cycle()
    rig.wait_until_up()
    assert str(open_nk3(rig).admin.version()) == f"v{version}"


@pytest.mark.parametrize("at", [0, 100, -1])
def test_one_bit_of_the_genuine_image_is_enough_to_refuse_it(
    make_rig: MakeRig, genuine: Path, at: int
) -> None:
    rig = make_rig("1.7.1")
    image = containers.read(genuine).image
    changed = bytearray(image.dat)
    changed[at] ^= 1
    bootloader_probe.enter_bootloader(rig)
    before = require_glass_box(rig).snapshot()
    assert bootloader_probe.offer(rig, images.Image(bytes(changed), image.bin, 0), whole=True).startswith(
        "refused"
    )
    assert require_glass_box(rig).differing(before, require_glass_box(rig).snapshot()) == []


@pytest.mark.long
def test_the_genuine_container_survives_sampled_cuts(make_rig: MakeRig, genuine: Path) -> None:
    rig = make_rig("reference-1.7", version="1.7.1")
    rig.firmware_file = genuine
    result = Campaign(rig, rig.key.operations["update.install"], go_home(rig), terms(120, processes=2)).run()
    assert result.outcomes["bootloader"] > 100
    assert [finding.text for finding in result.findings] == []
