"""The emulator rig: power, files, transports, touch, ports, and what it says when something is not there."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from fido2.ctap2 import Ctap2

from harness.base.errors import CallerError, RigError
from harness.campaign.home import go_home
from harness.campaign.live_cut import LiveCuts
from harness.model.outcome import Outcome
from harness.model.rig import KeyGone
from harness.search.plan import Plan
from harness_rigs.emulator.port_lock import PortLock
from harness_transports.card import card
from harness_transports.ctaphid import ctaphid
from support.emulator.emulated import TWIN_COMMAND, cut, make_rig, namespaces_permitted, tiny, twin
from support.limits import HUNG_S
from support.paths import with_support

IN_NAMESPACES = pytest.mark.skipif(
    not namespaces_permitted(), reason="this host does not permit network namespaces"
)


@pytest.fixture
def rigs():
    made = []
    yield made
    for rig in made:
        rig.close()


@pytest.fixture
def keep(rigs):
    def note(rig):
        rigs.append(rig)
        return rig

    return note


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A directory of the caller's, with something of his in it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "settings").write_text("as delivered")
    return mine


def info(rig):
    return Ctap2(ctaphid(rig)).info


def test_off_is_a_kill_and_files_are_what_remains(keep):
    rig = keep(tiny())
    assert not rig.power.is_on
    with pytest.raises(KeyGone):
        ctaphid(rig)
    rig.power.on()
    device = ctaphid(rig)
    assert info(rig).options["up"] is True
    rig.power.off()
    assert rig.take_deaths() == []
    with pytest.raises(OSError, match="switched off"):
        device.ping(b"x")
    first = rig.vault.snapshot()
    (rig.folder.path / "master").write_text("{}")
    (rig.folder.path / "more").mkdir()
    assert rig.vault.differing(first, rig.vault.snapshot()) == ["master", "more"]
    rig.vault.restore(first)
    assert rig.vault.snapshot().digest() == first.digest()


def test_the_cutter_kills_it_and_says_when(keep):
    rig = keep(tiny())
    rig.power.on()
    assert isinstance(rig.cutter.realtime, bool)
    at_us = rig.clock.now_us + 20_000
    rig.cutter.arm(at_us)
    made = rig.cutter.collect()
    assert made.took
    assert 0 <= made.fired_us - at_us < 50_000
    assert made.lost_us >= made.fired_us
    assert not rig.power.is_on
    rig.power.on()
    rig.cutter.arm(rig.clock.now_us + 10_000_000)
    assert rig.cutter.disarm() is None
    assert info(rig).options["up"] is True


def test_an_exit_code_that_asks_for_a_reboot_is_obeyed(keep):
    rig = keep(tiny("reboot", transport="ctaphid-tcp", reboot_codes=[100]))
    from harness_fido2.client import Fido

    rig.power.on()
    boots = rig.emulated.boots
    for user in (b"a", b"b", b"c"):
        Fido(rig).make_credential("example.com", user, resident=False)
    assert rig.emulated.process.wait(HUNG_S)
    rig.wait_until_up()
    assert info(rig).options["up"] is True
    assert rig.emulated.boots == boots + 1
    assert rig.take_deaths() == []


@IN_NAMESPACES
def test_several_run_side_by_side_on_the_same_ports(keep):
    together = [keep(tiny(name=f"emu-{number}")) for number in range(4)]
    for rig in together:
        rig.power.on()
    assert all(rig.emulated.host.isolated for rig in together)
    assert [info(rig).options["up"] for rig in together] == [True] * 4
    together[0].power.off()
    assert [info(rig).options["up"] for rig in together[1:]] == [True] * 3


def test_without_a_namespace_a_port_is_for_one_at_a_time(keep):
    ports = {"port": free_port(), "answer_port": free_port(), "isolation": "none"}
    one, other = (keep(tiny(name=name, **ports)) for name in ("one", "other"))
    one.power.on()
    with pytest.raises(
        RigError, match=f'rig "other": port {min(ports["port"], ports["answer_port"])}'
    ) as busy:
        other.power.on()
    assert 'rig "one"' in str(busy.value)
    assert "namespaces" in str(busy.value)
    one.power.off()
    one.close()
    other.power.on()
    assert info(other).options["up"] is True


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_a_lock_on_ports_is_free_when_its_holder_dies():
    port = free_port()
    program = (
        "import sys; from harness_rigs.emulator.port_lock import PortLock; PortLock([int(sys.argv[1])]).take('x');"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RigError, match="in use"):
            PortLock([port]).take("y")
        holder.kill()
    PortLock([port]).take("y")


def test_nothing_is_left_behind(keep):
    rig = tiny()
    rig.power.on()
    folder, pid = rig.folder.path, rig.emulated.process.pid
    rig.close()
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_emulators_die_with_the_harness(directory):
    program = f"""
