"""What holds for every board, whatever is switched in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.base.clock import VirtualClock
from harness_rigs.power.hubrequests import USBDEVFS_CONTROL, descriptor
from harness_rigs.power.lcus import frame
from support.power.fakehost import FakeHost
from support.power.hidboards import DcttechBoard, Ft245rBoard, YkushBoard
from support.power.powertools import power

MOVES = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["on", "off", "cycle"])), max_size=12)
OFF_TIMES = st.integers(0, 3)


@pytest.mark.parametrize(
    "driver, kind, hidraw",
    [
        ("dcttech", lambda: DcttechBoard(relays=8), True),
        ("dcttech", lambda: DcttechBoard(relays=8), False),
        ("ft245r", Ft245rBoard, False),
        ("ykush", YkushBoard, False),
    ],
    ids=["dcttech by hidraw", "dcttech by pyusb", "ft245r", "ykush"],
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES, normally=st.sampled_from(["open", "closed"]), off_time_s=OFF_TIMES)
def test_a_rig_s_channel_does_what_it_is_told_and_no_other_moves(
    tmp_path_factory, monkeypatch, driver, kind, hidraw, moves, normally, off_time_s
):
    """Three rigs on one board: each key has power as its own rig says, rests long enough, and others never move."""
    host, clock = FakeHost(tmp_path_factory.mktemp("host") / "root", monkeypatch), VirtualClock()
    board = host.plug("1-1.3", kind(), hidraw=hidraw)
    more = {"normally": normally} if driver != "ykush" else {}
    switches = {
        number: power(
            driver,
            host,
            clock,
            rig=f"rig-{number}",
            path="1-1.3",
            channel=number,
            off_time_s=off_time_s,
            **more,
        )
        for number in (1, 2, 3)
    }

    def energised(number: int) -> bool:
        mask = board.lines if driver == "ft245r" else board.mask
        return bool(mask >> (number - 1) & 1)

    inverted = more.get("normally") == "closed"
    has_power = {number: energised(number) != inverted for number in switches}
    went_us: dict[int, int] = {}
    for number, move in moves:
        switch = switches[number]
        getattr(switch, move)()
        if move == "off" or move == "cycle":
            went_us[number] = clock.now_us - (off_time_s * 1_000_000 if move == "cycle" else 0)
        elif not has_power[number] and number in went_us:
            assert clock.now_us - went_us[number] >= off_time_s * 1_000_000
        has_power[number] = move != "off"
        assert {one: energised(one) != inverted for one in switches} == has_power
        assert {one: switches[one].is_on for one in switches} == has_power
    highest = board.lines if driver == "ft245r" else board.mask
    assert highest >> 3 == 0, "channels of nobody's"


@given(st.integers(1, 254), st.booleans())
def test_an_lcus_frame_adds_up(channel, active):
    data = frame(channel, active)
    assert data[:3] == bytes([0xA0, channel, active])
    assert sum(data[:3]) % 256 == data[3]


@given(st.integers(1, 15), st.booleans(), st.data())
def test_a_hub_s_descriptor_is_read_as_it_is_written(ports, superspeed, data):
    from support.power.fakehubs import HubThing

    hub = HubThing(ports, superspeed)
    hub.switching = data.draw(st.integers(0, 3))
    hub.fixed = tuple(data.draw(st.sets(st.integers(1, ports))))

    class Usb:
        @staticmethod
        def ctrl_transfer(kind, request, value, index, size, limit_ms):
            return hub.control(kind, request, value, index, size)

    read = descriptor(Usb, superspeed)
    assert (read.ports, read.fixed) == (ports, frozenset(hub.fixed))
    assert read.switching == (1 if ports == 1 and hub.switching == 0 else hub.switching)


def test_the_ioctl_s_number_is_the_kernel_s():
    """linux/usbdevice_fs.h: _IOWR('U', 0, struct usbdevfs_ctrltransfer), 24 bytes on 64 bits and 16 on 32."""
    assert USBDEVFS_CONTROL in (0xC0185500, 0xC0105500)
