"""Where the power of one cut went: an interval, and whether that lies inside the operation.

No switch says at which instant the power was gone. It lies between two instants that are known:

    earliest  the later of: the last byte that the key sent; the order and the shortest delay of the switch
    latest    the earlier of: when the loss was seen, if that is later than the loss; the end of the switch's act and
              its longest delay

A cut is judged by this interval: it landed if all of it lies inside the operation, it missed if all of it lies outside,
and it is unresolved if the interval lies astride an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.model.instant import CutInstant

STRAYED_MAX = 0.02
"""Share of cuts that did not go as calibrated, above which a switch proves nothing."""


@dataclass(frozen=True)
class SwitchDelay:
    """What is known of a switch's delay, in microseconds.

    :ivar least_us: from the order until the power is gone, at least.
    :ivar most_us: from the end of the switch's act until the power is gone, at most; None if that is not known.
    :ivar gone_us: from the end of the act until the loss was seen, the longest that calibration measured; None
        if nothing was measured.
    :ivar tolerance_us: what a cut may exceed these limits by before it is called a stray.
    :ivar lead_us: how much earlier than wanted the switch is told.
    :ivar seen_after: whether the loss is seen only after the power went. False for a hub by sysfs: the kernel takes
        the key off the bus first.
    """

    least_us: int = 0
    most_us: int | None = None
    gone_us: int | None = None
    tolerance_us: int = 0
    lead_us: int = 0
    seen_after: bool = True


@dataclass(frozen=True)
class PowerLoss:
    """Between which instants the power went, in microseconds of the rig's clock.

    :ivar latest_us: None if nothing says when it was gone.
    :ivar strayed: why the switch did not do as its calibration says, in words; None if it did.
    """

    earliest_us: int
    latest_us: int | None
    strayed: str | None = None

    def since(self, start_us: int) -> PowerLoss:
        """The same interval, counted from another instant."""
        latest_us = None if self.latest_us is None else self.latest_us - start_us
        return PowerLoss(self.earliest_us - start_us, latest_us, self.strayed)

    def lies_within(self, began_us: int, ended_us: int) -> bool | None:
        """True: the power went within these instants. False: it did not. None: the interval lies astride one."""
        if self.earliest_us > ended_us or (self.latest_us is not None and self.latest_us < began_us):
            return False
        if self.earliest_us >= began_us and self.latest_us is not None and self.latest_us <= ended_us:
            return True
        return None


def power_loss(cut: CutInstant, delay: SwitchDelay, last_byte_us: int | None = None) -> PowerLoss | None:
    """Between which instants a cut took the power; None if it took none.

    A cut that did not go as calibrated is not judged by the calibration: what was seen of it remains.

    :param last_byte_us: when the last byte was received from the key.
    """
    if cut.fired_us is None or not cut.took:
        return None
    acted_us = cut.fired_us if cut.acted_us is None else cut.acted_us
    # What broke before the order is another loss: the key was told to reboot.
    lost_us = cut.lost_us if cut.lost_us is not None and cut.lost_us >= cut.fired_us else None
    seen_us = lost_us if delay.seen_after else None
    most_us = None if delay.most_us is None else acted_us + delay.most_us
    gone_us = None if delay.gone_us is None else acted_us + delay.gone_us
    least_us = cut.fired_us + delay.least_us
    excess_us = 0
    words = ""
    if gone_us is not None and lost_us is not None and lost_us > gone_us:
        excess_us, words = lost_us - gone_us, f"the key was gone {_ms(lost_us - acted_us)} after the order"
        words += f", and calibration measured at most {_ms(gone_us - acted_us)}"
    if most_us is not None and last_byte_us is not None and last_byte_us - most_us > excess_us:
        excess_us = last_byte_us - most_us
        words = f"the key still answered {_ms(last_byte_us - acted_us)} after the order"
        words += f", and its power goes at most {_ms(most_us - acted_us)} after it by calibration"
    if excess_us:
        most_us = None
    if seen_us is not None and seen_us < least_us:
        least_us = cut.fired_us
    latest_us = min((at_us for at_us in (seen_us, most_us) if at_us is not None), default=None)
    if last_byte_us is not None:
        # A byte may have waited in this host: no byte was sent after the loss.
        least_us = max(least_us, last_byte_us if latest_us is None else min(last_byte_us, latest_us))
    return PowerLoss(least_us, latest_us, words if excess_us > delay.tolerance_us else None)


def can_prove(switch: Mapping[str, object] | None) -> bool:
    """Does a campaign's switch allow a claim about where its cuts went?

    :param switch: the field `switch` of its line: `calibrated`, `cuts`, `strayed`. None if its cuts are computed, or
        end a process.
    """
    if switch is None:
        return True
    cuts, strayed = switch["cuts"], switch["strayed"]
    assert isinstance(cuts, int)
    assert isinstance(strayed, int)
    return bool(switch["calibrated"]) and strayed <= STRAYED_MAX * cuts


def _ms(us: int) -> str:
    return f"{us / 1000:.1f} ms"
