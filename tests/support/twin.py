"""What the tests of the twin share: a connection for the real client, and a walk of all cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.ctap2.pin import ClientPin
from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor
from fido2.webauthn import AttestationObject
from nitrokey.nk3 import NK3
from nitrokey.trussed._connection.ctaphid import CtapHidConnection as SdkConnection

from harness.base.seeds import child
from harness.twin import records
from harness.twin.board import Board
from harness.twin.flash_layers import layer_called
from harness.twin.image import BoardState
from harness.twin.model import TwinOptions
from harness.twin.parts import FlashOp
from harness.twin.tear import programmed, torn_erase, torn_program
from harness_fido2.twin import persistent_state
from harness_nitrokey3.twin import boot, model, personality

SEED = child(1, "tests of the twin")
RP = {"id": "example.com", "name": "Example"}
ES256 = [{"type": "public-key", "alg": -7}]
HASH = bytes(range(32))
PIN = "1234"
USER = {"id": b"user", "name": "Name", "displayName": "Display"}
PERMISSION = ClientPin.PERMISSION


class Wire(CtapHidConnection):
    """The host's end of the USB connection: packets in virtual time."""

    def __init__(self, board: Board):
        self._board = board
        self._boots = board.boots
        self.seen: list[bytes] = []

    def write_packet(self, data: bytes) -> None:
        self._check()
        self._board.deliver("ctaphid", data, self._board.clock.now_us + 1000)

    def read_packet(self) -> bytes:
        while not (queue := self._board.queue("ctaphid")):
            self._check()
            assert self._board.advance(), "nothing to read and nothing to come"
        packet = queue.popleft().data
        self.seen.append(packet)
        return packet

    def close(self) -> None:
        pass

    def _check(self) -> None:
        if self._board.firmware is None or self._board.boots != self._boots:
            raise OSError(19, "the key is gone")


def make(*defects: str, version: str = "reference", seed: bytes = SEED) -> Board:
    """A board of the twin that is touched 0.2 s after it asks, with power."""
    board = model.MODEL.build(TwinOptions(personality=version, defects=defects), seed)
    board.touch_delay_us = 200_000
    board.power_on()
    return board


def make_everything() -> Board:
    """A board with every feature: 1.9's and large blobs."""
    options = TwinOptions(personality="reference-1.9")
    chosen = personality.chosen(options)
    extensions = (*chosen.fido2.extensions, "largeBlobKey")
    everything = replace(chosen, fido2=replace(chosen.fido2, large_blobs=2048, extensions=extensions))
    board = Board(model.PARTS, lambda board: boot.start(board, everything, bytes(16)), SEED)
    board.load(model.MODEL.build(options, SEED).state())
    board.touch_delay_us = 200_000
    board.power_on()
    return board


def open_sdk(board: Board) -> NK3:
    return NK3(SdkConnection(open_device(board)))


def open_device(board: Board) -> CtapHidDevice:
    return CtapHidDevice(HidDescriptor("twin", 0x20A0, 0x42B2, 64, 64, "Nitrokey 3", None), Wire(board))


def open_ctap2(board: Board) -> Ctap2:
    return Ctap2(open_device(board))


def replug(board: Board) -> Ctap2:
    board.power_off()
    board.power_on()
    return open_ctap2(board)


def cuts(
    base: BoardState, ops: list[FlashOp], seed: bytes, tears: tuple[float, ...]
) -> Iterator[tuple[int, float, BoardState]]:
    """The state after a cut in every flash operation: before it (phi 0) and torn."""
    state = base
    for index, op in enumerate(ops, 1):
        yield index, 0.0, state
        page = state.chips[op.chip].pages[op.page]
        for phi in tears:
            if op.kind == "erase":
                torn = torn_erase(page, phi, seed, index)
            else:
                torn = torn_program(
                    page, op.offset, op.data, phi, seed, index, model.PARTS[op.chip].word_size
                )
            yield index, phi, state.with_page(op.chip, op.page, torn)
        whole = b"\xff" * len(page) if op.kind == "erase" else programmed(page, op.offset, op.data)
        state = state.with_page(op.chip, op.page, whole)
    yield len(ops) + 1, 0.0, state


def record(board: Board, act: Callable[[], object]) -> tuple[BoardState, list[FlashOp]]:
    """The state before an act, and its flash operations."""
    base, ops = board.state(), []
    board.rail.watch(ops)
    act()
    board.rail.watch(None)
    return base, ops


def settle(board: Board, state: BoardState, depth: int, tears: tuple[float, ...]) -> Iterator[BoardState]:
    """The states a key can stand in after up to `depth` more cuts, each in the boot that follows."""
    board.load(state)
    base, ops = record(board, board.power_on)
    if depth:
        for _, _, cut in cuts(base, ops, board.rail.seed, tears):
            if cut is not state:
                yield from settle(board, cut, depth - 1, tears)
    yield state


def uv(ctap: Ctap2, permission: PERMISSION, rp_id: str | None = "example.com") -> dict[str, Any]:
    """The arguments that show that the user was verified for HASH."""
    pin = ClientPin(ctap)
    token = pin.get_pin_token(PIN, permission, rp_id)
    return {"pin_uv_param": pin.protocol.authenticate(token, HASH), "pin_uv_protocol": pin.protocol.VERSION}


def create(ctap: Ctap2, resident: bool = True, **arguments: Any) -> AttestationObject:
    arguments = {"rp": RP, "user": USER, "key_params": ES256, **arguments}
    return ctap.make_credential(HASH, options={"rk": resident}, **arguments)


def listed(*made: AttestationObject) -> list[dict[str, Any]]:
    return [{"id": one.auth_data.credential_data.credential_id, "type": "public-key"} for one in made]


def refusal(act: Callable[..., object], *arguments: Any, **named: Any) -> str:
    with pytest.raises(CtapError) as caught:
        act(*arguments, **named)
    return caught.value.code.name


def damaged(board: Board, layer: str) -> BoardState:
    """The board's state with every block lost that holds a record of the FIDO2 application's state."""
    store = boot.internal_store(board, layer_called(layer)(board.flash["ifs"]))
    store.mount()
    secret = records.unseal(store.read(persistent_state.STATE_PATH) or b"")[3]
    state = board.state()
    for number, page in enumerate(board.flash["ifs"].pages[2:], 2):
        if secret in page:
            state = state.with_page("ifs", number, page.replace(secret, b"\xff" * len(secret)))
    return state
