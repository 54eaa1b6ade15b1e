"""Enrolment: what is seen, which one is meant, what gets into the bench."""

from __future__ import annotations

import json
import os
import socket
import tomllib

import pytest

from harness.base.errors import CallerError
from harness.bench.registry import discover
from harness.commands.enroll import add_to_bench, choices, rig_settings
from harness.commands.enroll_switch import SwitchOptions, with_switch
from harness.host.scan import Found, Sought, scan
from harness.safety.budget import Grants
from support.limits import HUNG_S

FIDO = bytes.fromhex("06d0f10901a1010920150026ff0075089540810209211500") + bytes(8)
KEYBOARD = bytes.fromhex("05010906a101")


def usb_key(root, port="1-1.4.1", node="hidraw3", product="42B2", descriptor=FIDO, serial=""):
    """A sysfs tree with one HID device, laid out as Linux does."""
    interface = root / f"sys/devices/pci0/usb1/1-1/1-1.4/{port}/{port}:1.1/0003:20A0:{product}.0007"
    interface.mkdir(parents=True)
    (interface / "report_descriptor").write_bytes(descriptor)
    (interface / "uevent").write_text(
        f"DRIVER=hid-generic\nHID_ID=0003:000020A0:0000{product}\nHID_NAME=Nitrokey Nitrokey 3\n"
        f"HID_PHYS=usb-0000:00:14.0-1.4.1/input1\nHID_UNIQ={serial}\n"
    )
    entry = interface / "hidraw" / node
    entry.mkdir(parents=True)
    (entry / "device").symlink_to(interface)
    folder = root / "sys/class/hidraw"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / node).symlink_to(entry)


def card(root, port="1-2"):
    device = root / f"sys/devices/pci0/usb1/{port}"
    interface = device / f"{port}:1.0"
    interface.mkdir(parents=True)
    for name, text in (
        ("idVendor", "20a0"),
        ("idProduct", "4230"),
        ("product", "Nitrokey HSM"),
        ("serial", "DENK01"),
    ):
        (device / name).write_text(text + "\n")
    (interface / "bInterfaceClass").write_text("0b\n")
    folder = root / "sys/bus/usb/devices"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{port}:1.0").symlink_to(interface)


def test_it_sees_fido_interfaces_and_card_readers_and_no_keyboards(tmp_path):
    usb_key(tmp_path, serial="ABC")
    usb_key(tmp_path, port="1-1.4.2", node="hidraw4", product="0001", descriptor=KEYBOARD)
    card(tmp_path)
    seen = scan(discover().sought(), tmp_path)
    found = [(one.kind, one.place, one.vendor_id, one.product_id, one.serial) for one in seen]
    assert found == [
        ("card", "1-2", 0x20A0, 0x4230, "DENK01"),
        ("hidraw", "1-1.4.1", 0x20A0, 0x42B2, "ABC"),
    ]


def test_a_hid_interface_of_another_kind_is_seen_by_the_ids_of_its_key(tmp_path):
    usb_key(tmp_path, descriptor=KEYBOARD, serial="ABC")
    assert scan(Sought(), tmp_path) == []
    (found,) = scan(Sought(ids=frozenset({(0x20A0, 0x42B2)})), tmp_path)
    assert (found.place, found.endpoint) == ("1-1.4.1", "")


def test_what_looks_like_a_kind_of_key_is_taken_for_the_model_that_fits_any():
    strangers = [
        Found("hidraw", "1-1", "any", 0x1209, 0x0001, endpoint="ctaphid"),
        Found("card", "1-2", "any", 0x1209, 0x0002, endpoint="card"),
    ]
    assert [choice.key for choice in choices(strangers, discover())] == ["fido2", None]


def test_it_sees_an_emulator_by_its_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", 35962))
        except OSError:
            pytest.skip("an emulator of somebody else's has the port")
        listener.listen()
        (mine,) = [one for one in scan(discover().sought()) if one.place == f"pid {os.getpid()}"]
    assert mine.kind == "process"
    assert (mine.more["transport"], mine.more["port"]) == ("ctaphid-tcp", 35962)
    assert mine.more["directory"] == os.getcwd()


@pytest.fixture
def desk(lab):
    """A lab with one key plugged in, and a bench that has nothing to do with it."""
    lab.root = lab.state / "root"
    usb_key(lab.root)
    lab.env["LATCHED_SWITCH"] = str(lab.state / "switch-2")
    lab.before = "# my bench\n" + lab.bench.read_text()
    lab.bench.write_text(lab.before)
    return lab


def enroll(desk, *more, stdin=None):
    import subprocess

    return subprocess.run(
        [*desk.command, "enroll", "--bench", "lab.toml", "--root", desk.root, *more],
        cwd=desk.cwd,
        env=desk.env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=HUNG_S,
        check=False,
    )


