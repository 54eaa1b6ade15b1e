"""A key that answers nothing but BUSY, or keepalives, for seconds after each boot, and then tells who it is.

The seconds are those of the key's own clock: the client's pause between two tries is one of them, too.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.base.errors import RigError
from harness.campaign.home import go_home
from harness.safety.budget import Grants
from harness.safety.claim import Claims
from harness.safety.identity import identity
from harness.safety.identity_guard import AnotherKey
from harness.safety.quarantine import quarantined
from support.plugged import CountingSwitch, plugged
from support.substitute import READS

INIT = 0x86
ANSWERS = {"busy": (0xBF, 0x06), "keepalives": (0xBB, 0x01)}
"""CTAPHID_ERROR, CHANNEL_BUSY; CTAPHID_KEEPALIVE, PROCESSING (CTAP 2.1, sections 11.2.9.1.6 and 11.2.9.1.5)."""


class Late:
    """Answer late after each boot, by a number of seconds; only channels are given out at once.

    :ivar asked: (seconds since that boot, CTAPHID's command, the first byte that it carries) of each request.
    """

    def __init__(self, board, answer, seconds):
        self.asked = []
        self._board, self._answer, self._seconds = board, answer, seconds
        self._deliver, board.deliver = board.deliver, self._arrived

    def _arrived(self, endpoint, packet, at_us):
        board, due_us = self._board, self._board.booted_us + int(self._seconds * 1_000_000)
        if not packet[4] & 0x80:
            self._deliver(endpoint, packet, at_us)
            return
        carried = packet[7] if packet[4] in (0x90, 0xF2) else None
        self.asked.append(((at_us - board.booted_us) / 1_000_000, packet[4], carried))
        board.clock.reach_us(at_us)
        while packet[4] != INIT and board.clock.now_us < due_us:
            command, status = ANSWERS[self._answer]
            board.send(endpoint, (packet[:4] + bytes((command, 0, 1, status))).ljust(64, b"\0"))
            if self._answer == "busy":
                return
            board.clock.wait_us(100_000)
        self._deliver(endpoint, packet, max(at_us, board.clock.now_us))

    @property
    def writes(self):
        """The requests that do more than ask who it is."""
        return [one for one in self.asked if one[1:] not in READS]


@pytest.fixture
def claimed(own_state, monkeypatch):
    """A rig whose key has told its identity once, and is off; another key lies beside it."""
    rig, other = plugged("nitrokey3-mini", 1), plugged("nitrokey3-mini", 2)

    class Pause:
        """The client's pause between two tries."""

        def is_set(self):
            return False

        def wait(self, seconds):
            rig.clock.wait_us(int(seconds * 1_000_000))
            return False

    monkeypatch.setattr("fido2.hid.Event", Pause)
    monkeypatch.setattr("harness_fido2.answers._NEVER_CANCELLED", Pause())
    policy = SimpleNamespace(identity=identity(rig), bootloader=None, budget=Grants())
    other.power.cycle()
    other.power.off()
    rig.other = other
    rig.power.off()
    rig.power = CountingSwitch(rig)
    claims = Claims(lambda name: policy, "test")
    claims.take(rig)
    rig.power.off()
    yield rig
    claims.release()


@pytest.mark.parametrize(("answer", "seconds"), [("busy", 3), ("keepalives", 30)])
def test_the_right_key_is_waited_for_and_written_to_only_after_it_told(claimed, answer, seconds):
    late = Late(claimed.board, answer, seconds)
    go_home(claimed)
    assert late.writes, "it was written to at last"
    assert min(late.writes)[0] >= seconds
    assert quarantined("rig mine") is None


@pytest.mark.parametrize(("answer", "seconds"), [("busy", 3), ("keepalives", 30), ("busy", 10)])
def test_another_key_that_tells_late_is_not_written_to(claimed, answer, seconds):
    late, claimed.at = Late(claimed.other.board, answer, seconds), claimed.given + 1
    with pytest.raises(RigError) as stopped:
        go_home(claimed)
    assert late.asked, "it was asked who it is"
    assert late.writes == []
    if (answer, seconds) == ("busy", 10):
        assert "the key cannot be asked who it is" in str(stopped.value)
        return
    assert isinstance(stopped.value, AnotherKey)
    assert "another key is in it" in quarantined("rig mine").why


def test_the_right_key_that_is_busy_for_longer_stops_the_run_and_is_no_other_key(claimed):
    late = Late(claimed.board, "busy", 10)
    with pytest.raises(RigError, match="the key cannot be asked who it is") as stopped:
        go_home(claimed)
    assert not isinstance(stopped.value, AnotherKey)
    assert late.writes == []
    assert quarantined("rig mine") is None


def test_a_proved_key_that_another_program_keeps_busy_is_not_at_fault(claimed):
    claimed.power.on()
    claimed.wait_until_up()
    claimed.transports.prove()
    late = Late(claimed.board, "busy", 3_600)
    with pytest.raises(RigError, match="busy"):
        go_home(claimed)
    assert late.writes == []
    assert quarantined("rig mine") is None