import sys
from support.emulator.emulated import tiny
rig = tiny(directory={str(directory)!r})
rig.power.on(); rig.cutter.realtime
print(rig.emulated.process.pid, rig.emulated.host._process.pid, rig._cutter._process.pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=with_support(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as harness:
        pids = [int(word) for word in harness.stdout.readline().split()]
        pidfds = [os.pidfd_open(pid) for pid in pids]
        harness.kill()
    import select

    for pidfd in pidfds:
        assert select.select([pidfd], [], [], HUNG_S)[0], "it outlived the harness"
        os.close(pidfd)


@pytest.mark.parametrize("how", ["signal", "stdin"])
def test_touch_is_given_only_when_asked_for(keep, how):
    command = [word if word != "always" else how for word in TWIN_COMMAND]
    rig = keep(make_rig([*command, "--speed", "max"], transport="ctaphid-tcp", touch=how, ready_s=20))
    from harness_fido2.client import Fido

    rig.power.on()
    credential, _ = Fido(rig).make_credential("example.com", b"me", resident=False)
    assert credential.id
    event = threading.Event()
    asked = []

    def cancel(status):
        asked.append(status)
        event.set()

    from fido2.ctap import CtapError

    with pytest.raises(CtapError, match="KEEPALIVE_CANCEL"):
        Ctap2(ctaphid(rig)).get_assertion(
            "example.com",
            b"\0" * 32,
            [{"type": "public-key", "id": credential.id}],
            event=event,
            on_keepalive=cancel,
        )
    assert asked


def test_a_card_that_dials_us_is_spoken_to_without_a_daemon(keep):
    command = [*TWIN_COMMAND[:-2], "--vpcd", "127.0.0.1:{port}"]
    rig = keep(make_rig(command, transport="vpcd", ready_s=20, port=free_port()))
    rig.power.on()
    rig.wait_until_up()
    connection = card(rig)
    connection.connect()
    assert bytes(connection.getATR()).hex() == "3b8f01805d4e6974726f6b657900000000006a"
    assert connection.transmit(list(bytes.fromhex("00A4040009A00000084700000001"))) == ([], 0x90, 0)
    assert [mark.name for mark in rig.tap.marks] == ["request-sent", "response"]
    with pytest.raises(RigError, match='no transport "ctaphid"'):
        ctaphid(rig)
    rig.emulated.process.signal(signal.SIGSEGV)
    with pytest.raises(OSError):
        connection.transmit([0, 0, 0, 0])
    rig.power.off()
    assert rig.take_deaths() == ["crashed: SIGSEGV"]


@pytest.mark.parametrize(("lacks", "word"), [("smartcard", "pip install 'keyharness"), (None, "start pcscd")])
def test_pcsc_without_what_it_needs_is_said_clearly(keep, monkeypatch, tmp_path, lacks, word):
    try:
        ctypes.CDLL("libpcsclite.so.1")
    except OSError:
        pytest.skip("no libpcsclite.so.1 here")
    if lacks is not None:
        monkeypatch.setitem(sys.modules, lacks, None)
    else:
        pytest.importorskip("smartcard", reason="no pyscard here")
    monkeypatch.setenv("PCSCLITE_CSOCK_NAME", str(tmp_path / "nobody"))
    rig = keep(make_rig([sys.executable, "-c", "input()"], transport="pcsc", reader="Virtual"))
    with pytest.raises(RigError, match="transport pcsc") as error:
        rig.power.on()
    assert word in error.value.mend


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"transport": "pcsc", "isolation": "none"}, "reader"),
        ({"directory": "/nowhere"}, "a directory that is there"),
        ({"touch_signal": "SIGTOUCH"}, "name of a signal"),
    ],
)
def test_options_that_do_not_fit_are_explained(options, word):
    with pytest.raises(CallerError) as error:
        tiny(**options)
    assert word in str(error.value)


