"""What a suite asks of a key whose firmware can be updated, and what the key's plugin answers for it.

A plugin offers a `FirmwareUpdates` through the hook `keyharness_update_rules`, by the name of its key. The downgrade
suite knows no version, no container and no bootloader but through it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from harness.base.errors import KeyFault
from harness.model.memory import Memory
from harness.model.outcome import Value
from harness.model.rig import Rig
from harness.model.transport import Transports
from harness.twin.image import BoardState

TAKEN, REFUSED = "taken", "refused"
ACCEPTED = "accepted"
"""What `FirmwareUpdates.offer` returns for an image that the bootloader takes."""
UNCHANGED, NEVER_STARTS = "unchanged", "never starts"

Progress = Callable[[str, int, int], None]
"""Told of an update while it runs: (phase, done, total)."""


class UpdateRefused(KeyFault):
    """An update was not carried out, and nothing was lost.

    :ivar by: "host" for a check before anything was sent, "key" for a refusal of the bootloader.
    """

    def __init__(self, what: str, by: str):
        super().__init__(what)
        self.by = by

    def __reduce__(self) -> tuple[object, ...]:
        # It is pickled between processes (worker pool, xdist).
        return (UpdateRefused, (self.what, self.by))


class SlowBoot(KeyFault):
    """The updater stopped waiting for the first boot, and the key came back after that.

    `found` is the number of tries that the first boot took.
    """


class UpdaterKilled(BaseException):
    """The updater is gone in the middle of its work: no handler in the updater may catch this."""


class Data(StrEnum):
    """What an update does to the user's data."""

    KEPT = "kept"
    """All data stay."""
    DELETED = "deleted"
    """Only what the factory put on the key stays."""
    FREE = "free"
    """Nothing is promised; the key can be reset and used."""
    NONE = "none"
    """There is no update."""


@dataclass(frozen=True)
class VersionPair:
    """The rule for a key with version `ours` that is offered version `wanted`.

    :ivar device: name of the key.
    :ivar key: what the bootloader does: TAKEN or REFUSED.
    :ivar host: what the updater does before it sends anything, when it knows the running version.
    """

    device: str
    ours: str
    wanted: str
    key: str
    host: str
    data: Data
    why: str

    @property
    def id(self) -> str:
        return f"{self.ours}-to-{self.wanted}"


class UpdateContainer(Protocol):
    """The file that an updater installs."""

    @property
    def data(self) -> bytes:
        """The whole file."""


@dataclass(frozen=True)
class DamagedContainer:
    """A container that must not be installed.

    :ivar device: name of the key.
    :ivar make: makes the container for the key on a rig.
    :ivar key: what becomes of a key that is sent the image past the updater's checks. UNCHANGED: no byte of its
        flash changes. NEVER_STARTS: the old firmware is gone, as in every update, and the new image does not
        start until a good container completes.
    :ivar only_the_key_sees: no updater can tell before the image has been sent.
    :ivar image_is_good: only the container around the image is damaged, so the image may be installed.
    """

    device: str
    id: str
    make: Callable[[Rig], UpdateContainer]
    key: str
    why: str
    image_is_good: bool = False
    only_the_key_sees: bool = False


class FirmwareUpdates(ABC):
    """How the firmware of one model of key is updated, and the rules for it.

    :cvar pairs: the rule of each pair of versions that is tried.
    :cvar damages: containers that must be refused.
    :cvar moves: ids of pairs whose first boot moves or deletes data in different ways.
    :cvar installed: the version that cases start from.
    :cvar target: a later version, installed by cases about interruptions.
    :cvar intact_target: the version of a good container that follows a damaged one.
    :cvar refused_as_older: how `offer` begins for an image whose version is too low.
    :cvar client_too_old: the updater's warning that the container wants a newer client.
    :cvar version_unknown: the updater's warning that it cannot compare versions, given in the bootloader.
    :cvar client_of_any_age: a client version that no client is older than.
    :cvar client_of_the_future: a client version that every client is older than.
    """

    pairs: Sequence[VersionPair]
    damages: Sequence[DamagedContainer]
    moves: Collection[str]
    installed: str
    target: str
    intact_target: str
    refused_as_older: str
    client_too_old: str
    version_unknown: str
    client_of_any_age: str
    client_of_the_future: str

    @property
    def starts(self) -> list[str]:
        """The versions from which the first boot moves or deletes data in different ways."""
        return sorted({pair.ours for pair in self.pairs if pair.id in self.moves})

    @abstractmethod
    def container(self, rig: Rig, version: str, *, client: str = "") -> UpdateContainer:
        """A good container for the key on a rig.

        :param client: the oldest client version that may install it; "" names none.
        """

    @abstractmethod
    def earlier(self, version: str) -> str:
        """The next lower version that the key can tell apart."""

    @abstractmethod
    def later(self, version: str) -> str:
        """The next higher version that the key can tell apart."""

    @abstractmethod
    def is_consistent(self, version: str) -> bool:
        """Does an image of this version carry a number that means this version?"""

    @abstractmethod
    def update(
        self,
        rig: Rig,
        container: bytes,
        *,
        uuid: int | None = None,
        stop_at: Collection[str] | None = (),
        progress: Progress | None = None,
        before_bootloader: Callable[[], None] | None = None,
    ) -> list[tuple[str, str]]:
        """Run the updater, from whichever face the key shows.

        :param uuid: of the key that it must be, for one that is in its bootloader already.
        :param stop_at: warnings at which the updater stops; None for all of them.
        :param before_bootloader: called when the updater expects the key to enter its bootloader.
        :returns: what the updater said, as (kind, text), in order.
        :raises UpdateRefused: the host's checks or the bootloader refused it.
        :raises SlowBoot: the first boot outlasted the updater.
        :raises KeyGone: the key went away.
        """

    @abstractmethod
    def enter_bootloader(self, rig: Rig) -> None:
        """Bring the key into its bootloader, from whichever face it shows."""

    @abstractmethod
    def offer(self, rig: Rig, container: UpdateContainer, *, whole: bool = False) -> str:
        """Send an image to the bootloader, past every check of the updater.

        :param whole: send the binary too; otherwise only the part that the bootloader verifies first.
        :returns: ACCEPTED, or a text that begins with "refused".
        """

    @abstractmethod
    def killed_updater(self, transports: Transports, write: int, share: float) -> Transports:
        """The transports with an updater that is killed in its `write`-th write (from 1), after `share` of it.

        An open transport raises UpdaterKilled there.
        """

    @abstractmethod
    def after_update(self, uuid: int | None, *, deleted: bool) -> Mapping[str, Value]:
        """Values of items after an update, where they may or must differ from those before.

        :param uuid: what the key said before the update; None if its version does not tell.
        :param deleted: the update deletes the user's data.
        """

    def debug_container(self, rig: Rig, version: str) -> UpdateContainer | None:
        """A good container whose image says that it is one for debugging; None if there are no such images."""
        return None

    def device_test(self, rig: Rig, version: str, memory: Memory) -> list[str]:
        """What the vendor's own test of a device finds wrong after an update, in sentences.

        :param version: the version that was installed. :param memory: what the host knows of the key.
        """
        return []

    @abstractmethod
    def without_application(self, state: BoardState) -> BoardState:
        """The state with an application that does not start, so that the key stays in its bootloader."""
