"""Run Keyharness where it may less than root on the host itself; runs in the guest.

    module support.guest.confined nobody|container ARGUMENT ...

"nobody" is a user whom no udev rule names; "container" has a user and a network namespace of its own, as `unshare -rn`
makes them and as containers without root do.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from support.guest.agent import keyharness

NOBODY = 65534
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
"""linux/sched.h; Python has unshare from 3.12 on."""


def be_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.environ["HOME"] = "/tmp"


def be_contained() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/uid_map").write_text("0 0 1")


def main(where: str, *arguments: str) -> int:
    {"nobody": be_nobody, "container": be_contained}[where]()
    return keyharness(list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
