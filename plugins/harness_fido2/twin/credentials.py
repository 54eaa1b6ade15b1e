"""Credentials: the content of their ids, and the resident ones on flash.

A non-resident credential is its id: its private key, encrypted under the key-encryption key and bound to the
RP. A resident one is one file, fido/rk/<rp8hex>.<cred8hex>, written in one littlefs commit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.api import Damaged, StoreDamaged, StoreFull, cbor, records
from harness_fido2.twin import crypto
from harness_fido2.twin.features import ID_MAX, INTERNAL
from harness_fido2.twin.status import Status, StatusError

if TYPE_CHECKING:
    from harness.api import Platform
    from harness_fido2.twin.persistent_state import PersistentState

DIRECTORY = "fido/rk"
NAMES, UNFINISHED = "fido/names", "fido/new"
"""Where two defects put the users' names, and credentials that are being written."""
SPARE_BLOCKS = 24
"""Blocks that resident credentials leave free, so that state, config and a reset can always be written."""
NEEDED_TO_DELETE = 120
"""Free blocks without which a defect deletes nothing."""
RESIDENT_ID_SIZE = 32


@dataclass(frozen=True)
class Credential:
    """A key pair and its permitted uses.

    :ivar order: rises with each credential that is registered.
    :ivar user: its id; for a resident credential its names too.
    """

    id: bytes
    algorithm: int
    key: bytes
    protect: int = 1
    hmac_secret: bool = False
    payment: bool = False
    resident: bool = False
    rp_id: str = ""
    user: dict[str, Any] = field(default_factory=dict)
    order: int = 0
    large_blob_key: bytes | None = None
    blob: bytes = b""

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"id": self.id, "type": "public-key"}


def seal_id(platform: Platform, kek: bytes, rp_hash: bytes, credential: Credential) -> bytes:
    """The id of a non-resident credential: 12 bytes of nonce, its content encrypted, 16 bytes of tag."""
    content = {
        1: credential.algorithm,
        2: credential.key,
        3: credential.protect,
        4: credential.hmac_secret,
        5: credential.payment,
    }
    return crypto.wrap(kek, platform.random("credential nonce", 12), cbor.encode(content), rp_hash)


def open_id(kek: bytes, rp_hash: bytes, identity: bytes) -> Credential | None:
    """Decrypt the credential in an id; None if the id is of another key or RP."""
    if len(identity) > ID_MAX:
        return None
    text = crypto.unwrap(kek, identity, rp_hash)
    if text is None:
        return None
    content = cbor.decode(text)
    return Credential(identity, content[1], content[2], content[3], content[4], content[5])


def _encode(epoch: bytes, credential: Credential) -> bytes:
    members = {
        1: epoch,
        2: credential.id,
        3: credential.rp_id,
        4: credential.user,
        5: credential.algorithm,
        6: credential.key,
        7: credential.protect,
        8: credential.hmac_secret,
        9: credential.order,
        10: credential.large_blob_key,
        11: credential.blob,
        12: credential.payment,
    }
    return records.seal(members)


@lru_cache(maxsize=2048)
def _parse(data: bytes) -> tuple[bytes, Credential]:
    """Decode the epoch and the credential in a file.

    :raises Damaged: the file holds no credential.
    """
    content = records.unseal(data)
    try:
        return content[1], Credential(
            content[2],
            content[5],
            content[6],
            content[7],
            content[8],
            content[12],
            True,
            content[3],
            content[4],
            content[9],
            content[10],
            content[11],
        )
    except KeyError:
        raise Damaged from None


