"""Credential management, extensions, the features of 1.9, large blobs and U2F."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fido2.cose import CoseKey
from fido2.ctap1 import ApduError, Ctap1
from fido2.ctap2 import Ctap2
from fido2.ctap2.blob import LargeBlobs
from fido2.ctap2.config import Config
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin, PinProtocolV1, PinProtocolV2

from harness.twin.board import Board
from harness_nitrokey3.twin import factory
from support.twin import (
    HASH,
    PERMISSION,
    PIN,
    SEED,
    create,
    listed,
    make,
    make_everything,
    open_ctap2,
    open_device,
    refusal,
    replug,
    uv,
)

protocols = pytest.mark.parametrize("protocol", [PinProtocolV1(), PinProtocolV2()], ids=["one", "two"])


@pytest.fixture
def board() -> Board:
    return make()


@pytest.fixture
def ctap(board: Board) -> Ctap2:
    return open_ctap2(board)


def test_credential_management(ctap: Ctap2) -> None:
    made = {}
    for number, rp_id in enumerate(("a.org", "b.org", "b.org")):
        made[number] = create(ctap, rp={"id": rp_id}, user={"id": bytes((number,)), "name": f"n{number}"})
    ClientPin(ctap).set_pin(PIN)
    pin = ClientPin(ctap)

    def manager() -> CredentialManagement:
        return CredentialManagement(ctap, pin.protocol, pin.get_pin_token(PIN, PERMISSION.CREDENTIAL_MGMT))

    managed = manager()
    before = managed.get_metadata()
    assert before[1] == 3
    assert [rp[3]["id"] for rp in managed.enumerate_rps()] == ["a.org", "b.org"]
    ((_, second),) = [managed.enumerate_creds(rp[4]) for rp in managed.enumerate_rps()][1:]
    assert second[6] == {"id": b"\x01", "name": "n1"}
    assert CoseKey.parse(second[8]) == made[1].auth_data.credential_data.public_key
    managed.update_user_info(second[7], {"id": b"\x01", "displayName": "new"})
    assert managed.enumerate_creds(made[1].auth_data.rp_id_hash)[1][6] == {
        "id": b"\x01",
        "displayName": "new",
    }
    wrong = {"id": b"\x02", "name": "x"}
    assert refusal(managed.update_user_info, second[7], wrong) == "INVALID_PARAMETER"
    managed.delete_cred(second[7])
    assert refusal(managed.delete_cred, second[7]) == "NO_CREDENTIALS"
    assert managed.get_metadata() == {1: 2, 2: before[2] + 1}
    assert refusal(ctap.get_assertion, "b.org", HASH, listed(made[1])) == "NO_CREDENTIALS"
    ctap.get_assertion("b.org", HASH, listed(made[2]))


def test_cred_protect(ctap: Ctap2) -> None:
    made = {}
    for level in (1, 2, 3):
        made[level] = create(ctap, rp={"id": f"{level}.org"}, extensions={"credProtect": level})
        assert made[level].auth_data.extensions == {"credProtect": level}
    ctap.get_assertion("1.org", HASH)
    assert refusal(ctap.get_assertion, "2.org", HASH) == "NO_CREDENTIALS"
    ctap.get_assertion("2.org", HASH, listed(made[2]))
    assert refusal(ctap.get_assertion, "3.org", HASH, listed(made[3])) == "NO_CREDENTIALS"
    ClientPin(ctap).set_pin(PIN)
    ctap.get_assertion("3.org", HASH, **uv(ctap, PERMISSION.GET_ASSERTION, "3.org"))


@protocols
def test_hmac_secret(board: Board, ctap: Ctap2, protocol: Any) -> None:
    made = create(ctap, False, extensions={"hmac-secret": True})

    def secrets(ctap: Ctap2, salts: bytes, **arguments: Any) -> bytes:
        key, shared = ClientPin(ctap, protocol)._get_shared_secret()
        sealed = protocol.encrypt(shared, salts)
        value = {1: key, 2: sealed, 3: protocol.authenticate(shared, sealed), 4: protocol.VERSION}
        got = ctap.get_assertion(
            "example.com", HASH, listed(made), extensions={"hmac-secret": value}, **arguments
        )
        return protocol.decrypt(shared, got.auth_data.extensions["hmac-secret"])

    one = secrets(ctap, b"1" * 32)
    assert len(one) == 32
    assert secrets(replug(board), b"1" * 32 + b"2" * 32)[:32] == one
    ctap = open_ctap2(board)
    ClientPin(ctap).set_pin(PIN)
    assert secrets(ctap, b"1" * 32, **uv(ctap, PERMISSION.GET_ASSERTION)) != one


def test_what_1_9_adds() -> None:
    board = make(version="reference-1.9")
    ctap = open_ctap2(board)
    ClientPin(ctap).set_pin(PIN)
    pin = ClientPin(ctap)

    def config() -> Config:
        return Config(ctap, pin.protocol, pin.get_pin_token(PIN, PERMISSION.AUTHENTICATOR_CFG))

    config().set_min_pin_length(4, ["example.com"])
    asked = {"credBlob": b"blob", "minPinLength": True, "thirdPartyPayment": True}
    made = create(ctap, extensions=asked, **uv(ctap, PERMISSION.MAKE_CREDENTIAL))
    assert made.auth_data.extensions == {"credBlob": True, "minPinLength": 4}
    got = ctap.get_assertion("example.com", HASH, extensions={"credBlob": True, "thirdPartyPayment": True})
    assert got.auth_data.extensions == {"credBlob": b"blob", "thirdPartyPayment": True}
    config().toggle_always_uv()
    ctap = replug(board)
    assert ctap.info.options["alwaysUv"] is True
    assert ctap.info.options["makeCredUvNotRqd"] is False
    assert "U2F_V2" not in ctap.info.versions
    assert refusal(create, ctap, False) == "PUAT_REQUIRED"
    assert refusal(ctap.get_assertion, "example.com", HASH) == "PUAT_REQUIRED"
    with pytest.raises(ApduError) as caught:
        Ctap1(ctap.device).register(HASH, HASH)
    assert caught.value.code == 0x6986
    pin = ClientPin(ctap)
    config().toggle_always_uv()
    config().set_min_pin_length(6)
    assert ctap.get_info().force_pin_change
    assert refusal(pin.get_pin_token, PIN) == "PIN_INVALID"
    assert refusal(pin.change_pin, PIN, "12345") == "PIN_POLICY_VIOLATION"
    pin.change_pin(PIN, "123456")
    pin.get_pin_token("123456")
    replug(board).reset()
    assert open_ctap2(board).info.min_pin_length == 4


def test_large_blobs() -> None:
    board = make_everything()
    ctap = open_ctap2(board)
    made = create(ctap, extensions={"largeBlobKey": True})
    assert len(made.large_blob_key) == 32
    got = ctap.get_assertion("example.com", HASH, extensions={"largeBlobKey": True})
    assert got.large_blob_key == made.large_blob_key
    blobs = LargeBlobs(ctap)
    assert blobs.read_blob_array() == []
    blobs.put_blob(made.large_blob_key, b"data" * 100)
    assert LargeBlobs(replug(board)).get_blob(made.large_blob_key) == b"data" * 100
    ctap = open_ctap2(board)
    assert refusal(ctap.large_blobs, 0, None, b"x" * 17, 17) == "INTEGRITY_FAILURE"
    assert refusal(ctap.large_blobs, 0, None, b"x", 3000) == "LARGE_BLOB_STORAGE_FULL"
    ctap.reset()
    assert LargeBlobs(ctap).read_blob_array() == []


def test_u2f(board: Board) -> None:
    ctap1 = Ctap1(open_device(board))
    assert ctap1.get_version() == "U2F_V2"
    made = ctap1.register(HASH, b"a" * 32)
    made.verify(b"a" * 32, HASH)
    assert made.certificate == factory.batch(SEED).certificate
    board.power_off()
    board.power_on()
    ctap1 = Ctap1(open_device(board))
    first = ctap1.authenticate(HASH, b"a" * 32, made.key_handle)
    first.verify(b"a" * 32, HASH, made.public_key)
    assert ctap1.authenticate(HASH, b"a" * 32, made.key_handle).counter > first.counter

    def word(act: Callable[..., object], *arguments: Any, **named: Any) -> int:
        with pytest.raises(ApduError) as caught:
            act(*arguments, **named)
        return int(caught.value.code)

    assert word(ctap1.authenticate, HASH, b"a" * 32, made.key_handle, check_only=True) == 0x6985
    assert word(ctap1.authenticate, HASH, b"b" * 32, made.key_handle) == 0x6A80
    assert word(ctap1.send_apdu, 0, 0x99, 0, 0) == 0x6D00
    assert word(ctap1.send_apdu, 1, 3, 0, 0) == 0x6E00
    assert word(ctap1.send_apdu, 0, 1, 0, 0, b"x") == 0x6700
    board.touch_delay_us = None
    assert word(ctap1.register, HASH, HASH) == 0x6985
    silent = ctap1.send_apdu(0, 2, 8, 0, HASH + b"a" * 32 + bytes((len(made.key_handle),)) + made.key_handle)
    assert silent[0] == 0
