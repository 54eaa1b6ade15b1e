"""Calibrations: how long a cut takes on a rig, how long its key has to be off, and when the key is back.

One file for each wiring, beside the ledger, because these are properties of the switch, the cable and the key.
`keyharness calibrate` (harness/run/measure_switch.py) makes them; benches and searches use them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.atomic_file import read_json, write_durably
from harness.base.file_name import file_name
from harness.base.shape import misfit, shape_of
from harness.base.visible import first_line
from harness.evidence.ledger import state_dir
from harness.model.power_loss import SwitchDelay

if TYPE_CHECKING:
    from harness.bench.plugin_api import Actuator
    from harness.model.rig import Rig

OLD_DAYS = 30
TOLERANCE_US = 20_000
"""A busy host sees a key go later by this than an idle one."""
RESTS = ("off_s", "off_time_s")
"""The names that drivers give to the shortest time that a key stays without power."""


@dataclass(frozen=True)
class Calibration:
    """The calibration of one rig. Times are in milliseconds unless their name says otherwise.

    :ivar wiring: see `harness.bench.bench.LoadedBench.wiring`.
    :ivar at: when it was made, in UTC, e.g. 2026-11-20T09:30:12Z.
    :ivar cut_ms: from the command until the key was seen to be gone, median; `cut_p99_ms` is the 99th percentile,
        `cut_jitter_ms` the standard deviation.
    :ivar gone_most_ms: from the end of the switch's act until the key was seen to be gone, the longest.
    :ivar release_ms: from the command until the power is gone, (least, most), as the key's last answers tell; None if
        the key was not talked to while it was cut.
    :ivar lead_ms: the median of these; `release_jitter_ms` is their standard deviation.
    :ivar late_p99_ms: how late the command itself was when the switch had taken it, 99th percentile.
    :ivar host_late_ms: how late this host's cutter was meanwhile without a switch, 99th percentile.
    :ivar back_ms: from power-on until the key can be talked to, median; `back_p99_ms` is the 99th percentile.
    :ivar shortest_off_ms: the shortest time without power after which the key had always lost its volatile state;
        None if the key shows no such state.
    :ivar off_s: how long the key should be off, in seconds: twice that time, or what the bench says if it is unknown.
    :ivar booted: whether the key itself proved each power cycle, not only the bus.
    :ivar neighbours: descriptions of devices that lost power once together with the key; more than once is a fault.
    :ivar relay_operations: how many the calibration spent.
    :ivar fault: why the rig is not fit for cuts; None if it is.
    """

    rig: str
    wiring: str
    at: str
    cycles: int = 0
    cut_ms: float | None = None
    cut_p99_ms: float | None = None
    cut_jitter_ms: float | None = None
    gone_most_ms: float | None = None
    release_ms: tuple[float, float] | None = None
    lead_ms: float | None = None
    release_jitter_ms: float | None = None
    late_p99_ms: float | None = None
    host_late_ms: float | None = None
    realtime: bool = False
    back_ms: float | None = None
    back_p99_ms: float | None = None
    shortest_off_ms: float | None = None
    off_s: float | None = None
    booted: bool = False
    neighbours: tuple[str, ...] = ()
    relay_operations: int = 0
    fault: str | None = None

    def age_days(self, now: datetime | None = None) -> float:
        then = datetime.strptime(self.at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        return ((now or datetime.now(UTC)) - then).total_seconds() / 86_400


def _path(wiring: str) -> Path:
    return state_dir() / "calibration" / file_name(wiring, ".json", keep="start")


def keep(calibration: Calibration) -> Path:
    """Write a calibration in place of an earlier one of the same wiring; return the file.

    :raises RigError: it cannot be written.
    """
    path = _path(calibration.wiring)
    write_durably(path, asdict(calibration))
    return path


def calibration_for(wiring: str) -> Calibration | None:
    """Return the last calibration of a wiring; None if there is none, or an unknown version wrote it."""
    if not wiring or (kept := read_json(_path(wiring))) is None:
        return None
    if misfit(kept, shape_of(Calibration)) is not None:
        return None
    known = {field.name for field in fields(Calibration)}
    found = Calibration(**{name: value for name, value in kept.items() if name in known})
    try:
        found.age_days()
    except ValueError:
        return None
    if found.wiring != wiring:
        return None
    release_ms = None if found.release_ms is None else (found.release_ms[0], found.release_ms[1])
    return replace(found, neighbours=tuple(found.neighbours), release_ms=release_ms)


def calibration_of(rig: Rig) -> Calibration | None:
    """Return the last calibration of a rig as it is wired now; None if there is none, or it failed."""
    found = calibration_for(rig.wiring)
    return found if found is not None and found.fault is None else None


def is_calibrated(rig: Rig) -> bool:
    """Is it known when the power of a rig goes? Computed cuts, and the end of a process, need no calibration.

    Where the key is seen to leave before its power goes (a hub by sysfs), a calibration that did not measure the power
    itself says nothing of it.
    """
    if rig.evidence_kind != "hardware":
        return True
    if (found := calibration_of(rig)) is None:
        return False
    said = rig.cutter.delay if rig.cutter is not None else SwitchDelay()
    return said.seen_after or said.most_us is not None or found.release_ms is not None


def delay_of(rig: Rig) -> SwitchDelay:
    """Return what is known of a rig's switch: from its calibration, and from the bench or the board's data sheet.

    Without a calibration the switch is not believed: only what was seen limits when the power went.
    """
    assert rig.cutter is not None, "the rig cuts nothing"
    said = rig.cutter.delay
    if rig.evidence_kind != "hardware":
        return said
    lead_us = (said.least_us + said.most_us) // 2 if said.most_us is not None else 0
    found = calibration_of(rig)
    if found is None:
        return SwitchDelay(lead_us=lead_us, seen_after=said.seen_after)
    # Earlier versions kept no longest time.
    gone_us = round(1000 * (found.gone_most_ms or found.cut_p99_ms or 0))
    tolerance_us = max(TOLERANCE_US, round(3000 * (found.cut_jitter_ms or 0)))
    least_us, most_us = said.least_us, said.most_us
    if most_us is None and found.release_ms is not None:
        least_us, most_us = (round(1000 * ms) for ms in found.release_ms)
        lead_us = round(1000 * (found.lead_ms or 0))
    if most_us is None and said.seen_after:
        most_us = gone_us
    return SwitchDelay(least_us, most_us, gone_us, tolerance_us, lead_us, said.seen_after)


def complaint(rig: Rig, now: datetime | None = None) -> str | None:
    """Say what is wrong with a rig's calibration; None if nothing is wrong, or the rig needs none."""
    if rig.evidence_kind != "hardware":
        return None
    return complaint_about(rig.name, calibration_for(rig.wiring), now)


