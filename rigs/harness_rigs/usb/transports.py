"""The raw endpoints of a real key: opened anew for each boot, on the nodes that it has by then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model.rig import KeyGone
from harness.model.transport import BusIdentity, Transports
from harness_rigs.usb import card as usb_card
from harness_rigs.usb.card import UsbCard
from harness_rigs.usb.serial import UsbSerial

if TYPE_CHECKING:
    from harness.host.usb import UsbDevice
    from harness_rigs.usb.rig import UsbRig


class UsbTransports(Transports):
    """What the key on a port offers at this moment."""

    def __init__(self, rig: UsbRig):
        super().__init__(rig)
        self._usb = rig

    def identity(self) -> BusIdentity:
        device = self._device()
        return BusIdentity(
            f"usb:{self._usb.port}", device.vendor_id, device.product_id, device.product, device.serial
        )

    def endpoint(self, name: str) -> object:
        if name == "ctaphid":
            return self._hidraw()
        if name == "serial":
            return self._serial()
        if name == "card":
            return self._card()
        raise self.unknown(name)

    def _device(self) -> UsbDevice:
        """:raises KeyGone: it is not on the bus."""
        rig = self._usb
        rig.wait_until_up()
        if rig.device is None:
            raise KeyGone(f'rig "{rig.name}": the key is not on the bus')
        return rig.device

    def _hidraw(self) -> object:
        rig, device = self._usb, self._device()
        if device.fido is None:
            raise KeyGone(f'rig "{rig.name}": the key shows no CTAPHID interface, it is in its {rig.face}')
        return rig.opened(device.fido.node)

    def _serial(self) -> UsbSerial:
        rig, device = self._usb, self._device()
        if not device.ttys:
            raise KeyGone(f'rig "{rig.name}": the key has no serial port, it is in its {rig.face}')
        port = UsbSerial(rig, device.ttys[0], device.serial or "")
        rig.keep(port)
        return port

    def _card(self) -> UsbCard:
        rig, device = self._usb, self._device()
        if not device.has_card:
            raise KeyGone(f'rig "{rig.name}": the key shows no card reader, it is in its {rig.face}')
        card = usb_card.open_card(rig, device)
        rig.keep(card)
        return card
