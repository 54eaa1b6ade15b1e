"""PIN/UV auth protocols one and two, the authenticator's side, and the pinUvAuthToken.

CTAP 2.1, sections 6.5.4 to 6.5.7.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Any

from harness_fido2.twin import crypto
from harness_fido2.twin.status import Status, StatusError

if TYPE_CHECKING:
    from harness.api import Platform

INITIAL_USE_US = 30_000_000
"""A token that is not used within this time after it was issued expires (6.5.2.1, USB)."""
USE_MAX_US = 600_000_000
"""A token lives ten minutes at most (6.5.2.1)."""
ECDH_US = 25_000


class Permission(IntFlag):
    """Permissions of a pinUvAuthToken (6.5.5.7)."""

    MAKE_CREDENTIAL = 0x01
    GET_ASSERTION = 0x02
    CREDENTIAL_MANAGEMENT = 0x04
    BIO_ENROLLMENT = 0x08
    LARGE_BLOB_WRITE = 0x10
    AUTHENTICATOR_CONFIG = 0x20


class PinProtocol(ABC):
    """One protocol with its key agreement key and its token; both are new at every boot."""

    version: int

    def __init__(self, platform: Platform):
        self._platform = platform
        self._key = b""
        self.token = Token(platform)

    def regenerate(self) -> None:
        """Drop the key agreement key; a new one is made when it is needed."""
        self._key = b""

    @property
    def key(self) -> bytes:
        if not self._key:
            self._key = crypto.new_key(crypto.ES256, self._platform.stream(f"key agreement {self.version}"))
        return self._key

    def public_key(self) -> dict[int, Any]:
        """The key agreement key as COSE; its algorithm is ECDH-ES+HKDF-256 although no such thing is done."""
        return {**crypto.cose_map(crypto.ES256, self.key), 3: -25}

    def decapsulate(self, peer: dict[Any, Any]) -> bytes:
        """The shared secret with the platform's key.

        :raises StatusError: INVALID_PARAMETER, the key is not on the curve; MISSING_PARAMETER, it lacks a part.
        """
        try:
            parts = [peer[member] for member in (1, 3, -1, -2, -3)]
        except KeyError:
            raise StatusError(Status.MISSING_PARAMETER) from None
        kind, algorithm, curve, x, y = parts
        if (kind, algorithm, curve) != (2, -25, 1):
            raise StatusError(Status.INVALID_PARAMETER)
        if type(x) is not bytes or type(y) is not bytes or len(x) != 32 or len(y) != 32:
            raise StatusError(Status.INVALID_PARAMETER)
        self._platform.work(ECDH_US)
        try:
            return self.derive(crypto.ecdh(self.key, x, y))
        except ValueError:
            raise StatusError(Status.INVALID_PARAMETER) from None

    @abstractmethod
    def derive(self, x: bytes) -> bytes: ...

    @abstractmethod
    def encrypt(self, shared: bytes, text: bytes) -> bytes: ...

    @abstractmethod
    def decrypt(self, shared: bytes, text: bytes) -> bytes | None:
        """None for a length that cannot be."""

    @abstractmethod
    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether a platform that knows `key` has authenticated this message."""


class ProtocolOne(PinProtocol):
    """Protocol one (6.5.6): SHA-256, AES-256-CBC with a zero IV, HMAC cut to 16 bytes."""

    version = 1

    def derive(self, x: bytes) -> bytes:
        return crypto.sha256(x)

    def encrypt(self, shared: bytes, text: bytes) -> bytes:
        return crypto.aes_encrypt(shared, bytes(16), text)

    def decrypt(self, shared: bytes, text: bytes) -> bytes | None:
        if not text or len(text) % 16:
            return None
        return crypto.aes_decrypt(shared, bytes(16), text)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return crypto.same(crypto.hmac256(key, message)[:16], signature)


class ProtocolTwo(PinProtocol):
    """Protocol two (6.5.7): HKDF-SHA-256 into two keys, AES-256-CBC with a random IV, whole HMAC."""

    version = 2

    def derive(self, x: bytes) -> bytes:
        pseudo = crypto.hmac256(bytes(32), x)
        return crypto.hmac256(pseudo, b"CTAP2 HMAC key\x01") + crypto.hmac256(pseudo, b"CTAP2 AES key\x01")

    def encrypt(self, shared: bytes, text: bytes) -> bytes:
        iv = self._platform.random("pin iv", 16)
        return iv + crypto.aes_encrypt(shared[32:], iv, text)

    def decrypt(self, shared: bytes, text: bytes) -> bytes | None:
        if len(text) < 32 or len(text) % 16:
            return None
        return crypto.aes_decrypt(shared[32:], text[:16], text[16:])

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return crypto.same(crypto.hmac256(key[:32], message), signature)


_NOTHING = Permission(0)


@dataclass
class Token:
    """The pinUvAuthToken of one protocol and its state (6.5.2.1).

    :ivar wears: its use changes it, as CTAP 2.1 wants: the first RP binds it, a touch takes its permissions, and it
        expires. Else it stays as it was issued until it is reset.
    """

    platform: Platform
    wears: bool = True
    value: bytes = b""
    permissions: Permission = _NOTHING
    rp_id: str | None = None
    in_use: bool = False
    verified: bool = False
    begun_us: int = 0
    used: bool = False
    serial: int = 0

    def reset(self) -> None:
        """resetPinUvAuthToken: a new value, not in use."""
        self.value = self.platform.random("pin token", 32)
        self.stop()

    def begin(self, permissions: Permission, rp_id: str | None) -> None:
        """beginUsingPinUvAuthToken: the user gave the PIN, which says nothing of his presence."""
        self.permissions, self.rp_id = permissions, rp_id
        self.in_use = self.verified = True
        self.serial += 1
        self.begun_us, self.used = self.platform.now_us, False

    def stop(self) -> None:
        """stopUsingPinUvAuthToken."""
        self.in_use = self.verified = self.used = False
        self.permissions, self.rp_id = _NOTHING, None

    def observe(self) -> None:
        """pinUvAuthTokenUsageTimerObserver, when it matters."""
        age = self.platform.now_us - self.begun_us
        if self.wears and self.in_use and (age > USE_MAX_US or (not self.used and age > INITIAL_USE_US)):
            self.stop()

    def still(self, serial: int) -> bool:
        """Whether the token that was begun as this one is still in use."""
        self.observe()
        return self.in_use and self.serial == serial

    def bind(self, rp_id: str) -> None:
        """Note the RP that it was used for (6.1.2, step 11): from now on it serves no other."""
        if self.wears:
            self.rp_id = rp_id

    def spend(self) -> None:
        """Remove all permissions but large-blob writing, as a test of user presence does (6.1.2, 6.2.2)."""
        if not self.wears:
            return
        self.verified = False
        self.permissions &= Permission.LARGE_BLOB_WRITE
