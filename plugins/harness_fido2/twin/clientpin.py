"""authenticatorClientPIN (CTAP 2.1, section 6.5.5)."""

from __future__ import annotations

from typing import Any

from harness_fido2.twin import crypto
from harness_fido2.twin.context import Context, Members, Result
from harness_fido2.twin.features import PIN_MAX, TRIES, TRIES_PER_BOOT
from harness_fido2.twin.parameters import optional, required
from harness_fido2.twin.pinproto import Permission, PinProtocol
from harness_fido2.twin.status import Status, StatusError

_KEY, _PARAMETER, _NEW_PIN, _PIN_HASH, _PERMISSIONS, _RP_ID = 0x03, 0x04, 0x05, 0x06, 0x09, 0x0A
_TYPES: dict[int, type[Any]] = {
    0x01: int,
    0x02: int,
    _KEY: dict,
    _PARAMETER: bytes,
    _NEW_PIN: bytes,
    _PIN_HASH: bytes,
    _PERMISSIONS: int,
    _RP_ID: str,
}


def client_pin(app: Context, members: Members) -> Result:
    """:raises StatusError: what the sub-command says, INVALID_SUBCOMMAND if there is none."""
    for key, kind in _TYPES.items():
        optional(members, key, kind)
    number = required(members, 0x02, int)
    if number not in _COMMANDS:
        raise StatusError(Status.INVALID_SUBCOMMAND)
    return _COMMANDS[number](app, members)
    yield


def _retries(app: Context, members: Members) -> Members:
    """6.5.5.2: free, and true at any time."""
    return {0x03: app.persistent.tries, 0x04: app.tries_now == 0 and app.persistent.tries > 0}


def _key_agreement(app: Context, members: Members) -> Members:
    """6.5.5.4."""
    return {0x01: _protocol(app, members).public_key()}


def _set_pin(app: Context, members: Members) -> None:
    """6.5.5.5."""
    key, new_pin, parameter = (
        required(members, member, _TYPES[member]) for member in (_KEY, _NEW_PIN, _PARAMETER)
    )
    protocol = _protocol(app, members)
    if app.persistent.state.pin_hash is not None:
        raise StatusError(Status.PIN_AUTH_INVALID)
    shared = protocol.decapsulate(key)
    if not protocol.verify(shared, new_pin, parameter):
        raise StatusError(Status.PIN_AUTH_INVALID)
    pin = _new_pin(app, protocol, shared, new_pin)
    app.persistent.change(tries=TRIES, **_pin_members(pin))
    app.tries_now = TRIES_PER_BOOT


def _change_pin(app: Context, members: Members) -> None:
    """6.5.5.6."""
    key, new_pin, parameter, pin_hash = (
        required(members, member, _TYPES[member]) for member in (_KEY, _NEW_PIN, _PARAMETER, _PIN_HASH)
    )
    protocol = _protocol(app, members)
    _not_blocked(app)
    shared = protocol.decapsulate(key)
    if not protocol.verify(shared, new_pin + pin_hash, parameter):
        raise StatusError(Status.PIN_AUTH_INVALID)
    _check_pin(app, protocol, shared, pin_hash, "change")
    try:
        pin = _new_pin(app, protocol, shared, new_pin)
        if app.persistent.state.force_change and crypto.same(
            _hash(pin), app.persistent.state.pin_hash or b""
        ):
            raise StatusError(Status.PIN_POLICY_VIOLATION)
    except StatusError:
        # The old PIN was right, so the try is given back although the new one will not do.
        app.persistent.change(tries=TRIES)
        raise
    members = _pin_members(pin)
    if "duty-before-pin" in app.platform.defects:
        app.persistent.change(force_change=False)
    if "old-change-finished" in app.platform.defects:
        members = app.persistent.begun_change(members)
    app.persistent.change(tries=TRIES, **members)
    app.persistent.end_change()
    app.reset_tokens()


def _pin_token(app: Context, members: Members) -> Members:
    """getPinToken, 6.5.5.7.1."""
    key, pin_hash = (required(members, member, _TYPES[member]) for member in (_KEY, _PIN_HASH))
    protocol = _protocol(app, members)
    if _PERMISSIONS in members or _RP_ID in members:
        raise StatusError(Status.INVALID_PARAMETER)
    default = Permission.MAKE_CREDENTIAL | Permission.GET_ASSERTION
    return _issue(app, protocol, key, pin_hash, default, None, Status.PIN_INVALID, "token")


def _pin_token_with_permissions(app: Context, members: Members) -> Members:
    """getPinUvAuthTokenUsingPinWithPermissions, 6.5.5.7.2."""
    key, pin_hash = (required(members, member, _TYPES[member]) for member in (_KEY, _PIN_HASH))
    wanted = required(members, _PERMISSIONS, int)
    protocol = _protocol(app, members)
    if wanted == 0:
        raise StatusError(Status.INVALID_PARAMETER)
    permissions = Permission(wanted & 0x3F)
    if permissions & ~_offered(app):
        raise StatusError(Status.UNAUTHORIZED_PERMISSION)
    # A token without an RP ID gets one by its first use (6.1.2, step 11), so the steps here do not demand it.
    rp_id = optional(members, _RP_ID, str)
    change_first = Status.PIN_POLICY_VIOLATION
    return _issue(app, protocol, key, pin_hash, permissions, rp_id, change_first, "permissions")


