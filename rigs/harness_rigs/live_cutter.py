"""A live cutter on the cutter's process, which is started when it is first needed."""

from __future__ import annotations

from abc import abstractmethod

from harness.host.cutter import Cutter
from harness.model.rig import LiveCutter


class ProcessCutter(LiveCutter):
    """Keeps the cutter's process, and the offset of a cut into the next boot."""

    def __init__(self) -> None:
        self._process: Cutter | None = None
        self._boot_offset_us: int | None = None

    def started(self) -> Cutter:
        """The cutter's process; started now if it is not running yet."""
        if self._process is None:
            self._process = Cutter()
        return self._process

    @property
    def realtime(self) -> bool:
        return self.started().realtime

    def arm_boot(self, offset_us: int) -> bool:
        self.started()
        self._boot_offset_us = offset_us
        return True

    def power_came(self, at_us: int) -> None:
        """Note that the key has been given power, and arm a cut into its boot if one is wanted.

        :param at_us: when, on the rig's clock.
        """
        offset_us, self._boot_offset_us = self._boot_offset_us, None
        if offset_us is not None:
            self.arm_in_boot(at_us + offset_us)

    @abstractmethod
    def arm_in_boot(self, at_us: int) -> None:
        """Arm a cut into the boot that has just begun."""

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
