"""When one cut was planned, ordered, made and seen: the one record of a cut's instants."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class CutInstant:
    """The instants of one cut, in whole microseconds of the rig's clock (on hosts: CLOCK_MONOTONIC).

    Between which of them the power went: `harness.model.power_loss`.

    :ivar planned_us: when the power was to be gone.
    :ivar armed_us: when the cutter was told to act. It is earlier than planned by the time that the switch takes.
    :ivar fired_us: when the cutter began to act; None if the cut was called off.
    :ivar acted_us: when its act had returned: a switch that is busy, or a hub that is locked, takes the order late.
    :ivar lost_us: when the key was seen to be gone; None if that was not seen.
    :ivar took: whether the cut took the power away. False if it was called off, or the key had left by itself before.
    :ivar error: errno of the cutter's action; 0 if it succeeded.
    """

    planned_us: int
    armed_us: int
    fired_us: int | None = None
    acted_us: int | None = None
    lost_us: int | None = None
    took: bool = False
    error: int = 0

    @classmethod
    def planned(cls, at_us: int, lead_us: int = 0) -> CutInstant:
        """A cut that is still to be made.

        :param at_us: when the power is to be gone. :param lead_us: how long the switch takes.
        """
        return cls(at_us, at_us - lead_us)

    @classmethod
    def exact(cls, at_us: int) -> CutInstant:
        """A computed cut: the power was gone when it was planned to be."""
        return cls(at_us, at_us, at_us, at_us, at_us, took=True)

    @property
    def late_us(self) -> int:
        """How much later than it was told to the cutter had acted; 0 if it did not act."""
        return 0 if self.acted_us is None else self.acted_us - self.armed_us

    def fired(self, at_us: int, acted_us: int | None = None, error: int = 0) -> CutInstant:
        """The same cut after the cutter has acted; whether that took the power away, only the rig can see.

        :param at_us: before its act. :param acted_us: after it; at the same instant if None.
        """
        return replace(self, fired_us=at_us, acted_us=at_us if acted_us is None else acted_us, error=error)

    def seen(self, lost_us: int | None, *, took: bool) -> CutInstant:
        """The same cut after it has fired and the rig has looked whether the key is gone.

        :param took: False if the key had left by itself before, so that the cut took nothing away.
        """
        assert self.fired_us is not None, "it has not fired"
        return replace(self, lost_us=lost_us, took=took)

    def since(self, start_us: int) -> CutInstant:
        """The same instants, counted from the start of the operation."""

        def shifted(at_us: int | None) -> int | None:
            return None if at_us is None else at_us - start_us

        return replace(
            self,
            planned_us=self.planned_us - start_us,
            armed_us=self.armed_us - start_us,
            fired_us=shifted(self.fired_us),
            acted_us=shifted(self.acted_us),
            lost_us=shifted(self.lost_us),
        )
