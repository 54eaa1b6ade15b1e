"""Boot with a settings file that is damaged: the key may use its defaults, but its status has to say so (E1).

A switch that goes back by itself may open what its owner has closed. Admin-app 70086d9 sets CONFIG_ERROR for a
configuration that it cannot read. Staged inside twins only: no cut damages a file that is replaced as a whole.
"""

from __future__ import annotations

from harness.api import (
    ANY,
    HarnessFault,
    Item,
    Law,
    Look,
    Memory,
    Operation,
    Rig,
    Value,
    World,
    new,
    old,
    require_glass_box,
)
from harness_fido2.twin.features import INTERNAL
from harness_nitrokey3 import configuration
from harness_nitrokey3.sdk import open_nk3
from harness_nitrokey3.storage_leak import twins_only
from harness_nitrokey3.twin.settings import PATH

SOUND = "as they were, or told by the status"


def _damage(rig: Rig, memory: Memory) -> None:
    """Switch a setting on, and change a bit in the file that says so."""
    configuration.set_setting(rig, configuration.SKIP_UP_OFF, "true")
    memory.part("admin", configuration.KnownSettings).values = configuration.read_settings(rig)
    if not require_glass_box(rig).damage(INTERNAL, PATH):
        raise HarnessFault(f"the simulated key keeps its settings elsewhere than in {PATH}")


def _power_up(rig: Rig, memory: Memory) -> None:
    rig.power.on()
    rig.wait_until_up()


def _look(look: Look) -> Value:
    known = look.memory.part("admin", configuration.KnownSettings).values
    found = configuration.read_settings(look.rig)
    status = open_nk3(look.rig).admin.status().init_status
    if found == known or status:
        return SOUND
    return f"{configuration.shown(found)}, under a status that says {status}"


DAMAGED_SETTINGS = Item(
    "admin.damaged_settings", Law.KEPT, _look, "the settings after their file was damaged"
)


def _worlds(before: Memory, after: Memory) -> list[World]:
    values: dict[str, Value] = {
        DAMAGED_SETTINGS.name: SOUND,
        "admin.status": ANY,
        "admin.status_after_replug": ANY,
    }
    return [old(values), new(values)]


def _missing(rig: Rig) -> str | None:
    return twins_only(rig) or configuration.lacks_settings(rig)


OPERATIONS = (
    Operation(
        name="admin.power_up.damaged_settings",
        title="power up after the file of the settings was damaged",
        arrange=_damage,
        act=_power_up,
        worlds=_worlds,
        items=(DAMAGED_SETTINGS,),
        missing=_missing,
        powered=False,
    ),
)
