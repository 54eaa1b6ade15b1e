"""The driver `usb` in the laboratory: power, faces, nodes that change, cuts, and what can be wrong."""

from __future__ import annotations

import errno
import json
import time

import pytest
from fido2.ctap2 import Ctap2

from harness.base.errors import CallerError, RigError
from harness.campaign.home import go_home
from harness.campaign.interruption import interrupt
from harness.campaign.operation_runner import OperationRunner
from harness.campaign.timed_live import LiveCampaign
from harness.host.uevents import wait_until
from harness.host.usb import device_at
from harness.model.power_loss import SwitchDelay, power_loss
from harness.model.rig import KeyGone
from harness.report.schema import check_evidence, check_summary
from harness.search.plan import START, Plan
from harness_nitrokey3 import containers, signing
from harness_nitrokey3.bootloader_probe import enter_bootloader
from harness_nitrokey3.images import Recipe
from harness_nitrokey3.updater import update
from harness_transports.ctaphid import ctaphid
from harness_transports.serial import serial
from support.lab import LabHost, Look, Thing, TwinKey, keyboard, mute_key
from support.lab.tree import KEYBOARD_DESCRIPTOR
from support.paths import ABSENT
from support.terms import terms
from support.usb import PORT, laboratory, make_rig

NEIGHBOUR = "1-1.4.2"


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(tmp_path / "runtime"))


@pytest.fixture
def lab(tmp_path):
    with laboratory(tmp_path) as lab:
        yield lab


def pinged(device, times):
    for _ in range(times):
        device.ping()


def drained(port):
    for _ in range(100):
        port.read(1)


@pytest.fixture
def usb(lab):
    lab.plug(PORT, TwinKey(1))
    rig = make_rig()
    yield rig
    rig.close()


def test_a_key_answers_and_goes_with_its_power(lab, usb):
    rig = usb
    rig.wait_until_up()
    device = ctaphid(rig)
    assert Ctap2(device).info.aaguid
    rig.power.off()
    assert not rig.power.is_on
    with pytest.raises(OSError) as gone:
        device.ping()
    assert gone.value.errno == errno.ENODEV
    with pytest.raises(KeyGone, match="power is off"):
        rig.wait_until_up()
    rig.power.on()
    rig.wait_until_up()
    assert ctaphid(rig).ping(b"back") == b"back"
    assert (rig.plugged.boots, rig.take_deaths()) == (1, [])


def test_a_key_counts_as_powered_from_when_its_switch_was_told(lab, usb, monkeypatch):
    """A hub whose lock is taken may switch long before its answer comes; a reset has ten seconds from then."""
    usb.power.off()
    switch = usb.power._actuator
    acts = switch.on
    monkeypatch.setattr(switch, "on", lambda: (acts(), usb.clock.wait_us(50_000)))
    usb.power.on()
    assert usb.came_us - usb.powered_us >= 50_000


def test_nodes_change_their_numbers_and_the_key_is_found_again(lab, usb):
    rig = usb
    rig.wait_until_up()
    before = rig.plugged.device.fido.node
    rig.power.off()
    lab.plug(NEIGHBOUR, keyboard())
    rig.power.on()
    rig.wait_until_up()
    assert rig.plugged.device.fido.node != before
    assert ctaphid(rig).ping(b"x") == b"x"


def test_a_stale_node_is_not_taken_for_the_next_boots(lab, usb):
    """A raw request to the hub takes the power and tells the kernel nothing until it returns."""
    rig = usb
    port = lab.port(PORT)
    port.stale = True
    rig.wait_until_up()
    node, token = rig.plugged.device.fido.node, rig.plugged.device.token
    rig.power.off()
    assert node.exists(), "it stays"
    port.powered = True
    # The switch believes that it gave power: what is in the tree is still the last boot's.
    rig.actuator.on()
    with pytest.raises(KeyGone, match="nothing came up"):
        rig.wait_until_up()
    port.powered = False
    rig.actuator.off()
    rig.power.on()
    rig.wait_until_up()
    assert rig.plugged.device.token != token
    assert ctaphid(rig).ping(b"x") == b"x"


