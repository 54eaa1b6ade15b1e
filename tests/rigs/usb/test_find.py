"""Which key is on a port: by its UUID, its serial or its place, and in words where it is if it is elsewhere."""

from __future__ import annotations

import io
import tomllib
from dataclasses import replace

import pytest

from harness.base.errors import CallerError
from harness.bench.registry import discover
from harness.commands.enroll import WORDS, EnrollOptions, choices, enrol_all
from harness.host.locks import Lock
from harness.host.scan import scan
from harness.host.uevents import wait_until
from harness.host.usb import device_at, devices, port_order
from harness.model.rig import KeyGone
from harness_rigs.usb.plugged_key import PluggedKey
from harness_transports.ctaphid import ctaphid
from support.lab import Look, Thing, TwinKey, keyboard, mute_key
from support.lab.plugin import keyharness_power
from support.usb import PORT, laboratory, make_rig

OTHER = "1-1.4.3"


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(tmp_path / "runtime"))


@pytest.fixture
def lab(tmp_path):
    with laboratory(tmp_path) as lab:
        yield lab


def uuid_at(port):
    usb = make_rig(port)
    usb.wait_until_up()
    said = usb.key.identify(usb)["uuid"]
    usb.close()
    return said


def enumerated(lab, port):
    assert wait_until(lab.host, lambda: device_at(lab.host, port), 5)


def refused(**options):
    usb = make_rig(**options)
    try:
        with pytest.raises(CallerError) as wrong:
            usb.wait_until_up()
    finally:
        usb.close()
    return wrong.value


def test_two_keys_of_one_model_are_told_apart(lab):
    lab.plug(PORT, TwinKey(1))
    lab.plug(OTHER, TwinKey(2))
    one, other = uuid_at(PORT), uuid_at(OTHER)
    assert one != other
    wrong = refused(uuid=other)
    assert f"another key is on port {PORT}" in wrong.what
    assert wrong.found == f"uuid {one}"
    assert wrong.expected == f"uuid {other}; that one is on port {OTHER}"
    usb = make_rig(uuid=one.lower())
    usb.wait_until_up()
    usb.close()


def test_a_key_that_was_moved_is_found_by_its_uuid(lab):
    key = lab.plug(OTHER, TwinKey(1))
    said = uuid_at(OTHER)
    wrong = refused(uuid=said, up_s=0.2)
    assert wrong.what == f'rig "mini-1": its key is not on port {PORT}'
    assert wrong.found == f"uuid {said} on port {OTHER}"
    assert PORT in wrong.expected
    assert f'port = "{OTHER}"' in wrong.mend
    lab.port(OTHER).unplug()
    lab.plug(PORT, key)
    usb = make_rig(uuid=said)
    usb.wait_until_up()
    usb.close()


def test_a_key_that_was_moved_is_found_by_the_identity_that_enroll_has_written(lab):
    lab.plug(OTHER, TwinKey(1))
    said = uuid_at(OTHER)
    wrong = refused(identity=f"uuid:{said.upper()}", up_s=0.2)
    assert wrong.what == f'rig "mini-1": its key is not on port {PORT}'
    assert wrong.found == f"uuid {said.upper()} on port {OTHER}"
    stranger = make_rig(identity=f"uuid:{said[::-1]}", up_s=0.2)
    with pytest.raises(KeyGone, match="nothing came up"):
        stranger.wait_until_up()
    stranger.close()


def test_a_key_that_was_asked_on_another_port_is_let_go_of(lab, monkeypatch):
    lab.plug(OTHER, TwinKey(1))
    said = uuid_at(OTHER)
    opened, closed = [], []
    monkeypatch.setattr(
        PluggedKey, "keep", lambda self, one: opened.append(one) or self._connections.append(one)
    )
    close = PluggedKey.close_connections
    monkeypatch.setattr(
        PluggedKey, "close_connections", lambda self: closed.extend(self._connections) or close(self)
    )
    refused(uuid=said, up_s=0.2)
    assert opened
    assert closed == opened
    assert all(one.is_over for one in opened)


def test_a_key_that_somebody_works_with_is_not_asked(lab):
    lab.plug(OTHER, TwinKey(1))
    said = uuid_at(OTHER)
    with Lock(f"port usb:{OTHER}") as lock:
        lock.take("somebody's campaign")
        usb = make_rig(uuid=said, up_s=0.2)
        with pytest.raises(KeyGone):
            usb.wait_until_up()
        usb.close()


