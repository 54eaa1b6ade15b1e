"""Yepkit YKUSH, YKUSH3 and YKUSH XS: hubs with a switch in each port, driven by HID reports of 64 bytes.

    on      11 12 13     one byte for each port, the rest zeros   -> a report
    off     01 02 03                                              -> a report
    state   21 22 23     -> 01, then 0n for off or 1n for on
    data    41 on, 40 off: the data lines alone (XS only; their state is not told)
    (1A and 0A are for all ports and never sent)

Source: Yepkit/ykush at b402f5a (src/ykush/ykush.cpp, src/ykush3/ykush3.cpp, src/ykushxs/ykushxs.cpp).
"""

from __future__ import annotations

import contextlib
from typing import Literal

from pydantic import Field

from harness.api import ActuatorRequest, CallerError, CutAction, PowerDriver, PowerSwitch
from harness_rigs.power.board_errors import Unexpected, place_of, shown
from harness_rigs.power.hidline import HidChannel, HidOptions, hid_channel, the_board
from harness_rigs.power.switch import channel_switch

XS = (0x04D8, 0xF0CD)
IDS = {(0x04D8, 0xF2F7): "YKUSH", (0x04D8, 0xF11B): "YKUSH3", XS: "YKUSH XS"}
ON, STATE = 0x10, 0x20
DATA_ON, DATA_OFF = 0x41, 0x40
SIZE, ANSWER_S = 64, 0.5


class YkushOptions(HidOptions):
    """`[rig.power]` of a YKUSH."""

    serial: str | None = None
    """The board's USB serial, as `lsusb -v` shows it."""
    channel: int = Field(default=1, ge=1, le=3)
    lines: Literal["power", "data"] = "power"
    """What is switched; "data" on a YKUSH XS only, e.g. as one half of driver = "combined"."""


class Ykush(HidChannel):
    """Power of one port."""

    driver = "ykush"

    def command(self, active: bool) -> int:
        return self.number | ON if active else self.number

    def set(self, active: bool) -> None:
        self._ask(self.command(active))

    def read(self) -> bool | None:
        answer = self._ask(STATE | self.number)
        if not self._is_state(answer):
            # This may be the answer to the cutter's command, which the cutter left unread: then ours follows.
            with contextlib.suppress(TimeoutError):
                answer = self.line.read(SIZE, ANSWER_S)
        if not self._is_state(answer):
            expected = f"01, then {self.number:02x} for off or {self.number | ON:02x} for on"
            raise Unexpected(shown(answer[:8]), expected)
        return bool(answer[1] & ON)

    def _is_state(self, answer: bytes) -> bool:
        return len(answer) > 1 and answer[1] & ~ON == self.number

    def cut_action(self, active: bool) -> CutAction | None:
        return self.write_cut_action(_report(self.command(active)))

    def _ask(self, command: int) -> bytes:
        self.line.write(_report(command))
        return self.line.read(SIZE, ANSWER_S)


class YkushData(Ykush):
    """The data lines of a YKUSH XS; the board does not tell their state."""

    def command(self, active: bool) -> int:
        return DATA_ON if active else DATA_OFF

    def read(self) -> None:
        return None


def _report(command: int) -> bytes:
    return bytes([command]).ljust(SIZE, b"\0")


def _make(request: ActuatorRequest) -> PowerSwitch:
    options: YkushOptions = request.options
    board = the_board(request, IDS)
    is_xs = (board.vendor_id, board.product_id) == XS
    name = IDS[board.vendor_id, board.product_id]
    if is_xs and options.channel > 1:
        raise CallerError(
            f"{place_of(request)}.channel",
            found=options.channel,
            expected=f"a port of the {name} at {board.port}, which has one",
        )
    if options.lines == "data" and not is_xs:
        raise CallerError(
            f"{place_of(request)}.lines",
            found=f'"data" on a {name}',
            expected='"power": only a YKUSH XS switches its data lines apart',
        )
    kind = YkushData if options.lines == "data" else Ykush
    return channel_switch(request, kind(request, board, options.channel))


def _channel(options: YkushOptions) -> str:
    return hid_channel("ykush", options) + (" data lines" if options.lines == "data" else "")


YKUSH = PowerDriver("ykush", "Yepkit YKUSH, YKUSH3 and YKUSH XS", YkushOptions, _make, _channel, IDS)
