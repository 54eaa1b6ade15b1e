"""PIN and token messages member by member, so that a case can leave one out or spoil one.

Used by the cases of clientPIN, credential management, configuration and large blobs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from fido2 import cbor
from fido2.cose import CoseKey
from fido2.ctap import CtapError
from fido2.ctap2.base import Info
from fido2.ctap2.pin import ClientPin, PinProtocol, PinProtocolV1, PinProtocolV2

from harness_suites.conformance.device import ES256, HASH, PIN, RP, USER, Authenticator, not_offered

ERR = CtapError.ERR
P = ClientPin.PERMISSION
PINS = "clientPin"
TOKENS = ("clientPin", "pinUvAuthToken")

# Commands and members (CTAP 2.1, sections 6 and 6.5.5).
CLIENT_PIN, CREDENTIAL_MANAGEMENT, LARGE_BLOBS, CONFIG = 0x06, 0x0A, 0x0C, 0x0D
RETRIES, KEY_AGREEMENT, SET, CHANGE, LEGACY_TOKEN, UV_TOKEN, UV_RETRIES, TOKEN = 1, 2, 3, 4, 5, 6, 7, 9
PROTOCOL, SUBCOMMAND, KEY, PARAMETER, NEW_PIN, PIN_HASH, PERMISSIONS, RP_ID = 1, 2, 3, 4, 5, 6, 9, 10

OTHER_PIN = "3141592605358979"
WRONG_PIN = "00000000"
OTHER_RP = {"id": "other.keyharness.example", "name": "Other"}
TRIES_LIMIT = 8
"""The most that a key may have (6.5.1); `Authenticator.tries_max` is what this one has after a reset."""

Members = dict[int, Any]
T = TypeVar("T")


def fresh_info(authenticator: Authenticator) -> Info:
    """Read getInfo now; `authenticator.info` is from the time when the channel was opened."""
    return authenticator.ctap.get_info()


def pin_hash(pin: str) -> bytes:
    return hashlib.sha256(pin.encode()).digest()[:16]


def padded(pin: str | bytes) -> bytes:
    return (pin.encode() if isinstance(pin, str) else pin).ljust(64, b"\0")


def flipped(data: bytes, at: int = -1) -> bytes:
    """Return the data with one bit changed."""
    spoilt = bytearray(data)
    spoilt[at] ^= 0x01
    return bytes(spoilt)


def protocol_called(authenticator: Authenticator, version: int) -> PinProtocol:
    """Return PIN/UV auth protocol one or two; skip if the key does not list it."""
    if version not in authenticator.info.pin_uv_protocols:
        not_offered(f"getInfo does not list PIN/UV auth protocol {version}")
    return PinProtocolV1() if version == 1 else PinProtocolV2()


class Exchange:
    """One key agreement with the key: what is encrypted and authenticated under its shared secret.

    :ivar secret: the shared secret; a case may replace it.
    :ivar key: the platform's key as it is sent; a case may spoil it.
    """

    def __init__(self, authenticator: Authenticator, version: int | None = None):
        """:param version: of the PIN/UV auth protocol; by default the one that the key lists first."""
        version = version or next(iter(authenticator.info.pin_uv_protocols), 2)
        self.ctap = authenticator.ctap
        self.version = version
        self.protocol = protocol_called(authenticator, version)
        self.key, self.secret = self.protocol.encapsulate(CoseKey(agreed_key(authenticator, version)))

    def encrypt(self, text: bytes) -> bytes:
        return self.protocol.encrypt(self.secret, text)

    def sign(self, message: bytes) -> bytes:
        return self.protocol.authenticate(self.secret, message)

    def send(self, subcommand: int, **changed: Any) -> dict[int, Any]:
        """Send clientPIN with the members that `members` makes; keywords as there: `send(SET, new_pin=..)`."""
        return self.ctap.send_cbor(CLIENT_PIN, self.members(subcommand, **changed))

    def members(
        self,
        subcommand: int,
        *,
        new_pin: str | bytes = OTHER_PIN,
        old_pin: str = PIN,
        permissions: int | None = None,
        rp_id: str | None = None,
    ) -> Members:
        """Return the members of a right request. A PIN as text is padded; bytes are sent unchanged."""
        plain = padded(new_pin) if isinstance(new_pin, str) else new_pin
        found: Members = {PROTOCOL: self.version, SUBCOMMAND: subcommand}
        if subcommand in (SET, CHANGE, LEGACY_TOKEN, TOKEN):
            found[KEY] = self.key
        if subcommand in (SET, CHANGE):
            found[NEW_PIN] = self.encrypt(plain)
        if subcommand in (CHANGE, LEGACY_TOKEN, TOKEN):
            found[PIN_HASH] = self.encrypt(pin_hash(old_pin))
        if subcommand in (SET, CHANGE):
            found[PARAMETER] = self.sign(found[NEW_PIN] + found.get(PIN_HASH, b""))
        if permissions is not None:
            found[PERMISSIONS] = permissions
        if rp_id is not None:
            found[RP_ID] = rp_id
        return found

    def token(self, answer: dict[int, Any]) -> bytes:
        """Decrypt the pinUvAuthToken in an answer."""
        return self.protocol.decrypt(self.secret, answer[2])


def client_pin(authenticator: Authenticator, members: Members) -> dict[int, Any]:
    """Send clientPIN with exactly these members."""
    return authenticator.ctap.send_cbor(CLIENT_PIN, members)


def agreed_key(authenticator: Authenticator, version: int = 2) -> dict[int, Any]:
    """Return the key agreement key of the device under test, as COSE."""
    return dict(client_pin(authenticator, {PROTOCOL: version, SUBCOMMAND: KEY_AGREEMENT})[1])


def require_tries(authenticator: Authenticator, count: int) -> None:
    """Skip on a key that has fewer PIN tries than a case spends."""
    if authenticator.tries_max < count:
        not_offered(f"{count} PIN tries; this key has {authenticator.tries_max}")


def tries(authenticator: Authenticator) -> int:
    """Return the PIN tries left. CTAP 2.1 needs no protocol for that, CTAP 2.0 did (5.5.2)."""
    version = authenticator.info.pin_uv_protocols[0]
    return int(client_pin(authenticator, {PROTOCOL: version, SUBCOMMAND: RETRIES})[3])


def get_token(
    authenticator: Authenticator,
    permissions: int | None = None,
    rp_id: str | None = None,
    *,
    version: int | None = None,
    pin: str = PIN,
) -> tuple[PinProtocol, bytes]:
    """Get a token by subcommand 0x09, or by getPinToken if no permissions are named."""
    exchange = Exchange(authenticator, version)
    subcommand = LEGACY_TOKEN if permissions is None else TOKEN
    answer = exchange.send(subcommand, old_pin=pin, permissions=permissions, rp_id=rp_id)
    return exchange.protocol, exchange.token(answer)


def require_mc_ga(authenticator: Authenticator) -> None:
    """Skip where a PIN does not give the mc and ga permissions (section 6.4)."""
    if authenticator.info.options.get("noMcGaPermissionsWithClientPin"):
        not_offered("noMcGaPermissionsWithClientPin is true")


PERMISSION_OPTIONS = {
    P.CREDENTIAL_MGMT: "credMgmt",
    P.LARGE_BLOB_WRITE: "largeBlobs",
    P.AUTHENTICATOR_CFG: "authnrCfg",
}
"""The option that must be true for a permission to be given (section 6.5.5.7.2, step 4)."""


def require_permissions(authenticator: Authenticator, permissions: int) -> None:
    """Skip if the key does not give these permissions to a PIN."""
    if permissions & (P.MAKE_CREDENTIAL | P.GET_ASSERTION):
        require_mc_ga(authenticator)
    for permission, option in PERMISSION_OPTIONS.items():
        if permissions & permission and not authenticator.info.options.get(option):
            not_offered(f"option {option} is not true")


# One request of each command that a token authorises.


def _signed(protocol: PinProtocol, token: bytes, message: bytes) -> dict[str, Any]:
    return {"pin_uv_param": protocol.authenticate(token, message), "pin_uv_protocol": protocol.VERSION}


def use_mc(
    authenticator: Authenticator, protocol: PinProtocol, token: bytes, rp: dict[str, Any] = RP, **more: Any
) -> Any:
    """Call makeCredential with a token, touched."""
    authenticator.require_rk(more.get("options"))
    with authenticator.touch():
        return authenticator.ctap.make_credential(
            HASH, rp, USER, [ES256], **_signed(protocol, token, HASH), **more
        )


def use_ga(
    authenticator: Authenticator,
    protocol: PinProtocol,
    token: bytes,
    credential: Any = None,
    rp_id: str = RP["id"],
    **more: Any,
) -> Any:
    """Call getAssertion with a token, for one credential, touched if the key asks."""
    return authenticator.get(credential, rp_id=rp_id, **_signed(protocol, token, HASH), **more)


def use_cm(authenticator: Authenticator, protocol: PinProtocol, token: bytes) -> dict[int, Any]:
    """Call getCredsMetadata with a token."""
    return manage(authenticator, protocol, token, 0x01)


def manage(
    authenticator: Authenticator,
    protocol: PinProtocol,
    token: bytes,
    subcommand: int,
    parameters: dict[int, Any] | None = None,
    *,
    command: int = CREDENTIAL_MANAGEMENT,
) -> dict[int, Any]:
    """Send a subcommand of credential management (section 6.8: subCommand || subCommandParams)."""
    message = bytes((subcommand,)) + (b"" if parameters is None else cbor.encode(parameters))
    members: Members = {1: subcommand, 3: protocol.VERSION, 4: protocol.authenticate(token, message)}
    if parameters is not None:
        members[2] = parameters
    return authenticator.ctap.send_cbor(command, members)


def configure(
    authenticator: Authenticator,
    protocol: PinProtocol,
    token: bytes,
    subcommand: int,
    parameters: dict[int, Any] | None = None,
) -> dict[int, Any]:
    """Send a subcommand of authenticatorConfig (6.11: 32*ff || 0d || subCommand || subCommandParams)."""
    message = b"\xff" * 32 + bytes((CONFIG, subcommand))
    message += b"" if parameters is None else cbor.encode(parameters)
    members: Members = {1: subcommand, 3: protocol.VERSION, 4: protocol.authenticate(token, message)}
    if parameters is not None:
        members[2] = parameters
    return authenticator.ctap.send_cbor(CONFIG, members)


def use_acfg(authenticator: Authenticator, protocol: PinProtocol, token: bytes) -> dict[int, Any]:
    """Call setMinPINLength without parameters, which changes nothing."""
    return configure(authenticator, protocol, token, 0x03, {})


def blob_message(offset: int, fragment: bytes) -> bytes:
    """Return the message that authorises the write of a fragment (section 6.10.2, step 5e)."""
    return b"\xff" * 32 + b"\x0c\x00" + offset.to_bytes(4, "little") + hashlib.sha256(fragment).digest()


EMPTY_ARRAY = bytes.fromhex("8076be8b528d0075f7aae98d6fa57a6d3c")
"""The initial serialized large-blob array (section 6.10)."""


def use_lbw(authenticator: Authenticator, protocol: PinProtocol, token: bytes) -> dict[int, Any]:
    """Write the initial large-blob array."""
    parameter = protocol.authenticate(token, blob_message(0, EMPTY_ARRAY))
    return dict(
        authenticator.ctap.large_blobs(
            0,
            set=EMPTY_ARRAY,
            length=len(EMPTY_ARRAY),
            pin_uv_param=parameter,
            pin_uv_protocol=protocol.VERSION,
        )
    )


USES: dict[int, Callable[[Authenticator, PinProtocol, bytes], Any]] = {
    P.MAKE_CREDENTIAL: use_mc,
    P.GET_ASSERTION: use_ga,
    P.CREDENTIAL_MGMT: use_cm,
    P.LARGE_BLOB_WRITE: use_lbw,
    P.AUTHENTICATOR_CFG: use_acfg,
}
"""A request that only a token with this permission authorises. The one for ga names no credential."""
