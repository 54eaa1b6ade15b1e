"""The Pico rig, commands, a person, and several switches as one."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import sys
import threading
import time
import tty

import pytest
from pydantic import ValidationError

from harness.base.errors import CallerError, RigError
from harness.model.instant import CutInstant
from support.limits import HUNG_S
from support.paths import with_support
from support.power.picorig import PicoRig
from support.power.powertools import RIG, cut, power, says
from support.power.serialboards import LcusBoard


@pytest.fixture
def pico():
    made = PicoRig(prefix="/a-secret-path")
    yield made
    made.close()


class TestPico:
    def test_exactly_these_paths(self, host, clock, pico):
        switch = power("pico", host, clock, url=pico.url, usb=2)
        switch.off()
        switch.on()
        assert pico.heard == ["/a-secret-path/usb2/power/off", "/a-secret-path/usb2/power/on"]
        assert pico.state["/a-secret-path/usb1/power"]

    def test_the_cutter_cuts_on_a_connection_made_before(self, host, clock, pico, cutter):
        switch = power("pico", host, clock, url=pico.url)
        for _ in range(3):
            assert cut(switch, cutter).error == 0
            assert not pico.state["/a-secret-path/usb1/power"]
            assert not switch.is_on
            switch.on()

    def test_a_port_that_it_has_not(self, host, clock, pico, cutter):
        switch = power("pico", host, clock, url=pico.url, usb=7)
        for act in (switch.off, lambda: cut(switch, cutter)):
            with pytest.raises(RigError) as caught:
                act()
            says(caught.value, f'rig "{RIG}" · power', "pico power of usb 7", "404", "no such port", "`usb`")
            assert "secret" not in str(caught.value)

    def test_garbage_and_nobody(self, host, clock, pico):
        pico.garbage = True
        with pytest.raises(RigError) as caught:
            power("pico", host, clock, url=pico.url).off()
        says(caught.value, f'rig "{RIG}" · power', "pico power of usb 1", "an answer in HTTP")
        pico.close()
        with pytest.raises(RigError) as caught:
            power("pico", host, clock, url=pico.url).off()
        says(caught.value, f'rig "{RIG}" · power', "pico power of usb 1", "refused")

    def test_one_that_hangs_up_or_never_answers(self, host, clock, monkeypatch):
        monkeypatch.setattr("harness_rigs.power.pico.ANSWER_S", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            switch = power("pico", host, clock, url=url)
            with pytest.raises(RigError) as caught:
                switch.off()
            says(caught.value, f'rig "{RIG}" · power', "pico power of usb 1", "no answer", "mend")
            hung_up = threading.Thread(target=lambda: [server.accept()[0].close() for _ in range(2)])
            hung_up.start()
            with pytest.raises(RigError) as caught:
                switch.off()
            says(caught.value, f'rig "{RIG}" · power', "pico power of usb 1", "found", "mend")
            hung_up.join(5)

    def test_an_address_that_is_none(self, host, clock):
        with pytest.raises(ValidationError, match="http://<host>"):
            power("pico", host, clock, url="ftp://x")


class Tool:
    """Somebody's own program, which keeps the state in a file."""

    def __init__(self, folder):
        self.state = folder / "state"
        self.state.write_text("on\n")
        self.on = ["/bin/sh", "-c", f"echo on > {self.state}"]
        self.off = ["/bin/sh", "-c", f"echo off > {self.state}"]
        self.asked = ["/bin/sh", "-c", f"grep -q on {self.state}"]

    @property
    def is_on(self):
        return self.state.read_text() == "on\n"


@pytest.fixture
def tool(tmp_path):
    return Tool(tmp_path)


