"""authenticatorConfig (CTAP 2.1, section 6.11)."""

from __future__ import annotations

from harness.api import cbor
from harness_fido2.twin import crypto
from harness_fido2.twin.context import Context, Members, Result
from harness_fido2.twin.features import MIN_PIN_RPS_MAX, PIN_MAX
from harness_fido2.twin.parameters import optional, required
from harness_fido2.twin.pinproto import Permission
from harness_fido2.twin.status import Status, StatusError

TOGGLE_ALWAYS_UV, SET_MIN_PIN_LENGTH = 0x02, 0x03
COMMANDS = [TOGGLE_ALWAYS_UV, SET_MIN_PIN_LENGTH]


def authenticator_config(app: Context, members: Members) -> Result:
    """:raises StatusError: what section 6.11 says; INVALID_PARAMETER for a sub-command that is not there."""
    if not app.features.authenticator_config:
        raise StatusError(Status.INVALID_COMMAND)
    number = required(members, 0x01, int)
    parameters = optional(members, 0x02, dict)
    version = optional(members, 0x03, int)
    parameter = optional(members, 0x04, bytes)
    if number not in COMMANDS or (number == TOGGLE_ALWAYS_UV and not app.features.always_uv):
        raise StatusError(Status.INVALID_PARAMETER)
    _authorise(app, number, parameters, version, parameter)
    if number == TOGGLE_ALWAYS_UV:
        app.persistent.change(always_uv=not app.persistent.state.always_uv)
    else:
        _set_min_pin_length(app, parameters or {})
    return None
    yield


def _authorise(
    app: Context, number: int, parameters: Members | None, version: int | None, parameter: bytes | None
) -> None:
    """A token is needed where the user can be verified, or would have to be."""
    state = app.persistent.state
    protected = state.pin_hash is not None
    # Without a PIN alwaysUv could otherwise never be switched off again.
    if not protected and (not state.always_uv or number == TOGGLE_ALWAYS_UV):
        return
    if parameter is None:
        raise StatusError(Status.PUAT_REQUIRED)
    if version is None:
        raise StatusError(Status.MISSING_PARAMETER)
    message = b"\xff" * 32 + bytes((0x0D, number))
    if parameters is not None:
        message += cbor.encode(parameters)
    app.authorised(version, message, parameter, Permission.AUTHENTICATOR_CONFIG)


def _set_min_pin_length(app: Context, parameters: Members) -> None:
    """6.11.4: the length can only rise; one write commits everything."""
    state = app.persistent.state
    length = optional(parameters, 0x01, int)
    rp_ids = optional(parameters, 0x02, list)
    force = optional(parameters, 0x03, bool)
    for rp_id in rp_ids or ():
        if type(rp_id) is not str:
            raise StatusError(Status.CBOR_UNEXPECTED_TYPE)
    if length is None:
        length = state.min_pin
    if not state.min_pin <= length <= PIN_MAX:
        raise StatusError(Status.PIN_POLICY_VIOLATION)
    has_pin = state.pin_hash is not None
    if force and not has_pin:
        raise StatusError(Status.PIN_NOT_SET)
    if rp_ids is not None and len(rp_ids) > MIN_PIN_RPS_MAX:
        raise StatusError(Status.KEY_STORE_FULL)
    allowed = state.min_pin_rps
    if rp_ids is not None:
        allowed = tuple(crypto.sha256(rp_id.encode()) for rp_id in rp_ids)
    forced = state.force_change or bool(force) or (has_pin and state.pin_length < length)
    if "minimum-before-duty" in app.platform.defects:
        app.persistent.change(min_pin=length, min_pin_rps=allowed)
    if "list-after-minimum" in app.platform.defects:
        app.persistent.change(min_pin=length, force_change=forced)
    app.persistent.change(min_pin=length, min_pin_rps=allowed, force_change=forced)
    if forced:
        app.reset_tokens()
