"""The FIDO2 application: dispatch of CTAP2 commands, getInfo, selection and reset (CTAP 2.1, section 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.api import Cancelled, Handler, StoreDamaged, StoreFull, Touched, cbor, touch
from harness_fido2.twin import (
    attestation,
    clientpin,
    config,
    credmgmt,
    getassertion,
    largeblobs,
    makecredential,
    u2f,
)
from harness_fido2.twin.context import Context, Members, Result
from harness_fido2.twin.credentials import DIRECTORY, Credential, ResidentCredentials, open_id
from harness_fido2.twin.features import (
    BLOB_MAX,
    ID_MAX,
    INTERNAL,
    LIST_MAX,
    MESSAGE_MAX,
    MIN_PIN_RPS_MAX,
    TRIES_PER_BOOT,
    UP_TIMEOUT_US,
    Features,
)
from harness_fido2.twin.persistent_state import PersistentState
from harness_fido2.twin.pinproto import Permission, PinProtocol, ProtocolOne, ProtocolTwo
from harness_fido2.twin.status import Status, StatusError

if TYPE_CHECKING:
    from harness.api import Platform

RESET_WINDOW_US = 10_000_000
"""A reset must come within ten seconds of power-up (section 6.6)."""
HANDLING_US = 2_000

Method = Callable[[Context, Members], Result]


class Authenticator:
    """The FIDO2 application during one boot.

    :ivar pending: what a stateful command left for its 'next' command (section 6). Any other command drops it.
    :param may_skip_touch: whether the configuration allows `skip_touch_ms` of the features.
    :param directory: where the resident credentials are kept.
    :ivar tries_now: PIN tries that are left in this boot.
    """

    def __init__(
        self,
        platform: Platform,
        features: Features,
        may_skip_touch: Callable[[], bool] = lambda: True,
        directory: str = DIRECTORY,
    ):
        self.platform = platform
        self._may_skip_touch = may_skip_touch
        self.features = features
        self.persistent = PersistentState(platform)
        self.residents = ResidentCredentials(platform, self.persistent, directory)
        self.protocols: dict[int, PinProtocol] = {2: ProtocolTwo(platform), 1: ProtocolOne(platform)}
        self.tries_now = TRIES_PER_BOOT
        self.pending: object = None
        self._attestation: attestation.Attestation | None = None
        self._attestation_read = False
        self._first_assertion = True
        for protocol in self.protocols.values():
            protocol.token.wears = features.tokens_wear
            protocol.token.reset()
        if self.persistent.stale_keys() and "stale-key-taken-up" not in platform.defects:
            # A reset was cut after it became durable, or before: either way other epochs are rubbish.
            self._sweep()

    # Commands

    def cbor(self, request: bytes) -> Handler:
        """A CTAPHID_CBOR message: a command byte and its parameters; the response is a status and a map."""
        try:
            self.platform.work(HANDLING_US)
            members = yield from self._perform(request[0], request[1:])
        except StatusError as refused:
            return bytes((refused.status,))
        except Cancelled:
            # CTAP 2.1, section 11.2.9.1.5.
            return bytes((Status.KEEPALIVE_CANCEL,))
        except StoreFull:
            return bytes((Status.KEY_STORE_FULL,))
        except StoreDamaged:
            return bytes((Status.OTHER,))
        return b"\0" + cbor.encode(members) if members is not None else b"\0"

    def message(self, request: bytes) -> Handler:
        """A CTAPHID_MSG message: U2F."""
        return u2f.message(self, request)

    def _perform(self, command: int, data: bytes) -> Result:
        method = _WITH_PARAMETERS.get(command)
        plain = _WITHOUT_PARAMETERS.get(command)
        if method is None and plain is None:
            raise StatusError(Status.INVALID_COMMAND)
        if command not in _CONTINUING:
            self.pending = None
        if command not in _ALWAYS:
            # Without a usable state nothing is answered that might be taken for a fresh key.
            _ = self.persistent.state
        if plain is not None:
            if data:
                raise StatusError(Status.INVALID_LENGTH)
            return (yield from plain(self))
        assert method is not None
        return (yield from method(self, _members(data)))

    def get_info(self) -> Result:
        """Section 6.4; the members by version as in nitrokey-3-firmware b9ec0bdc, utils/fido2-mds."""
        state, features = self.persistent.state, self.features
        options: dict[str, bool] = {
            "rk": True,
            "up": True,
            "plat": False,
            "credMgmt": True,
            "clientPin": state.pin_hash is not None,
            "largeBlobs": features.large_blobs > 0,
            "pinUvAuthToken": True,
        }
        if features.make_cred_uv_not_required:
            options["makeCredUvNotRqd"] = not state.always_uv
        if features.always_uv:
            options["alwaysUv"] = state.always_uv
        if features.authenticator_config:
            options["authnrCfg"] = options["setMinPINLength"] = True
        # An authenticator that always wants user verification does not offer U2F (section 7.2.4).
        versions = [name for name in features.versions if name != "U2F_V2" or not state.always_uv]
        info: Members = {
            0x01: versions,
            0x02: features.extensions,
            0x03: self.aaguid,
            0x04: options,
            0x05: MESSAGE_MAX,
            0x06: list(self.protocols),
            0x07: LIST_MAX,
            0x08: ID_MAX,
            0x09: ["usb"],
        }
        if features.min_pin_told:
            info[0x0D] = state.min_pin
        if features.large_blobs:
            info[0x0B] = features.large_blobs
        if features.extended_info:
            info |= {
                0x0A: [{"alg": alg, "type": "public-key"} for alg in makecredential.ALGORITHMS],
                0x0C: state.force_change,
                0x0E: features.firmware_version,
                0x0F: BLOB_MAX,
                0x10: MIN_PIN_RPS_MAX,
                0x14: self.residents.room(features.credentials_max),
                0x16: ["packed"],
            }
        if features.config_commands_told:
            info[0x1F] = config.COMMANDS
        return info
        yield

    def selection(self) -> Result:
        """Section 6.9."""
        if (yield from touch(UP_TIMEOUT_US)) is Touched.TIMED_OUT:
            raise StatusError(Status.USER_ACTION_TIMEOUT)
        return None

    def reset(self) -> Result:
        """Section 6.6: within ten seconds of power-up, and with a touch."""
        if self.platform.board.uptime_us > RESET_WINDOW_US:
            raise StatusError(Status.NOT_ALLOWED)
        if (yield from touch(UP_TIMEOUT_US)) is Touched.TIMED_OUT:
            raise StatusError(Status.USER_ACTION_TIMEOUT)
        self.wipe()
        return None

    # What commands share

    @property
    def attestation(self) -> attestation.Attestation | None:
        if not self._attestation_read:
            self._attestation = attestation.read(self.platform.store(INTERNAL))
            self._attestation_read = True
        return self._attestation

    @property
    def aaguid(self) -> bytes:
        found = self.attestation
        return found.aaguid if found else attestation.NO_AAGUID

    def protocol(self, version: int) -> PinProtocol:
        """:raises StatusError: INVALID_PARAMETER, there is no such protocol."""
        if version not in self.protocols:
            raise StatusError(Status.INVALID_PARAMETER)
        return self.protocols[version]

    def authorised(
        self, version: int, message: bytes, parameter: bytes, permission: Permission
    ) -> PinProtocol:
        """Verify a pinUvAuthParam and that the token may do this.

        :raises StatusError: PIN_AUTH_INVALID.
        """
        protocol = self.protocol(version)
        token = protocol.token
        token.observe()
        if not token.in_use or not protocol.verify(token.value, message, parameter):
            raise StatusError(Status.PIN_AUTH_INVALID)
        token.used = True
        if permission not in token.permissions:
            raise StatusError(Status.PIN_AUTH_INVALID)
        return protocol

    def find(self, identity: bytes, rp_hash: bytes) -> Credential | None:
        """The credential of this RP with this id, resident or not."""
        return self.residents.find(identity, rp_hash) or open_id(self.persistent.kek, rp_hash, identity)

    def insertion_counts(self) -> bool:
        """Whether plugging the key in is taken for the touch of this, the first, assertion."""
        first, self._first_assertion = self._first_assertion, False
        soon = self.platform.board.uptime_us < self.features.skip_touch_ms * 1000
        return first and soon and self._may_skip_touch()

    def reset_tokens(self) -> None:
        for protocol in self.protocols.values():
            protocol.token.reset()

    def wipe(self) -> None:
        """Forget everything but the attestation: CTAP reset, and the admin application's."""
        if "reset-wrong-order" in self.platform.defects and self.persistent.usable:
            self.persistent.drop_key()
            self.residents.remove_all()
        self.persistent.renew()
        self._sweep()
        self.tries_now = TRIES_PER_BOOT
        for protocol in self.protocols.values():
            protocol.regenerate()
            protocol.token.reset()

    def _sweep(self) -> None:
        self.residents.sweep()
        largeblobs.sweep(self)
        # Last, because its presence is what makes a boot sweep.
        self.persistent.remove_stale_keys()


def _members(data: bytes) -> Members:
    """Decode the parameter map of a request.

    :raises StatusError: INVALID_CBOR, or CBOR_UNEXPECTED_TYPE if it is not a map.
    """
    try:
        members = cbor.decode(data)
    except cbor.CborError:
        raise StatusError(Status.INVALID_CBOR) from None
    if type(members) is not dict:
        raise StatusError(Status.CBOR_UNEXPECTED_TYPE)
    return members


_RESET = 0x07
_ALWAYS = {_RESET, 0x0B}
_CONTINUING = {0x08, 0x0A, 0x0C}
_WITH_PARAMETERS: dict[int, Method] = {
    0x01: makecredential.make_credential,
    0x02: getassertion.get_assertion,
    0x06: clientpin.client_pin,
    0x0A: credmgmt.credential_management,
    0x0C: largeblobs.large_blobs,
    0x0D: config.authenticator_config,
}
_WITHOUT_PARAMETERS: dict[int, Callable[[Authenticator], Result]] = {
    0x04: Authenticator.get_info,
    _RESET: Authenticator.reset,
    0x08: getassertion.get_next_assertion,
    0x0B: Authenticator.selection,
}
