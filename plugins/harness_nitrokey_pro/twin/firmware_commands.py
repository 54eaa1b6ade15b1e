"""Factory reset and firmware password."""

from __future__ import annotations

from harness_nitrokey_pro.reports import Status
from harness_nitrokey_pro.twin.card_side import ADMIN
from harness_nitrokey_pro.twin.device import Device, Done, Values, octets
from harness_nitrokey_pro.twin.layout import (
    COUNTERS,
    IS_PENDING,
    NOT_PENDING,
    PENDING,
    SAFE,
    SALT_BYTES,
    SLOTS,
    TOTP_NUMBERS,
    USER,
)

LEAST_PASSWORD = 8


def factory_reset(device: Device, values: Values) -> Done:
    if not device.card.verify(octets(values, "pin"), ADMIN):
        return Status.WRONG_PASSWORD, {}
    card_first = device.pages.has("reset-card-first")
    if card_first and not device.card.reset():
        # The original says that all is well.
        return Status.OK, {}
    empty(device)
    device.admin_temporary = device.user_temporary = b""
    device.told = None
    device.safe.close()
    done = card_first or device.card.reset()
    finish_reset(device)
    return (Status.OK if done else Status.WRONG_PASSWORD), {}


def empty(device: Device) -> None:
    """Remove every secret, and set the factory's configuration."""
    pages = device.pages
    fields = device.fresh_fields()
    if pages.has("reset-keeps-safe-key"):
        fields = {}
    if not pages.has("reset-card-first"):
        empty = dict.fromkeys((*SLOTS, SAFE, *COUNTERS.values()))
        pages.commit({**empty, USER: device.page.with_fields({**fields, PENDING: IS_PENDING})})
        pages.forget_copies()
        return
    for number in (*COUNTERS, *TOTP_NUMBERS):
        if device.slots.get(number) is not None:
            device.slots.erase(number)
    device.pages.rewrite(USER, device.page.with_fields(fields))
    device.pages.rewrite(SAFE, None)


def finish_reset(device: Device) -> None:
    """At the end of a reset, and at every boot: reset the card, too, if it is still to be done."""
    if device.page.content[PENDING:][:1] == IS_PENDING:
        device.card.finish_reset()
        device.page.change({PENDING: NOT_PENDING})


def update(device: Device, values: Values) -> Done:
    if not device.page.opens_bootloader(octets(values, "password")):
        return Status.WRONG_PASSWORD, {}
    device.reboots = True
    return Status.OK, {}


def change_firmware_password(device: Device, values: Values) -> Done:
    after = octets(values, "new")
    if not device.page.opens_bootloader(octets(values, "old")):
        return Status.WRONG_PASSWORD, {}
    if len(after) < LEAST_PASSWORD:
        return Status.WRONG_PASSWORD, {}
    device.page.set_password(after, device.random.bytes(SALT_BYTES))
    return Status.OK, {}
