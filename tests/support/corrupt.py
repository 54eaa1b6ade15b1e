"""A transport that corrupts what a sound key answers, message by message."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from harness.model.transport import Transports

INIT, ERROR, KEEPALIVE = 0x86, 0xBF, 0xBB
KINDS = (
    "flip",
    "cut",
    "longer",
    "replace",
    "empty",
    "status",
    "length",
    "command",
    "channel",
    "sequence",
    "drop",
    "keepalives",
    "keepalive status",
    "short report",
    "busy",
    "silence",
)


@dataclass(frozen=True)
class Corruption:
    """One kind of damage to the answers from `first` on, `every` one of them or that one alone."""

    kind: str
    first: int
    always: bool
    at: int
    data: bytes


def frames(channel: bytes, command: int, data: bytes, *, size: int | None = None) -> list[bytes]:
    """The packets of one CTAPHID message."""
    head = channel + bytes([command]) + (len(data) if size is None else size).to_bytes(2, "big")
    packets, rest = [head + data[:57]], data[57:]
    number = 0
    while rest:
        packets.append(channel + bytes([number]) + rest[:59])
        rest, number = rest[59:], (number + 1) & 0x7F
    return [packet.ljust(64, b"\0") for packet in packets]


class Corrupted:
    """The raw endpoint "ctaphid" with corrupted answers; counts them over all boots."""

    def __init__(self, packets, count: Callable[[], int], corruption: Corruption):
        self._packets, self._count, self._corruption = packets, count, corruption
        self._ready: deque[bytes] = deque()
        self._endless: bytes | None = None
        self._closed = False

    def send(self, data: bytes) -> None:
        self._ready.clear()
        self._endless, self._closed = None, False
        self._packets.send(data)

    def close(self) -> None:
        self._packets.close()

    def receive(self) -> bytes:
        if self._endless is not None:
            return self._endless
        if not self._ready:
            if self._closed:
                raise OSError(errno.ETIMEDOUT, "no answer within the rig's limit")
            self._fill()
        if not self._ready:
            raise OSError(errno.ETIMEDOUT, "no answer within the rig's limit")
        return self._ready.popleft()

    def _fill(self) -> None:
        first = self._packets.receive()
        if first[4] == KEEPALIVE:
            self._ready.append(first)
            return
        channel, command, size = first[:4], first[4], int.from_bytes(first[5:7], "big")
        data = first[7:]
        while len(data) < size:
            data += self._packets.receive()[5:]
        self._closed = True
        number, one = self._count(), self._corruption
        whole = frames(channel, command, data[:size])
        if number < one.first or (number > one.first and not one.always):
            self._ready.extend(whole)
        else:
            self._ready.extend(self._damaged(channel, command, data[:size], whole))

    def _damaged(self, channel: bytes, command: int, data: bytes, whole: list[bytes]) -> list[bytes]:
        one, at = self._corruption, self._corruption.at
        place = at % max(1, len(data))
        match one.kind:
            case "flip":
                flipped = bytearray(data)
                for offset, bits in enumerate(one.data[: len(data)]):
                    flipped[(place + offset) % len(data)] ^= bits
                return frames(channel, command, bytes(flipped))
            case "cut":
                return frames(channel, command, data[:place])
            case "longer":
                return frames(channel, command, data + one.data)
            case "replace":
                return frames(channel, command, data[:1] + one.data)
            case "empty":
                return frames(channel, command, b"")
            case "status":
                return frames(channel, command, bytes([at & 0xFF]))
            case "length":
                return frames(channel, command, data, size=at & 0xFFFF)
            case "command":
                return frames(channel, 0x80 | at & 0x7F, data)
            case "channel":
                return frames(one.data[:4].ljust(4, b"\x07"), command, data)
            case "sequence":
                damaged = [bytearray(packet) for packet in whole]
                damaged[-1][4] = (damaged[-1][4] + 1 + at) & 0xFF
                return [bytes(packet) for packet in damaged]
            case "drop":
                return whole[:-1]
            case "keepalives":
                self._endless = frames(channel, KEEPALIVE, bytes([1 + at % 2]))[0]
                return [self._endless]
            case "keepalive status":
                return frames(channel, KEEPALIVE, bytes([at & 0xFF])) + whole
            case "short report":
                return [whole[0][: at % 64]]
            case "busy":
                return frames(channel, ERROR, b"\x06" if at % 8 == 0 else bytes([at & 0x7F]))
        return []


class CorruptTransports(Transports):
    """The transports of a rig; its CTAPHID answers are corrupted."""

    def __init__(self, rig, corruption: Corruption):
        super().__init__(rig)
        self._inner, self._corruption, self.answers = rig.transports, corruption, 0

    def identity(self):
        return self._inner.identity()

    def _counted(self) -> int:
        self.answers += 1
        return self.answers

    def endpoint(self, name):
        endpoint = self._inner.endpoint(name)
        return Corrupted(endpoint, self._counted, self._corruption) if name == "ctaphid" else endpoint
