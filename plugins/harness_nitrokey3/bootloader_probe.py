"""Find out which images the bootloader accepts: offer it init packets, as an attacker would.

An accepted init packet makes the old application invalid, so the bootloader is probed last, and on a copy.
"""

from __future__ import annotations

from nitrokey.trussed._bootloader.nrf52_upload.dfu.dfu_transport_serial import DfuTransportSerial
from nitrokey.trussed._bootloader.nrf52_upload.exceptions import NordicSemiException
from nitrokey.trussed.admin_app import BootMode

from harness.api import ACCEPTED, Rig
from harness_nitrokey3 import images, sdk, signing
from harness_nitrokey3.dfu_port import dfu_port
from harness_nitrokey3.images import Image, Recipe
from harness_nitrokey3.init_packets import WRONG_PACKETS
from harness_nitrokey3.sdk import open_nk3
from harness_nitrokey3.twin.dfu_image import number_of, text_of

SIGNED = "nothing unsigned and nothing of somebody else's"
FOREIGN = "somebody else"


def enter_bootloader(rig: Rig) -> None:
    """Bring the key into its bootloader, from either face. The application asks for a touch."""
    rig.wait_until_up()
    if rig.face == "bootloader":
        return
    with rig.touch.pressing():
        open_nk3(rig).admin.reboot(BootMode.BOOTROM)
    rig.wait_until_up()


def offer(rig: Rig, image: Image, *, whole: bool = False) -> str:
    """Offer an image to the bootloader. Returns ACCEPTED, or "refused: ..." with the reason.

    :param whole: send the binary too; otherwise only the init packet.
    :raises OSError: the key went away.
    """
    with sdk.bound(rig):
        transport = DfuTransportSerial(dfu_port(rig).port)
        try:
            transport.open()
            transport.send_init_packet(image.dat)
            if whole:
                transport.send_firmware(image.bin)
            transport.close()
        except NordicSemiException as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            return f"refused: {error}"
    return ACCEPTED


def older(version: str) -> str:
    """Return the next lower version that differs in its number."""
    return text_of(number_of(version) - 1)


def foreign(rig: Rig, ours: str, wanted: str) -> str | None:
    """First foreign-signed image that was accepted, or None. A refusal changes nothing on the key."""
    seed = signing.seed_of(rig)
    enter_bootloader(rig)
    for version in dict.fromkeys((ours, wanted)):
        for signer in (FOREIGN, ""):
            if offer(rig, images.make(Recipe(version, signer=signer), seed)) == ACCEPTED:
                return f"v{version} signed by {signer or 'nobody'}"
    return None


def accepts(rig: Rig, ours: str, wanted: str) -> str:
    """Describe from which version on the bootloader accepts images, and whether it demands a signature.

    :param ours: the version before an update. :param wanted: the version after it.
    """
    if (taken := foreign(rig, ours, wanted)) is not None:
        return taken
    seed = signing.seed_of(rig)
    for version in (older(ours), *dict.fromkeys((ours, wanted))):
        if offer(rig, images.make(Recipe(version), seed)) == ACCEPTED:
            # The power is still on, and the packet of before counts for nothing now.
            lower = images.make(Recipe(older(version)), seed)
            if version != older(ours) and offer(rig, lower) == ACCEPTED:
                return f"v{older(version)} and later, after an accepted init packet"
            return f"v{version} and later, signed"
    return "nothing"


def taken_in_spite(rig: Rig, ours: str, wanted: str) -> str | None:
    """First init packet of `init_packets` that is accepted, and why it must not be; None if all are refused.

    :param ours: the version that runs. :param wanted: a higher one.
    """
    seed = signing.seed_of(rig)
    enter_bootloader(rig)
    for packet in WRONG_PACKETS:
        recipe = packet.change(Recipe(wanted), number_of(older(ours)))
        if offer(rig, images.make(recipe, seed)) == ACCEPTED:
            return f"{packet.id}: {packet.why}"
    return None
