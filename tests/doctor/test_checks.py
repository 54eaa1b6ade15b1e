"""`keyharness doctor`: each check on a host where it fires, and on one where it does not."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from dataclasses import replace

import pytest

from harness.base.errors import RigError
from harness.bench.calibration import Calibration, keep
from harness.bench.registry import discover
from harness.doctor import daemons, open_files, permissions, rigs, software, storage
from harness.doctor.checks import load_host, run_checks, verdict
from harness.doctor.context import CheckedHost
from harness.doctor.show import show
from harness.doctor.udev_rules import FILE, install, rules
from harness.host.hubs import hubs
from harness.host.hubs import show as show_hubs
from harness.host.locks import Lock
from harness.safety import quarantine
from harness.safety.power_journal import PowerLog
from support.lab import Lab, Look, Thing, TwinKey, keyboard, mute_key, plugin
from support.lab.labhost import LabHost
from support.lab.tree import FIDO_DESCRIPTOR
from support.power.fakehost import FakeBackend
from support.power.fakehubs import HubThing

BENCH = """\
[[rig]]
name = "mini-1"
key = "nitrokey3-mini"
driver = "usb"
port = "1-1.4.1"
{more}
[rig.power]
driver = "{power}"
"""
VIRTUAL = '[[rig]]\nname = "v"\nkey = "nitrokey3-mini"\ndriver = "virtual"\n'
VENDORS_RULES = """\
ACTION!="add|change", GOTO="u2f_end"
KERNEL=="hidraw*", SUBSYSTEM=="hidraw", ATTRS{idVendor}=="20a0", ATTRS{idProduct}=="42b2", TAG+="uaccess"
SUBSYSTEMS=="usb", ATTRS{idVendor}=="20a0", ATTRS{idProduct}=="42b2", TAG+="uaccess"
ATTRS{idVendor}=="20a0", ATTRS{idProduct}=="42e8", TAG+="uaccess"
LABEL="u2f_end"
SUBSYSTEM!="usb", GOTO="gnupg_rules_end"
ACTION!="add", GOTO="gnupg_rules_end"
ATTR{idVendor}=="20a0", ATTR{idProduct}=="4108", ENV{ID_SMARTCARD_READER}="1", TAG+="uaccess"
ATTRS{idVendor}=="20a0", ATTRS{idProduct}=="42b4", TAG+="uaccess"
ATTR{idVendor}=="20a0", ATTR{idProduct}=="4230", ENV{ID_SMARTCARD_READER}="1", TAG+="uaccess"
LABEL="gnupg_rules_end"
"""
"""What 41-nitrokey.rules has for the known keys and their bootloaders (nitrokey-udev-rules b0e4238, CC0-1.0)."""
WIRING = "usb 1-1.4.1; power lab, lab None"


@pytest.fixture(scope="module")
def plugins():
    found = discover()
    for table, made in ((found.power, plugin.keyharness_power()), (found.touch, plugin.keyharness_touch())):
        table.update({driver.name: driver for driver in made})
    return found


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.delenv("KEYHARNESS_LEDGER", raising=False)
    with Lab(tmp_path / "lab") as lab, lab.standing_in():
        lab.hub("1-1.4", ports=7)
        lab.thing = HubThing(7)

        class Things:
            sys, things = lab.tree.sys, {"1-1.4": lab.thing}

        monkeypatch.setattr(LabHost, "usb_backend", lambda self: FakeBackend(Things))
        yield lab


@pytest.fixture
def patient(lab, tmp_path, plugins):
    """Makes the patient with a bench; None is without one."""

    def made(bench=BENCH, *, power="lab", more="", **how):
        from harness.bench.bench import load_bench

        loaded = None
        if bench is not None:
            file = tmp_path / "lab.toml"
            file.write_text(bench.format(power=power, more=more))
            loaded = load_bench(file, plugins)
        return CheckedHost(lab.host, plugins, loaded, **how)

    return made


def plugged(lab, thing, port="1-1.4.1"):
    """Plug something in, and wait until it is there."""
    from harness.host.uevents import wait_until
    from harness.host.usb import device_at

    lab.plug(port, thing)
    assert wait_until(lab.host, lambda: device_at(lab.host, port), 20) is not None
    return thing


def runs(lab, name, pid=4711):
    """A program that runs on that host."""
    folder = lab.folder / "proc" / str(pid)
    folder.mkdir()
    (folder / "comm").write_text(f"{name[:15]}\n")


def node_of(lab):
    return next(lab.tree.dev.glob("hidraw*"))


def texts(findings, *levels):
    return [one.text for one in findings if not levels or one.level in levels]


# Software.


def test_python_says_what_there_is(patient):
    (found,) = software.python(patient())
    assert found.level == "ok"
    assert found.text.startswith(f"python {sys.version_info.major}.{sys.version_info.minor}.")
    assert " plugins" in found.text
    chosen = patient()
    outside = replace(chosen.plugins.found[0], distribution="acme-key", version="0.3")
    chosen.plugins = replace(chosen.plugins, found=[*chosen.plugins.found, outside])
    (found,) = software.python(chosen)
    assert found.text.endswith("(1 from outside: acme-key 0.3)")


def test_a_pair_of_pytest_and_xdist_that_does_not_work(patient):
    assert [one.level for one in software.xdist(patient(), "9.2.0", "3.8.0")] == ["warn"]
    assert not list(software.xdist(patient(), "9.1.1", "3.8.0"))
    assert not list(software.xdist(patient(), "9.2.0", "3.9.0"))


def test_libraries(patient):
    found = list(software.libraries(patient(loads=lambda name: "usb" in name)))
    assert [one.level for one in found] == ["ok", "warn"]
    assert found[1].mend == "sudo apt install libpcsclite1"
    assert texts(software.libraries(patient(loads=lambda name: True)), "warn", "fault") == []


def test_scheduling(patient):
    (found,) = software.scheduling(patient(may_fifo=lambda: False))
    assert (found.level, found.mend) == ("warn", "ulimit -r 60, or CAP_SYS_NICE for python")
    (found,) = software.scheduling(patient(may_fifo=lambda: True))
    assert found.level == "ok"
    before = os.sched_getscheduler(0)
    assert isinstance(patient().may_fifo(), bool)
    assert os.sched_getscheduler(0) == before, "trying it leaves no trace"


# Nodes and rules.


def test_a_node_that_is_roots(lab, patient):
    plugged(lab, mute_key())
    chosen = patient()
    assert [one.level for one in permissions.hidraw(chosen)] == ["ok"]
    node_of(lab).chmod(0o600)
    node = node_of(lab)
    node.chmod(0)
    (found,) = permissions.hidraw(chosen)
    assert found.level == "fault"
    assert found.text == f"/dev/{node.name} is not readable by you (---------- {node.owner()}): rig mini-1"
    assert found.mend.startswith("sudo keyharness doctor --install-udev-rules")
    (found,) = permissions.hidraw(patient(VIRTUAL))
    assert found.level == "warn", "no rig of this bench is on it"
    assert "20a0:42b2 Nitrokey 3" in found.text


def test_the_rule_names_every_identity_and_is_found_again(lab, patient):
    chosen = patient()
    (found,) = permissions.udev_rules(chosen)
    assert found.level == "warn"
    for vendor, product in chosen.key_ids:
        assert f"{vendor:04x}:{product:04x} Nitrokey" in found.text
    path = install(chosen)
    assert path == lab.folder / FILE
    assert [one.level for one in permissions.udev_rules(chosen)] == ["ok"]
    text = path.read_text()
    for vendor, product in chosen.key_ids:
        assert text.count(f'{{idVendor}}=="{vendor:04x}", ATTRS{{idProduct}}=="{product:04x}"') == 2
    for board in ('"16c0", ATTRS{idProduct}=="05df"', '"04d8", ATTRS{idProduct}=="f2f7"'):
        assert text.count(f'SUBSYSTEM=="hidraw", ATTRS{{idVendor}}=={board}') == 1
    assert "plugdev" not in text, "that host has no such group"
    (lab.folder / "etc/group").write_text("root:x:0:\nplugdev:x:46:me\n")
    assert 'GROUP="plugdev"' in rules(chosen)
    assert "*-port*/disable" in rules(chosen)
    (found,) = permissions.udev_rules(chosen)
    assert "another version" in found.text
    install(chosen)
    assert [one.level for one in permissions.udev_rules(chosen)] == ["ok"]


def test_the_vendors_own_rule_will_do(lab, patient):
    folder = lab.folder / "usr/lib/udev/rules.d"
    folder.mkdir(parents=True)
    (folder / "41-nitrokey.rules").write_text(VENDORS_RULES)
    assert not list(permissions.udev_rules(patient()))
    hidden = lab.folder / "etc/udev/rules.d"
    hidden.mkdir(parents=True)
    (hidden / "41-nitrokey.rules").write_text("")
    assert [one.level for one in permissions.udev_rules(patient())] == ["warn"], (
        "a file of that name hides it"
    )


def test_rules_are_valid_lines(patient, lab):
    """Each line is matches and assignments as udev(7) has them."""
    import re

    (lab.folder / "etc").mkdir()
    (lab.folder / "etc/group").write_text("plugdev:x:46:\n")
    pair = r'[A-Z]+(\{[A-Za-z_/]+\})?(==|=|\+=)"[^"]*"'
    lines = [line for line in rules(patient()).splitlines() if not line.startswith("#")]
    assert len(lines) > 6
    for line in lines:
        assert re.fullmatch(rf"{pair}(, {pair})*", line), line


def test_rules_that_may_not_be_written(patient, lab):
    (lab.folder / "etc").write_text("in the way")
    with pytest.raises(RigError) as error:
        install(patient())
    assert error.value.mend == "sudo keyharness doctor --install-udev-rules"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every file")
def test_a_hub_port_that_may_not_be_switched(lab, patient):
    file = lab.tree.port("1-1.4.1") / "disable"
    file.chmod(0o444)
    (found,) = permissions.hub_ports(patient(power="hub"))
    assert (found.level, found.rig) == ("fault", None)
    file.chmod(0o644)
    assert not list(permissions.hub_ports(patient(power="hub")))


# Daemons.


def test_pcscd(lab, patient):
    assert texts(daemons.pcscd(patient()), "warn") == ["pcscd is not installed: no card side of keys"]
    (lab.folder / "usr/sbin").mkdir(parents=True)
    (lab.folder / "usr/sbin/pcscd").touch()
    assert "does not run" in texts(daemons.pcscd(patient()), "ok")[0]
    runs(lab, "pcscd")
    assert texts(daemons.pcscd(patient()), "ok") == ["pcscd runs (process 4711)"]


def test_usbguard(lab, patient):
    plugged(lab, mute_key())
    assert not list(daemons.usbguard(patient()))
    authorized = lab.tree.folder("1-1.4.1") / "authorized"
    authorized.write_text("1\n")
    runs(lab, "usbguard-daemon")
    (found,) = daemons.usbguard(patient())
    assert found.level == "warn"
    assert {"id 20a0:42b2", "id 20a0:42e8"} <= {
        f"id {word}" for word in re.findall(r"id (\S+:\w+)", found.mend)
    }
    authorized.write_text("0\n")
    (found,) = daemons.usbguard(patient())
    assert found.level == "fault"
    assert "20a0:42b2 Nitrokey 3 at 1-1.4.1 is blocked (authorized = 0): rig mini-1" in found.text


def test_modem_manager(lab, patient):
    assert not list(daemons.modem_manager(patient()))
    runs(lab, "ModemManager")
    (found,) = daemons.modem_manager(patient())
    assert found.level == "warn"
    install(patient())
    assert [one.level for one in daemons.modem_manager(patient())] == ["ok"]


def test_brltty_that_takes_a_relay_board_is_named(lab, patient):
    board = Thing(Look(0x1A86, 0x7523, "USB Serial"))
    assert not list(daemons.brltty(patient()))
    runs(lab, "brltty")
    (found,) = daemons.brltty(patient())
    assert (found.level, "CH340" in found.text) == ("warn", True)
    plugged(lab, board)
    (found,) = daemons.brltty(patient())
    assert (found.level, "1a86:7523" in found.text, "no serial port" in found.text) == ("fault", True, True)
    assert "apt remove brltty" in found.mend


def test_a_relay_board_that_has_its_port_is_no_concern_of_brltty(lab, patient):
    runs(lab, "brltty")
    plugged(lab, Thing(Look(0x1A86, 0x7523, "USB Serial", tty="/dev/null")))
    assert not list(daemons.brltty(patient()))


def test_scdaemon(lab, patient):
    assert not list(daemons.scdaemon(patient()))
    runs(lab, "scdaemon")
    (found,) = daemons.scdaemon(patient())
    assert "process 4711" in found.text
    assert "gpgconf --kill scdaemon" in found.mend


def test_autosuspend(lab, patient):
    plugged(lab, mute_key())
    plugged(lab, keyboard(), "1-1.4.2")
    assert not list(daemons.autosuspend(patient()))
    for port in ("1-1.4.1", "1-1.4.2"):
        power = lab.tree.folder(port) / "power"
        (power / "control").write_text("auto\n")
        (power / "autosuspend_delay_ms").write_text("2000\n")
    (found,) = daemons.autosuspend(patient())
    assert "20a0:42b2 Nitrokey 3 at 1-1.4.1 may be suspended" in found.text
    (lab.tree.folder("1-1.4.1") / "power/autosuspend_delay_ms").write_text("-1000\n")
    assert not list(daemons.autosuspend(patient()))


def test_a_node_that_another_program_has_open(lab, patient):
    plugged(lab, mute_key())
    node = f"/dev/{node_of(lab).name}"
    relay = '[rig.touch]\ndriver = "command"\non = ["true", "/dev/serial/by-id/relay"]\noff = ["true"]\n'
    (lab.tree.dev / "ttyUSB0").touch()
    (lab.tree.dev / "serial/by-id").mkdir(parents=True)
    (lab.tree.dev / "serial/by-id/relay").symlink_to("../../ttyUSB0")
    chosen = patient(BENCH + relay)
    assert not list(open_files.busy(chosen))
    runs(lab, "firefox-esr", 4711)
    runs(lab, "minicom", 4712)
    for pid, opened in ((4711, node), (4712, "/dev/ttyUSB0"), (4712, "/dev/null")):
        folder = lab.folder / "proc" / str(pid) / "fd"
        folder.mkdir(exist_ok=True)
        (folder / str(len(list(folder.iterdir())))).symlink_to(opened)
    found = sorted(open_files.busy(patient(BENCH + relay)), key=lambda one: one.text)
    assert [(one.level, one.rig) for one in found] == [("warn", "mini-1"), ("fault", "mini-1")]
    assert found[0].text == f"{node} is open in firefox-esr (process 4711)"
    assert found[1].text == "/dev/ttyUSB0 is open in minicom (process 4712)"
    assert not list(open_files.busy(patient(VIRTUAL)))


# Rigs.


def test_a_rig_that_is_well_has_one_line(lab, patient):
    plugged(lab, mute_key("00A7"))
    keep(
        Calibration(
            "mini-1",
            WIRING,
            _days_ago(1),
            cut_ms=31.0,
            cut_jitter_ms=2.0,
            back_ms=710.0,
            off_s=0.2,
            cycles=20,
        )
    )
    (found,) = rigs.rigs(patient(more='identity = "uuid:5D8A00"'))
    assert (found.level, found.rig) == ("ok", "mini-1")
    assert found.text == (
        "key 5D8A... at 1-1.4.1, power cuts in 31 ms +- 2 ms, back in 0.71 s, calibrated yesterday"
    )


def _days_ago(days):
    from datetime import UTC, datetime, timedelta

    return f"{datetime.now(UTC) - timedelta(days=days, hours=1):%Y-%m-%dT%H:%M:%SZ}"


def test_a_rig_that_was_not_calibrated_or_long_ago_or_in_vain(lab, patient):
    plugged(lab, mute_key())
    found = list(rigs.rigs(patient()))
    assert [one.level for one in found] == ["ok", "warn"]
    assert found[1].text.startswith("was not calibrated as it is wired now")
    assert found[1].mend == "`keyharness calibrate mini-1`"
    keep(Calibration("mini-1", WIRING, _days_ago(40)))
    assert texts(rigs.rigs(patient()), "warn") == ["was last calibrated 40 days ago"]
    keep(Calibration("mini-1", WIRING, _days_ago(0), fault="the key was still on the bus\n  found x"))
    assert texts(rigs.rigs(patient()), "warn") == ["failed its calibration: the key was still on the bus"]


def test_a_missing_key_another_device_and_a_bootloader(lab, patient):
    chosen = patient()
    assert texts(rigs.rigs(chosen), "fault") == ["no key at 1-1.4.1, and its power is on"]
    plugged(lab, keyboard())
    (text,) = texts(rigs.rigs(chosen), "fault")
    assert text.startswith("046d:c31c USB Keyboard is at 1-1.4.1; expected a Nitrokey 3")
    lab.port("1-1.4.1").unplug()
    plugged(lab, Thing(Look(0x20A0, 0x42E8, "Nitrokey 3 Bootloader")))
    assert "the key at 1-1.4.1 is in its bootloader" in texts(rigs.rigs(chosen), "warn")
    lab.port("1-1.4.1").unplug()
    lab.port("1-1.4.1").power(False)
    (found, *_) = rigs.rigs(patient())
    assert found.level == "ok", "no key is seen on a port that is off"


def test_a_hub_that_cannot_switch_its_ports(lab, patient):
    plugged(lab, mute_key())
    assert not texts(rigs.rigs(patient(power="hub")), "fault")
    lab.thing.switching = 0
    (text,) = texts(rigs.rigs(patient(power="hub")), "fault")
    assert "hub 1-1.4 (0bda:5411) switches all of its ports at once" in text


def test_a_key_that_is_in_no_rig(lab, patient):
    plugged(lab, mute_key())
    plugged(lab, mute_key(), "1-1.4.3")
    plugged(lab, keyboard(), "1-1.4.2")
    (found,) = rigs.keys_without_rig(patient())
    assert (found.level, found.text) == ("ok", "20a0:42b2 Nitrokey 3 at 1-1.4.3 is in no rig of this bench")
    assert found.mend == "`keyharness enroll` adds it"
    assert not list(rigs.keys_without_rig(patient(VIRTUAL))), "nobody asked for real ones"


def test_a_port_that_no_hub_has_and_a_bench_that_is_wrong(lab, patient, tmp_path):
    (found,) = rigs.rigs(patient(BENCH.replace("1-1.4.1", "1-1.4.9")))
    assert (found.level, found.caller) == ("fault", True)
    assert "port: 9; expected a port of hub 1-1.4, which has 1-7" in found.text
    assert "list --hubs" in found.mend
    assert verdict([found]) == 4
    (tmp_path / "bad.toml").write_text("[[rig]]\nname = 1\n")
    _, wrong = load_host(tmp_path / "bad.toml", lab.host)
    assert verdict(wrong) == 4
    assert verdict([]) == 0


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("{folder}/fw", "command {folder}/fw: no such program"),
        ("{note}", "a file that you may not execute"),
        ("no-such-program", "no such program"),
        ("sh", None),
        ("./{{state}}/fw", None),
    ],
)
def test_an_emulator_whose_program_is_not_there(patient, tmp_path, monkeypatch, program, text):
    note = tmp_path / "note"
    note.write_text("no program")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    entry = (
        '[[rig]]\nname = "build"\nkey = "fido2"\ndriver = "emulator"\ntransport = "ctaphid-udp"\n'
        f'command = ["{program.format(note=note, folder=tmp_path)}"]\n'
    )
    bench = entry.replace("{", "{{").replace("}", "}}")
    told = texts(rigs.rigs(patient(bench)), "fault")
    if text is None:
        assert told == []
    else:
        (only,) = told
        assert text.format(folder=tmp_path) in only


def test_a_rig_in_use_in_quarantine_or_left_off(lab, patient):
    plugged(lab, mute_key())
    chosen = patient()
    with Lock("port usb:1-1.4.1") as lock:
        lock.take("run, rig mini-1")
        (found,) = rigs.rigs(chosen)
        assert found.level == "fault"
        assert f"in use: held by process {os.getpid()} since 20" in found.text
    assert not texts(rigs.rigs(chosen), "fault")
    log = PowerLog("port usb:1-1.4.1")
    rig = chosen.bench.make("mini-1", 1)
    log.take(rig)
    assert "a killed process left its power switched" in texts(rigs.rigs(chosen), "warn")
    log.give_back(rig)
    rig.close()
    quarantine.put("port usb:1-1.4.1", "it smokes")
    (text,) = texts(rigs.rigs(chosen), "fault")
    assert text.endswith(": it smokes")


def test_a_lock_that_somebody_left_behind(lab, patient):
    import subprocess

    fork = (
        "import os, sys\n"
        "from harness.host.locks import Lock\n"
        'lock = Lock("port usb:1-1.4.1"); lock.take("run, rig mini-1")\n'
        "os.set_inheritable(lock._fd, True)\n"
        "import subprocess\n"
        'child = subprocess.Popen(["sleep", "60"], pass_fds=[lock._fd], stdout=-3)\n'
        "print(child.pid, flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", fork], stdout=subprocess.PIPE, text=True, check=True)
    try:
        (found,) = rigs.rigs(patient())
        assert found.level == "fault"
        assert "locked by a child of process" in found.text
    finally:
        os.kill(int(done.stdout), 9)


def test_an_expendable_rig_without_an_identity(lab, patient):
    plugged(lab, mute_key())
    (found, *_) = (one for one in rigs.rigs(patient(more="expendable = true")) if one.level == "fault")
    assert found.text == "no identity in the bench: it will not be written to"
    assert found.caller


def test_simulated_rigs_are_well(patient):
    (found,) = rigs.rigs(patient(VIRTUAL))
    assert (found.level, found.text) == ("ok", "nitrokey3-mini · virtual")
    assert not list(rigs.rigs(patient(None)))


# Folders.


def test_folders(patient, monkeypatch, tmp_path):
    assert not list(storage.folders(patient()))
    (tmp_path / "file").touch()
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(tmp_path / "file" / "runtime"))
    (found,) = storage.folders(patient())
    assert found.level == "fault"
    assert "Not a directory" in found.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
def test_a_state_folder_that_is_somebody_elses(patient, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/1")
    assert [one.level for one in storage.folders(patient())] == ["fault"]


# All of it.


def test_the_exit_code_says_whether_a_run_would_work(lab, patient):
    plugged(lab, TwinKey(speed=40))
    chosen = patient(loads=lambda name: True, may_fifo=lambda: False)
    found = run_checks(chosen)
    assert verdict(found) == 0, texts(found, "fault")
    out = io.StringIO()
    show(found, out)
    lines = out.getvalue().splitlines()
    at = lines.index(next(line for line in lines if line.startswith("warn   real-time scheduling")))
    assert lines[at + 1] == "       mend: ulimit -r 60, or CAP_SYS_NICE for python"
    assert any(line.startswith("rig mini-1  ok     key 20a0:42b2 Nitrokey 3 at 1-1.4.1") for line in lines)
    node_of(lab).chmod(0)
    assert verdict(run_checks(patient())) == 3


def test_the_command(cli, lab):
    plugged(lab, mute_key())
    cli.env |= lab.environment() | {"XDG_STATE_HOME": str(cli.state), "COLUMNS": "200"}
    (cli.cwd / "lab.toml").write_text(BENCH.format(power="lab", more=""))
    done = cli("doctor", "--bench", "lab.toml", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert (document["schema"], document["command"], document["exit_code"]) == (1, "doctor", 0)
    assert {row["level"] for row in document["results"]} <= {"ok", "warn"}
    assert sum(document["totals"].values()) == len(document["results"])
    done = cli("doctor", "--install-udev-rules")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"written: {lab.folder / FILE}\nnow: udevadm control --reload-rules")
    (cli.cwd / "lab.toml").write_text(BENCH.format(power="lab", more="prot = 1"))
    done = cli("doctor", "--bench", "lab.toml")
    assert done.returncode == 4
    assert '"prot"' in done.stdout


def test_hubs_and_what_hangs_on_them(lab):
    plugged(lab, Thing(Look(0x20A0, 0x42B2, "Nitrokey 3", hid=(FIDO_DESCRIPTOR,))), "1-1.4.2")
    lab.hub("2-1", ports=2, switchable=False)
    found = {hub.name: hub for hub in hubs(lab.host)}
    assert list(found) == ["usb1", "usb2", "1-1", "1-1.4", "2-1"]
    assert [port.port for port in found["1-1.4"].ports] == [f"1-1.4.{n}" for n in range(1, 8)]
    assert found["1-1.4"].ports[1].device == "20a0:42b2 Nitrokey 3"
    assert {port.switched for port in found["1-1.4"].ports} == {"kernel"}
    assert {port.switched for port in found["2-1"].ports} == {"request"}
    assert found["usb1"].ports[0].device.startswith("0bda:5411 USB2.1 Hub")
    out = io.StringIO()
    show_hubs(lab.host, out)
    assert "hub 1-1.4 · 0bda:5411 USB2.1 Hub\n" in out.getvalue()
    (row,) = (line for line in out.getvalue().splitlines() if line.startswith("  1-1.4.2 "))
    assert row.split(maxsplit=1)[1].startswith("20a0:42b2 Nitrokey 3")
