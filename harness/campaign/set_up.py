"""Set a key up before it is cut: what fails there is tried again, and then it is said whose fault it is.

Nothing has been cut by then, so a key that leaves the bus may hang on a bad cable, and a window that has passed may
have passed because this host was slow. Only what the key itself answers counts against it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from harness.base.errors import (
    Busy,
    HarnessFault,
    HostLate,
    KeyFault,
    KeyharnessError,
    MalformedAnswer,
    Refused,
    RigError,
    host_error,
)
from harness.model.rig import KeyGone, Rig

T = TypeVar("T")

TRIES = 3
"""How often something is tried before a cut."""
BUSY_LOAD = 2.0
"""Processes waiting for each core from which a host counts as slow: a limit that is passed there proves nothing."""


SETTLE_US = 300_000
"""An owner pulls a key out no sooner after it has answered."""


def settle(rig: Rig) -> None:
    """Wait before a clean restart: for as long as the rig's bench says, and at least as long as an owner takes."""
    began_us = rig.clock.now_us
    rig.settle()
    left_us = SETTLE_US - (rig.clock.now_us - began_us)
    if left_us > 0:
        rig.clock.wait_us(left_us)


def load_per_core() -> float:
    """Processes that ran or waited in the last minute, for each core that this process may use."""
    return os.getloadavg()[0] / max(1, len(os.sched_getaffinity(0)))


def tried_again(rig: Rig, what: str, act: Callable[[], T], undo: Callable[[], None]) -> T:
    """Do something that must work on a key that nobody has cut; try it again where host or cable may be at fault.

    :param what: it, in words, for the error.
    :param undo: called before it is tried again; the key is off then.
    :raises KeyFault: the key answers wrongly, or dies.
    :raises RigError: the key leaves its port again and again; or the host is too slow, and how late it was.
    :raises HarnessFault: a plugin fails.
    """
    number = 0
    while True:
        number += 1
        try:
            return act()
        except Exception as error:
            may_pass = isinstance(error, HostLate | KeyGone | OSError) and host_error(error) is None
            if not may_pass or number == TRIES:
                raise _said(rig, what, error, number) from error
            rig.power.off()
            undo()


def bring_up(rig: Rig) -> None:
    """Switch a key on that must come up: nothing was cut since it came up last. Errors as `tried_again`."""

    def on() -> None:
        rig.power.on()
        rig.wait_until_up()

    tried_again(rig, "the key did not come up, although nothing had been cut", on, lambda: None)


def _said(rig: Rig, what: str, error: Exception, tries: int) -> KeyharnessError:
    """The error of one of the families that stands for what was raised."""
    if (of_host := host_error(error)) is not None:
        return of_host
    rig.power.off()
    if isinstance(error, KeyGone | OSError) and not isinstance(error, RigError):
        return _left(rig, what, error, tries)
    if isinstance(error, Busy) and rig.evidence_kind == "hardware":
        return RigError(
            f'rig "{rig.name}": {what}',
            found=f"{error.why}, which is what a key says while another program has it",
            expected="a key that no other program uses",
            mend="end what uses the key; if nothing does, it is the key: take another one",
        )
    if isinstance(error, MalformedAnswer) or not isinstance(error, KeyharnessError):
        fault = rig.key.fault(error)
        if fault is None:
            return HarnessFault(
                f'rig "{rig.name}": {what}',
                found=f"{type(error).__name__}: {error}",
                expected="a set-up that works, or an error that says whose fault it is",
                mend="mend the plugin of the key",
            )
        found = fault.value if isinstance(fault, Refused | MalformedAnswer) else fault.what
        return KeyFault(
            f'rig "{rig.name}": {what}', found=found, expected="what a key does that nobody has cut"
        )
    return error


def _left(rig: Rig, what: str, error: Exception, tries: int) -> KeyharnessError:
    """The error for a key that left its port, or gave no answer, each time."""
    deaths = "; ".join(rig.take_deaths())
    found = f"{deaths or (error.what if isinstance(error, KeyGone) else str(error))}, {tries} times"
    if "crashed" in deaths or "exited" in deaths:
        return KeyFault(f'rig "{rig.name}": {what}', found=found, expected="a key that stays up")
    # A twin's time is virtual: no load of this host makes it late.
    if rig.evidence_kind != "twin" and (load := load_per_core()) >= BUSY_LOAD:
        return HostLate(
            f'rig "{rig.name}": {what}',
            found=f"{found}; {load:.1f} processes wait for each core of this host",
            expected=f"a host with fewer than {BUSY_LOAD:g}",
            mend="run it again when the host has less to do, or raise the limits of the rig in the bench",
        )
    if rig.evidence_kind == "hardware":
        return RigError(
            f'rig "{rig.name}": {what}',
            found=found,
            expected="a key that stays on its port until its power is cut",
            mend="another cable, another port, another key: one of them is at fault, and this run cannot tell which",
        )
    return KeyFault(f'rig "{rig.name}": {what}', found=found, expected="an answer")
