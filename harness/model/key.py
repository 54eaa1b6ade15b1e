"""What is tested: keys, their applications, the operations that write, and the laws that must hold.

A plugin describes its key with these dataclasses. Campaigns, the judge and reports use nothing else.

    Key -> Application -> Operation   arrange, act (where the power is cut), the worlds it may leave
                       -> Item        one observable fact, with a law

Values of items are small and JSON-able, because they are written to evidence.jsonl: None, bool, int, str, or a
tuple of these. A value never is a secret.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from harness.base.errors import CallerError, KeyFault, KeyharnessError

if TYPE_CHECKING:
    from harness.base.seeds import Stream
    from harness.model.pin import PinReference
    from harness.model.rig import Rig

Value = Any
"""None, bool, int, str or a tuple of these."""

Observation = dict[str, Value]
"""Item name -> the value that was observed."""


class _Any:
    """A value that equals everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "anything"


ANY = _Any()
"""In a world: the item may have any value, and its own law does not apply."""

T = TypeVar("T")


class Law(StrEnum):
    """What a cut may do to an item."""

    KEPT = "kept"
    """The value is the same before and after, unless a world says otherwise."""
    ATOMIC = "atomic"
    """The value is the old one or the new one, never a third one."""
    RISING = "rising"
    """Each use exceeds every value ever seen. Its value is the tuple of values seen, in order."""
    FALLING = "falling"
    """A retry counter: a cut never raises it; an acknowledged wrong guess has lowered it."""
    ROOM = "room"
    """Free blocks of each store: a cut leaves no less than the uncut operation does, or than there was before it."""


class Outcome(StrEnum):
    """What a cut led to. The set is closed: no plugin adds to it."""

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
    """How much a violation matters to the owner of the key."""

    S1 = "S1"
    """Security, or data lost."""
    S2 = "S2"
    """The key cannot be used."""
    S3 = "S3"
    """Cosmetic: reported, does not fail a run."""


class Memory:
    """What the host knows of a key: one object for each application. A copy is a deep copy."""

    def __init__(self, parts: Mapping[str, Any] | None = None):
        self._parts: dict[str, Any] = dict(parts or {})

    def part(self, name: str, make: Callable[[], T]) -> T:
        """Return the object of the application `name`; make it on first use."""
        if name not in self._parts:
            self._parts[name] = make()
        part: T = self._parts[name]
        return part

    @property
    def parts(self) -> Mapping[str, object]:
        """Application -> its object."""
        return self._parts

    def copy(self) -> Memory:
        return Memory(copy.deepcopy(self._parts))


class Look:
    """What items share while they are observed during one boot of a key.

    :ivar rig: the rig that the key is in.
    :ivar memory: what the host knew before the operation.
    :ivar promise: what the host would know if the operation had been acknowledged; `memory` for power-up.
    :ivar exact: whether the promise names what this run made. On a twin it always does, because a run can be
        repeated; elsewhere only after an acknowledgement: without it the id of a new credential is unknown.
    """

    def __init__(self, rig: Rig, memory: Memory, promise: Memory, exact: bool = True):
        self.rig = rig
        self.memory = memory
        self.promise = promise
        self.exact = exact
        self.kept: dict[str, Any] = {}
        """Values that earlier items noted; they outlive a power cycle."""
        self._shared: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return `make()`, called at most once in a boot (an open client, a list that was read)."""
        if name not in self._shared:
            self._shared[name] = make()
        shared: T = self._shared[name]
        return shared

    def replugged(self) -> None:
        """Forget what was shared: after a power cycle no open handle works."""
        self._shared.clear()


@dataclass(frozen=True)
class Item:
    """One observable fact of a key.

    :param observe: uses the key and returns what it saw. A refusal of the key is a value ("refused: 0x2E"), not
        an exception; only a key that does not answer raises.
    :param spends: what observing costs, e.g. {"counter", "pin try", "flash write"}; empty means nothing. Items that
        cost nothing are observed first, the others in the order in which they are listed.
    :param face: the face of the key in which the item can be observed; "" is any.
    :param after_replug: observed in a second boot, after all items of the first one.
    :param breach: the outcome of a violation; None is the one that belongs to the law.
    :param floor: for rising items, (what the host knows) -> the highest value it has seen.
    :param sound: (what the host knows) -> its value before anything is cut; None if any value will do.
        Without it an item that is wrong from the start is wrong in the same way after each cut, and counts as kept.
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
    sound: Callable[[Memory], Value] | None = None
    may_be_constant_zero: bool = False

    @property
    def breach_outcome(self) -> Outcome:
        """The outcome of a violation of this item's own law."""
        return self.breach or _BREACH[self.law]


