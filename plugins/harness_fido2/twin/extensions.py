"""Extensions of makeCredential and getAssertion (CTAP 2.1, section 12; 2.2 for the newest two)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness_fido2.twin import crypto
from harness_fido2.twin.context import Context
from harness_fido2.twin.features import BLOB_MAX
from harness_fido2.twin.parameters import optional, required
from harness_fido2.twin.status import Status, StatusError

if TYPE_CHECKING:
    from harness_fido2.twin.credentials import Credential

Outputs = dict[str, Any]


def _offered(app: Context, found: Mapping[Any, Any]) -> dict[str, Any]:
    """The inputs that this version processes; the others are ignored (section 6.1.2)."""
    return {name: value for name, value in found.items() if name in app.features.extensions}


@dataclass(frozen=True)
class Creation:
    """Inputs of makeCredential."""

    protect: int | None
    hmac_secret: bool | None
    hmac_inputs: dict[Any, Any] | None
    blob: bytes | None
    min_pin: bool
    large_blob_key: bool
    payment: bool


def creation(app: Context, found: Mapping[Any, Any], resident: bool) -> Creation:
    """Read and check the inputs.

    :raises StatusError: CBOR_UNEXPECTED_TYPE; INVALID_OPTION for values that are not allowed.
    """
    inputs = _offered(app, found)
    protect = optional(inputs, "credProtect", int)
    if protect is not None and protect not in (1, 2, 3):
        raise StatusError(Status.INVALID_OPTION)
    key = optional(inputs, "largeBlobKey", bool)
    if key is False or (key and not resident):
        raise StatusError(Status.INVALID_OPTION)
    hmac_secret = optional(inputs, "hmac-secret", bool)
    hmac_inputs = optional(inputs, "hmac-secret-mc", dict)
    if hmac_inputs is not None and not hmac_secret:
        raise StatusError(Status.MISSING_PARAMETER)
    return Creation(
        protect,
        hmac_secret,
        hmac_inputs,
        optional(inputs, "credBlob", bytes),
        bool(optional(inputs, "minPinLength", bool)),
        bool(key),
        bool(optional(inputs, "thirdPartyPayment", bool)),
    )


def created(
    app: Context, wanted: Creation, credential: Credential, rp_hash: bytes, verified: bool
) -> Outputs:
    """Outputs of makeCredential."""
    outputs: Outputs = {}
    if wanted.protect is not None:
        outputs["credProtect"] = wanted.protect
    if wanted.hmac_secret:
        outputs["hmac-secret"] = True
    if wanted.hmac_inputs is not None:
        outputs["hmac-secret-mc"] = _hmac_secret(app, wanted.hmac_inputs, credential, verified)
    if wanted.blob is not None:
        outputs["credBlob"] = storable(wanted, credential.resident)
    if wanted.min_pin and rp_hash in app.persistent.state.min_pin_rps:
        outputs["minPinLength"] = app.persistent.state.min_pin
    return outputs


def storable(wanted: Creation, resident: bool) -> bool:
    """Whether a credBlob is kept: for resident credentials and up to its size (section 12.2)."""
    return wanted.blob is not None and resident and len(wanted.blob) <= BLOB_MAX


@dataclass(frozen=True)
class Use:
    """Inputs of getAssertion."""

    hmac_inputs: dict[Any, Any] | None
    blob: bool
    large_blob_key: bool
    payment: bool


def use(app: Context, found: Mapping[Any, Any], present: bool) -> Use:
    """Read and check the inputs.

    :param present: whether user presence is asked for: hmac-secret needs it (section 12.5).
    """
    inputs = _offered(app, found)
    key = optional(inputs, "largeBlobKey", bool)
    if key is False:
        raise StatusError(Status.INVALID_OPTION)
    hmac_inputs = optional(inputs, "hmac-secret", dict)
    if hmac_inputs is not None and not present:
        raise StatusError(Status.UNSUPPORTED_OPTION)
    return Use(
        hmac_inputs,
        bool(optional(inputs, "credBlob", bool)),
        bool(key),
        bool(optional(inputs, "thirdPartyPayment", bool)),
    )


def used(app: Context, wanted: Use, credential: Credential, verified: bool) -> Outputs:
    """Outputs of getAssertion."""
    outputs: Outputs = {}
    if wanted.hmac_inputs is not None and credential.hmac_secret:
        outputs["hmac-secret"] = _hmac_secret(app, wanted.hmac_inputs, credential, verified)
    if wanted.blob:
        outputs["credBlob"] = credential.blob
    if wanted.payment:
        outputs["thirdPartyPayment"] = credential.payment
    return outputs


def _hmac_secret(app: Context, inputs: Mapping[Any, Any], credential: Credential, verified: bool) -> bytes:
    """Section 12.5: one or two salts in, as many secrets out; other secrets with user verification."""
    key = required(inputs, 1, dict)
    salts_enc = required(inputs, 2, bytes)
    authentication = required(inputs, 3, bytes)
    protocol = app.protocol(optional(inputs, 4, int) or 1)
    shared = protocol.decapsulate(key)
    if not protocol.verify(shared, salts_enc, authentication):
        raise StatusError(Status.PIN_AUTH_INVALID)
    salts = protocol.decrypt(shared, salts_enc)
    if salts is None or len(salts) not in (32, 64):
        if not app.features.salt_length_told:
            raise StatusError(Status.INVALID_PARAMETER)
        # There it is another thing not to be decrypted than not to be one or two salts.
        raise StatusError(Status.INVALID_OPTION if len(salts_enc) % 16 else Status.INVALID_LENGTH)
    purpose = b"hmac-secret with uv" if verified else b"hmac-secret"
    secret = crypto.hmac256(_root(app), purpose, credential.id)
    return protocol.encrypt(
        shared, b"".join(crypto.hmac256(secret, salts[at : at + 32]) for at in range(0, len(salts), 32))
    )


def _root(app: Context) -> bytes:
    """What all secrets of this key are derived from; a reset makes it anew, and nothing else."""
    state, defects = app.persistent.state, app.platform.defects
    if "secret-of-the-boot" in defects:
        return app.platform.board.random("boot secret").bytes(32)
    if "secret-changes-with-pin" in defects and state.pin_hash is not None:
        return state.secret + state.pin_hash
    return state.secret
