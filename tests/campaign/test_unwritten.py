"""The window in which an answer is not written yet is searched for, and said as a finding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.unwritten import CUTS, Unwritten
from harness.model.judge import Breach
from harness.model.outcome import Outcome, Severity

LOST = Breach("fido2.new_credential", "atomic", Outcome.LOST, Severity.S1, "it is absent")


@given(
    st.integers(0, 5_000), st.integers(300_000, 2_000_000), st.floats(0, 1), st.sets(st.integers(1, 2 * CUTS))
)
def test_the_window_is_enclosed_as_far_as_its_cuts_tell(lost_us, kept_us, share, silent):
    """:param silent: numbers of cuts that say nothing."""
    written_us = lost_us + share * (kept_us - lost_us)
    made = []

    def loses(at_us):
        made.append(at_us)
        return None if len(made) - 1 in silent else at_us < written_us

    found_lost_us, found_kept_us = Unwritten(lost_us, kept_us, [LOST]).measure(loses)
    assert found_lost_us == lost_us or found_lost_us < written_us
    assert found_kept_us == kept_us or found_kept_us >= written_us
    halved = min(CUTS, 2 * CUTS - len(silent))
    told = [number for number in range(1, len(made)) if number not in silent]
    assert len(told) == halved, "a cut that says nothing is made again, as often as there are cuts"
    assert len(made) <= 2 * CUTS + 1
    assert found_kept_us - found_lost_us <= (kept_us - lost_us) / 2**halved + CUTS


def test_it_outlives_an_interrupted_run_and_is_said_in_words():
    unwritten = Unwritten(900, 300_000, [LOST])
    assert Unwritten.from_row(unwritten.row()) == Unwritten(900, 300_000, [LOST])
    assert unwritten.text("it is absent", (950_000, 1_000_000)) == (
        "acknowledged before it was written: it is absent; a cut 950.0 ms after the answer loses it, 1000.0 ms after "
        "the answer it is there"
    )
    assert "300.0 ms after the answer it is there" in unwritten.text("it is absent", None)


def test_only_the_same_violation_shows_it():
    unwritten = Unwritten(900, 300_000, [LOST])
    assert unwritten.is_shown_by([LOST])
    assert not unwritten.is_shown_by([Breach("fido2.pin", "kept", Outcome.LOST, Severity.S1, "")])
    assert not unwritten.is_shown_by([])
