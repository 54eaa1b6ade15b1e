"""The kernel's lines about one port: from /dev/kmsg, else from dmesg, else from the systemd journal.

Nothing here waits and no thread runs: lines stay at their source until `take` reads them.
`PortLines` says which lines are a port's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.host.host import Host
from harness.host.usb import hub_of

READ_BYTES = 1 << 16
LINES_MAX = 500
"""Lines that are kept between two calls of `take`: a port in a loop of resets repeats the same lines."""
COUNTED = (-71, -110)
"""-EPROTO and -ETIMEDOUT: a device that does not answer on the bus, or not in time."""
_ERROR = re.compile(r"(?<![\w.)-])-(?:71|110)(?![\w.-])")
"""The number alone: the kernel writes "error -71", "failed: -71", "(err = -110)", "status -71", "ret: -71"."""
_PREFIX = re.compile(r"^(?:<\d+>)?\s*(?:\[\s*\d+\.\d+\]\s*)?(?:\S+ kernel:\s*)?")
_NEW = re.compile(r": new [\w +-]+? USB device (?:number|using)\b")
"""Before Linux 3.2 the line was "new full speed USB device using uhci_hcd and address 7"."""
_HID = re.compile(r"(?<![\w:])0003:[0-9A-F]{4}:[0-9A-F]{4}\.[0-9A-F]{4,}(?=:)")
"""A HID device on USB: vendor, product, and a number that no other device gets (linux drivers/hid/hid-core.c)."""


class PortLines:
    """Which lines of the kernel are about one port.

    A line is a port's if it names the port ("usb 1-1.4.1: ...", "cdc_acm 1-1.4.1:1.0: ..."), the hub's side of it
    ("usb 1-1.4-port1: ...", "hub 1-1.4:1.0: cannot reset port 1"), its physical path ("... on
    usb-0000:00:14.0-1.4.1/input0") or a HID device on it ("hid-generic 0003:20A0:42B2.0007: ... failed: -71").
    A failure of its hub that names no port ("hub 1-1.4:1.0: hub_ext_port_status failed") belongs to each of its ports.
    """

    def __init__(self, port: str, controller: str | None = None, hid_devices: Iterable[str] = ()):
        """
        :param controller: the host controller of the port's bus, as sysfs names it ("0000:00:14.0"). Physical paths of
            other controllers are not the port's. None: it is not known, so each controller's path counts.
        :param hid_devices: HID devices that are on the port already, as sysfs names them ("0003:20A0:42B2.0007").
        """
        hub, number = hub_of(port)
        path = re.escape(port.partition("-")[2])
        interface = (
            re.escape(f"{hub.removeprefix('usb')}-0" if hub.startswith("usb") else hub) + r":\d+\.\d+:"
        )
        named = (
            rf"(?<![\w.-]){re.escape(port)}(?::\d+\.\d+)?(?=[:\s])",
            rf"(?<![\w.-]){re.escape(hub)}-port{number}(?!\d)",
            rf"(?<![\w.-])hub {interface}.*\bport {number}(?!\d)",
            rf"(?<![\w.-])hub {interface}(?!.*\bport \d).*(?:fail|error|\berr\b)",
        )
        bus = re.escape(controller) if controller else r"[^/\s]+"
        self._named = re.compile("|".join(named))
        self._by_path = re.compile(rf"on usb-{bus}-{path}/")
        self._hid_devices = set(hid_devices)

    def __contains__(self, text: str) -> bool:
        """Return whether a line is about the port; to be asked for each line, in the order in which they came."""
        device = _HID.search(text)
        if self._by_path.search(text):
            if device:
                self._hid_devices.add(device[0])
            return True
        return self._named.search(text) is not None or (device is not None and device[0] in self._hid_devices)


def _controller(host: Host, port: str) -> str | None:
    """Return the host controller of a port's bus, as physical paths name it; None if sysfs has no such bus."""
    bus = host.sys / "bus/usb/devices" / f"usb{port.partition('-')[0]}"
    return bus.resolve().parent.name if bus.exists() else None


def _hid_devices(host: Host, port: str) -> list[str]:
    """Return the HID devices on a port, as sysfs names them."""
    return [found.name for found in (host.sys / "bus/usb/devices").glob(f"{port}:*/0003:*")]


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
        self.errors.update(int(number) for number in _ERROR.findall(text))

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
        self._lines = PortLines(port, _controller(host, port), _hid_devices(host, port))
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
            if text in self._lines:
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
