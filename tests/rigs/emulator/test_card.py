"""Cards: the Nitrokey 3's admin application through the vendor's own client, over vpcd and through a pcscd."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from harness.base.errors import RigError
from harness.model.rig import KeyGone
from harness_transports.card import card
from support.emulator import private_pcscd
from support.emulator.emulated import TWIN_COMMAND, make_rig
from support.limits import HUNG_S
from support.paths import with_support

CARD_COMMAND = [*TWIN_COMMAND[:-2], "--speed", "max", "--vpcd", "127.0.0.1:{port}"]
PATIENT_S = 300
"""The most that a rig waits: a busy host may take long for a start and for an answer."""


def card_rig(**options):
    return make_rig(CARD_COMMAND, ready_s=PATIENT_S, answer_s=PATIENT_S, **{"transport": "vpcd", **options})


def admin(rig):
    """The vendor's client on the rig's card."""
    from nitrokey.nk3 import NK3
    from nitrokey.trussed._connection.ccid import CcidConnection

    connection = card(rig)
    connection.connect()
    return NK3(CcidConnection(connection))


def use_and_cut(rig):
    """What a person would do, with the power cut in between; returns what was seen."""
    rig.power.on()
    rig.wait_until_up()
    before = admin(rig)
    seen = [str(before.uuid()), str(before.admin.version()), before.admin.status().init_status]
    rig.tap.clear()
    # One answer before the cut, however long it takes.
    before.admin.version()
    assert isinstance(rig.cutter.realtime, bool), "its process has been started"
    rig.cutter.arm(rig.clock.now_us + 300_000)
    cut = None
    try:
        while True:
            before.admin.version()
    except Exception as error:
        seen.append(isinstance(error, OSError | KeyGone))
        cut = rig.cutter.collect()
    assert rig.tap.last("response").at_us <= cut.lost_us
    assert cut.took
    assert rig.take_deaths() == []
    rig.power.on()
    rig.wait_until_up()
    after = admin(rig)
    seen += [str(after.uuid()), str(after.admin.version())]
    rig.power.off()
    return seen


def check(seen):
    uuid, version, status, gone, *after = seen
    assert version.startswith("v1.")
    assert (status, gone) == (0, True)
    assert after == [uuid, version], "the same key as before the cut"


def test_the_vendors_client_reads_a_card_that_has_dialled_us():
    pytest.importorskip("smartcard", reason="the vendor's client speaks to cards only with pyscard")
    rig = card_rig()
    try:
        check(use_and_cut(rig))
    finally:
        rig.close()


def test_a_card_that_hangs_is_told_from_one_that_has_gone():
    rig = card_rig()
    try:
        _hang(rig, 0.3, OSError, "no answer within")
    finally:
        rig.close()


IN_PCSCD = pytest.mark.skipif(private_pcscd.missing() is not None, reason=str(private_pcscd.missing()))


@IN_PCSCD
def test_the_vendors_client_reads_a_card_in_the_reader_of_a_daemon(tmp_path):
    done = subprocess.run(
        [
            *private_pcscd.namespace(),
            *(sys.executable, private_pcscd.__file__, tmp_path),
            *(sys.executable, __file__),
        ],
        cwd=tmp_path,
        env=with_support(),
        capture_output=True,
        text=True,
        timeout=HUNG_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "pcscd.log").read_text()


def in_a_daemons_reader():
    """What the test above runs beside its daemon."""
    rig = card_rig(transport="pcsc", reader=private_pcscd.READER)
    try:
        check(use_and_cut(rig))
        _hang(rig, 0.5, KeyGone, "the card has gone")
    finally:
        rig.close()
    other = card_rig(transport="pcsc", reader="No Such Reader")
    with pytest.raises(RigError, match='reader "No Such Reader"') as error:
        other.power.on()
    assert private_pcscd.READER in error.value.found
    other.close()


def _hang(rig, limit_s, error, said):
    rig.power.on()
    connection = card(rig)
    connection.connect()
    rig.emulated.process.signal(signal.SIGSTOP)
    # Only now: a card that goes on may take longer.
    rig.emulated.answers.limit_s = limit_s
    with pytest.raises(error, match=said):
        connection.transmit(list(bytes.fromhex("00A4040009A00000084700000001")))
    rig.power.off()
    assert rig.take_deaths() == [f"hung: no answer within {limit_s} s"]


if __name__ == "__main__":
    in_a_daemons_reader()
