"""Cuts in what manages a key: credentials, blobs, settings, configuration, factory resets. Never torn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fido2.ctap1 import Ctap1
from fido2.ctap2 import Ctap2
from fido2.ctap2.blob import LargeBlobs
from fido2.ctap2.config import Config
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin
from fido2.webauthn import AttestationObject
from nitrokey.nk3 import NK3
from nitrokey.trussed._connection.ctaphid import CtapHidConnection as SdkConnection

from harness.twin.board import Board
from harness.twin.image import BoardState
from support.twin import (
    HASH,
    PERMISSION,
    PIN,
    create,
    cuts,
    listed,
    make_everything,
    open_ctap2,
    record,
    replug,
)

World = dict[str, Any]
TEARS = (0.3, 0.7)


class Manager:
    """The clients of one boot, with tokens."""

    def __init__(self, ctap: Ctap2):
        self.ctap = ctap
        self.pin = ClientPin(ctap)

    def credentials(self) -> CredentialManagement:
        return CredentialManagement(self.ctap, self.pin.protocol, self._token(PERMISSION.CREDENTIAL_MGMT))

    def blobs(self) -> LargeBlobs:
        return LargeBlobs(self.ctap, self.pin.protocol, self._token(PERMISSION.LARGE_BLOB_WRITE))

    def config(self) -> Config:
        return Config(self.ctap, self.pin.protocol, self._token(PERMISSION.AUTHENTICATOR_CFG))

    def sdk(self) -> NK3:
        return NK3(SdkConnection(self.ctap.device))

    def _token(self, permission: PERMISSION) -> bytes:
        return self.pin.get_pin_token(PIN, permission)


def _key() -> tuple[Board, AttestationObject]:
    board = make_everything()
    ctap = open_ctap2(board)
    made = create(ctap)
    LargeBlobs(ctap).write_blob_array([{1: b"x" * 30, 2: bytes(12), 3: 1}])
    ClientPin(ctap).set_pin(PIN)
    return board, made


def _look(board: Board, state: BoardState) -> World:
    board.load(state)
    board.power_on()
    ctap = open_ctap2(board)
    admin = Manager(ctap).sdk().admin
    info = ctap.info
    world: World = {
        "status": int(admin.status().init_status),
        "piv": admin.get_config("piv.disabled"),
        "options": tuple(info.options.items()),
        "pin": (info.min_pin_length, info.force_pin_change),
        "blobs": len(LargeBlobs(ctap).read_blob_array()),
    }
    if info.options["clientPin"] and not info.force_pin_change:
        managed = Manager(ctap).credentials()
        world["users"] = tuple(
            tuple(one[6].items()) for rp in managed.enumerate_rps() for one in managed.enumerate_creds(rp[4])
        )
        world["count"] = managed.get_metadata()[1]
    return world


def _worlds(act: Callable[[Manager, AttestationObject], object]) -> list[World]:
    """All worlds that cuts in an act lead to, the one before it first, the one after it last."""
    board, made = _key()
    manager = Manager(replug(board))
    base, ops = record(board, lambda: act(manager, made))
    seen: dict[str, World] = {}
    done: dict[bytes, None] = {}
    for _, _, state in cuts(base, ops, board.rail.seed, TEARS):
        if (digest := state.digest()) not in done:
            done[digest] = None
            world = _look(board, state)
            seen.setdefault(repr(world), world)
    return list(seen.values())


def _delete(manager: Manager, made: AttestationObject) -> None:
    manager.credentials().delete_cred(listed(made)[0])


def _update(manager: Manager, made: AttestationObject) -> None:
    manager.credentials().update_user_info(listed(made)[0], {"id": b"user", "name": "Other"})


def _blobs(manager: Manager, made: AttestationObject) -> None:
    manager.blobs().write_blob_array([{1: b"y" * 400, 2: bytes(12), 3: 1}] * 3)


def _toggle(manager: Manager, made: AttestationObject) -> None:
    manager.config().toggle_always_uv()


def _min_pin(manager: Manager, made: AttestationObject) -> None:
    manager.config().set_min_pin_length(6, ["example.com"])


def _configure(manager: Manager, made: AttestationObject) -> None:
    manager.sdk().admin.set_config("piv.disabled", "true")


def _reset_all(manager: Manager, made: AttestationObject) -> None:
    with pytest.raises(OSError):
        manager.ctap.device.call(0x72, b"\x84")


@pytest.mark.parametrize(
    ("act", "shown"),
    [
        (_delete, {"count": 0, "users": ()}),
        (_update, {"users": ((("id", b"user"), ("name", "Other")),)}),
        (_blobs, {"blobs": 3}),
        (_toggle, {"options": "changed"}),
        (_min_pin, {"pin": (6, True)}),
        (_configure, {"piv": "true"}),
        (_reset_all, {"blobs": 0, "options": "changed"}),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_what_is_managed_is_old_or_new(act: Any, shown: World) -> None:
    old, *others = _worlds(act)
    assert len(others) == 1, others
    new = others[0]
    for name, value in shown.items():
        assert new[name] != old[name] if value == "changed" else new[name] == value
    assert new["status"] == 0


def test_a_u2f_key_and_its_counter_survive_cuts() -> None:
    board, _ = _key()
    ctap1 = Ctap1(replug(board).device)
    made = ctap1.register(HASH, b"a" * 32)
    seen = ctap1.authenticate(HASH, b"a" * 32, made.key_handle).counter
    base, ops = record(board, lambda: ctap1.authenticate(HASH, b"a" * 32, made.key_handle))
    states = [state for _, _, state in cuts(base, ops, board.rail.seed, TEARS)]
    assert len(states) > len(ops) > 0
    for state in states:
        board.load(state)
        board.power_on()
        got = Ctap1(open_ctap2(board).device).authenticate(HASH, b"a" * 32, made.key_handle)
        got.verify(b"a" * 32, HASH, made.public_key)
        assert got.counter > seen
