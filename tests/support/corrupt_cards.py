"""Transports that corrupt what a sound key answers: a card's answers, and the feature reports of a Nitrokey Pro."""

from __future__ import annotations

import errno
from collections.abc import Callable

from harness.model.transport import Transports
from harness_nitrokey_pro import reports
from support.corrupt import Corruption

CARD_KINDS = ("flip", "cut", "longer", "replace", "short", "status", "more", "more of nothing", "silence")
REPORT_KINDS = ("flip", "forge", "replace", "stale", "busy", "state", "short", "silence")
SHORT = 2


def flipped(data: bytes, one: Corruption) -> bytes:
    """Some bits of the data are others."""
    changed = bytearray(data)
    for offset, bits in enumerate(one.data[: len(data)]):
        changed[(one.at + offset) % len(data)] ^= bits
    return bytes(changed)


def silence() -> OSError:
    return OSError(errno.ETIMEDOUT, "no answer within the rig's limit")


class _Damaging:
    """Pass each method that a subclass does not have to the sound endpoint."""

    def __init__(self, inner, is_hit: Callable[[], bool], corruption: Corruption):
        self._inner, self._is_hit, self._one = inner, is_hit, corruption

    def __getattr__(self, name):
        return getattr(self._inner, name)


class CorruptedCard(_Damaging):
    """The raw endpoint "card"."""

    _endless = False

    def connect(self):
        self._inner.connect()

    def disconnect(self):
        self._inner.disconnect()

    def atr(self):
        return self._inner.atr()

    def exchange(self, apdu: bytes) -> bytes:
        if self._endless and apdu[1] == 0xC0:
            return self._more()
        self._endless = False
        answer = self._inner.exchange(apdu)
        return self._damaged(answer[:-2], answer[-2:]) if self._is_hit() else answer

    def _more(self) -> bytes:
        self._endless = True
        return (b"" if self._one.kind == "more of nothing" else b"\x7f") + b"\x61\x01"

    def _damaged(self, data: bytes, status: bytes) -> bytes:
        one = self._one
        match one.kind:
            case "flip":
                return flipped(data, one) + status
            case "cut":
                return data[: one.at % max(1, len(data))] + status
            case "longer":
                return data + one.data + status
            case "replace":
                return one.data + status
            case "short":
                return (data + status)[: one.at % SHORT]
            case "status":
                return data + one.at.to_bytes(2, "big")
            case "more" | "more of nothing":
                return self._more()
        raise silence()


class CorruptedReports(_Damaging):
    """The raw endpoint "hid-feature"; an answer that is read again is corrupted alike."""

    _last = bytes(reports.SIZE)
    _is_damaged = False

    def send(self, report: bytes) -> None:
        self._is_damaged = self._is_hit()
        self._inner.send(report)

    def get(self) -> bytes:
        report = self._inner.get()
        if not self._is_damaged:
            self._last = report
            return report
        return self._damaged(report)

    def _damaged(self, report: bytes) -> bytes:
        one = self._one
        match one.kind:
            case "flip":
                return flipped(report, one)
            case "forge":
                body = b"\0" + flipped(report[1 : reports.CRC_AT], one)
                return report[:1] + body[1:] + reports.crc32(body).to_bytes(4, "little")
            case "replace":
                return one.data.ljust(reports.SIZE, b"\0")[: reports.SIZE]
            case "stale":
                return self._last
            case "busy":
                return bytes([reports.BUSY]) + report[1:]
            case "state":
                return bytes([one.at & 0xFF]) + report[1:]
            case "short":
                return report[: one.at % reports.SIZE]
        raise silence()


class CorruptTransports(Transports):
    """The transports of a rig; answers of one endpoint are corrupted, counted over all boots."""

    def __init__(self, rig, endpoint: str, corruption: Corruption):
        super().__init__(rig)
        self._inner, self._damaged, self._corruption, self.answers = rig.transports, endpoint, corruption, 0

    def identity(self):
        return self._inner.identity()

    def _is_hit(self) -> bool:
        self.answers += 1
        one = self._corruption
        return self.answers == one.first or (self.answers > one.first and one.always)

    def endpoint(self, name):
        endpoint = self._inner.endpoint(name)
        if name != self._damaged:
            return endpoint
        made = CorruptedCard if name == "card" else CorruptedReports
        return made(endpoint, self._is_hit, self._corruption)
