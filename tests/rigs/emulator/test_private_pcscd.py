"""A pcscd that is started for a rig: hidden from the host, shared by a process's rigs, gone with the last of them."""

from __future__ import annotations

import gc
import os
import socket
import sys

import pytest

from harness.base.errors import CallerError, RigError
from harness.model.rig import KeyGone
from harness_rigs.emulator import private_pcscd
from harness_rigs.emulator.private_pcscd import DAEMON, READERS
from harness_transports.card import card
from support.emulator import quick_card
from support.emulator.emulated import TWIN_COMMAND, kill_the_daemon, make_rig
from support.paths import ABSENT

LACKS = private_pcscd.missing()
IN_PCSCD = pytest.mark.skipif(LACKS is not None, reason=str(LACKS and LACKS.found))
COMMAND = [*TWIN_COMMAND[:-2], "--speed", "max", "--vpcd", "127.0.0.1:{port}"]
QUICK_COMMAND = [sys.executable, "-I", "-S", quick_card.__file__, "127.0.0.1", "{port}"]
"""It is back long before the daemon looks at its reader again, which it does every 400 ms."""
PATIENT = {"ready_s": 300, "answer_s": 300}
"""A busy host may take long for a start and for an answer."""
SELECT_ADMIN = list(bytes.fromhex("00A4040009A00000084700000001"))


def card_rig(name="one", **options):
    return make_rig(COMMAND, name=name, **{"transport": "pcsc", **PATIENT, **options})


@pytest.fixture
def rigs(request):
    """Two rigs; `closing` ends them, also if a test fails."""
    made = [card_rig("one"), card_rig("two")]
    yield made
    for rig in made:
        rig.close()


def status(rig) -> tuple[int, int]:
    """Ask the card of a rig, which is switched on."""
    connection = card(rig)
    connection.connect()
    return connection.transmit(SELECT_ADMIN)[1:]


def listens() -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(DAEMON.environ["PCSCLITE_CSOCK_NAME"]) == 0


def of_the_host() -> list[tuple[str, float]]:
    """What is in the folder of the host's daemon, if there is one."""
    folder = "/run/pcscd"
    if not os.path.isdir(folder):
        return []
    return sorted((entry.name, entry.stat().st_mtime) for entry in os.scandir(folder))


@IN_PCSCD
def test_two_rigs_share_a_daemon_that_is_hidden_and_ends_with_the_last_of_them(rigs):
    before = of_the_host()
    one, two = rigs
    for rig in rigs:
        rig.power.on()
        rig.wait_until_up()
        assert status(rig) == (0x90, 0x00)
    assert one.options.reader != two.options.reader
    assert of_the_host() == before
    one.power.off()
    assert status(two) == (0x90, 0x00), "the other rig's card is not touched"
    one.close()
    assert listens()
    assert os.environ[private_pcscd.SOCKET] == DAEMON.environ[private_pcscd.SOCKET]
    two.close()
    assert not listens()
    assert private_pcscd.SOCKET not in os.environ, "a program that is started now has no daemon yet"


@IN_PCSCD
@pytest.mark.parametrize("is_asked_last", [True, False], ids=["asked without power", "left alone"])
def test_a_card_that_is_back_before_the_daemon_looks_is_found_again(is_asked_last):
    rig = make_rig(QUICK_COMMAND, transport="pcsc", **PATIENT)
    try:
        for _ in range(5):
            rig.power.on()
            rig.wait_until_up()
            connection = card(rig)
            connection.connect()
            assert connection.transmit(SELECT_ADMIN)[1:] == (0x90, 0x00)
            if is_asked_last:
                rig.emulated.kill()
                with pytest.raises(KeyGone):
                    connection.transmit(SELECT_ADMIN)
            rig.power.off()
    finally:
        rig.close()


@IN_PCSCD
def test_a_daemon_that_dies_is_the_rigs_fault_and_the_next_power_up_starts_another(rigs):
    one, two = rigs
    one.power.on()
    one.wait_until_up()
    connection = card(one)
    connection.connect()
    kill_the_daemon()
    with pytest.raises(RigError) as error:
        connection.transmit(SELECT_ADMIN)
    assert "pcscd" in f"{error.value.what} {error.value.expected} {error.value.mend}"
    one.emulated.kill()
    with pytest.raises(RigError):
        one.power.off()
    two.power.on()
    two.wait_until_up()
    assert status(two) == (0x90, 0x00)
    one.power.on()
    one.wait_until_up()
    assert status(one) == (0x90, 0x00)


@IN_PCSCD
def test_a_connection_to_a_daemon_that_died_is_forgotten_without_a_complaint(monkeypatch):
    complaints = []
    rig = make_rig(QUICK_COMMAND, transport="pcsc", **PATIENT)
    try:
        rig.power.on()
        rig.wait_until_up()
        card(rig).connect()
        kill_the_daemon()
        rig.emulated.kill()
        with pytest.raises(RigError):
            rig.power.off()
        monkeypatch.setattr(sys, "unraisablehook", complaints.append)
        rig.emulated._link.cards.clear()
        gc.collect()
    finally:
        rig.close()
    assert not [one.exc_value for one in complaints]


@IN_PCSCD
def test_a_rig_that_is_closed_after_its_daemon_died_gives_its_reader_back():
    rig = make_rig(QUICK_COMMAND, transport="pcsc", **PATIENT)
    rig.power.on()
    rig.wait_until_up()
    kill_the_daemon()
    with pytest.raises(RigError, match="reader"):
        rig.close()
    assert private_pcscd.SOCKET not in os.environ, "the last rig has ended the daemon"
    rig.close()


def test_a_fifth_rig_of_a_process_is_told_how_many_may_have_a_reader():
    made = [card_rig(f"number-{number}") for number in range(READERS)]
    try:
        with pytest.raises(RigError, match="a reader of its own") as error:
            card_rig("one-more")
        assert "--rig" in error.value.mend
        made.pop().close()
        made.append(card_rig("one-more"))
    finally:
        for rig in made:
            rig.close()


def test_a_machine_without_the_packages_is_told_their_names(monkeypatch):
    monkeypatch.setenv("KEYHARNESS_PCSC_ROOT", str(ABSENT))
    rig = card_rig()
    try:
        lacks = rig.lacks()
        assert lacks.found == "no pcscd"
        assert "pcscd and vsmartcard-vpcd" in lacks.mend
        with pytest.raises(RigError, match="transport pcsc"):
            rig.power.on()
    finally:
        rig.close()


@IN_PCSCD
def test_a_process_that_has_named_another_daemon_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PCSCLITE_CSOCK_NAME", str(tmp_path / "another"))
    rig = card_rig()
    try:
        with pytest.raises(RigError) as error:
            rig.power.on()
        assert "unset PCSCLITE_CSOCK_NAME" in error.value.mend
    finally:
        rig.close()


def test_without_a_network_of_its_own_a_reader_must_be_named():
    with pytest.raises(CallerError, match="isolation"):
        card_rig(isolation="none")
