"""Ctrl-C that is not lost.

A KeyboardInterrupt that is raised while C code calls back into Python (a file system's block device, a
finaliser, a weak reference) is printed and forgotten there. So the wish to stop is kept beside it, and asked
for again between two steps of the work.
"""

from __future__ import annotations

import signal
from types import FrameType

_wish = False


def _note(number: int, frame: FrameType | None) -> None:
    global _wish
    _wish = True
    signal.default_int_handler(number, frame)


def keep() -> None:
    """From now on keep a SIGINT in mind. For the main thread of a process whose work asks `check`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _note)


def wished() -> bool:
    """Has anybody asked for the end?"""
    return _wish


def check() -> None:
    """Stop here if somebody has asked for it and was not heard.

    :raises KeyboardInterrupt: somebody has.
    """
    if _wish:
        raise KeyboardInterrupt
