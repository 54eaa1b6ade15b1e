"""Cut a sample live and compare: the power must really fail there, and leave the computed image, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from harness.base.errors import HarnessFault
from harness.campaign.cut_images import spread
from harness.campaign.recording import RecordedOperation
from harness.campaign.worker_pool import Died
from harness.twin.trace import Cut

LIVE_CHECKS = 3
TRIES = 3
"""How often a cut is made where the key need not write the same in each run."""


def check_live(recorded: RecordedOperation, cuts: Sequence[Cut]) -> int:
    """Cut the recorded operation live at a few of `cuts`.

    :returns: the number of cuts that were compared.
    :raises HarnessFault: a cut did not happen, or left another image than the computed one.
    """
    trace = recorded.prepared.trace
    real = [cut for cut in sorted(cuts, key=lambda cut: (cut.flash_op, cut.phi)) if trace.can_be_live(cut)]
    chosen = spread(real, LIVE_CHECKS, trace.tear_seed)
    for cut, state in trace.images(chosen):
        _check(recorded, cut, state.digest())
    return len(chosen)


def _check(recorded: RecordedOperation, cut: Cut, computed: bytes) -> None:
    """Cut live until it leaves the computed image, or the key turns out to write something else in each run.

    :raises HarnessFault: as `check_live`.
    """
    what = f"{recorded.operation.name} cut live at {cut.label}"
    for left in reversed(range(TRIES if recorded.glass.may_vary else 1)):
        wanted = computed if recorded.glass.repeats else None
        try:
            _compare(what, _alone(recorded, cut), wanted)
            return
        except HarnessFault:
            if not left:
                raise
            recorded.varies()


def _alone(recorded: RecordedOperation, cut: Cut) -> tuple[bool, bytes] | Died:
    """`_cut_live` in a process of its own: a twin that lost its power in the middle of C code is not used again."""
    results: list[tuple[bool, bytes] | Died] = []
    recorded.pool(lambda _: _cut_live(recorded, cut), 1).run(1, lambda _, got: results.append(got))
    return results[0]


def _cut_live(recorded: RecordedOperation, cut: Cut) -> tuple[bool, bytes]:
    """(whether the power failed there, digest of the image that was left)."""
    glass, rig, operation = recorded.glass, recorded.rig, recorded.operation
    recorded.begin()
    memory = recorded.prepared.judge.memory.copy()
    fired = glass.cut_live(lambda: operation.act(rig, memory), cut.flash_op, cut.phi, recorded.prepared.trace)
    return fired, glass.snapshot().digest()


def _compare(what: str, got: tuple[bool, bytes] | Died, wanted: bytes | None) -> None:
    if isinstance(got, Died):
        raise HarnessFault(f"{what}: the twin {got.how}")
    fired, digest = got
    if not fired:
        raise HarnessFault(f"{what}: the cut never fired")
    if wanted is not None and digest != wanted:
        raise HarnessFault(f"{what} left another image than the computed one")