def complaint_about(name: str, found: Calibration | None, now: datetime | None = None) -> str | None:
    """Say what is wrong with the calibration that was kept for a rig; None if nothing is."""
    if found is None:
        return (
            f'rig "{name}" was not calibrated as it is wired now: whether its power really goes is not known'
        )
    if found.fault is not None:
        return f'rig "{name}" failed its calibration: {first_line(found.fault)}'
    if (days := found.age_days(now)) > OLD_DAYS:
        return f'rig "{name}" was last calibrated {days:.0f} days ago'
    return None


def rested(
    options: Any, power: Actuator | None, wiring: str, rest_s: float | None
) -> tuple[Any, Actuator | None]:
    """Return a rig's options and its switch with the calibrated time that the key stays off.

    :param rest_s: this time instead, in seconds, even if the bench says another; for measuring it.
    """
    if rest_s is None:
        found = calibration_for(wiring) if power is not None else None
        off_s = found.off_s if found is not None and found.fault is None else None
        if off_s is None:
            return options, power
    else:
        off_s = rest_s

    def with_rest(model: Any) -> Any:
        names = [name for name in RESTS if name in type(model).model_fields]
        if rest_s is None:
            names = [name for name in names if name not in model.model_fields_set]
        return model.model_copy(update=dict.fromkeys(names, off_s))

    if power is not None:
        power = replace(power, options=with_rest(power.options))
    return with_rest(options), power
