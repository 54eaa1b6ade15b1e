"""From the kernel's event to the wait's return: our socket beside pyudev and labgrid's loop, on real kernel events.

    sudo .venv/bin/pip install pyudev; sudo .venv/bin/python -m benchmarks.uevents [ROUNDS]

labgrid's loop takes what a monitor of udev's events has and, if that is nothing, sleeps half a second
(`await_resources` in labgrid/target.py at 01b38fa). An event may come at any instant of that half second.

Not part of `script/bench`: it needs root (a write to a network interface's `uevent` file makes the kernel send an
event) and pyudev, which Keyharness does not use.
"""

from __future__ import annotations

import random
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from harness.host.host import Host
from harness.host.uevents import Watch, wait_until

SOURCE = "/sys/class/net/lo/uevent"
ROUNDS, LIMIT_S = 100, 60.0
LABGRID_SLEEP_S = 0.5


def send_events() -> None:
    """Child process: for each line on stdin send one event at an instant that the waiter does not know."""
    delays = random.Random(1)
    for _ in iter(sys.stdin.readline, ""):
        time.sleep(delays.uniform(0.002, 0.002 + LABGRID_SLEEP_S))
        print(time.monotonic_ns(), flush=True)
        with open(SOURCE, "w") as file:
            file.write("change")


def by_socket(ask: Callable[[], None]) -> None:
    looks = iter((None, True))

    def look() -> bool | None:
        found = next(looks)
        if found is None:
            ask()
        return found

    assert wait_until(Host(), look, LIMIT_S)


def by_pyudev(ask: Callable[[], None]) -> None:
    monitors = pyudev_monitors()
    poll = select.poll()
    for monitor in monitors:
        poll.register(monitor.fileno(), select.POLLIN)
    ask()
    assert poll.poll(LIMIT_S * 1000)
    assert any(monitor.poll(0) is not None for monitor in monitors)


def by_labgrids_loop(ask: Callable[[], None]) -> None:
    (monitor,) = pyudev_monitors("kernel")
    ask()
    until = time.monotonic() + LIMIT_S
    while monitor.poll(0) is None:
        assert time.monotonic() < until
        time.sleep(LABGRID_SLEEP_S)


def pyudev_monitors(*groups: str):
    """One monitor hears one group: the kernel's events or udev's."""
    import pyudev

    context = pyudev.Context()
    monitors = [pyudev.Monitor.from_netlink(context, group) for group in groups or ("kernel", "udev")]
    for monitor in monitors:
        monitor.start()
    return monitors


def row(name: str, times_ns: list[int]) -> str:
    ordered = sorted(times_ns)
    p99 = ordered[int(len(ordered) * 0.99)]
    return f"  {name:<34}{statistics.median(ordered) / 1e3:>9.0f}{p99 / 1e3:>9.0f}{ordered[-1] / 1e3:>9.0f}"


def main(rounds: int = ROUNDS) -> None:
    began_ns = time.monotonic_ns()
    import pyudev  # noqa: F401 - its import is measured

    import_ns = time.monotonic_ns() - began_ns
    sender = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.uevents", "send"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask() -> None:
        sender.stdin.write("\n")
        sender.stdin.flush()

    ways = {"our socket": by_socket, "pyudev": by_pyudev, "labgrid's loop": by_labgrids_loop}
    latencies = {name: [] for name in ways}
    preparing = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            way(ask)
            returned_ns = time.monotonic_ns()
            latencies[name].append(returned_ns - int(sender.stdout.readline()))
            began_ns = time.monotonic_ns()
            if way is not by_socket:
                pyudev_monitors()
            else:
                Watch(Host()).close()
            preparing[name].append(time.monotonic_ns() - began_ns)
    sender.stdin.close()
    sender.wait()
    print(f"  {'us':<34}{'p50':>9}{'p99':>9}{'max':>9}")
    for name in ways:
        print(row(f"{name}: event to return", latencies[name]))
        print(row(f"{name}: make it ready to wait", preparing[name]))
    print(f"  import pyudev                     {import_ns / 1e6:.0f} ms")


if __name__ == "__main__":
    send_events() if sys.argv[1:] == ["send"] else main(*map(int, sys.argv[1:]))
