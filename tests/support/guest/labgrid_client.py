"""How soon a wait goes on after the kernel has made a key's node: Keyharness's, and labgrid's; runs in the guest.

    python labgrid_client.py PORT CYCLES      by the Python that has labgrid

PORT is on a hub of the kernel, which switches it off and on for each wait. Writes a line for each: whose wait it was,
and the ms from the kernel's own line about the node, as its log dates it, to the return of the wait. labgrid looks
every half second: its waits begin at instants that are spread evenly over that time.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from labgrid import Target  # noqa: E402 - another Python's packages, and this project's
from labgrid.resource.udev import USBResource  # noqa: E402

from harness.host.host import here  # noqa: E402
from harness.host.uevents import wait_until  # noqa: E402
from support.guest.plugged import DEVICES, LIMIT_S, interfaces  # noqa: E402

LOOKS_EVERY_S = 0.5
MARK = "lab: now"


class KernelLog:
    """The kernel's log from now on, dated by the clock of `time.monotonic`."""

    def __init__(self) -> None:
        self._log = os.open("/dev/kmsg", os.O_RDWR | os.O_NONBLOCK)
        os.lseek(self._log, 0, os.SEEK_END)
        self._ahead_s = 0.0
        now = time.monotonic()
        # Without an end of line the kernel waits for the rest of it, and shows none.
        os.write(self._log, f"<7>{MARK}\n".encode())
        self._ahead_s = now - self.when(MARK)

    def when(self, said: str) -> float:
        """When the newest line with these words was written, in seconds.

        :raises LookupError: there is none.
        """
        found = None
        with suppress(BlockingIOError):
            while True:
                # Priority, number, microseconds and flags; the text (Documentation/ABI/testing/dev-kmsg).
                head, _, text = os.read(self._log, 8192).decode(errors="replace").partition(";")
                if said in text:
                    found = int(head.split(",")[2]) / 1e6
        if found is None:
            raise LookupError(said)
        return found + self._ahead_s

    def close(self) -> None:
        os.close(self._log)


def main(port: str, cycles: str) -> None:
    hub, _, number = port.rpartition(".")
    switch = DEVICES / f"{hub}:1.0" / f"{hub}-port{number}" / "disable"
    target = Target("lab")
    node = USBResource(target, "key", match={"SUBSYSTEM": "hidraw", "@sys_name": port})

    def keyharness(there: bool) -> None:
        wait_until(here(), lambda: bool(interfaces(port)) is there or None, LIMIT_S)

    def labgrid(there: bool) -> None:
        target.await_resources([node], timeout=LIMIT_S, avail=there)

    waits: dict[str, Callable[[bool], None]] = {"keyharness": keyharness, "labgrid": labgrid}
    took_ms: dict[str, list[float]] = {whose: [] for whose in waits}
    for cycle in range(int(cycles)):
        for whose, wait in waits.items():
            wait(True)
            switch.write_text("1")
            wait(False)
            log = KernelLog()
            switch.write_text("0")
            threading.Event().wait(cycle / int(cycles) * LOOKS_EVERY_S)
            wait(True)
            returned = time.monotonic()
            took_ms[whose].append((returned - log.when("hidraw")) * 1000)
            log.close()
            print(whose, f"{took_ms[whose][-1]:.1f}", flush=True)
    for whose, those in took_ms.items():
        print(
            f"{whose}: median {statistics.median(those):.1f} ms, at most {max(those):.1f} ms, of {len(those)}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
