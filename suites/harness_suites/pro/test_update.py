"""Updates of the firmware: the bootloader takes any image from who knows the firmware password, and data stay.

A genuine key is not updated by these cases: no rig but a simulated key's reaches the bootloader.
"""

from __future__ import annotations

import pytest

from harness.api import NOT_OFFERED, KeyFault, Refused, Rig, glass_box
from harness_nitrokey_pro import images
from harness_nitrokey_pro.client import NitrokeyPro
from harness_nitrokey_pro.home import SLOT_NUMBERS, use_hotp
from harness_nitrokey_pro.items import entries_value
from harness_nitrokey_pro.reports import Status as Answer
from harness_nitrokey_pro.updater import (
    APPLICATION,
    BOOTLOADER,
    download,
    enter_bootloader,
    install,
    make_idle,
    update,
)
from harness_openpgp.client import SIGN, OpenPgp
from harness_openpgp.home import message
from harness_openpgp.slots import Slot
from harness_suites.pro.common import again, refused
from harness_transports.dfu import Ask, DfuHandle, State, Status, dfu, request

OLDER, NEWER = 0x000B, 0x0010
BLOCK = 1024


@pytest.fixture
def loader(updatable: NitrokeyPro, mine, rig: Rig) -> DfuHandle:
    """The key in its bootloader."""
    if glass_box(rig) is None:
        pytest.skip(f"{NOT_OFFERED}: the bootloader, which no rig but a simulated key's reaches")
    enter_bootloader(rig, mine.firmware_password)
    return dfu(rig)


def slots(hid: NitrokeyPro) -> dict[int, object]:
    return {number: hid.slot(number) for number in SLOT_NUMBERS}


@pytest.fixture
def before(updatable: NitrokeyPro) -> dict[int, object]:
    """The slots before an update."""
    return slots(updatable)


def running(rig: Rig) -> int:
    version = NitrokeyPro(rig).status()["version"]
    assert isinstance(version, int)
    return version


def version(rig: Rig) -> int:
    """The version after a power cycle."""
    again(NitrokeyPro(rig))
    return running(rig)


@pytest.mark.parametrize("wanted", [NEWER, OLDER, 0x0100], ids=images.text)
def test_an_image_of_any_version_is_taken_and_everything_is_kept(
    before, loader, rig, home, mine, pins, wanted, record_property
):
    install(rig, images.make_image(wanted))
    record_property(
        "policy",
        "after an update to another version, also an older one, slots, safe, PINs and passwords are kept",
    )
    assert (rig.face, version(rig)) == (APPLICATION, wanted)
    hid = NitrokeyPro(rig)
    assert slots(hid) == before
    assert hid.tries() == (3, 3)
    use_hotp(rig, home.memory)
    if mine.has_safe:
        hid.open_safe(pins.pw1)
        assert entries_value(hid.entries()) == entries_value(mine.entries)
    hid.change_firmware_password(mine.firmware_password, mine.firmware_password)


WEEK = range(1, 8)


def test_in_the_week_after_an_update_no_counter_goes_astray(loader, rig, home, mine, pins):
    """Each day the key is plugged in, the user PIN is mistyped once, a code is made and something is signed."""
    install(rig, images.make_image(NEWER))
    memory, signed = home.memory.copy(), OpenPgp(rig).counter()
    for day in WEEK:
        hid = again(NitrokeyPro(rig))
        assert hid.tries() == (3, 3)
        card = OpenPgp(rig)
        with pytest.raises(Refused):
            card.verify("99999999", SIGN)
        card.verify(pins.pw1, SIGN)
        key = pins.keys[Slot.SIGN]
        assert key.verifies(card.sign(key.signed_data(message(Slot.SIGN))), message(Slot.SIGN))
        use_hotp(rig, memory)
        assert card.counter() == signed + day


def test_a_power_cycle_leaves_the_bootloader_and_changes_nothing(before, loader, rig):
    assert rig.face == BOOTLOADER
    rig.power.cycle()
    rig.wait_until_up()
    assert rig.face == APPLICATION
    assert slots(NitrokeyPro(rig)) == before


