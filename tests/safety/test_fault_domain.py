"""Rigs of one hub or supply that lose their keys together: the hub's fault, no key's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.base.clock import VirtualClock
from harness.base.errors import KeyFault, RigError
from harness.bench.bench import parse_bench
from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.operation_runner import OperationRunner
from harness.campaign.timed_live import LiveCampaign
from harness.host.usb import hub_of
from harness.safety.fault_domain import KEPT, WITHIN_US, FaultDomains
from harness_fido2.client import Fido
from harness_transports.ctaphid import ctaphid
from support.lab import TwinKey
from support.terms import terms
from support.usb import PORT, laboratory, make_rig

HUB, SUPPLY = f"hub usb:{hub_of(PORT)[0]}", "supply psu-1"
T = 5_000_000


@pytest.fixture
def sharing(tmp_path):
    """Makes the fault domains of a rig at an instant, on a clock of its own."""

    def make(port, *domains, at_us=T, boot="one"):
        return FaultDomains(port, domains or (HUB,), VirtualClock(at_us), boot, tmp_path)

    return make


@pytest.mark.parametrize("apart_us", [0, 50_000, WITHIN_US, -WITHIN_US])
def test_losses_within_a_fifth_of_a_second_are_the_hubs(sharing, apart_us):
    mine, other = sharing("port 1"), sharing("port 2")
    mine.lost(T)
    other.lost(T + apart_us)
    assert mine.explained(T, stuck=False) == (
        f"{HUB} failed: port 2 lost its key within {abs(apart_us) / 1000:.0f} ms, too"
    )


@pytest.mark.parametrize(
    ("other", "apart_us"),
    [
        ({"port": "port 2"}, WITHIN_US + 1),
        ({"port": "port 2", "domains": ("hub usb:1-2",)}, 0),
        ({"port": "port 2", "boot": "another"}, 0),
        ({"port": "port 1"}, 0),
    ],
    ids=["later", "another hub", "before the host booted", "the rig itself"],
)
def test_what_is_no_loss_of_the_same_hub(sharing, other, apart_us):
    mine = sharing("port 1")
    mine.lost(T)
    sharing(other["port"], *other.get("domains", ()), boot=other.get("boot", "one")).lost(T + apart_us)
    assert mine.explained(T, stuck=False) is None


def test_a_loss_of_an_earlier_cut_explains_nothing(sharing):
    mine, other = sharing("port 1"), sharing("port 2")
    mine.lost(T)
    other.lost(T)
    assert mine.explained(T + 1, stuck=False) is None


def test_a_key_that_does_not_come_back_while_its_supply_fails_is_not_stuck(sharing):
    mine, other = sharing("port 1", HUB, SUPPLY), sharing("rig b", SUPPLY)
    assert mine.explained(T, stuck=True) is None
    other.lost(T + 3_000_000)
    assert mine.explained(T, stuck=True) == f"{SUPPLY} failed: rig b lost its key meanwhile, too"
    assert mine.explained(T, stuck=False) is None, "it did not leave itself"
    assert mine.explained(T + 3_000_001, stuck=True) is None


def test_others_have_time_to_note_their_loss(sharing, monkeypatch):
    mine, other = sharing("port 1"), sharing("port 2")
    mine.lost(T)
    monkeypatch.setattr(mine._clock, "wait_us", lambda us: other.lost(T + us))
    assert mine.explained(T, stuck=False) is not None


def test_a_note_of_bounded_size_is_kept(sharing, tmp_path):
    mine = sharing("port 1")
    for number in range(3 * KEPT):
        mine.lost(T + number)
    (note,) = tmp_path.glob("lost*.json")
    assert note.read_text().count(",") < KEPT + 10


def test_a_note_that_another_user_left_is_no_error(sharing, tmp_path, monkeypatch):
    def denied(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("harness.safety.fault_domain.replace_file", denied)
    sharing("port 1").lost(T)
    (tmp_path / "lost-torn.json").write_text('{"domain"')
    assert sharing("port 1").explained(T, stuck=True) is None


def test_a_bench_names_the_hub_and_the_supply_of_a_rig():
    text = """\
