"""Parts of a rig: its power switch, its touch, its cutter, its vault, and what watches over its key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harness.base.errors import RigError
from harness.model.power_loss import SwitchDelay

if TYPE_CHECKING:
    from harness.model.cut_action import CutAction
    from harness.model.instant import CutInstant
    from harness.model.outcome import Observation
    from harness.model.pin import PinReference


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
    """Description of a rig for reports.

    :ivar flash: what breaks, in a few words, where a vendor's firmware runs on something that we model; else None.
    """

    name: str
    key: str
    title: str
    firmware: str
    personality: str | None
    transport: str
    expendable: bool
    flash: str | None = None


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
