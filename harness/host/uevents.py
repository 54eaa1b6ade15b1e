"""Wait until something is so, woken by the kernel: devices that come and go, never sleep and poll.

An event only says that it is worth looking again. What is there is read from sysfs each time, so nothing is
missed that came before the wait began, and an event too many or a lost one does no harm.

Two formats arrive on one socket. The kernel's: `add@/devices/...` and then KEY=value, separated by NUL. And
udev's, sent when its rules have run: a header that begins with "libudev" and says where such pairs begin
(systemd, src/libsystemd/sd-device/device-monitor.c). Which of the two makes a node usable depends on the host.
"""

from __future__ import annotations

import errno
import select
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from harness.base.errors import RigError
from harness.host.host import Host

T = TypeVar("T")

_UDEV = b"libudev\0"
_MAGIC = 0xFEEDCAFE
_HEADER = struct.Struct("=8s4sIII")
"""prefix, magic (big-endian), size of the header, where the pairs begin, how many bytes they have."""
MESSAGE_BYTES = 1 << 16


@dataclass(frozen=True)
class Event:
    """One thing that happened to one device.

    :ivar action: "add", "remove", "bind", ...
    :ivar path: the device below /sys, e.g. /devices/pci0000:00/.../1-1.4.1.
    :ivar udev: whether udev's rules have run by now.
    """

    action: str
    path: str
    udev: bool = False
    values: dict[str, str] = field(default_factory=dict, repr=False)


def parse(message: bytes) -> Event | None:
    """An event as it came; None if it is of another format."""
    udev = message.startswith(_UDEV)
    if udev:
        if len(message) < _HEADER.size:
            return None
        _, magic, _, begin, size = _HEADER.unpack_from(message)
        if int.from_bytes(magic, "big") != _MAGIC:
            return None
        pairs = message[begin : begin + size]
    else:
        head, nul, pairs = message.partition(b"\0")
        if not nul or b"@" not in head:
            return None
    values = {}
    for pair in pairs.split(b"\0"):
        name, equals, value = pair.partition(b"=")
        if equals:
            values[name.decode(errors="replace")] = value.decode(errors="replace")
    if "ACTION" not in values or "DEVPATH" not in values:
        return None
    return Event(values["ACTION"], values["DEVPATH"], udev, values)


class Watch:
    """The events from when it was made on.

    :raises RigError: this process gets none.
    """

    def __init__(self, host: Host):
        try:
            self._link = host.open_uevents()
        except OSError as error:
            raise RigError(
                "the kernel's device events cannot be heard",
                found=error.strerror,
                expected="a netlink socket for uevents",
                mend="run on the host itself: a container or a network namespace gets none",
            ) from None
        self._link.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._link, select.POLLIN)

    def fileno(self) -> int:
        return self._link.fileno()

    def drain(self) -> list[Event]:
        """What has arrived by now; does not wait."""
        events: list[Event] = []
        while True:
            try:
                message = self._link.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return events
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    # Some were dropped: whoever waits looks again anyway.
                    continue
                raise
            if not message:
                raise RigError("the host's device events have ended", expected="a host that goes on")
            if (event := parse(message)) is not None:
                events.append(event)

    def until(self, look: Callable[[], T | None], limit_s: float, *, also: int | None = None) -> T | None:
        """What `look` finds as soon as it finds something; None when the limit has passed without.

        :param also: a descriptor that makes it worth looking, too, once it is readable; not read from here.
        """
        until = time.monotonic() + limit_s
        if also is not None:
            self._poll.register(also, select.POLLIN)
        while True:
            self.drain()
            if (found := look()) is not None:
                return found
            left_s = until - time.monotonic()
            if left_s <= 0:
                return None
            # Rounded up: poll takes whole milliseconds, and 0 would not wait at all.
            ready = self._poll.poll(int(left_s * 1000) + 1)
            if also is not None and any(fd == also for fd, _ in ready):
                # It stays readable: once is enough.
                self._poll.unregister(also)
                also = None

    def close(self) -> None:
        self._link.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wait_until(
    host: Host, look: Callable[[], T | None], limit_s: float, *, also: int | None = None
) -> T | None:
    """The same, for who waits once."""
    with Watch(host) as watch:
        return watch.until(look, limit_s, also=also)
