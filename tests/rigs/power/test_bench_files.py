"""Power and touch drivers in a bench file: what is refused and how it is said; drivers from outside; shared boards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from harness.base.errors import CallerError
from harness.bench.bench import load_bench
from harness.host.locks import InUse
from harness_rigs.power.board_lock import BoardLock
from support.command import Cli
from support.limits import HUNG_S
from support.paths import with_support
from support.power.powertools import plugins, says
from support.power.serialboards import DevantechBoard

RIG = """
[[rig]]
name = "{name}"
key = "nitrokey3-mini"
driver = "usb"
port = "{port}"
{tables}
"""


def rig(name: str, port: str, tables: str) -> str:
    return RIG.format(name=name, port=port, tables=tables)


def relay(channel: int, kind: str = "power", node: str = "/dev/ttyUSB0") -> str:
    return f'[rig.{kind}]\ndriver = "lcus"\nport = "{node}"\nchannel = {channel}\n'


FINGER = (
    '[rig.touch]\ndriver = "relay"\nswitch = {{ driver = "lcus", port = "/dev/ttyUSB0", channel = {} }}\n'
)
REFUSED = {
    "two rigs on one channel": (
        rig("mini-1", "1-1.1", relay(1)) + rig("mini-2", "1-1.2", relay(1)),
        [
            'rig "mini-2" · power',
            "lcus /dev/ttyUSB0 channel 1",
            'rig "mini-1" · power',
            "a channel of its own",
        ],
    ),
    "a finger on a rig's power": (
        rig("mini-1", "1-1.1", relay(1)) + rig("mini-2", "1-1.2", relay(2) + FINGER.format(1)),
        ['rig "mini-2" · touch', "lcus /dev/ttyUSB0 channel 1", 'rig "mini-1" · power'],
    ),
    "one command for two rigs": (
        "".join(
            rig(f"mini-{n}", f"1-1.{n}", '[rig.power]\ndriver = "command"\non = ["true"]\noff = ["false"]\n')
            for n in (1, 2)
        ),
        ['rig "mini-2" · power', "command false"],
    ),
    "two rigs on one port": (
        rig("mini-1", "1-1.1", relay(1)) + rig("mini-2", "1-1.1", relay(2)),
        ['rig "mini-2" · port', "1-1.1", 'where rig "mini-1" is', "a port of its own"],
    ),
    "one port of a hub, said and followed": (
        rig("mini-1", "1-1.4.2", '[rig.power]\ndriver = "hub"\n')
        + rig("mini-2", "1-1.4.3", '[rig.power]\ndriver = "hub"\nhub = "1-1.4"\nport = 2\n'),
        ['rig "mini-2" · power', "hub port 1-1.4.2", 'rig "mini-1" · power'],
    ),
    "unknown driver": (
        rig("mini-1", "1-1.1", relay(1).replace("lcus", "lcuss")),
        ['rig "mini-1" · power.driver', "lcuss", "lcus, lcus-hid", "combined"],
    ),
    "unknown setting": (
        rig("mini-1", "1-1.1", relay(1) + "chanel = 2\n"),
        ['rig "mini-1" · power.chanel', '"chanel"', "channel", "off_time_s"],
    ),
    "a release that ends before it begins": (
        rig("mini-1", "1-1.1", relay(1) + "release_ms = [5, 1]\n"),
        ['rig "mini-1" · power.release_ms', "[least, most] in milliseconds"],
    ),
    "a channel that no board has": (rig("mini-1", "1-1.1", relay(0)), ['rig "mini-1" · power.channel', "0"]),
    "no node": (
        rig("mini-1", "1-1.1", relay(1, node="ttyUSB0")),
        ['rig "mini-1" · power.port', "ttyUSB0", "/dev/"],
    ),
    "a setting that is missing": (
        rig("mini-1", "1-1.1", '[rig.power]\ndriver = "kmtronic"\nport = "/dev/ttyUSB0"\n'),
        ['rig "mini-1" · power.relays', "nothing"],
    ),
    "a finger's switch": (
        rig("mini-1", "1-1.1", FINGER.format('1, normaly = "open"')),
        ['rig "mini-1" · touch.switch', 'switch.normaly: no such setting of "lcus"', "normally"],
    ),
}


@pytest.fixture
def cli(tmp_path):
    return Cli(tmp_path)


@pytest.mark.parametrize("text, words", REFUSED.values(), ids=REFUSED)
def test_a_bench_that_is_wrong(tmp_path, text, words):
    (tmp_path / "lab.toml").write_text(text)
    with pytest.raises(CallerError) as caught:
        load_bench(tmp_path / "lab.toml", plugins())
    says(caught.value, "lab.toml: rig", "found", "expected", *words)


def test_the_command_line_says_so_too(cli):
    text, words = REFUSED["two rigs on one channel"]
    (cli.cwd / "lab.toml").write_text(text)
    done = cli("list", "--bench", "lab.toml")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    says(Exception(done.stderr), "lab.toml: rig", "found", "expected", *words)


GOOD = rig("mini-1", "1-1.1", relay(1) + FINGER.format(3)) + rig(
    "mini-2", "1-1.2", relay(2) + FINGER.format(4)
)
OWN_PORTS = "".join(rig(f"hub-{n}", f"1-1.{n}", '[rig.power]\ndriver = "hub"\n') for n in (1, 2))


@pytest.mark.parametrize("text", [GOOD, OWN_PORTS], ids=["one board", "each its own port of a hub"])
def test_rigs_that_share_a_board_are_fine(tmp_path, text):
    (tmp_path / "lab.toml").write_text(text)
    benches = [load_bench(tmp_path / "lab.toml", plugins()) for _ in range(2)]
    first, again = ([bench.wiring(name) for name in bench.rigs] for bench in benches)
    assert first == again, "a calibration is of one wiring, and has to be found again"
    assert len(set(first)) == 2


OUTSIDE = '''
from pydantic import BaseModel
from harness.bench.plugin_api import PowerDriver, hookimpl
from harness.api import PowerSwitch


class Options(BaseModel):
    outlet: int


class Outlet(PowerSwitch):
    """A socket strip of Acme's."""

    def __init__(self, request):
        self.file = request.host.root / f"outlet-{request.options.outlet}"

    @property
    def is_on(self):
        return self.file.exists()

    def on(self):
        self.file.touch()

    def off(self):
        self.file.unlink(missing_ok=True)


