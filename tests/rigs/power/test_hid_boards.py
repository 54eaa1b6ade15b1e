"""Boards that are HID or FTDI devices: exact reports by hidraw and by pyusb, and what is said when one fails."""

from __future__ import annotations

import subprocess

import pytest

from harness.base.errors import CallerError, RigError
from harness.host.cutter import Cutter
from support.power.fakehost import FakeHost, build_shim
from support.power.hidboards import (
    DcttechBoard,
    Ft245rBoard,
    LcusHidBoard,
    Ykush3Board,
    YkushBoard,
    YkushXsBoard,
)
from support.power.powertools import RIG, cut, power, says

AT = "1-1.3"


@pytest.fixture
def host(tmp_path, monkeypatch):
    return FakeHost(tmp_path / "root", monkeypatch)


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    try:
        return build_shim(tmp_path_factory.mktemp("shim"))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(
            f"ioctls of another process are seen through a library, which needs a C compiler: {error}"
        )


@pytest.fixture
def seen_cutter(shim, monkeypatch):
    """A cutter whose ioctls reach the boards."""
    with monkeypatch.context() as patched:
        patched.setenv("LD_PRELOAD", str(shim))
        made = Cutter()
    yield made
    made.close()


def report(first: int, *rest: int, size: int) -> bytes:
    return bytes([first, *rest]).ljust(size, b"\0")


ON, OFF = report(0xFF, 2, size=8), report(0xFD, 2, size=8)


@pytest.mark.parametrize("hidraw", [True, False], ids=["hidraw", "pyusb"])
class TestDcttech:
    @pytest.fixture
    def board(self, host, hidraw):
        return host.plug(AT, DcttechBoard(), hidraw=hidraw)

    def test_exactly_these_reports(self, host, clock, board):
        switch = power("dcttech", host, clock, channel=2)
        board.heard.clear()
        switch.on()
        assert board.heard == [("get", b""), ("set", ON), ("get", b"")]
        assert board.mask == 0b10
        board.heard.clear()
        switch.off()
        assert board.heard == [("set", OFF), ("get", b"")]
        assert board.mask == 0

    def test_its_neighbour_stays(self, host, clock, board):
        board.mask = 0b01
        switch = power("dcttech", host, clock, channel=2)
        switch.on()
        switch.cycle()
        assert board.mask == 0b11

    def test_a_board_that_is_stuck_is_told(self, host, clock, board):
        switch = power("dcttech", host, clock, channel=2)
        board.stuck = True
        with pytest.raises(RigError) as caught:
            switch.on()
        says(
            caught.value,
            f'rig "{RIG}" · power',
            "dcttech channel 2 at path 1-1.3 (USBRelay2)",
            "did not switch",
        )

    def test_garbage(self, host, clock, board):
        board.zero = 7
        with pytest.raises(RigError) as caught:
            power("dcttech", host, clock, channel=2)
        says(caught.value, f'rig "{RIG}" · power', AT, "07 00", "an id of five bytes", "mend")

    def test_an_id_that_is_no_letters(self, host, clock, board, hidraw):
        other = host.plug("1-1.4", DcttechBoard("\xff\xfe\x00\x20\x41"), hidraw=hidraw)
        power("dcttech", host, clock, channel=2, serial="ff fe 00 20 41").on()
        assert (other.mask, board.mask) == (0b10, 0)

    def test_unplugged_in_mid_command(self, host, clock, board):
        switch = power("dcttech", host, clock, channel=2)
        board.dies_on = ON
        with pytest.raises(RigError) as caught:
            switch.on()
        says(caught.value, f'rig "{RIG}" · power', "is gone after 1 switches", "mend")

    def test_gone_after_20_switches(self, host, clock, board):
        switch = power("dcttech", host, clock, channel=2)
        for _ in range(10):
            switch.cycle()
        host.unplug(AT)
        with pytest.raises(RigError) as caught:
            switch.off()
        says(caught.value, f'rig "{RIG}" · power', "after 2", "switches", AT, "powered hub")

    def test_it_is_found_again_under_another_number(self, host, clock, board, hidraw):
        switch = power("dcttech", host, clock, channel=2)
        host.unplug(AT)
        again = host.plug(AT, DcttechBoard(), hidraw=hidraw)
        switch.on()
        assert again.mask == 0b10

    def test_permission(self, host, clock, board):
        board.denied = True
        with pytest.raises(RigError) as caught:
            power("dcttech", host, clock, channel=2)
        says(caught.value, f'rig "{RIG}" · power', "Permission denied", "udev rule")

    def test_a_relay_that_it_has_not(self, host, clock, board):
        with pytest.raises(CallerError) as caught:
            power("dcttech", host, clock, channel=3)
        says(caught.value, f'rig "{RIG}" · power.channel', 3, "USBRelay2", "1-2")

    def test_boards_are_told_apart_by_the_letters_in_their_report(self, host, clock, board, hidraw):
        other = host.plug("1-1.4", DcttechBoard("QQQQQ"), hidraw=hidraw)
        power("dcttech", host, clock, channel=2, serial="QQQQQ").on()
        power("dcttech", host, clock, channel=1, path=AT).on()
        assert (other.mask, board.mask) == (0b10, 0b01)
        with pytest.raises(RigError) as caught:
            power("dcttech", host, clock)
        says(caught.value, AT, "1-1.4", "one dcttech relay board", "`path`")
        with pytest.raises(RigError) as caught:
            power("dcttech", host, clock, serial="ABCDE")
        says(caught.value, "none of these", AT, "serial ABCDE")

    def test_one_channel_by_two_names_is_refused(self, host, clock, board):
        first = power("dcttech", host, clock, channel=2, path=AT, rig="mini-1")
        with pytest.raises(CallerError) as caught:
            power("dcttech", host, clock, channel=2, serial="BITFT")
        says(caught.value, f'rig "{RIG}" · power', 'rig "mini-1"', "a channel of its own")
        assert not first.is_on

    def test_the_cutter_cuts_by_one_ioctl(self, host, clock, board, hidraw, seen_cutter):
        switch = power("dcttech", host, clock, channel=2)
        switch.on()
        if not hidraw:
            assert switch.cut_action() is None, (
                "a transfer with data needs a pointer of the process that makes it"
            )
            return
        board.heard.clear()
        assert cut(switch, seen_cutter).error == 0
        assert board.is_hearing("set", OFF)
        assert board.heard == [("set", OFF)]
        assert not switch.is_on
        assert board.mask == 0


