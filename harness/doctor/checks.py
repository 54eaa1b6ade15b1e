"""Run all checks, in the order in which a person reads them, and derive the exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.base.errors import KeyharnessError
from harness.bench.bench import load_bench
from harness.bench.registry import Plugins, discover
from harness.doctor import daemons, limits, open_files, permissions, rigs, software, storage
from harness.doctor.context import CheckedHost, CheckResult, fault
from harness.doctor.show import totals
from harness.host.host import Host, here

Check = Callable[[CheckedHost], Iterator[CheckResult]]
CHECKS: tuple[Check, ...] = (
    software.python,
    software.xdist,
    software.libraries,
    daemons.pcscd,
    limits.readers,
    permissions.hidraw,
    permissions.udev_rules,
    permissions.device_events,
    permissions.hub_ports,
    limits.slots,
    daemons.usbguard,
    daemons.modem_manager,
    daemons.brltty,
    daemons.scdaemon,
    daemons.autosuspend,
    software.scheduling,
    storage.folders,
    open_files.busy,
    rigs.keys_without_rig,
    rigs.rigs,
)
RIG_FAULT, CALLER_FAULT = 3, 4


def load_host(bench: Path | None, host: Host | None = None) -> tuple[CheckedHost, list[CheckResult]]:
    """Load the host with its bench. Errors of the bench or of plugins become results; the checks still run."""
    wrong: list[CheckResult] = []
    plugins = Plugins()
    loaded = None
    try:
        plugins = discover()
        loaded = load_bench(bench, plugins)
    except KeyharnessError as error:
        wrong.append(CheckResult("bench", "fault", _in_lines(error), error.mend, caller=True))
    return CheckedHost(host or here(), plugins, loaded), wrong


def run_checks(checked: CheckedHost, checks: Iterable[Check] = CHECKS) -> list[CheckResult]:
    """Run the checks; returns all results."""
    found: list[CheckResult] = []
    for check in checks:
        try:
            found += check(checked)
        except KeyharnessError as error:
            found.append(fault(check.__name__, _in_lines(error), error.mend or "see the error"))
    return found


def verdict(found: Iterable[CheckResult]) -> int:
    """The exit code: 0 if a run would work, 3 for a fault of this host or its rigs, 4 for one of the bench."""
    faults = [one for one in found if one.level == "fault"]
    if any(one.caller for one in faults):
        return CALLER_FAULT
    return RIG_FAULT if faults else 0


def table(found: Sequence[CheckResult]) -> dict[str, Any]:
    """Return all results, their number by level, and the exit code, as a JSON-able table."""
    return {"results": [asdict(one) for one in found], "totals": totals(found), "exit_code": verdict(found)}


def _in_lines(error: KeyharnessError) -> str:
    rows = [("found", error.found), ("expected", error.expected)]
    return "\n".join([error.what, *(f"{label:<9} {value}" for label, value in rows if value is not None)])