@hookimpl
def keyharness_power():
    return [PowerDriver("acme-strip", "Acme's socket strip", Options, Outlet, lambda o: f"acme {o.outlet}")]
'''
USE = """
import sys
from pathlib import Path
from harness.bench.bench import load_bench
from harness.base.clock import MonotonicClock
from harness.bench.registry import discover
from harness.bench.plugin_api import ActuatorRequest
from harness.host.host import Host

actuator = load_bench(Path("lab.toml"), discover())._requests["mini-1"].power
host = Host(Path(sys.argv[1]))
switch = actuator.driver.make(ActuatorRequest("mini-1", actuator.options, None, host, MonotonicClock()))
switch.on()
print(switch.is_on)
"""


def test_a_driver_from_outside_is_like_our_own(cli):
    """Found by its entry point, refused and shown like ours, and a part of our own combinations."""
    site = cli.cwd / "site"
    info = site / "acme_strip-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-strip\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[keyharness]\nacme-strip = acme_strip\n")
    (site / "acme_strip.py").write_text(OUTSIDE)
    cli.env["PYTHONPATH"] = str(site)
    outlet = '[rig.power]\ndriver = "acme-strip"\noutlet = {}\n'
    (cli.cwd / "lab.toml").write_text(
        rig("mini-1", "1-1.1", outlet.format(1)) + rig("mini-2", "1-1.2", outlet.format(1))
    )
    done = cli("list", "--bench", "lab.toml")
    assert done.returncode == 4
    says(Exception(done.stderr), 'rig "mini-2" · power', "acme 1")
    (cli.cwd / "lab.toml").write_text(rig("mini-1", "1-1.1", outlet.format('"x"')))
    says(
        Exception(cli("list", "--bench", "lab.toml").stderr),
        'rig "mini-1" · power.outlet',
        "x",
        "whole number",
    )
    parts = 'parts.{} = {{ driver = "acme-strip", outlet = {} }}\n'
    combined = '[rig.power]\ndriver = "combined"\n' + parts.format("one", 1) + parts.format("two", 2)
    (cli.cwd / "lab.toml").write_text(rig("mini-1", "1-1.1", combined))
    done = subprocess.run(
        [sys.executable, "-c", USE, str(cli.cwd)],
        cwd=cli.cwd,
        env=cli.env,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n", done.stderr
    assert (cli.cwd / "outlet-1").exists()
    assert (cli.cwd / "outlet-2").exists()


SWITCHING = """
import sys
from pathlib import Path
from support.power.powertools import power
from harness.base.clock import MonotonicClock
from harness.host.host import Host
host, channel = Host(Path(sys.argv[1])), int(sys.argv[2])
switch = power("devantech", host, MonotonicClock(), port="/dev/ttyUSB0", channel=channel, rig=f"mini-{channel}")
for _ in range(15):
    switch.on()
    switch.off()
switch.on()
"""


def test_three_processes_share_a_board(host):
    board = DevantechBoard(host.dev / "ttyUSB0", 8)
    argv = [sys.executable, "-c", SWITCHING, str(host.root)]
    running = [
        subprocess.Popen([*argv, str(channel)], env=with_support(), stderr=subprocess.PIPE, text=True)
        for channel in (1, 2, 3)
    ]
    failed = [process.communicate(timeout=HUNG_S)[1] for process in running]
    board.close()
    assert failed == ["", "", ""]
    assert [number for number, on in board.relays.items() if on] == [1, 2, 3]
    assert board.switched == 3 * 31


def test_a_turn_is_waited_for_and_not_for_ever():
    with (
        BoardLock("board", 1),
        pytest.raises(InUse, match="board is in use for longer"),
        BoardLock("board", 0.1),
    ):
        raise AssertionError("it was given twice")
    first = BoardLock("board", 1).__enter__()
    got = threading.Event()

    def wait():
        with BoardLock("board", 10):
            got.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert not got.is_set()
    first.__exit__()
    assert got.wait(HUNG_S)
    waiter.join(5)
    with BoardLock("board", 1), BoardLock("another board", 1):
        pass


def test_a_forked_child_does_not_keep_a_turn():
    read, write = os.pipe()
    with BoardLock("board", 1):
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    try:
        with BoardLock("board", 1):
            pass
    finally:
        os.write(write, b"x")
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
