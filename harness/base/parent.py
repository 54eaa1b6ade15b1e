"""Not to outlive the process that started this one."""

from __future__ import annotations

import os
import signal

_PR_SET_PDEATHSIG = 1
"""prctl(2); the kernel forgets it in children."""


def end_with(parent: int, number: signal.Signals) -> None:
    """Have this process sent a signal when its parent has died, at once if it already has.

    :param parent: the pid that the parent had when this process was started.
    """
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        os.kill(os.getpid(), number)
