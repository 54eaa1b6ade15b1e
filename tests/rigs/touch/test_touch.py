"""Fingers: pressed while they are held, never left pressed, and what is said when one fails."""

from __future__ import annotations

import os
import threading
import tty

import pytest
from pydantic import ValidationError

from harness.base.errors import CallerError, RigError
from harness.model.rig_parts import PowerSwitch
from harness_rigs.touch.finger import SwitchTouch
from harness_rigs.usb.touch import ActuatorTouch
from support.power.picorig import PicoRig
from support.power.powertools import RIG, power, request, says, touch
from support.power.serialboards import LcusBoard

PRESSED, RELEASED = b"\xa0\x02\x01\xa3", b"\xa0\x02\x00\xa2"
SWITCH = {"driver": "lcus", "port": "/dev/ttyUSB0", "channel": 2}


@pytest.fixture
def board(host):
    made = LcusBoard(host.dev / "ttyUSB0", 4)
    yield made
    made.close()


@pytest.fixture
def pico():
    made = PicoRig()
    yield made
    made.close()


class TestRelay:
    def test_it_is_pressed_while_it_is_held(self, host, clock, board):
        finger = touch("relay", host, clock, switch=SWITCH)
        for _ in range(2):
            with finger.holding():
                assert board.is_hearing(PRESSED)
                assert board.relays[2]
            assert not board.relays[2]

    def test_it_is_not_moved_before_it_is_asked_for(self, host, clock, board):
        board.relays[2] = True
        touch("relay", host, clock, switch=SWITCH)
        assert board.relays[2], "another process may be touching with it"

    def test_one_that_was_left_pressed_begins_anew(self, host, clock, board):
        board.relays[2] = True
        finger = touch("relay", host, clock, switch=SWITCH)
        board.heard.clear()
        with finger.holding():
            pass
        moves = bytes(board.heard).replace(b"\xff", b"")
        assert moves == RELEASED + PRESSED + RELEASED

    def test_it_lets_go_by_itself(self, host, clock, board):
        finger = touch("relay", host, clock, switch=SWITCH, press_s=0.05)
        with finger.holding():
            with board.changed:
                assert board.changed.wait_for(lambda: PRESSED + RELEASED in bytes(board.heard), 5)
            assert not board.relays[2]

    def test_it_lets_go_when_the_test_fails(self, host, clock, board):
        finger = touch("relay", host, clock, switch=SWITCH)
        with pytest.raises(ZeroDivisionError), finger.holding():
            raise ZeroDivisionError
        assert not board.relays[2]

    def test_one_that_sticks_is_told(self, host, clock, board):
        finger = touch("relay", host, clock, switch=SWITCH)

        def hold():
            with finger.holding():
                assert board.is_hearing(PRESSED)
                board.stuck = True

        with pytest.raises(RigError) as caught:
            hold()
        says(
            caught.value,
            f'rig "{RIG}" · touch.switch',
            "lcus channel 2 at port /dev/ttyUSB0",
            "did not switch",
        )

    def test_a_press_that_fails_is_let_go_of(self, host, clock, board):
        class Hangs(PowerSwitch):
            is_on, moves = False, []

            def on(self):
                self.moves.append("on")
                raise RigError("the board is gone")

            def off(self):
                self.moves.append("off")

        asked = request("touch", "relay", host, clock, switch=SWITCH)[1]
        with pytest.raises(RigError), SwitchTouch(asked, Hangs(), None).holding():
            raise AssertionError("it is not pressed")
        assert Hangs.moves == ["on", "off"]

    def test_it_does_not_see_requests(self, host, clock, board):
        finger = touch("relay", host, clock, switch=SWITCH)
        with pytest.raises(RigError) as caught:
            finger.pressing()
        says(caught.value, f'rig "{RIG}" · touch', "does not see when the key asks")
        assert not board.relays[2]

    def test_the_key_s_own_power_relay_is_no_finger_of_another_rig(self, host, clock, board):
        switch = power("lcus", host, clock, port="/dev/ttyUSB0", channel=2, rig="mini-1")
        with pytest.raises(CallerError) as caught:
            touch("relay", host, clock, switch=SWITCH)
        says(caught.value, f'rig "{RIG}" · touch.switch', 'rig "mini-1" · power')
        assert not switch.is_on

    def test_a_switch_that_is_none(self, host, clock):
        with pytest.raises(ValidationError, match=r"switch.driver: the name of a power driver"):
            touch("relay", host, clock, switch={"driver": "lcos"})
        with pytest.raises(ValidationError, match=r"switch.port: a value; there is none"):
            touch("relay", host, clock, switch={"driver": "lcus"})


def test_the_pico_rig_s_finger(host, clock, pico):
    finger = touch("pico", host, clock, url=pico.url, usb=2)
    with finger.holding():
        assert pico.state["/usb2/touch"]
    assert pico.heard == ["/usb2/touch/off", "/usb2/touch/on", "/usb2/touch/off"]
    beside = power("pico", host, clock, url=pico.url, usb=2)
    beside.off()
    with pytest.raises(RigError) as caught, touch("pico", host, clock, url=pico.url, usb=9).holding():
        pass
    says(caught.value, f'rig "{RIG}" · touch', "pico touch of usb 9", "404")


def test_a_command(host, clock, tmp_path):
    seen = tmp_path / "seen"
    settings = {word: ["/bin/sh", "-c", f"echo {word} >> {seen}"] for word in ("on", "off")}
    with touch("command", host, clock, **settings).holding():
        assert seen.read_text() == "off\non\n"
    assert seen.read_text() == "off\non\noff\n"
    settings["on"] = ["false"]
    with pytest.raises(RigError) as caught, touch("command", host, clock, **settings).holding():
        pass
    says(caught.value, f'rig "{RIG}" · touch.on: command false', "exit code 1")


def test_a_person_is_asked_and_not_waited_for(host, clock):
    with pytest.raises(CallerError) as caught:
        touch("hand", host, clock)
    says(caught.value, f'rig "{RIG}" · touch', "no terminal", "unattended")
    screen, slave = os.openpty()
    tty.setcbreak(slave)
    (host.dev / "tty").symlink_to(os.ttyname(slave))
    with touch("hand", host, clock, on_port="1-1.4.2").holding():
        assert b'rig "mini-2" at port 1-1.4.2: touch the key' in os.read(screen, 1024)


def test_a_firmware_that_needs_no_touch_gets_none_and_no_case_that_withholds_one(host, clock, board):
    """Where cases ask: on the rig's touch, which holds the bench's."""
    unneeded = ActuatorTouch(touch("none", host, clock), clock)
    assert unneeded.can_touch
    assert not unneeded.can_withhold
    with unneeded.holding():
        pass
    assert ActuatorTouch(touch("relay", host, clock, switch=SWITCH), clock).can_withhold
    assert ActuatorTouch(None, clock).can_withhold, "nothing touches it, so it waits"


def test_a_finger_that_fails_in_its_own_time_is_told_to_whoever_holds_it(host, clock, board):
    finger = touch("relay", host, clock, switch=SWITCH, press_s=0.05)
    threads = threading.active_count()

    def hold_for_too_long():
        with finger.holding():
            assert board.is_hearing(PRESSED)
            board.stuck = True
            with board.changed:
                assert board.changed.wait_for(lambda: PRESSED + RELEASED in bytes(board.heard), 5)

    with pytest.raises(RigError) as caught:
        hold_for_too_long()
    says(caught.value, "touch.switch", "did not switch")
    assert threading.active_count() <= threads + 1