def test_a_key_of_which_only_its_hub_says_that_it_has_gone_has_gone(lab, usb):
    """Requests to it run out of time, as those to a busy key do: its hub was said to leave its power on."""
    usb.wait_until_up()
    port = lab.port(PORT)
    port.stale = port.times_out = True
    usb.power.off()
    usb.power.on()
    usb.wait_until_up()
    assert ctaphid(usb).ping(b"back") == b"back"


def test_a_device_that_may_not_be_asked_whether_it_has_gone(lab, usb, monkeypatch):
    monkeypatch.setattr(LabHost, "usb_answers", lambda self, bus, number: None)
    lab.port(PORT).stale = True
    usb.wait_until_up()
    with pytest.raises(RigError, match="it cannot be told whether the key has gone") as unknown:
        usb.power.off()
    assert "/dev/bus/usb/001/" in unknown.value.found


def test_a_key_that_reboots_is_waited_for_though_it_is_still_to_be_seen(lab, usb):
    """The connection breaks before the kernel has taken the device out of its tree."""
    usb.wait_until_up()
    device, before = ctaphid(usb), usb.plugged.device.token
    port = lab.port(PORT)
    port.lingers_s = 0.3
    with pytest.raises(OSError):
        device.call(0x53)
    assert device_at(lab.host, PORT).token == before, "still to be seen"
    usb.wait_until_up()
    assert usb.plugged.device.token != before
    assert ctaphid(usb).ping(b"back") == b"back"


def test_a_switch_that_lies_is_named(lab, usb):
    rig = usb
    lab.port(PORT).lies = True
    rig.wait_until_up()
    with pytest.raises(RigError) as lie:
        rig.power.off()
    assert "still on the bus 0.5 s after its port was switched off" in str(lie.value)
    assert PORT in str(lie.value)


def test_power_that_comes_back_by_itself_is_named(lab, usb):
    usb.wait_until_up()
    usb.power.off()
    lab.port(PORT).power(True)
    assert wait_until(lab.host, lambda: device_at(lab.host, PORT), 5)
    with pytest.raises(RigError, match="came back while its port was switched off"):
        usb.power.on()


def test_a_key_that_was_told_to_reboot_did_not_leave_by_itself(lab, usb):
    """The cut falls while its client waits for it to come back."""
    usb.wait_until_up()
    device = ctaphid(usb)
    lab.port(PORT).lingers_s = 0.2
    usb.cutter.prepare()
    usb.cutter.arm(usb.clock.now_us + 100_000)
    with pytest.raises(OSError):
        device.call(0x53)
    usb.clock.wait_us(150_000)
    cut = usb.cutter.collect()
    assert cut.took
    assert usb.take_deaths() == []


def test_the_bootloader_is_the_same_key_on_another_node(lab, usb):
    rig = usb
    rig.wait_until_up()
    assert rig.face == "application"
    enter_bootloader(rig)
    assert rig.face == "bootloader"
    assert rig.plugged.device.ids == "20a0:42e8"
    port = serial(rig)
    assert port.serial_number
    port.write(bytes.fromhex("0907c0"))
    assert port.read(5) == bytes.fromhex("60090107c0")
    with pytest.raises(KeyGone, match="in its bootloader"):
        ctaphid(rig)
    port.timeout = None
    assert port.timeout == rig.options.answer_s, "never for ever"
    port.timeout = 0.05
    assert port.read(1) == b"", "nothing more is said within the limit"
    lab.port(PORT).power(False)
    with pytest.raises(OSError):
        drained(port)
    assert rig.plugged.left_us is not None
    lab.port(PORT).power(True)
    rig.power.off()
    rig.power.on()
    rig.wait_until_up()
    assert rig.face == "application", "the way in is forgotten with the power"


@pytest.mark.long
def test_the_vendors_updater_goes_through_the_bootloader_and_back(lab, usb):
    """Its own code: the container is checked, the key sent to its bootloader, the image over a serial port."""
    usb.wait_until_up()
    before = usb.key.identify(usb)
    container = containers.make(signing.seed_of(usb), Recipe("1.8.4"))
    update(usb, container.data)
    assert usb.face == "application"
    assert usb.key.identify(usb) == {"firmware": "v1.8.4", "uuid": before["uuid"]}
    sent = [mark.name for mark in usb.tap.marks if mark.name.startswith(("chunk", "execute"))]
    assert sent[-1].startswith("execute")
    assert len(sent) > 10


