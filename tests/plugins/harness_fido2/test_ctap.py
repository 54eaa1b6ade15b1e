"""CTAP commands through python-fido2 (what the conformance suite asks of any key is not asked again here)."""

from __future__ import annotations

from typing import Any

import pytest
from fido2.attestation import PackedAttestation
from fido2.ctap2 import Ctap2
from fido2.ctap2.pin import ClientPin, PinProtocolV1, PinProtocolV2

from harness.twin import cbor
from harness.twin.board import Board
from harness_nitrokey3.twin import factory
from support.twin import (
    ES256,
    HASH,
    PERMISSION,
    PIN,
    SEED,
    USER,
    create,
    listed,
    make,
    open_ctap2,
    open_device,
    refusal,
    replug,
    uv,
)

protocols = pytest.mark.parametrize("protocol", [PinProtocolV1(), PinProtocolV2()], ids=["one", "two"])

EDDSA = [{"type": "public-key", "alg": -8}]


@pytest.fixture
def board() -> Board:
    return make()


@pytest.fixture
def ctap(board: Board) -> Ctap2:
    return open_ctap2(board)


def test_get_info_of_1_8(ctap: Ctap2) -> None:
    reply = ctap.device.call(0x10, b"\x04")
    assert reply[0] == 0
    assert cbor.decode(reply[1:]) == {
        1: ["U2F_V2", "FIDO_2_0", "FIDO_2_1"],
        2: ["credProtect", "hmac-secret"],
        3: factory.AAGUID,
        4: {
            "rk": True,
            "up": True,
            "plat": False,
            "credMgmt": True,
            "clientPin": False,
            "largeBlobs": False,
            "pinUvAuthToken": True,
            "makeCredUvNotRqd": True,
        },
        5: 3072,
        6: [2, 1],
        7: 10,
        8: 255,
        9: ["usb"],
        13: 4,
    }


def test_get_info_of_1_9() -> None:
    info = cbor.decode(open_device(make(version="reference-1.9")).call(0x10, b"\x04")[1:])
    assert info[1] == ["U2F_V2", "FIDO_2_0", "FIDO_2_1", "FIDO_2_3"]
    assert sorted(info[2]) == [
        "credBlob",
        "credProtect",
        "hmac-secret",
        "hmac-secret-mc",
        "minPinLength",
        "thirdPartyPayment",
    ]
    assert info[4]["alwaysUv"] is False
    assert info[4]["authnrCfg"] is info[4]["setMinPINLength"] is True
    assert info[0x0A] == [{"alg": -7, "type": "public-key"}, {"alg": -8, "type": "public-key"}]
    assert (info[0x0D], info[0x0F], info[0x16]) == (4, 32, ["packed"])
    assert 0 < info[0x14] <= 100


@pytest.mark.parametrize("params", [ES256, EDDSA], ids=["es256", "eddsa"])
@pytest.mark.parametrize("resident", [False, True])
def test_a_credential_is_attested_and_asserts(ctap: Ctap2, resident: bool, params: Any) -> None:
    made = create(ctap, resident, key_params=params)
    assert made.att_stmt["x5c"] == [factory.batch(SEED).certificate]
    PackedAttestation().verify(made.att_stmt, made.auth_data, HASH)
    got = ctap.get_assertion("example.com", HASH, listed(made))
    got.verify(HASH, made.auth_data.credential_data.public_key)
    assert got.auth_data.counter > made.auth_data.counter
    assert (got.user or {}).get("id") == (USER["id"] if resident else None)


def test_a_credential_is_bound_to_its_rp(ctap: Ctap2) -> None:
    for resident in (False, True):
        made = create(ctap, resident)
        assert refusal(ctap.get_assertion, "example.org", HASH, listed(made)) == "NO_CREDENTIALS"


def test_the_newest_credential_comes_first_and_all_come(ctap: Ctap2) -> None:
    users = [bytes((number,)) for number in range(4)]
    for user in users:
        create(ctap, user={"id": user, "name": "n"})
    got = ctap.get_assertions("example.com", HASH)
    assert [one.user["id"] for one in got] == users[::-1]
    assert got[0].number_of_credentials == 4
    assert all("name" not in one.user for one in got)
    assert refusal(ctap.get_next_assertion) == "NOT_ALLOWED"


def test_names_are_told_to_a_verified_user_only(ctap: Ctap2) -> None:
    ClientPin(ctap).set_pin(PIN)
    for user in (b"1", b"2"):
        create(ctap, user={"id": user, "name": "n"}, **uv(ctap, PERMISSION.MAKE_CREDENTIAL))
    named = ctap.get_assertions("example.com", HASH, **uv(ctap, PERMISSION.GET_ASSERTION))
    assert [one.user.get("name") for one in named] == ["n", "n"]
    assert "name" not in ctap.get_assertion("example.com", HASH).user


def test_a_second_credential_of_an_account_replaces_the_first(ctap: Ctap2) -> None:
    first = create(ctap)
    second = create(ctap)
    assert refusal(ctap.get_assertion, "example.com", HASH, listed(first)) == "NO_CREDENTIALS"
    assert len(ctap.get_assertions("example.com", HASH)) == 1
    ctap.get_assertion("example.com", HASH, listed(second))


def test_an_excluded_credential_is_told_after_a_touch(board: Board, ctap: Ctap2) -> None:
    made = create(ctap, False)
    before_us = board.clock.now_us
    assert refusal(create, ctap, exclude_list=listed(made)) == "CREDENTIAL_EXCLUDED"
    assert board.clock.now_us - before_us >= 200_000


