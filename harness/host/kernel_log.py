"""The kernel's lines about one port: from /dev/kmsg, else from dmesg, else from the systemd journal.

Nothing here waits and no thread runs: lines stay at their source until `take` reads them.
A line is a port's if it names the port ("usb 1-1.4.1: ...", "cdc_acm 1-1.4.1:1.0: ..."), the hub's side of it
("usb 1-1.4-port1: ...") or its physical path ("... on usb-0000:00:14.0-1.4.1/input0").
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field

from harness.host.host import Host
from harness.host.usb import hub_of

READ_BYTES = 1 << 16
LINES_MAX = 500
"""Lines that are kept between two calls of `take`: a port in a loop of resets repeats the same lines."""
COUNTED = (-71, -110)
"""-EPROTO and -ETIMEDOUT: a device that does not answer on the bus, or not in time."""
_ERROR = re.compile(r"(?:err(?:or)?|status|ret)\D{0,6}(-(?:71|110))\b|\((-(?:71|110))\)", re.IGNORECASE)
_PREFIX = re.compile(r"^(?:<\d+>)?\s*(?:\[\s*\d+\.\d+\]\s*)?(?:\S+ kernel:\s*)?")
_NEW = re.compile(r": new \S+ USB device number \d+")


def belongs(text: str, port: str) -> bool:
    """Return whether a line is about a port."""
    hub, number = hub_of(port)
    path = port.partition("-")[2]
    names = rf"(?<![\w.-])(?:{re.escape(port)}(?:[:]\d+\.\d+)?(?=[:\s])|{re.escape(hub)}-port{number}(?!\d))"
    return re.search(rf"{names}|on usb-\S+-{re.escape(path)}/", text) is not None


@dataclass
class PortCounts:
    """Counts for one port.

    :ivar plugs: how often a device was enumerated on it.
    :ivar errors: how often -71 and -110 stood in its lines.
    """

    plugs: int = 0
    errors: Counter[int] = field(default_factory=Counter)

    def count(self, text: str) -> None:
        self.plugs += _NEW.search(text) is not None
        for match in _ERROR.finditer(text):
            self.errors[int(match[1] or match[2])] += 1

    def row(self) -> dict[str, int]:
        """Return the counts by name, as in `harness.model.rig.Rig.plugs`."""
        return {"plugs": self.plugs, **{str(error): self.errors[error] for error in COUNTED}}


class KernelLog:
    """The kernel's lines about one port, from now on.

    :ivar source: where the lines come from; None if no source works.
    :ivar why_not: why the sources that were tried do not work.
    """

    def __init__(self, host: Host, port: str):
        self.port = port
        self.tally = PortCounts()
        self.why_not: list[str] = []
        self._commands = list(host.log_commands)
        self._process: subprocess.Popen[bytes] | None = None
        self._fd: int | None = None
        self._rest = b""
        self.source: str | None = None
        try:
            self._fd = host.open_kernel_log()
            self.source = "/dev/kmsg"
        except OSError as error:
            self.why_not.append(f"/dev/kmsg: {error.strerror}")
            self._follow_next()

    def _follow_next(self) -> None:
        """Start the next command that may print the lines."""
        self._stop()
        while self._commands:
            command = self._commands.pop(0)
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            except OSError as error:
                self.why_not.append(f"{command[0]}: {error.strerror}")
                continue
            assert self._process.stdout is not None
            self._fd = self._process.stdout.fileno()
            os.set_blocking(self._fd, False)
            self.source = command[0]
            return
        self.source = None

    def take(self) -> list[str]:
        """Return the port's lines since the last call, the oldest first."""
        lines = []
        for text in self._arrived():
            if belongs(text, self.port):
                self.tally.count(text)
                lines.append(text)
        if len(lines) > LINES_MAX:
            lines = [f"({len(lines) - LINES_MAX} lines left out)", *lines[-LINES_MAX:]]
        return lines

    def _arrived(self) -> list[str]:
        lines: list[str] = []
        while self._fd is not None:
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.EPIPE:
                    # The ring buffer was overwritten here: the next read goes on with the oldest record.
                    continue
                self.why_not.append(f"{self.source}: {error.strerror}")
                self._follow_next()
                continue
            if self._process is not None:
                if not data:
                    code = self._process.wait()
                    self.why_not.append(f"{self.source}: ended with exit code {code}")
                    self._follow_next()
                    continue
                *whole, self._rest = (self._rest + data).split(b"\n")
                lines += [_PREFIX.sub("", one.decode(errors="replace")) for one in whole]
            elif data:
                lines.append(_record(data))
            else:
                break
        return lines

    def _stop(self) -> None:
        self._rest = b""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None
        elif self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        self._fd = None

    def close(self) -> None:
        self._stop()


def _record(data: bytes) -> str:
    """Return the text of one record of /dev/kmsg: `prio,sequence,microseconds,flags;text`, then ` KEY=value` lines
    (linux Documentation/ABI/testing/dev-kmsg).
    """
    text = data.decode(errors="replace").partition(";")[2]
    return text.partition("\n")[0]
