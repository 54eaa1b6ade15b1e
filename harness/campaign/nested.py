"""Cut the boot that follows a cut: the repair of a torn write is itself interrupted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.campaign.cut_images import CutImage, Inspection, Resumed, spread
from harness.campaign.recording import RecordedOperation
from harness.campaign.worker_pool import Died
from harness.twin.trace import Cut, Recording

NESTED_STATES = 3
"""Number of states whose next boot is cut as well."""

Inspections = dict[bytes, Inspection | Died | Resumed]
"""What was observed in an image, by the image's digest."""


@dataclass(frozen=True)
class Booted:
    """What is known of an image that was booted and not observed: does that boot write?"""

    writes: bool


def second_cuts(recorded: RecordedOperation, cuts: Sequence[Cut], processes: int) -> int:
    """Number of second cuts that an exhaustive walk of `cuts` makes: as many as `nested_images` returns in the walk.

    Each distinct image is booted, and none is observed. So a key that stops to answer while it is observed is not known
    here, and the number is exact for keys that answer.
    """
    outer = [CutImage(cut, state, cut.label) for cut, state in recorded.prepared.trace.images(cuts)]
    distinct = list({image.state.digest(): image for image in outer}.items())
    booted: dict[bytes, Booted | Died] = {}

    def boot(index: int) -> Booted:
        recorded.glass.restore(distinct[index][1].state)
        return Booted(bool(recorded.glass.writes(recorded.rig.power.on)))

    def arrived(index: int, found: Booted | Died) -> None:
        booted[distinct[index][0]] = found

    recorded.pool(boot, processes).run(len(distinct), arrived)
    return len(nested_images(recorded, outer, booted, processes))


def nested_images(
    recorded: RecordedOperation,
    outer: Sequence[CutImage],
    inspections: Mapping[bytes, Inspection | Resumed | Booted | Died],
    processes: int,
) -> list[CutImage]:
    """The images of all cuts into the boot after a cut, for a few of the states whose boot writes.

    :param outer: images of the operation's own cuts, with what was observed in each.
    """
    glass, power = recorded.glass, recorded.rig.power
    writing: dict[bytes, CutImage] = {}
    for image in outer:
        digest = image.state.digest()
        seen = inspections[digest]
        if not isinstance(seen, Died) and seen.writes:
            writing.setdefault(digest, image)
    chosen = spread(list(writing.values()), NESTED_STATES, recorded.prepared.trace.tear_seed)
    traces: dict[int, Recording[Any] | Died] = {}

    def boot(index: int) -> Recording[Any]:
        glass.restore(chosen[index].state)
        glass.ready_to_record()
        return glass.record(power.on)

    recorded.pool(boot, processes).run(len(chosen), lambda index, trace: traces.update({index: trace}))
    nested: list[CutImage] = []
    for index, image in enumerate(chosen):
        trace = traces[index]
        if isinstance(trace, Recording):
            for cut, state in trace.images(trace.all_cuts(glass.torn_phases)):
                label = f"{image.label}+boot1.{cut.label}"
                nested.append(CutImage(image.cut, state, label, cut, len(outer) + len(nested)))
    return nested