_BREACH = {
    Law.KEPT: Outcome.LOST,
    Law.ATOMIC: Outcome.TORN,
    Law.RISING: Outcome.ROLLED_BACK,
    Law.FALLING: Outcome.LOOSENED,
    Law.ROOM: Outcome.LOST,
}


@dataclass(frozen=True)
class World:
    """A consistent set of item values that an operation may leave.

    :param values: item name -> its value in this world. Items that are not named obey their own law.
    :param complete: the act that must lead from here to the new world (a half-done reset, for example).
    """

    name: str
    outcome: Outcome
    values: Mapping[str, Value]
    complete: Callable[[Rig, Memory], None] | None = None


def old(values: Mapping[str, Value]) -> World:
    """Return the world in which the operation has not happened."""
    return World("old", Outcome.OLD, values)


def new(values: Mapping[str, Value]) -> World:
    """Return the world in which the operation has happened."""
    return World("new", Outcome.NEW, values)


@dataclass(frozen=True)
class Cost:
    """What one run of an operation spends on a real key."""

    touches: int = 0
    seconds: float = 1.0
    pins: Mapping[PinReference, int] = field(default_factory=dict)
    """Tries of each PIN that the operation uses; a right PIN gives its try back."""
    erases: int = 0
    """Erases of the most-erased flash page, as far as known; twins measure them."""
    irreversible: Mapping[str, int] = field(default_factory=dict)
    """What cannot be given back, by its name in `harness.safety.budget`: so_pin_tries, one_way_settings, ..."""


def arrange_nothing(rig: Rig, memory: Memory) -> None:
    """Leave the key as it is: what comes next starts from the home state."""


