"""The features of one version of the FIDO2 application: data, from a personality."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Features:
    """The differences between versions, as getInfo shows them (CTAP 2.1, section 6.4).

    :param versions: the member `versions`.
    :param extensions: the member `extensions`; only these are processed.
    :param make_cred_uv_not_required: a non-resident credential needs no PIN.
    :param always_uv: the alwaysUv feature is there (off as delivered).
    :param authenticator_config: authenticatorConfig and setMinPINLength are there.
    :param large_blobs: capacity for the large-blob array in bytes, 0 for none.
    :param extended_info: algorithms, minPINLength, firmwareVersion and so on are in getInfo.
    :param firmware_version: the version of the credential format, as getInfo shows it.
    :param credentials_max: resident credentials at most.
    :param min_pin_told: minPINLength is in getInfo, as it must be where there is a PIN; shipping versions up
        to 1.8 leave it out (nitrokey-3-firmware b9ec0bdc, utils/fido2-mds).
    :param skip_touch_ms: for so long after power-up the first getAssertion takes the insertion for a touch.

    Where shipping versions differ from CTAP 2.1 (Nitrokey/fido-authenticator v0.1.1-nitrokey.27, which all earlier
    ones agree with here; trussed-dev/fido-authenticator v0.4.0-rc.3):

    :param tokens_wear: a PIN token is bound by its first use, loses its permissions by a touch, and expires (CTAP 2.1,
        6.5.3); else it stays as it was issued.
    :param takes_up_true: `up: true` in makeCredential is accepted (6.1.2); else INVALID_OPTION.
    :param empty_is_pin_invalid: an empty pinUvAuthParam with a PIN set is PIN_INVALID (6.1.2, step 1); else
        PIN_AUTH_INVALID, as CTAP 2.0 can be read.
    :param salt_length_told: hmac-secret salts of a wrong length give INVALID_LENGTH, and those that cannot be
        decrypted INVALID_OPTION; else INVALID_PARAMETER for both.
    :param keeps_icon: the icon of a user is kept and told, although WebAuthn has none any more.
    :param forced_change_refuses: while a PIN change is forced, makeCredential and getAssertion are refused at all.
    :param config_commands_told: authenticatorConfigCommands is in getInfo (CTAP 2.3).
    """

    versions: tuple[str, ...]
    extensions: tuple[str, ...]
    make_cred_uv_not_required: bool
    always_uv: bool
    authenticator_config: bool
    large_blobs: int
    extended_info: bool
    firmware_version: int
    credentials_max: int
    skip_touch_ms: int
    min_pin_told: bool = True
    tokens_wear: bool = True
    takes_up_true: bool = True
    empty_is_pin_invalid: bool = True
    salt_length_told: bool = False
    keeps_icon: bool = False
    forced_change_refuses: bool = False
    config_commands_told: bool = False


INTERNAL, EXTERNAL = "internal", "external"
"""The stores that the key must provide: state and credentials; the large-blob array."""
UP_TIMEOUT_US = 30_000_000
"""How long user presence is waited for (CTAP 2.1, section 6.2.2; fido-authenticator: FIDO2_UP_TIMEOUT)."""
MESSAGE_MAX = 3072
LIST_MAX = 10
"""maxCredentialCountInList."""
ID_MAX = 255
"""maxCredentialIdLength."""
BLOB_MAX = 32
"""maxCredBlobLength."""
PIN_MIN, PIN_MAX = 4, 63
TRIES, TRIES_PER_BOOT = 8, 3
MIN_PIN_RPS_MAX = 4
"""maxRPIDsForSetMinPINLength."""