def rig_2(desk):
    text = desk.bench.read_text()
    assert text.startswith(desk.before), "what was there is there as it was"
    return tomllib.loads(text)["rig"][1]


def test_only_the_explicit_words_make_a_key_expendable(desk):
    done = enroll(desk, stdin="1\nmini-2\nthis key may be destroyed\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1-1.4.1" in done.stdout
    entry = rig_2(desk)
    assert entry["expendable"] is True
    assert (entry["key"], entry["driver"]) == ("nitrokey3-mini", "latched")
    assert entry["identity"].startswith("uuid:")
    done = desk("inspect", "mini-2", "--bench", "lab.toml")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [pytest.param("yes", marks=pytest.mark.long), "This key may be destroyed!"])
def test_other_words_do_not(desk, words):
    done = enroll(desk, "--pick", "1-1.4.1", "--name", "mini-2", "--expendable", words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert rig_2(desk)["expendable"] is False


def test_a_key_that_holds_what_is_not_ours_is_enrolled_read_only(desk):
    desk.env["LATCHED_PIN"] = "31415926"
    done = enroll(desk, "--pick", "1", "--name", "mini-2", "--expendable", "this key may be destroyed")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a PIN is set that is none of ours" in done.stdout
    assert rig_2(desk)["expendable"] is False


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--pick", "7", "--name", "x"], "its number"),
        (["--pick", "1", "--name", "real-1"], "a rig of that name"),
        (["--pick", "1", "--name", "Bad Name", "--expendable", "no"], "name"),
        (["--pick", "1", "--name", "x", "--key", "nosuch"], "nitrokey3-mini"),
    ],
)
def test_what_is_wrong_is_said_and_the_bench_stays_as_it_is(desk, more, word):
    done = enroll(desk, *more)
    assert done.returncode == 4, done.stdout + done.stderr
    assert word in done.stderr
    assert desk.bench.read_text() == desk.before
    assert {path.name for path in desk.cwd.iterdir()} == {"lab.toml"}


def test_without_a_driver_that_can_cut_it_is_not_enrolled(desk):
    del desk.env["LATCHED_SWITCH"]
    done = enroll(desk, "--pick", "1", "--name", "x")
    assert done.returncode == 4
    assert "no installed driver" in done.stderr


def test_what_is_seen_is_there_for_programs(desk):
    (one,) = json.loads(enroll(desk, "--scan").stdout)["found"]
    assert (one["kind"], one["place"]) == ("hidraw", "1-1.4.1")


def anonymous_rig():
    """A rig of hardware with a key that says no serial of its own."""
    from dataclasses import replace

    from harness.bench.registry import discover
    from harness.twin.model import TwinOptions
    from harness.twin.rig import TwinRig

    class Anonymous(TwinRig):
        evidence_kind = "hardware"
        vault = None

    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    rig = Anonymous("nk3", key, twin, TwinOptions(), 1, expendable=True)
    rig.key = replace(rig.key, identify=lambda rig: {"firmware": "v1"})
    return rig


class OneRig:
    """The part of a bench that custody asks for."""

    def __init__(self, identity):
        self.identity, self.budget, self.bootloader = identity, Grants(), None

    def settings(self, name):
        return self


def test_a_mark_that_a_reset_took_away_is_put_on_again(own_state):
    from harness.campaign.home import go_home
    from harness.safety.claim import Claims
    from harness_fido2.ownership import mark, marker

    rig = anonymous_rig()
    rig.power.on()
    made = mark(rig)
    rig.power.off()
    for _ in range(2):
        claims = Claims(OneRig(f"marker:{made}").settings, "test")
        claims.take(rig)
        memory = go_home(rig).memory
        rig.power.on()
        assert marker(rig) == made
        assert memory.part("fido2", object).marked == 1, "it counts among the resident credentials"
        rig.power.cycle()
        rig.key.operations["fido2.reset"].act(rig, memory)
        assert marker(rig) is None
        claims.release()
        rig.power.on()
        assert marker(rig) == made, "the next run knows it by that"
        rig.power.off()


def test_what_an_earlier_run_left_is_removed_and_what_somebody_else_put_there_is_not(own_state):
    from harness.base.errors import CallerError
    from harness.campaign.home import go_home
    from harness.safety.claim import Claims
    from harness_fido2.client import Fido
    from harness_fido2.ownership import mark

    rig = anonymous_rig()
    rig.power.on()
    made = mark(rig)
    rig.power.off()
    for _ in range(2):
        claims = Claims(OneRig(f"marker:{made}").settings, "test")
        claims.take(rig)
        memory = go_home(rig).memory
        claims.release()
    rig.power.on()
    pin = memory.part("fido2", object).pin
    Fido(rig).make_credential("bank.example", b"me", resident=True, pin=pin)
    with pytest.raises(CallerError, match="credentials of 1 relying parties that are not ours"):
        Claims(OneRig(f"marker:{made}").settings, "test").take(rig)