@dataclass(frozen=True)
class Operation:
    """One thing that a key does and that writes to its flash.

    :param name: "application.thing", e.g. "fido2.make_credential.resident".
    :param arrange: brings a key from its home state to the state in which the operation starts; updates the memory.
    :param act: does the operation, with new handles from the rig; the power is cut while it runs. Updates the
        memory as an acknowledged run does.
    :param worlds: (memory before, memory after an acknowledged run) -> the worlds that the operation may leave.
    :param items: items of this operation alone, observed besides those of the application.
    :param acknowledged_old: the outcome if the operation was acknowledged and the old world is found.
    :param missing: asks a key that is on, and returns what the operation needs and the key does not offer; None if
        nothing is missing.
    :param resets: whether the operation brings its application back to factory state; `recover --reset` runs it in a
        new boot.
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


@dataclass(frozen=True)
class PairedWrite:
    """Something that is written and then undone: whatever it takes of a store, it gives back (invariant E2).

    :param name: "application.thing". :param arrange: what both need, once.
    :param missing: as of an operation.
    """

    name: str
    title: str
    write: Callable[[Rig, Memory], None]
    undo: Callable[[Rig, Memory], None]
    arrange: Callable[[Rig, Memory], None] | None = None
    missing: Callable[[Rig], str | None] | None = None


FRESH = "fresh"
"""The name of the home that `Application.prepare` lays down: a key with canaries, and otherwise as new."""


def _as_it_is(operation: Operation) -> Operation | None:
    return operation


def _no_values(memory: Memory) -> Mapping[str, Value]:
    return {}


@dataclass(frozen=True)
class NamedHome:
    """One application's part in a state of the key that campaigns start from, besides the fresh one.

    Applications that offer a home of one name share it: each does its part, in the order of the key.

    :param name: "full", for example; stands in replay ids, so no "/", ":", "@" or "+".
    :param lay_down: brings a key in its fresh home, switched on, into this one; updates the memory.
    :param settle: is called when an operation has been arranged, with the key on, and does what would not outlast
        that (a store that is filled to its last place). It may leave the key off.
    :param in_boot: is called in the boot of the operation, just before it; that boot's memory is part of the home.
    :param adapt: returns the operation as it goes in this home, e.g. refused; None if it is not asked there.
    :param values: what must be seen of the home before any cut: (what the host knows) -> item -> value.
    :param items: what is observed besides the items of the key and the operation.
    :param missing: asks a key that is on what this part needs and the key does not offer; None if nothing.
    :param cuts: evenly spread cuts into each operation, in a run that names no homes; 0: only where it is named.
    :param turn: of the homes with one word here, such a run takes one for each operation, in turn; "" takes all.
    """

    name: str
    title: str
    lay_down: Callable[[Rig, Memory], None] = arrange_nothing
    settle: Callable[[Rig, Memory], None] = arrange_nothing
    in_boot: Callable[[Rig, Memory], None] | None = None
    adapt: Callable[[Operation], Operation | None] = _as_it_is
    values: Callable[[Memory], Mapping[str, Value]] = _no_values
    items: tuple[Item, ...] = ()
    missing: Callable[[Rig], str | None] | None = None
    cuts: int = 6
    turn: str = ""


@dataclass(frozen=True)
class NextAction:
    """What an owner does with a key after a cut: it may bring half-done work to light.

    :param name: "delete", for example; stands in replay ids, so no ":" and no "+".
    :param act: (rig, before, after, seen) does it, on a key that is on, and nothing where there is nothing to do it to.
        `before` and `after` are what the host knew before the operation that was cut, and what it would know had that
        been acknowledged: copies, which `act` brings up to date, because the key is observed by them again. `seen` is
        what was observed in between.
    :param worlds: (before, after, seen) -> the worlds that the action, which was acknowledged, may leave. Items that
        are not named keep the value that was seen before; those of the law "falling" may have any.
    :param missing: as `Operation.missing`.
    """

    name: str
    title: str
    act: Callable[[Rig, Memory, Memory, Observation], None]
    worlds: Callable[[Memory, Memory, Observation], Sequence[World]]
    missing: Callable[[Rig], str | None] | None = None


class CannotTell(Enum):
    """Type of CANNOT_TELL: the application cannot tell whose data it holds."""

    CANNOT_TELL = "cannot tell"


CANNOT_TELL: Final = CannotTell.CANNOT_TELL


def holds_nothing(rig: Rig) -> list[str]:
    """Return an empty list: `Application.foreign` of an application that keeps no data of an owner."""
    return []


@dataclass(frozen=True)
class Application:
    """One function of a key, with a client of its own.

    :param prepare: writes the canaries: data that every later check looks for; updates the memory. Data that the
        memory knows already are ours and may be removed.
    :param items: the items that are observed after a cut into any operation of the key.
    :param foreign: describes the data on the key that we did not make; empty if there are none. A key with such
        data is refused. Use `holds_nothing` for an application without data of an owner. Use CANNOT_TELL if the key
        does not tell whose data it holds: then nothing is refused, and `enroll` says so.
    :param blank: returns whether the application is empty, as far as it tells without cost.
    :param unseen: describes data that the application may hold without showing them; None if there are none.
    :param marker: returns the mark of a key without a serial number; None if it has no mark. Costs nothing.
    :param mark: marks an empty key, with the given mark or a new one, and returns the mark.
    :param randomness: takes a stream and returns a context manager; while it is entered, the application's client
        takes its random numbers from the stream. The runs of a twin repeat byte for byte only if every client that
        uses random numbers offers this.
    :param fault: turns an exception of the application's client library into a fault of the key: Refused for a
        refusal, another KeyFault for a wrong answer; None if the exception says nothing about the key. A client that
        raises Refused itself needs no such function.
    :param log: returns what the application's client library has logged lately, as its own users are asked for it; kept
        with what a cut has broken.
    :param homes: states that campaigns start from, besides the one that `prepare` lays down.
    :param next_actions: what an owner does with the application after a cut.
    :param volatile: returns a value that the application makes anew at each power-up and shows without cost; None if
        this key shows none. It differs between two boots and stays the same within one.
    :param keepalive_us: the longest time in microseconds that a key may be silent while it works on a request of this
        application; None if its transport has no keepalives.
    :param paired: what is written and undone hundreds of times, to see whether it takes room.
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
    log: Callable[[], str] | None = None
    keepalive_us: int | None = None
    paired: tuple[PairedWrite, ...] = ()
    homes: tuple[NamedHome, ...] = ()
    next_actions: tuple[NextAction, ...] = ()


