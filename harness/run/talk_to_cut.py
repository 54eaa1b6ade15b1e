"""Talk to a key until its power goes: its last answer says when, and does not wait for the kernel to notice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.base.clock import Clock
from harness.base.errors import KeyharnessError
from harness.model.instant import CutInstant
from harness.model.rig import KeyGone
from harness.model.tap import RECEIVED, Mark, last_received_us

TALK_LIMIT_US = 1_000_000
"""A key that still answers so long after the order is not being cut."""
DECAY_US = 12_000
"""After its port was switched off a key goes on for at most so long: 120 uF at 5 V, 50 mA."""


def talk(ask: Callable[[], object], clock: Clock, ordered_us: int) -> bool:
    """Ask the key again and again until it does not answer; whether it fell silent.

    :returns: False if it still answers, or what ended the talk was something else: then it says nothing of the power.
    """
    while clock.now_us < ordered_us + TALK_LIMIT_US:
        try:
            ask()
        except (KeyGone, OSError):
            return True
        except KeyharnessError:
            return False
    return False


def release_of(cut: CutInstant, marks: Sequence[Mark], *, seen_after: bool) -> tuple[int, int] | None:
    """Between how many microseconds the power went: at least after the order, at most after the end of the act.

    It went after the last answer, and before the next one was due: within the longest exchange that was seen.

    :param seen_after: see `harness.model.power_loss.SwitchDelay`.
    :returns: None if the key gave no answer.
    """
    last_us = last_received_us(marks)
    if last_us is None or cut.fired_us is None or cut.acted_us is None:
        return None
    least_us = max(0, last_us - cut.fired_us)
    if not seen_after:
        return least_us, max(DECAY_US, last_us - cut.acted_us)
    latest_us = last_us + _longest_exchange_us(marks)
    if cut.lost_us is not None:
        latest_us = min(latest_us, cut.lost_us)
    return least_us, max(0, latest_us - cut.acted_us)


def _longest_exchange_us(marks: Sequence[Mark]) -> int:
    longest_us, sent_us = 0, None
    for mark in marks:
        if not mark.name.startswith(RECEIVED):
            sent_us = mark.at_us
        elif sent_us is not None:
            longest_us = max(longest_us, mark.at_us - sent_us)
            sent_us = mark.at_us
    return longest_us
