"""A simulated key with one flash chip, a card, feature reports and a serial port, for tests of the twin room."""

from __future__ import annotations

from collections.abc import Mapping

from harness.model.key import Face, Key
from harness.twin.board import Board
from harness.twin.model import Offered, TwinOptions
from harness.twin.parts import Part
from harness.twin.rail import Panic
from harness.twin.rig import TwinRig

PART = Part("small", 4096, 4, 4, 41, 85_000, 10_000)
WORK_US = 5_000
HALT = b"\xff"


class Echo:
    """Answers on the endpoint that it was asked on; a command 0x01 erases a page first, 0xFF halts."""

    face = "application"
    serial_number = "0001"

    def __init__(self, board: Board):
        self._board = board

    def receive(self, endpoint: str, packet: bytes) -> None:
        if packet == HALT:
            raise Panic
        self._board.clock.wait_us(WORK_US)
        if packet[:1] == b"\x01" and not self._board.flash["data"].erase(0):
            self._board.rail.check()
        if packet:
            self._board.send(endpoint, endpoint.encode() + packet)

    def next_event_us(self) -> int | None:
        return None

    def advance(self) -> None:
        pass

    def press(self) -> bool:
        return False


class SmallTwin:
    """See above."""

    personalities: Mapping[str, str] = {"reference": "v1"}
    sound = ("reference",)
    defects: Mapping[str, object] = {}
    endpoints = {
        "card": Offered("apdus", atr=b"\x3b\x00"),
        "hid-feature": Offered("reports"),
        "serial": Offered("bytes"),
        "mboot": Offered("packets", ("bootloader",)),
    }

    def layer(self, options: TwinOptions) -> str:
        return "plain"

    def build(self, options: TwinOptions, seed: bytes) -> Board:
        return Board({"data": PART}, Echo, seed)


def small_rig() -> TwinRig:
    """A rig with that key, with power."""
    key = Key("small", "Small", (Face("application", 1, 2, "Small"),), (), lambda rig: {})
    rig = TwinRig("small-1", key, SmallTwin(), TwinOptions(), 1, expendable=True)
    rig.power.on()
    return rig
