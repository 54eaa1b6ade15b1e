"""User verification and presence, as makeCredential and getAssertion ask for them.

CTAP 2.1, section 6.1.2 steps 1, 2, 5, 6, 11 and 14; section 6.2.2 steps 1, 2, 4, 5, 6 and 9.
"""

from __future__ import annotations

from collections.abc import Generator

from harness.api import Step, Touched, touch
from harness_fido2.twin.context import Context
from harness_fido2.twin.features import UP_TIMEOUT_US
from harness_fido2.twin.pinproto import Permission, PinProtocol
from harness_fido2.twin.status import Status, StatusError

PRESENT, VERIFIED, ATTESTED, EXTENDED = 0x01, 0x04, 0x40, 0x80
"""Flags of authenticator data (WebAuthn, section 6.1)."""


def check_parameter(
    app: Context, parameter: bytes | None, version: int | None
) -> Generator[Step, Touched | None, None]:
    """Steps 1 and 2: an empty parameter asks for a touch and says whether a PIN is set.

    :raises StatusError: PIN_NOT_SET, PIN_INVALID or PIN_AUTH_INVALID, MISSING_PARAMETER, INVALID_PARAMETER;
        PIN_POLICY_VIOLATION, the version refuses everything until a forced change of the PIN.
    """
    if app.features.forced_change_refuses and app.persistent.state.force_change:
        raise StatusError(Status.PIN_POLICY_VIOLATION)
    if parameter is None:
        return
    if not parameter:
        yield from present()
        if app.persistent.state.pin_hash is None:
            raise StatusError(Status.PIN_NOT_SET)
        raise StatusError(
            Status.PIN_INVALID if app.features.empty_is_pin_invalid else Status.PIN_AUTH_INVALID
        )
    if version is None:
        raise StatusError(Status.MISSING_PARAMETER)
    app.protocol(version)


def check_uv_option(options: dict[str, bool], parameter: bytes | None) -> None:
    """There is no built-in user verification, so `uv` without a parameter cannot be had."""
    if options.get("uv") and parameter is None:
        raise StatusError(Status.INVALID_OPTION)


def check_always_uv(app: Context, parameter: bytes | None) -> None:
    """With alwaysUv on, a PIN must be set and its token be shown (6.1.2, step 6; 6.2.2, step 5).

    :raises StatusError: PUAT_REQUIRED.
    """
    state = app.persistent.state
    if state.always_uv and (parameter is None or state.pin_hash is None):
        raise StatusError(Status.PUAT_REQUIRED)


def verify(
    app: Context,
    parameter: bytes | None,
    version: int | None,
    client_hash: bytes,
    rp_id: str,
    permission: Permission,
) -> PinProtocol | None:
    """The protocol whose token stands for the user's verification; None without a parameter.

    :raises StatusError: PIN_AUTH_INVALID; PIN_NOT_SET if there cannot be a token.
    """
    if parameter is None or version is None:
        return None
    if app.persistent.state.pin_hash is None:
        raise StatusError(Status.PIN_NOT_SET)
    protocol = app.authorised(version, client_hash, parameter, permission)
    token = protocol.token
    if token.rp_id not in (None, rp_id) or not token.verified:
        raise StatusError(Status.PIN_AUTH_INVALID)
    token.bind(rp_id)
    return protocol


def present() -> Generator[Step, Touched | None, None]:
    """:raises StatusError: OPERATION_DENIED, nobody touched the key in time."""
    if (yield from touch(UP_TIMEOUT_US)) is Touched.TIMED_OUT:
        raise StatusError(Status.OPERATION_DENIED)
