"""The words for what is tested: keys, their applications, the operations that write, and what must hold.

A plugin describes its key with these dataclasses; the campaign, the judge and the report know nothing else.

    Key -> Application -> Operation   arrange, act (where the power is cut), the worlds it may leave
                       -> Item        one observable fact, with a law

Values of items are small and JSON-able, because they end up in evidence.jsonl: None, bool, int, str, or a
tuple of these. Secrets never are values.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from harness.base.errors import KeyFault

if TYPE_CHECKING:
    from harness.base.seeds import Stream
    from harness.model.pin import PinReference
    from harness.model.rig import Rig

Value = Any
"""None, bool, int, str or a tuple of these."""

Observation = dict[str, Value]
"""Item name -> what was seen."""


class _Any:
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "anything"


ANY = _Any()
"""In a world: this item may have any value here, its own law does not apply."""

T = TypeVar("T")


class Law(StrEnum):
    """What a cut may do to an item."""

    KEPT = "kept"
    """Equal before and after, unless a world says otherwise."""
    ATOMIC = "atomic"
    """The old value or the new one, never a third."""
    RISING = "rising"
    """Each use exceeds every value ever seen. Its value is the tuple of values seen, in order."""
    FALLING = "falling"
    """A retry counter: a cut never raises it; an acknowledged wrong guess has lowered it."""


class Outcome(StrEnum):
    """What a cut led to. The set is closed."""

    OLD = "old"
    NEW = "new"
    BOOTLOADER = "bootloader"
    RECOVERED = "recovered"
    TORN = "torn"
    LOST = "lost"
    ROLLED_BACK = "rolled-back"
    LOOSENED = "loosened"
    STUCK = "stuck"
    MISSED = "missed"

    @property
    def is_violation(self) -> bool:
        return self in VIOLATIONS


VIOLATIONS = frozenset({Outcome.TORN, Outcome.LOST, Outcome.ROLLED_BACK, Outcome.LOOSENED, Outcome.STUCK})


class Severity(StrEnum):
    """How much a violation matters to the owner."""

    S1 = "S1"
    """Security, or data lost."""
    S2 = "S2"
    """The key is not available."""
    S3 = "S3"
    """Cosmetic: reported, does not fail a run."""


class Memory:
    """What the host knows of a key: one object per application, copied whole."""

    def __init__(self, parts: Mapping[str, Any] | None = None):
        self._parts: dict[str, Any] = dict(parts or {})

    def part(self, name: str, make: Callable[[], T]) -> T:
        """The object of application `name`, made on first use."""
        if name not in self._parts:
            self._parts[name] = make()
        part: T = self._parts[name]
        return part

    def copy(self) -> Memory:
        return Memory(copy.deepcopy(self._parts))


class Look:
    """One look at a key during one boot: what items share while they are observed.

    :ivar rig: the rig that the key is in.
    :ivar memory: what the host knew before the operation.
    :ivar promise: what the host would know had the operation been acknowledged; `memory` for power-up.
    :ivar exact: whether the promise names what this very run made. It always does on a twin, where a run can
        be repeated; elsewhere only after an acknowledgement: before it nobody knows a new credential's id.
    """

    def __init__(self, rig: Rig, memory: Memory, promise: Memory, exact: bool = True):
        self.rig = rig
        self.memory = memory
        self.promise = promise
        self.exact = exact
        self.kept: dict[str, Any] = {}
        """What outlives a power cycle of this look (values noted by earlier items)."""
        self._shared: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], T]) -> T:
        """`make()`, called at most once a boot (an open client, a list that was read)."""
        if name not in self._shared:
            self._shared[name] = make()
        shared: T = self._shared[name]
        return shared

    def replugged(self) -> None:
        """The key was power-cycled: nothing that was open still is."""
        self._shared.clear()


@dataclass(frozen=True)
class Item:
    """One observable fact of a key.

    :param observe: uses the key and says what it saw. A refusal of the key is a value ("refused: 0x2E"), not
        an exception; only a key that is gone raises.
    :param spends: what observing costs, e.g. {"counter", "pin try", "flash write"}; empty is free. Free items
        are observed first, the others in the order in which they are listed.
    :param face: the face of the key that it can be observed in; "" is any.
    :param after_replug: observed in a second boot, after all items of the first one.
    :param breach: what a violation of the law is called; by default what the law says.
    :param floor: for rising items, (what the host knows) -> the highest value it has seen.
    :param may_be_constant_zero: for rising items: a key without this counter reports 0 for ever, and may (WebAuthn
        level 2, section 6.1.1, of the signature counter).
    """

    name: str
    law: Law
    observe: Callable[[Look], Value]
    title: str = ""
    severity: Severity = Severity.S1
    spends: frozenset[str] = frozenset()
    after_replug: bool = False
    face: str = "application"
    breach: Outcome | None = None
    floor: Callable[[Memory], int] | None = None
    may_be_constant_zero: bool = False

    @property
    def breach_outcome(self) -> Outcome:
        """The class of a violation of this item's own law."""
        return self.breach or _BREACH[self.law]


