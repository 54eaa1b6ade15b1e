"""Keys with any version on them, in any of the states that a case starts from. Twins only, so far.

A real key cannot be set back to an older version, so it can be asked only what its own version answers; that
part is not here yet, and such rigs are skipped with this reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from harness.campaign.home import Home, go_home, seeded
from harness.campaign.observe import Seen, observe
from harness.model.judge import Judgement, judge
from harness.model.key import ANY, Memory, new
from harness.model.rig import Rig
from harness.twin.glass_box import require_glass_box
from harness.twin.image import BoardState
from harness.twin.rig import TwinRig
from harness.twin.trace import Trace, cut_at, images
from harness_nitrokey3 import bootloader_probe, containers, signing
from harness_nitrokey3.admin import identify
from harness_nitrokey3.containers import Container
from harness_nitrokey3.images import Recipe, core
from harness_nitrokey3.twin.dfu_image import number_of, text_of
from harness_nitrokey3.update_operations import DELETED
from harness_nitrokey3.updater import update

CUTS = (0.25, 0.5, 0.75)
"""How far each of several updates in a row gets."""


@dataclass
class Prepared:
    """A key of one version.

    :ivar home: with canaries laid down. :ivar uuid: None where the firmware does not tell.
    """

    rig: TwinRig
    home: Home
    uuid: int | None
    before: Seen
    states: dict[str, BoardState]


_PREPARED: dict[tuple[str, int, str, str, float], Prepared] = {}


def prepared(rig: Rig, version: str, fill: float = 0.0) -> Prepared:
    """A key as the one on `rig`, with another version, filled up so far; made once a process."""
    if not isinstance(rig, TwinRig):
        pytest.skip(f"a real key cannot be set back to v{version}: on this rig the suite has nothing to ask")
    at = (rig.name, rig.seed, rig.fingerprint(), version, fill)
    if at not in _PREPARED:
        twin = TwinRig(
            rig.name, rig.key, rig.model, replace(rig.options, version=version, fill=fill), rig.seed, True
        )
        home = go_home(twin)
        assert home.state is not None
        require_glass_box(twin).restore(home.state)
        twin.power.on()
        uuid = identify(twin)["uuid"]
        with seeded(twin, "before", version):
            before = observe(twin, twin.key.items, home.memory, home.memory)
        _PREPARED[at] = Prepared(
            twin, home, int(uuid, 16) if uuid else None, before, {"application": home.state}
        )
    return _PREPARED[at]


def container(rig: Rig, version: str) -> Container:
    return containers.make(signing.seed_of(rig), Recipe(version))


def after(version: str) -> str:
    """The next higher version."""
    return text_of(number_of(version) + 1)


def in_state(rig: Rig, version: str, state: str, fill: float = 0.0) -> Prepared:
    """A key with `version`, brought into a state of `table.STATES`; it is on."""
    key = prepared(rig, version, fill)
    if state not in key.states:
        key.states[state] = _make(rig, key, version, state)
    require_glass_box(key.rig).restore(key.states[state])
    key.rig.power.on()
    if state != "application":
        bootloader_probe.enter_bootloader(key.rig)
    return key


def _make(rig: Rig, key: Prepared, version: str, state: str) -> BoardState:
    if state == "bootloader":
        return key.states["application"]
    if state == "half-updated":
        return _cut_update(key, key.states["application"], after(version), 0.5)
    if state == "after-cuts":
        found = key.states["application"]
        for share in CUTS:
            found = _cut_update(key, found, after(version), share)
        return found
    assert state == "never-booted"
    # From one version lower, up to the last flash operation before the first boot of this one.
    earlier = prepared(rig, bootloader_probe.older(core(version)), key.rig.fill)
    trace = _update(earlier, earlier.states["application"], version)
    ((_, found),) = images(trace, [cut_at(trace, f"op{trace.boots[-1]}.after", 0)])
    return found


def _cut_update(key: Prepared, start: BoardState, version: str, share: float) -> BoardState:
    trace = _update(key, start, version)
    written = trace.boots[-1]
    ((_, found),) = images(trace, [cut_at(trace, f"op{max(3, round(written * share))}.before", 0)])
    return found


def _update(key: Prepared, start: BoardState, version: str) -> Trace:
    require_glass_box(key.rig).restore(start)
    key.rig.power.on()
    data = container(key.rig, version).data
    return require_glass_box(key.rig).record(lambda: _run(key, data))


def _run(key: Prepared, data: bytes) -> None:
    update(key.rig, data, uuid=key.uuid)


def running(rig: TwinRig) -> str:
    """What a key shows after its power was cycled: a face, in the application with the version."""
    rig.power.cycle()
    rig.wait_until_up()
    if rig.face != "application":
        return rig.face
    return f"application {identify(rig)['firmware']}"


def data_judged(key: Prepared, deleted: bool = False) -> Judgement:
    """Look at the data of a key that was updated, and judge them against what was there before.

    What belongs to the version itself (its number, what it offers) is left to other checks.
    """
    rig, memory = key.rig, key.home.memory.copy()
    with seeded(rig, "after"):
        seen = observe(rig, rig.key.items, memory, memory)
    assert not seen.stuck, seen.stuck
    values = {"admin.version": ANY, "admin.status": "ok", "admin.status_after_replug": "ok"}
    values |= {name: ANY for name in ("fido2.always_uv",) if key.before.values.get(name) is None}
    if key.uuid is None:
        values["admin.uuid"] = ANY
    if deleted:
        values |= DELETED
    return judge(
        items=rig.key.items,
        worlds=[new(values)],
        before=key.before.values,
        seen=seen.values,
        acknowledged=True,
        floors={item.name: item.floor(memory) for item in rig.key.items if item.floor},
    )


def memory_of(key: Prepared) -> Memory:
    return key.home.memory.copy()
