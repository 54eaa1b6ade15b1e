"""A laboratory without hardware, for tests: a host with hubs and keys, byte for byte as drivers see them.

    with Lab(tmp_path / "lab") as lab:
        lab.hub("1-1.4", ports=7)
        lab.plug("1-1.4.1", TwinKey(seed=1))
        with lab.standing_in():            # this process's harness.host.host.here() is the laboratory
            ...
        subprocess.run(..., env={**env, **lab.environment()})      # and a child's

What is real: the keys are simulated keys of Keyharness in real time (times `speed`), on flash that tears where
the power goes; /sys and /dev are folders as Linux makes them; a hidraw node takes reports of 65 bytes and gives
reports of 64; serial ports are pseudo-terminals; device events and the kernel's log have the kernel's formats.

A port's power is switched by writing 1 or 0 into its `disable` file as the kernel has it (any driver for hubs
that does so works), or by the power driver `lab` with `port = "1-1.4.1"`, which speaks to a relay on a socket.
`LabPort` has switches that lie, stale nodes and errors in the kernel's log; hubs may be ganged; `Lab.udev_late_s`
lets nodes be there before they may be opened; `mute_key()` never answers, `keyboard()` is a neighbour.
"""

from __future__ import annotations

import os
from pathlib import Path

from support.lab.keys import Thing, TwinKey, keyboard, mute_key
from support.lab.labhost import LabHost
from support.lab.server import FOLDER_VARIABLE, Lab, LabPort
from support.lab.tree import Look
from support.lab.wire import call

__all__ = ["Lab", "LabHost", "LabPort", "Look", "Thing", "TwinKey", "call", "host", "keyboard", "mute_key"]


def host() -> LabHost:
    """The host of a child process: KEYHARNESS_HOST=support.lab:host, and KEYHARNESS_LAB names the folder."""
    return LabHost(Path(os.environ[FOLDER_VARIABLE]))