_BREACH = {
    Law.KEPT: Outcome.LOST,
    Law.ATOMIC: Outcome.TORN,
    Law.RISING: Outcome.ROLLED_BACK,
    Law.FALLING: Outcome.LOOSENED,
}


@dataclass(frozen=True)
class World:
    """A consistent set of item values that an operation may leave.

    :param values: item name -> the value it has here. Items that are not named obey their own law.
    :param complete: the act that must lead from here to the new world (a reset that was half done).
    """

    name: str
    outcome: Outcome
    values: Mapping[str, Value]
    complete: Callable[[Rig, Memory], None] | None = None


def old(values: Mapping[str, Value]) -> World:
    """The world in which the operation has not happened."""
    return World("old", Outcome.OLD, values)


def new(values: Mapping[str, Value]) -> World:
    """The world in which it has."""
    return World("new", Outcome.NEW, values)


@dataclass(frozen=True)
class Cost:
    """What running an operation once spends on a real key."""

    touches: int = 0
    seconds: float = 1.0
    pins: Mapping[PinReference, int] = field(default_factory=dict)
    """Tries of each PIN that it uses; a right PIN gives its try back."""
    erases: int = 0
    """Page erases on the hottest page, as far as known; twins measure it."""
    irreversible: Mapping[str, int] = field(default_factory=dict)
    """What nothing gives back, by its name in `harness.safety.budget`: so_pin_tries, one_way_settings, ..."""


@dataclass(frozen=True)
class Operation:
    """One thing that writes.

    :param name: "application.thing", e.g. "fido2.make_credential.resident".
    :param arrange: brings a key from its home state to the state the operation starts in; updates the memory.
    :param act: the operation itself, with fresh handles from the rig; the power is cut in here. Updates the
        memory as an acknowledged run does.
    :param worlds: (memory before, memory after an acknowledged run) -> the worlds it may leave.
    :param items: facts that only this operation is about, observed besides the application's own.
    :param acknowledged_old: what it is called when the operation was acknowledged and the old world is found.
    :param missing: reads from a key that is on what the operation needs and the key does not offer; None if
        there is nothing missing.
    :param resets: the operation brings its application back to the factory's state: `recover --reset` runs it, in a
        fresh boot.
    :param powered: False for an operation that begins with the power off (power-up).
    :param reference_operation: name of the operation whose answer must not arrive before this one has lowered
        its counter, measured from the request. A right PIN is the reference of a wrong one: if its answer came
        first, a cut between the two would make a guess free (docs/invariants.md, P1).
    :param must_be_lowered: name of the item that must be lowered by then.
    """

    name: str
    title: str
    arrange: Callable[[Rig, Memory], None]
    act: Callable[[Rig, Memory], None]
    worlds: Callable[[Memory, Memory], Sequence[World]]
    items: tuple[Item, ...] = ()
    cost: Cost = Cost()
    acknowledged_old: Outcome = Outcome.LOST
    missing: Callable[[Rig], str | None] | None = None
    resets: bool = False
    powered: bool = True
    reference_operation: str | None = None
    must_be_lowered: str | None = None

    @property
    def application(self) -> str:
        return self.name.partition(".")[0]


