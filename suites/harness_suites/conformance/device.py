"""The authenticator of a conformance case: in a known state, through python-fido2 or bare packets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.ctap2.base import Info
from fido2.ctap2.pin import ClientPin, PinProtocolV1, PinProtocolV2
from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection

from harness.api import NOT_OFFERED, Rig, deviates
from harness_fido2.client import client_pin
from harness_fido2.reset import blamed_on_a_late_host
from harness_transports.ctaphid import ctaphid, ctaphid_packets

T = TypeVar("T")

RP = {"id": "conformance.keyharness.example", "name": "Conformance"}
USER: dict[str, Any] = {"id": b"user-1", "name": "user-1", "displayName": "User One"}
HASH = hashlib.sha256(b"client data").digest()
ES256 = {"type": "public-key", "alg": -7}
EDDSA = {"type": "public-key", "alg": -8}
PIN = "2718281845904523"
"""The PIN of the `with_pin` state: of a key that holds nothing but what this suite puts there. Its digits are mixed
(pinComplexityPolicy), and it is long enough for every minPINLength that has been seen."""
PIN_SPARE = 1
"""How many characters more than PIN some cases need."""

MC_GA = ClientPin.PERMISSION.MAKE_CREDENTIAL | ClientPin.PERMISSION.GET_ASSERTION

ORDER = ["U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1", "FIDO_2_2", "FIDO_2_3"]
"""Versions of getInfo, the earliest first."""
ONLY_PRESENT = frozenset({"clientPin", "uv", "bioEnroll", "ep", "alwaysUv", "makeCredUvNotRqd"})
"""Options whose presence means that the feature exists, and whose value means that it is set up (6.4)."""


def speaks(versions: Collection[str], version: str) -> bool:
    """Tell whether a key of these versions speaks a version of CTAP2: that one or a later one."""
    return any(later in versions for later in ORDER[ORDER.index(version) :])


class Answer(dict[Any, Any]):
    """A map in a response. A missing member fails the case, and is the key's fault."""

    def __missing__(self, key: object) -> NoReturn:
        raise AssertionError(
            f"a response without member {key!r}: it has {', '.join(map(repr, self)) or 'none'}"
        )


def answer_of(value: object) -> Any:
    """Return a decoded response with each map in it as an Answer."""
    if isinstance(value, Mapping):
        return Answer({key: answer_of(one) for key, one in value.items()})
    return [answer_of(one) for one in value] if isinstance(value, list) else value


class CheckedCtap2(Ctap2):
    """python-fido2's client, with checks of the members that it needs in a response."""

    def send_cbor(self, cmd: int, data: Mapping[int, Any] | None = None, **more: Any) -> Answer:
        """Send a command; check that the response has its mandatory members, before the client decodes it."""
        response: Answer = answer_of(super().send_cbor(cmd, data, **more))
        if cmd in (Ctap2.CMD.GET_ASSERTION, Ctap2.CMD.GET_NEXT_ASSERTION):
            allowed = list((data or {}).get(3) or [])
            if 1 not in response and len(allowed) == 1 and not speaks(self.info.versions, "FIDO_2_1"):
                # CTAP 2.0, 5.2: it may be omitted where the list has one entry.
                response = Answer({1: allowed[0], **response})
            absent = [name for number, name in ASSERTED.items() if number not in response]
            assert not absent, f"an assertion without {' and '.join(absent)}"
        if cmd == Ctap2.CMD.MAKE_CREDENTIAL:
            absent = [name for number, name in CREATED.items() if number not in response]
            assert not absent, f"a response to makeCredential without {' and '.join(absent)}"
        return response


ASSERTED = {1: "credential", 2: "authData", 3: "signature"}
CREATED = {1: "fmt", 2: "authData"}
"""Members that a response must have (6.1.3, 6.2.3). A statement may be left out with fmt none (CTAP 2.2)."""


