"""Install an image on a Nitrokey Pro: into the bootloader by the firmware password, then DFU, then the key is back."""

from __future__ import annotations

from collections.abc import Callable

from harness.api import KeyFault, Rig
from harness_nitrokey_pro.client import NitrokeyPro
from harness_transports.dfu import DfuHandle, Shown, State, Status, dfu

APPLICATION, BOOTLOADER = "application", "bootloader"
TRANSFER = 1024
WAIT_US = 10_000
LIMIT_US = 30_000_000
"""For one block, and for the key to change its face."""


def enter_bootloader(rig: Rig, password: bytes) -> None:
    """Bring the key to its bootloader, unless it shows it.

    :raises Refused: it is not the firmware password. :raises KeyFault: the key does not go there.
    """
    rig.wait_until_up()
    if rig.face == BOOTLOADER:
        return
    NitrokeyPro(rig).start_bootloader(password)
    _until(rig, lambda: rig.face == BOOTLOADER, "the key does not show its bootloader")


def install(rig: Rig, image: bytes) -> None:
    """Write an image; the key shows its bootloader, and its application afterwards, which is asked for its status.

    :raises KeyFault: it refuses a block, or the whole, or does not come back.
    """
    handle = dfu(rig)
    make_idle(handle)
    for block, at in enumerate(range(0, len(image), TRANSFER)):
        download(rig, handle, block, image[at : at + TRANSFER])
    handle.download(-(-len(image) // TRANSFER), b"")
    _wait(rig, handle, State.MANIFEST)
    _until(rig, lambda: rig.face == APPLICATION, "the key stays in its bootloader after an update")
    NitrokeyPro(rig).status()


def update(rig: Rig, password: bytes, image: bytes) -> None:
    """Install an image on a key in either face. Errors as the two above."""
    enter_bootloader(rig, password)
    install(rig, image)


def make_idle(handle: DfuHandle) -> None:
    """End what another program has begun."""
    shown = handle.status()
    if shown.state == State.ERROR:
        handle.clear()
    elif shown.state != State.IDLE:
        handle.abort()


def download(rig: Rig, handle: DfuHandle, block: int, data: bytes) -> None:
    """Send a block and wait until it is written. :raises KeyFault: the key refuses it."""
    handle.download(block, data)
    _wait(rig, handle, State.DOWNLOAD_IDLE)


def _wait(rig: Rig, handle: DfuHandle, wanted: State) -> Shown:
    until_us = rig.clock.now_us + LIMIT_US
    while True:
        shown = handle.status()
        if shown.status != Status.OK or shown.state == State.ERROR:
            raise KeyFault(
                "the bootloader refuses the image",
                found=f"status {shown.status}, state {shown.state}",
                expected=f"state {int(wanted)} ({wanted.name.lower().replace('_', ' ')})",
            )
        if shown.state == wanted:
            return shown
        if rig.clock.now_us >= until_us:
            raise KeyFault(
                "the bootloader stays busy",
                found=f"state {shown.state} after {LIMIT_US / 1e6:.0f} s",
                expected=f"state {int(wanted)}",
            )
        rig.clock.wait_us(max(shown.poll_us, WAIT_US))


def _until(rig: Rig, is_so: Callable[[], bool], otherwise: str) -> None:
    until_us = rig.clock.now_us + LIMIT_US
    while not is_so():
        if rig.clock.now_us >= until_us:
            raise KeyFault(otherwise, found=f"the {rig.face} after {LIMIT_US / 1e6:.0f} s")
        rig.clock.wait_us(WAIT_US)
    rig.wait_until_up()
