"""authenticatorCredentialManagement (CTAP 2.1, section 6.8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from harness.api import cbor
from harness_fido2.twin import crypto
from harness_fido2.twin.context import Context, Members, Result
from harness_fido2.twin.credentials import Credential
from harness_fido2.twin.enumeration import CommandSequence
from harness_fido2.twin.makecredential import names_of
from harness_fido2.twin.parameters import descriptor, optional, required
from harness_fido2.twin.pinproto import Permission, Token
from harness_fido2.twin.status import Status, StatusError

METADATA, RPS, NEXT_RP, CREDENTIALS, NEXT_CREDENTIAL, DELETE, UPDATE = range(1, 8)


@dataclass
class Enumeration:
    """State of an enumeration, for its 'next' sub-command."""

    sequence: CommandSequence
    rest: list[Any]


class Enumerations(dict[int, Enumeration]):
    """By 'next' sub-command. Going through an RP's credentials does not end going through the RPs."""


def credential_management(app: Context, members: Members) -> Result:
    """:raises StatusError: what section 6.8 says, INVALID_SUBCOMMAND for an unknown one."""
    number = required(members, 0x01, int)
    parameters = optional(members, 0x02, dict)
    version = optional(members, 0x03, int)
    parameter = optional(members, 0x04, bytes)
    started = _started(app)
    if number in _CONTINUING:
        return _continue(app, started, number)
    command = _COMMANDS.get(number)
    if command is None:
        raise StatusError(Status.INVALID_SUBCOMMAND)
    if parameter is None:
        raise StatusError(Status.PUAT_REQUIRED)
    if version is None or (parameters is None and number in _WITH_PARAMETERS):
        raise StatusError(Status.MISSING_PARAMETER)
    message = bytes((number,))
    if parameters is not None:
        message += cbor.encode(parameters)
    token = app.authorised(version, message, parameter, Permission.CREDENTIAL_MANAGEMENT).token
    return command(app, token, parameters or {})
    yield


def _metadata(app: Context, token: Token, parameters: Members) -> Members:
    """6.8.2."""
    _for_all(token)
    return {0x01: app.residents.count(), 0x02: app.residents.room(app.features.credentials_max)}


def _rps(app: Context, token: Token, parameters: Members) -> Members:
    """6.8.3."""
    _for_all(token)
    rp_ids = sorted({credential.rp_id for credential in app.residents.all()})
    if not rp_ids:
        raise StatusError(Status.NO_CREDENTIALS)
    first, *rest = rp_ids
    _started(app)[NEXT_RP] = Enumeration(CommandSequence(app, token), rest)
    return {**_rp(first), 0x05: len(rp_ids)}


def _credentials(app: Context, token: Token, parameters: Members) -> Members:
    """6.8.4."""
    rp_hash = required(parameters, 0x01, bytes)
    if token.rp_id is not None and crypto.sha256(token.rp_id.encode()) != rp_hash:
        raise StatusError(Status.PIN_AUTH_INVALID)
    found = [one for one in app.residents.of(rp_hash) if crypto.sha256(one.rp_id.encode()) == rp_hash]
    if not found:
        raise StatusError(Status.NO_CREDENTIALS)
    first, *rest = found
    _started(app)[NEXT_CREDENTIAL] = Enumeration(CommandSequence(app, token), rest)
    return {**_credential(app, first), 0x09: len(found)}


def _delete(app: Context, token: Token, parameters: Members) -> None:
    """6.8.5."""
    app.residents.remove(_named(app, token, parameters))


def _update(app: Context, token: Token, parameters: Members) -> None:
    """6.8.6: replace the names; a name that the request leaves out is removed."""
    user = required(parameters, 0x03, dict)
    identity = required(user, "id", bytes)
    names = names_of(app, user)
    credential = _named(app, token, parameters)
    if credential.user["id"] != identity:
        raise StatusError(Status.INVALID_PARAMETER)
    app.residents.update(replace(credential, user={"id": identity, **names}))


def _named(app: Context, token: Token, parameters: Members) -> Credential:
    """The credential that the parameters name."""
    identity = descriptor(required(parameters, 0x02, dict))
    credential = app.residents.find(identity) if identity is not None else None
    if credential is None:
        raise StatusError(Status.NO_CREDENTIALS)
    if token.rp_id not in (None, credential.rp_id):
        raise StatusError(Status.PIN_AUTH_INVALID)
    return credential


def _for_all(token: Token) -> None:
    """A token that is bound to an RP may not see the others."""
    if token.rp_id is not None:
        raise StatusError(Status.PIN_AUTH_INVALID)


def _started(app: Context) -> Enumerations:
    """Return the enumerations under way; drop what another command left pending."""
    if not isinstance(app.pending, Enumerations):
        app.pending = Enumerations()
    return app.pending


def _continue(app: Context, started: Enumerations, number: int) -> Members:
    """:raises StatusError: NOT_ALLOWED, nothing was begun or nothing is left."""
    begun = started.get(number)
    if begun is None or not begun.sequence.is_here:
        raise StatusError(Status.NOT_ALLOWED)
    while begun.rest and not begun.sequence.is_over:
        first = begun.rest.pop(0)
        # What was deleted or changed meanwhile is not told as it was.
        now = _rp_now(app, first) if number == NEXT_RP else _credential_now(app, first)
        if now is not None:
            begun.sequence.step()
            return now
    del started[number]
    raise StatusError(Status.NOT_ALLOWED)


def _rp_now(app: Context, rp_id: str) -> Members | None:
    return _rp(rp_id) if app.residents.of(crypto.sha256(rp_id.encode())) else None


def _credential_now(app: Context, credential: Credential) -> Members | None:
    found = app.residents.find(credential.id)
    return _credential(app, found) if found else None


def _rp(rp_id: str) -> Members:
    return {0x03: {"id": rp_id}, 0x04: crypto.sha256(rp_id.encode())}


def _credential(app: Context, credential: Credential) -> Members:
    members: Members = {
        0x06: credential.user,
        0x07: credential.descriptor,
        0x08: crypto.cose_map(credential.algorithm, credential.key),
        0x0A: credential.protect,
    }
    if credential.large_blob_key:
        members[0x0B] = credential.large_blob_key
    if "thirdPartyPayment" in app.features.extensions:
        members[0x0C] = credential.payment
    return members


_CONTINUING = {NEXT_RP, NEXT_CREDENTIAL}
_WITH_PARAMETERS = {CREDENTIALS, DELETE, UPDATE}
_COMMANDS: dict[int, Callable[[Context, Token, Members], Members | None]] = {
    METADATA: _metadata,
    RPS: _rps,
    CREDENTIALS: _credentials,
    DELETE: _delete,
    UPDATE: _update,
}
