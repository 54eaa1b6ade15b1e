"""Updates that are broken off with the power on, cut twice, or meet another key (docs/updates.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.api import (
    KeyGone,
    PowerLost,
    Rig,
    RigError,
    Stream,
    TwinRig,
    UpdateRefused,
    UpdaterKilled,
    cut_at,
    images,
    require_glass_box,
)
from harness_suites.downgrade.bench import Prepared, data_judged, in_state, prepared, running, updates_of

WRITES_MIN = 60
"""An update of eight pages writes more often than this, so every chunk has been the last one once."""
PAIRS_OF_CUTS = 30


def _nothing(rig: TwinRig) -> None:
    """The updater was killed and the bus has not noticed."""


def _bus_reset(rig: TwinRig) -> None:
    rig.board.firmware.bus_reset()  # type: ignore[union-attr]


ABORTS: dict[str, tuple[float, Callable[[TwinRig], None]]] = {
    "killed-between-frames": (0.0, _nothing),
    "killed-in-a-frame": (0.5, _nothing),
    "bus-reset-in-a-frame": (0.5, _bus_reset),
}


@pytest.mark.parametrize("abort", ABORTS)
def test_an_update_broken_off_at_any_frame_is_taken_up_with_the_power_on(
    rig: Rig, abort: str, record_property: Callable[[str, object], None]
) -> None:
    """Kill the updater, or reset the bus, at each frame; the same container then completes.

    The power stays on, so the key keeps the data that it has received. Only the next updater tells it to go on.

    Policy: at once, or at the latest after the key was plugged in again. Two things need that, by what was read
    of the vendor's client and of Nordic's bootloader: an object that was created and got no chunk is executed
    by the client on a page's border, which the key refuses (not permitted); and half an Execute of the last
    object is made whole by the next client's first frame, so that the key starts the new firmware under it.
    """
    share, happens = ABORTS[abort]
    updates = updates_of(rig)
    container = updates.container(rig, updates.target)
    replugged: list[int] = []
    for at in range(1, 1000):
        key = in_state(rig, updates_of(rig).installed, "bootloader")
        real = key.rig.transports
        key.rig.transports = updates.killed_updater(real, at, share)
        try:
            key.update(container)
        except UpdaterKilled:
            pass
        else:
            assert at > WRITES_MIN
            record_property("frames that needed a replug", replugged)
            assert len(replugged) <= at // 5, replugged
            return
        finally:
            key.rig.transports = real
        happens(key.rig)
        try:
            key.update(container)
        except (UpdateRefused, KeyGone):
            replugged.append(at)
            if running(key.rig) != f"application v{key.updates.target}":
                key.update(container)
        assert running(key.rig) == f"application v{key.updates.target}", f"{abort} at frame {at}"
    pytest.fail("the update never came to its end")


def test_an_update_cut_twice_in_a_row_completes_with_all_data(rig: Rig) -> None:
    """A cut in the update, another in the run that was to complete it, seeded; then the container once more."""
    key = prepared(rig, updates_of(rig).installed)
    updates = updates_of(rig)
    container = updates.container(rig, updates.target)
    stream = Stream(rig.seed, "two cuts", rig.name)
    require_glass_box(key.rig).restore(key.states["application"])
    key.rig.power.on()
    first = require_glass_box(key.rig).record(lambda: key.update(container))
    labels = set()
    for _ in range(PAIRS_OF_CUTS):
        label = _label(stream, first.boots[-1])
        ((_, state),) = images(first, [cut_at(first, label, key.rig.inside.torn_phases)])
        require_glass_box(key.rig).restore(state)
        key.rig.power.on()
        second = require_glass_box(key.rig).record(lambda: key.update(container))
        again = _label(stream, max(2, len(second.ops)))
        ((_, state),) = images(second, [cut_at(second, again, key.rig.inside.torn_phases)])
        require_glass_box(key.rig).restore(state)
        key.rig.power.on()
        key.update(container)
        labels.add((label, again))
        assert running(key.rig) == f"application v{key.updates.target}", (label, again)
        judged = data_judged(key)
        assert not judged.breaches, (label, again, judged.breaches)
    assert len(labels) > PAIRS_OF_CUTS // 2


def _label(stream: Stream, ops: int) -> str:
    phase = ("before", "torn1", "torn2", "torn3", "torn4", "after")[stream.below(6)]
    return f"op{1 + stream.below(ops)}.{phase}"


def test_a_cut_between_any_two_frames_completes(rig: Rig) -> None:
    """The power goes between two frames, where nothing is being written: from the start, the same container."""
    updates = updates_of(rig)
    container = updates.container(rig, updates.target)
    for at in range(1, 1000):
        key = in_state(rig, updates_of(rig).installed, "bootloader")
        real = key.rig.transports
        key.rig.transports = updates.killed_updater(real, at, 0.0)
        try:
            key.update(container)
        except (UpdaterKilled, PowerLost):
            pass
        else:
            assert at > WRITES_MIN
            return
        finally:
            key.rig.transports = real
        shown = running(key.rig)
        assert shown in (f"application v{key.updates.installed}", "bootloader"), at
        key.update(container)
        assert running(key.rig) == f"application v{key.updates.target}", at
    pytest.fail("the update never came to its end")


def test_a_second_key_of_the_same_model_is_left_alone(rig: Rig) -> None:
    """It appears in its own bootloader while the first one is updated: the first one gets the firmware."""
    key = in_state(rig, updates_of(rig).installed, "application")
    other = _other(key)
    start = require_glass_box(other).snapshot()
    seen: list[str] = []

    def progress(phase: str, done: int, total: int) -> None:
        if phase == "transfer" and done and not other.power.is_on:
            other.power.on()
            seen.append(f"{done} of {total}")

    data = key.container(key.updates.target).data
    key.updates.update(key.rig, data, uuid=key.uuid, progress=progress)
    assert seen, "the second key never appeared"
    assert running(key.rig) == f"application v{key.updates.target}"
    assert require_glass_box(other).differing(start, require_glass_box(other).snapshot()) == []


def test_another_key_in_the_port_is_not_flashed(rig: Rig) -> None:
    """Swapped while the updater waits for the bootloader: the proof is the UUID, and the update stops."""
    key = in_state(rig, updates_of(rig).installed, "application")
    other = _other(key)
    other.power.on()
    start = require_glass_box(other).snapshot()
    mine = key.rig.board

    def swap() -> None:
        key.rig.board = other.board

    data = key.container(key.updates.target).data
    try:
        with pytest.raises(RigError, match="another key is in the port"):
            key.updates.update(key.rig, data, uuid=key.uuid, before_bootloader=swap)
    finally:
        key.rig.board = mine
    assert require_glass_box(other).differing(start, require_glass_box(other).snapshot()) == []
    # The key that was meant still stands in its bootloader, untouched.
    assert running(key.rig) == f"application v{key.updates.installed}"


def _other(key: Prepared) -> TwinRig:
    """A second key, of another seed, whose bootloader stays because its application was cut."""
    rig = TwinRig("other", key.rig.key, key.rig.model, replace(key.rig.options), key.rig.seed + 1, True)
    state = require_glass_box(rig).snapshot()
    require_glass_box(rig).restore(key.updates.without_application(state))
    return rig
