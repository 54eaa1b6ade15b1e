"""The persistent state of the FIDO2 application, and the one write that commits each change of it.

Files on the internal file system:

    fido/sec/state          one record with all small members, replaced as a whole (atomic in littlefs)
    fido/sec/kek.<epoch>    the key-encryption key; the state says which epoch is the valid one
    fido/sec/00, fido/x5c/00    the attestation key and certificate: written in the factory only
    fido/rk/...             resident credentials, each with the epoch it was made in

A reset writes a key of a new epoch and then the state that names it: that second write is the reset. What
belongs to another epoch does not exist any more and is swept, now or at the next boot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from harness.api import Damaged, records
from harness_fido2.twin import split_state
from harness_fido2.twin.features import INTERNAL, TRIES
from harness_fido2.twin.state import State
from harness_fido2.twin.status import Status, StatusError

if TYPE_CHECKING:
    from harness.api import Platform, Store

CONFIG_ERROR = 0x20
"""The init status bit that says that persistent data of an application cannot be used."""
DIRECTORY = "fido/sec"
STATE_PATH = f"{DIRECTORY}/state"
CHANGE_PATH = f"{DIRECTORY}/change"
"""Where a defect notes a change of the PIN."""
_FORMAT = 1
SCARCE_BLOCKS = 120
"""With fewer free blocks a defect makes room for the state before it writes it."""
SAVED_EVERY = 8
"""The defect that keeps the signature counter in RAM saves it after this number of uses."""

WRITES = 4
"""How often the defect writes each change of the state."""

_KEYS = {number: member.name for number, member in enumerate(fields(State), 2)}
"""The number of each member in the record; 1 is the format."""


def _encode(state: State) -> bytes:
    return records.seal({1: _FORMAT} | {key: getattr(state, name) for key, name in _KEYS.items()})


def kek_path(epoch: bytes) -> str:
    return f"{DIRECTORY}/kek.{epoch.hex()}"


def initialise(platform: Platform) -> None:
    """The first state of a key: the factory's work, or that of a firmware that has just formatted it."""
    PersistentState(platform, new=True).renew()


def age_counter(store: Store, bits: int) -> int:
    """Set the signature counter of a key without power to 2 ** bits - 1, or to the next number that ends so.

    It is written as a login writes it. A counter of 32 bits cannot pass 2 ** 32, so that its highest bit is what
    changes next there.

    :raises Damaged: there is no state.
    """
    content = records.read(store, STATE_PATH)
    if content is None:
        raise Damaged
    number = next(key for key, name in _KEYS.items() if name == "counter")
    content[number] |= (1 << min(bits, 31)) - 1
    store.write(STATE_PATH, records.seal(content))
    return int(content[number])


