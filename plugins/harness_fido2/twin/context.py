"""The interface of the FIDO2 application that its commands use, during one boot.

Commands are written against this protocol. The application dispatches to them, and they never import it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol

from harness.api import Step, Touched

if TYPE_CHECKING:
    from harness.api import Platform
    from harness_fido2.twin.attestation import Attestation
    from harness_fido2.twin.credentials import Credential, ResidentCredentials
    from harness_fido2.twin.features import Features
    from harness_fido2.twin.persistent_state import PersistentState
    from harness_fido2.twin.pinproto import Permission, PinProtocol

Members = dict[Any, Any]
"""The parameter map of a request, or the map of a response (CTAP 2.1, section 8)."""
Result = Generator[Step, Touched | None, Members | None]
"""A command that runs: it yields while it waits, and returns its response; None stands for an empty one."""


class Context(Protocol):
    """The application as its commands see it.

    :ivar tries_now: PIN tries that are left in this boot.
    :ivar pending: what a stateful command left for its 'next' command (section 6). Any other command drops it.
    """

    platform: Platform
    features: Features
    persistent: PersistentState
    residents: ResidentCredentials
    tries_now: int
    pending: object

    @property
    def attestation(self) -> Attestation | None:
        """Attestation key and certificate; None if they are missing or damaged."""

    @property
    def aaguid(self) -> bytes:
        """16 bytes, from the attestation certificate."""

    def protocol(self, version: int) -> PinProtocol:
        """:raises StatusError: INVALID_PARAMETER, there is no such protocol."""

    def authorised(
        self, version: int, message: bytes, parameter: bytes, permission: Permission
    ) -> PinProtocol:
        """Verify a pinUvAuthParam, and that its token has the permission.

        :raises StatusError: PIN_AUTH_INVALID, INVALID_PARAMETER.
        """

    def find(self, identity: bytes, rp_hash: bytes) -> Credential | None:
        """The credential of this RP with this id, resident or not."""

    def insertion_counts(self) -> bool:
        """Tell whether the insertion of the key counts as the touch of this assertion, the first of the boot."""

    def reset_tokens(self) -> None:
        """Give every PIN protocol a new token that is not in use."""
