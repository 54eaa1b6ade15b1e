"""What `keyharness calibrate` accepts of a switch, and when this host is too busy to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.base.clock import Clock
from harness.base.errors import RigError
from harness.bench.calibration import Calibration
from harness.host.cutter import lateness_us
from harness.model.power_loss import SwitchDelay

RELEASE_MAX_MS = 200.0
"""A relay releases within 5 ms (data sheets), a program that switches starts within 100 ms."""
SPREAD_MAX_MS = 30.0
"""Standard deviation. A relay's is some ms; beyond this no cut can be aimed into an operation."""
LATE_MAX_MS = 250.0
"""A switch that takes an order later than this is blocked by something: a hub that enumerates, a shared board."""
GONE_MAX_MS = 1000.0
"""A hub tells of a disconnect within 256 ms (its status endpoint's interval at high speed, bInterval 12)."""
OFF_MAX_S = 5.0
"""A key that has to rest for longer makes no campaign."""
HOST_LATE_MAX_MS = 10.0
"""An idle host is late by 0.1 ms with real-time scheduling, by 5 ms without (p99)."""
WAKES, WAKE_US = 12, 1_000


class NoProofError(RigError):
    """Nothing on this rig can show that its switch cuts the power: nothing is said of the switch."""


class HostBusyError(RigError):
    """This host was too busy to measure a switch: that says nothing of the switch."""


@dataclass(frozen=True)
class _Excess:
    """One figure that is beyond its limit."""

    what: str
    found: str
    limit: str
    mend: str


def host_lateness_us(clock: Clock) -> list[float]:
    """How late this host is without a switch: the cutter's process, and a wait of this process."""
    late: list[float] = [float(us) for us in lateness_us()]
    for _ in range(WAKES):
        until_us = clock.now_us + WAKE_US
        clock.wait_us(WAKE_US)
        late.append(float(clock.now_us - until_us))
    return late


def require_fit(found: Calibration, said: SwitchDelay | None = None) -> None:
    """Refuse a switch whose figures are beyond the limits, or contradict the bench.

    :param said: what the bench says of the switch.
    :raises HostBusyError: they are, and this host was late itself.
    :raises RigError: they are.
    """
    excesses = [*_excesses(found), *_contradiction(found, said or SwitchDelay())]
    if not excesses:
        return
    measured = "; ".join(f"{one.what}: {one.found}" for one in excesses)
    expected = "; ".join(f"{one.what}: {one.limit}" for one in excesses)
    if (found.host_late_ms or 0) > HOST_LATE_MAX_MS:
        raise HostBusyError(
            f'rig "{found.rig}": this host was too loaded to measure its switch',
            found=f"the host itself was late by {found.host_late_ms:g} ms without a switch (p99); {measured}",
            expected=f"a host that is late by at most {HOST_LATE_MAX_MS:g} ms; {expected}",
            mend="end other work on this host, or give real-time scheduling (`keyharness doctor`), and run it again",
        )
    raise RigError(
        f'rig "{found.rig}": its switch is not fit for cuts',
        found=measured,
        expected=f"{expected} (the host itself was late by {found.host_late_ms or 0:g} ms)",
        mend="; ".join(dict.fromkeys(one.mend for one in excesses)),
    )


def _contradiction(found: Calibration, said: SwitchDelay) -> Sequence[_Excess]:
    """The release that was measured lies outside the one that the bench gives."""
    if said.most_us is None or found.release_ms is None:
        return ()
    (least_ms, most_ms), (early_ms, late_ms) = found.release_ms, (said.least_us / 1000, said.most_us / 1000)
    if least_ms <= late_ms and early_ms <= most_ms:
        return ()
    return (
        _Excess(
            "release_ms",
            f"by the key's last answer its power goes {least_ms:g} to {most_ms:g} ms after the order",
            f"{early_ms:g} to {late_ms:g} ms, as the bench says",
            "measure it with a meter, or leave release_ms out of the bench",
        ),
    )


def _excesses(found: Calibration) -> Sequence[_Excess]:
    relay = "see to the relay, its supply and its wiring, or use another switch: docs/rigs.md"
    figures = (
        (
            "longest delay until the power is gone",
            found.release_ms and found.release_ms[1],
            RELEASE_MAX_MS,
            relay,
        ),
        ("spread of this delay", found.release_jitter_ms, SPREAD_MAX_MS, relay),
        (
            "order taken late",
            found.late_p99_ms,
            LATE_MAX_MS,
            "give the key a hub or board of its own: others on it delay its orders",
        ),
        ("longest time until the key is gone", found.gone_most_ms, GONE_MAX_MS, relay),
        (
            "time that the key has to rest",
            found.off_s and 1000 * found.off_s,
            1000 * OFF_MAX_S,
            "add a bleed resistor across the key's supply, or cut its data lines too",
        ),
    )
    return [
        _Excess(what, f"{ms:g} ms", f"at most {most_ms:g} ms", mend)
        for what, ms, most_ms, mend in figures
        if ms is not None and ms > most_ms
    ]
