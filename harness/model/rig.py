"""A rig: one port with a key in it, and what surrounds it.

How a client reaches the key: `harness.model.transport`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from harness.base.errors import KeyFault, KeyharnessError, RigError

if TYPE_CHECKING:
    from harness.base.clock import Clock
    from harness.model.cut_action import CutAction
    from harness.model.instant import CutInstant
    from harness.model.key import Key
    from harness.model.pin import PinReference
    from harness.model.tap import Tap
    from harness.model.transport import Transports

EvidenceKind = Literal["twin", "emulator", "hardware"]


class KeyGone(KeyFault):
    """The key is not on the bus, or does not answer."""


class PowerSwitch(ABC):
    """What gives a key its power and takes it away."""

    @abstractmethod
    def on(self) -> None: ...

    @abstractmethod
    def off(self) -> None: ...

    @property
    @abstractmethod
    def is_on(self) -> bool: ...

    def cut_action(self) -> CutAction | None:
        """The one act with which the cutter's process takes the power away; everything slow is done before.

        It serves one cut: the cutter closes its own copy of the descriptor, the switch keeps the original.
        None if only this process can switch; such a cut comes later, and evidence says so. Call `after_cut`
        afterwards.
        """
        return None

    def after_cut(self) -> None:  # noqa: B027 - a switch without a cut action has nothing to note
        """The cutter has taken the power away: the switch stands at off."""

    def cycle(self) -> None:
        """Off, as long as the rig needs to lose its charge, and on."""
        self.off()
        self.on()


class Touch(ABC):
    """What touches the key."""

    @abstractmethod
    def pressing(self, *, delay_us: int = 200_000) -> AbstractContextManager[None]:
        """While entered, touch the key `delay_us` after it asks: inside our own pending request only."""

    def holding(self) -> AbstractContextManager[None]:
        """While entered, the key is touched, for somebody who has a request of his own pending elsewhere.

        For `keyharness touch` and `keyharness serve`, which were asked for by name; never for a test.

        :raises RigError: this rig cannot be touched without a request of ours.
        """
        raise RigError("this rig has nothing that touches its key without a request of ours")


class LiveCutter(ABC):
    """Takes the power away at an instant, in a process of its own. The switch stands at off afterwards."""

    @property
    @abstractmethod
    def realtime(self) -> bool:
        """Is it scheduled so that no other process interrupts it?"""

    def prepare(self) -> None:  # noqa: B027 - most have nothing that takes time
        """Do now what the next `arm` would lose time with. The key must be on."""

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
    """Where the whole state of a key can be copied and put back while it has no power."""

    @abstractmethod
    def snapshot(self) -> Any: ...

    @abstractmethod
    def restore(self, state: Any) -> None:
        """Put a state in; the key is off afterwards."""

    @abstractmethod
    def differing(self, one: Any, other: Any) -> Sequence[str]:
        """In which parts two states differ, by name; empty if they are the same."""


@dataclass(frozen=True)
class RigInfo:
    """What a report says of a rig."""

    name: str
    key: str
    title: str
    firmware: str
    personality: str | None
    transport: str
    expendable: bool


class PinGuard(Protocol):
    """What is asked before a PIN of a real key is tried, by the client that tries it."""

    def trying(self, reference: PinReference, left: int) -> None:
        """A PIN is about to be tried.

        :param left: the tries that the key says are left.
        :raises BudgetExhausted: none may be spent.
        """

    def setting(self, reference: PinReference, pin: str) -> None:
        """A PIN is about to be given to the key; when this returns no crash can lose it.

        :raises RigError: it could not be written down.
        """

    def right(self, reference: PinReference) -> None:
        """The PIN was the right one: the key has all its tries back."""


class Rig(ABC):
    """One port, its key, its power, its touch, its transports and its clock."""

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
    fill: float = 0.0
    """How full the key is made at home, as a share of the room that it says it has; only benches of twins ask."""
    shared: str | None = None
    """What only one process may use at a time (a port, a directory); None for a rig that is this process's own,
    and on hardware for the rig by its name."""
    wiring: str = ""
    """How it is powered and reached, in words that stay the same for as long as the bench says the same."""
    identity: str | None = None
    """The key that custody has proved to be on it: "uuid:...", "serial:...", "marker:..."."""
    pin_guard: PinGuard | None = None
    """What has to be asked before a PIN is tried; None where no try is ever missed."""
    remark: str = ""
    """What was found out about the rig and belongs beside every verdict, e.g. that its state does not last."""

    @property
    def vault(self) -> Vault | None:
        """Where its state can be copied and put back; None where only the key itself can change it."""
        return None

    @property
    def cutter(self) -> LiveCutter | None:
        """What cuts while an operation really runs; None on twins, whose cuts are computed."""
        return None

    @property
    def boot_us(self) -> int:
        """Time that all boots of the key have taken so far, together."""
        return 0

    @property
    def talk_us(self) -> int:
        """Time spent waiting for answers of the key so far."""
        return 0

    @property
    def came_us(self) -> int | None:
        """When the key was last given power, on the rig's clock; None on rigs that do not note it."""
        return None

    def take_deaths(self) -> list[str]:
        """How the key has ended by itself since this was last asked, in words; nothing that we did."""
        return []

    def take_log(self) -> list[str]:
        """What the host's kernel has said about its port since this was last asked; nothing on other rigs."""
        return []

    @property
    def plugs(self) -> Mapping[str, int] | None:
        """How often it was enumerated ("plugs"), and the errors among these ("-71", "-110") since the rig was
        made; None where nobody counts that.
        """
        return None

    def lacks(self) -> KeyharnessError | None:
        """What can be seen to keep it from working without giving it power; None if nothing does."""
        return None

    @property
    def face(self) -> str:
        """The face that the key shows while it is up: the name of one of `key.faces`."""
        return "application"

    @abstractmethod
    def info(self) -> RigInfo: ...

    @abstractmethod
    def fingerprint(self) -> str:
        """What a replay depends on besides the seed: firmware, personality, defects, flash layer, profile."""

    @abstractmethod
    def wait_until_up(self) -> None:
        """Return when the key has enumerated.

        :raises KeyGone: it does not, within the rig's limit.
        """

    def settle(self) -> None:  # noqa: B027 - a twin has written what it acknowledged
        """Leave the key alone for as long as a calm owner does before he pulls it out.

        Some firmware writes after it has acknowledged. The campaigns find that; what is only laid down for
        later (the home state, the states of the conformance suite) is not to be lost by it.
        """

    def close(self) -> None:  # noqa: B027 - most rigs have nothing to let go of
        """Let go of whatever the rig holds."""
