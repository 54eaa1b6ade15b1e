"""How fast a large log is read, and with how much memory: `python -m benchmarks.logs [MB]`.

Half is a syslog with a line of a kernel's USB driver now and then, half a flood of such lines.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from harness.bench.registry import discover
from harness.field.knowledge import load
from harness.field.reading import read

MEGABYTES = 1000
NOISE = "Jan 29 07:15:08 myhost systemd[1]: Started Session {0} of User root; status of the device is fine.\n"
USB = "Jan 29 07:15:08 myhost kernel: [{0:12.6f}] usb 1-4: device descriptor read/64, error -71\n"
EVERY = 2000
"""So many lines of noise for one that is understood."""


def write(path: Path, size: int) -> None:
    """Write a log of about `size` bytes."""
    quiet = "".join((USB if number % EVERY == 7 else NOISE).format(number) for number in range(20 * EVERY))
    flood = "".join(USB.format(number) for number in range(20 * EVERY))
    with path.open("w") as file:
        for part in (quiet, flood):
            for _ in range(max(1, size // 2 // len(part))):
                file.write(part)


def main(megabytes: int) -> None:
    """Measure, and print one line."""
    known = load(discover().field_files)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "large.log"
        write(log, megabytes * 1_000_000)
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        reading = read([log], known)
        took = time.process_time() - began
        more_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
        size = log.stat().st_size / 1e6
    print(
        f"{size:,.0f} MB, {reading.lines:,} lines, {reading.understood:,} understood, {reading.skipped:,} counted: "
        f"{size / took:,.0f} MB/s of processor time, {more_kb / 1024:,.0f} MB more memory"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES)