[[rig]]
name = "a"
key = "nitrokey3-mini"
driver = "virtual"
hub = "left"
supply = "psu-1"
"""
    bench = parse_bench(text, "bench.toml", Path("bench.toml"), discover())
    assert bench.make("a", 1).domains == ("hub left", "supply psu-1")


# In the laboratory.


@pytest.fixture
def lab(tmp_path, own_state):
    with laboratory(tmp_path) as lab:
        yield lab


@pytest.fixture
def usb(lab, tmp_path):
    lab.plug(PORT, TwinKey(1))
    rig = make_rig()
    rig.losses = FaultDomains("port usb:" + PORT, rig.domains, rig.clock, "", tmp_path)
    yield rig
    rig.close()


@pytest.fixture
def sibling(usb, tmp_path):
    return FaultDomains("port usb:1-1.4.2", (HUB,), usb.clock, "", tmp_path)


def test_the_hub_of_a_port_is_a_fault_domain(usb):
    assert usb.domains == (HUB,)


@pytest.mark.parametrize("switched", [True, False])
def test_what_our_own_switch_takes_is_no_loss(lab, usb, tmp_path, switched):
    usb.wait_until_up()
    device = ctaphid(usb)
    if switched:
        usb.cutter.prepare()
        usb.cutter.arm(usb.clock.now_us)
        usb.clock.wait_us(50_000)
    else:
        lab.port(PORT).unplug()
    with pytest.raises(OSError):
        device.ping()
    assert len(list(tmp_path.glob("lost*.json"))) == (0 if switched else 1)


@pytest.mark.long
@pytest.mark.parametrize("shared", [True, False])
def test_a_cut_in_which_the_hub_failed_is_void(lab, usb, sibling, shared):
    plain = usb.key.operations["fido2.get_assertion"]
    port, arm, armed = lab.port(PORT), usb.cutter.arm, []

    def act(rig, memory):
        client = Fido(rig)
        plain.act(rig, memory)
        if not armed:
            return
        # The cut is armed, and half a second away.
        if shared:
            sibling.lost(rig.clock.now_us)
        port.plug(port.unplug())
        client.device.ping()

    def late(at_us, lead_us=0):
        armed.append(at_us)
        arm(at_us + 500_000, lead_us)

    usb.cutter.arm = late
    campaign = LiveCampaign(usb, replace(plain, act=act), go_home(usb), terms(1))
    row = campaign.run().rows[-1]
    if shared:
        assert (row["outcome"], row["blame"]) == ("missed", "rig")
        assert row["death"].startswith(f"{HUB} failed: port usb:1-1.4.2 lost its key within")
    else:
        assert "left the bus by itself" in row["death"]
    assert bool(campaign.result.findings) is not shared


@pytest.mark.parametrize("shared", [True, False])
def test_a_hub_that_fails_in_an_uncut_run_is_not_the_keys_fault(lab, usb, sibling, shared):
    operation = usb.key.operations["fido2.get_assertion"]
    runner = OperationRunner(usb, usb.cutter, operation, go_home(usb))

    def act(rig, memory):
        client = Fido(rig)
        if shared:
            sibling.lost(rig.clock.now_us)
        lab.port(PORT).unplug()
        client.device.ping()

    with pytest.raises(RigError if shared else KeyFault) as failed:
        runner.run_uncut(replace(operation, act=act))
    assert ("hub usb:1-1.4 failed" in failed.value.what) is shared


@pytest.mark.parametrize("when", ["meanwhile", "before"])
def test_a_board_that_restarts_in_a_run_is_not_the_keys_fault(lab, usb, tmp_path, when):
    """A YKUSH is the hub of its ports: it enumerates anew, and the keys on it with it."""
    noted = []
    usb.losses = FaultDomains(
        *("port usb:" + PORT, usb.domains, usb.clock, "", tmp_path),
        hub=lambda: usb.hub_enumeration,
        note=lambda why, seen: noted.append(why),
    )
    operation = usb.key.operations["fido2.get_assertion"]
    runner = OperationRunner(usb, usb.cutter, operation, go_home(usb))

    def restart():
        devnum = lab.tree.sys / "bus/usb/devices" / hub_of(PORT)[0] / "devnum"
        devnum.write_text(f"{int(devnum.read_text()) + 100}\n")

    if when == "before":
        restart()

    def act(rig, memory):
        client = Fido(rig)
        if when == "meanwhile":
            restart()
        lab.port(PORT).unplug()
        client.device.ping()

    with pytest.raises(RigError if when == "meanwhile" else KeyFault) as failed:
        runner.run_uncut(replace(operation, act=act))
    assert ("the hub of its port restarted" in failed.value.what) is (when == "meanwhile")
    assert len(noted) == (when == "meanwhile")


def test_a_hub_that_is_gone_is_the_rigs_fault(lab, usb):
    usb.wait_until_up()
    usb.power.off()
    lab.port(PORT).unplug()
    usb.power.on()
    (lab.tree.sys / "bus/usb/devices" / hub_of(PORT)[0]).unlink()
    with pytest.raises(RigError) as gone:
        usb.wait_until_up()
    assert gone.value.expected == "a port that is there: no hub is at 1-1.4"
