"""A serial port: USB Communications Class, Abstract Control Model.

Source: CDC 1.2, section 5.2.3; PSTN 1.2, sections 5.3 and 6.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from harness.twin.usb_device.function import (
    BULK,
    IN,
    INTERRUPT,
    Numbers,
    RunningFunction,
    Setup,
    Stall,
    Ways,
    endpoint_descriptor,
    interface_descriptor,
)

COMMUNICATIONS, DATA, ACM, NO_PROTOCOL = 0x02, 0x0A, 0x02, 0x00
ASSOCIATION, CS_INTERFACE = 0x0B, 0x24
BY_CONTROL_INTERFACE = 0x02
"""bmCapabilities: line coding and control line state are understood."""


class Ask(IntEnum):
    """Requests of the Abstract Control Model (PSTN 1.2, table 13)."""

    SET_LINE_CODING = 0x20
    GET_LINE_CODING = 0x21
    SET_CONTROL_LINE_STATE = 0x22
    SEND_BREAK = 0x23


@dataclass(frozen=True)
class CdcAcm:
    """A port without a real line behind it: its baud rate is kept and changes nothing."""

    def start(self, numbers: Numbers, ways: Ways, clock: Callable[[], int]) -> RunningCdcAcm:
        return RunningCdcAcm(numbers, ways)


class RunningCdcAcm(RunningFunction):
    """Bytes each way by bulk pipes. The notification pipe says nothing."""

    def __init__(self, numbers: Numbers, ways: Ways):
        self._ways = ways
        control, data = numbers.next_interface(), numbers.next_interface()
        self.interfaces = (
            (control, COMMUNICATIONS, ACM, NO_PROTOCOL),
            (data, DATA, 0, 0),
        )
        self.pipes = (
            numbers.pipe(IN, INTERRUPT, 16, control),
            numbers.pipe(IN, BULK, 0, data),
            numbers.pipe(0, BULK, 0, data),
        )
        # 115,200 baud, one stop bit, no parity, eight bits.
        self._line = (115_200).to_bytes(4, "little") + bytes((0, 0, 8))

    def descriptors(self) -> bytes:
        (control, *_), (data, *_) = self.interfaces
        notify, *bulk = self.pipes
        return (
            bytes((8, ASSOCIATION, control, 2, COMMUNICATIONS, ACM, NO_PROTOCOL, 0))
            + interface_descriptor(self.interfaces[0], 1)
            + bytes((5, CS_INTERFACE, 0x00, 0x10, 0x01))  # header, CDC 1.10
            + bytes((5, CS_INTERFACE, 0x01, 0x00, data))  # call management: none
            + bytes((4, CS_INTERFACE, 0x02, BY_CONTROL_INTERFACE))
            + bytes((5, CS_INTERFACE, 0x06, control, data))  # union
            + endpoint_descriptor(notify)
            + interface_descriptor(self.interfaces[1], 2)
            + b"".join(map(endpoint_descriptor, bulk))
        )

    def control(self, setup: Setup, data: bytes) -> bytes:
        match setup.request_type, setup.request:
            case 0x21, Ask.SET_LINE_CODING if len(data) == len(self._line):
                self._line = data
                return b""
            case 0xA1, Ask.GET_LINE_CODING:
                return self._line
            case 0x21, Ask.SET_CONTROL_LINE_STATE | Ask.SEND_BREAK:
                return b""
        raise Stall

    def received(self, data: bytes) -> None:
        self._ways.to_key(data)

    def send(self, packet: bytes) -> None:
        self._ways.to_host(self.pipes[1].address, packet)
