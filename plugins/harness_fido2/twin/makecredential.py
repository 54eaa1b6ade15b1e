"""authenticatorMakeCredential (CTAP 2.1, section 6.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from harness.api import cbor, touch
from harness_fido2.twin import crypto, extensions, verification
from harness_fido2.twin.context import Context, Members, Result
from harness_fido2.twin.credentials import RESIDENT_ID_SIZE, Credential, seal_id
from harness_fido2.twin.features import UP_TIMEOUT_US
from harness_fido2.twin.parameters import descriptors, entries, integer, optional, options, required
from harness_fido2.twin.pinproto import Permission
from harness_fido2.twin.status import Status, StatusError

ALGORITHMS = (crypto.ES256, crypto.EDDSA)
KEY_US, SIGN_US = 20_000, 25_000
NAME_MAX = 64
"""Names are cut to this many bytes; at least 64 must be kept (section 6.1.2; WebAuthn, section 5.4.3)."""
ICON_MAX = 128
"""Bytes of an icon where icons are kept; a longer one is left out (trussed-dev/ctap-types, webauthn.rs)."""
USER_ID_MAX = 64
RP_ID_MAX = 253


@dataclass(frozen=True)
class _Request:
    client_hash: bytes
    rp_id: str
    user: dict[str, Any]
    algorithms: list[int]
    excluded: list[bytes]
    extensions: dict[Any, Any]
    options: dict[str, bool]
    parameter: bytes | None
    version: int | None
    enterprise: int | None
    formats: list[Any]


def make_credential(app: Context, members: Members) -> Result:
    request = _read(app, members)
    yield from verification.check_parameter(app, request.parameter, request.version)
    algorithm = next((alg for alg in request.algorithms if alg in ALGORITHMS), None)
    if algorithm is None:
        raise StatusError(Status.UNSUPPORTED_ALGORITHM)
    resident = request.options.get("rk", False)
    verification.check_uv_option(request.options, request.parameter)
    up = request.options.get("up")
    if up is False or (up and not app.features.takes_up_true):
        raise StatusError(Status.INVALID_OPTION)
    _check_protection(app, request, resident)
    if request.enterprise is not None:
        raise StatusError(Status.INVALID_PARAMETER)
    rp_hash = crypto.sha256(request.rp_id.encode())
    protocol = verification.verify(
        app,
        request.parameter,
        request.version,
        request.client_hash,
        request.rp_id,
        Permission.MAKE_CREDENTIAL,
    )
    verified = protocol is not None
    for identity in request.excluded:
        known = app.find(identity, rp_hash)
        if known is not None and (known.protect != 3 or verified):
            # The touch keeps a site from probing for credentials; whether it comes does not matter.
            yield from touch(UP_TIMEOUT_US)
            raise StatusError(Status.CREDENTIAL_EXCLUDED)
    wanted = extensions.creation(app, request.extensions, resident)
    yield from verification.present()
    if protocol is not None:
        protocol.token.spend()
    credential = _create(app, request, algorithm, wanted, rp_hash, resident)
    outputs = extensions.created(app, wanted, credential, rp_hash, verified)
    counter = app.persistent.next_counter()
    if resident:
        app.residents.add(replace(credential, order=counter), app.features.credentials_max)
    flags = verification.PRESENT | verification.ATTESTED
    flags |= verification.VERIFIED if verified else 0
    flags |= verification.EXTENDED if outputs else 0
    data = b"".join(
        (
            rp_hash,
            bytes((flags,)),
            counter.to_bytes(4, "big"),
            app.aaguid,
            len(credential.id).to_bytes(2, "big"),
            credential.id,
            crypto.cose_key(algorithm, credential.key),
            cbor.encode(outputs) if outputs else b"",
        )
    )
    response = _attest(app, request, credential, data)
    if credential.large_blob_key:
        response[0x05] = credential.large_blob_key
    return response


def _read(app: Context, members: Members) -> _Request:
    """The request, its members' types checked in their order."""
    client_hash = required(members, 0x01, bytes)
    rp = required(members, 0x02, dict)
    rp_id = required(rp, "id", str)
    for name in ("name", "icon"):
        optional(rp, name, str)
    user = required(members, 0x03, dict)
    user_id = required(user, "id", bytes)
    listed = required(members, 0x04, list)
    algorithms = []
    for entry in entries(listed):
        algorithm, kind = integer(entry, "alg"), required(entry, "type", str)
        if kind == "public-key":
            algorithms.append(algorithm)
    request = _Request(
        client_hash,
        rp_id,
        {"id": user_id, **names_of(app, user)},
        algorithms,
        descriptors(members, 0x05),
        optional(members, 0x06, dict) or {},
        options(members, 0x07),
        optional(members, 0x08, bytes),
        optional(members, 0x09, int),
        optional(members, 0x0A, int),
        optional(members, 0x0B, list) or [],
    )
    if len(client_hash) != 32:
        raise StatusError(Status.INVALID_PARAMETER)
    if len(user_id) > USER_ID_MAX or len(rp_id.encode()) > RP_ID_MAX:
        raise StatusError(Status.INVALID_LENGTH)
    return request


