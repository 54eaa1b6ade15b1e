"""What a simulated OpenPGP card keeps: one record for everything small, and who is verified until the power goes.

The files are those of opcard-rs 2d9170d: `persistent-state.cbor`, and one for each private key, PIN and large data
object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from harness.api import Damaged, Store, Stream, records
from harness_openpgp.algorithms import Algorithm, decode, rsa
from harness_openpgp.slots import Slot
from harness_openpgp.twin.status import CONDITIONS, CardError
from harness_openpgp.twin.traits import Traits

STATE, LIFECYCLE, AES_KEY = "persistent-state.cbor", "lifecycle.empty", "aes_key.bin"
KEY_FILES = {
    Slot.SIGN: "signing_key.bin",
    Slot.DECIPHER: "conf_key.bin",
    Slot.AUTHENTICATE: "auth_key.bin",
}
NOT_MADE, GENERATED, IMPORTED = 0, 1, 2
"""Where a key comes from (DO DE)."""
COUNTER_MAX = 0xFFFFFF
FINGERPRINT, DATE = 20, 4
EMPTY = bytes(FINGERPRINT)


@dataclass(frozen=True)
class KeySlot:
    """A slot. :ivar public: the public key, as READ PUBLIC KEY answers it; empty without a key."""

    algorithm: Algorithm
    origin: int = NOT_MADE
    public: bytes = b""
    fingerprint: bytes = EMPTY
    ca: bytes = EMPTY
    date: bytes = bytes(DATE)
    touch: int = 0

    def emptied(self) -> KeySlot:
        """The slot without its key; the flag for touches, and the fingerprint of the authority, stay."""
        return replace(self, origin=NOT_MADE, public=b"", fingerprint=EMPTY, date=bytes(DATE))


@dataclass(frozen=True)
class CardState:
    """Everything small.

    :ivar slots: in the order of `Slot`. :ivar lengths: of PW1, reset code (0: none) and PW3.
    :ivar pw1_lasts: PW1 (81) serves for more than one signature. :ivar sex: "0", not known, as ISO 5218 has it.
    """

    slots: tuple[KeySlot, KeySlot, KeySlot]
    lengths: tuple[int, int, int]
    pw1_lasts: bool = False
    counter: int = 0
    name: bytes = b""
    language: bytes = b""
    sex: int = 0x30

    def slot(self, slot: Slot) -> KeySlot:
        return self.slots[slot.value]

    def with_slot(self, slot: Slot, content: KeySlot) -> CardState:
        first, second, third = (content if one is slot else self.slot(one) for one in Slot)
        return replace(self, slots=(first, second, third))

    def sealed(self) -> bytes:
        slots = [
            [
                one.algorithm.encoded(),
                one.origin,
                one.public,
                one.fingerprint,
                one.ca,
                one.date,
                one.touch,
            ]
            for one in self.slots
        ]
        return records.seal(
            {
                1: slots,
                2: list(self.lengths),
                3: self.pw1_lasts,
                4: self.counter,
                5: self.name,
                6: self.language,
                7: self.sex,
            }
        )


def unsealed(content: dict[int, Any]) -> CardState:
    first, second, third = (KeySlot(decode(one[0]), *one[1:]) for one in content[1])
    user, code, admin = content[2]
    return CardState(
        (first, second, third), (user, code, admin), *(content[number] for number in range(3, 8))
    )


def fresh_state(lengths: tuple[int, int, int], traits: Traits) -> CardState:
    """The state of a card that leaves the factory: RSA keys of 2,048 bits are to come."""
    empty = KeySlot(rsa(2048))
    return CardState((empty, empty, empty), lengths, language=traits.language, sex=traits.sex)


def age_counter(store: Store, bits: int) -> dict[str, int]:
    """Set the signature counter of a card without power to 2 ** bits - 1, or to the next number that ends so.

    Where that is beyond the three bytes that it has, and where there is no state, nothing is changed.

    :returns: "signature counter" and what it is now; nothing without a state.
    """
    data = store.read(STATE)
    if not data:
        return {}
    content = records.unseal(data)
    wanted = content[4] | (1 << bits) - 1
    if wanted <= COUNTER_MAX:
        content[4] = wanted
        store.write(STATE, records.seal(content))
    return {"signature counter": int(content[4])}


class CardFiles(Protocol):
    """The files of one boot; `harness_cards.files.Files` is one. All methods raise PowerLost and StoreDamaged."""

    def read(self, name: str) -> bytes | None: ...

    def names(self) -> list[str]: ...

    def write(self, name: str, content: bytes) -> None: ...

    def write_in_place(self, name: str, content: bytes) -> None: ...

    def remove(self, name: str) -> None: ...

    def change(self, files: Mapping[str, bytes | None], *, wipe: bool = False) -> None: ...


class Services(Protocol):
    """What the application needs of the device that it runs on."""

    def random(self, purpose: str, count: int) -> bytes: ...

    def stream(self, purpose: str) -> Stream: ...

    def work(self, duration_us: int) -> None: ...


@dataclass
class Session:
    """What the loss of power, or a SELECT of the application, ends.

    :ivar user: the key that PW1 unlocks, while it is verified as 81 or 82; `admin` likewise PW3.
    :ivar sign: verified as 81. :ivar other: verified as 82.
    :ivar occurrence: of 7F21, chosen by SELECT DATA.
    :ivar swapped: MANAGE SECURITY ENVIRONMENT: use of a key -> the slot that serves for it.
    """

    user: bytes = b""
    admin: bytes = b""
    sign: bool = False
    other: bool = False
    occurrence: int = 0
    swapped: dict[Slot, Slot] = field(default_factory=dict)


@dataclass
class Card:
    """One boot of the application.

    :ivar serial: four bytes. :ivar ram_tries: tries that a defect keeps in RAM. :ivar later: a signature counter
        that a defect stores with the next command.
    """

    files: CardFiles
    services: Services
    traits: Traits
    serial: bytes
    session: Session = field(default_factory=Session)
    ram_tries: dict[str, int] = field(default_factory=dict)
    later: int | None = None
    _state: CardState | None = None

    def has(self, defect: str) -> bool:
        return defect in self.traits.defects

    @property
    def stored(self) -> CardState | None:
        """The state on flash; None if there is none that can be read."""
        if self._state is None:
            data = self.files.read(STATE)
            try:
                self._state = unsealed(records.unseal(data)) if data else None
            except (Damaged, ValueError, KeyError, TypeError):
                return None
        return self._state

    @property
    def state(self) -> CardState:
        """:raises CardError: there is none: only TERMINATE and ACTIVATE help."""
        found = self.stored
        if found is None:
            raise CardError(CONDITIONS)
        return found

    def save(self, state: CardState) -> None:
        """Store the state, as every setter does."""
        self.commit({STATE: state.sealed()})

    def commit(self, files: Mapping[str, bytes | None], *, pieces: str = "") -> None:
        """Write files (None: remove).

        :param pieces: the defect with which they are written one after the other, in their order; without it they
            change together or not at all.
        """
        self._state = None
        if (pieces and self.has(pieces)) or len(files) == 1:
            self.in_pieces(files)
        else:
            self.files.change(files)

    def in_pieces(self, files: Mapping[str, bytes | None]) -> None:
        """Write files one after the other, in their order."""
        self._state = None
        for name, content in files.items():
            if content is None:
                self.files.remove(name)
            else:
                self.files.write(name, content)

    def wipe(self, files: Mapping[str, bytes | None]) -> None:
        """Remove everything and write these files, as one change."""
        self._state = None
        self.files.change(files, wipe=True)

    def read_anew(self) -> None:
        """Forget the state that was read: something else may have changed the files."""
        self._state = None

    def end_session(self) -> None:
        """Nobody is verified any more."""
        self.session = Session()

    def remove(self, names: Iterable[str]) -> None:
        """Remove files one after the other."""
        self.in_pieces(dict.fromkeys(names))
