"""Wait until a condition holds, woken by device events of the kernel and of udev; never sleep and poll.

An event only says that it is worth looking again: no message is read for what it says. What is there is read from
sysfs each time. So nothing is missed that came before the wait began, and a lost event or one too many does no harm.

The socket hears both groups, because which of them makes a node usable depends on the host: the kernel's events
(a node exists) and udev's (its rules have run). pyudev would need two monitors, and no message has to be parsed.
Event to return, p50 and p99 of 400 rounds: this socket 0.5 and 6 ms, pyudev 0.7 and 6 ms. To make it ready to wait,
which each wait does anew: 0.07 ms here, 3.3 ms with pyudev, whose import takes 31 ms more (pyudev 0.24.5, Linux 6.18,
2 busy cores: `python -m benchmarks.uevents` as root).
"""

from __future__ import annotations

import errno
import select
import time
from collections.abc import Callable
from typing import TypeVar

from harness.base.errors import RigError
from harness.host.host import Host

T = TypeVar("T")

MESSAGE_BYTES = 1 << 16


class Watch:
    """The events from when it was made.

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
                mend="run on the host itself, or in a container with the host's network (--network host): "
                "the network namespace of an unprivileged container gets none",
            ) from None
        self._link.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._link, select.POLLIN)

    def fileno(self) -> int:
        return self._link.fileno()

    def drain(self) -> int:
        """Discard the events that have arrived; does not wait. Returns how many there were."""
        events = 0
        while True:
            try:
                message = self._link.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return events
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    # The queue has overflowed and some were lost: the caller looks again in any case.
                    continue
                raise
            if not message:
                raise RigError("the host's device events have ended", expected="a host that goes on")
            events += 1

    def until(self, look: Callable[[], T | None], limit_s: float, *, also: int | None = None) -> T | None:
        """Call `look` at once and after each event; return what it finds, or None when the limit has passed.

        :param also: a descriptor that is a reason to look, too, once it is readable; it is not read here.
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
                # It stays readable: one look is enough.
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
    """`Watch.until` for a single wait."""
    with Watch(host) as watch:
        return watch.until(look, limit_s, also=also)
