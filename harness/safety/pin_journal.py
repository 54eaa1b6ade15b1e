"""The journal of PINs: each new one is written ahead, encrypted, before it is sent to a key."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.atomic_file import append_durably, make_private, read_lines
from harness.base.errors import CallerError
from harness.base.shape import DamagedFile, misfit
from harness.evidence.ledger import now, state_dir

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

    from harness.model.pin import PinReference

KEY_VARIABLE = "KEYHARNESS_PIN_KEY"


@dataclass(frozen=True)
class PinRecord:
    """A PIN that was about to be sent.

    :ivar reference: the name of the PIN; "" for the FIDO2 PIN.
    """

    which: str
    pin: str
    at: str
    reference: str = ""


class PinJournal:
    """The PINs that were ever about to be given to one key, encrypted, oldest first.

    :param identity: the key's identity.
    """

    def __init__(self, identity: str):
        readable = re.sub(r"[^a-zA-Z0-9._-]+", "-", identity)[:80]
        self.path = state_dir() / "pins" / f"{readable}.jsonl"

    def write_ahead(self, which: str, pin: str, reference: PinReference) -> None:
        """Put a PIN on the disk before the change is sent.

        :raises RigError: it could not be written: then nothing may be sent.
        """
        fields = (which, pin) if is_main(reference) else (which, pin, reference.name)
        token = _cipher().encrypt("\0".join(fields).encode()).decode()
        append_durably(self.path, {"at": now(), "token": token})

    def records(self, reference: PinReference | None = None) -> list[PinRecord]:
        """What was written ahead, oldest first.

        :param reference: only of this PIN; None is of all.
        :raises CallerError: it was encrypted with another key.
        """
        from cryptography.fernet import InvalidToken

        found = []
        for row in read_lines(self.path):
            wrong = misfit(row, {"at": str, "token": str})
            if wrong or not row["token"].isascii():
                # A PIN that is left out could be the one in force, and each wrong one costs a try.
                raise DamagedFile(
                    str(self.path),
                    found=wrong or "a token that is no base64",
                    expected="a line with the time and the encrypted PIN",
                    mend="bring the file back from a copy; remove the line only if you know the PIN of the key",
                )
            try:
                text = _cipher().decrypt(row["token"].encode()).decode()
            except InvalidToken:
                raise CallerError(
                    f"{self.path}",
                    found="PINs that another key encrypted",
                    expected=f"the key that was in ${KEY_VARIABLE} or in {_key_file()} then",
                    mend="give that key again: without it nobody knows the PIN",
                ) from None
            # The first version wrote two fields, and FIDO2 PINs only. What a KDF makes of a PIN may hold zeros.
            which, _, rest = text.partition("\0")
            pin, _, name = rest.rpartition("\0") if "\0" in rest else (rest, "", "")
            found.append(PinRecord(which, pin, row["at"], name))
        wanted = None if reference is None else "" if is_main(reference) else reference.name
        return found if wanted is None else [one for one in found if one.reference == wanted]


def _key_file() -> Path:
    return state_dir() / "pin.key"


def _cipher() -> Fernet:
    from cryptography.fernet import Fernet

    try:
        if key := os.environ.get(KEY_VARIABLE):
            return Fernet(key)
        return Fernet(_key_from_file())
    except ValueError:
        raise CallerError(
            KEY_VARIABLE,
            found="no key",
            expected="32 bytes in URL-safe base64",
            mend="python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'",
        ) from None


def _key_from_file() -> bytes:
    from cryptography.fernet import Fernet

    path = _key_file()
    if not path.exists():
        make_private(path.parent)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        try:
            # Of two that make one at the same time the first wins: the other's would lock its PINs away.
            os.link(beside, path)
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    check_secret(path)
    return path.read_bytes()


def is_main(reference: PinReference) -> bool:
    """Is it the PIN that has the plain variable, and that journals of the first version are about?"""
    return reference.tries == "pin_tries"


def check_secret(path: Path) -> None:
    """:raises CallerError: it is not there, or others than its owner may read it."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise CallerError(f"{path}", found=error.strerror, expected="a file of secrets") from None
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise CallerError(
            f"{path}",
            found=f"mode {stat.S_IMODE(mode):04o}",
            expected="mode 0600: a secret that others can read is none",
            mend=f"chmod 600 {path}",
        )
