"""One boot of a board as its applications see it: stores, random numbers, time, defects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from harness.base.errors import HarnessFault
from harness.base.seeds import Stream

if TYPE_CHECKING:
    from harness.twin.board import Board
    from harness.twin.littlefs_store import Store


class Platform:
    """The services that one boot of a board offers to its applications.

    :param stores: name -> file system. The key chooses the names; each application documents which it needs.
    :param defects: names of the seeded defects.
    :ivar tick: called after each piece of work, so that a transport can send a keepalive that is due.
    :ivar channel: returns the channel of the current message, for applications that tell hosts apart.
    :ivar faults: error bits that applications have set in this boot; the key defines their meaning.
    """

    def __init__(self, board: Board, stores: Mapping[str, Store], defects: frozenset[str] = frozenset()):
        self.board = board
        self.defects = defects
        self.faults = 0
        self.tick: Callable[[], None] = _nothing
        self.channel: Callable[[], int] = lambda: 0
        self._stores = dict(stores)
        board.stores |= stores
        self._streams: dict[str, Stream] = {}

    def store(self, name: str) -> Store:
        """The file system of that name.

        :raises HarnessFault: the key has none of that name.
        """
        if name not in self._stores:
            have = ", ".join(self._stores) or "none"
            raise HarnessFault(f'an application asks for the store "{name}"; this twin has: {have}')
        return self._stores[name]

    def stream(self, purpose: str) -> Stream:
        """The random numbers of this boot for one purpose."""
        stream = self._streams.get(purpose)
        if stream is None:
            stream = self._streams[purpose] = self.board.random(purpose)
        return stream

    def random(self, purpose: str, count: int) -> bytes:
        """The next `count` random bytes of this boot for one purpose."""
        return self.stream(purpose).bytes(count)

    def work(self, duration_us: int) -> None:
        """Compute for `duration_us` microseconds.

        :raises PowerLost: the power failed meanwhile.
        """
        self.board.clock.wait_us(duration_us)
        self.board.rail.check()
        self.tick()

    @property
    def now_us(self) -> int:
        """The time on the board's clock, in microseconds."""
        return self.board.clock.now_us


def _nothing() -> None:
    pass
