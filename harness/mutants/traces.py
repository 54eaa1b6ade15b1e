"""What a twin does, to be compared with the sound one: its answers, its flash operations, what is seen after cuts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from harness.base.errors import KeyFault
from harness.campaign.common import CampaignTerms
from harness.campaign.home import Home, missing
from harness.campaign.walk import Campaign
from harness.model.operation import Operation
from harness.search.stopping import Allowance
from harness.twin.rig import TwinRig
from harness.twin.trace import Trace

CUTS = 8
"""Evenly spread cuts into an operation after which a twin is compared."""
SEEDS = 3


@dataclass
class OperationTrace:
    """What one operation did on one seed. JSON-able.

    :ivar sent: digests of the packets that the key sent from its home to the look after the operation.
    :ivar flash: the flash operations, in order, with digests of what they programmed.
    :ivar after: what was observed after each cut; empty if that was not asked.
    """

    sent: list[str] = field(default_factory=list)
    flash: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


Traces = dict[str, OperationTrace]
"""By the name of the operation."""


def offered(rig: TwinRig, home: Home) -> list[Operation]:
    """The operations that the key of a rig offers."""
    return [one for one in rig.key.operations.values() if not missing(rig, home, one)]


def trace_of(rig: TwinRig, home: Home, operation: Operation, *, cut: bool = False) -> OperationTrace:
    """Run an operation uncut and note what the key does; `cut`: also cut it.

    :raises KeyFault: the key is not as it must be before anything was cut.
    """
    found = OperationTrace()
    rig.board.on_sent = lambda endpoint, packet: found.sent.append(f"{endpoint} {_digest(packet)}")
    try:
        campaign = Campaign(rig, operation, home, CampaignTerms(Allowance(CUTS)))
        trace = campaign.prepare().trace
    finally:
        rig.board.on_sent = None
    assert isinstance(trace, Trace), "the recording of a simulated key"
    found.flash = [
        f"{op.kind} {op.chip} page {op.page}" + (f" at {op.offset}: {_digest(op.data)}" if op.data else "")
        for op in trace.ops
    ]
    if cut:
        rows = campaign.run().rows
        found.after = [f"{row['id']} {row['outcome']} {row['world']} {row['changed']}" for row in rows]
    return found


def traces_of(rig: TwinRig, home: Home, *, cut: bool = False) -> Iterator[tuple[str, OperationTrace]]:
    """Trace every operation; one that fails before any cut has an empty trace."""
    for operation in offered(rig, home):
        try:
            yield operation.name, trace_of(rig, home, operation, cut=cut)
        except KeyFault:
            yield operation.name, OperationTrace()


def difference(sound: OperationTrace, other: OperationTrace) -> str | None:
    """What differs first, in words; None if nothing does."""
    for what, one, two in (
        ("flash operation", sound.flash, other.flash),
        ("packet sent", sound.sent, other.sent),
        ("cut", sound.after, other.after),
    ):
        if what == "cut" and not (one and two):
            continue
        if (at := _first(one, two)) is not None:
            if what == "flash operation":
                return f"{what} {at + 1} of {len(one)}: {_at(two, at)} instead of {_at(one, at)}"
            return f"{what} {at + 1} of {len(one)}"
    return None


def _first(one: Sequence[str], two: Sequence[str]) -> int | None:
    pairs = enumerate(zip_longest(one, two))
    return next((at for at, (mine, other) in pairs if mine != other), None)


def _at(entries: Sequence[str], at: int) -> str:
    return entries[at].partition(":")[0] if at < len(entries) else "none"


def differing(sound: Mapping[str, OperationTrace], other: Mapping[str, OperationTrace]) -> dict[str, str]:
    """Operation -> what differs first in it; of those that both have traced."""
    found = {name: difference(sound[name], one) for name, one in other.items() if name in sound}
    return {name: text for name, text in found.items() if text}


def otherwise_offered(sound: Iterable[str], other: Iterable[str]) -> dict[str, str]:
    """Operation -> that only one of two twins offers it, in words."""
    mine, its = set(sound), set(other)
    return {name: "it is offered" if name in its else "it is not offered" for name in sorted(mine ^ its)}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
