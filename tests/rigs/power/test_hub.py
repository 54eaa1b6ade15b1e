"""Hubs: exact writes and requests, both halves, what is refused, and what is said when one fails."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from pathlib import Path

import pytest

from harness.base.errors import CallerError, RigError
from harness.host.cutter import Cutter
from harness.model.cut_action import Ioctl
from harness.model.instant import CutInstant
from support.power.fakehost import FakeHost, UsbThing, build_shim, stall
from support.power.fakehubs import HubThing, link_halves, off, on, plug_hub, status
from support.power.powertools import RIG, cut, power, says


@pytest.fixture
def host(tmp_path, monkeypatch):
    return FakeHost(tmp_path / "root", monkeypatch)


class Key(UsbThing):
    vendor_id, product_id, product = 0x20A0, 0x42B2, "Nitrokey 3"


class Stick(UsbThing):
    vendor_id, product_id, product = 0x0781, 0x5581, "Ultra"


def disable(host, port) -> Path:
    return host.tree.port(port) / "disable"


class TestBySysfs:
    @pytest.fixture
    def hub(self, host):
        hub = plug_hub(host, "1-1.4", 7)
        host.plug("1-1.4.2", Key())
        return hub

    def test_the_file_is_written(self, host, clock, hub):
        switch = power("hub", host, clock, hub="1-1.4", port=2)
        assert switch.is_on
        switch.off()
        assert disable(host, "1-1.4.2").read_text().strip() == "1"
        assert disable(host, "1-1.4.1").read_text().strip() == "0"
        assert not power("hub", host, clock, hub="1-1.4", port=2).is_on
        switch.on()
        assert disable(host, "1-1.4.2").read_text().strip() == "0"
        assert on(2) not in hub.heard
        assert off(2) not in hub.heard

    def test_hub_and_port_follow_from_the_rig(self, host, clock, hub):
        power("hub", host, clock, on_port="1-1.4.2").off()
        assert disable(host, "1-1.4.2").read_text().strip() == "1"

    def test_the_cutter_cuts(self, host, clock, hub, cutter):
        switch = power("hub", host, clock, on_port="1-1.4.2")
        for _ in range(3):
            fired = cut(switch, cutter)
            assert fired.error == 0
            assert disable(host, "1-1.4.2").read_text().strip() == "1"
            switch.on()

    def test_a_root_hub(self, host, clock):
        plug_hub(host, "usb3", 4)
        power("hub", host, clock, hub="usb3", port=3).off()
        assert disable(host, "3-3").read_text().strip() == "1"

    def test_without_permission_the_hub_is_asked_itself(self, host, clock, hub, monkeypatch, cutter):
        switch = power("hub", host, clock, on_port="1-1.4.2")
        strict = power("hub", host, clock, on_port="1-1.4.2", way="sysfs")
        forbid(monkeypatch, disable(host, "1-1.4.2"))
        with pytest.raises(RigError) as caught:
            strict.off()
        says(caught.value, f'rig "{RIG}" · power', "hub 1-1.4 port 2", "disable", "Permission denied")
        with pytest.raises(RigError) as caught:
            strict.cut_action()
        says(caught.value, "disable", "Permission denied")
        hub.heard.clear()
        with pytest.raises(RigError) as caught:
            switch.off()
        assert off(2) in hub.heard
        says(caught.value, "did not switch")

    def test_power_that_the_kernel_gives_back_is_told(self, host, clock, hub):
        switch = power("hub", host, clock, on_port="1-1.4.2")
        switch.off()
        disable(host, "1-1.4.2").write_text("0\n")
        with pytest.raises(RigError) as caught:
            switch.on()
        says(caught.value, "hub 1-1.4 port 2", "came back by itself")


def forbid(monkeypatch, path: Path) -> None:
    """Make a file one that may be read and not written, for root as well."""
    real, real_open = os.open, Path.open

    def refuse(where, flags, *rest, **more):
        if Path(os.fspath(where)) == path and flags & (os.O_WRONLY | os.O_RDWR):
            raise PermissionError(13, "Permission denied", str(where))
        return real(where, flags, *rest, **more)

    def refuse_open(self, mode="r", *rest, **more):
        if self == path and "w" in mode:
            raise PermissionError(13, "Permission denied", str(self))
        return real_open(self, mode, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(Path, "open", refuse_open)


class TestByRequest:
    @pytest.fixture
    def hub(self, host):
        hub = plug_hub(host, "1-1.4", 7, sysfs=False)
        host.plug("1-1.4.2", Key())
        return hub

    def test_exactly_these_requests(self, host, clock, hub):
        switch = power("hub", host, clock, on_port="1-1.4.2")
        hub.heard.clear()
        switch.off()
        assert hub.heard == [off(2), status(2)]
        hub.heard.clear()
        switch.on()
        assert hub.heard == [status(2), on(2), status(2)]
        assert all(hub.power.values())

    def test_although_there_is_sysfs(self, host, clock):
        hub = plug_hub(host, "1-2", 4)
        power("hub", host, clock, hub="1-2", port=1, way="request").off()
        assert not hub.power[1]
        assert disable(host, "1-2.1").read_text().strip() == "0"

    @pytest.mark.parametrize("way", ["request", "both"])
    def test_the_cutter_cuts_by_one_ioctl(self, host, clock, tmp_path, monkeypatch, way):
        hub = plug_hub(host, "1-1.4", 7, sysfs=way == "both")
        host.plug("1-1.4.2", Key())
        switch = power("hub", host, clock, on_port="1-1.4.2", way=way)
        number = int((host.tree.folder("1-1.4") / "devnum").read_text())
        node = host.dev / f"bus/usb/001/{number:03}"
        node.parent.mkdir(parents=True)
        os.mkfifo(node)
        ours = os.open(node, os.O_RDWR | os.O_NONBLOCK)
        try:
            monkeypatch.setenv("LD_PRELOAD", str(build_shim(tmp_path)))
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(
                f"ioctls of another process are seen through a library, which needs a C compiler: {error}"
            )
        seen = Cutter()
        action = switch.cut_action()
        assert isinstance(action, Ioctl)
        seen.arm(CutInstant.planned(time.monotonic_ns() // 1000), action)
        assert seen.collect().error == 0
        seen.close()
        message = os.read(ours, 4096)
        os.close(ours)
        request = int.from_bytes(message[6:14], "little")
        assert (request >> 30, request >> 8 & 0xFF, request & 0xFF) == (3, ord("U"), 0)
        kind, what, value, index, length, limit_ms, pointer = struct.unpack("@BBHHHIP", message[14:])
        assert (length, limit_ms, pointer) == (0, 1000, 0)
        hub.control(kind, what, value, index, b"")
        assert hub.heard[-1] == off(2)
        switch.after_cut()
        assert not switch.is_on
        if way == "both":
            assert disable(host, "1-1.4.2").read_text().strip() == "1", "the kernel is told afterwards"

    def test_the_hub_is_asked_first_and_the_kernel_told_after(self, host, clock):
        hub = plug_hub(host, "1-2", 4)
        switch = power("hub", host, clock, hub="1-2", port=1, way="both")
        switch.off()
        assert not hub.power[1]
        assert disable(host, "1-2.1").read_text().strip() == "1"
        hub.heard.clear()
        switch.on()
        assert disable(host, "1-2.1").read_text().strip() == "0", "which gives the power, too"
        assert on(1) not in hub.heard

    @pytest.mark.parametrize(
        ("sysfs", "way", "after"),
        [
            (True, "auto", False),
            (True, "sysfs", False),
            (True, "request", True),
            (True, "both", True),
            (False, "auto", True),
        ],
    )
    def test_through_sysfs_the_key_leaves_the_bus_before_its_power_goes(self, host, clock, sysfs, way, after):
        plug_hub(host, "1-2", 4, sysfs=sysfs)
        made = power("hub", host, clock, hub="1-2", port=1, way=way, release_ms=[1, 2.5])
        assert made.seen_after is after
        assert made.release_us == (1_000, 2_500)

    def test_a_hub_without_a_node_for_the_cutter(self, host, clock, hub):
        with pytest.raises(RigError) as caught:
            power("hub", host, clock, on_port="1-1.4.2").cut_action()
        says(caught.value, "/dev/bus/usb/001/", "gone")

    def test_the_hub_goes_in_mid_command(self, host, clock, hub):
        switch = power("hub", host, clock, on_port="1-1.4.2")
        hub.dies_on = off(2)[1]
        with pytest.raises(RigError) as caught:
            switch.off()
        says(caught.value, f'rig "{RIG}" · power', "hub 1-1.4 port 2", "gone after 1 switches")

    def test_the_hub_drops_off_after_20_switches(self, host, clock, hub):
        switch = power("hub", host, clock, on_port="1-1.4.2")
        for _ in range(10):
            switch.cycle()
        host.unplug("1-1.4.2")
        (host.sys / "bus/usb/devices/1-1.4").unlink()
        with pytest.raises(RigError) as caught:
            switch.off()
        says(caught.value, "hub 1-1.4 port 2", "after 2", "switches", "powered hub")

    def test_a_request_that_is_refused(self, host, clock, hub, monkeypatch):
        switch = power("hub", host, clock, on_port="1-1.4.2")
        monkeypatch.setattr(hub, "control", lambda *_: (_ for _ in ()).throw(stall()))
        with pytest.raises(RigError) as caught:
            switch.off()
        says(caught.value, "hub 1-1.4 port 2", "refuses the request (a stall)", "mend")

    def test_garbage(self, host, clock, hub):
        switch = power("hub", host, clock, on_port="1-1.4.2")
        hub.garbage = True
        with pytest.raises(RigError) as caught:
            switch.off()
        says(caught.value, "hub 1-1.4 port 2", "13 37", "4 bytes")
        with pytest.raises(RigError) as caught:
            power("hub", host, clock, on_port="1-1.4.2")
        says(caught.value, f'rig "{RIG}" · power: hub 1-1.4', "13 37", "a hub descriptor")


@pytest.mark.parametrize("paired", ["linked", "container", "containers alike"])
@pytest.mark.parametrize("sysfs", [True, False], ids=["sysfs", "request"])
class TestBothHalves:
    @pytest.fixture
    def halves(self, host, paired, sysfs) -> tuple[HubThing, HubThing]:
        slow = plug_hub(host, "1-2", 4, sysfs=sysfs)
        fast = plug_hub(host, "2-2", 4, sysfs=sysfs, superspeed=True)
        if paired == "linked":
            link_halves(host, "1-2.3", "2-2.3")
        else:
            slow.container = fast.container = b"one case, 16 b.."
        if paired == "containers alike":
            plug_hub(host, "2-4", 4, sysfs=sysfs, superspeed=True).container = slow.container
        host.plug("1-2.3", Key())
        return slow, fast

    def powered(self, host, halves, sysfs):
        if sysfs:
            return tuple(disable(host, port).read_text().strip() == "0" for port in ("1-2.3", "2-2.3"))
        return tuple(half.power[3] for half in halves)

    def test_both_are_switched(self, host, clock, halves, sysfs):
        switch = power("hub", host, clock, on_port="1-2.3", off_time_s=1)
        began = clock.now_us
        switch.off()
        assert self.powered(host, halves, sysfs) == (False, False)
        assert clock.now_us - began == 150_000, "a USB 3 half needs this after off"
        switch.on()
        assert self.powered(host, halves, sysfs) == (True, True)

    def test_the_key_s_half_is_the_last_to_go(self, host, clock, halves, sysfs, cutter):
        switch = power("hub", host, clock, on_port="1-2.3")
        node = host.dev / "bus/usb/001" / f"{int((host.tree.folder('1-2') / 'devnum').read_text()):03}"
        node.parent.mkdir(parents=True)
        os.mkfifo(node)
        action = switch.cut_action()
        assert self.powered(host, halves, sysfs) == (True, False)
        if not sysfs:
            assert isinstance(action, Ioctl)
            return
        cutter.arm(CutInstant.planned(time.monotonic_ns() // 1000), action)
        cutter.collect()
        switch.after_cut()
        assert self.powered(host, halves, sysfs) == (False, False)

    def test_power_on_one_half_is_power(self, host, clock, halves, sysfs):
        switch = power("hub", host, clock, on_port="1-2.3")
        switch.off()
        if sysfs:
            disable(host, "2-2.3").write_text("0\n")
        else:
            halves[1].power[3] = True
        assert power("hub", host, clock, on_port="1-2.3").is_on

    def test_nothing_else_on_the_other_half(self, host, clock, halves, sysfs):
        switch = power("hub", host, clock, on_port="1-2.3")
        host.plug("2-2.3", Stick())
        with pytest.raises(RigError) as caught:
            switch.off()
        says(
            caught.value,
            f'rig "{RIG}"',
            "0781:5581 Ultra at 2-2.3",
            "only the key on a port that is switched",
        )
        with pytest.raises(CallerError) as caught:
            power("hub", host, clock, on_port="1-2.3")
        says(caught.value, f'rig "{RIG}" · power.port', "0781:5581 Ultra at 2-2.3", "1-2.3")


class TestRefused:
    @pytest.fixture
    def hub(self, host):
        hub = plug_hub(host, "1-1.4", 7)
        host.plug("1-1.4.2", Key())
        return hub

    def refused(self, host, clock, *words, **settings):
        with pytest.raises((CallerError, RigError)) as caught:
            power("hub", host, clock, **settings)
        says(caught.value, f'rig "{RIG}" · power', "found", "expected", "mend", *words)

    def test_a_port_that_it_has_not(self, host, clock, hub):
        self.refused(
            host,
            clock,
            ".port",
            "9",
            "a port of hub 1-1.4, which has 1-7",
            "`keyharness list --hubs` shows hubs and what is on each port",
            hub="1-1.4",
            port=9,
        )

    def test_a_hub_that_is_not_there(self, host, clock, hub):
        self.refused(host, clock, ".hub", "1-7", "1-1.4 (7 ports)", "usb1", hub="1-7", port=1)
        self.refused(host, clock, ".hub", "1-1.4.2", "1-1.4 (7 ports)", hub="1-1.4.2", port=1)

    def test_nothing_said(self, host, clock, hub):
        self.refused(host, clock, "nothing", "a hub and a port")
        self.refused(host, clock, ".port", "nothing", hub="1-1.4")

    @pytest.mark.parametrize("switching, how", [(0, "all of its ports at once"), (2, "no port's power")])
    def test_a_hub_that_does_not_switch_each_port(self, host, clock, hub, switching, how):
        hub.switching = switching
        self.refused(host, clock, ".hub", "1-1.4 (0bda:5411)", how, on_port="1-1.4.2")

    def test_a_hub_with_one_port_may_be_ganged(self, host, clock):
        plug_hub(host, "1-2", 1).switching = 0
        power("hub", host, clock, hub="1-2", port=1).off()

    def test_a_port_that_leads_to_what_is_built_in(self, host, clock, hub):
        hub.fixed = (2,)
        self.refused(host, clock, ".port", "port 2 of hub 1-1.4", "built-in", on_port="1-1.4.2")

    @pytest.mark.parametrize("kind, word", [("hardwired", "built-in"), ("not used", "no socket")])
    def test_a_port_that_is_no_socket(self, host, clock, hub, kind, word):
        (host.tree.port("1-1.4.2") / "connect_type").write_text(kind + "\n")
        self.refused(host, clock, ".port", word, on_port="1-1.4.2")

    def test_a_port_with_a_hub_behind_it(self, host, clock, hub):
        plug_hub(host, "1-1.4.7", 4)
        self.refused(host, clock, ".port", "another hub", "1-1.4.7", hub="1-1.4", port=7)

    def test_a_hub_that_is_plugged_in_later(self, host, clock, hub):
        switch = power("hub", host, clock, hub="1-1.4", port=5)
        plug_hub(host, "1-1.4.5", 4)
        for act in (switch.off, switch.cut_action):
            with pytest.raises(RigError) as caught:
                act()
            says(caught.value, f'rig "{RIG}"', "1-1.4.5", "only the key on a port that is switched")

    def test_a_port_that_carries_something_else(self, host, clock, hub):
        host.plug("1-1.4.3", Stick())
        self.refused(
            host,
            clock,
            ".port",
            "0781:5581 Ultra at 1-1.4.3",
            "1-1.4.2",
            hub="1-1.4",
            port=3,
            on_port="1-1.4.2",
        )

    def test_a_port_that_is_not_the_key_s(self, host, clock, hub):
        self.refused(host, clock, ".port", "1-1.4.3", "1-1.4.2", hub="1-1.4", port=3, on_port="1-1.4.2")

    def test_a_hub_that_may_not_be_opened(self, host, clock, hub):
        hub.denied = True
        self.refused(host, clock, "hub 1-1.4", "/dev/bus/usb/001/", "Permission denied", on_port="1-1.4.2")

    def test_without_libusb(self, host, clock, hub):
        host.libusb = False
        self.refused(host, clock, "hub 1-1.4", "no libusb", on_port="1-1.4.2")

    def test_halves_that_cannot_be_told_apart(self, host, clock):
        slow = plug_hub(host, "1-2", 4)
        for name in ("2-3", "2-4"):
            plug_hub(host, name, 4, superspeed=True).container = b"all of them alike"[:16]
        slow.container = b"all of them alike"[:16]
        self.refused(host, clock, ".hub", "2-3, 2-4", "other half of 1-2", hub="1-2", port=1)

    def test_two_rigs_on_one_port_by_two_names(self, host, clock, hub):
        first = power("hub", host, clock, on_port="1-1.4.2", rig="mini-1")
        with pytest.raises(CallerError) as caught:
            power("hub", host, clock, hub="1-1.4", port=2)
        says(caught.value, f'rig "{RIG}" · power', 'rig "mini-1"')
        assert first.is_on
