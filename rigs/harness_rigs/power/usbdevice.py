"""Open a USB device through pyusb: hubs, FTDI chips, and HID boards without hidraw."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.api import Host, RigError, UsbDevice

TRANSFER_MS = 1000


def usb_node(device: UsbDevice) -> str:
    """Its node in /dev/bus/usb, which carries its permissions."""
    return f"/dev/bus/usb/{device.bus:03}/{device.number:03}"


@contextmanager
def opened(host: Host, device: UsbDevice, what: str, *, claim: bool = False) -> Iterator[Any]:
    """A pyusb device, open while entered.

    :param what: what needs it, for messages.
    :param claim: take interface 0 away from the kernel's driver first.
    :raises RigError: there is no libusb.
    :raises OSError: it is gone, or may not be opened.
    """
    import usb.core
    import usb.util

    def is_it(one: Any) -> bool:
        return (one.bus, one.address) == (device.bus, device.number)

    try:
        found = usb.core.find(backend=host.usb_backend(), custom_match=is_it)
    except usb.core.NoBackendError:
        raise RigError(
            what,
            found="no libusb on this machine",
            expected="libusb 1.0, through which USB devices are spoken to",
            mend="install it (Debian: libusb-1.0-0)",
        ) from None
    if found is None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    try:
        if claim:
            if found.is_kernel_driver_active(0):
                found.detach_kernel_driver(0)
            usb.util.claim_interface(found, 0)
        yield found
    except usb.core.USBError as error:
        # pyusb leaves errno out if libusb's code has no equivalent.
        raise OSError(error.errno or errno.EIO, error.strerror or str(error)) from None
    finally:
        usb.util.dispose_resources(found)
