"""When a packet arrived: the kernel says so, because a busy host reads it later.

A firmware that answers and writes at once has often written before the harness has read the answer. The loopback
interface dates a packet while its sender is still in the call that sends it, so what the sender does next is later.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable
from contextlib import suppress

SO_TIMESTAMPNS = 64
"""SO_TIMESTAMPNS_NEW (asm-generic/socket.h): seconds and nanoseconds of CLOCK_REALTIME, in 64 bits each."""
STAMP = struct.Struct("@qq")
TRIES, CLOSE_NS = 8, 1000
"""How often the two clocks are read, and how close together two readings are close enough."""


def date_packets(sock: socket.socket) -> None:
    """Ask the kernel to date what arrives; where it does not, a packet arrives when it is read."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def receive(sock: socket.socket, size: int) -> tuple[bytes, int]:
    """Read from a socket: (data, when the last of it arrived, in microseconds of the monotonic clock).

    :raises OSError: as `recv`.
    """
    data, ancillary, _, _ = sock.recvmsg(size, socket.CMSG_SPACE(STAMP.size))
    now_ns = time.monotonic_ns()
    stamp_ns = _stamp_ns(ancillary)
    if stamp_ns is None:
        return data, now_ns // 1000
    return data, min(now_ns, stamp_ns - _realtime_ahead_ns()) // 1000


def _stamp_ns(ancillary: Iterable[tuple[int, int, bytes]]) -> int | None:
    for level, kind, raw in ancillary:
        if (level, kind, len(raw)) == (socket.SOL_SOCKET, SO_TIMESTAMPNS, STAMP.size):
            seconds, rest = STAMP.unpack(raw)
            return int(seconds) * 1_000_000_000 + int(rest)
    return None


def _realtime_ahead_ns() -> int:
    """How far CLOCK_REALTIME is ahead of the monotonic clock, read where this process was not interrupted."""
    readings: list[tuple[int, int]] = []
    for _ in range(TRIES):
        before_ns, real_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after_ns - before_ns, real_ns - (before_ns + after_ns) // 2))
        if after_ns - before_ns <= CLOSE_NS:
            break
    return min(readings)[1]
