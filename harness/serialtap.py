"""A serial port with a tap on it, for secure DFU: SLIP frames whose first byte says what they are.

Marks: `object` (one was created), `chunk` (a part of it sent), `execute`, `request-sent` for everything
else, and `response` with its result byte. That the client sends one frame a call of `write` is assumed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.model.tap import Tap

_SENT = {0x01: "object", 0x04: "execute", 0x08: "chunk"}
_END, _RESULT_AT = 0xC0, 2


class TappedSerial:
    """Wraps a port of pyserial's shape; whatever is not tapped is the port's own."""

    def __init__(self, port: Any, tap: Tap):
        self._port = port
        self._tap = tap
        self._frame = bytearray()

    @property
    def timeout(self) -> float | None:
        """How long `read` waits, in seconds: the port's own."""
        limit: float | None = self._port.timeout
        return limit

    @timeout.setter
    def timeout(self, limit_s: float | None) -> None:
        self._port.timeout = limit_s

    def write(self, data: Iterable[int]) -> int:
        sent = bytes(data)
        written: int = self._port.write(sent)
        self._tap.mark(_SENT.get(sent[0], "request-sent") if sent else "request-sent")
        return written

    def read(self, size: int = 1) -> bytes:
        got: bytes = self._port.read(size)
        for byte in got:
            if byte == _END:
                status = self._frame[_RESULT_AT] if len(self._frame) > _RESULT_AT else None
                self._tap.mark("response", status)
                self._frame.clear()
            else:
                self._frame.append(byte)
        return got

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)
