"""A rig: one port with a key, its power switch, its touch, its cutter.

How a client reaches the key: `harness.model.transport`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.base.errors import KeyFault, KeyharnessError

if TYPE_CHECKING:
    from harness.base.clock import Clock
    from harness.model.key import Key
    from harness.model.pin import PinReference
    from harness.model.rig_parts import (
        LiveCutter,
        LossWatch,
        PinGuard,
        PowerSwitch,
        Presence,
        RigInfo,
        Touch,
        Vault,
    )
    from harness.model.tap import Tap
    from harness.model.transport import Transports

EvidenceKind = Literal["twin", "emulator", "emulator-torn", "hardware"]


class KeyGone(KeyFault):
    """The key is not on the bus, or does not answer."""


@contextmanager
def pin_try(rig: Rig, reference: PinReference, tries: Callable[[], int]) -> Iterator[None]:
    """Enter before a command that tries a PIN; leaving without an error says that the PIN was the right one.

    :param tries: asks the key how many tries are left; called only where tries are counted.
    :raises BudgetExhausted: none may be spent.
    """
    guard = rig.pin_guard
    if guard is not None:
        guard.trying(reference, tries())
    yield
    if guard is not None:
        guard.right(reference)


class Rig(ABC):
    """One port with its key, power, touch, transports and clock."""

    name: str
    key: Key
    evidence_kind: EvidenceKind
    expendable: bool
    clock: Clock
    tap: Tap
    power: PowerSwitch
    touch: Touch
    transports: Transports
    seed: int

    firmware_file: Path | None = None
    """The update container that the caller asked for, if any."""
    firmware_images: tuple[Path, ...] = ()
    """The files that hold the firmware which runs on the rig, where it runs from files of this host: on emulators."""
    fill: float = 0.0
    """How full the home state makes the key, as a share of its room; only benches of twins say this."""
    shared: str | None = None
    """What only one process may use at a time (a port, a directory). None: the rig is private to this process, or, on
    hardware, the name of the rig stands for it."""
    domains: tuple[str, ...] = ()
    """What the rig shares with others, so that they fail together: "hub usb:1-1.4", "supply psu-1"."""
    losses: LossWatch | None = None
    """Told when the key leaves otherwise than by the rig's own switch; None on rigs that share nothing."""
    wiring: str = ""
    """Describes how the rig is powered and reached; changes only if the bench changes."""
    identity: str | None = None
    """The proved identity of the key: "uuid:...", "serial:...", "marker:..."; None before the rig is claimed."""
    pin_guard: PinGuard | None = None
    """Asked before a PIN is tried; None on rigs whose tries are not limited."""
    remark: str = ""
    """A fact about the rig that has to stand beside every verdict, e.g. that its state does not last."""

    @property
    def reached_by(self) -> str | None:
        """How other programs reach the key while `keyharness serve` offers the rig; None: as any key on USB."""
        return None

    @property
    def presence(self) -> Presence | None:
        """Which enumeration of the key this is.

        None if the rig cannot tell: then the key's identity is proved each time that a client opens a transport.
        """
        return None

    @property
    def hub_enumeration(self) -> Hashable:
        """Differs between two enumerations of the hub that the key hangs on; None if there is none, or it is gone."""
        return None

    @property
    def vault(self) -> Vault | None:
        """What copies the state of the key and puts it back; None if only the key can change it."""
        return None

    @property
    def cutter(self) -> LiveCutter | None:
        """What cuts the power while an operation runs; None on twins, whose cuts are computed."""
        return None

    @property
    def boot_us(self) -> int:
        """Total time of all boots of the key so far."""
        return 0

    @property
    def talk_us(self) -> int:
        """Total time spent waiting for answers of the key so far."""
        return 0

    @property
    def came_us(self) -> int | None:
        """When the key was last given power, on the rig's clock; None on rigs that do not note it."""
        return None

    @property
    def powered_us(self) -> int | None:
        """When the key was last switched on, on the rig's clock; None where that cannot be late, or is not noted."""
        return self.came_us

    def take_deaths(self) -> list[str]:
        """Describe how the key stopped by itself since the last call; cuts do not count."""
        return []

    def last_words(self) -> dict[str, bytes]:
        """Return what the rig knows of the boot that ended last: file name -> content, e.g. what a firmware printed."""
        return {}

    def take_log(self) -> list[str]:
        """Return the kernel's lines about the port since the last call; empty for rigs without a USB port."""
        return []

    @property
    def plugs(self) -> Mapping[str, int] | None:
        """How often the key was enumerated ("plugs"), and the errors ("-71", "-110"), since the rig was made.

        None on rigs that do not count this.
        """
        return None

    def lacks(self) -> KeyharnessError | None:
        """Return what keeps the rig from working, as far as it shows without power; None if nothing does."""
        return None

    @property
    def face(self) -> str:
        """The face of the key that is up: the name of one of `key.faces`."""
        return "application"

    @abstractmethod
    def info(self) -> RigInfo: ...

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a digest of what a replay depends on: firmware, personality, defects, flash layer, profile."""

    @abstractmethod
    def wait_until_up(self) -> None:
        """Return when the key has enumerated.

        :raises KeyGone: it does not, within the rig's limit.
        """

    def settle(self) -> None:  # noqa: B027 - a twin has written what it acknowledged
        """Wait, as an owner does before pulling the key out.

        Some firmware writes after it has acknowledged. Campaigns find that. The home state and the states of the
        conformance suite, which are prepared for later, must not be lost by it.
        """

    def close(self) -> None:  # noqa: B027 - most rigs have nothing to let go of
        """Release everything that the rig holds."""
