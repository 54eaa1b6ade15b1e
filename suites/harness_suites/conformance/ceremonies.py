"""Helpers of the cases about credentials: hand-written requests, forged authorisations, conditions to skip.

The sections named here and in the cases are those of CTAP 2.1 (with the errata of 2022) unless they say
otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from threading import Event
from typing import Any

import pytest
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.ctap import STATUS, CtapError
from fido2.ctap2 import CredentialManagement, Ctap2
from fido2.ctap2.pin import ClientPin, PinProtocolV1, PinProtocolV2
from fido2.webauthn import PublicKeyCredentialDescriptor, PublicKeyCredentialType

from harness.api import deviates
from harness_suites.conformance.device import ES256, HASH, RP, USER, Authenticator, not_offered

ERR = CtapError.ERR
MC = ClientPin.PERMISSION.MAKE_CREDENTIAL
GA = ClientPin.PERMISSION.GET_ASSERTION
MAKE, GET, NEXT = Ctap2.CMD.MAKE_CREDENTIAL, Ctap2.CMD.GET_ASSERTION, Ctap2.CMD.GET_NEXT_ASSERTION

OTHER_RP = {"id": "other.keyharness.example", "name": "Another"}
OTHER_HASH = hashlib.sha256(b"other client data").digest()
UNKNOWN_ALGORITHM = {"type": "public-key", "alg": -65000}
"""An algorithm of the range that COSE leaves unassigned."""

WRONG_TYPE = (ERR.CBOR_UNEXPECTED_TYPE, ERR.INVALID_CBOR)
"""A member of the wrong type: section 8.2 has 'unexpected CBOR' and 'error when parsing CBOR' for it, and
section 6.1.2 step 3 calls the first of them an example."""
INCOMPLETE = (ERR.MISSING_PARAMETER, ERR.INVALID_CBOR)
"""A structure in a request that lacks a member: section 8.2's 0x14, or the example of 6.1.2 step 3.1.1."""

ABSENT = object()
CREATION: dict[int, Any] = {1: HASH, 2: RP, 3: USER, 4: [ES256]}
ASSERTION: dict[int, Any] = {1: RP["id"], 2: HASH}


# What the key offers


def option(authenticator: Authenticator, name: str) -> bool:
    """Tell whether an option of getInfo is present and true."""
    return bool(authenticator.info.options.get(name))


def require_protocol(authenticator: Authenticator, *protocols: int) -> None:
    """Skip unless getInfo lists these PIN/UV auth protocols."""
    for protocol in protocols:
        if protocol not in authenticator.info.pin_uv_protocols:
            not_offered(f"getInfo does not list PIN/UV auth protocol {protocol}")


def require_algorithm(authenticator: Authenticator, algorithm: dict[str, Any]) -> None:
    """Skip unless the key has an algorithm. Where getInfo lists none (it need not, 6.4) the key is asked."""
    listed = [one["alg"] for one in authenticator.info.algorithms]
    if algorithm["alg"] in listed:
        return
    if not listed:
        try:
            make_without_pin(authenticator, key_params=[algorithm])
        except CtapError as error:
            if error.code != ERR.UNSUPPORTED_ALGORITHM:
                raise
        else:
            return
    not_offered(f"no algorithm {algorithm['alg']}")


def management(authenticator: Authenticator) -> CredentialManagement:
    """Return credentialManagement with a token for all RPs (6.8); the key needs a PIN."""
    if not option(authenticator, "credMgmt"):
        not_offered("getInfo does not say credMgmt")
    return CredentialManagement(
        authenticator.ctap, *authenticator.token(ClientPin.PERMISSION.CREDENTIAL_MGMT)
    )


# Requests


