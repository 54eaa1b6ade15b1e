"""The admin application of a Nitrokey 3, read through the vendor's SDK."""

from __future__ import annotations

from nitrokey.nk3 import NK3

from harness.api import (
    Application,
    Item,
    Law,
    Look,
    Memory,
    Operation,
    Rig,
    Severity,
    Value,
    holds_nothing,
    interrupt,
    new,
    old,
)
from harness_fido2.client import Fido, fido_memory
from harness_nitrokey3 import configuration, damaged_settings, hardware_faults, homes, sdk_log
from harness_nitrokey3.sdk import fault, open_nk3
from harness_transports.client_random import client_random


def nk3(look: Look) -> NK3:
    return look.once("admin", lambda: open_nk3(look.rig))


def identify(rig: Rig) -> dict[str, str]:
    device = open_nk3(rig)
    uuid = device.uuid()
    return {"firmware": str(device.admin.version()), "uuid": str(uuid) if uuid is not None else ""}


def _version(look: Look) -> Value:
    return str(nk3(look).admin.version())


def _uuid(look: Look) -> Value:
    return str(nk3(look).uuid())


def _status(look: Look) -> Value:
    status = nk3(look).admin.status()
    return "not offered" if status.init_status is None else str(status.init_status)


def _status_after_replug(look: Look) -> Value:
    return _status(look)


def _no_preparation(rig: Rig, memory: Memory) -> None:
    """Prepare nothing: the admin application holds no data of the user."""


def _replug(rig: Rig, memory: Memory) -> None:
    rig.power.off()
    rig.power.on()
    rig.wait_until_up()


def _interrupted_login(rig: Rig, memory: Memory) -> None:
    credential = fido_memory(memory).non_resident
    assert credential is not None
    interrupt(rig, lambda: _log_in(rig, credential.rp, credential.id))


def _log_in(rig: Rig, rp: str, credential_id: bytes) -> None:
    Fido(rig).assertions(rp, [credential_id])


ITEMS = (
    Item("admin.version", Law.KEPT, _version, "the firmware version"),
    Item("admin.uuid", Law.KEPT, _uuid, "the UUID"),
    # E1: the error bits are set in one boot only, so they are read in every boot.
    Item("admin.status", Law.KEPT, _status, "the init status", Severity.S2),
    Item(
        "admin.status_after_replug",
        Law.KEPT,
        _status_after_replug,
        "the init status after a replug",
        Severity.S2,
        after_replug=True,
    ),
)

OPERATIONS = (
    Operation(
        name="admin.power_up",
        title="power up after a clean power-off",
        arrange=_no_preparation,
        act=_replug,
        worlds=lambda before, after: [old({}), new({})],
        powered=False,
    ),
    Operation(
        name="admin.power_up.interrupted",
        title="power up after a cut in the middle of a login",
        arrange=_interrupted_login,
        act=_replug,
        worlds=lambda before, after: [old({}), new({})],
        powered=False,
    ),
    *hardware_faults.OPERATIONS,
    *damaged_settings.OPERATIONS,
    *configuration.OPERATIONS,
)

ADMIN = Application(
    "admin",
    "Admin",
    _no_preparation,
    OPERATIONS,
    ITEMS,
    holds_nothing,
    randomness=client_random,
    fault=fault,
    log=sdk_log.text,
    homes=homes.HOMES,
)
