"""An updater that is killed in the middle of a frame, while the key keeps its power."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from harness.api import BusIdentity, Handle, TransportKind, Transports, UpdaterKilled


class Breaking(Transports):
    """A rig's transports whose serial port fails at its `at`-th write, after `share` of the frame (0 to 1).

    :ivar writes: number of writes so far.
    """

    def __init__(self, real: Transports, at: int, share: float):
        self._real, self._at, self._share = real, at, share
        self.writes = 0

    def open(self, kind: TransportKind[Handle]) -> Handle:
        handle = self._real.open(kind)
        return cast(Handle, _Port(handle, self)) if kind.endpoint_name == "serial" else handle

    def endpoint(self, name: str) -> object:
        return self._real.endpoint(name)

    def identity(self) -> BusIdentity:
        return self._real.identity()

    def meets(self, port: Any, data: bytes) -> None:
        """:raises UpdaterKilled: this is the `at`-th write."""
        self.writes += 1
        if self.writes == self._at:
            cut = round(len(data) * self._share)
            if cut:
                port.write(data[:cut])
            raise UpdaterKilled


class _Port:
    def __init__(self, port: Any, breaking: Breaking):
        self._port, self._breaking = port, breaking

    def write(self, data: Iterable[int]) -> int:
        sent = bytes(data)
        self._breaking.meets(self._port, sent)
        written: int = self._port.write(sent)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_port", "_breaking"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._port, name, value)
