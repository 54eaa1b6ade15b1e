"""The power rail of a board: times the flash operations, and fails in one of them when it is armed."""

from __future__ import annotations

from collections.abc import Callable

from harness.base.clock import VirtualClock
from harness.twin.parts import FlashOp


class PowerLost(BaseException):
    """The power failed: unwinds the firmware of a twin.

    Not an Exception, so that no `except Exception` of the firmware catches it.
    """


class Panic(BaseException):
    """The firmware halts (red light): the board keeps its power and is not on the bus."""


class PowerRail:
    """Counts flash operations since `watch()`, and fails where it is armed.

    :ivar seed: key of the hashes that decide which cells of a torn operation change.
    :ivar log: where the chips append each operation that completes; None if nobody asks.
    :ivar failed_us: when the power failed, on the board's clock.
    :ivar after_op: called at the end of an operation, before its effect is stored.
    :ivar on_stored: called with (chip, page, content) when the effect is stored.
    """

    def __init__(self, clock: VirtualClock, seed: bytes):
        self.clock = clock
        self.seed = seed
        self.log: list[FlashOp] | None = None
        self.dead = False
        self.failed_us: int | None = None
        self.after_op: Callable[[], None] | None = None
        self.on_stored: Callable[[str, int, bytes], None] | None = None
        self._count = 0
        self._fail_op: int | None = None
        self._fail_phi = 0.0
        self._fail_us: int | None = None

    def watch(self, log: list[FlashOp] | None) -> None:
        """Count from zero; each operation that completes is appended to `log`, if one is given."""
        self._count = 0
        self.log = log

    def arm_op(self, flash_op: int, phi: float) -> None:
        """Fail in the `flash_op`-th operation from now (1 is the next), at the fraction `phi` of its time."""
        self._count = 0
        self._fail_op, self._fail_phi = flash_op, phi

    def arm_at(self, instant_us: int) -> None:
        """Fail at an instant of the board's clock."""
        self._count = 0
        self._fail_us = instant_us

    def disarm(self) -> None:
        """Do not fail."""
        self._fail_op = self._fail_us = None

    @property
    def fails_us(self) -> int | None:
        """When the power fails or failed, if that is known."""
        return self.failed_us if self.failed_us is not None else self._fail_us

    def restore_for_boot(self) -> None:
        """Power comes back. What was armed while it was off stays armed: a cut in the boot."""
        self.dead = False
        self.failed_us = None

    def fail(self, instant_us: int) -> None:
        """Fail at `instant_us`, outside a flash operation."""
        self.dead = True
        self.failed_us = instant_us
        self.disarm()

    def check(self) -> None:
        """:raises PowerLost: the rail is dead, or the armed instant has passed."""
        if not self.dead and self._fail_us is not None and self.clock.now_us >= self._fail_us:
            self.fail(self._fail_us)
        if self.dead:
            raise PowerLost

    def meets(self, start_us: int, end_us: int) -> tuple[int, float] | None:
        """Advance the clock over a flash operation that takes from `start_us` to `end_us`.

        :returns: None if the operation completes; else its number since `watch()` and the fraction phi.
        """
        self._count += 1
        phi: float | None = None
        if self._fail_us is not None and self._fail_us < end_us:
            phi = max(0.0, (self._fail_us - start_us) / (end_us - start_us))
        elif self._fail_op == self._count:
            phi = self._fail_phi
        if phi is None:
            self.clock.reach_us(end_us)
            if self.after_op:
                self.after_op()
            return None
        torn_us = start_us + round(phi * (end_us - start_us))
        self.fail(torn_us if self._fail_us is None else self._fail_us)
        self.clock.reach_us(self.failed_us or 0)
        return self._count, phi
