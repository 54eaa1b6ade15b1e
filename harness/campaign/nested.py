"""Cut the boot that follows a cut: the repair of a torn write is itself interrupted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.base.seeds import unit
from harness.campaign.cut_images import CutImage, Inspection, Resumed, spread
from harness.campaign.recording import RecordedOperation
from harness.campaign.worker_pool import Died
from harness.twin.trace import Cut, Recording, State

NESTED_STATES = 3
"""Number of states whose next boot is cut as well."""
BOOT_CUTS = 100
"""Cuts into each such boot. A boot that completes a reset has hundreds, and most of them write alike."""

PAIRED_OPS, SPREAD_OPS = 8, 4
"""On a chip with paired pages, every flash operation of the operation is crossed with every one of the boot after it,
where the operation has at most PAIRED_OPS there: as many as it takes to replace both copies of a bootloader's settings.
Of more, SPREAD_OPS evenly spread ones are crossed with as many."""

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
    """The images of second cuts, into the boot after a cut.

    Up to BOOT_CUTS evenly spread cuts into that boot, for a few of the states whose boot writes; and where the twin
    names pages that are written in pairs (`GlassBox.pairs`), flash operations on their chip crossed with those of the
    boot after it.

    :param outer: images of the operation's own cuts, with what was observed in each.
    """
    seed, phases = recorded.prepared.trace.tear_seed, recorded.glass.torn_phases
    writing: dict[bytes, CutImage] = {}
    for image in outer:
        digest = image.state.digest()
        seen = inspections[digest]
        if not isinstance(seen, Died) and seen.writes:
            writing.setdefault(digest, image)
    chosen = spread(list(writing.values()), NESTED_STATES, seed)
    paired = [image for image in _of_pairs(recorded, list(writing.values())) if image not in chosen]
    traces = _boots(recorded, [*chosen, *paired], processes)
    nested: list[CutImage] = []
    made: set[bytes] = set()
    for index, image in enumerate([*chosen, *paired]):
        trace = traces[index]
        if not isinstance(trace, Recording):
            continue
        cuts = trace.all_cuts(phases)
        if index < len(chosen):
            cuts = spread(cuts, BOOT_CUTS, seed)
        else:
            few = _ops_on(recorded.prepared.trace, _chip(recorded.prepared.trace, image)) > PAIRED_OPS
            cuts = _one_for_each(trace, cuts, seed, image.label, SPREAD_OPS if few else PAIRED_OPS)
        for cut, state in trace.images(cuts):
            if index >= len(chosen) and state.digest() in made:
                continue
            made.add(state.digest())
            label = f"{image.label}+boot1.{cut.label}"
            number = len(outer) + len(nested)
            nested.append(CutImage(image.cut, state, label, cut, number, index >= len(chosen)))
    return nested


def _boots(
    recorded: RecordedOperation, chosen: Sequence[CutImage], processes: int
) -> dict[int, Recording[State] | Died]:
    """Record the boot of each image."""
    glass, power = recorded.glass, recorded.rig.power
    traces: dict[int, Recording[State] | Died] = {}

    def boot(index: int) -> Recording[State]:
        glass.restore(chosen[index].state)
        glass.ready_to_record()
        return glass.record(power.on)

    recorded.pool(boot, processes).run(len(chosen), lambda index, trace: traces.update({index: trace}))
    return traces


def _of_pairs(recorded: RecordedOperation, writing: Sequence[CutImage]) -> list[CutImage]:
    """For each flash operation on a chip with paired pages the image of one phase, if the boot after it writes."""
    trace, pairs = recorded.prepared.trace, recorded.glass.pairs
    by_op: dict[str, dict[int, list[CutImage]]] = {}
    for image in writing:
        number = image.cut.flash_op
        if number <= len(trace.ops) and (chip := trace.ops[number - 1].chip) in pairs:
            by_op.setdefault(chip, {}).setdefault(number, []).append(image)
    return [
        found[int(unit(trace.tear_seed, "pair", number) * len(found))]
        for chip, of_chip in sorted(by_op.items())
        for number, found in spread(
            sorted(of_chip.items()),
            PAIRED_OPS if _ops_on(trace, chip) <= PAIRED_OPS else SPREAD_OPS,
            trace.tear_seed,
        )
    ]


def _ops_on(trace: Recording[State], chip: str) -> int:
    return sum(1 for op in trace.ops if op.chip == chip)


def _chip(trace: Recording[State], image: CutImage) -> str:
    return trace.ops[image.cut.flash_op - 1].chip


def _one_for_each(
    trace: Recording[State], cuts: Sequence[Cut], seed: bytes, label: str, most: int
) -> list[Cut]:
    """One phase of each flash operation of a boot, torn where that is modelled."""
    chosen = []
    for number in spread(range(1, len(trace.ops) + 1), most, seed):
        of_op = [cut for cut in cuts if cut.flash_op == number]
        inside = [cut for cut in of_op if cut.phase.startswith("torn")] or of_op[:1]
        chosen.append(inside[int(unit(seed, "second", label, number) * len(inside))])
    return chosen


def home_images(recorded: RecordedOperation, most: int | None, first_number: int) -> list[CutImage]:
    """The images of the cuts that are made from another home: spread evenly, and the end; None is every cut.

    :param first_number: the place of the first of them in the plan.
    :raises UncutFault: the key is not as it must be there, before anything was cut.
    """
    trace = recorded.prepare().trace
    *within, end = trace.all_cuts(recorded.glass.torn_phases)
    if most is not None:
        within = spread(within, max(0, most - 1), trace.tear_seed)
    return [
        CutImage(cut, state, cut.label, number=first_number + number)
        for number, (cut, state) in enumerate(trace.images([*within, end]))
    ]
