"""Whether KVM may be used: seen by booting a kernel under a time limit, because it can hang without a word."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from support.guest.parts import QEMU, Parts

DEVICE = Path("/dev/kvm")
PROBE_S = 20
"""Far above what a kernel takes under KVM, and short beside what a boot without it takes."""


def works(made_of: Parts) -> bool:
    """Boot to the first process and off again. The answer is kept until this host boots anew."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    kept = made_of.folder / f"kvm-{boot}"
    with suppress(FileNotFoundError):
        return kept.read_text() == "yes"
    works_now = _boots(made_of)
    # Only a help for the next time: the folder may be somebody else's.
    with suppress(OSError):
        for old in made_of.folder.glob("kvm-*"):
            old.unlink(missing_ok=True)
        kept.write_text("yes" if works_now else "no")
    return works_now


def _boots(made_of: Parts) -> bool:
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return False
    command = [
        QEMU,
        "-accel",
        "kvm",
        "-M",
        "q35",
        "-cpu",
        "max",
        "-m",
        "256",
        "-display",
        "none",
        "-nodefaults",
    ]
    command += [
        "-no-reboot",
        "-serial",
        "stdio",
        "-kernel",
        str(made_of.kernel),
        "-initrd",
        str(made_of.initrd),
    ]
    command += ["-append", "console=ttyS0 quiet panic=-1 lab.probe"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return b"lab: probed" in done.stdout
