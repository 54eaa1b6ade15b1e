"""Hubs, which answer requests as USB 2.0 chapter 11 and USB 3.2 chapter 10 say."""

from __future__ import annotations

import struct

from support.power.fakehost import FakeHost, UsbThing, stall


class HubThing(UsbThing):
    """A hub, or one half of one.

    :ivar switching: the two bits of wHubCharacteristics: 0 ganged, 1 each port, 2 none.
    :ivar power: by port, for hubs that are spoken to by requests.
    """

    vendor_id, product_id = 0x0BDA, 0x5411
    interface_class = 9
    endpoints = (0x81,)

    def __init__(self, ports: int, superspeed: bool = False):
        super().__init__()
        self.ports, self.superspeed = ports, superspeed
        self.switching, self.fixed, self.container = 1, (), None
        self.power = dict.fromkeys(range(1, ports + 1), True)
        self.garbage = False

    def control(self, kind, request, value, index, data):
        self.take("control", struct.pack("<BBHH", kind, request, value, index))
        if self.garbage:
            return b"\x13\x37"
        if (kind, request) == (0xA0, 6):
            assert value == (0x2A00 if self.superspeed else 0x2900)
            return self._descriptor()[:data]
        if (kind, request, value) == (0x80, 6, 0x0F00):
            if self.container is None:
                raise stall()
            extension = b"\x07\x10\x02\x06\x00\x00\x00"
            container = b"\x14\x10\x04\x00" + self.container
            return (struct.pack("<BBHB", 5, 15, 5 + 7 + 20, 2) + extension + container)[:data]
        if (kind, request) == (0xA3, 0):
            return struct.pack("<HH", self.power[index] * (0x0200 if self.superspeed else 0x0100), 0)
        if (kind, value) == (0x23, 8):
            assert request in (1, 3)
            self.power[index] = request == 3
            return b""
        raise stall()

    def _descriptor(self):
        bits = sum(1 << port for port in self.fixed).to_bytes(self.ports // 8 + 1, "little")
        head = bytes([0, 0x2A if self.superspeed else 0x29, self.ports, self.switching, 0, 50, 100])
        body = head + (b"\0\0\0" if self.superspeed else b"") + bits
        return bytes([len(body)]) + body[1:]


def off(port: int) -> tuple[str, bytes]:
    """CLEAR_FEATURE(PORT_POWER), as a hub hears it."""
    return "control", struct.pack("<BBHH", 0x23, 1, 8, port)


def on(port: int) -> tuple[str, bytes]:
    return "control", struct.pack("<BBHH", 0x23, 3, 8, port)


def status(port: int) -> tuple[str, bytes]:
    return "control", struct.pack("<BBHH", 0xA3, 0, 0, port)


def plug_hub(
    host: FakeHost, name: str, ports: int, *, sysfs: bool = True, superspeed: bool = False
) -> HubThing:
    """A hub on a machine; `sysfs`: whether the kernel has `disable`, which it has since 6.0."""
    host.tree.hub(name, ports, switchable=sysfs)
    folder = host.tree.folder(name)
    (folder / "version").write_text(" 3.20\n" if superspeed else " 2.10\n")
    (folder / "speed").write_text("5000\n" if superspeed else "480\n")
    host.things[name] = thing = HubThing(ports, superspeed)
    return thing


def link_halves(host: FakeHost, one: str, other: str) -> None:
    """What the kernel shows for ports of one socket."""
    for mine, theirs in ((one, other), (other, one)):
        (host.tree.port(mine) / "peer").symlink_to(host.tree.port(theirs))
