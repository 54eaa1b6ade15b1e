"""Signals: a Ctrl-C that is not lost, and a process that ends with its parent.

Python prints and forgets a KeyboardInterrupt that is raised while C code calls back into Python (a file system's
block device, a finaliser, a weak reference). So the signal handler also sets a flag, and long work calls `check`
between two steps.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a run to end: Ctrl-C, a supervisor or a shutdown, and a terminal that was closed."""
INTERRUPTED_CODE = 2
"""Exit code of what was interrupted."""

_interrupted = False

_PR_SET_PDEATHSIG = 1
"""prctl(2); a forked child does not inherit the setting."""


def _note(number: int, frame: FrameType | None) -> None:
    global _interrupted
    if _interrupted and number == signal.SIGINT:
        # A second Ctrl-C: who sends it does not want to wait for the report. The journals hold what was judged.
        os._exit(INTERRUPTED_CODE)
    _interrupted = True
    signal.default_int_handler(number, frame)


def keep() -> None:
    """Take each signal of ENDING as a Ctrl-C from now on, and remember it; a second SIGINT ends the process at once.

    Call it in the main thread of a process whose work calls `check`. A handler of someone else stays in place.
    """
    for number in ENDING:
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(number, _note)


def interrupted() -> bool:
    """Return whether a signal of ENDING has come since `keep`."""
    return _interrupted


def check() -> None:
    """Stop here if a signal of ENDING has come since `keep`.

    :raises KeyboardInterrupt: one has come.
    """
    if _interrupted:
        raise KeyboardInterrupt


def end_with(parent: int, number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies; at once if the parent is dead.

    :param parent: the pid that the parent had when this process was started.
    """
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        os.kill(os.getpid(), number)