def test_there_is_none(host, clock):
    with pytest.raises(RigError) as caught:
        power("dcttech", host, clock)
    says(caught.value, f'rig "{RIG}" · power', "no dcttech relay board", "plug it in")


def test_something_else_with_these_numbers(host, clock):
    board = DcttechBoard()
    board.product = "Joystick"
    host.plug(AT, board)
    with pytest.raises(RigError) as caught:
        power("dcttech", host, clock)
    says(caught.value, '"Joystick"', AT, "USBRelay")


@pytest.mark.parametrize("hidraw", [True, False], ids=["hidraw", "pyusb"])
@pytest.mark.parametrize("kind", [YkushBoard, Ykush3Board, YkushXsBoard])
class TestYkush:
    def test_exactly_these_reports(self, host, clock, kind, hidraw):
        board = host.plug(AT, kind(), "YK21234", hidraw=hidraw)
        port = board.ports
        switch = power("ykush", host, clock, serial="YK21234", channel=port)
        assert switch.is_on
        board.heard.clear()
        switch.off()
        status = ("out", report(0x20 | port, size=64))
        assert board.heard == [("out", report(port, size=64)), status]
        assert board.mask == 0b111 & ~(1 << (port - 1)), "the others stay on"
        board.heard.clear()
        switch.on()
        assert board.heard == [status, ("out", report(0x10 | port, size=64)), status]

    def test_the_cutter_cuts(self, host, clock, kind, hidraw, cutter):
        board = host.plug(AT, kind(), hidraw=hidraw)
        switch = power("ykush", host, clock)
        if not hidraw:
            assert switch.cut_action() is None
            return
        board.heard.clear()
        assert cut(switch, cutter).error == 0
        assert board.is_hearing("out", report(1, size=64))
        assert not board.mask & 1

    def test_silence_and_garbage(self, host, clock, kind, hidraw):
        board = host.plug(AT, kind(), hidraw=hidraw)
        board.mute = True
        with pytest.raises(RigError) as caught:
            power("ykush", host, clock)
        says(caught.value, f'rig "{RIG}" · power', board.product, AT, "no answer")
        board.mute, board.garbage = False, b"\xde\xad\xbe\xef"
        with pytest.raises(RigError) as caught:
            power("ykush", host, clock)
        says(caught.value, f'rig "{RIG}" · power', board.product, "de ad be ef", "01 for off")