class TestCommand:
    def test_commands_are_run(self, host, clock, tool):
        switch = power("command", host, clock, on=tool.on, off=tool.off, state=tool.asked, off_time_s=2)
        assert switch.is_on
        switch.off()
        assert not tool.is_on
        assert not power("command", host, clock, on=tool.on, off=tool.off, state=tool.asked).is_on
        switch.on()
        assert tool.is_on
        assert clock.now_us == 2_000_000

    def test_the_cutter_cuts(self, host, clock, tool, cutter):
        switch = power("command", host, clock, on=tool.on, off=tool.off)
        for _ in range(3):
            assert cut(switch, cutter).error == 0
            assert not tool.is_on
            switch.on()

    def test_a_cut_that_is_called_off_leaves_nothing_waiting(self, host, clock, tool):
        switch = power("command", host, clock, on=tool.on, off=tool.off)
        waiting = switch.cut_action()
        assert os.fstat(waiting.fd)
        switch.cut_action()
        switch.on()
        with pytest.raises(OSError):
            os.fstat(waiting.fd)
        assert tool.is_on

    def test_no_pin_is_handed_on(self, host, clock, tmp_path, monkeypatch):
        monkeypatch.setenv("KEYHARNESS_PIN", "31415926")
        seen = tmp_path / "environment"
        power("command", host, clock, on=["true"], off=["/bin/sh", "-c", f"env > {seen}"]).off()
        assert "31415926" not in seen.read_text()
        assert "PATH" in seen.read_text()

    @pytest.mark.parametrize("how", ["run", "cut"])
    def test_a_command_that_fails(self, host, clock, cutter, how):
        off = ["/bin/sh", "-c", "echo no such outlet; exit 3"]
        switch = power("command", host, clock, on=["true"], off=off)
        with pytest.raises(RigError) as caught:
            switch.off() if how == "run" else cut(switch, cutter)
        says(
            caught.value, f'rig "{RIG}" · power.off', "exit code 3: no such outlet", "exit code 0", "by hand"
        )

    def test_one_that_does_not_end(self, host, clock):
        switch = power("command", host, clock, on=["sleep", "60"], off=["true"], limit_s=0.2)
        # Waited for to its end, this command would be no error: it ends with 0.
        with pytest.raises(RigError) as caught:
            switch.on()
        says(caught.value, f'rig "{RIG}" · power.on: command sleep 60', "more than 0.2 s")

    def test_one_that_is_killed(self, host, clock):
        switch = power("command", host, clock, on=["true"], off=["/bin/sh", "-c", "kill -9 $$"])
        with pytest.raises(RigError) as caught:
            switch.off()
        says(caught.value, "power.off", "signal 9")

    def test_one_that_is_not_there(self, host, clock):
        with pytest.raises(CallerError) as caught:
            power("command", host, clock, on=["true"], off=["keyharness-has-no-such-program", "1"])
        says(
            caught.value,
            f'rig "{RIG}" · power.off',
            "no program keyharness-has-no-such-program",
            "absolute path",
        )

    def test_a_state_that_disagrees(self, host, clock):
        switch = power("command", host, clock, on=["true"], off=["true"], state=["true"])
        with pytest.raises(RigError) as caught:
            switch.off()
        says(caught.value, f'rig "{RIG}" · power', "did not switch", "true says on")
        with pytest.raises(RigError) as caught:
            power("command", host, clock, on=["true"], off=["true"], state=["/bin/sh", "-c", "exit 7"])
        says(caught.value, "power.state", "exit code 7", "exit code 0 (on) or 1 (off)")


class Person:
    """Somebody at a terminal, who does what it says."""

    def __init__(self, host):
        self.screen, self._slave = os.openpty()
        tty.setcbreak(self._slave)
        (host.dev / "tty").symlink_to(os.ttyname(self._slave))
        self.read = b""
        self.obeys = True
        threading.Thread(target=self._sit, daemon=True).start()

    def _sit(self):
        while True:
            self.read += os.read(self.screen, 1024)
            if self.obeys and self.read.endswith(b"press Enter\r\n"):
                os.write(self.screen, b"\n")


class TestHand:
    def test_a_person_is_asked(self, host, clock):
        person = Person(host)
        switch = power("hand", host, clock)
        assert switch.is_on
        switch.on()
        assert not person.read
        switch.off()
        assert b'rig "mini-2": take the key out, then press Enter' in person.read
        switch.on()
        assert b"plug the key in, then press Enter" in person.read
        assert switch.cut_action() is None

    def test_nobody_does_it(self, host, clock):
        person = Person(host)
        person.obeys = False
        switch = power("hand", host, clock, limit_s=0.1)
        os.write(person.screen, b"\n")
        with pytest.raises(RigError) as caught:
            switch.off()
        says(caught.value, f'rig "{RIG}"', "nobody did it", "no Enter within 0.1 s", "take the key out")
        assert switch.is_on

    def test_nobody_is_there(self, host, clock):
        with pytest.raises(CallerError) as caught:
            power("hand", host, clock)
        says(caught.value, f'rig "{RIG}" · power', "no terminal", "a person", "unattended")

    PROGRAM = """
from support.power.powertools import power
from harness.base.clock import MonotonicClock
from harness.host.host import Host
power("hand", Host(), MonotonicClock(), limit_s=20).off()
print("done", flush=True)
"""

    def test_a_real_terminal_and_none(self):
        argv = [sys.executable, "-c", self.PROGRAM]
        alone = subprocess.run(
            argv, env=with_support(), capture_output=True, text=True, start_new_session=True
        )
        assert "no terminal" in alone.stderr
        assert alone.returncode
        child, screen = pty.fork()
        if child == 0:
            os.execve(sys.executable, argv, with_support())
        read = b""
        while b"done" not in read and select.select([screen], [], [], HUNG_S)[0]:
            try:
                read += os.read(screen, 1024)
            except OSError:
                break
            if read.endswith(b"press Enter\r\n"):
                os.write(screen, b"\n")
        os.close(screen)
        os.waitpid(child, 0)
        assert b"take the key out" in read
        assert b"done" in read