class CannotTell(Enum):
    """The one value of it says that an application cannot tell whose data it holds."""

    CANNOT_TELL = "cannot tell"


CANNOT_TELL: Final = CannotTell.CANNOT_TELL


def holds_nothing(rig: Rig) -> list[str]:
    """`Application.foreign` of an application that keeps no data of an owner."""
    return []


@dataclass(frozen=True)
class Application:
    """One function of a key, with a client of its own.

    :param prepare: lays down the canaries: data that every later check looks for; updates the memory.
        What the memory says already is on the key is ours, and may be removed.
    :param items: the facts every operation of the key is held to.
    :param blank: does the application hold nothing of anybody's, as far as it tells without cost?
    :param foreign: what the application holds that we did not make, in words; empty if nothing is found. A key is
        refused because of it. `holds_nothing` for an application without data of an owner; CANNOT_TELL if nothing on
        the key says whose its data are: then nothing is refused, and `enroll` says so.
    :param unseen: what the application may hold although nothing shows it, in words; None if nothing.
    :param marker: what a key without a serial was marked with, None if it was not; costs nothing.
    :param mark: marks an empty key, with the given mark or a new one, and returns it.
    :param randomness: enters with a stream: while entered, the application's client takes its random numbers from it.
        A twin's runs repeat byte for byte only if every client that uses randomness has one.
    :param fault: what an exception of the application's client library says of the key: Refused for a refusal, another
        KeyFault for a wrong answer; None if it says nothing. Clients that raise Refused themselves need none.
    :param volatile: something that the application makes anew whenever it gets power, and shows without cost;
        None if this key shows no such thing. Two boots differ in it, one boot does not.
    """

    name: str
    title: str
    prepare: Callable[[Rig, Memory], None]
    operations: tuple[Operation, ...]
    items: tuple[Item, ...]
    foreign: Callable[[Rig], list[str]] | CannotTell
    blank: Callable[[Rig], bool] | None = None
    unseen: Callable[[Rig], str | None] | None = None
    marker: Callable[[Rig], str | None] | None = None
    mark: Callable[[Rig, str | None], str] | None = None
    volatile: Callable[[Rig], str | None] | None = None
    randomness: Callable[[Stream], AbstractContextManager[None]] | None = None
    fault: Callable[[BaseException], KeyFault | None] | None = None


@dataclass(frozen=True)
class Face:
    """An identity under which a key appears on the bus."""

    name: str
    vendor_id: int
    product_id: int
    product: str


@dataclass(frozen=True)
class Key:
    """A model of key, put together from applications.

    :param fits_any: "ctaphid", "card": any device with that endpoint may be taken for this key, if no face of another
        key has its USB ids. For keys that are known only by what they say of themselves.
    :param identify: reads {"firmware": ..., "uuid": ...} from the key on a rig; costs nothing.
    :param rescue: brings a key that is up in another face than its first one, because an update was broken off,
        back into that, with the container that the rig's bench names.
    """

    name: str
    title: str
    faces: tuple[Face, ...]
    applications: tuple[Application, ...]
    identify: Callable[[Rig], dict[str, str]]
    rescue: Callable[[Rig], None] | None = None
    fits_any: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def operations(self) -> dict[str, Operation]:
        return {op.name: op for app in self.applications for op in app.operations}

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(item for app in self.applications for item in app.items)

    def fault(self, error: BaseException) -> KeyFault | None:
        """What an exception says of the key, by the clients of its applications; None if it says nothing."""
        if isinstance(error, KeyFault):
            return error
        said = (one.fault(error) for one in self.applications if one.fault is not None)
        return next((fault for fault in said if fault is not None), None)


@contextmanager
def client_randomness(key: Key, stream: Callable[[], Stream]) -> Iterator[None]:
    """While entered, the clients of all of the key's applications take their random numbers from a stream.

    :param stream: makes the stream; called once for each different client.
    """
    with ExitStack() as stack:
        for inject in dict.fromkeys(one.randomness for one in key.applications):
            if inject is not None:
                stack.enter_context(inject(stream()))
        yield
