"""Personalities behave as the firmware that they are named after, where it differs from CTAP 2.1.

Sources: Nitrokey/fido-authenticator v0.1.1-nitrokey.27 (1.8.3; the earlier ones agree in what is asked here),
trussed-dev/fido-authenticator v0.4.0-rc.3 (1.9).
"""

from __future__ import annotations

from typing import Any

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.ctap2.config import Config
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin

from harness_nitrokey3.twin.personality import book
from support.twin import ES256, HASH, PIN, RP, make, open_ctap2, replug

ERR, P = CtapError.ERR, ClientPin.PERMISSION
OLDER = [name for name, one in book().personalities.items() if not one.sound and one.numbers < (1, 9, 0)]
NEWER, SOUND = "1.9.0", "reference"
ICON = "https://keyharness.example/icon.png"
USER = {"id": b"user", "name": "Name", "icon": ICON}


def key(version: str) -> Ctap2:
    """A key of this version, with a PIN. The first assertion of a boot may take the insertion for a touch."""
    ctap = open_ctap2(make(version=version))
    ClientPin(ctap).set_pin(PIN)
    return ctap


class Token:
    """A token, used for as many requests as the test likes."""

    def __init__(
        self,
        ctap: Ctap2,
        permissions: Any = P.MAKE_CREDENTIAL | P.GET_ASSERTION,
        rp_id: str | None = RP["id"],
    ):
        self.ctap, pin = ctap, ClientPin(ctap)
        self.protocol, self.token = pin.protocol, pin.get_pin_token(PIN, permissions, rp_id)

    def register(self, rp: Any = RP, **more: Any) -> Any:
        parameter = self.protocol.authenticate(self.token, HASH)
        return self.ctap.make_credential(
            HASH, rp, USER, ES256, pin_uv_param=parameter, pin_uv_protocol=self.protocol.VERSION, **more
        )

    def log_in(self, rp_id: str = RP["id"], **more: Any) -> Any:
        parameter = self.protocol.authenticate(self.token, HASH)
        return self.ctap.get_assertion(
            rp_id, HASH, pin_uv_param=parameter, pin_uv_protocol=self.protocol.VERSION, **more
        )


def status(act: Any, *arguments: Any, **more: Any) -> Any:
    """The status byte of a request."""
    try:
        act(*arguments, **more)
    except CtapError as error:
        return error.code
    return ERR.SUCCESS


@pytest.mark.parametrize("version", [*OLDER[-2:], NEWER])
def test_a_token_stays_as_it_was_issued(version):
    ctap = key(version)
    token = Token(ctap)
    token.register(options={"rk": True})
    assert [status(token.register), status(token.log_in)] == [ERR.SUCCESS] * 2, "a touch takes nothing"
    for_any = Token(ctap, P.MAKE_CREDENTIAL, None)
    for_any.register()
    assert status(for_any.register, {"id": "other.example", "name": "x"}) == ERR.SUCCESS, "no use binds it"


def test_the_sound_twin_does_as_ctap_2_1_says_with_a_token():
    ctap = key(SOUND)
    token = Token(ctap)
    token.register(options={"rk": True})
    assert status(token.register) == status(token.log_in) == ERR.PIN_AUTH_INVALID


@pytest.mark.parametrize("version", [*OLDER[-2:], NEWER])
def test_a_token_does_not_expire(version):
    board = make(version=version)
    ctap = open_ctap2(board)
    ClientPin(ctap).set_pin(PIN)
    token = Token(ctap)
    board.clock.wait_us(900_000_000)
    assert status(token.register) == ERR.SUCCESS


@pytest.mark.parametrize(
    "version, expected",
    [*((name, ERR.INVALID_OPTION) for name in OLDER), (NEWER, ERR.SUCCESS), (SOUND, ERR.SUCCESS)],
)
def test_up_true_when_a_credential_is_made(version, expected):
    token = Token(key(version))
    assert status(token.register, options={"up": True}) == expected
    assert status(token.register, options={"up": False}) == ERR.INVALID_OPTION


