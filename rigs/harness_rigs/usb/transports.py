"""The ways to talk to a real key: opened anew for each boot, on whatever nodes it has by then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor

from harness.model.rig import KeyGone, Transports
from harness.model.tap import TappedHid
from harness.serialtap import TappedSerial
from harness_rigs.usb import card as usb_card
from harness_rigs.usb.serial import UsbSerial

if TYPE_CHECKING:
    from harness_rigs.usb.rig import UsbRig


class UsbTransports(Transports):
    """What the key on a port offers at this moment."""

    def __init__(self, rig: UsbRig):
        self._rig = rig

    def ctaphid(self) -> CtapHidDevice:
        rig = self._rig
        connection = self.ctaphid_packets()
        device = rig.device
        assert device is not None
        descriptor = HidDescriptor(
            f"usb:{rig.port}", device.vendor_id, device.product_id, 64, 64, device.product, device.serial
        )
        try:
            return CtapHidDevice(descriptor, connection)
        except OSError as error:
            raise KeyGone(f'rig "{rig.name}": {error.strerror}') from error

    def ctaphid_packets(self) -> CtapHidConnection:
        rig = self._rig
        rig.wait_until_up()
        device = rig.device
        if device is None or device.fido is None:
            raise KeyGone(f'rig "{rig.name}": the key shows no CTAPHID interface, it is in its {rig.face}')
        return TappedHid(rig.opened(device.fido.node), rig.tap)

    def serial(self) -> TappedSerial:
        rig = self._rig
        rig.wait_until_up()
        device = rig.device
        if device is None or not device.ttys:
            raise KeyGone(f'rig "{rig.name}": the key has no serial port, it is in its {rig.face}')
        port = UsbSerial(rig, device.ttys[0], device.serial or "")
        rig.keep(port)
        return TappedSerial(port, rig.tap)

    def card(self) -> Any:
        rig = self._rig
        rig.wait_until_up()
        if rig.device is None or not rig.device.has_card:
            raise KeyGone(f'rig "{rig.name}": the key shows no card reader, it is in its {rig.face}')
        card = usb_card.open_card(rig, rig.device)
        rig.keep(card)
        return card