def changed(members: Mapping[Any, Any], changes: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the members with some replaced, added or (ABSENT) left out."""
    return {key: value for key, value in {**members, **changes}.items() if value is not ABSENT}


def send(
    authenticator: Authenticator, command: int, members: Mapping[int, Any] | None, *, touched: bool = True
) -> Mapping[int, Any]:
    """Send a command with exactly these members."""
    with authenticator.touch() if touched else nullcontext():
        return authenticator.ctap.send_cbor(command, members)


def make_without_pin(
    authenticator: Authenticator,
    *,
    rp: dict[str, Any] = RP,
    user: dict[str, Any] = USER,
    touched: bool = True,
    **more: Any,
) -> Any:
    """Call makeCredential without authorisation, whether or not a PIN is set."""
    with authenticator.touch() if touched else nullcontext():
        return authenticator.ctap.make_credential(HASH, rp, user, **{"key_params": [ES256], **more})


def make_resident(authenticator: Authenticator, user: dict[str, Any] = USER, **more: Any) -> Any:
    """Make a discoverable credential."""
    return authenticator.make(user=user, options={"rk": True}, **more)


def get_all(
    authenticator: Authenticator, *, rp_id: str = RP["id"], uv: bool = False, **more: Any
) -> list[Any]:
    """Return the assertions of all credentials of an RP, in the order of the key."""
    authorised = authenticator.auth(HASH, GA, rp_id) if uv else {}
    first = authenticator.get(rp_id=rp_id, **authorised, **more)
    rest = [authenticator.ctap.get_next_assertion() for _ in range(1, first.number_of_credentials or 1)]
    return [first, *rest]


def account(number: int) -> dict[str, Any]:
    """Return the user entity of an account."""
    return {"id": b"account-%d" % number, "name": f"account-{number}", "displayName": f"Account {number}"}


def make_either(authenticator: Authenticator, resident: bool, **more: Any) -> Any:
    """Make a discoverable credential, or one that is not."""
    if resident and not option(authenticator, "rk"):
        not_offered("getInfo does not say rk")
    return authenticator.make(options={"rk": resident}, **more)


def make_accounts(
    authenticator: Authenticator, count: int, *, rp: dict[str, Any] = RP, **more: Any
) -> list[Any]:
    """Make discoverable credentials of `count` accounts, the oldest first. Skip if the key has no room for them."""
    with room_for(f"{count} discoverable credentials"):
        return [make_resident(authenticator, account(number), rp=rp, **more) for number in range(count)]


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Skip if the key says that it is full: no specification says how much must fit."""
    try:
        yield
    except CtapError as error:
        if error.code != ERR.KEY_STORE_FULL:
            raise
        not_offered(f"room for {what}")


LONG_NAMES = {"name": "a" + "🔑" * 16, "displayName": "鍵" * 22}
"""Names of 65 and 66 bytes. The 64th byte is inside a character of both."""


def begins_as_given(read: Callable[[], Mapping[str, Any]], given: Mapping[str, str]) -> None:
    """Check that each name that the key tells is the given one, or the beginning of it.

    At least 64 bytes are kept, less the beginning of a character (WebAuthn 2, 6.4.1). A cut inside a character is a
    deviation: that section leaves it to clients, although many cannot decode the response.

    :param read: return the entity that the key tells; raise UnicodeDecodeError where it is no UTF-8.
    """
    try:
        told = read()
    except UnicodeDecodeError as error:
        shown = error.object.decode(errors="backslashreplace")
        assert any(name.encode().startswith(error.object) for name in given.values()), f"a name {shown!r}"
        deviates(f"a name is cut inside a character: {shown!r}, which is no UTF-8")
        return
    for name, whole in given.items():
        kept = told.get(name) or ""
        assert whole.startswith(kept), f"{name} {kept!r} is no beginning of {whole!r}"
        least = whole.encode()[:64].decode(errors="ignore")
        assert kept.startswith(least), f"{name} {kept!r} is shorter than 64 bytes of {whole!r}"


def ident(credential: Any) -> bytes:
    """Return the id of a credential, from the response that made it or from an assertion."""
    if hasattr(credential, "credential"):
        return bytes(credential.credential["id"])
    return bytes(credential.auth_data.credential_data.credential_id)


def descriptor(credential: Any, kind: str = "public-key") -> dict[str, Any]:
    """Return the descriptor of a credential, or of an id."""
    return {"type": kind, "id": credential if isinstance(credential, bytes) else ident(credential)}


def named(credential: Any) -> PublicKeyCredentialDescriptor:
    """Return the descriptor as the client's credential management takes it."""
    return PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=ident(credential))


def stranger(number: int = 0, size: int = 64) -> dict[str, Any]:
    """Return the descriptor of a credential that no key has made."""
    identity = hashlib.shake_128(b"stranger %d" % number).digest(size)
    return descriptor(identity)


def full_list(authenticator: Authenticator, base: Mapping[int, Any], *known: Any) -> list[dict[str, Any]]:
    """Return as many descriptors as getInfo allows in a list: unknown ones, and `known` at the end.

    The ids of the unknown ones are as long as getInfo allows and the message can hold.

    :param base: the other members of the request.
    """
    info = authenticator.info
    count, size = (info.max_creds_in_list or 8) - len(known), info.max_cred_id_length or 64
    while True:
        listed = [stranger(number, size) for number in range(count)] + [descriptor(one) for one in known]
        if 1 + len(cbor.encode({**base, 5: listed})) <= info.max_msg_size or size == 16:
            return listed
        size -= 1


def public_key(made: Any) -> CoseKey:
    return CoseKey.parse(made.auth_data.credential_data.public_key)


def can_check(key: CoseKey) -> bool:
    """Tell whether the client can verify under a COSE key: it knows the algorithm, and the key is one of it."""
    return key[3] in CoseKey.supported_algorithms() and key.get(1) == KEY_TYPES.get(key[3], key.get(1))


KEY_TYPES = {-7: 2, -8: 1, -35: 2, -36: 2, -37: 3, -47: 2, -48: 7, -49: 7, -257: 3}
"""COSE algorithm -> key type (RFC 9053; RFC 9964 for ML-DSA). A key of another type is of another algorithm."""


def check(assertion: Any, made: Any, client_hash: bytes = HASH) -> None:
    """Check that the assertion is of this credential, and verifies under its public key if the client knows how."""
    assert ident(assertion) == ident(made)
    if can_check(made.auth_data.credential_data.public_key):
        assertion.verify(client_hash, public_key(made))


