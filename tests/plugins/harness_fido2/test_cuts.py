"""Every flash operation of an act, cut before, inside and after: on `reference` nothing is ever torn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.ctap2.pin import ClientPin
from fido2.webauthn import AttestationObject

from harness.twin.board import Board
from harness.twin.image import BoardState
from support.twin import (
    ES256,
    HASH,
    cuts,
    damaged,
    make,
    open_ctap2,
    open_sdk,
    record,
    replug,
    settle,
)

PIN = "1234"
PERMISSION = ClientPin.PERMISSION
World = dict[str, Any]


class Key:
    """A key with canaries: two resident credentials, one that is not, and a PIN."""

    def __init__(self, *defects: str):
        self.board = make(*defects)
        ctap = open_ctap2(self.board)
        self.resident = self._create(ctap, b"resident")
        self.other = self._create(ctap, b"other", "example.org")
        self.wrapped = self._create(ctap, b"wrapped", rk=False)
        ClientPin(ctap).set_pin(PIN)
        self.counter = self.wrapped.auth_data.counter
        replug(self.board)

    @staticmethod
    def _create(
        ctap: Ctap2, user: bytes, rp_id: str = "example.com", rk: bool = True, **verified: Any
    ) -> AttestationObject:
        options = {"rk": rk}
        return ctap.make_credential(HASH, {"id": rp_id}, {"id": user}, ES256, options=options, **verified)

    def create(self, ctap: Ctap2, user: bytes) -> None:
        pin = ClientPin(ctap)
        token = pin.get_pin_token(PIN, PERMISSION.MAKE_CREDENTIAL, "example.com")
        param = pin.protocol.authenticate(token, HASH)
        self._create(ctap, user, pin_uv_param=param, pin_uv_protocol=pin.protocol.VERSION)

    def look(self, state: BoardState) -> World:
        """What a key in this state shows; it is used for that."""
        board = self.board
        board.load(state)
        board.power_on()
        if board.firmware is None:
            return {"boots": False}
        try:
            ctap = open_ctap2(board)
        except CtapError as error:
            return {"answers": error.code.name}
        world: World = {
            "status": int(open_sdk(board).admin.status().init_status),
            "aaguid": bytes(ctap.info.aaguid),
            "pin": ctap.info.options["clientPin"],
            "tries": ClientPin(ctap).get_pin_retries()[0],
        }
        canaries = {"resident": self.resident, "other": self.other, "wrapped": self.wrapped}
        for name, made in canaries.items():
            rp_id = "example.org" if name == "other" else "example.com"
            world[name] = self._asserts(ctap, rp_id, made)
        try:
            found = ctap.get_assertions("example.com", HASH)
            world["users"] = tuple(sorted(one.user["id"] for one in found))
        except CtapError as error:
            world["users"] = error.code.name
        if world["pin"]:
            try:
                ClientPin(ctap).get_pin_token(PIN)
                world["opens"] = True
            except CtapError:
                world["opens"] = False
        return world

    def _asserts(self, ctap: Ctap2, rp_id: str, made: AttestationObject) -> Any:
        allowed = [{"id": made.auth_data.credential_data.credential_id, "type": "public-key"}]
        try:
            got = ctap.get_assertion(rp_id, HASH, allowed)
        except CtapError as error:
            return error.code.name
        got.verify(HASH, made.auth_data.credential_data.public_key)
        return got.auth_data.counter > self.counter

    def walk(self, act: Callable[[Ctap2], object], tears: tuple[float, ...], depth: int) -> dict[str, World]:
        """Cut everywhere in `act`, and `depth` times in the boots that follow: the different worlds seen."""
        ctap = replug(self.board)
        base, ops = record(self.board, lambda: act(ctap))
        assert ops
        seen: set[bytes] = set()
        worlds: dict[str, World] = {}
        for _, _, state in cuts(base, ops, self.board.rail.seed, tears):
            for settled in settle(self.board, state, depth, tears[:1]):
                if (digest := settled.digest()) not in seen:
                    seen.add(digest)
                    world = self.look(settled)
                    worlds[repr(world)] = world
        return worlds


def _home(key: Key) -> World:
    return key.look(key.board.state())


def _wrong_pin(ctap: Ctap2) -> None:
    with pytest.raises(CtapError, match="PIN_INVALID"):
        ClientPin(ctap).get_pin_token("9999")


@pytest.fixture(scope="module")
def key() -> Key:
    return Key()


def _worlds(
    key: Key, act: Callable[[Ctap2], object], tears: tuple[float, ...] = (0.3, 0.6, 0.97), depth: int = 1
) -> tuple[World, list[World]]:
    """The world before, and all others that a cut leads to; the key is at home again."""
    home_state = key.board.state()
    old = _home(key)
    key.board.load(home_state)
    worlds = key.walk(act, tears, depth)
    key.board.load(home_state)
    key.board.power_on()
    return old, [world for world in worlds.values() if world != old]


def test_a_resident_credential_is_there_or_not(key: Key) -> None:
    old, others = _worlds(key, lambda ctap: key.create(ctap, b"new"))
    # The PIN before it may have taken a try that was not given back.
    new = {**old, "users": (b"new", b"resident")}
    assert new in others
    assert all(world in ({**old, "tries": 7}, new) for world in others)


def test_a_credential_that_replaces_another_does_so_at_once(key: Key) -> None:
    old, others = _worlds(key, lambda ctap: key.create(ctap, b"resident"))
    new = {**old, "resident": "NO_CREDENTIALS"}
    assert new in others
    assert all(world in ({**old, "tries": 7}, new) for world in others)


def test_a_wrong_pin_costs_a_try_or_has_not_been_given(key: Key) -> None:
    old, others = _worlds(key, _wrong_pin, depth=2)
    assert others == [{**old, "tries": 7}]


def test_a_right_pin_locks_nobody_out(key: Key) -> None:
    old, others = _worlds(key, lambda ctap: ClientPin(ctap).get_pin_token(PIN))
    assert others == [{**old, "tries": 7}]


def test_a_pin_is_the_old_one_or_the_new_one(key: Key) -> None:
    old, others = _worlds(key, lambda ctap: ClientPin(ctap).change_pin(PIN, "43215"))
    new = {**old, "opens": False}
    assert new in others
    assert all(world in ({**old, "tries": 7}, new) for world in others)


def test_a_reset_is_done_or_not(key: Key) -> None:
    old, others = _worlds(key, lambda ctap: ctap.reset(), (0.5,))
    gone = dict.fromkeys(("resident", "other", "wrapped", "users"), "NO_CREDENTIALS")
    new = {name: value for name, value in old.items() if name != "opens"} | {"pin": False, **gone}
    assert others == [new]


def test_an_assertion_changes_nothing_but_the_counter(key: Key) -> None:
    _, others = _worlds(key, lambda ctap: ctap.get_assertion("example.org", HASH))
    assert others == []


DEFECTS: list[tuple[str, Callable[[Key], Callable[[Ctap2], object]], dict[str, Any]]] = [
    ("no-journal", lambda key: lambda ctap: key.create(ctap, b"new"), {"boots": False}),
    ("format-on-unmountable", lambda key: lambda ctap: key.create(ctap, b"new"), {"pin": False, "status": 2}),
    (
        "late-journal-replay",
        lambda key: lambda ctap: key.create(ctap, b"new"),
        {"answers": "INTEGRITY_FAILURE"},
    ),
    (
        "fresh-on-missing-state",
        lambda key: lambda ctap: key.create(ctap, b"new"),
        {"pin": False, "status": 0},
    ),
    ("reset-wrong-order", lambda key: lambda ctap: ctap.reset(), {"pin": True, "wrapped": "NO_CREDENTIALS"}),
    ("zero-length-file", lambda key: lambda ctap: key.create(ctap, b"new"), {"users": "OTHER"}),
    ("zero-length-file", lambda key: lambda ctap: key.create(ctap, b"new"), {"pin": False, "status": 0}),
]


@pytest.mark.parametrize(("defect", "act", "shown"), DEFECTS, ids=[row[0] for row in DEFECTS])
def test_a_defect_shows_when_it_is_cut(defect: str, act: Any, shown: dict[str, Any]) -> None:
    key = Key(defect)
    _, others = _worlds(key, act(key), (0.3, 0.7), 0)
    assert any(shown.items() <= world.items() for world in others)


def test_a_fresh_start_kills_what_is_not_resident_only() -> None:
    key = Key("fresh-on-missing-state")
    old = _home(key)
    replug(key.board)
    new = key.look(damaged(key.board, "late-replay"))
    assert new == {
        **{name: value for name, value in old.items() if name != "opens"},
        "pin": False,
        "wrapped": "NO_CREDENTIALS",
        # The counter starts again, below what was seen.
        "resident": False,
        "other": False,
    }


def _writes(board: Board, act: Callable[[], object]) -> int:
    _, ops = record(board, act)
    return len(ops)


def test_a_pin_that_is_compared_first_is_told_without_a_write() -> None:
    for defects, silent in (((), False), (("pin-compared-first",), True)):
        key = Key(*defects)
        ctap = open_ctap2(key.board)
        writes = _writes(key.board, lambda ctap=ctap: ClientPin(ctap).get_pin_token(PIN))
        assert (writes == 0) is silent
        assert _writes(key.board, lambda ctap=ctap: _wrong_pin(ctap)) > 0


def test_a_counter_in_ram_comes_back_with_the_power() -> None:
    for defects, tries in (((), 7), (("counter-in-ram",), 8)):
        key = Key(*defects)
        ctap = open_ctap2(key.board)
        _wrong_pin(ctap)
        assert ClientPin(ctap).get_pin_retries()[0] == 7
        assert ClientPin(replug(key.board)).get_pin_retries()[0] == tries
