"""What the applications of a twin stand on during one boot: stores, random numbers, time, defects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.base.seeds import Stream

if TYPE_CHECKING:
    from harness.twin.board import Board
    from harness.twin.littlefs_store import Store


class Platform:
    """One boot of a board, as its applications see it.

    :param internal: the file system on the internal flash.
    :param external: the one on the external flash.
    :param defects: names of the bugs that were put in.
    :ivar tick: called after each piece of work, so that a keepalive is sent when it is due.
    :ivar channel: says which channel the message at hand came on; 'next' commands stay on theirs.
    :ivar credentials: the directory of the resident credentials.
    :ivar faults: init status bits that applications have set (SDK, admin_app.InitStatus).
    """

    def __init__(self, board: Board, internal: Store, external: Store, defects: frozenset[str] = frozenset()):
        self.board = board
        self.internal = internal
        self.external = external
        self.defects = defects
        self.faults = 0
        self.credentials = "fido/rk"
        self.tick: Callable[[], None] = _nothing
        self.channel: Callable[[], int] = lambda: 0
        self._streams: dict[str, Stream] = {}

    def stream(self, purpose: str) -> Stream:
        """This boot's random numbers for one purpose."""
        stream = self._streams.get(purpose)
        if stream is None:
            stream = self._streams[purpose] = self.board.random(purpose)
        return stream

    def random(self, purpose: str, count: int) -> bytes:
        return self.stream(purpose).bytes(count)

    def work(self, duration_us: int) -> None:
        """Compute for a while. Raises PowerLost if the power failed meanwhile."""
        self.board.clock.wait_us(duration_us)
        self.board.rail.check()
        self.tick()

    @property
    def now_us(self) -> int:
        return self.board.clock.now_us


def _nothing() -> None:
    pass
