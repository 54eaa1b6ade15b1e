"""Prepare keys with any version, in any state that a case starts from. Twins only.

A real key cannot be set back to an older version, so such rigs are skipped with this reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from harness.api import (
    ANY,
    BoardState,
    FirmwareUpdates,
    Home,
    Judgement,
    Memory,
    Rig,
    Seen,
    Trace,
    TwinRig,
    UpdateContainer,
    cut_at,
    go_home,
    images,
    judge,
    new,
    observe,
    require_glass_box,
    seeded,
)
from harness_suites.downgrade.table import UPDATES

CUTS = (0.25, 0.5, 0.75)
"""Cuts of several updates in a row, as shares of the flash operations before the first boot."""


@dataclass
class Prepared:
    """A key of one version.

    :ivar updates: how the firmware of its model is updated.
    :ivar home: with canaries laid down. :ivar uuid: None where the firmware does not tell.
    """

    rig: TwinRig
    updates: FirmwareUpdates
    home: Home
    uuid: int | None
    before: Seen
    states: dict[str, BoardState]

    def update(self, container: UpdateContainer) -> None:
        """Run the updater with a container.

        :raises UpdateRefused: the updater or the bootloader refused it.
        """
        self.updates.update(self.rig, container.data, uuid=self.uuid)

    def container(self, version: str) -> UpdateContainer:
        """A good container for this key."""
        return self.updates.container(self.rig, version)


_PREPARED: dict[tuple[str, int, str, str, float], Prepared] = {}


def updates_of(rig: Rig) -> FirmwareUpdates:
    """How the firmware of the key on a rig is updated; skips where no plugin says that."""
    if rig.key.name not in UPDATES:
        pytest.skip(f"no plugin says how the firmware of {rig.key.title} is updated")
    return UPDATES[rig.key.name]


def prepared(rig: Rig, version: str, fill: float = 0.0) -> Prepared:
    """Prepare a key like the one on `rig`, with another version; made once per process.

    :param fill: share of its room for credentials that is used (0 to 1).
    """
    updates = updates_of(rig)
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
        uuid = rig.key.identify(twin).get("uuid")
        with seeded(twin, "before", version):
            before = observe(twin, twin.key.items, home.memory, home.memory)
        _PREPARED[at] = Prepared(
            twin, updates, home, int(uuid, 16) if uuid else None, before, {"application": home.state}
        )
    return _PREPARED[at]


def in_state(rig: Rig, version: str, state: str, fill: float = 0.0) -> Prepared:
    """Bring a key with `version` into a state of `table.STATES`. Its power is on."""
    key = prepared(rig, version, fill)
    if state not in key.states:
        key.states[state] = _make(rig, key, version, state)
    require_glass_box(key.rig).restore(key.states[state])
    key.rig.power.on()
    if state != "application":
        key.updates.enter_bootloader(key.rig)
    return key


def _make(rig: Rig, key: Prepared, version: str, state: str) -> BoardState:
    if state == "bootloader":
        return key.states["application"]
    if state == "half-updated":
        return _cut_update(key, key.states["application"], key.updates.later(version), 0.5)
    if state == "after-cuts":
        found = key.states["application"]
        for share in CUTS:
            found = _cut_update(key, found, key.updates.later(version), share)
        return found
    assert state == "never-booted"
    # From one version lower, up to the last flash operation before the first boot of this one.
    earlier = prepared(rig, key.updates.earlier(version), key.rig.fill)
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
    container = key.container(version)
    return require_glass_box(key.rig).record(lambda: key.update(container))


def running(rig: TwinRig) -> str:
    """Cycle the power; return the face that the key shows, in the application with its version."""
    rig.power.cycle()
    rig.wait_until_up()
    if rig.face != "application":
        return rig.face
    return f"application {rig.key.identify(rig)['firmware']}"


def data_judged(key: Prepared, deleted: bool = False) -> Judgement:
    """Observe the data of an updated key, and judge them against the data before.

    Its version and features are left to other checks.
    """
    rig, memory = key.rig, key.home.memory.copy()
    with seeded(rig, "after"):
        seen = observe(rig, rig.key.items, memory, memory)
    assert not seen.stuck, seen.stuck
    values = dict(key.updates.after_update(key.uuid, deleted=deleted))
    values |= {name: ANY for name in ("fido2.always_uv",) if key.before.values.get(name) is None}
    return judge(
        items=rig.key.items,
        worlds=[new(values)],
        before=key.before.values,
        seen=seen.values,
        acknowledged=True,
        floors={item.name: item.floor(memory) for item in rig.key.items if item.floor},
    )


def memory_of(key: Prepared, deleted: bool = False) -> Memory:
    """What the host knows of a key; nothing where an update has deleted the user's data."""
    return Memory() if deleted else key.home.memory.copy()
