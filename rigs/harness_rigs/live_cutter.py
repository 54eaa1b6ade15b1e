"""A live cutter on the cutter's process, which is started when it is first needed."""

from __future__ import annotations

from abc import abstractmethod

from harness.api import CutInstant, Cutter, LiveCutter


class ProcessCutter(LiveCutter):
    """Keeps the cutter's process, and a cut that is ordered for the next boot."""

    def __init__(self) -> None:
        self._process: Cutter | None = None
        self._in_boot: CutInstant | None = None
        """Counted from the power-up."""

    def started(self) -> Cutter:
        """The cutter's process; started now if it is not running yet."""
        if self._process is None:
            self._process = Cutter()
        return self._process

    @property
    def realtime(self) -> bool:
        return self.started().realtime

    def arm(self, at_us: int, lead_us: int = 0) -> None:
        self.arm_cut(CutInstant.planned(at_us, lead_us))

    def arm_boot(self, offset_us: int, lead_us: int = 0) -> bool:
        self.started()
        self._in_boot = CutInstant.planned(offset_us, lead_us)
        return True

    def power_came(self, at_us: int) -> None:
        """Note that the key has been given power, and arm a cut into its boot if one is wanted.

        :param at_us: when, on the rig's clock.
        """
        cut, self._in_boot = self._in_boot, None
        if cut is not None:
            self.arm_in_boot(cut.since(-at_us))

    @abstractmethod
    def arm_cut(self, cut: CutInstant) -> None:
        """Arm a cut; the key is on."""

    def arm_in_boot(self, cut: CutInstant) -> None:
        """Arm a cut into the boot that has just begun."""
        self.arm_cut(cut)

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
