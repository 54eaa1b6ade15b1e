"""A login with two ways in, as a system with `sufficient` modules has it: its logic, with a real key and a real hash.

The key answers a fresh challenge, as OpenSSH and PAM modules for keys ask it to; the password is compared with its
hash. The first way that succeeds lets its user in; none that fails keeps the other from being tried.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from harness_openpgp.public_keys import PublicKey

Answer = Callable[[bytes], bytes]


class Login:
    """What a host stores of a user. :ivar seen: what it was shown in each login, as somebody who looks on sees it."""

    def __init__(self, key: PublicKey, password: str):
        self._key, self._salt = key, b"salt of this user"
        self._hash = self._hashed(password)
        self._count = 0
        self.seen: list[bytes] = []

    def _hashed(self, password: str) -> bytes:
        return hashlib.pbkdf2_hmac("sha256", password.encode(), self._salt, 10_000)

    def enters(self, key: Answer | None = None, password: str | None = None) -> bool:
        """May the user enter? :param key: None: the key is not there. :param password: None: none is typed."""
        self._count += 1
        challenge = hashlib.sha256(b"challenge %d" % self._count).digest()
        if key is not None:
            answer = key(challenge)
            self.seen.append(answer)
            if self._key.verifies(answer, challenge):
                return True
        if password is None:
            return False
        self.seen.append(password.encode())
        return hmac.compare_digest(self._hashed(password), self._hash)