class PersistentState:
    """The state during one boot. If it is missing or damaged, `state` raises; no default replaces it.

    :param new: no state exists yet; `renew` makes it.
    """

    def __init__(self, platform: Platform, new: bool = False):
        self._platform = platform
        self._store = platform.store(INTERNAL)
        self._state: State | None = None
        self._at_boot: State | None = None
        self._kek = b""
        self._ram_tries = TRIES
        self._uses = 0
        if new:
            return
        try:
            self._load()
        except Damaged:
            platform.faults |= CONFIG_ERROR

    @property
    def began_with_pin(self) -> bool:
        """Whether a PIN was set when this boot began (for defects)."""
        return self._at_boot is not None and self._at_boot.pin_hash is not None

    @property
    def usable(self) -> bool:
        return self._state is not None

    @property
    def state(self) -> State:
        """:raises StatusError: INTEGRITY_FAILURE, the state is missing or damaged."""
        if self._state is None:
            raise StatusError(Status.INTEGRITY_FAILURE)
        return self._state

    @property
    def kek(self) -> bytes:
        """The key-encryption key of non-resident credentials."""
        if not self._kek:
            raise StatusError(Status.INTEGRITY_FAILURE)
        return self._kek

    @property
    def tries(self) -> int:
        """PIN tries that are left."""
        if "counter-in-ram" in self._platform.defects:
            return self._ram_tries
        return self.state.tries

    def change(self, **changes: object) -> State:
        """Replace members of the state, durably; when this returns, it has happened."""
        changed = replace(self._to_change(changes), **changes)  # type: ignore[arg-type]
        if "counter-in-ram" in self._platform.defects and "tries" in changes:
            self._ram_tries = changed.tries
            changed = replace(changed, tries=TRIES)
            if changed == self._state:
                return changed
        if "setting-saved-later" in self._platform.defects and changes.keys() == {"always_uv"}:
            self._state = changed
            return changed
        self._write(changed)
        return changed

    def _to_change(self, changes: Mapping[str, object]) -> State:
        """The state that a change is applied to; with two defects a copy as old as the boot."""
        defects, now = self._platform.defects, self.state
        if self._at_boot is None or now.epoch != self._at_boot.epoch:
            return now
        if "pin-from-boot" in defects and changes.keys() == {"counter"} and self.began_with_pin:
            return replace(now, pin_hash=self._at_boot.pin_hash)
        if "minimum-from-boot" in defects and changes.keys() == {"always_uv"}:
            return replace(now, min_pin=self._at_boot.min_pin)
        return now

    def begun_change(self, members: dict[str, Any]) -> dict[str, Any]:
        """Note a change of the PIN before it is made; what an interrupted one has noted goes first (only a defect)."""
        noted = records.read(self._store, CHANGE_PATH)
        if noted is not None:
            return dict(zip(members, noted[1]))
        self._store.write(CHANGE_PATH, records.seal({1: list(members.values())}))
        return members

    def end_change(self) -> None:
        """Remove the note of a change of the PIN."""
        if "old-change-finished" in self._platform.defects:
            self._store.remove(CHANGE_PATH)

    def next_counter(self) -> int:
        """Return a signature counter above every earlier one; it is durable before it is used.

        One counter for all credentials with random increments, so that relying parties cannot compare uses
        (fido-authenticator since 0.4: starts at 1, random positive increments).
        """
        counter = self.state.counter + 1 + self._platform.stream("counter").below(16)
        if "sign-counter-short" in self._platform.defects:
            counter &= 0xFFFF
        if "sign-counter-signed" in self._platform.defects:
            counter &= 0x7FFFFFFF
        if counter > 0xFFFFFFFF:
            raise StatusError(Status.OTHER)
        self._uses += 1
        if "sign-counter-in-ram" in self._platform.defects and self._uses % SAVED_EVERY:
            self._state = replace(self.state, counter=counter)
            return counter
        self.change(counter=counter)
        return counter

    def renew(self, epoch: bytes | None = None) -> None:
        """Start a new epoch: no PIN, a new key, no credentials. The signature counter goes on.

        When this returns the reset is durable; `sweep` removes the rest of the old epoch.
        """
        defects = self._platform.defects
        left = self.stale_keys() if "stale-key-taken-up" in defects else []
        epoch = epoch or (bytes.fromhex(left[0][4:]) if left else self._platform.random("epoch", 8))
        kek = self._platform.random("kek", 32)
        counter = self._state.counter if self._state else 0
        # With the second of these a key that an earlier reset has left counts as written.
        if "reset-key-not-saved" not in defects and not left:
            self._store.write(kek_path(epoch), records.seal({1: _FORMAT, 2: kek}))
        self._write(State(epoch, self._platform.random("secret", 32), counter))
        self._kek = kek
        self._ram_tries = TRIES

    def stale_keys(self) -> list[str]:
        """Key files of other epochs, which a cut in a reset leaves."""
        if self._state is None:
            return []
        valid = f"kek.{self._state.epoch.hex()}"
        return [name for name in self._store.names(DIRECTORY) if name.startswith("kek.") and name != valid]

    def remove_stale_keys(self) -> None:
        for name in self.stale_keys():
            self._store.remove(f"{DIRECTORY}/{name}")

    def drop_key(self) -> None:
        """Delete the valid key (only a defect does that)."""
        self._store.remove(kek_path(self.state.epoch))

    def _write(self, state: State) -> None:
        data = _encode(split_state.without(self._platform.defects, state))
        if "room-made-first" in self._platform.defects and self._store.free_blocks() < SCARCE_BLOCKS:
            self._store.remove(STATE_PATH)
        if "zero-length-file" in self._platform.defects:
            # Replaced by remove and create: for a moment there is none, then an empty one.
            self._store.remove(STATE_PATH)
        for _ in range(WRITES if "state-written-often" in self._platform.defects else 1):
            self._store.write(STATE_PATH, data)
        split_state.write(self._platform.defects, self._store, self._state, state)
        self._state = state

    def _load(self) -> None:
        try:
            state = self._read_state()
            kek = self._read_kek(state)
        except Damaged:
            if self._platform.defects.isdisjoint(("fresh-on-missing-state", "zero-length-file")):
                raise
            # What the defect is: begin from scratch without anybody having asked for it. As in the reports,
            # resident credentials go on working and non-resident ones are dead.
            self.renew(self._left_epoch())
            return
        if "blocked-taken-for-new" in self._platform.defects and state.tries == 0:
            state = replace(state, tries=TRIES)
        self._state, self._kek = state, kek
        self._at_boot = state

    def _left_epoch(self) -> bytes | None:
        """The epoch of a key file that is there without a state."""
        names = [name for name in self._store.names(DIRECTORY) if name.startswith("kek.")]
        return bytes.fromhex(names[0][4:]) if names else None

    def _read_state(self) -> State:
        """:raises Damaged: also if there is none: a provisioned key has one."""
        content = records.read(self._store, STATE_PATH)
        if content is None or content.get(1) != _FORMAT:
            raise Damaged
        try:
            state = State(**{name: content[key] for key, name in _KEYS.items()})
            return split_state.joined(self._platform.defects, self._store, state)
        except (KeyError, TypeError):
            raise Damaged from None

    def _read_kek(self, state: State) -> bytes:
        content = None
        lenient = not self._platform.defects.isdisjoint(("reset-wrong-order", "reset-key-not-saved"))
        try:
            content = records.read(self._store, kek_path(state.epoch))
        except Damaged:
            if not lenient:
                raise
        if content is None:
            if not lenient:
                raise Damaged
            # A firmware with one of these makes a new key where it finds none.
            content = {1: _FORMAT, 2: self._platform.random("kek", 32)}
            self._store.write(kek_path(state.epoch), records.seal(content))
        kek = content.get(2)
        if type(kek) is not bytes or len(kek) != 32:
            raise Damaged
        return kek