def test_the_data_lines_of_a_ykush_xs(host, clock, cutter):
    board = host.plug(AT, YkushXsBoard())
    switch = power("ykush", host, clock, lines="data")
    switch.off()
    assert (board.data, board.mask) == (False, 0b111)
    switch.on()
    assert board.data
    cut(switch, cutter)
    assert board.is_hearing("out", report(0x40, size=64))
    assert not board.data


@pytest.mark.parametrize(
    "kind, settings, words",
    [
        (YkushXsBoard, {"channel": 2}, ["power.channel", "which has one"]),
        (YkushBoard, {"lines": "data"}, ["power.lines", "YKUSH XS"]),
    ],
)
def test_what_a_ykush_has_not(host, clock, kind, settings, words):
    host.plug(AT, kind())
    with pytest.raises(CallerError) as caught:
        power("ykush", host, clock, **settings)
    says(caught.value, f'rig "{RIG}"', *words)


@pytest.mark.parametrize("hidraw", [True, False], ids=["hidraw", "pyusb"])
def test_lcus_on_hid(host, clock, hidraw, cutter):
    board = host.plug(AT, LcusHidBoard(), hidraw=hidraw)
    board.mask = 0b0001
    switch = power("lcus-hid", host, clock, channel=3)
    assert switch.is_on, "a board that cannot tell is taken to be on"
    switch.on()
    switch.off()
    on, off = b"\xa0\x03\x01\xa4", b"\xa0\x03\x00\xa3"
    assert board.heard == [("out", on), ("out", off)]
    switch.on()
    assert board.mask == 0b0101
    if hidraw:
        assert cut(switch, cutter).error == 0
        assert board.is_hearing("out", off)
    board.mute = True
    with pytest.raises(RigError) as caught:
        switch.on()
    says(caught.value, f'rig "{RIG}" · power', "HID Relay", AT, "no answer")


def test_a_board_that_cannot_tell_is_believed_by_the_key_on_the_port(host, clock):
    host.plug(AT, LcusHidBoard())
    assert not power("lcus-hid", host, clock, on_port="1-1.1").is_on
    host.plug("1-1.1", DcttechBoard())
    assert power("lcus-hid", host, clock, on_port="1-1.1").is_on


class TestFt245r:
    @pytest.fixture
    def board(self, host):
        return host.plug(AT, Ft245rBoard(), "A600ABCD", hidraw=False)

    def test_one_bit_is_changed_and_the_others_are_read_first(self, host, clock, board):
        board.lines = 0b10100000
        switch = power("ft245r", host, clock, path=AT, channel=3)
        board.heard.clear()
        switch.on()
        pins, bit_bang = ("control", b"\xc0\x0c\x00\x00"), ("control", b"\x40\x0b\x01\xff")
        assert board.heard == [pins, pins, bit_bang, ("bulk", b"\xa4"), pins]
        switch.off()
        assert board.lines == 0b10100000

    def test_two_rigs_share_it(self, host, clock, board):
        first = power("ft245r", host, clock, path=AT, channel=1, rig="mini-1")
        second = power("ft245r", host, clock, serial="A600ABCD", channel=2)
        first.on()
        second.on()
        first.off()
        assert board.lines == 0b10

    def test_there_is_no_cut_action_because_a_mask_would_put_others_back(self, host, clock, board):
        assert power("ft245r", host, clock, path=AT).cut_action() is None

    def test_it_is_not_guessed(self, host, clock, board):
        with pytest.raises(CallerError) as caught:
            power("ft245r", host, clock)
        says(caught.value, f'rig "{RIG}" · power', "neither `path` nor `serial`")

    def test_without_libusb(self, host, clock, board):
        host.libusb = False
        with pytest.raises(RigError) as caught:
            power("ft245r", host, clock, path=AT)
        says(caught.value, f'rig "{RIG}" · power', "no libusb", "libusb-1.0-0")

    def test_it_goes(self, host, clock, board):
        switch = power("ft245r", host, clock, path=AT)
        board.dies_on = b"\x40\x0b"
        with pytest.raises(RigError) as caught:
            switch.on()
        says(caught.value, f'rig "{RIG}" · power', "ft245r channel 1 at path", AT, "gone after 1 switches")
