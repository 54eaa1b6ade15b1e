"""Relay boards on serial ports: exact bytes, the real cutter, and what is said when one fails."""

from __future__ import annotations

import pytest

from harness.base.errors import CallerError, RigError
from harness.model.instant import CutInstant
from support.power.powertools import RIG, cut, power, says
from support.power.serialboards import DevantechBoard, KmtronicBoard, LcusBoard, NumatoBoard

PORT = "/dev/ttyUSB0"
BOARDS = {
    "lcus": (LcusBoard, {"channel": 2}, b"\xa0\x02\x01\xa3", b"\xa0\x02\x00\xa2", b"\xff", 2),
    "devantech": (DevantechBoard, {"channel": 2}, b"\x66", b"\x70", b"\x5b", 2),
    "kmtronic": (
        KmtronicBoard,
        {"channel": 2, "relays": 2},
        b"\xff\x02\x01",
        b"\xff\x02\x00",
        b"\xff\x02\x03",
        2,
    ),
    "kmtronic8": (
        KmtronicBoard,
        {"channel": 5, "relays": 8},
        b"\xff\x05\x01",
        b"\xff\x05\x00",
        b"\xff\x09\x00",
        5,
    ),
    "numato": (NumatoBoard, {"channel": 11}, b"relay on B\r", b"relay off B\r", b"relay read B\r", 12),
}


class Bench:
    """A board of one kind on a host, and the switch of its driver."""

    def __init__(self, name, host, clock):
        kind, self.settings, self.on, self.off, self.status, self.number = BOARDS[name]
        self.driver = name.rstrip("8")
        self.host, self.clock = host, clock
        self.node = host.dev / "ttyUSB0"
        self.board = kind(self.node, {"kmtronic8": 8, "numato": 16}.get(name, 2))

    def switch(self, **more):
        return power(self.driver, self.host, self.clock, **{"port": PORT, **self.settings, **more})

    @property
    def energised(self):
        return self.board.relays[self.number]


@pytest.fixture(params=BOARDS)
def bench(request, host, clock):
    made = Bench(request.param, host, clock)
    yield made
    made.board.close()


def test_exactly_these_bytes(bench):
    switch = bench.switch()
    bench.board.heard.clear()
    switch.on()
    assert bytes(bench.board.heard) == bench.status + bench.on + bench.status
    assert bench.energised
    assert switch.is_on
    bench.board.heard.clear()
    switch.off()
    assert bytes(bench.board.heard) == bench.off + bench.status
    assert not bench.energised
    assert not switch.is_on


def test_it_leaves_the_other_channels_alone(bench):
    bench.board.relays[1] = True
    switch = bench.switch()
    switch.on()
    switch.cycle()
    switch.off()
    assert [n for n, on in bench.board.relays.items() if on] == [1]


def test_it_says_how_it_was_found(bench):
    assert not bench.switch().is_on
    bench.board.relays[bench.number] = True
    assert bench.switch().is_on
    assert not bench.switch(normally="closed").is_on


def test_a_normally_closed_contact_is_energised_to_cut(bench, cutter):
    switch = bench.switch(normally="closed")
    switch.on()
    assert not bench.energised
    cut(switch, cutter)
    assert bench.board.is_hearing(bench.on)
    assert bench.energised


def test_the_cutter_cuts(bench, cutter):
    switch = bench.switch()
    for _ in range(3):
        switch.on()
        bench.board.heard.clear()
        fired = cut(switch, cutter)
        assert fired.error == 0
        assert not switch.is_on
        assert bench.board.is_hearing(bench.off)
        assert bytes(bench.board.heard) == bench.off, "asking it takes time, in which the key is watched"
        assert not bench.energised


def test_a_cut_that_was_none_is_told_before_power_is_given(bench, cutter):
    switch = bench.switch()
    switch.on()
    bench.board.stuck = True
    cut(switch, cutter)
    assert bench.board.is_hearing(bench.off)
    with pytest.raises(RigError) as caught:
        switch.on()
    says(caught.value, f'rig "{RIG}"', PORT, "was not cut, or it came back by itself")


def test_a_cut_that_is_called_off_leaves_the_power_on(bench, cutter):
    switch = bench.switch()
    switch.on()
    cutter.arm(CutInstant.planned(1 << 52), switch.cut_action())
    assert cutter.disarm() is None
    assert bench.energised
    switch.off()
    assert not bench.energised


def test_it_stays_off_for_as_long_as_the_charge_needs(bench, clock):
    switch = bench.switch(off_time_s=2.5)
    switch.on()
    began = clock.now_us
    switch.cycle()
    assert clock.now_us - began == 2_500_000
    switch.off()
    clock.wait_us(1_000_000)
    switch.on()
    assert clock.now_us - began == 5_000_000, "only the rest is waited for"