class Authenticator:
    """The key on a rig, powered, in the state that the fixture names.

    :ivar pin: the PIN in force, None if none is set.
    :ivar delivered: the options of getInfo right after a reset, before anything was switched.
    :ivar tries_max: the PIN tries of a key right after a reset, 8 at most (6.5.1: a key may set a lower maximum).
    """

    def __init__(
        self, rig: Rig, pin: str | None, delivered: Mapping[str, bool] | None = None, tries_max: int = 8
    ):
        self.rig, self.pin, self.tries_max = rig, pin, tries_max
        self.connect()
        self._demands_uv = bool(self.info.options.get("alwaysUv"))
        self.delivered = dict(self.info.options if delivered is None else delivered)

    def connect(self) -> None:
        """Open a CTAPHID channel and read getInfo."""
        self.device: CtapHidDevice = ctaphid(self.rig)
        self.ctap = CheckedCtap2(self.device)

    def packets(self) -> CtapHidConnection:
        """Return the bare 64-byte reports."""
        return ctaphid_packets(self.rig)

    def power_cycle(self) -> None:
        """Switch the power off and on; open channels are lost."""
        self.rig.power.cycle()
        self.rig.wait_until_up()
        self.connect()

    @property
    def info(self) -> Info:
        return self.ctap.info

    def has(self, feature: str) -> bool:
        """Tell whether getInfo offers an option, an extension or a version (that one or a later one).

        An option that is false is not offered, but for those whose presence counts (6.4).
        """
        info = self.info
        if feature in ORDER[2:]:
            return speaks(info.versions, feature)
        if feature in info.options:
            return feature in ONLY_PRESENT or bool(info.options[feature])
        return feature in info.extensions or feature in info.versions

    def client_pin(self, protocol: int | None = None) -> ClientPin:
        """Return the client PIN commands with protocol 1 or 2; by default the one that the key lists first."""
        chosen = protocol or next(iter(self.info.pin_uv_protocols), 2)
        return client_pin(self.rig, self.ctap, PinProtocolV1() if chosen == 1 else PinProtocolV2())

    def token(
        self, permissions: int = 0, rp_id: str | None = None, protocol: int | None = None
    ) -> tuple[Any, bytes]:
        """Get a pinUvAuthToken with permissions; return its protocol and the token."""
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
        if permissions & MC_GA and self.info.options.get("noMcGaPermissionsWithClientPin"):
            not_offered("a PIN that gives mc and ga: getInfo says noMcGaPermissionsWithClientPin")
        proto, token = self.token(permissions, rp_id, protocol)
        return {"pin_uv_param": proto.authenticate(token, message), "pin_uv_protocol": proto.VERSION}

    def make(self, *, rp: dict[str, Any] = RP, user: dict[str, Any] = USER, **more: Any) -> Any:
        """Call makeCredential over HASH, with touch. Default: ES256, not resident."""
        arguments: dict[str, Any] = {"key_params": [ES256], **more}
        self.require_rk(arguments.get("options"))
        if self.pin is None and "pin_uv_param" not in arguments:
            self.require_unverified()
        if self.pin is not None and "pin_uv_param" not in arguments:
            arguments.update(self.auth(HASH, ClientPin.PERMISSION.MAKE_CREDENTIAL, rp["id"]))
        with self.touch():
            return self.ctap.make_credential(HASH, rp, user, **arguments)

    def get(self, credential: Any = None, *, rp_id: str = RP["id"], **more: Any) -> Any:
        """Call getAssertion over HASH with touch, for one credential or for all discoverable ones."""
        arguments = dict(more)
        silent = (more.get("options") or {}).get("up") is False
        if not silent and "pin_uv_param" not in more:
            self.require_unverified()
        if credential is not None and "allow_list" not in arguments:
            ident = credential.auth_data.credential_data.credential_id
            arguments["allow_list"] = [{"type": "public-key", "id": ident}]
        with self.touch():
            return self.ctap.get_assertion(rp_id, HASH, **arguments)

    def require_rk(self, options: Mapping[str, bool] | None) -> None:
        """Skip if these options ask for a discoverable credential, and the key makes none."""
        if (options or {}).get("rk") and not self.info.options.get("rk"):
            not_offered("discoverable credentials: getInfo does not say rk")

    def require_unverified(self) -> None:
        """Skip on a key that takes no request of credentials without a token."""
        if self._demands_uv:
            not_offered("credentials without a token: alwaysUv is on as delivered and cannot be switched off")

    def reset(self) -> None:
        """Call authenticatorReset with touch. Open channels stay.

        :raises HostLate: the key refused because this host came after the ten seconds (6.6).
        """
        with blamed_on_a_late_host(self.rig), self.touch():
            self.ctap.reset()

    @contextmanager
    def touch(self, delay_us: int = 100_000) -> Iterator[None]:
        """Touch the key when it asks."""
        with self.rig.touch.pressing(delay_us=delay_us):
            yield


def not_offered(what: str) -> NoReturn:
    """Skip: the key does not offer this."""
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
    """Check that the key refuses with one of these codes."""
    try:
        yield
    except CtapError as error:
        assert error.code in codes, f"refused with {error.code!r} instead of {' or '.join(map(repr, codes))}"
    else:
        raise AssertionError(f"not refused; expected {' or '.join(map(repr, codes))}")


@contextmanager
def refused_somehow(*recommended: CtapError.ERR) -> Iterator[None]:
    """Check that the key refuses, with any code. Another code than a recommended one is a deviation."""
    try:
        yield
    except CtapError as error:
        if recommended and error.code not in recommended:
            deviates(f"refused with {error.code!r}; recommended: {' or '.join(map(repr, recommended))}")
    else:
        raise AssertionError("not refused; expected an error of any code")
