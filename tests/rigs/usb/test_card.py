"""The card side of a key: the reader on the rig's port, and no other."""

from __future__ import annotations

import errno
import threading

import pytest

from harness.base.errors import RigError
from harness.host.host import Host
from harness.model.rig import KeyGone
from harness_nitrokey3.twin.card import ADMIN_AID, ATR
from harness_rigs import answers
from harness_transports.card import card
from support.lab import LabHost, TwinKey, keyboard
from support.lab.scard import LabScard
from support.limits import HUNG_S
from support.usb import PORT, laboratory, make_rig

OTHER = "1-1.4.3"
SELECT = [0x00, 0xA4, 0x04, 0x00, len(ADMIN_AID), *ADMIN_AID]
UUID = [0x00, 0x62, 0x00, 0x00, 0x00]


@pytest.fixture
def lab(tmp_path):
    with laboratory(tmp_path) as lab:
        yield lab


def selected(connection, times):
    for _ in range(times):
        connection.transmit(SELECT)


def uuid_by_card(usb):
    connection = card(usb)
    assert connection.getATR() == list(ATR)
    assert connection.transmit(SELECT)[1:] == (0x90, 0x00)
    data, *status = connection.transmit(UUID)
    assert status == [0x90, 0x00]
    connection.disconnect()
    return bytes(data).hex().upper()


@pytest.mark.parametrize("port", [PORT, OTHER])
def test_two_equal_keys_have_equal_readers_and_each_rig_its_own(lab, port):
    for at, seed in ((PORT, 1), (OTHER, 2)):
        lab.plug(at, TwinKey(seed))
    usb = make_rig(port)
    usb.wait_until_up()
    assert uuid_by_card(usb) == usb.key.identify(usb)["uuid"]
    marks = [mark.name for mark in usb.tap.marks]
    assert marks[:4] == ["request-sent", "response", "request-sent-2", "response-2"]
    usb.close()


def test_a_reader_that_is_numbered_anew_is_found_by_its_port(lab):
    """The name of a reader counts equal keys: when one of them goes, another one gets its name."""
    lab.plug(PORT, TwinKey(1))
    lab.plug(OTHER, TwinKey(2))
    rigs = {port: make_rig(port) for port in (PORT, OTHER)}
    for usb in rigs.values():
        usb.wait_until_up()
    known = {port: uuid_by_card(usb) for port, usb in rigs.items()}
    names = {port: card(usb).reader for port, usb in rigs.items()}
    first, last = sorted(names, key=names.get)
    gone = lab.port(first).unplug()
    rigs[last].power.cycle()
    rigs[last].wait_until_up()
    assert card(rigs[last]).reader == names[first], "the other one's name"
    assert uuid_by_card(rigs[last]) == known[last]
    lab.plug(first, gone)
    for usb in rigs.values():
        usb.power.cycle()
        usb.wait_until_up()
    assert {port: uuid_by_card(usb) for port, usb in rigs.items()} == known
    for usb in rigs.values():
        usb.close()


def test_two_cards_of_one_serial_are_told_apart_by_their_ports(lab):
    """They say the same of themselves; what is done to one of them the other does not see."""
    for at in (PORT, OTHER):
        lab.plug(at, TwinKey(1))
    one, other = make_rig(PORT), make_rig(OTHER)
    for usb in (one, other):
        usb.wait_until_up()
    assert uuid_by_card(one) == uuid_by_card(other)
    connection = card(other)
    connection.transmit(SELECT)
    one.power.off()
    assert connection.transmit(UUID)[1:] == (0x90, 0x00), "the other one has power"
    with pytest.raises(KeyGone, match="its power is off"):
        card(one)
    for usb in (one, other):
        usb.close()


def test_a_card_goes_with_the_power(lab):
    lab.plug(PORT, TwinKey(1))
    usb = make_rig()
    connection = card(usb)
    connection.transmit(SELECT)
    usb.power.off()
    with pytest.raises(OSError) as gone:
        connection.transmit(UUID)
    assert gone.value.errno == errno.ENODEV
    usb.power.on()
    assert uuid_by_card(usb)
    usb.close()


def test_a_card_that_is_cut_says_so(lab):
    lab.plug(PORT, TwinKey(1))
    usb = make_rig()
    connection = card(usb)
    connection.connect()
    lab.port(PORT).power(False)
    with pytest.raises(OSError, match="the card has gone"):
        selected(connection, 1000)
    assert usb.plugged.left_us is not None
    usb.close()


def test_a_card_that_does_not_answer_hangs(lab):
    lab.plug(PORT, TwinKey(1, hangs=0))
    usb = make_rig(answer_s=0.2)
    connection = card(usb)
    with pytest.raises(OSError) as hung:
        connection.transmit(SELECT)
    assert hung.value.errno == errno.ETIMEDOUT
    assert usb.take_deaths() == ["hung: no answer within 0.2 s"]
    usb.close()


