"""The authenticator of a conformance case: in a known state, through python-fido2 or bare packets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.ctap2.pin import ClientPin, PinProtocolV1, PinProtocolV2
from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection

from harness.api import NOT_OFFERED, Rig, deviates
from harness_fido2.client import client_pin
from harness_transports.ctaphid import ctaphid, ctaphid_packets

T = TypeVar("T")

RP = {"id": "conformance.keyharness.example", "name": "Conformance"}
USER: dict[str, Any] = {"id": b"user-1", "name": "user-1", "displayName": "User One"}
HASH = hashlib.sha256(b"client data").digest()
ES256 = {"type": "public-key", "alg": -7}
EDDSA = {"type": "public-key", "alg": -8}
PIN = "27182818"
"""The PIN of the `with_pin` state: of a key that holds nothing but what this suite puts there."""


class Authenticator:
    """The key on a rig, powered, in the state that the fixture names.

    :ivar pin: the PIN in force, None if none is set.
    """

    def __init__(self, rig: Rig, pin: str | None):
        self.rig, self.pin = rig, pin
        self.connect()

    def connect(self) -> None:
        """A new CTAPHID channel and a new getInfo."""
        self.device: CtapHidDevice = ctaphid(self.rig)
        self.ctap = Ctap2(self.device)

    def packets(self) -> CtapHidConnection:
        """Bare 64-byte reports."""
        return ctaphid_packets(self.rig)

    def power_cycle(self) -> None:
        """Switch the power off and on; open channels are lost."""
        self.rig.power.cycle()
        self.rig.wait_until_up()
        self.connect()

    @property
    def info(self) -> Any:
        return self.ctap.info

    def has(self, feature: str) -> bool:
        """Tell whether getInfo lists an option (true or false), an extension or a version."""
        info = self.info
        return feature in info.options or feature in info.extensions or feature in info.versions

    def client_pin(self, protocol: int | None = None) -> ClientPin:
        """The client PIN commands with protocol 1 or 2; by default the one that the key lists first."""
        chosen = protocol or next(iter(self.info.pin_uv_protocols), 2)
        return client_pin(self.rig, self.ctap, PinProtocolV1() if chosen == 1 else PinProtocolV2())

    def token(
        self, permissions: int = 0, rp_id: str | None = None, protocol: int | None = None
    ) -> tuple[Any, bytes]:
        """A pinUvAuthToken with permissions, and the protocol that it belongs to."""
        client = self.client_pin(protocol)
        assert self.pin is not None
        return client.protocol, client.get_pin_token(
            self.pin, ClientPin.PERMISSION(permissions) if permissions else None, rp_id
        )

    def auth(
        self, message: bytes, permissions: int = 0, rp_id: str | None = None, protocol: int | None = None
    ) -> dict[str, Any]:
        """Return the keyword arguments that authorise a request over `message`; empty if no PIN is set."""
        if self.pin is None:
            return {}
        proto, token = self.token(permissions, rp_id, protocol)
        return {"pin_uv_param": proto.authenticate(token, message), "pin_uv_protocol": proto.VERSION}

    def make(self, *, rp: dict[str, Any] = RP, user: dict[str, Any] = USER, **more: Any) -> Any:
        """Call makeCredential over HASH, with touch. Default: ES256, not resident."""
        arguments: dict[str, Any] = {"key_params": [ES256], **more}
        if self.pin is not None and "pin_uv_param" not in arguments:
            arguments.update(self.auth(HASH, ClientPin.PERMISSION.MAKE_CREDENTIAL, rp["id"]))
        with self.touch():
            return self.ctap.make_credential(HASH, rp, user, **arguments)

    def get(self, credential: Any = None, *, rp_id: str = RP["id"], **more: Any) -> Any:
        """getAssertion over HASH with touch, for one credential or for all that are discoverable."""
        arguments = dict(more)
        if credential is not None and "allow_list" not in arguments:
            ident = credential.auth_data.credential_data.credential_id
            arguments["allow_list"] = [{"type": "public-key", "id": ident}]
        with self.touch():
            return self.ctap.get_assertion(rp_id, HASH, **arguments)

    @contextmanager
    def touch(self, delay_us: int = 100_000) -> Iterator[None]:
        """Touch the key when it asks."""
        with self.rig.touch.pressing(delay_us=delay_us):
            yield


def not_offered(what: str) -> NoReturn:
    """Skip: the key does not say that it has this."""
    pytest.skip(f"{NOT_OFFERED}: {what}")


def unless_refused(ask: Callable[[], T], *codes: CtapError.ERR) -> T | None:
    """Return the answer; None if the key refuses with one of these codes, or with any code if none is given."""
    try:
        return ask()
    except CtapError as error:
        if codes and error.code not in codes:
            raise
        return None


@contextmanager
def refused(*codes: CtapError.ERR) -> Iterator[None]:
    """The key must refuse with one of these codes."""
    try:
        yield
    except CtapError as error:
        assert error.code in codes, f"refused with {error.code!r} instead of {' or '.join(map(repr, codes))}"
    else:
        raise AssertionError(f"not refused; expected {' or '.join(map(repr, codes))}")


@contextmanager
def refused_somehow(*recommended: CtapError.ERR) -> Iterator[None]:
    """The key must refuse, with any code. Another code than a recommended one is a deviation."""
    try:
        yield
    except CtapError as error:
        if recommended and error.code not in recommended:
            deviates(f"refused with {error.code!r}; recommended: {' or '.join(map(repr, recommended))}")
    else:
        raise AssertionError("not refused; expected an error of any code")


def reset(rig: Rig) -> None:
    """A key as it leaves the factory: authenticatorReset right after power-up."""
    rig.power.cycle()
    rig.wait_until_up()
    with rig.touch.pressing():
        Ctap2(ctaphid(rig)).reset()


def reset_with_pin(rig: Rig) -> None:
    """The same with PIN set."""
    reset(rig)
    ClientPin(Ctap2(ctaphid(rig))).set_pin(PIN)
