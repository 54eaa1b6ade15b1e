"""The raw endpoint that an emulator is reached by."""

from __future__ import annotations

from typing import Protocol

from harness.api import BusIdentity, Face, Reachable, Transports
from harness_rigs.emulator.card import VpcdCard
from harness_rigs.emulator.emulated_key import EmulatedKey
from harness_rigs.emulator.hid import EmulatorHid
from harness_rigs.emulator.pcsc import PcscLink
from harness_rigs.emulator.pcsc_card import PcscCard
from harness_rigs.emulator.reports import EmulatorFeature, EmulatorReports

CTAPHID_TRANSPORTS, CARD_TRANSPORTS = ("ctaphid-udp", "ctaphid-tcp"), ("vpcd", "pcsc")
OFFERED = {
    "ctaphid": CTAPHID_TRANSPORTS,
    "card": CARD_TRANSPORTS,
    "hid-feature": ("feature-tcp",),
    "mboot": ("mboot-tcp",),
}
"""Values of a bench's `transport` by the endpoint that they offer."""


class EmulatorRigUp(Reachable, Protocol):
    """What the transports need of the rig."""

    def wait_until_up(self) -> None: ...


class EmulatorTransports(Transports):
    """The one endpoint of the emulator, while it is up.

    :param face: the key's face, for what a client is told of the device.
    """

    def __init__(self, rig: EmulatorRigUp, key: EmulatedKey, face: Face):
        super().__init__(rig)
        self._wait_until_up, self._key, self._face = rig.wait_until_up, key, face

    def identity(self) -> BusIdentity:
        face = self._face
        return BusIdentity(f"emulator:{self._key.rig}", face.vendor_id, face.product_id, face.product)

    def endpoint(self, name: str) -> EmulatorHid | VpcdCard | PcscCard | EmulatorFeature | EmulatorReports:
        key = self._key
        if key.options.transport not in OFFERED.get(name, ()):
            raise self.unknown(name)
        self._wait_until_up()
        if name == "ctaphid":
            return EmulatorHid(key)
        if name == "hid-feature":
            return EmulatorFeature(key)
        if name == "mboot":
            return EmulatorReports(key)
        link = key.link(key.boots)
        if isinstance(link, PcscLink):
            return PcscCard(key, key.connector.reader, link)
        return VpcdCard(key)
