"""What is tested: keys and their applications.

A plugin describes its key with these dataclasses. Campaigns, the judge and reports use nothing else.

    Key -> Application -> Operation, Item   harness.model.operation
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.base.errors import CallerError, KeyFault, KeyharnessError
from harness.model.memory import Memory
from harness.model.operation import Item, NamedHome, NextAction, Operation, PairedWrite

if TYPE_CHECKING:
    from harness.base.seeds import Stream
    from harness.model.rig import Rig


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