def test_what_cannot_be_seen_is_said_before_the_words_are_asked_for(desk):
    done = enroll(desk, "--pick", "1", "--name", "mini-2", "--expendable", "this key may be destroyed")
    assert "it may hold data that cannot be seen from here: FIDO2: any credential" in done.stdout


def test_a_key_without_a_serial_gets_a_mark_that_costs_nothing_to_read():
    from harness.safety.identity import identity
    from harness_fido2.ownership import mark, marker

    rig = anonymous_rig()
    rig.power.on()
    assert identity(rig) == "model:nitrokey3-mini/nk3"
    made = mark(rig)
    rig.power.cycle()
    assert identity(rig) == f"marker:{made}"
    assert marker(rig) == made


def rigs_of(desk):
    text = desk.bench.read_text()
    assert text.startswith(desk.before)
    return {rig["name"]: rig for rig in tomllib.loads(text)["rig"]}


def second_key(desk):
    usb_key(desk.root, port="1-1.4.2", node="hidraw4")


@pytest.mark.parametrize("answers", ["\n", "2\nmini-3\nno\n"], ids=["one", "two"])
def test_a_sitting_goes_on_until_no_other_key_is_named(desk, answers):
    second_key(desk)
    done = enroll(desk, stdin=f"1\nmini-2\nno\n{answers}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(rigs_of(desk)) == {"real-1", "mini-2", *(["mini-3"] if "mini-3" in answers else [])}


def test_several_keys_by_options(desk):
    second_key(desk)
    picks = ("--pick", "1-1.4.1", "--name", "a", "--pick", "1-1.4.2", "--name", "b")
    done = enroll(desk, *picks, "--expendable", "no")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(rigs_of(desk)) == {"real-1", "a", "b"}


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--pick", "1", "--pick", "2", "--name", "a"], "1 names for 2 keys"),
        (["--pick", "1", "--channel", "1", "--channel", "2"], "2 channels for 1 keys"),
        (
            ["--pick", "1", "--name", "a", "--power", "lcus"],
            "driver latched, which switches the power itself",
        ),
    ],
)
def test_options_that_do_not_fit_are_explained(desk, more, word):
    done = enroll(desk, *more)
    assert done.returncode == 4, done.stdout + done.stderr
    assert word in done.stderr
    assert desk.bench.read_text() == desk.before


HUB = {"port": "1-1.4.1", "power": {"driver": "hub"}}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (SwitchOptions(), {"power": {"driver": "hub"}}),
        (
            SwitchOptions("lcus", "hand", "/dev/ttyUSB0", 2, ("power.off_time_s=1.5",)),
            {
                "power": {"driver": "lcus", "port": "/dev/ttyUSB0", "channel": 2, "off_time_s": 1.5},
                "touch": {"driver": "hand"},
            },
        ),
        (
            SwitchOptions(touch="relay", more=("touch.switch.driver=lcus", "touch.switch.port=/dev/ttyUSB0")),
            {
                "power": {"driver": "hub"},
                "touch": {"driver": "relay", "switch": {"driver": "lcus", "port": "/dev/ttyUSB0"}},
            },
        ),
        (SwitchOptions(port="3"), {"power": {"driver": "hub", "port": 3}}),
    ],
)
def test_the_switch_gets_into_a_bench_that_can_be_read(tmp_path, options, expected):
    plugins = discover()
    settings = with_switch("usb", HUB, options, plugins)
    assert settings == {"port": "1-1.4.1", **expected}
    rig = rig_settings("a", "nitrokey3-mini", "usb", settings, expendable=False, identity=None)
    add_to_bench(tmp_path / "bench.toml", rig, plugins)
    (read,) = tomllib.loads((tmp_path / "bench.toml").read_text())["rig"]
    assert {name: read[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (SwitchOptions("lcsu"), "lcus"),
        (SwitchOptions(touch="foot"), "hand"),
        (SwitchOptions(more=("channel=2",)), "power.NAME=VALUE"),
        (SwitchOptions(more=("power.channel",)), "power.NAME=VALUE"),
        (SwitchOptions(more=("power.driver.x=1",)), "a table driver"),
    ],
)
def test_a_wrong_switch_is_explained(options, word):
    with pytest.raises(CallerError, match=word):
        with_switch("usb", HUB, options, discover())