@pytest.mark.parametrize("slow", [False, True], ids=["by the cutter", "by this process"])
def test_a_cut_says_when_it_was_and_when_the_key_was_gone(lab, tmp_path, slow):
    lab.plug(PORT, TwinKey(1))
    rig = make_rig(slow=slow)
    try:
        rig.wait_until_up()
        device = ctaphid(rig)
        rig.cutter.prepare()
        at_us = rig.clock.now_us + 20_000
        rig.cutter.arm(at_us)
        with pytest.raises(OSError):
            pinged(device, 100_000)
        cut = rig.cutter.collect()
        assert cut.took
        assert cut.fired_us >= at_us
        assert cut.late_us == cut.acted_us - at_us
        assert cut.lost_us >= cut.fired_us
        assert not rig.power.is_on
        assert lab.port(PORT).offs == 1
        assert rig.cutter.disarm() is None
    finally:
        rig.close()


def test_a_cut_in_the_boot_is_counted_from_the_power(lab, usb):
    rig = usb
    rig.power.off()
    assert rig.cutter.arm_boot(5_000)
    rig.power.on()
    cut = rig.cutter.collect()
    assert cut.took
    assert not rig.power.is_on
    rig.power.on()
    rig.wait_until_up()


def test_a_cut_in_a_later_boot_leads_by_what_the_switch_takes(lab, usb, monkeypatch):
    """Its relay opens 40 ms after it is told. The power goes when it was to go, and not 40 ms later."""
    home = go_home(usb)
    usb.power.off()
    port, cuts, gone = lab.port(PORT), [], []
    collect, give = usb.cutter.collect, port.give
    monkeypatch.setattr(usb.cutter, "collect", lambda: cuts.append(collect()) or cuts[-1])
    monkeypatch.setattr(port, "give", lambda on: (on or gone.append(time.monotonic_ns() // 1000), give(on)))
    port.off_course = ((0.04, False),)
    runner = OperationRunner(usb, usb.cutter, usb.key.operations["admin.power_up"], home)
    runner._cut_boots(Plan(START, 0, 0, boots=(120_000, 150_000)), 40_000)
    assert [cut.planned_us - cut.armed_us for cut in cuts] == [40_000, 40_000]
    assert cuts[-1].planned_us - usb.came_us == 150_000
    for cut, gone_us in zip(cuts, gone, strict=True):
        loss = power_loss(cut, SwitchDelay(least_us=40_000))
        assert loss.earliest_us <= gone_us <= loss.latest_us


class Unnoticed(TwinKey):
    """Behind a hub that takes the power and does not tell: its nodes stay open, and nothing comes any more."""

    def _leave(self):
        self.port.vanish()


def test_a_key_whose_power_was_cut_does_not_hang(lab):
    """Where the kernel is not told of the loss, the silence of the key is the cut's."""
    lab.plug(PORT, Unnoticed(1))
    lab.port(PORT).stale = True
    rig = make_rig(answer_s=60.0, gone_s=0.2)
    try:
        rig.wait_until_up()
        device = ctaphid(rig)
        rig.cutter.prepare()
        rig.cutter.arm(rig.clock.now_us + 20_000)
        with pytest.raises(OSError, match="its power was cut") as gone:
            pinged(device, 100_000)
        assert gone.value.errno == errno.ENODEV
        assert rig.cutter.collect().took
        assert rig.take_deaths() == []
    finally:
        rig.close()


def test_a_cut_that_is_called_off_leaves_the_key_on(lab, usb):
    rig = usb
    rig.wait_until_up()
    rig.cutter.arm(rig.clock.now_us + 60_000_000)
    assert rig.cutter.disarm() is None
    assert rig.power.is_on
    assert ctaphid(rig).ping(b"x") == b"x"


def test_a_key_that_leaves_by_itself_was_not_cut(lab):
    lab.plug(PORT, TwinKey(1, drops=6))
    rig = make_rig()
    try:
        rig.wait_until_up()
        device = ctaphid(rig)
        rig.cutter.prepare()
        rig.cutter.arm(rig.clock.now_us + 300_000)
        with pytest.raises(OSError) as gone:
            pinged(device, 10)
        assert gone.value.errno == errno.ENODEV
        cut = rig.cutter.collect()
        assert not cut.took
        (death,) = rig.take_deaths()
        assert "left the bus by itself" in death
    finally:
        rig.close()


def test_a_key_that_enumerates_and_never_answers_hangs(lab):
    lab.plug(PORT, mute_key())
    rig = make_rig(answer_s=0.2)
    rig.wait_until_up()
    with pytest.raises(KeyGone, match=r"no answer within 0\.2 s"):
        ctaphid(rig)
    assert rig.take_deaths() == ["hung: no answer within 0.2 s"]
    rig.close()


def test_a_key_that_stops_answering_in_the_middle_hangs(lab):
    lab.plug(PORT, TwinKey(1, hangs=3))
    rig = make_rig(answer_s=0.2)
    device = ctaphid(rig)
    with pytest.raises(OSError) as hung:
        pinged(device, 5)
    assert hung.value.errno == errno.ETIMEDOUT
    assert rig.take_deaths()
    rig.close()


def test_nobody_at_the_port(lab):
    rig = make_rig(up_s=0.1)
    with pytest.raises(KeyGone, match=f"nothing came up on port {PORT} within 0.1 s"):
        rig.wait_until_up()
    rig.close()


def test_a_node_is_waited_for_until_udev_lets_it_be_opened(lab):
    lab.udev_late_s = 0.2
    lab.plug(PORT, TwinKey(1))
    rig = make_rig()
    rig.wait_until_up()
    assert lab.udev_has_run
    assert ctaphid(rig).ping(b"x") == b"x"
    rig.close()


def test_a_node_that_may_not_be_opened_is_the_rigs_fault(lab):
    lab.udev_late_s = 60.0
    lab.plug(PORT, TwinKey(1))
    rig = make_rig(up_s=0.3)
    with pytest.raises(RigError) as denied:
        rig.wait_until_up()
    assert "hidraw" in denied.value.what
    assert "may not be opened" in denied.value.what
    assert "--install-udev-rules" in denied.value.mend
    rig.close()


def test_a_bootloader_that_is_hid_is_up_without_ctaphid(lab, usb):
    """The LPC55's: 20a0:42dd, reports of its own."""
    key = lab.port(PORT).unplug()
    lab.plug(PORT, Thing(Look(0x20A0, 0x42E8, "USB COMPOSITE DEVICE", hid=(KEYBOARD_DESCRIPTOR,))))
    usb.wait_until_up()
    assert usb.face == "bootloader"
    with pytest.raises(KeyGone, match="no CTAPHID interface"):
        ctaphid(usb)
    key.close()


def test_a_device_that_is_kept_from_the_kernel_is_said_to_be(lab, usb):
    usb.wait_until_up()
    usb.options.up_s = 0.1
    folder = lab.tree.folder(PORT)
    (folder / "authorized").write_text("0\n")
    (folder / "bNumInterfaces").write_text("9\n")
    with pytest.raises(RigError) as kept:
        usb.wait_until_up()
    assert "not authorised" in kept.value.what
    assert "USBGuard" in kept.value.mend


@pytest.mark.parametrize(
    ("port", "found", "expected", "whose"),
    [
        ("1-1.4.9", "9", "a port of hub 1-1.4, which has 1-4", CallerError),
        ("1-1.7.2", "1-1.7.2", "no hub is at 1-1.7", RigError),
        ("3-1", "3-1", "no hub is at usb3", RigError),
    ],
)
def test_a_port_that_no_hub_has(lab, port, found, expected, whose):
    with pytest.raises(whose) as wrong:
        make_rig(port)
    assert str(wrong.value.found) == found
    assert expected in str(wrong.value.expected)


def test_a_campaign_cuts_tears_and_judges(lab, usb):
    rig = usb
    home = go_home(rig)
    result = LiveCampaign(rig, rig.key.operations["fido2.get_assertion"], home, terms(4)).run()
    assert len(result.rows) == 5
    assert result.violations == 0, [row["id"] for row in result.rows]
    cut = [row for row in result.rows if row["planned"]["marker"] != "end"]
    assert all(row["fired_us"] is not None and row["lost_us"] >= row["fired_us"] for row in cut)
    assert rig.plugs is None, "nobody had asked for the kernel's log"


BENCH = """\
[[rig]]
name = "mini-1"
key = "nitrokey3-mini"
driver = "usb"
port = "1-1.4.1"
expendable = true
off_s = 0.01
[rig.power]
driver = "lab"
port = "1-1.4.1"
[rig.touch]
driver = "lab"
"""


@pytest.fixture
def bench(lab, cli):
    """The laboratory as the host of the command line, and a bench with the key of its first port."""
    # A real boot's time: how late a busy machine is must be little beside it.
    lab.plug(PORT, TwinKey(1, boot_s=0.1))
    lab.plug(NEIGHBOUR, TwinKey(2))
    cli.env |= lab.environment() | {"KEYHARNESS_NODE": str(ABSENT)}
    cli.bench = cli.cwd / "lab.toml"
    cli.bench.write_text(BENCH)
    return cli


RUN = (
    "run",
    "endurance",
    "--bench",
    "lab.toml",
    "--seed",
    "1",
    "--operation",
    "admin.power_up",
    "--cuts",
    "2",
)


@pytest.mark.long
def test_a_run_needs_the_keys_name(bench):
    done = bench(*RUN)
    assert done.returncode == 4, done.stdout + done.stderr
    (reason,) = {json.loads(line)["reason"] for line in (bench.run_dir / "results.jsonl").open()}
    assert "identity" in reason


def test_a_whole_run_with_identity_budget_power_log_and_kernel_log(bench, lab):
    uuid = json.loads(bench("inspect", "mini-1", "--json", "--bench", "lab.toml").stdout)["identity"]
    bench.bench.write_text(BENCH.replace("expendable = true", f'expendable = true\nidentity = "{uuid}"'))
    done = bench(*RUN)
    assert done.returncode == 3, done.stdout + done.stderr
    assert (
        "INCONCLUSIVE (the switch of mini-1 is not calibrated)   hardware run: 1 key took part" in done.stdout
    )
    assert "`keyharness calibrate mini-1`" in done.stdout
    summary = check_summary((bench.run_dir / "summary.json").read_text())
    assert summary.proof == "sample"
    assert (summary.rigs[0].switch.calibrated, summary.rigs[0].switch.cuts) == (False, 2)
    rows = [json.loads(line) for line in (bench.run_dir / "evidence.jsonl").open()]
    assert len(rows) == 3
    for row in rows:
        shape = check_evidence(json.dumps(row))
        assert row["planned"]["marker"] == "end" or shape.fired_us <= shape.lost[0] <= shape.lost[1]
    assert {row["firmware"] for row in rows} == {"v1.8.3"}
    (campaign,) = (json.loads(line) for line in (bench.run_dir / "operations.jsonl").open())
    assert campaign["plugs"]["plugs"] >= 3
    (counted,) = json.loads((bench.run_dir / "summary.json").read_text())["plugs"]
    assert (counted["rig"], counted["plugs"]) == ("mini-1", campaign["plugs"]["plugs"])
    assert counted["per_thousand"] == {"-71": 0.0, "-110": 0.0}
    log = (bench.run_dir / "logs" / "mini-1.admin.power_up.kernel.log").read_text()
    assert log.count("## kh1:") == 3
    assert "usb 1-1.4.1: USB disconnect" in log
    assert "1-1.4.2" not in log, "the neighbour's lines are not this rig's"
    (power,) = (json.loads(path.read_text()) for path in bench.state.glob("keyharness/power/*.json"))
    assert (power["given_back"], power["on"]) == (True, True)
    assert lab.port(PORT).powered
    assert lab.port(NEIGHBOUR).offs == 0
    assert lab.port(PORT).offs > 3
    offs = lab.port(PORT).offs
    known = json.loads(bench("history", uuid, "--json").stdout)
    spent = {row["what"]: row["amount"] for row in known["spent"]}
    assert spent["relay_operations"] == offs, "every release of the relay, the cutter's among them"


def test_an_operation_is_interrupted_where_nobody_sees_inside(lab, usb):
    usb.wait_until_up()
    runs = []

    def pings():
        runs.append(0)
        device = ctaphid(usb)
        # The second run goes on until it is cut: on a busy host it may be much faster than the first one.
        while runs[-1] < (50 if len(runs) == 1 else 50_000):
            device.ping()
            runs[-1] += 1

    interrupt(usb, pings)
    assert runs[0] == 50, "whole, for its length"
    assert len(runs) == 2
    assert runs[1] < 50_000, "and cut"
    assert not usb.power.is_on
    assert usb.take_deaths() == [], "nothing that the key did by itself"