def in_time(do):
    """What it returns; it must not wait for a card that hangs."""
    got = []
    thread = threading.Thread(target=lambda: got.append(do()), daemon=True)
    thread.start()
    thread.join(HUNG_S)
    return got[0]


def test_a_card_that_asks_for_more_time_for_ever_holds_up_nobody(lab):
    """Its driver waits for it, and with it every call in that context: the handle is let go of when the call ends."""
    lab.plug(PORT, TwinKey(1, hangs=0))
    lab.plug(OTHER, TwinKey(2))
    usb, other = make_rig(answer_s=0.2), make_rig(OTHER)
    connection = card(usb)
    with pytest.raises(OSError, match="no answer within"):
        connection.transmit(SELECT)
    assert in_time(connection.disconnect) is None
    assert in_time(lambda: uuid_by_card(other)) == other.key.identify(other)["uuid"], (
        "asks each reader for its port"
    )
    usb.close()
    usb = make_rig(answer_s=0.2)
    assert in_time(usb.close) is None
    assert in_time(usb.power.off) is None
    other.close()


def test_a_card_that_makes_a_key_pair_may_take_minutes(lab, monkeypatch):
    """Nothing shows of the time extensions that it asks for meanwhile."""
    monkeypatch.setattr(answers, "GENERATION_S", 0.3)
    lab.plug(PORT, TwinKey(1, hangs=0))
    usb = make_rig(answer_s=0.2)
    with pytest.raises(OSError, match=r"no answer within 0\.3 s"):
        card(usb).transmit([0x00, 0x47, 0x80, 0x00, 0x02, 0xB6, 0x00])
    assert usb.take_deaths() == ["hung: no answer within 0.3 s"]
    usb.power.cycle()
    with pytest.raises(OSError, match=r"no answer within 0\.2 s"):
        card(usb).transmit([0x00, 0x47, 0x81, 0x00, 0x02, 0xB6, 0x00])
    usb.close()


def test_a_reader_may_be_named(lab):
    lab.plug(PORT, TwinKey(1))
    usb = make_rig(reader="CCID/ICCD")
    assert uuid_by_card(usb)
    usb.close()
    usb = make_rig(reader="Gemalto", up_s=0.1)
    with pytest.raises(KeyGone, match="no reader of pcscd is on port"):
        card(usb)
    usb.close()


def test_a_device_without_a_card_side(lab):
    lab.plug(PORT, keyboard())
    usb = make_rig(key="fido2")
    with pytest.raises(KeyGone, match="no card reader"):
        card(usb)
    usb.close()


def test_what_is_shorter_than_an_apdu_is_not_sent(lab):
    lab.plug(PORT, TwinKey(1))
    usb = make_rig()
    with pytest.raises(ValueError, match="at least 4 bytes"):
        card(usb).transmit([0, 1, 2])
    usb.close()


def test_without_pyscard_it_says_what_to_install(lab, monkeypatch):
    def missing(self):
        raise ImportError("no libpcsclite.so.1")

    monkeypatch.setattr(LabHost, "scard", missing)
    lab.plug(PORT, TwinKey(1))
    usb = make_rig()
    with pytest.raises(RigError) as error:
        card(usb)
    assert error.value.found == "no libpcsclite.so.1"
    assert "libpcsclite1" in error.value.mend
    usb.close()


@pytest.mark.parametrize(
    ("function", "code", "found", "mend"),
    [
        ("SCardEstablishContext", LabScard.SCARD_W_SECURITY_VIOLATION, "polkit denies", "access_pcsc"),
        ("SCardConnect", LabScard.SCARD_W_SECURITY_VIOLATION, "polkit denies", "access_card"),
        ("SCardConnect", LabScard.SCARD_E_SHARING_VIOLATION, "another program", "scdaemon"),
    ],
)
def test_a_daemon_that_lets_nobody_in_is_no_key_that_is_absent(lab, monkeypatch, function, code, found, mend):
    """The return codes of pcsc-lite where polkit says no, and where scdaemon has the card in exclusive mode."""
    lab.plug(PORT, TwinKey(1))
    usb = make_rig()
    monkeypatch.setattr(LabScard, function, lambda *_: [code, 0, 0][: 2 if "Context" in function else 3])
    with pytest.raises(RigError) as error:
        card(usb)
    assert found in error.value.found
    assert mend in error.value.mend
    usb.close()


def test_the_laboratory_has_pyscards_names():
    """Functions and constants of the real module, where it is installed."""
    try:
        real = Host().scard()
    except ImportError as error:
        pytest.skip(str(error))
    fake = LabHost(None).scard()
    constants = [name for name in dir(fake) if name.startswith("SCARD_")]
    functions = [name for name in dir(fake) if name.startswith("SCard")]
    assert constants
    assert functions
    for name in constants:
        assert getattr(fake, name) & 0xFFFFFFFF == getattr(real, name) & 0xFFFFFFFF, name
    assert [name for name in functions if not callable(getattr(real, name, None))] == []
