"""Leave the bootloader: run an interrupted update again, with the container that the bench names."""

from __future__ import annotations

from harness.api import CallerError, Rig
from harness_nitrokey3 import containers


def rescue(rig: Rig) -> None:
    """Install the rig's container on a key that shows its bootloader. The bootloader refuses an older one.

    :raises Refusal: it does, or the container is none for it.
    """
    from harness_nitrokey3.updater import update

    if rig.firmware_file is None:
        raise CallerError(
            f'rig "{rig.name}" · firmware',
            found="not set",
            expected="the update container that was being installed, or a later one",
        )
    update(rig, containers.read(rig.firmware_file).data)
