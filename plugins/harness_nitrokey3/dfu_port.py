"""The bootloader's serial port with a tap for secure DFU: SLIP frames whose first byte says what they are.

Nordic's opcodes: facts of the nRF5 SDK, "Secure DFU" over serial: 01 creates an object, 08 writes a part of it,
04 executes; a response is 60, the opcode and a result.
"""

from __future__ import annotations

from harness.api import Reachable, TransportKind
from harness_transports.serial import TappedPort, raw_port

_SENT = {0x01: "object", 0x04: "execute", 0x08: "chunk"}
_END, _RESULT_AT = b"\xc0", 2


class DfuPort(TappedPort):
    """Marks: `object` (one was created), `chunk` (a part of it sent), `execute`, `request-sent` for everything else,
    and `response` with its result byte. Assumes that the client sends one frame in each call of `write`.
    """

    _frame = b""

    def _sent(self, data: bytes) -> None:
        self._tap.mark(_SENT.get(data[0], "request-sent") if data else "request-sent")

    def _received(self, data: bytes) -> None:
        *ended, rest = data.split(_END)
        for part in ended:
            frame = self._frame + part
            self._tap.mark("response", frame[_RESULT_AT] if len(frame) > _RESULT_AT else None)
            self._frame = b""
        self._frame += rest


NORDIC_DFU = TransportKind(
    "nordic-dfu",
    "Nordic's secure DFU on a serial port",
    lambda rig, endpoint: DfuPort(raw_port(rig, endpoint), rig.tap),
    endpoint="serial",
)


def dfu_port(rig: Reachable) -> DfuPort:
    """The serial port of the key's bootloader, tapped; errors as `harness_transports.serial.serial`."""
    return rig.transports.open(NORDIC_DFU)