def test_nobody_touches(board: Board, ctap: Ctap2) -> None:
    made = create(ctap)
    board.touch_delay_us = None
    assert refusal(create, ctap) == "OPERATION_DENIED"
    assert refusal(ctap.get_assertion, "example.com", HASH, listed(made)) == "OPERATION_DENIED"
    assert refusal(ctap.selection) == "USER_ACTION_TIMEOUT"
    assert refusal(replug(board).reset) == "USER_ACTION_TIMEOUT"
    silent = open_ctap2(board).get_assertion("example.com", HASH, listed(made), options={"up": False})
    assert not silent.auth_data.flags & 1


def test_credentials_survive_and_counters_rise(board: Board, ctap: Ctap2) -> None:
    made = [create(ctap), create(ctap, False, rp={"id": "example.org"})]
    seen = [0]
    for _ in range(3):
        ctap = replug(board)
        for one, rp_id in zip(made, ("example.com", "example.org")):
            got = ctap.get_assertion(rp_id, HASH, listed(one))
            got.verify(HASH, one.auth_data.credential_data.public_key)
            seen.append(got.auth_data.counter)
    assert seen == sorted(set(seen))


@protocols
def test_the_pin_and_its_tries(board: Board, ctap: Ctap2, protocol: Any) -> None:
    pin = ClientPin(ctap, protocol)
    assert refusal(pin.get_pin_token, PIN) == "PIN_NOT_SET"
    pin.set_pin(PIN)
    assert refusal(pin.set_pin, PIN) == "PIN_AUTH_INVALID"
    pin.change_pin(PIN, "äöüß")
    assert refusal(pin.get_pin_token, PIN) == "PIN_INVALID"
    assert pin.get_pin_retries()[0] == 7
    pin.get_pin_token("äöüß")
    assert pin.get_pin_retries()[0] == 8
    left = 8
    while left:
        expected = ["PIN_INVALID", "PIN_INVALID", "PIN_AUTH_BLOCKED"]
        for name in expected[:left]:
            left -= 1
            assert refusal(pin.get_pin_token, "wrong") == (name if left else "PIN_BLOCKED")
            assert pin.get_pin_retries()[0] == left
        assert refusal(pin.get_pin_token, "äöüß") == ("PIN_AUTH_BLOCKED" if left else "PIN_BLOCKED")
        pin = ClientPin(replug(board), protocol)
    assert refusal(pin.get_pin_token, "äöüß") == "PIN_BLOCKED"
    replug(board).reset()
    ClientPin(open_ctap2(board), protocol).set_pin(PIN)


def test_a_resident_credential_needs_the_pin_once_it_is_set(ctap: Ctap2) -> None:
    ClientPin(ctap).set_pin(PIN)
    assert refusal(create, ctap) == "PUAT_REQUIRED"
    create(ctap, False)
    assert create(ctap, **uv(ctap, PERMISSION.MAKE_CREDENTIAL)).auth_data.flags & 4


def test_a_token_is_for_one_use_of_its_permission_and_rp(ctap: Ctap2) -> None:
    ClientPin(ctap).set_pin(PIN)
    verified = uv(ctap, PERMISSION.MAKE_CREDENTIAL)
    assert refusal(create, ctap, rp={"id": "example.org"}, **verified) == "PIN_AUTH_INVALID"
    assert refusal(ctap.get_assertion, "example.com", HASH, **verified) == "PIN_AUTH_INVALID"
    create(ctap, **verified)
    assert refusal(create, ctap, **verified) == "PIN_AUTH_INVALID"


def test_a_token_that_is_not_used_expires(board: Board, ctap: Ctap2) -> None:
    ClientPin(ctap).set_pin(PIN)
    verified = uv(ctap, PERMISSION.MAKE_CREDENTIAL)
    board.clock.wait_us(31_000_000)
    assert refusal(create, ctap, **verified) == "PIN_AUTH_INVALID"


def test_reset_comes_within_ten_seconds(board: Board, ctap: Ctap2) -> None:
    made = [create(ctap), create(ctap, False)]
    ClientPin(ctap).set_pin(PIN)
    board.clock.wait_us(11_000_000)
    assert refusal(ctap.reset) == "NOT_ALLOWED"
    ctap = replug(board)
    ctap.reset()
    assert ctap.get_info().options["clientPin"] is False
    for one in made:
        assert refusal(ctap.get_assertion, "example.com", HASH, listed(one)) == "NO_CREDENTIALS"
    assert create(ctap).auth_data.counter > made[1].auth_data.counter
    ctap = replug(board)
    ctap.get_assertion("example.com", HASH)


def test_a_full_key_says_so_and_can_be_reset(board: Board, ctap: Ctap2) -> None:
    user = {"name": "n" * 64, "displayName": "d" * 64}
    made: list[int] = []

    def fill() -> None:
        while True:
            create(ctap, rp={"id": f"{'x' * 100}.com"}, user={"id": bytes((len(made),)) * 64, **user})
            made.append(1)

    assert refusal(fill) == "KEY_STORE_FULL"
    assert 50 <= len(made) <= 100
    ClientPin(ctap).set_pin(PIN)
    ctap = replug(board)
    ctap.get_assertion(f"{'x' * 100}.com", HASH)
    ctap.reset()
    create(ctap)