class ResidentCredentials:
    """The resident credentials during one boot.

    Of several for one RP and user only the newest counts. A cut between writing the new one and removing the old
    one leaves both.
    """

    def __init__(self, platform: Platform, persistent: PersistentState, directory: str = DIRECTORY):
        self._platform = platform
        self._store = platform.store(INTERNAL)
        self._directory = directory
        self._persistent = persistent
        self._known: dict[str, Credential | None] | None = None
        self._added: list[str] = []
        """The last credential of this boot, which a defect takes for its only slot."""

    def all(self) -> list[Credential]:
        """Every credential, the newest first."""
        return self._newest(list(self._files()))

    def of(self, rp_hash: bytes) -> list[Credential]:
        """The credentials of an RP, the newest first."""
        prefix = rp_hash[:4].hex() if "rp-by-prefix" in self._platform.defects else rp_hash[:8].hex() + "."
        return self._newest([name for name in self._files() if name.startswith(prefix)])

    def find(self, identity: bytes, rp_hash: bytes | None = None) -> Credential | None:
        """The credential with this id, of this RP or of any."""
        if len(identity) != RESIDENT_ID_SIZE:
            return None
        found = self.of(rp_hash) if rp_hash is not None else self.all()
        return next((credential for credential in found if credential.id == identity), None)

    def count(self) -> int:
        return len(self.all())

    def room(self, limit: int) -> int:
        """How many more credentials fit, as far as that can be said beforehand."""
        # A credential takes a block or two, and every third a new pair of metadata blocks.
        free = self._store.free_blocks() - SPARE_BLOCKS
        return max(0, min(limit - self.count(), free // 2))

    def add(self, credential: Credential, limit: int) -> None:
        """Store a new credential in the place of an older one for the same RP and user.

        :raises StatusError: KEY_STORE_FULL.
        """
        defects = self._platform.defects
        by_prefix = "account-by-prefix" in defects
        older = [
            name
            for name, known in self._files().items()
            if known and _same_account(known, credential, by_prefix=by_prefix)
        ]
        if not older and self.count() >= limit:
            self._at_limit(credential)
        if older and "enrolment-drops-secret" in defects:
            credential = replace(credential, hmac_secret=False)
        if "slot-from-boot" in defects and self._persistent.began_with_pin:
            older += [name for name in self._added if name in self._files()]
            self._added = [self._name(credential)]
        deletes_first = "overwrite-deletes-first" in defects
        for name in older if deletes_first else ():
            self._remove(name)
        self._write(self._name(credential), credential)
        for name in () if deletes_first else older:
            self._remove(name)

    def _at_limit(self, credential: Credential) -> None:
        """Refuse a credential for which there is no place. Defects do something else before, or instead.

        :raises StatusError: KEY_STORE_FULL.
        """
        if "full-replaces-oldest" in self._platform.defects:
            self._remove(self._name(self.all()[-1]))
            return
        if "full-checked-late" in self._platform.defects:
            self._write(self._name(credential), credential)
            self._remove(self._name(credential))
        raise StatusError(Status.KEY_STORE_FULL)

    def update(self, credential: Credential) -> None:
        """Replace the stored credential.

        :raises StatusError: KEY_STORE_FULL.
        """
        if "rename-drops-protection" in self._platform.defects:
            credential = replace(credential, protect=1)
        if "rename-drops-blob-key" in self._platform.defects:
            credential = replace(credential, large_blob_key=None)
        self._write(self._name(credential), credential)
        if "rename-leaks" in self._platform.defects:
            number = len(self._store.names(UNFINISHED))
            self._store.make_directory(UNFINISHED)
            self._store.write(f"{UNFINISHED}/{number}", _encode(self._persistent.state.epoch, credential))

    def remove(self, credential: Credential) -> None:
        """Remove a credential, older ones of the same account first: they must not come back."""
        name = self._name(credential)
        if "delete-needs-room" in self._platform.defects and self._store.free_blocks() < NEEDED_TO_DELETE:
            raise StatusError(Status.KEY_STORE_FULL)
        shadows = "shadow-comes-back" in self._platform.defects
        for other, known in [] if shadows else list(self._files().items()):
            if known and other != name and _same_account(known, credential):
                self._remove(other)
        self._remove(name)

    def sweep(self) -> None:
        """Remove files that hold no valid credential: empty ones, and those of other epochs."""
        self._known = None
        for name in self._store.names(self._directory):
            try:
                found = self._content(name)
            except Damaged:
                continue
            if found is None or found[0] != self._persistent.state.epoch:
                self._store.remove(f"{self._directory}/{name}")

    def remove_all(self) -> None:
        for name in self._store.names(self._directory):
            self._store.remove(f"{self._directory}/{name}")
        self._known = None

    def _files(self) -> dict[str, Credential | None]:
        """The credential in each file; None if the file is empty, damaged or of another epoch.

        The first look of a boot also removes what a cut may have left beside a credential: an empty file, or
        an older credential of the same account. Damaged files stay, as evidence.
        """
        if self._known is None:
            self._known = {name: self._read(name) for name in self._store.names(self._directory)}
            living = {self._name(credential) for credential in self.all()}
            swept = {} if "shadow-comes-back" in self._platform.defects else dict(self._known)
            for name, known in list(swept.items()):
                if name not in living and (known is not None or self._is_empty(name)):
                    self._remove(name)
        return self._known

    def _content(self, name: str) -> tuple[bytes, Credential] | None:
        """:raises Damaged: the file cannot be read."""
        try:
            data = self._store.read(f"{self._directory}/{name}")
        except StoreDamaged:
            raise Damaged from None
        return _parse(data) if data else None

    def _read(self, name: str) -> Credential | None:
        try:
            found = self._content(name)
        except Damaged:
            return None
        if found is None and "zero-length-file" in self._platform.defects:
            raise StatusError(Status.OTHER)
        known = found[1] if found and found[0] == self._persistent.state.epoch else None
        if known and "protection-forgotten" in self._platform.defects:
            known = replace(known, protect=1)
        return self._named(name, known) if known and "names-apart" in self._platform.defects else known

    def _is_empty(self, name: str) -> bool:
        try:
            return self._content(name) is None
        except Damaged:
            return False

    def _newest(self, names: list[str]) -> list[Credential]:
        found = [known for name in names if (known := self._files()[name]) is not None]
        found.sort(key=lambda credential: credential.order, reverse=True)
        seen: set[tuple[str, bytes]] = set()
        first = []
        for credential in found:
            account = (credential.rp_id, credential.user["id"])
            if account not in seen:
                seen.add(account)
                first.append(credential)
        return first

    def _write(self, name: str, credential: Credential) -> None:
        data = _encode(self._persistent.state.epoch, credential)
        if self._store.free_blocks() < SPARE_BLOCKS + len(data) // 256 + 1:
            raise StatusError(Status.KEY_STORE_FULL)
        try:
            self._put(name, data, credential)
        except StoreFull:
            raise StatusError(Status.KEY_STORE_FULL) from None
        self._files()[name] = credential

    def _put(self, name: str, data: bytes, credential: Credential) -> None:
        """One atomic write; several with a defect."""
        path, defects = f"{self._directory}/{name}", self._platform.defects
        if "credential-in-place" in defects:
            self._store.write_in_place(path, data)
        elif "protection-after-credential" in defects:
            self._store.write(path, _encode(self._persistent.state.epoch, replace(credential, protect=1)))
            self._store.write(path, data)
        elif "create-leaks" in defects:
            # What a cut leaves here nobody ever looks for.
            self._store.make_directory(UNFINISHED)
            self._store.write(f"{UNFINISHED}/{name}", data)
            self._store.rename(f"{UNFINISHED}/{name}", path)
        elif "names-apart" in defects:
            bare = replace(credential, user={"id": credential.user["id"]})
            self._store.write(path, _encode(self._persistent.state.epoch, bare))
            self._store.make_directory(NAMES)
            self._store.write(f"{NAMES}/{name}", records.seal({1: credential.user}))
        else:
            self._store.write(path, data)

    def _named(self, name: str, credential: Credential) -> Credential:
        """With the user's names, which the defect keeps apart."""
        content = records.read(self._store, f"{NAMES}/{name}")
        return replace(credential, user=content[1]) if content else credential

    def _remove(self, name: str) -> None:
        self._store.remove(f"{self._directory}/{name}")
        self._files().pop(name, None)

    @staticmethod
    def _name(credential: Credential) -> str:
        return _file_name(credential.rp_id, credential.id)


# A full key asks for a hundred names at each boot.
@lru_cache(maxsize=2048)
def _file_name(rp_id: str, identity: bytes) -> str:
    rp_hash, id_hash = crypto.sha256(rp_id.encode()), crypto.sha256(identity)
    return f"{rp_hash[:8].hex()}.{id_hash[:8].hex()}"


def _same_account(one: Credential, other: Credential, *, by_prefix: bool = False) -> bool:
    """:param by_prefix: the defect that compares only the beginnings of the RPs' hashes."""
    if one.user["id"] != other.user["id"]:
        return False
    if by_prefix:
        first, second = (crypto.sha256(each.rp_id.encode())[:4] for each in (one, other))
        return first == second
    return one.rp_id == other.rp_id
