"""Human interface devices that carry reports of an application: interrupt pipes, or feature reports.

Source: Device Class Definition for HID 1.11, sections 6.2.1 and 7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from harness.twin.usb_device.function import (
    IN,
    INTERRUPT,
    Numbers,
    Pipe,
    RunningFunction,
    Setup,
    Stall,
    Ways,
    endpoint_descriptor,
    interface_descriptor,
)

HID_CLASS = 3


class Ask(IntEnum):
    """Class requests (HID 1.11, section 7.2)."""

    GET_REPORT, GET_IDLE, GET_PROTOCOL = 0x01, 0x02, 0x03
    SET_REPORT, SET_IDLE, SET_PROTOCOL = 0x09, 0x0A, 0x0B


class Type(IntEnum):
    """Types of descriptors (section 7.1) and of reports (section 7.2.1)."""

    HID, REPORT = 0x21, 0x22
    OUTPUT, FEATURE = 2, 3


@dataclass(frozen=True)
class Hid:
    """A HID interface.

    :ivar report_descriptor: as the key shows it. It has no report IDs.
    :ivar feature_size: bytes of the feature report that carries everything; 0: reports go through interrupt pipes.
    :ivar interval_ms: how often the host asks the interrupt pipes.
    """

    report_descriptor: bytes
    feature_size: int = 0
    interval_ms: int = 5

    def start(self, numbers: Numbers, ways: Ways, clock: Callable[[], int]) -> RunningHid:
        return RunningHid(self, numbers, ways)


class RunningHid(RunningFunction):
    """Reports each way: by interrupt pipes and SET_REPORT, or by feature reports alone."""

    def __init__(self, kind: Hid, numbers: Numbers, ways: Ways):
        self._kind, self._ways = kind, ways
        number = numbers.next_interface()
        self.interfaces = ((number, HID_CLASS, 0, 0),)
        to_host = numbers.pipe(IN, INTERRUPT, kind.interval_ms, number)
        self.pipes: tuple[Pipe, ...] = (to_host,)
        # Every HID interface has an interrupt IN pipe (HID 1.11, section 4.4); the other one is optional.
        if not kind.feature_size:
            self.pipes += (numbers.pipe(0, INTERRUPT, kind.interval_ms, number),)
        self._feature = bytes(kind.feature_size)
        self._features: deque[bytes] = deque()
        self._idle, self._protocol = 0, 1

    def _hid_descriptor(self) -> bytes:
        size = len(self._kind.report_descriptor)
        return bytes((9, Type.HID, 0x11, 0x01, 0, 1, Type.REPORT)) + size.to_bytes(2, "little")

    def descriptors(self) -> bytes:
        return (
            interface_descriptor(self.interfaces[0], len(self.pipes))
            + self._hid_descriptor()
            + b"".join(map(endpoint_descriptor, self.pipes))
        )

    def control(self, setup: Setup, data: bytes) -> bytes:
        # Requests: HID 1.11, sections 7.1 and 7.2. The high byte of wValue is a descriptor's or a report's type.
        match setup.request_type, setup.request, setup.value >> 8:
            case 0x81, 0x06, Type.HID:
                return self._hid_descriptor()
            case 0x81, 0x06, Type.REPORT:
                return self._kind.report_descriptor
            case 0xA1, Ask.GET_REPORT, Type.FEATURE if self._kind.feature_size:
                if (shown := self._ways.shown()) is not None:
                    return shown
                # A report that was read stays the current one until the firmware makes another.
                if self._features:
                    self._feature = self._features.popleft()
                return self._feature
            case 0x21, Ask.SET_REPORT, Type.FEATURE if self._kind.feature_size:
                self._ways.to_key(data)
                return b""
            case 0x21, Ask.SET_REPORT, Type.OUTPUT if not self._kind.feature_size:
                self._ways.to_key(data)
                return b""
            case 0xA1, Ask.GET_IDLE, _:
                return bytes((self._idle,))
            case 0x21, Ask.SET_IDLE, idle:
                self._idle = idle
                return b""
            case 0xA1, Ask.GET_PROTOCOL, _:
                return bytes((self._protocol,))
            case 0x21, Ask.SET_PROTOCOL, _:
                self._protocol = setup.value & 1
                return b""
        raise Stall

    def received(self, data: bytes) -> None:
        self._ways.to_key(data)

    def send(self, packet: bytes) -> None:
        if self._kind.feature_size:
            self._features.append(packet)
        else:
            self._ways.to_host(self.pipes[0].address, packet)
