"""The bootloader's settings: at every cut the old ones or the new ones, whatever is cut after that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from harness.base.clock import VirtualClock
from harness.base.seeds import child
from harness.twin.flash import Flash
from harness.twin.image import FlashImage
from harness.twin.rail import PowerLost, PowerRail
from harness_nitrokey3.twin.dfu_settings import (
    BACKUP,
    CLOSED,
    MAIN,
    SETTINGS,
    VALID_IMAGE,
    DfuSettings,
    decode,
    load,
    store,
)

OLD = DfuSettings(app_version=100, bank=VALID_IMAGE, size=1000, crc=1)
NEW = replace(OLD, app_version=101, crc=2)
PHASES = (0.0, 0.01, 0.3, 0.6, 0.99, 1.0)


def _flash(image: FlashImage | None = None, seed: int = 1) -> Flash:
    rail = PowerRail(VirtualClock(), child(seed, "settings"))
    return Flash("settings", SETTINGS, rail, image)


def _holding(settings: DfuSettings) -> FlashImage:
    flash = _flash()
    store(flash, settings)
    return flash.image()


def _cuts(start: FlashImage, act: Callable[[Flash], object], seed: int) -> Iterator[FlashImage]:
    """What each cut in an act leaves."""
    for number in range(1, 100):
        for phi in PHASES:
            flash = _flash(start, seed)
            flash._rail.arm_op(number, phi)
            try:
                act(flash)
            except PowerLost:
                yield flash.image()
            else:
                assert flash._rail.failed_us is None
                return


@pytest.mark.parametrize("seed", range(4))
def test_a_cut_leaves_the_old_or_the_new_settings_and_the_next_boot_mends_both_copies(seed: int) -> None:
    found = set()
    for image in _cuts(_holding(OLD), lambda flash: store(flash, NEW), seed):
        flash = _flash(image, seed)
        settings = load(flash)
        found.add(settings)
        assert decode(flash.pages[MAIN]) == decode(flash.pages[BACKUP]) == settings
    assert found == {OLD, NEW}


@pytest.mark.parametrize("seed", range(4))
def test_a_second_cut_in_the_mending_changes_nothing(seed: int) -> None:
    again = 0
    for image in _cuts(_holding(OLD), lambda flash: store(flash, NEW), seed):
        settings = load(_flash(image, seed))
        for twice in _cuts(image, load, seed + 100):
            again += 1
            assert load(_flash(twice, seed)) == settings
    assert again > 20


def test_without_either_copy_the_door_is_closed() -> None:
    assert load(_flash()) == DfuSettings(app_version=CLOSED)


def test_the_defect_opens_it_and_a_cut_leads_there() -> None:
    images = _cuts(_holding(OLD), lambda flash: store(flash, NEW, both_at_once=True), 1)
    assert any(load(_flash(image), opens_door=True).app_version == 0 for image in images)


@pytest.mark.parametrize("at", range(0, 100, 7))
def test_a_flipped_bit_is_no_copy(at: int) -> None:
    page = bytearray(OLD.encode())
    assert decode(bytes(page)) == OLD
    page[at] ^= 0x10
    assert decode(bytes(page)) is None