@pytest.mark.parametrize(
    "version, expected",
    [*((name, ERR.PIN_AUTH_INVALID) for name in OLDER), (NEWER, ERR.PIN_INVALID), (SOUND, ERR.PIN_INVALID)],
)
def test_an_empty_parameter_with_a_pin_set(version, expected):
    ctap = key(version)
    empty = {"pin_uv_param": b"", "pin_uv_protocol": 1}
    assert status(ctap.make_credential, HASH, RP, USER, ES256, **empty) == expected
    assert status(ctap.get_assertion, RP["id"], HASH, **empty) == expected
    fresh = open_ctap2(make(version=version))
    assert status(fresh.make_credential, HASH, RP, USER, ES256, **empty) == ERR.PIN_NOT_SET


@pytest.mark.parametrize(
    "version, expected",
    [
        *((name, ERR.INVALID_LENGTH) for name in OLDER),
        (NEWER, ERR.INVALID_LENGTH),
        (SOUND, ERR.INVALID_PARAMETER),
    ],
)
def test_salts_of_a_wrong_length(version, expected):
    ctap = key(version)
    made = Token(ctap).register(extensions={"hmac-secret": True})
    pin = ClientPin(ctap)
    agreed, shared = pin._get_shared_secret()
    known = [{"type": "public-key", "id": made.auth_data.credential_data.credential_id}]
    broken = ERR.INVALID_PARAMETER if version == SOUND else ERR.INVALID_OPTION
    for salts, refusal in ((pin.protocol.encrypt(shared, bytes(48)), expected), (bytes(33), broken)):
        asked = {1: agreed, 2: salts, 3: pin.protocol.authenticate(shared, salts), 4: pin.protocol.VERSION}
        assert status(ctap.get_assertion, RP["id"], HASH, known, extensions={"hmac-secret": asked}) == refusal


@pytest.mark.parametrize(
    "version, expected", [*((name, ICON) for name in OLDER), (NEWER, ICON), (SOUND, None)]
)
def test_the_icon_of_a_user_is_kept(version, expected):
    board = make(version=version)
    ctap = open_ctap2(board)
    ClientPin(ctap).set_pin(PIN)
    for number in (1, 2):
        parameter = Token(ctap)
        parameter.register(options={"rk": True}) if number == 1 else parameter.ctap.make_credential(
            HASH,
            RP,
            {**USER, "id": b"long", "icon": ICON + "x" * 128},
            ES256,
            options={"rk": True},
            pin_uv_param=parameter.protocol.authenticate(parameter.token, HASH),
            pin_uv_protocol=parameter.protocol.VERSION,
        )
    ctap = replug(board)
    answer = Token(ctap).log_in()
    users = [one.user for one in (answer, ctap.get_next_assertion())]
    assert {one["id"]: one.get("icon") for one in users} == {b"user": expected, b"long": None}
    pin = ClientPin(ctap)
    manager = CredentialManagement(ctap, pin.protocol, pin.get_pin_token(PIN, P.CREDENTIAL_MGMT))
    (rp,) = manager.enumerate_rps()
    listed = {one[6]["id"]: one[6].get("icon") for one in manager.enumerate_creds(rp[4])}
    assert listed == {b"user": expected, b"long": None}


def test_while_a_change_of_the_pin_is_forced_1_9_refuses_credentials():
    for version, expected in ((NEWER, ERR.PIN_POLICY_VIOLATION), ("reference-1.9", ERR.SUCCESS)):
        ctap = key(version)
        pin = ClientPin(ctap)
        config = Config(ctap, pin.protocol, pin.get_pin_token(PIN, P.AUTHENTICATOR_CFG))
        config.set_min_pin_length(force_change_pin=True)
        assert status(ctap.make_credential, HASH, RP, USER, ES256) == expected
        pin.change_pin(PIN, PIN[::-1])
        assert status(ctap.make_credential, HASH, RP, USER, ES256) == ERR.SUCCESS


def test_1_9_tells_what_its_source_tells():
    info = open_ctap2(make(version=NEWER)).send_cbor(0x04)
    assert info[1] == ["U2F_V2", "FIDO_2_0", "FIDO_2_1", "FIDO_2_3"]
    assert info[2] == [
        "credProtect",
        "credBlob",
        "hmac-secret",
        "hmac-secret-mc",
        "minPinLength",
        "thirdPartyPayment",
    ]
    assert (info[0x0D], info[0x0E], info[0x0F], info[0x10]) == (4, 2, 32, 4)
    assert info[0x1F] == [2, 3]
    assert info[0x16] == ["packed"]
    assert not {0x11, 0x18, 0x19, 0x1A, 0x1B, 0x1D, 0x1E} & set(info)
