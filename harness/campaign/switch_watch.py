"""Where the cuts of a live campaign went, and whether the rig's switch does what its calibration says."""

from __future__ import annotations

from collections.abc import Sequence

from harness.bench.calibration import delay_of, is_calibrated
from harness.campaign.operation_runner import Attempt
from harness.model.power_loss import PowerLoss, SwitchDelay, power_loss
from harness.model.rig import Rig
from harness.model.row import Judged, Row
from harness.model.tap import last_received_us

_STRAYED = "strayed"
"""Field of a journal's note: why the switch strayed in this cut; empty if it did not."""


class SwitchWatch:
    """Judges the switch of one rig by the cuts of one campaign.

    :ivar delay: what is known of the switch.
    """

    def __init__(self, rig: Rig):
        self.delay: SwitchDelay = delay_of(rig)
        self._counts = rig.evidence_kind == "hardware"
        self._name = rig.wiring.partition("; power ")[2] or rig.wiring or "of this rig"
        self._is_calibrated = is_calibrated(rig)
        self._cuts = self._strayed = 0
        self._first = ""

    def loss(self, attempt: Attempt) -> PowerLoss | None:
        """Between which instants a cut took the power, on the rig's clock; None if it took none."""
        if attempt.cut is None:
            return None
        return power_loss(attempt.cut, self.delay, last_received_us(attempt.marks))

    def boot_losses(self, attempt: Attempt) -> list[PowerLoss | None]:
        """The same of the cuts into the boots that followed, of which no answer of the key is known."""
        return [power_loss(cut, self.delay) for cut in attempt.boot_cuts]

    @staticmethod
    def note(judged: Judged, losses: Sequence[PowerLoss | None]) -> None:
        """Note for the journal whether the switch strayed in one of these."""
        taken = [loss for loss in losses if loss is not None]
        if taken:
            judged.note[_STRAYED] = next((loss.strayed for loss in taken if loss.strayed), "")

    def count(self, judged: Judged) -> None:
        """Count a cut, also one of an interrupted run."""
        words = judged.note.get(_STRAYED)
        if words is not None:
            self._cuts += 1
            self._strayed += bool(words)
            self._first = self._first or words

    def row(self) -> Row | None:
        """The field `switch` of a campaign's line; None for a rig whose cuts need no switch."""
        if not self._counts:
            return None
        return {
            "name": self._name,
            "calibrated": self._is_calibrated,
            "cuts": self._cuts,
            "strayed": self._strayed,
            "first": self._first or None,
        }
