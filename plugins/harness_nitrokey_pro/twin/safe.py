"""The password safe: sixteen entries on one page, encrypted with a key that only the card decrypts (pwd-safe/*.c)."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from harness_nitrokey_pro.reports import SAFE_LOGIN, SAFE_NAME, SAFE_PASSWORD
from harness_nitrokey_pro.twin.layout import SAFE
from harness_nitrokey_pro.twin.pages import Pages

ENTRIES, ENTRY, USED = 16, 64, 0xA5
IN_PLACE = "safe-page-without-backup"


class Safe:
    """The safe of one boot. :ivar key: while it is open."""

    def __init__(self, pages: Pages):
        self._pages = pages
        self.key: bytes | None = None
        self.announced: tuple[int, bytes, bytes] | None = None
        """Slot, name and password of the first of two reports; kept in RAM only."""

    def close(self) -> None:
        self.key = self.announced = None

    def entry(self, slot: int) -> tuple[bytes, bytes, bytes] | None:
        """Name, password and login; None if the entry is not used, or cannot be decrypted."""
        stored = self._pages.read(SAFE)[ENTRY * slot :][:ENTRY]
        # With one key in 256 an erased entry would decrypt to a used one.
        if stored == b"\xff" * ENTRY:
            return None
        content = self._crypt(stored, encrypt=False)
        if content[0] != USED:
            return None
        name, rest = content[1 : 1 + SAFE_NAME], content[1 + SAFE_NAME :]
        return name, rest[:SAFE_PASSWORD], rest[SAFE_PASSWORD:][:SAFE_LOGIN]

    def put(self, slot: int, name: bytes, password: bytes, login: bytes) -> None:
        """Write an entry."""
        content = bytes([USED]) + name.ljust(SAFE_NAME, b"\0") + password.ljust(SAFE_PASSWORD, b"\0")
        self._store(slot, self._crypt(content + login.ljust(SAFE_LOGIN, b"\0"), encrypt=True))

    def erase(self, slot: int) -> None:
        self._store(slot, self._crypt(bytes(ENTRY), encrypt=True))

    def _store(self, slot: int, content: bytes) -> None:
        page = self._pages.read(SAFE)
        page = page[: ENTRY * slot] + content + page[ENTRY * (slot + 1) :]
        if self._pages.has(IN_PLACE):
            self._pages.rewrite(SAFE, page)
        else:
            self._pages.commit({SAFE: page})

    def _crypt(self, content: bytes, *, encrypt: bool) -> bytes:
        assert self.key is not None, "the safe is open"
        cipher = Cipher(algorithms.AES(self.key), modes.ECB())
        done = cipher.encryptor() if encrypt else cipher.decryptor()
        return done.update(content) + done.finalize()
