"""The user page: key of the safe, firmware password. Each change rewrites the page."""

from __future__ import annotations

import hashlib

from harness_nitrokey_pro.twin.layout import (
    HASH,
    KEY_BYTES,
    SAFE_KEY,
    SAFE_MASK,
    SALT,
    SALT_BYTES,
    USER,
)
from harness_nitrokey_pro.twin.pages import Pages

DEFAULT_FIRMWARE_PASSWORD = b"12345678"
IN_PLACE = "user-page-without-backup"
_ROUNDS = 10


def hashed(password: bytes, salt: bytes) -> bytes:
    """PBKDF2 of a firmware password; the number of rounds is of no account here."""
    return hashlib.pbkdf2_hmac("sha256", password, salt, _ROUNDS, KEY_BYTES)


class UserPage:
    """Fields of the user page."""

    def __init__(self, pages: Pages):
        self._pages = pages

    @property
    def content(self) -> bytes:
        return self._pages.read(USER)

    def with_fields(self, fields: dict[int, bytes]) -> bytes:
        """The page with other contents. :param fields: offset -> content."""
        content = self.content
        for offset, data in fields.items():
            content = content[:offset] + data + content[offset + len(data) :]
        return content

    def change(self, fields: dict[int, bytes]) -> None:
        """Rewrite the page with other fields."""
        content = self.with_fields(fields)
        if self._pages.has(IN_PLACE):
            self._pages.rewrite(USER, content)
        else:
            self._pages.commit({USER: content})

    @property
    def safe_key(self) -> bytes | None:
        """The safe's key as the card encrypted it; None if there is none."""
        stored, mask = self.content[SAFE_KEY:][:KEY_BYTES], self.content[SAFE_MASK:][:KEY_BYTES]
        if stored == b"\xff" * KEY_BYTES:
            return None
        return bytes(one ^ other for one, other in zip(stored, mask))

    @staticmethod
    def safe_fields(key: bytes, mask: bytes) -> dict[int, bytes]:
        return {SAFE_MASK: mask, SAFE_KEY: bytes(one ^ other for one, other in zip(key, mask))}

    def opens_bootloader(self, password: bytes) -> bool:
        """Is it the firmware password?"""
        return hashed(password, self.content[SALT:][:SALT_BYTES]) == self.content[HASH:][:KEY_BYTES]

    def set_password(self, password: bytes, salt: bytes) -> None:
        """Set the firmware password."""
        content = hashed(password, salt)
        if self._pages.has("update-password-in-two"):
            self.change({SALT: salt})
            self.change({HASH: content})
        else:
            self.change({SALT: salt, HASH: content})

    @staticmethod
    def password_fields(password: bytes, salt: bytes) -> dict[int, bytes]:
        return {HASH: hashed(password, salt), SALT: salt}