def test_a_command_that_is_not_there_is_explained(keep):
    with pytest.raises(CallerError, match="command /no/such/emulator"):
        keep(make_rig(["/no/such/emulator"])).power.on()


@pytest.mark.long
def test_a_counter_in_ram_is_caught_over_a_clean_restart(keep):
    result, _ = cut(keep(twin("--speed", "max", "--defect", "counter-in-ram")), "fido2.client_pin.wrong", 1)
    assert result.rows[0]["planned"] == {"marker": "end", "offset_us": 0}
    assert result.rows[0]["outcome"] == "loosened"
    assert result.findings[0].item == "fido2.pin_retries"


@pytest.mark.long
def test_a_sound_twin_passes(keep):
    result, _ = cut(keep(twin("--speed", "max")), "fido2.client_pin.change", 4)
    assert result.complete
    assert result.findings == []


@pytest.mark.long
def test_a_defect_in_the_order_of_writes_is_caught(keep):
    result, _ = cut(
        keep(twin("--speed", "real", "--defect", "pin-compared-first")), "fido2.client_pin.wrong", 4
    )
    assert Outcome.LOOSENED in {finding.outcome for finding in result.findings}


@pytest.mark.long
def test_a_guess_that_a_busy_host_held_up_is_not_taken_for_a_free_one(keep):
    rig = keep(twin("--speed", "real"))
    cuts = LiveCuts(rig, rig.key.operations["fido2.client_pin.wrong"], go_home(rig), rechecks=0)
    quick = cuts.prepare().profile
    marker = [name for name, _ in quick.markers if name.startswith("request-sent")][-1]
    # As if a right PIN had been measured in no time, while the host was idle.
    cuts.prepare(replace(quick, reference_us=0))
    judged = cuts.make(Plan(marker, 500, round(dict(quick.markers)[marker]) + 500))
    assert judged.row["outcome"] != Outcome.LOOSENED
    assert judged.note.get("breaches", []) == []


def test_an_emulators_state_directory_may_be_the_callers_again_and_again(directory):
    for _ in range(2):
        rig = tiny(directory=directory)
        assert (rig.folder.path / "settings").read_text() == "as delivered"
        assert not (directory / "master").exists(), "each run begins with what was first given"
        go_home(rig)
        (directory / "settings").write_text("as the emulator has it")
        rig.close()
        assert (directory / "master").exists(), "what a run leaves can be looked at"


def test_what_somebody_else_put_into_the_directory_is_not_taken_away(directory):
    rig = tiny(directory=directory)
    go_home(rig)
    rig.close()
    (directory / "settings").write_text("changed by hand")
    rig = tiny(directory=directory)
    try:
        with pytest.raises(CallerError, match="not empty"):
            go_home(rig)
    finally:
        rig.close()
    assert (directory / "settings").read_text() == "changed by hand"


def test_what_a_killed_run_left_in_the_directory_is_kept(directory, tmp_path):
    program = f"""
import os
from support.emulator.emulated import tiny
rig = tiny(directory={str(directory)!r})
rig.power.on()
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], env=with_support(), check=False)
    assert done.returncode == -signal.SIGKILL
    left = (directory / "master").read_text()
    rig = tiny(directory=directory)
    assert rig.folder.path == directory
    assert not (directory / "master").exists()
    rig.close()
    (kept,) = (tmp_path / "state").rglob("found/master")
    assert kept.read_text() == left
