"""Measure a rig's switch: switch the power repeatedly and check what really happens.

That a switch reports success proves nothing. Each time three things are checked: the bus (has the key left it?), the
key (has it lost its volatile state?) and its neighbours (have they stayed?). A hub can take a key off the bus and
leave its power on: only the key itself can tell.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.base.errors import CallerError, RigError
from harness.bench.calibration import Calibration
from harness.evidence.ledger import now
from harness.host.host import Host
from harness.model.instant import CutInstant
from harness.model.rig import KeyGone, Rig
from harness.model.rig_parts import LiveCutter
from harness.run.switch_limits import NoProofError, host_lateness_us, require_fit
from harness.run.switch_witnesses import Witnesses
from harness.run.talk_to_cut import release_of, talk

LONG_OFF_US = 3_000_000
"""Without a load, VBUS can stay up for 2.5 s (OLPC #9566)."""
TRIED_OFF_MS = (1000, 500, 250, 100, 50, 20, 0)
TRIES = 3
"""Power cycles with which each time off has to prove itself."""
MARGIN = 2.0
SHORTEST_S = 0.1
"""Shortest rest: a proof that the key booted does not prove that all its charge was gone."""
LEAD_US = 50_000
"""Time between arming and the cut, in which the cutter receives the order."""
CYCLES = 30

Progress = Callable[[int, int, str], None]
"""(cycles done, most cycles, description of the last one)"""


@dataclass
class _Cycle:
    """One power cycle. Times in microseconds.

    :ivar cut_us: from the order until the key was seen to be gone; `gone_us` from the end of the switch's act.
    :ivar release_us: from the order until its power was gone (`release_of`); None if it was not talked to.
    """

    cut_us: int
    gone_us: int
    release_us: tuple[int, int] | None
    late_us: float
    off_us: int
    back_us: int
    lost_power: bool | None
    vanished: set[str] = field(default_factory=set)


class Calibrator:
    """Measures one rig, which must be claimed.

    :param host: the host on which the rig's neighbours are.
    :param cycles: largest number of power cycles.
    :param prove: called in each enumeration; raises RigError if the key on the rig is not the named one.
    """

    def __init__(
        self,
        rig: Rig,
        host: Host,
        cycles: int = CYCLES,
        on_progress: Progress | None = None,
        prove: Callable[[], None] | None = None,
    ):
        if rig.cutter is None:
            raise CallerError(
                f'rig "{rig.name}"',
                found=f"{rig.evidence_kind}: its cuts are computed",
                expected="a rig whose power is really switched",
            )
        self.rig, self._cycles = rig, cycles
        self._cutter: LiveCutter = rig.cutter
        self._say = on_progress or (lambda done, most, what: None)
        self._prove = prove or (lambda: None)
        self._witnesses = Witnesses(rig, host)
        self._seen: list[_Cycle] = []
        self._vanished: Counter[str] = Counter()
        self._host_late_us: list[float] = []

    def run(self) -> Calibration:
        """Measure the switch; the key is on afterwards.

        :raises HostBusyError: this host was too busy to measure it.
        :raises NoProofError: it is a hub, and the key shows nothing that it makes anew at each boot.
        :raises RigError: the power is not really cut, not in time or not always alike, neighbours lose their power,
            too, no key comes up, or another one than the named one.
        """
        rig = self.rig
        if not rig.power.is_on:
            rig.power.on()
        self._wait_up("before anything was switched")
        self._ask_who("before anything was switched")
        self._require_proof()
        self._host_late_us += host_lateness_us(rig.clock)
        self._cycle(LONG_OFF_US)
        self._cycle(LONG_OFF_US)
        shortest_us = self._shortest_off()
        rest_us = LONG_OFF_US if shortest_us is None else self._rest_us(shortest_us)
        if not rig.power.is_on:
            rig.power.on()
            self._wait_up("after the search for its shortest rest")
            self._ask_who("after the search for its shortest rest")
        good = [cycle for cycle in self._seen if cycle.lost_power is not False]
        while len(self._seen) < self._cycles:
            good.append(self._cycle(rest_us))
        self._host_late_us += host_lateness_us(rig.clock)
        found = self._found(good, shortest_us, rest_us)
        require_fit(found, self._cutter.delay)
        return found

    def _require_proof(self) -> None:
        """Refuse a hub behind a key that cannot tell one boot from another, before anything is switched.

        A relay interrupts the line, so a key that leaves the bus has lost its power. A hub is asked to by the kernel,
        which takes the key off the bus whether the hub cuts or not (disable_store in drivers/usb/core/port.c).
        """
        if not self._witnesses.is_hub or self._witnesses.mark() is not None:
            return
        raise NoProofError(
            f'rig "{self.rig.name}": nothing can prove that its hub cuts the power',
            found="the key shows nothing that it makes anew at each boot, and "
            + self._witnesses.switch_words("takes it off the bus whether it cuts or not"),
            expected="a key that shows its boots, or a switch that interrupts the power line",
            mend="calibrate this port with another key on it that shows them, by an entry without identity: the "
            "result is the port's, whatever key is on it; or use a relay; docs/rigs.md",
        )

    # One cycle.

    def _cycle(self, off_us: int, *, proves: bool = True) -> _Cycle:
        """Do one power cycle and check the bus, the key and its neighbours.

        :param off_us: time without power.
        :param proves: whether the key must have lost its charge after this time.
        """
        rig = self.rig
        before, mark = self._witnesses.others(), self._witnesses.mark()
        cut, release_us = self._cut()
        assert cut.fired_us is not None
        assert cut.lost_us is not None
        missing = {port: words for port, words in before.items() if port not in self._witnesses.others()}
        rig.clock.wait_us(max(0, cut.fired_us + off_us - rig.clock.now_us))
        on_us = rig.clock.now_us
        rig.power.on()
        when = f"after {(on_us - cut.fired_us) / 1e6:.2f} s without power"
        try:
            self._wait_up(when)
        except RigError:
            if proves:
                raise
            self._seen.append(_cycle_of(cut, release_us, on_us - cut.fired_us, 0, lost=False))
            return self._seen[-1]
        back_us = rig.clock.now_us - on_us
        # After each power-up, before it is cut again: whatever was put on the port meanwhile.
        self._ask_who(when)
        after = self._witnesses.others()
        # A neighbour that was enumerated anew has lost its power, too.
        renewed = {port: words for port, words in before.items() if port in after and after[port] != words}
        lost = None if mark is None else self._witnesses.mark() != mark
        cycle = _cycle_of(cut, release_us, on_us - cut.fired_us, back_us, lost=lost)
        cycle.vanished = {*missing, *renewed}
        self._seen.append(cycle)
        self._judge(cycle, before, proves)
        self._say(len(self._seen), self._cycles, _shown(cycle))
        return cycle

    def _cut(self) -> tuple[CutInstant, tuple[int, int] | None]:
        """Cut the key, every second time while it is talked to; how long it took until its power was gone.

        :raises RigError: the key is still there, or left by itself.
        """
        rig, cutter = self.rig, self._cutter
        cutter.prepare()
        rig.tap.clear()
        ordered_us = rig.clock.now_us + LEAD_US
        cutter.arm(ordered_us)
        talked = False
        if self._witnesses.shows and len(self._seen) % 2 == 0:
            talked = talk(self._witnesses.ask, rig.clock, ordered_us)
        try:
            cut = cutter.collect()
        except RigError as error:
            raise self._witnesses.still_there(error) from None
        finally:
            deaths = rig.take_deaths()
        if cut.fired_us is None or (cut.lost_us is None and not deaths):
            raise self._witnesses.still_there(None)
        if not cut.took or cut.lost_us is None:
            raise RigError(
                f'rig "{rig.name}": the key left the bus before it was cut',
                found="; ".join(deaths) or "it was gone when its switch was told",
                expected="a key that stays until its power goes",
                mend="see to its cable and its port, then run it again",
            )
        marks = rig.tap.marks if talked else ()
        return cut, release_of(cut, marks, seen_after=cutter.delay.seen_after)

    def _judge(self, cycle: _Cycle, before: dict[str, tuple[str, object]], proves: bool) -> None:
        if proves and cycle.lost_power is False:
            raise RigError(
                f'rig "{self.rig.name}": the key left the bus and kept its power',
                found=f"after {cycle.off_us / 1e6:.1f} s off it still had what it makes anew at each boot; "
                + self._witnesses.switch_words("takes it off the bus and does not cut its power"),
                expected="a key that boots",
                mend="cut the data lines too, or add a bleed resistor; or use a relay or another hub: "
                "docs/rigs.md",
            )
        for port in cycle.vanished:
            self._vanished[f"{port} ({before[port][0]})"] += 1
        gone = [words for words, times in self._vanished.items() if times > 1]
        if gone:
            raise RigError(
                f'rig "{self.rig.name}": others go with it when it is switched off',
                found=", ".join(gone) + "; " + self._witnesses.switch_words("switches more than its port"),
                expected="that everything else stays on",
                mend="move them to another hub, or use a hub that switches each port by itself",
            )

    def _wait_up(self, when: str) -> None:
        try:
            self.rig.wait_until_up()
        except KeyGone as gone:
            raise self._no_key(when, gone) from None

    def _ask_who(self, when: str) -> None:
        try:
            self._prove()
        except KeyGone as gone:
            raise self._no_key(when, gone) from None

    def _no_key(self, when: str, gone: KeyGone) -> RigError:
        return RigError(
            f'rig "{self.rig.name}": no key {when}',
            found=gone.what,
            expected="a key that comes up",
            mend=f"`keyharness recover {self.rig.name}`",
        )

    # How long the key has to be off.

    def _shortest_off(self) -> int | None:
        """Return the shortest time off after which the key had always lost its charge; None if it cannot be told."""
        if any(cycle.lost_power is None for cycle in self._seen):
            return None
        shortest_us: int = min(cycle.off_us for cycle in self._seen)
        for off_ms in TRIED_OFF_MS:
            tried: list[_Cycle] = []
            for _ in range(TRIES):
                if len(self._seen) >= self._cycles:
                    return shortest_us
                tried.append(self._cycle(off_ms * 1000, proves=False))
                if tried[-1].lost_power is not True:
                    self._settle()
                    return shortest_us
            shortest_us = max(cycle.off_us for cycle in tried)
        return shortest_us

    def _settle(self) -> None:
        """Give a key that may have kept half its charge a clean boot before the next measurement."""
        self.rig.power.off()
        self.rig.clock.wait_us(LONG_OFF_US)
        self.rig.power.on()
        self._wait_up("after a long rest")
        self._ask_who("after a long rest")

    @staticmethod
    def _rest_us(shortest_us: int) -> int:
        return max(round(SHORTEST_S * 1e6), round(shortest_us * MARGIN))

    # The result.

    def _found(self, good: Sequence[_Cycle], shortest_us: int | None, rest_us: int) -> Calibration:
        cuts = [cycle.cut_us / 1000 for cycle in self._seen]
        backs = [cycle.back_us / 1000 for cycle in good]
        releases = [cycle.release_us for cycle in self._seen if cycle.release_us is not None]
        starts = [least_us / 1000 for least_us, _ in releases]
        return Calibration(
            rig=self.rig.name,
            wiring=self.rig.wiring,
            at=now(),
            cycles=len(self._seen),
            cut_ms=round(statistics.median(cuts), 3),
            cut_p99_ms=round(_p99(cuts), 3),
            cut_jitter_ms=round(statistics.pstdev(cuts), 3),
            gone_most_ms=round(max(cycle.gone_us for cycle in self._seen) / 1000, 3),
            release_ms=(min(starts), max(most_us for _, most_us in releases) / 1000) if releases else None,
            lead_ms=round(statistics.median(starts), 3) if starts else None,
            release_jitter_ms=round(statistics.pstdev(starts), 3) if starts else None,
            host_late_ms=round(_p99(self._host_late_us) / 1000, 3),
            late_p99_ms=round(_p99([cycle.late_us / 1000 for cycle in self._seen]), 3),
            realtime=self._cutter.realtime,
            back_ms=round(statistics.median(backs), 1),
            back_p99_ms=round(_p99(backs), 1),
            shortest_off_ms=None if shortest_us is None else round(shortest_us / 1000, 1),
            off_s=None if shortest_us is None else round(rest_us / 1e6, 3),
            booted=all(cycle.lost_power is True for cycle in good),
            neighbours=tuple(sorted(self._vanished)),
            relay_operations=len(self._seen),
        )


def _cycle_of(
    cut: CutInstant, release_us: tuple[int, int] | None, off_us: int, back_us: int, *, lost: bool | None
) -> _Cycle:
    """:param cut: its key was seen to be gone. :param lost: whether the key lost its charge."""
    assert cut.lost_us is not None
    assert cut.fired_us is not None
    assert cut.acted_us is not None
    gone_us = max(0, cut.lost_us - cut.acted_us)
    return _Cycle(cut.lost_us - cut.fired_us, gone_us, release_us, cut.late_us, off_us, back_us, lost)


def _p99(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def _shown(cycle: _Cycle) -> str:
    power = {True: "booted", False: "kept its power", None: "came back"}[cycle.lost_power]
    talked = "" if cycle.release_us is None else f"answered for {cycle.release_us[0] / 1000:.1f} ms, "
    return (
        f"{talked}gone after {cycle.cut_us / 1000:.1f} ms, off for {cycle.off_us / 1000:.0f} ms, "
        f"{power} within {cycle.back_us / 1e6:.2f} s"
    )