@dataclass(frozen=True)
class Face:
    """One identity under which a key appears on the USB bus.

    :param serial_is: what this face shows as its USB serial number, by its name in what `Key.identify` returns
        ("uuid"); "" if it shows no serial number that the key's first face tells, too.
    :param manufacturer: iManufacturer of its twin on USB; "" shows none.
    """

    name: str
    vendor_id: int
    product_id: int
    product: str
    serial_is: str = ""
    manufacturer: str = ""


@dataclass(frozen=True)
class Key:
    """A model of key, put together from applications.

    :param identify: reads {"firmware": ..., "uuid": ...} from the key on a rig; costs nothing.
    :param rescue: brings a key back to its first face after an interrupted update, with the update container that
        the rig's bench names.
    :param fits_any: "ctaphid" or "card": a device with that endpoint is taken for this key if no face of another key
        has its USB ids. For keys that cannot be recognised by their ids.
    :param wear_baseline: what its twin's operations write, as `keyharness wear --write` has noted it; None if
        nothing is compared.
    """

    name: str
    title: str
    faces: tuple[Face, ...]
    applications: tuple[Application, ...]
    identify: Callable[[Rig], dict[str, str]]
    rescue: Callable[[Rig], None] | None = None
    fits_any: str = ""
    wear_baseline: Path | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def operations(self) -> dict[str, Operation]:
        return {op.name: op for app in self.applications for op in app.operations}

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(item for app in self.applications for item in app.items)

    @property
    def homes(self) -> dict[str, tuple[NamedHome, ...]]:
        """Name -> the parts of its applications, of each home besides the fresh one."""
        found: dict[str, tuple[NamedHome, ...]] = {}
        for part in (one for app in self.applications for one in app.homes):
            found[part.name] = (*found.get(part.name, ()), part)
        return found

    @property
    def next_actions(self) -> tuple[NextAction, ...]:
        return tuple(action for app in self.applications for action in app.next_actions)

    def told(self, rig: Rig) -> dict[str, str]:
        """Return what the key says of itself; empty if it gives no answer, or none that can be read.

        :raises CallerError: the bench is wrong.
        """
        try:
            return self.identify(rig)
        except CallerError:
            raise
        except Exception as error:
            if not isinstance(error, KeyharnessError | OSError) and self.fault(error) is None:
                raise
            return {}

    def fault(self, error: BaseException) -> KeyFault | None:
        """Return the fault of the key that an exception stands for; None if it says nothing about the key."""
        if isinstance(error, KeyFault):
            return error
        said = (one.fault(error) for one in self.applications if one.fault is not None)
        return next((fault for fault in said if fault is not None), None)


def client_logs(key: Key) -> dict[str, bytes]:
    """Return what the clients' libraries have logged lately: file name -> text."""
    logs = {app.name: app.log() for app in key.applications if app.log is not None}
    return {f"{name}.log": text.encode() for name, text in logs.items() if text}


@contextmanager
def client_randomness(key: Key, stream: Callable[[], Stream]) -> Iterator[None]:
    """While entered, the clients of all applications of a key take their random numbers from streams.

    :param stream: makes a stream; called once for each client.
    """
    with ExitStack() as stack:
        for inject in dict.fromkeys(one.randomness for one in key.applications):
            if inject is not None:
                stack.enter_context(inject(stream()))
        yield