def _offered(app: Context) -> Permission:
    offered = Permission.MAKE_CREDENTIAL | Permission.GET_ASSERTION | Permission.CREDENTIAL_MANAGEMENT
    if app.features.large_blobs:
        offered |= Permission.LARGE_BLOB_WRITE
    if app.features.authenticator_config:
        offered |= Permission.AUTHENTICATOR_CONFIG
    return offered


def _issue(
    app: Context,
    protocol: PinProtocol,
    key: dict[Any, Any],
    pin_hash: bytes,
    permissions: Permission,
    rp_id: str | None,
    change_first: Status,
    way: str,
) -> Members:
    """Check the PIN and issue a token: the common part of both commands that return one.

    :param change_first: the refusal while the PIN must be changed before it is used.
    :param way: how the PIN came, see `_check_pin`.
    """
    _not_blocked(app)
    shared = protocol.decapsulate(key)
    _check_pin(app, protocol, shared, pin_hash, way)
    if app.persistent.tries != TRIES:
        app.persistent.change(tries=TRIES)
    if app.persistent.state.force_change:
        raise StatusError(change_first)
    app.reset_tokens()
    protocol.token.begin(permissions, rp_id)
    return {0x02: protocol.encrypt(shared, protocol.token.value)}


def _protocol(app: Context, members: Members) -> PinProtocol:
    return app.protocol(required(members, 0x01, int))


def _not_blocked(app: Context) -> None:
    if app.persistent.state.pin_hash is None:
        raise StatusError(Status.PIN_NOT_SET)
    if app.persistent.tries == 0:
        raise StatusError(Status.PIN_BLOCKED)
    if app.tries_now == 0:
        raise StatusError(Status.PIN_AUTH_BLOCKED)


def _check_pin(app: Context, protocol: PinProtocol, shared: bytes, pin_hash: bytes, way: str) -> None:
    """Lower the retry counter durably, and only then compare the PIN. The caller restores the counter.

    :param way: the command that the PIN came with: token, permissions, change. Some defects are in one of them.
    :raises StatusError: PIN_INVALID, PIN_AUTH_BLOCKED, PIN_BLOCKED.
    """
    if not app.platform.defects.isdisjoint(("pin-compared-first", f"pin-compared-first-{way}")):
        right = _matches(app, protocol, shared, pin_hash)
        if right and app.persistent.tries == TRIES:
            app.tries_now = TRIES_PER_BOOT
            return
        app.persistent.change(tries=app.persistent.tries - 1)
    else:
        app.persistent.change(tries=app.persistent.tries - 1)
        right = _matches(app, protocol, shared, pin_hash)
    if "boot-limit-forgotten" not in app.platform.defects:
        app.tries_now -= 1
    if right:
        app.tries_now = TRIES_PER_BOOT
        return
    protocol.regenerate()
    if app.persistent.tries == 0:
        raise StatusError(Status.PIN_BLOCKED)
    if app.tries_now == 0:
        raise StatusError(Status.PIN_AUTH_BLOCKED)
    raise StatusError(Status.PIN_INVALID)


def _matches(app: Context, protocol: PinProtocol, shared: bytes, pin_hash: bytes) -> bool:
    given = protocol.decrypt(shared, pin_hash)
    kept = app.persistent.state.pin_hash
    return given is not None and kept is not None and crypto.same(given, kept)


def _new_pin(app: Context, protocol: PinProtocol, shared: bytes, new_pin: bytes) -> bytes:
    """The new PIN, decrypted and checked.

    :raises StatusError: PIN_AUTH_INVALID (it cannot be decrypted), INVALID_PARAMETER (its padding),
        PIN_POLICY_VIOLATION (its length).
    """
    padded = protocol.decrypt(shared, new_pin)
    if padded is None:
        raise StatusError(Status.PIN_AUTH_INVALID)
    if len(padded) != PIN_MAX + 1:
        raise StatusError(Status.INVALID_PARAMETER)
    pin = padded.rstrip(b"\0")
    try:
        length = len(pin.decode())
    except UnicodeDecodeError:
        raise StatusError(Status.PIN_POLICY_VIOLATION) from None
    if length < app.persistent.state.min_pin or len(pin) > PIN_MAX:
        raise StatusError(Status.PIN_POLICY_VIOLATION)
    return pin


def _hash(pin: bytes) -> bytes:
    return crypto.sha256(pin)[:16]


def _pin_members(pin: bytes) -> dict[str, Any]:
    return {"pin_hash": _hash(pin), "pin_length": len(pin.decode()), "force_change": False}


_COMMANDS = {
    0x01: _retries,
    0x02: _key_agreement,
    0x03: _set_pin,
    0x04: _change_pin,
    0x05: _pin_token,
    0x09: _pin_token_with_permissions,
}