def test_the_bootloader_is_idle_at_first(loader):
    shown = loader.status()
    assert (shown.status, shown.state) == (Status.OK, State.IDLE)


def test_an_image_that_reaches_into_the_data_is_refused_and_the_data_stay(before, loader, rig):
    too_long = images.make_image(NEWER, images.LIMIT + BLOCK)
    with pytest.raises(KeyFault):
        install(rig, too_long)
    assert loader.status().state == State.ERROR
    install(rig, images.make_image(NEWER))
    assert slots(NitrokeyPro(rig)) == before


def test_the_longest_image_fits(before, loader, rig):
    install(rig, images.make_image(NEWER, images.LIMIT))
    assert version(rig) == NEWER
    assert slots(NitrokeyPro(rig)) == before


@pytest.mark.parametrize("first", [bytes(4), b"\xff" * 4, bytes.fromhex("00100008")], ids=bytes.hex)
def test_what_has_no_stack_in_ram_is_not_started(loader, rig, first):
    """dapboot, src/dfu.c: the end of the download is an error (firmware), and the bootloader stays."""
    image = first + images.make_image(NEWER)[4:]
    with pytest.raises(KeyFault):
        install(rig, image)
    assert loader.status().status == Status.WRONG_FIRMWARE
    rig.power.cycle()
    rig.wait_until_up()
    assert rig.face == BOOTLOADER
    install(rig, images.make_image(NEWER))
    assert version(rig) == NEWER


def test_an_update_that_a_host_gave_up_is_begun_again(loader, rig):
    image = images.make_image(NEWER)
    download(rig, loader, 0, image[:BLOCK])
    download(rig, loader, 1, image[BLOCK : 2 * BLOCK])
    make_idle(loader)
    assert loader.status().state == State.IDLE
    install(rig, image)
    assert version(rig) == NEWER


@pytest.mark.parametrize("size", [4, 64, 512, 1000])
def test_blocks_of_this_size_make_the_same_image(loader, rig, size):
    image = images.make_image(NEWER, 2048)
    for number, at in enumerate(range(0, len(image), size)):
        download(rig, loader, number, image[at : at + size])
    loader.download(0, b"")
    while loader.status().state != State.MANIFEST:
        pass
    rig.clock.wait_us(1_000_000)
    rig.wait_until_up()
    assert (rig.face, running(rig)) == (APPLICATION, NEWER)


def test_a_download_that_ends_before_it_began_is_an_error_that_can_be_cleared(loader):
    loader.download(0, b"")
    assert loader.status().state == State.ERROR
    loader.clear()
    shown = loader.status()
    assert (shown.status, shown.state) == (Status.OK, State.IDLE)


def test_nothing_is_written_before_the_status_was_asked(loader, rig):
    """dapboot, src/dfu.c: a block is written after the GETSTATUS that follows it."""
    loader.download(0, images.make_image(OLDER)[:BLOCK])
    rig.power.cycle()
    rig.wait_until_up()
    assert rig.face == APPLICATION


@pytest.mark.parametrize("ask", [Ask.DETACH, Ask.UPLOAD], ids=["detach", "upload"])
def test_what_the_bootloader_does_not_do_is_an_error(loader, rig, ask):
    endpoint = rig.transports.endpoint("dfu")
    endpoint.send(request(ask))
    assert loader.status().state == State.ERROR
    loader.clear()
    assert loader.status().state == State.IDLE


def test_a_wrong_firmware_password_opens_no_bootloader(updatable, rig):
    with refused(Answer.WRONG_PASSWORD):
        updatable.start_bootloader(b"00000000")
    assert rig.face == APPLICATION


def test_what_a_factory_reset_leaves_opens_the_bootloader_still(updatable, rig, mine, pins):
    if glass_box(rig) is None:
        pytest.skip(f"{NOT_OFFERED}: the bootloader, which no rig but a simulated key's reaches")
    updatable.factory_reset(pins.pw3)
    update(rig, mine.firmware_password, images.make_image(NEWER))
    assert version(rig) == NEWER
