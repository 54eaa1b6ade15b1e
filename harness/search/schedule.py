"""The order of cuts of a campaign by time: those of the search, with cuts of other streams at fixed turns.

    nested   the boot after a cut is cut as well: the repair of a torn write is itself interrupted
    burst    the power comes back only for moments, several times in a row
    rest     the key is left without power for a long time before it is observed

Cuts of these streams are not covering: they are not spread over all instants.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from harness.base.seeds import child, unit
from harness.model.outcome import VIOLATIONS, Outcome
from harness.search.low_discrepancy import cover
from harness.search.plan import START, Plan, Stream
from harness.search.search import CutRequest, Search, Strategy
from harness.search.timing_profile import TimingProfile

TURNS: tuple[tuple[Stream, int, int], ...] = (("nested", 10, 9), ("burst", 50, 24), ("rest", 50, 44))
"""(stream, n, k): every n-th cut is of this stream; the k-th of each n."""
BOOT_ROOM = 1.25
"""A boot that repairs something takes longer: this factor of the longest boot seen."""
FLICKERS = 3
"""Number of moments of power in a burst."""
RESTS_US = (2_000_000, 0)
"""Times without power, in turn; 0 is as short as the rig can switch."""
REACTION_US = 200
"""A cut sooner after a marker cannot be armed in time: it is anchored to the marker before."""


def search_for(strategy: Strategy, seed: bytes, known: TimingProfile, at_end: str) -> Search:
    """A search over an operation with this timing profile. Its instants count from the first byte (`begin_us`).

    :param at_end: the outcome of the uncut run.
    """
    settled = Outcome(at_end) not in VIOLATIONS
    return Search(
        strategy,
        seed=seed,
        length=known.whole_us - known.begin_us,
        sigma=known.sigma_us,
        drift=known.drift,
        markers=[(name, at_us - known.begin_us) for name, at_us in known.markers[1:]],
        reaction=REACTION_US + known.lead_us,
        start=known.markers[0][0],
        ends=(Outcome.OLD, at_end) if settled else None,
    )


def plan_of(cut: CutRequest, begin_us: int = 0) -> Plan:
    """The search's cut as a plan, in whole microseconds after a marker.

    :param begin_us: of the operation's profile.
    """
    offset_us = round(cut.offset)
    time_us = round(cut.time - cut.offset) + offset_us + begin_us
    # The search knows nothing before the first byte; the start is before it.
    return Plan(cut.marker, offset_us + begin_us if cut.marker == START else offset_us, time_us, cut.stream)


class Schedule:
    """The cuts of one campaign, in order.

    Its answers depend on the seed and on the outcomes that were told, so an interrupted campaign is resumed by
    asking and telling again what was done. Several cuts may be asked for before the first of them is told.

    :param streams: the streams besides the search that get cuts.
    """

    def __init__(
        self,
        search: Search,
        profile: TimingProfile,
        seed: bytes,
        streams: Collection[Stream] = ("nested", "burst", "rest"),
    ):
        self.search, self.profile, self._seed = search, profile, seed
        self._others = [turn for turn in TURNS if turn[0] in streams]
        self._number = 0
        self._turns: dict[str, int] = {}
        self._asked: deque[CutRequest | None] = deque()

    @property
    def planned(self) -> int:
        """Number of cuts that were asked for."""
        return self._number

    def ask(self) -> Plan:
        """The next cut."""
        number, self._number = self._number, self._number + 1
        for stream, every, which in self._others:
            if number % every == which and (self.profile.boot_us or stream == "rest"):
                self._asked.append(None)
                return self._special(stream)
        cut = self.search.ask()
        self._asked.append(cut)
        return plan_of(cut, self.profile.begin_us)

    def tell(self, outcome: str, hit_us: float | None = None) -> None:
        """Tell the outcome of the earliest cut that was asked for and not told yet.

        :param hit_us: where it went, from the operation's start.
        """
        cut = self._asked.popleft()
        if cut is not None:
            self.search.tell(cut, outcome, None if hit_us is None else hit_us - self.profile.begin_us)

    def _special(self, stream: Stream) -> Plan:
        turn = self._turns.get(stream, 0)
        self._turns[stream] = turn + 1
        time_us = self._instant(stream, turn)
        marker, offset_us = self.profile.anchored(time_us)
        room_us = self.profile.boot_us * BOOT_ROOM
        boots: tuple[int, ...] = ()
        off_us = 0
        if stream == "nested":
            boots = (round(cover(1, child(self._seed, stream, "boot"), turn)[0] * room_us),)
        elif stream == "burst":
            boots = tuple(
                round(unit(self._seed, stream, turn, n) * self.profile.boot_us) for n in range(FLICKERS)
            )
        else:
            off_us = RESTS_US[turn % len(RESTS_US)]
        return Plan(marker, offset_us, time_us, stream, boots, off_us)

    def _instant(self, stream: Stream, turn: int) -> int:
        """The instant of the cut. Every second one lies where outcomes change: there a boot has most to repair."""
        edges = self.search.edges()
        if turn % 2 and edges:
            at = edges[turn // 2 % len(edges)][2] + self.search.sigma * (unit(self._seed, stream, turn) - 0.5)
        else:
            at = cover(1, child(self._seed, stream), turn)[0] * self.search.length
        return round(min(max(at, 0.0), self.search.length)) + self.profile.begin_us
