"""The result of a check, and the host that all checks look at."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.host.host import Host

if TYPE_CHECKING:
    from harness.bench.bench import LoadedBench
    from harness.bench.registry import Plugins

Level = Literal["ok", "warn", "fault"]


@dataclass(frozen=True)
class CheckResult:
    """One result of a check: one line in the report.

    :ivar check: name of the check, for programs: "hidraw", "rig".
    :ivar mend: what to do; None if nothing has to be done.
    :ivar rig: the rig that it is about; None if it is about the host.
    :ivar caller: is it a fault of the bench file or of an option, not of this host?
    """

    check: str
    level: Level
    text: str
    mend: str | None = None
    rig: str | None = None
    caller: bool = False


def ok(check: str, text: str) -> CheckResult:
    return CheckResult(check, "ok", text)


def warn(check: str, text: str, mend: str) -> CheckResult:
    return CheckResult(check, "warn", text, mend)


def fault(check: str, text: str, mend: str) -> CheckResult:
    return CheckResult(check, "fault", text, mend)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _may_fifo() -> bool:
    """Try real-time scheduling, and switch back."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
    except OSError:
        return False
    os.sched_setscheduler(0, policy, parameters)
    return True


@dataclass
class CheckedHost:
    """This host and its bench, as the checks see them. Tests replace what is not read from files.

    :ivar bench: None if it could not be read.
    :ivar loads: can the shared library of that name be loaded?
    :ivar may_fifo: may this user schedule in real time?
    """

    host: Host
    plugins: Plugins
    bench: LoadedBench | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    loads: Callable[[str], bool] = _loads
    may_fifo: Callable[[], bool] = _may_fifo

    @property
    def root(self) -> Path:
        return self.host.root

    @cached_property
    def processes(self) -> dict[str, list[int]]:
        """Name of a running program, cut to 15 characters by the kernel -> process numbers."""
        found: dict[str, list[int]] = {}
        proc = self.root / "proc"
        for entry in sorted(proc.iterdir()) if proc.is_dir() else ():
            if entry.name.isdigit():
                try:
                    name = (entry / "comm").read_text(errors="replace").strip()
                except OSError:
                    continue
                found.setdefault(name, []).append(int(entry.name))
        return found

    @cached_property
    def ports(self) -> dict[str, str]:
        """USB port -> rig, for the rigs of the bench."""
        if self.bench is None:
            return {}
        return {port: rig for rig in self.bench.rigs if (port := self.bench.usb_port(rig)) is not None}

    @cached_property
    def key_ids(self) -> dict[tuple[int, int], str]:
        """(vendor id, product id) of each face of the known keys -> product name."""
        return {
            (face.vendor_id, face.product_id): face.product
            for key in self.plugins.keys.values()
            for face in key.faces
            if face.vendor_id
        }

    @cached_property
    def board_ids(self) -> dict[tuple[int, int], str]:
        """(vendor id, product id) of each board that a power driver opens -> name."""
        return {one: name for driver in self.plugins.power.values() for one, name in driver.boards.items()}
