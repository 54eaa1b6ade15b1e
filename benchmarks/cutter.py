"""How late a cut is: the cutter process beside time.sleep and threading.Timer, in one run, idle and busy.

Error = the instant at which it acted, less the instant that was asked for. Busy is what a campaign's process
does while it waits: Python code that holds the interpreter's lock.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any

from harness.host.cutter import Cutter
from harness.model.cut_action import Measure
from harness.model.instant import CutInstant

ROUNDS = 300
AHEAD_NS = 8_000_000
BUSY_BYTES = b"\x5a" * 600

Way = Callable[[Callable[[], None]], int]
"""Given what to do meanwhile, returns the error of one deadline in ns."""


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Errors in us by way and load: {"idle": {"cutter": {"p50", "p99", "max"}, ...}, "busy": {...}}."""
    cutter = Cutter()
    try:
        ways: dict[str, Way] = {
            "cutter": lambda meanwhile: _by_cutter(cutter, meanwhile),
            "time.sleep": _by_sleep,
            "threading.Timer": _by_timer,
        }
        loads: dict[str, Callable[[], None]] = {"idle": lambda: None, "busy": _work}
        result: dict[str, Any] = {"realtime": cutter.realtime, "rounds": rounds, "idle": {}, "busy": {}}
        for load, meanwhile in loads.items():
            for name, way in ways.items():
                result[load][name] = _summary([way(meanwhile) for _ in range(rounds)])
        return result
    finally:
        cutter.close()


def table(result: dict[str, Any]) -> list[str]:
    """The result as lines for a person."""
    scheduling = "FIFO" if result["realtime"] else "without real-time scheduling"
    lines = [f"cutter: error against the deadline in us, {result['rounds']} each ({scheduling})"]
    lines.append(f"  {'':<18}{'idle p50':>10}{'p99':>10}{'busy p50':>10}{'p99':>10}")
    for name in result["idle"]:
        idle, busy = result["idle"][name], result["busy"][name]
        lines.append(
            f"  {name:<18}{idle['p50']:>10.1f}{idle['p99']:>10.1f}{busy['p50']:>10.1f}{busy['p99']:>10.1f}"
        )
    return lines


def _work() -> None:
    """Until well after the deadline, in pieces that hold the lock."""
    until = time.monotonic_ns() + AHEAD_NS * 3 // 2
    while time.monotonic_ns() < until:
        sum(hashlib.sha256(BUSY_BYTES).digest())


def _by_cutter(cutter: Cutter, meanwhile: Callable[[], None]) -> int:
    cutter.arm(CutInstant.planned((time.monotonic_ns() + AHEAD_NS) // 1000), Measure())
    meanwhile()
    return cutter.collect().late_us * 1000


def _by_sleep(meanwhile: Callable[[], None]) -> int:
    """A thread that sleeps until the deadline, because the main one has its operation to run."""
    deadline_ns = time.monotonic_ns() + AHEAD_NS
    late: list[int] = []

    def wait() -> None:
        time.sleep(max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9))
        late.append(time.monotonic_ns() - deadline_ns)

    thread = threading.Thread(target=wait)
    thread.start()
    meanwhile()
    thread.join()
    return late[0]


def _by_timer(meanwhile: Callable[[], None]) -> int:
    late: list[int] = []
    deadline_ns = time.monotonic_ns() + AHEAD_NS
    timer = threading.Timer(AHEAD_NS / 1e9, lambda: late.append(time.monotonic_ns() - deadline_ns))
    timer.start()
    meanwhile()
    timer.join()
    return late[0]


def _summary(errors_ns: list[int]) -> dict[str, float]:
    ordered = sorted(error / 1000 for error in errors_ns)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)  # noqa: E731
    return {"p50": at(0.5), "p99": at(0.99), "max": round(ordered[-1], 1)}


if __name__ == "__main__":
    print("\n".join(table(measure())))
