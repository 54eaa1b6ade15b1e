"""Interfaces of a rig: one port with a key, its power switch, its touch, its cutter.

How a client reaches the key: `harness.model.transport`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from harness.base.errors import KeyFault, KeyharnessError, RigError
from harness.model.power_loss import SwitchDelay

if TYPE_CHECKING:
    from harness.base.clock import Clock
    from harness.model.cut_action import CutAction
    from harness.model.instant import CutInstant
    from harness.model.key import Key, Observation
    from harness.model.pin import PinReference
    from harness.model.tap import Tap
    from harness.model.transport import Transports

EvidenceKind = Literal["twin", "emulator", "emulator-torn", "hardware"]


class KeyGone(KeyFault):
    """The key is not on the bus, or does not answer."""


class PowerSwitch(ABC):
    """Switches the power of a key.

    :ivar release_us: between how many microseconds after an order to cut the power is gone, by the bench or by the
        board's data sheet: (least, most). None if neither says: `keyharness calibrate` measures it.
    :ivar seen_after: whether the key leaves the bus only after its power went. False for a hub by sysfs.
    """

    release_us: tuple[int, int] | None = None
    seen_after: bool = True

    @abstractmethod
    def on(self) -> None: ...

    @abstractmethod
    def off(self) -> None: ...

    @property
    @abstractmethod
    def is_on(self) -> bool: ...

    def cut_action(self) -> CutAction | None:
        """Return the one act by which the cutter's process takes the power away; do everything slow now.

        It serves one cut: the cutter closes its own copy of the descriptor, the switch keeps the original. Call
        `after_cut` afterwards. None if only this process can switch; such a cut comes later, and evidence says so.
        """
        return None

    def after_cut(self) -> None:  # noqa: B027 - a switch without a cut action has nothing to note
        """Note that the cutter has taken the power away: the switch is off."""

    def cycle(self) -> None:
        """Switch off, wait until the rig has lost its charge, and switch on."""
        self.off()
        self.on()


class Touch(ABC):
    """Touches the key."""

    @property
    def can_touch(self) -> bool:
        """Whether there is something that touches the key."""
        return True

    @property
    def can_withhold(self) -> bool:
        """Whether a key that asks for a touch gets none unless it is touched; False if each request is as touched."""
        return True

    @property
    def press_us(self) -> int | None:
        """How long a press lasts, in microseconds; None if it lasts until the key has answered."""
        return None

    @abstractmethod
    def pressing(self, *, delay_us: int = 200_000) -> AbstractContextManager[None]:
        """While entered, touch the key `delay_us` after it asks. Only for requests of Keyharness itself."""

    def holding(self) -> AbstractContextManager[None]:
        """While entered, touch the key for a request that another program sent.

        Only for `keyharness touch` and `keyharness serve`, which a person starts; never for a test.

        :raises RigError: this rig cannot touch its key without a request of Keyharness.
        """
        raise RigError("this rig has nothing that touches its key without a request of ours")


class LiveCutter(ABC):
    """Cuts the power at an instant, in a process of its own. The switch is off afterwards.

    :ivar delay: what is known of its switch without a calibration; by default nothing.
    """

    delay: SwitchDelay = SwitchDelay()

    @property
    @abstractmethod
    def realtime(self) -> bool:
        """Whether it is scheduled so that no other process interrupts it."""

    def prepare(self) -> None:  # noqa: B027 - most have nothing that takes time
        """Do now what would delay the next `arm`. The key must be on."""

    @abstractmethod
    def arm(self, at_us: int, lead_us: int = 0) -> None:
        """Order a cut; the key must be on.

        :param at_us: when the power is to be gone, on the rig's clock; if that has passed, the cut comes at once.
        :param lead_us: how long the switch takes: it is told so long before `at_us`.
        """

    def arm_boot(self, offset_us: int, lead_us: int = 0) -> bool:
        """Order a cut `offset_us` after the key is next given power, in its boot; the key must be off.

        `collect` as after `arm`.

        :returns: False if this cutter can only be armed when the power has come.
        """
        return False

    @abstractmethod
    def collect(self) -> CutInstant:
        """Wait until the armed cut has fired and the key is gone."""

    @abstractmethod
    def disarm(self) -> CutInstant | None:
        """Call the armed cut off. If it was too late for that, return the cut as `collect` does."""


class Vault(ABC):
    """Copies the whole state of a key without power, and puts it back.

    :ivar spend: called before a state is put into a real key, whose flash that wears; None where nothing is worn.
    """

    spend: Callable[[], None] | None = None

    def to_files(self, state: object) -> dict[str, bytes]:
        """Return a state as files, to be kept: path -> content; empty if it cannot be."""
        return {}

    def from_files(self, files: Mapping[str, bytes]) -> Any:
        """Read what `to_files` returned.

        :raises ValueError: it is not that.
        """
        raise ValueError("this rig keeps no states in files")

    def emptied(self, state: object) -> object | None:
        """Return a state without anything that a firmware writes into it; None where that is not known."""
        return None

    @abstractmethod
    def snapshot(self) -> Any: ...

    @abstractmethod
    def restore(self, state: Any) -> None:
        """Put a state in; the key is off afterwards."""

    @abstractmethod
    def differing(self, one: Any, other: Any) -> Sequence[str]:
        """Return the names of the parts in which two states differ; empty if they are equal."""


@dataclass(frozen=True)
class Presence:
    """One enumeration of a key: equal as long as nothing has left the port and nothing has come.

    :ivar power_ups: how often the rig's own switch has given power.
    :ivar enumeration: differs between two enumerations; None while nothing is on the port.
    :ivar interruptions: how often the key was seen to leave or to come otherwise than by the rig's own switch: it was
        unplugged, or rebooted by itself.
    """

    power_ups: int
    enumeration: Hashable
    interruptions: int = 0


@dataclass(frozen=True)
class RigInfo:
    """Description of a rig for reports."""

    name: str
    key: str
    title: str
    firmware: str
    personality: str | None
    transport: str
    expendable: bool


class PinGuard(Protocol):
    """Called by a client before it tries or sets a PIN of a real key."""

    def trying(self, reference: PinReference, left: int) -> None:
        """Reserve one try of a PIN.

        :param left: the tries that the key says are left.
        :raises BudgetExhausted: none may be spent.
        """

    def setting(self, reference: PinReference, pin: str) -> None:
        """Write a new PIN down before it is sent to the key, so that no crash can lose it.

        :raises RigError: it could not be written.
        """

    def right(self, reference: PinReference) -> None:
        """Note that the PIN was right: the key has all its tries back."""


class LossWatch(Protocol):
    """Knows which keys of the same hub or supply were lost at the same time: that is no fault of a key."""

    def begin(self) -> None:
        """Note in which enumeration the hub is: one that is in another one later has restarted."""

    def lost(self, at_us: int) -> None:
        """Note that the key was seen to leave otherwise than by the rig's own switch, at an instant of its clock."""

    def explained(self, since_us: int, *, stuck: bool) -> str | None:
        """Describe a fault of the hub or the supply that explains why the key left, or did not come back.

        It may wait a fraction of a second, until others have noted their losses.

        :param since_us: only losses from this instant on count.
        :param stuck: the key did not come back.
        :returns: None if nothing else than this key was lost.
        """

    def uncontrolled(self, why: str, seen: Observation) -> None:
        """Write down that the key had a power cycle that nobody controlled, and what it showed after it."""


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