class Presence:
    """Note whether the key asked for a touch during a request.

    `ctap.make_credential(..., **presence.watched)`; with `cancel` the request is cancelled when it asks.
    """

    def __init__(self, *, cancel: bool = False):
        self._cancel = cancel
        self._event = Event()
        self.asked = False

    @property
    def watched(self) -> dict[str, Any]:
        return {"event": self._event, "on_keepalive": self._keepalive}

    def _keepalive(self, status: int) -> None:
        if status == STATUS.UPNEEDED:
            self.asked = True
            if self._cancel:
                self._event.set()


def either_kind(function: Any) -> Any:
    """Parametrize a test with `resident`, for `make_either`."""
    return pytest.mark.parametrize("resident", [False, True], ids=["non-resident", "resident"])(function)


# Authorisations that must not be taken (6.5.5: verify; 6.1.2 step 11, 6.2.2 step 6)


@dataclass(frozen=True)
class Forgery:
    """A pinUvAuthParam that does not authorise its request.

    :ivar make: (authenticator, permission) -> the arguments of the request, for HASH and RP.
    """

    name: str
    make: Callable[[Authenticator, ClientPin.PERMISSION], dict[str, Any]]


def _with_param(authenticator: Authenticator, permission: Any, change: Any, protocol: int) -> dict[str, Any]:
    require_protocol(authenticator, protocol)
    arguments = authenticator.auth(HASH, permission, RP["id"], protocol)
    return {**arguments, "pin_uv_param": change(arguments["pin_uv_param"])}


def _flipped(byte: int) -> Callable[[bytes], bytes]:
    def flip(param: bytes) -> bytes:
        wrong = bytearray(param)
        wrong[byte] ^= 1
        return bytes(wrong)

    return flip


def _without_permissions(authenticator: Authenticator, what: str) -> None:
    if not option(authenticator, "pinUvAuthToken"):
        not_offered(f"getInfo does not list pinUvAuthToken: {what}")


def _other_hash(authenticator: Authenticator, permission: Any) -> dict[str, Any]:
    return authenticator.auth(OTHER_HASH, permission, RP["id"])


def _other_rp(authenticator: Authenticator, permission: Any) -> dict[str, Any]:
    _without_permissions(authenticator, "tokens are not bound to an RP")
    return authenticator.auth(HASH, permission, OTHER_RP["id"])


def _other_permission(authenticator: Authenticator, permission: Any) -> dict[str, Any]:
    _without_permissions(authenticator, "tokens have no permissions")
    return authenticator.auth(HASH, GA if permission == MC else MC, RP["id"])


def _of_protocol_one(authenticator: Authenticator, permission: Any) -> dict[str, Any]:
    require_protocol(authenticator, 1, 2)
    return {**authenticator.auth(HASH, permission, RP["id"], 1), "pin_uv_protocol": 2}


def _padded(authenticator: Authenticator, permission: Any) -> dict[str, Any]:
    """Send the whole HMAC; protocol one uses its first 16 bytes only."""
    require_protocol(authenticator, 1)
    _, token = authenticator.token(permission, RP["id"], 1)
    return {"pin_uv_param": PinProtocolV2().authenticate(token, HASH), "pin_uv_protocol": 1}


def _zero_token(protocol: Any) -> Callable[[Authenticator, Any], dict[str, Any]]:
    def forge(authenticator: Authenticator, permission: Any) -> dict[str, Any]:
        require_protocol(authenticator, protocol.VERSION)
        return {
            "pin_uv_param": protocol.authenticate(bytes(32), HASH),
            "pin_uv_protocol": protocol.VERSION,
        }

    return forge


FORGERIES = [
    Forgery("first-bit-wrong", lambda a, p: _with_param(a, p, _flipped(0), 2)),
    Forgery("last-bit-wrong", lambda a, p: _with_param(a, p, _flipped(-1), 2)),
    Forgery("last-bit-wrong-protocol-1", lambda a, p: _with_param(a, p, _flipped(-1), 1)),
    Forgery("half-of-it-protocol-2", lambda a, p: _with_param(a, p, lambda param: param[:16], 2)),
    Forgery("one-byte-of-it", lambda a, p: _with_param(a, p, lambda param: param[:1], 2)),
    Forgery("too-long-protocol-1", _padded),
    Forgery("over-another-hash", _other_hash),
    Forgery("token-for-another-rp", _other_rp),
    Forgery("token-for-another-permission", _other_permission),
    Forgery("of-the-other-protocol", _of_protocol_one),
    Forgery("no-token-was-given-protocol-1", _zero_token(PinProtocolV1())),
    Forgery("no-token-was-given-protocol-2", _zero_token(PinProtocolV2())),
]


def forgeries(function: Any) -> Any:
    """Parametrize a test with each of FORGERIES as `forgery`."""
    return pytest.mark.parametrize("forgery", FORGERIES, ids=lambda one: one.name)(function)
