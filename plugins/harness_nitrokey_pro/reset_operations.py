"""Firmware password and factory reset."""

from __future__ import annotations

from contextlib import suppress

from harness.api import (
    ANY,
    Cost,
    Memory,
    Operation,
    Outcome,
    Refused,
    Rig,
    Value,
    World,
    arrange_nothing,
    new,
    old,
)
from harness_nitrokey_pro.client import NitrokeyPro, no_bootloader
from harness_nitrokey_pro.home import (
    FACTORY_CONFIG,
    OTHER_FIRMWARE_PASSWORD,
    ProMemory,
    known,
)
from harness_nitrokey_pro.items import FREE, UNUSABLE, password_value, safe_value
from harness_nitrokey_pro.items import canaries as slots_there
from harness_openpgp.client import PW3
from harness_openpgp.data_operations import forget, fresh_values
from harness_openpgp.home import known as card_known
from harness_openpgp.items import CURRENT, NEW, canaries

Worlds = list[World]
WRONG = b"00000000000"
_LASTING = {"one_way_settings": 1}
"""On the firmware that was read a cut may lose the firmware password for good: then there is no update ever."""


def _change_password(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    NitrokeyPro(rig).change_firmware_password(mine.firmware_password, OTHER_FIRMWARE_PASSWORD)
    mine.firmware_password = OTHER_FIRMWARE_PASSWORD


def _change_password_wrong(rig: Rig, memory: Memory) -> None:
    with suppress(Refused):
        NitrokeyPro(rig).change_firmware_password(WRONG, OTHER_FIRMWARE_PASSWORD)


def _password_worlds(before: Memory, after: Memory) -> Worlds:
    return [old({"pro.firmware_password": CURRENT}), new({"pro.firmware_password": NEW})]


def _set_other_password(rig: Rig, memory: Memory) -> None:
    """Arrange a firmware password that is not the factory's, if there is one."""
    if known(memory).has_bootloader:
        _change_password(rig, memory)


def _forget_slots(mine: ProMemory) -> None:
    mine.slots, mine.counters, mine.entries = {}, {}, {}
    mine.config = FACTORY_CONFIG


def _reset(rig: Rig, memory: Memory) -> None:
    NitrokeyPro(rig).factory_reset(card_known(memory).pw3)
    forget(card_known(memory))
    _forget_slots(known(memory))


def _there(before: Memory) -> dict[str, Value]:
    return {
        "openpgp.pw1": CURRENT,
        "openpgp.pw3": CURRENT,
        "openpgp.keys": canaries(before),
        "pro.safe": safe_value(known(before)),
        "pro.firmware_password": password_value(known(before)),
        "pro.config": known(before).config,
        **slots_there(known(before)),
    }


def emptied(mine: ProMemory) -> dict[str, Value]:
    """The values of a HID side without a secret of before."""
    return {
        "pro.slots": (),
        "pro.totp": (FREE, FREE),
        "pro.hotp": FREE,
        "pro.hidden": FREE,
        "pro.hotp_counter": ANY,
        "pro.verified": ANY,
        "pro.config": FACTORY_CONFIG,
        # The original leaves it intact: no PIN stands in for it.
        "pro.firmware_password": password_value(mine),
    }


def _reset_worlds(before: Memory, after: Memory) -> Worlds:
    return [
        old(_there(before)),
        # The secrets go first, so that no cut leaves old ones under the PINs of the factory.
        World(
            "secrets gone, card as before",
            Outcome.RECOVERED,
            {
                **emptied(known(before)),
                "openpgp.pw1": CURRENT,
                "openpgp.pw3": CURRENT,
                "openpgp.keys": canaries(before),
                "pro.safe": () if known(before).has_safe else UNUSABLE,
            },
            complete=_reset,
        ),
        new({**fresh_values(before), **emptied(known(before)), "pro.safe": UNUSABLE}),
    ]


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="pro.firmware_password",
        title="change the firmware password",
        arrange=arrange_nothing,
        act=_change_password,
        worlds=_password_worlds,
        missing=no_bootloader,
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(erases=1, irreversible=_LASTING),
    ),
    Operation(
        name="pro.firmware_password.wrong",
        title="change the firmware password with a wrong one",
        arrange=arrange_nothing,
        act=_change_password_wrong,
        worlds=lambda before, after: [old({"pro.firmware_password": CURRENT})],
        missing=no_bootloader,
    ),
    Operation(
        name="pro.factory_reset",
        title="reset the key to its factory state",
        arrange=_set_other_password,
        act=_reset,
        worlds=_reset_worlds,
        resets=True,
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(pins={PW3: 1}, seconds=10, erases=20, irreversible=_LASTING),
    ),
)
