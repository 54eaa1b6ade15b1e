"""Leave the bootloader: install the image that the bench names. The bootloader takes any."""

from __future__ import annotations

from harness.api import CallerError, Rig
from harness_nitrokey_pro.images import read_image
from harness_nitrokey_pro.updater import install


def rescue(rig: Rig) -> None:
    """Install the rig's image on a key that shows its bootloader.

    :raises CallerError: the bench names none, or the file is none. :raises KeyFault: the key refuses it.
    """
    if rig.firmware_file is None:
        raise CallerError(
            f'rig "{rig.name}" · firmware',
            found="not set",
            expected="the image that was being installed, or another of the Nitrokey Pro",
        )
    install(rig, read_image(rig.firmware_file))