def test_a_relay_that_does_not_move_is_told(bench):
    switch = bench.switch()
    switch.on()
    bench.board.stuck = True
    with pytest.raises(RigError) as caught:
        switch.off()
    says(caught.value, f'rig "{RIG}" · power', PORT, "did not switch", "says on", "mend")
    assert switch.is_on


def test_power_that_comes_back_by_itself_is_told(bench):
    switch = bench.switch()
    switch.off()
    bench.board.relays[bench.number] = True
    with pytest.raises(RigError) as caught:
        switch.on()
    says(caught.value, f'rig "{RIG}"', PORT, "came back by itself")
    switch.on()


# To a Devantech board every byte is a state.
@pytest.mark.parametrize("bench", sorted(BOARDS.keys() - {"devantech"}), indirect=True)
def test_garbage_is_shown(bench):
    bench.board.garbage = b"\x13\x37\x42\x13\x37\x42\x13\x37\x42\x13\x37\x42"
    with pytest.raises(RigError) as caught:
        bench.switch()
    says(caught.value, f'rig "{RIG}" · power', PORT, "found", "expected", "mend")
    assert "13 37" in str(caught.value) or "\\x13" in str(caught.value)


def test_silence_is_told(bench):
    bench.board.take = lambda data: (len(data), b"") if data else None
    settings = {"status": True} if bench.driver == "lcus" else {}
    with pytest.raises(RigError) as caught:
        bench.switch(**settings)
    says(caught.value, f'rig "{RIG}" · power', PORT, "found", "expected")


def test_unplugged_in_mid_command(bench):
    switch = bench.switch()
    switch.on()
    bench.board.dies_on = bench.off
    with pytest.raises(RigError) as caught:
        switch.off()
    says(caught.value, f'rig "{RIG}" · power', PORT, "gone after", "mend")


def test_a_board_that_drops_off_after_20_switches(bench):
    switch = bench.switch()
    bench.board.drops_after = 20
    for _ in range(9):
        switch.cycle()
    switch.off()
    with pytest.raises(RigError) as caught:
        switch.on()
    says(caught.value, f'rig "{RIG}" · power', PORT, "after 20 switches", "powered hub")


def test_an_absent_node(bench):
    bench.board.unplug()
    with pytest.raises(RigError) as caught:
        bench.switch()
    says(caught.value, f'rig "{RIG}" · power', PORT, "gone", "plug the board in")


def test_a_node_that_may_not_be_opened(bench, monkeypatch):
    def refuse(node, baud, limit_s):
        raise PermissionError(13, "Permission denied", str(node))

    monkeypatch.setattr(bench.host, "open_serial", refuse)
    with pytest.raises(RigError) as caught:
        bench.switch()
    says(caught.value, f'rig "{RIG}" · power', PORT, "Permission denied", "ls -l")


def test_another_program_at_the_port(bench):
    held = bench.host.open_serial(bench.node, 9600, 0.1)
    with pytest.raises(RigError) as caught:
        bench.switch()
    held.close()
    says(caught.value, f'rig "{RIG}" · power', PORT, "another program", "fuser")


@pytest.mark.parametrize("name, channel", [("lcus", 3), ("devantech", 3), ("kmtronic", 3), ("numato", 16)])
def test_a_channel_that_the_board_has_not(name, channel, host, clock):
    bench = Bench(name, host, clock)
    bench.board.module = 10
    with pytest.raises((CallerError, RigError)) as caught:
        bench.switch(channel=channel)
    bench.board.close()
    says(caught.value, f'rig "{RIG}" · power', "channel", PORT)
    if name != "numato":
        says(caught.value, "power.channel", 3, "which has 1-2")


def test_two_rigs_on_one_channel_are_refused_whatever_the_node_is_called(bench):
    (bench.host.dev / "by-path").symlink_to("ttyUSB0")
    first = bench.switch(rig="mini-1")
    bench.switch(rig="mini-1", port="/dev/by-path")
    with pytest.raises(CallerError) as caught:
        bench.switch(port="/dev/by-path")
    says(caught.value, f'rig "{RIG}" · power', 'rig "mini-1"', "a channel of its own")
    del first
    bench.switch()


@pytest.mark.parametrize("tells", ["lines", "bytes", None])
def test_lcus_boards_tell_their_state_in_three_ways(tells, host, clock):
    board = LcusBoard(host.dev / "ttyUSB0", 4)
    board.tells = tells
    switch = power("lcus", host, clock, port=PORT, channel=3)
    assert switch.is_on == (tells is None), "a board that cannot tell is taken to be on"
    switch.on()
    assert board.is_hearing(b"\xa0\x03\x01\xa4" + (b"\xff" if tells else b""))
    assert board.relays == {1: False, 2: False, 3: True, 4: False}
    board.close()