def test_a_key_that_was_moved_is_found_by_its_serial(lab):
    lab.plug(OTHER, TwinKey(1, serial="0042"))
    enumerated(lab, OTHER)
    wrong = refused(serial="0042", up_s=0.2)
    assert wrong.found == f"serial 0042 on port {OTHER}"


@pytest.mark.parametrize("shows", [None, "", "0", "00000000"])
def test_a_key_without_a_serial_is_not_the_one_with_it(lab, shows):
    lab.plug(PORT, TwinKey(1, serial=shows))
    enumerated(lab, PORT)
    assert device_at(lab.host, PORT).serial is None
    wrong = refused(serial="0042")
    assert wrong.found == "a key that shows no serial"


def test_another_serial(lab):
    lab.plug(PORT, TwinKey(1, serial="0043"))
    lab.plug(OTHER, TwinKey(2, serial="0042"))
    enumerated(lab, OTHER)
    wrong = refused(serial="0042")
    assert (wrong.found, wrong.expected) == ("serial 0043", f"serial 0042; that one is on port {OTHER}")


@pytest.mark.parametrize("thing", [keyboard(), Thing(Look(0x1050, 0x0407, "YubiKey"))])
def test_another_device_is_no_key_of_this_model(lab, thing):
    lab.plug(PORT, thing)
    wrong = refused()
    assert thing.look.product in wrong.found
    assert wrong.expected == "a Nitrokey 3A Mini (20a0:42b2 or 20a0:42e8)"


def test_a_proven_key_that_comes_back_as_something_else_is_the_keys_fault(lab):
    lab.plug(PORT, TwinKey(1))
    usb = make_rig(up_s=0.3)
    usb.wait_until_up()
    usb.power.off()
    lab.port(PORT).unplug()
    lab.plug(PORT, Thing(Look(0x1FC9, 0x0021, "SE Blank RT Family")))
    usb.power.on()
    with pytest.raises(KeyGone, match="1fc9:0021 SE Blank RT Family, none of its faces"):
        usb.wait_until_up()
    usb.close()


def test_a_key_that_gives_no_uuid_is_not_the_one_with_it(lab):
    lab.plug(PORT, mute_key())
    wrong = refused(uuid="00" * 16, answer_s=0.1)
    assert wrong.found == "a key that tells no uuid"


def test_the_generic_key_takes_whatever_speaks_ctap(lab):
    lab.plug(PORT, TwinKey(1))
    usb = make_rig(key="fido2")
    assert ctaphid(usb).ping(b"x") == b"x"
    usb.close()


def test_devices_come_in_the_order_of_their_ports(lab):
    lab.hub("1-1.2", 11)
    for port in ("1-1.2.10", "1-1.2.9"):
        lab.plug(port, keyboard())
    seen = [device.port for device in devices(lab.host) if not device.is_hub]
    assert seen == ["1-1.2.9", "1-1.2.10"] == sorted(seen, key=port_order)


def test_a_key_is_enrolled_from_its_port_with_the_hub_s_switch(lab, tmp_path):
    plugins = discover()
    # The laboratory's `disable` files are obeyed, but it has no libusb that the real driver asks the hub through.
    (power,) = keyharness_power()
    plugins.power["hub"] = replace(power, name="hub")
    lab.plug(PORT, TwinKey(1, serial="0042"))
    lab.plug(OTHER, keyboard())
    enumerated(lab, PORT)
    found = scan(discover().sought())
    assert [(one.kind, one.place, one.serial) for one in found] == [("hidraw", PORT, "0042")]
    bench, out = tmp_path / "lab.toml", io.StringIO()
    request = EnrollOptions(bench, PORT, "mini-1", None, WORDS)
    assert enrol_all([request], found, plugins, out, lambda question: "") == ["mini-1"]
    (entry,) = tomllib.loads(bench.read_text())["rig"]
    identity = entry.pop("identity")
    assert identity.startswith("uuid:")
    assert entry == {
        "bootloader": identity.replace("uuid", "serial"),
        "name": "mini-1",
        "key": "nitrokey3-mini",
        "driver": "usb",
        "expendable": True,
        "port": PORT,
        "power": {"driver": "hub"},
        "serial": "0042",
    }
    assert lab.port(PORT).powered


def test_without_a_switch_of_the_kernels_a_person_is_offered(lab):
    lab.hub("1-1.2", 2, switchable=False)
    lab.plug("1-1.2.1", TwinKey(1))
    enumerated(lab, "1-1.2.1")
    (choice,) = choices(scan(discover().sought()), discover())
    assert (choice.driver, choice.settings) == ("usb", {"port": "1-1.2.1", "power": {"driver": "hand"}})