@pytest.fixture
def board(host):
    made = LcusBoard(host.dev / "ttyUSB0", 4)
    yield made
    made.close()


def relay(channel, **more):
    return {"driver": "lcus", "port": "/dev/ttyUSB0", "channel": channel, "off_time_s": 0, **more}


class TestCombined:
    def order(self, board):
        """Relays in the order in which they were switched."""
        frames = bytes(board.heard).replace(b"\xff", b"")
        return [(frames[at + 1], bool(frames[at + 2])) for at in range(0, len(frames), 4)]

    def test_in_the_order_that_is_said_with_a_delay(self, host, clock, board):
        parts = {"vbus": relay(1), "data": relay(2)}
        switch = power("combined", host, clock, parts=parts, on=["data", "vbus"], delay_s=0.25)
        assert not switch.is_on
        switch.on()
        assert switch.is_on
        switch.off()
        assert self.order(board) == [(2, True), (1, True), (1, False), (2, False)]
        assert clock.now_us == 500_000

    def test_the_cutter_cuts_the_first(self, host, clock, board, cutter):
        switch = power("combined", host, clock, parts={"vbus": relay(1), "data": relay(2)})
        switch.on()
        action = switch.cut_action()
        cutter.arm(CutInstant.planned(time.monotonic_ns() // 1000), action)
        cutter.collect()
        assert board.is_hearing(b"\xa0\x01\x00\xa1")
        assert board.relays[2], "the data lines follow when this process knows"
        switch.after_cut()
        assert not any(board.relays.values())

    def test_other_drivers(self, host, clock, board, pico, tool):
        parts = {
            "vbus": relay(1, normally="closed"),
            "data": {"driver": "pico", "url": pico.url},
            "meter": {"driver": "command", "on": tool.on, "off": tool.off},
        }
        switch = power("combined", host, clock, parts=parts, off=["data", "meter", "vbus"])
        switch.off()
        assert (board.relays[1], pico.state["/a-secret-path/usb1/power"], tool.is_on) == (True, False, False)

    @pytest.mark.parametrize(
        "settings, words",
        [
            ({"parts": {"vbus": relay(1)}}, "at least 2"),
            (
                {"parts": {"vbus": relay(1), "data": {"driver": "lcuss"}}},
                "data.driver: the name of a power driver",
            ),
            ({"parts": {"vbus": relay(1), "data": relay(2, chanel=3)}}, "data.chanel: no such setting"),
            ({"parts": {"vbus": relay(1), "data": relay(0)}}, "data.channel: a number, at least 1"),
            (
                {"parts": {"vbus": relay(1), "data": relay(2)}, "off": ["vbus"]},
                "name each part once: vbus, data",
            ),
        ],
    )
    def test_settings_that_do_not_fit(self, host, clock, settings, words):
        with pytest.raises(ValidationError, match=words):
            power("combined", host, clock, **settings)

    def test_a_part_that_fails_is_named(self, host, clock, board):
        switch = power("combined", host, clock, parts={"vbus": relay(1), "data": relay(2)})
        board.unplug()
        with pytest.raises(RigError) as caught:
            switch.on()
        says(caught.value, f'rig "{RIG}" · power.parts.vbus', "lcus channel 1 at port /dev/ttyUSB0", "gone")

    def test_a_part_that_another_rig_has(self, host, clock, board):
        first = power("lcus", host, clock, port="/dev/ttyUSB0", channel=2, rig="mini-1")
        with pytest.raises(CallerError) as caught:
            power("combined", host, clock, parts={"vbus": relay(1), "data": relay(2)})
        says(caught.value, f'rig "{RIG}" · power.parts.data', 'rig "mini-1"')
        assert not first.is_on
