"""The power rail of a board: it carries the flash operations, and it can fail in one of them."""

from __future__ import annotations

from collections.abc import Callable

from harness.base.clock import VirtualClock
from harness.twin.parts import FlashOp


class PowerLost(BaseException):
    """The power is gone: unwinds a twin's firmware.

    Not an Exception, so that no handler of the firmware's swallows it.
    """


class Panic(BaseException):
    """The firmware gave up and halts (red light): the board stays powered and is not on the bus."""


class PowerRail:
    """Counts flash operations since `watch()`, logs them, and fails where it is told to.

    :ivar seed: key of the hashes that say which cells of a torn operation got how far.
    :ivar log: the operations since `watch()`, or None while nobody watches.
    :ivar failed_us: when the power failed.
    :ivar after_op: called when an operation's time is over, before its effect is there.
    :ivar on_stored: called with (chip, page, content) once it is.
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
        """Count from zero, and log if a list is given."""
        self._count = 0
        self.log = log

    def arm_op(self, flash_op: int, phi: float) -> None:
        """Fail in the `flash_op`-th operation from now (1 is the next), `phi` of the way through it."""
        self._count = 0
        self._fail_op, self._fail_phi = flash_op, phi

    def arm_at(self, instant_us: int) -> None:
        """Fail at an instant of the board's clock."""
        self._count = 0
        self._fail_us = instant_us

    def disarm(self) -> None:
        self._fail_op = self._fail_us = None

    @property
    def fails_us(self) -> int | None:
        """The instant at which the power fails or has failed, where it is known."""
        return self.failed_us if self.failed_us is not None else self._fail_us

    def restore_for_boot(self) -> None:
        """Power is back. What was armed while it was off stays armed: a cut in the boot."""
        self.dead = False
        self.failed_us = None

    def fail(self, instant_us: int) -> None:
        """The power fails now, outside a flash operation."""
        self.dead = True
        self.failed_us = instant_us
        self.disarm()

    def check(self) -> None:
        """:raises PowerLost: the rail is dead, or the armed instant has passed."""
        if not self.dead and self._fail_us is not None and self.clock.now_us >= self._fail_us:
            self.fail(self._fail_us)
        if self.dead:
            raise PowerLost

    def meets(self, op: FlashOp) -> tuple[int, float] | None:
        """Carry out the timing of an operation. None if it goes through, else (its number, phi)."""
        self._count += 1
        phi: float | None = None
        if self._fail_us is not None and self._fail_us < op.end_us:
            phi = max(0.0, (self._fail_us - op.start_us) / (op.end_us - op.start_us))
        elif self._fail_op == self._count:
            phi = self._fail_phi
        if phi is None:
            self.clock.reach_us(op.end_us)
            if self.log is not None:
                self.log.append(op)
            if self.after_op:
                self.after_op()
            return None
        torn_us = op.start_us + round(phi * (op.end_us - op.start_us))
        self.fail(torn_us if self._fail_us is None else self._fail_us)
        self.clock.reach_us(self.failed_us or 0)
        return self._count, phi
