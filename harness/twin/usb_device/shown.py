"""Which USB device a key is in one of its faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from harness.model.key import Face
from harness.twin.board import Firmware
from harness.twin.card_firmware import ResetByReader
from harness.twin.endpoints import OffersReports
from harness.twin.model import Offered
from harness.twin.usb_device.ccid import Ccid
from harness.twin.usb_device.cdc_acm import CdcAcm
from harness.twin.usb_device.device import Identity, UsbDevice
from harness.twin.usb_device.function import UsbFunction


@runtime_checkable
class TellsRelease(Protocol):
    """Firmware that has a release number of its own in its device descriptor.

    :ivar release: bcdDevice, e.g. 0x0108.
    """

    release: int


@dataclass(frozen=True)
class UsbFaces:
    """A key's faces as USB devices.

    :ivar offered: the twin's endpoints, in the order in which their interfaces are numbered.
    """

    faces: Sequence[Face]
    offered: Mapping[str, Offered]

    def functions(self, face: str) -> dict[str, UsbFunction]:
        """Endpoint -> how it shows in that face; endpoints that do not show are left out."""
        shown = {name: one for name, one in self.offered.items() if face in one.faces}
        found = {name: function_of(one) for name, one in shown.items()}
        return {name: function for name, function in found.items() if function is not None}

    def device(
        self, firmware: Firmware, to_key: Callable[[str, bytes], None], clock: Callable[[], int]
    ) -> UsbDevice | None:
        """The device that this firmware shows; None if nothing of it is on USB. The rest is as for `UsbDevice`."""
        face = next((one for one in self.faces if one.name == firmware.face), None)
        functions = self.functions(firmware.face)
        if face is None or not functions:
            return None
        who = Identity(
            face.vendor_id,
            face.product_id,
            firmware.release if isinstance(firmware, TellsRelease) else 0x0100,
            face.manufacturer,
            face.product,
            firmware.serial_number or "",
        )

        def report(endpoint: str) -> bytes | None:
            return firmware.report(endpoint, clock()) if isinstance(firmware, OffersReports) else None

        def reset_card(endpoint: str) -> bool:
            return isinstance(firmware, ResetByReader) and firmware.card_was_reset()

        return UsbDevice(who, functions, to_key, clock, report, reset_card)


def function_of(offered: Offered) -> UsbFunction | None:
    """How an endpoint shows on USB; None: it does not."""
    if offered.usb is not None:
        return offered.usb
    if offered.shape == "apdus":
        return Ccid(offered.atr)
    return CdcAcm() if offered.shape == "bytes" else None
