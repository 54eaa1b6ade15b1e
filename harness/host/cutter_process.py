"""The cutter's own process: waits for an absolute deadline and acts. Executed as a file, standard library only.

Its stdin is a socket. Each message on it is one command, and gets one message as its answer:

    ready <1 if scheduled FIFO, else 0>             once, at the start
    arm <number> <deadline in ns> kill              with a pidfd attached: SIGKILL that process, and see it end
    arm <number> <deadline in ns> write <hex>       with an fd attached: write these bytes to it
    arm <number> <deadline in ns> ioctl <hex> <request>
                                                    with an fd attached: that ioctl with this buffer
    arm <number> <deadline in ns> none              only measure
        -> fired <number> <ns before it acted> <ns after it> <errno or 0>
    disarm <number>
        -> disarmed <number>; nothing if it has fired, because then `fired` is on its way

Deadlines are on CLOCK_MONOTONIC. The process sleeps until 2 ms before a deadline and then spins: a sleep ends late by
milliseconds, a spinning process with FIFO scheduling by a microsecond. Without FIFO scheduling the kernel interrupts
a process that spins, and prefers one that has slept: then it spins for 0.1 ms only.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import os
import select
import signal
import socket
import sys
import time

SPIN_NS, SPIN_UNPRIVILEGED_NS = 2_000_000, 100_000
PRIORITY = 20
PR_SET_PDEATHSIG, PR_SET_TIMERSLACK = 1, 29
DEATH_LIMIT_MS = 3_000
"""A process that does not end within this after SIGKILL waits in the kernel: ETIMEDOUT."""


def main() -> None:
    # A Ctrl-C is for the campaign, which disarms; the cutter dies with its parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(PR_SET_TIMERSLACK, 1)
    if os.getppid() != int(sys.argv[1]):
        return
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
        realtime = 1
    except (OSError, AttributeError):
        realtime = 0
    gc.disable()
    link = socket.socket(fileno=0)
    link.send(f"ready {realtime}".encode())
    serve(link, SPIN_NS if realtime else SPIN_UNPRIVILEGED_NS)


def serve(link: socket.socket, spin_ns: int) -> None:
    """Take commands until the other end closes."""
    armed: tuple[int, int, str, bytes, int, int] | None = None
    while True:
        if armed is None:
            select.select([link], [], [])
        else:
            left_ns = armed[1] - time.monotonic_ns() - spin_ns
            # poll counts in milliseconds, select in nanoseconds.
            if left_ns <= 0 or not select.select([link], [], [], left_ns / 1e9)[0]:
                if armed[1] - time.monotonic_ns() <= spin_ns:
                    fire(link, *armed)
                    armed = None
                continue
        message, fds, _, _ = socket.recv_fds(link, 4096, 1)
        if not message:
            return
        word, number, *rest = message.decode().split()
        if word == "arm":
            data = bytes.fromhex(rest[2]) if len(rest) > 2 else b""
            request = int(rest[3]) if len(rest) > 3 else 0
            armed = (int(number), int(rest[0]), rest[1], data, fds[0] if fds else -1, request)
        elif armed is not None and armed[0] == int(number):
            if armed[4] >= 0:
                os.close(armed[4])
            armed = None
            link.send(f"disarmed {number}".encode())


def fire(
    link: socket.socket, number: int, deadline_ns: int, action: str, data: bytes, fd: int, request: int
) -> None:
    """Spin until the deadline, act, and report the time before and after.

    Some acts wait: for a hub's lock, for a board that is busy. The order was given at some instant in between.
    """
    now = time.monotonic_ns
    failed = 0
    ended = select.poll()
    if action == "kill":
        ended.register(fd, select.POLLIN)
    while now() < deadline_ns:
        pass
    before_ns = now()
    try:
        if action == "kill":
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            if not ended.poll(DEATH_LIMIT_MS):
                failed = errno.ETIMEDOUT
        elif action == "write":
            os.write(fd, data)
        elif action == "ioctl":
            fcntl.ioctl(fd, request, data)
    except OSError as error:
        failed = error.errno or -1
    after_ns = now()
    link.send(f"fired {number} {before_ns} {after_ns} {failed}".encode())
    if fd >= 0:
        os.close(fd)


if __name__ == "__main__":
    main()
