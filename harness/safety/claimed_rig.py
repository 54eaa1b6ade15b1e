"""One claimed rig, and how it is given back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from harness.base.errors import KeyharnessError
from harness.host.locks import Lock
from harness.model.key import Key
from harness.model.rig import Rig
from harness.model.rig_parts import PowerSwitch
from harness.safety.identity import bring_up, put_mark_back
from harness.safety.power_journal import PowerLog

if TYPE_CHECKING:
    from harness.safety.budget import Budget


class ClaimedRig:
    """One claimed rig, and what has to be undone when it is given back."""

    def __init__(self, rig: Rig):
        self.rig = rig
        self.proved = self.is_given_back = False
        self.lock: Lock | None = None
        self.log: PowerLog | None = None
        self.budget: Budget | None = None
        self.power: PowerSwitch | None = None
        self.key: Key | None = None

    def give_back(self) -> None:
        """Undo what the claim has done to the rig, and release it. The power is put back as it was found."""
        self.is_given_back = True
        self._restore_mark()
        self.rig.transports.guard = self.rig.losses = None
        # A spent budget must not keep a rig from being given back: the switching is counted afterwards.
        if self.power is not None:
            self.rig.power = self.power
        if self.key is not None:
            self.rig.key = self.key
        self.rig.pin_guard = None
        try:
            if self.log is not None:
                was_on = self.rig.power.is_on
                self.log.give_back(self.rig, seen=self.proved)
                if self.budget is not None and self.rig.power.is_on != was_on:
                    _count_switching(self.budget, on=not was_on)
            if self.budget is not None:
                self.budget.close()
        finally:
            if self.lock is not None:
                self.lock.release()

    def _restore_mark(self) -> None:
        """Put the mark back on a key without a serial: the next run knows the key by it."""
        rig = self.rig
        if self.key is None or not (rig.identity or "").startswith("marker:"):
            return
        try:
            if not bring_up(rig):
                if self.budget is not None:
                    self.budget.note("erases", self.budget.grants.erases_per_operation, "marked, given back")
                put_mark_back(rig, rig.identity or "")
                if self.log is not None:
                    self.log.reset_finished()
        except (KeyharnessError, OSError) as error:
            sys.stderr.write(f'rig "{rig.name}": the key is given back without its mark: {error}\n')


def _count_switching(budget: Budget, *, on: bool) -> None:
    """Count what putting the power back as it was found has cost."""
    if on:
        budget.note("erases", budget.grants.erases_per_boot, "given back on")
    else:
        budget.note("relay_operations", 1, "given back off")
