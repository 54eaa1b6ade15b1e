"""What records an operation of a key, so that the image of every cut into it can be computed.

Two kinds of keys have one: a simulated key (`harness.twin.glass_box`), and a firmware that runs as a process and
whose state files are recorded.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Generic, TypeVar

from harness.base.errors import HarnessFault
from harness.model.rig import Rig
from harness.model.rig_parts import Vault
from harness.twin.trace import Recording, State

S = TypeVar("S", bound=State)


class Recorder(Vault, Generic[S]):
    """Records and cuts what a key writes.

    :ivar torn_phases: how many torn states of each write are tried, besides before and after.
    :ivar is_metastable: whether the same state may read differently at each boot.
    :ivar may_vary: whether an operation has to be recorded twice to know whether it writes the same again.
    :ivar repeats: whether it does; then a live cut leaves the computed image.
    :ivar look_limit_s: longest time that one observation may take.
    :ivar most_processes: how many keys can run side by side; None for as many as there are processes.
    :ivar pairs: the chips on which two pages or records stand for each other: second cuts are enumerated there.
    """

    torn_phases: int
    is_metastable: bool = False
    may_vary: bool = False
    repeats: bool = True
    look_limit_s: float = 30.0
    most_processes: int | None = None
    pairs: Collection[str] = ()

    def ready_to_record(self) -> None:
        """Call while the key is off, before it is powered for something that will be recorded."""

    @abstractmethod
    def record(self, act: Callable[[], None]) -> Recording[S]:
        """Run `act` uncut and keep everything that is written, and every mark."""

    def before_repeat(self) -> None:
        """Call before an operation is recorded again for `compare`."""

    def compare(self, one: Recording[S], other: Recording[S]) -> None:
        """Note whether two recordings of the same operation, from the same state, wrote the same."""

    def give_way(self) -> None:
        """Free what only one process of this host can have: others will run the key."""

    @abstractmethod
    def writes(self, act: Callable[[], None]) -> int:
        """Run `act`; return how many writes it made, or 1 where only that there were some is known."""

    @abstractmethod
    def cut_live(self, act: Callable[[], None], number: int, phi: float, run: Recording[S]) -> bool:
        """Run `act` with the power failing in its write of that number, from 1; return whether it failed there.

        Call it in a disposable process.

        :param run: an earlier recording of `act`, whose writes are counted.
        :param phi: how far that write gets: 0 before it, between 0 and 1 torn, 1 after it.
        """

    def at_boot(self, state: S, number: int) -> S:
        """The same state some boots later, where what a boot reads depends on its number."""
        return state

    @abstractmethod
    def read_dump(self, path: Path, like: S) -> S:
        """Read a state from a dump that somebody took.

        :param like: a state of the same key: the dump has its size, and what the dump leaves out is as in it.
        :raises CallerError: it cannot be read, or does not fit.
        """

    @abstractmethod
    def distance(self, one: S, other: S) -> int:
        """Number of words in which two states differ."""

    def worn(self, before: S, after: S) -> Counter[tuple[str, int]]:
        """Erases between two states, by (chip, page); empty where states do not count them."""
        return Counter()


def recorder(rig: Rig) -> Recorder[State] | None:
    """What records the key on a rig; None where only the outside can be seen."""
    vault = rig.vault
    return vault if isinstance(vault, Recorder) else None


def require_recorder(rig: Rig) -> Recorder[State]:
    """What records the key on a rig.

    :raises HarnessFault: nothing does.
    """
    found = recorder(rig)
    if found is None:
        raise HarnessFault(f'rig "{rig.name}": this needs a key whose writes are recorded')
    return found