def names_of(app: Context, user: dict[Any, Any]) -> dict[str, str]:
    """The names of a user entity, each cut at a character's end; empty ones count as absent.

    Versions that keep the icon keep it whole or not at all: a part of a URL is none.
    """
    found = {name: optional(user, name, str) for name in ("name", "displayName")}
    names = {name: text.encode()[:NAME_MAX].decode(errors="ignore") for name, text in found.items() if text}
    icon = optional(user, "icon", str)
    if app.features.keeps_icon and icon and len(icon.encode()) <= ICON_MAX:
        names["icon"] = icon
    return names


def _check_protection(app: Context, request: _Request, resident: bool) -> None:
    """Steps 6 to 8 and 10: when a PIN is needed.

    :raises StatusError: PUAT_REQUIRED.
    """
    state = app.persistent.state
    verification.check_always_uv(app, request.parameter)
    if request.parameter is not None:
        return
    if state.pin_hash is not None and (resident or not app.features.make_cred_uv_not_required):
        raise StatusError(Status.PUAT_REQUIRED)


def _create(
    app: Context,
    request: _Request,
    algorithm: int,
    wanted: extensions.Creation,
    rp_hash: bytes,
    resident: bool,
) -> Credential:
    platform = app.platform
    platform.work(KEY_US)
    key = crypto.new_key(algorithm, platform.stream("credential key"))
    credential = Credential(
        b"",
        algorithm,
        key,
        wanted.protect or 1,
        bool(wanted.hmac_secret),
        wanted.payment,
    )
    if not resident:
        return replace(credential, id=seal_id(platform, app.persistent.kek, rp_hash, credential))
    return replace(
        credential,
        id=platform.random("credential id", RESIDENT_ID_SIZE),
        resident=True,
        rp_id=request.rp_id,
        user=request.user,
        large_blob_key=platform.random("large blob key", 32) if wanted.large_blob_key else None,
        blob=(wanted.blob or b"") if extensions.storable(wanted, True) else b"",
    )


def _attest(app: Context, request: _Request, credential: Credential, data: bytes) -> Members:
    """Packed attestation (WebAuthn, section 8.2).

    :raises StatusError: INTEGRITY_FAILURE, the certificate that the factory put there cannot be used. To answer with
        self attestation instead would hide that for ever.
    """
    if app.features.extended_info and request.formats[:1] == ["none"]:
        return {0x01: "none", 0x02: data, 0x03: {}}
    app.platform.work(SIGN_US)
    found = app.attestation
    if found is None and "self-attestation" not in app.platform.defects:
        raise StatusError(Status.INTEGRITY_FAILURE)
    algorithm, key = (crypto.ES256, found.key) if found else (credential.algorithm, credential.key)
    signature = crypto.sign(algorithm, key, data + request.client_hash)
    statement: dict[str, Any] = {"alg": algorithm, "sig": signature}
    if found:
        statement["x5c"] = [found.certificate]
    return {0x01: "packed", 0x02: data, 0x03: statement}
