"""The raw endpoints of a real key: opened anew for each boot, on the nodes that it has by then."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from harness.api import BusIdentity, KeyGone, Reachable, Transports, UsbDevice
from harness_rigs.usb.card import UsbCard, open_card
from harness_rigs.usb.feature import FeatureNode, open_feature
from harness_rigs.usb.hid import CtaphidNode, MbootNode, open_reports
from harness_rigs.usb.plugged_key import PluggedKey
from harness_rigs.usb.serial import UsbSerial


class UsbRigUp(Reachable, Protocol):
    """What the transports need of the rig."""

    def wait_until_up(self) -> None: ...


class UsbTransports(Transports):
    """What the key on a port offers at this moment."""

    def __init__(self, rig: UsbRigUp, key: PluggedKey):
        super().__init__(rig)
        self._wait_until_up, self._key = rig.wait_until_up, key

    def identity(self) -> BusIdentity:
        device = self._device()
        return BusIdentity(
            f"usb:{self._key.port}", device.vendor_id, device.product_id, device.product, device.serial
        )

    def endpoint(self, name: str) -> CtaphidNode | UsbSerial | UsbCard | FeatureNode | MbootNode:
        if name == "ctaphid":
            return self._ctaphid()
        if name == "serial":
            return self._serial()
        if name == "card":
            return self._card()
        if name == "hid-feature":
            return open_feature(self._key, self._other_hid())
        if name == "mboot":
            return open_reports(self._key, self._other_hid(), MbootNode)
        raise self.unknown(name)

    def _device(self) -> UsbDevice:
        """:raises KeyGone: it is not on the bus."""
        self._wait_until_up()
        if self._key.device is None:
            raise KeyGone(f'rig "{self._key.rig}": the key is not on the bus')
        return self._key.device

    def _ctaphid(self) -> CtaphidNode:
        device = self._device()
        if device.fido is None:
            raise self._lacking("shows no CTAPHID interface")
        return open_reports(self._key, device.fido.node, CtaphidNode)

    def _serial(self) -> UsbSerial:
        device = self._device()
        if not device.ttys:
            raise self._lacking("has no serial port")
        port = UsbSerial(self._key, device.ttys[0], device.serial or "")
        self._key.keep(port)
        return port

    def _card(self) -> UsbCard:
        device = self._device()
        if not device.has_card:
            raise self._lacking("shows no card reader")
        card = open_card(self._key, device)
        self._key.keep(card)
        return card

    def _other_hid(self) -> Path:
        """The first HID interface that is not CTAPHID."""
        node = next((one.node for one in self._device().hidraw if not one.fido), None)
        if node is None:
            raise self._lacking("shows no HID interface besides CTAPHID")
        return node

    def _lacking(self, what: str) -> KeyGone:
        return KeyGone(f'rig "{self._key.rig}": the key {what}, it is in its {self._key.face}')
