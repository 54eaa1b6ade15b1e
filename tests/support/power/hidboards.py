"""HID boards, which answer byte for byte as their manufacturers' papers say."""

from __future__ import annotations

from support.power.fakehost import UsbThing, stall


class DcttechBoard(UsbThing):
    vendor_id, product_id = 0x16C0, 0x05DF
    endpoints = (0x81,)

    def __init__(self, letters: str = "BITFT", relays: int = 2):
        super().__init__()
        self.product = f"USBRelay{relays}"
        self.letters, self.mask, self.relays, self.stuck = letters, 0, relays, False
        self.zero = 0

    def set_feature(self, data):
        assert len(data) == 8
        assert data[0] in (0xFF, 0xFD), "a command for all relays"
        assert 1 <= data[1] <= self.relays
        bit = 1 << (data[1] - 1)
        if not self.stuck:
            self.mask = self.mask | bit if data[0] == 0xFF else self.mask & ~bit

    def get_feature(self):
        return self.letters.encode("latin-1") + bytes([self.zero, 0, self.mask])


class LcusHidBoard(UsbThing):
    vendor_id, product_id = 0x5131, 0x2007
    product = "HID Relay"
    endpoints = (0x02, 0x82)

    def __init__(self):
        super().__init__()
        self.mask = 0

    def report(self, data):
        start, number, what, total = data[:4]
        assert start == 0xA0
        assert total == (start + number + what) & 0xFF
        bit = 1 << (number - 1)
        self.mask = self.mask | bit if what else self.mask & ~bit
        return data[:4]


class YkushBoard(UsbThing):
    vendor_id, product_id = 0x04D8, 0xF2F7
    product = "YKUSH"
    ports = 3

    def __init__(self):
        super().__init__()
        self.mask = 0b111
        self.data = True
        self.garbage = b""

    def report(self, data):
        assert len(data) == 64
        command, port = data[0], data[0] & 0x0F
        assert port <= self.ports or command in (0x40, 0x41), "a command for all ports"
        if self.garbage:
            return self.garbage
        if command in (0x40, 0x41):
            self.data = command == 0x41
        elif command & 0x20:
            return bytes([1, port | 0x10 * (self.mask >> (port - 1) & 1)]).ljust(64, b"\0")
        elif command & 0x10:
            self.mask |= 1 << (port - 1)
        else:
            self.mask &= ~(1 << (port - 1))
        return bytes([1, command]).ljust(64, b"\0")


class Ykush3Board(YkushBoard):
    product_id, product = 0xF11B, "YKUSH3"


class YkushXsBoard(YkushBoard):
    product_id, product, ports = 0xF0CD, "YKUSH XS", 1


class Ft245rBoard(UsbThing):
    """Eight lines that float until bit-bang mode makes them outputs."""

    vendor_id, product_id = 0x0403, 0x6001
    product = "FT245R USB FIFO"
    endpoints = (0x81, 0x02)
    interface_class = 0xFF

    def __init__(self):
        super().__init__()
        self.lines, self.bit_bang = 0, False

    def control(self, kind, request, value, index, data):
        self.take("control", bytes([kind, request]) + value.to_bytes(2, "big"))
        if (kind, request, value) == (0x40, 0x0B, 0x01FF):
            self.bit_bang = True
            return b""
        if (kind, request) == (0xC0, 0x0C):
            return bytes([self.lines])
        raise stall()

    def bulk(self, data):
        self.take("bulk", data)
        assert self.bit_bang, "the lines are inputs"
        self.lines = data[-1]
