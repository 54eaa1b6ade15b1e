"""authenticatorGetAssertion and authenticatorGetNextAssertion (CTAP 2.1, sections 6.2 and 6.3)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import cbor
from harness_fido2.twin import crypto, extensions, verification
from harness_fido2.twin.context import Context, Members, Result
from harness_fido2.twin.credentials import Credential
from harness_fido2.twin.enumeration import CommandSequence
from harness_fido2.twin.makecredential import SIGN_US
from harness_fido2.twin.parameters import descriptors, optional, options, required
from harness_fido2.twin.pinproto import Permission
from harness_fido2.twin.status import Status, StatusError


@dataclass
class Assertions:
    """State of an assertion with several credentials, for getNextAssertion."""

    rp_hash: bytes
    client_hash: bytes
    flags: int
    wanted: extensions.Use
    rest: list[Credential]
    sequence: CommandSequence
    several: bool


def get_assertion(app: Context, members: Members) -> Result:
    rp_id = required(members, 0x01, str)
    client_hash = required(members, 0x02, bytes)
    allowed = descriptors(members, 0x03)
    listed = bool(members.get(0x03))
    found = optional(members, 0x04, dict) or {}
    wishes = options(members, 0x05)
    parameter, version = optional(members, 0x06, bytes), optional(members, 0x07, int)
    if len(client_hash) != 32:
        raise StatusError(Status.INVALID_PARAMETER)
    yield from verification.check_parameter(app, parameter, version)
    verification.check_uv_option(wishes, parameter)
    if "rk" in wishes:
        raise StatusError(Status.UNSUPPORTED_OPTION)
    wants_touch = wishes.get("up", True)
    if wants_touch:
        verification.check_always_uv(app, parameter)
    rp_hash = crypto.sha256(rp_id.encode())
    protocol = verification.verify(app, parameter, version, client_hash, rp_id, Permission.GET_ASSERTION)
    verified = protocol is not None
    if listed:
        # With a list any one will do, and there is no next (step 11).
        known = (app.find(identity, rp_hash) for identity in allowed)
        applicable = [one for one in known if one and (one.protect < 3 or verified)][:1]
    else:
        applicable = [one for one in app.residents.of(rp_hash) if one.protect < 2 or verified]
    if not applicable:
        raise StatusError(Status.NO_CREDENTIALS)
    wanted = extensions.use(app, found, wants_touch)
    flags = verification.VERIFIED if verified else 0
    if wants_touch:
        if not app.insertion_counts():
            yield from verification.present()
        flags |= verification.PRESENT
        if protocol is not None:
            protocol.token.spend()
    first, *rest = applicable
    sequence = CommandSequence(app, protocol.token if protocol else None)
    work = Assertions(rp_hash, client_hash, flags, wanted, rest, sequence, bool(rest))
    response = _assert(app, work, first)
    if rest:
        response[0x05] = len(applicable)
        sequence.step()
        app.pending = work
    return response


def get_next_assertion(app: Context) -> Result:
    """:raises StatusError: NOT_ALLOWED, there is no next one or it is too late for it."""
    work = app.pending
    if not isinstance(work, Assertions) or not work.sequence.is_here:
        raise StatusError(Status.NOT_ALLOWED)
    if work.sequence.is_over:
        app.pending = None
        raise StatusError(Status.NOT_ALLOWED)
    credential = work.rest.pop(0)
    if not work.rest:
        app.pending = None
    response = _assert(app, work, credential)
    work.sequence.step()
    return response
    yield


def _assert(app: Context, work: Assertions, credential: Credential) -> Members:
    verified = bool(work.flags & verification.VERIFIED)
    outputs = extensions.used(app, work.wanted, credential, verified)
    counter = app.persistent.next_counter()
    flags = work.flags | (verification.EXTENDED if outputs else 0)
    data = work.rp_hash + bytes((flags,)) + counter.to_bytes(4, "big")
    if outputs:
        data += cbor.encode(outputs)
    app.platform.work(SIGN_US)
    response: Members = {
        0x01: credential.descriptor,
        0x02: data,
        0x03: crypto.sign(credential.algorithm, credential.key, data + work.client_hash),
    }
    if credential.resident:
        # Names only where the user must choose and has been verified (section 6.2.2).
        named = verified and work.several
        response[0x04] = credential.user if named else {"id": credential.user["id"]}
    if work.wanted.large_blob_key and credential.large_blob_key:
        response[0x07] = credential.large_blob_key
    return response
