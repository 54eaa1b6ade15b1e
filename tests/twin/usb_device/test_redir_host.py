"""The end of usbredir that has the device, packet by packet, against the other end by the protocol's description."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.twin.usb_device.ccid import Ccid
from harness.twin.usb_device.cdc_acm import CdcAcm
from harness.twin.usb_device.device import Identity, UsbDevice
from harness.twin.usb_device.hid import Hid
from harness.twin.usb_device.redir_host import RedirHost
from harness.twin.usb_device.redir_packets import LENGTH_MAX, ProtocolError
from support import usbredir as wire
from support.usbredir import Packets

DESCRIPTOR = bytes.fromhex(
    "06d0f1 0901 a101 0920 1500 26ff00 7508 9540 8102 0921 1500 26ff00 7508 9540 9102 c0"
)
ATR = bytes.fromhex("3B00")
CARD_IN, HID_IN, PORT_NOTIFY, PORT_IN = 0x81, 0x82, 0x83, 0x84
CARD_OUT, HID_OUT, PORT_OUT = 0x01, 0x02, 0x03


class Bench:
    """A device with all three functions at one end, a guest at the other."""

    def __init__(self, caps: int = wire.ALL, greet: bool = True):
        self.to_key: list[tuple[str, bytes]] = []
        self.said: list[str] = []
        self.host = RedirHost(self.said.append)
        self.guest = Packets(caps)
        self.device = self.new_device()
        if greet:
            self.host.receive(self.guest.hello())

    def new_device(self, product: int = 0x42B2) -> UsbDevice:
        functions = {"card": Ccid(ATR), "ctaphid": Hid(DESCRIPTOR), "serial": CdcAcm()}
        who = Identity(0x20A0, product, 0x0108, "Nitrokey", "Nitrokey 3")
        return UsbDevice(who, functions, lambda name, data: self.to_key.append((name, data)), lambda: 0)

    def out(self) -> list[tuple[int, int, bytes]]:
        """What the host has sent since the last call."""
        sent = bytes(self.host.output)
        self.host.output.clear()
        return self.guest.feed(sent)

    def ask(self, kind: int, body: bytes = b"", number: int = 7) -> list[tuple[int, int, bytes]]:
        self.out()
        self.host.receive(self.guest.pack(kind, number, body))
        return self.out()

    def bulk(self, address: int, length: int, data: bytes = b"") -> bytes:
        long = struct.pack("<H", length >> 16) if self.guest.both & wire.LONG_BULK else b""
        return struct.pack("<BBHI", address, 0, length & 0xFFFF, 0) + long + data


@pytest.fixture
def bench() -> Bench:
    found = Bench()
    found.out()
    found.host.plug(found.device)
    found.kinds = [kind for kind, *_ in found.out()]
    return found


def test_interfaces_and_endpoints_are_told_before_the_device_and_at_each_configuration(bench):
    assert bench.kinds == [wire.INTERFACES, wire.ENDPOINTS, wire.CONNECT]
    answers = bench.ask(wire.SET_CONFIG, b"\x01")
    assert [kind for kind, *_ in answers] == [wire.INTERFACES, wire.ENDPOINTS, wire.CONFIG]
    assert answers[-1][1:] == (7, b"\0\x01")
    assert bench.ask(wire.GET_CONFIG)[0][2] == b"\0\x01"
    assert bench.ask(wire.SET_CONFIG, b"\x02") == [(wire.CONFIG, 7, b"\x04\x01")]
    assert bench.ask(wire.SET_ALT, b"\x01\0")[-1][2] == b"\0\x01\0"
    assert bench.ask(wire.SET_ALT, b"\x01\x01")[-1][2] == b"\x02\x01\0"
    assert bench.ask(wire.GET_ALT, b"\x09") == [(wire.ALT, 7, b"\x02\x09\0")]


def test_the_first_header_is_short_and_later_ones_have_ids_of_64_bits(bench):
    number = (1 << 63) + 5
    assert bench.ask(wire.GET_CONFIG, number=number) == [(wire.CONFIG, number, b"\0\0")]


@pytest.mark.parametrize("caps", [0, wire.DEVICE_VERSION, wire.MAX_PACKET | wire.LONG_IDS, wire.LONG_BULK])
def test_a_guest_that_can_less_gets_packets_without_what_it_does_not_know(caps):
    bench = Bench(caps)
    bench.host.plug(bench.device)
    _, interfaces, endpoints, connect = bench.out()
    assert len(interfaces[2]) == 4 + 4 * 32
    assert len(endpoints[2]) == (160 if caps & wire.MAX_PACKET else 96)
    assert connect[2] == struct.pack("<BBBBHH", 1, 0xEF, 2, 1, 0x20A0, 0x42B2) + (
        b"\x08\x01" if caps & wire.DEVICE_VERSION else b""
    )
    bench.device.send("serial", b"answer")
    ((kind, number, body),) = bench.ask(wire.BULK, bench.bulk(PORT_IN, 64))
    assert (kind, number) == (wire.BULK, 7)
    assert body == bench.bulk(PORT_IN, 6, b"answer")
    assert bench.ask(wire.BULK, bench.bulk(PORT_OUT, 2, b"hi")) == [(wire.BULK, 7, bench.bulk(PORT_OUT, 2))]
    assert bench.to_key == [("serial", b"hi")]


def test_a_bulk_transfer_waits_for_the_key_and_takes_what_fits(bench):
    assert bench.ask(wire.BULK, bench.bulk(PORT_IN, 4), number=1) == []
    assert bench.ask(wire.BULK, bench.bulk(PORT_IN, 64), number=2) == []
    bench.device.send("serial", b"abcdefg")
    bench.host.flush()
    assert bench.out() == [
        (wire.BULK, 1, bench.bulk(PORT_IN, 4, b"abcd")),
        (wire.BULK, 2, bench.bulk(PORT_IN, 3, b"efg")),
    ]


def test_a_cancelled_transfer_completes_once_and_takes_no_data(bench):
    bench.ask(wire.BULK, bench.bulk(PORT_IN, 64), number=1)
    bench.ask(wire.BULK, bench.bulk(PORT_IN, 64), number=2)
    ((kind, number, body),) = bench.ask(wire.CANCEL, number=1)
    assert (kind, number, body[1]) == (wire.BULK, 1, wire.CANCELLED)
    assert bench.ask(wire.CANCEL, number=1) == []
    bench.device.send("serial", b"x")
    bench.host.flush()
    assert [number for _, number, _ in bench.out()] == [2]
    assert bench.ask(wire.CANCEL, number=2) == [], "it was completed before"


def test_an_interrupt_pipe_sends_by_itself_once_it_is_asked_to(bench):
    bench.device.send("ctaphid", b"early")
    bench.host.flush()
    assert bench.out() == []
    status, report = bench.ask(wire.START_INT, bytes((HID_IN,)))
    assert status == (wire.INT_STATUS, 7, bytes((0, HID_IN)))
    assert (report[0], report[2]) == (wire.INTERRUPT, struct.pack("<BBH", HID_IN, 0, 5) + b"early")
    assert bench.ask(wire.STOP_INT, bytes((HID_IN,))) == [(wire.INT_STATUS, 7, bytes((0, HID_IN)))]
    bench.device.send("ctaphid", b"later")
    bench.host.flush()
    assert bench.out() == []
    for wrong in (HID_OUT, CARD_IN, 0x8F):
        assert bench.ask(wire.START_INT, bytes((wrong,))) == [(wire.INT_STATUS, 7, bytes((2, wrong)))]


def test_reports_reach_the_key_by_the_pipe_and_by_set_report(bench):
    out = struct.pack("<BBH", HID_OUT, 0, 64) + b"r".ljust(64, b"\0")
    assert bench.ask(wire.INTERRUPT, out) == [(wire.INTERRUPT, 7, out[:4])]
    setup = struct.pack("<BBBBHHH", 0, 0x09, 0x21, 0, 0x0200, 1, 3)
    assert bench.ask(wire.CONTROL, setup + b"abc") == [(wire.CONTROL, 7, setup)]
    assert bench.to_key == [("ctaphid", out[4:]), ("ctaphid", b"abc")]


def test_a_removed_device_is_back_only_when_the_guest_has_seen_it_go(bench):
    bench.ask(wire.BULK, bench.bulk(PORT_IN, 64))
    bench.host.unplug()
    bench.host.plug(bench.new_device(0x42E8))
    assert bench.out() == [(wire.DISCONNECT, 0, b"")]
    # What was on its way to the device that went is not taken for the next one's.
    assert bench.ask(wire.GET_CONFIG) == []
    *_, connect = bench.ask(wire.ACK)
    assert (connect[0], connect[2][6:8]) == (wire.CONNECT, b"\xe8\x42")
    assert bench.ask(wire.ACK) == []


def test_a_guest_without_acknowledgement_gets_the_next_device_at_once():
    bench = Bench(wire.ALL & ~wire.DISCONNECT_ACK)
    bench.host.plug(bench.device)
    bench.host.unplug()
    bench.host.plug(bench.new_device())
    kinds = [kind for kind, *_ in bench.out()]
    assert kinds.count(wire.CONNECT) == 2
    assert kinds.index(wire.DISCONNECT) < len(kinds) - 1


def test_a_device_that_is_there_before_the_guest_waits_for_its_hello():
    bench = Bench(greet=False)
    bench.host.plug(bench.device)
    assert [kind for kind, *_ in bench.out()] == [wire.HELLO]
    bench.host.receive(bench.guest.hello())
    assert [kind for kind, *_ in bench.out()] == [wire.INTERFACES, wire.ENDPOINTS, wire.CONNECT]


def test_a_reset_forgets_what_waited(bench):
    bench.ask(wire.BULK, bench.bulk(PORT_IN, 64))
    bench.ask(wire.START_INT, bytes((HID_IN,)))
    bench.device.send("card", b"half an answer")
    assert bench.ask(wire.RESET) == []
    bench.device.send("serial", b"x")
    bench.device.send("ctaphid", b"y")
    bench.host.flush()
    assert bench.out() == []


def test_a_filter_that_refuses_the_device_is_said(bench):
    assert bench.ask(wire.FILTER, b"0x03,-1,-1,-1,0\0") == []
    bench.ask(wire.REJECT)
    assert any("filter" in text for text in bench.said)


def test_a_halted_key_stays_on_the_bus_and_answers_nothing(bench):
    bench.host.mute()
    assert bench.ask(wire.GET_CONFIG) == []
    bench.device.send("ctaphid", b"x")
    bench.host.flush()
    assert bench.out() == []
    bench.host.unplug()
    assert bench.out() == [(wire.DISCONNECT, 0, b"")]


@pytest.mark.parametrize("kind", [12, 13, 18, 19, 25, 26])
def test_streams_and_buffered_transfers_are_refused(bench, kind):
    ((_, number, body),) = bench.ask(kind, bytes(10))
    assert number == 7
    assert wire.INVAL in (body[0], body[-1])


@pytest.mark.parametrize("address", [0x05, 0x85, HID_OUT, PORT_NOTIFY])
def test_a_bulk_transfer_of_no_bulk_pipe_is_invalid(bench, address):
    ((_, _, body),) = bench.ask(wire.BULK, bench.bulk(address, 8))
    assert body[1] == wire.INVAL


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<III", 7, 0, 1),
        struct.pack("<III", wire.HELLO, 3, 0) + b"abc",
        struct.pack("<III", wire.HELLO, LENGTH_MAX + 1, 0),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_usbredir_is_an_error_at_once(data):
    with pytest.raises(ProtocolError):
        Bench(greet=False).host.receive(data)


@pytest.mark.parametrize(
    ("kind", "body"), [(wire.CONTROL, b"short"), (wire.SET_CONFIG, b""), (105, b""), (4, b"")]
)
def test_a_packet_that_no_guest_sends_is_an_error(bench, kind, body):
    with pytest.raises(ProtocolError):
        bench.ask(kind, body)


@given(st.data())
def test_packets_may_come_in_any_pieces(data):
    whole, pieces = Bench(), Bench()
    stream = b""
    for bench in (whole, pieces):
        bench.out()
        bench.host.plug(bench.device)
    for number in range(data.draw(st.integers(1, 8))):
        payload = data.draw(st.binary(max_size=70))
        body = whole.bulk(PORT_OUT, len(payload), payload)
        stream += whole.guest.pack(
            *data.draw(st.sampled_from([(wire.BULK, number, body), (wire.GET_CONFIG, number)]))
        )
    whole.host.receive(stream)
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        pieces.host.receive(stream[at : at + size])
        at += size
    assert pieces.to_key == whole.to_key
    assert pieces.out() == whole.out()
