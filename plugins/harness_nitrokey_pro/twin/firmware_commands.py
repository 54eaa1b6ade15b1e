"""Factory reset and firmware password."""

from __future__ import annotations

from harness_nitrokey_pro.reports import Status
from harness_nitrokey_pro.twin.card_side import ADMIN
from harness_nitrokey_pro.twin.device import Device, Done, Values, octets
from harness_nitrokey_pro.twin.layout import (
    CONFIG_WRITTEN,
    COUNTERS,
    HASH,
    IS_PENDING,
    KEY_BYTES,
    NOT_PENDING,
    PENDING,
    SAFE,
    SALT,
    SALT_BYTES,
    SLOTS,
    STICK,
    STICK_BYTES,
    TOTP_NUMBERS,
    USER,
)

LEAST_PASSWORD = 8
OVERWRITES, RANDOM_BYTES = 7, 256
"""How often the original overwrites a page with random numbers, and how many it draws."""


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
    """Remove every secret and setting; the firmware password stays, as no PIN stands in for it."""
    pages = device.pages
    kept = pages.read(SLOTS[0])[:CONFIG_WRITTEN] if pages.has("reset-keeps-settings") else None
    if pages.has("reset-card-first"):
        _empty_as_read(device)
        if kept is None:
            pages.rewrite(SLOTS[0], None)
        return
    empty = {**dict.fromkeys((*SLOTS, SAFE, *COUNTERS.values())), SLOTS[0]: kept}
    pages.commit({**empty, USER: device.page.with_fields({**device.fresh_fields(), PENDING: IS_PENDING})})
    pages.forget_copies()


def _empty_as_read(device: Device) -> None:
    """Write each slot, then random numbers over user page and safe, then the firmware password from RAM.

    The source: nitrokey-pro-firmware 981a7e6, CcidLocalAccess.c, factoryReset; FlashStorage.c,
    EraseLocalFlashKeyValues_u32.
    """
    pages, page = device.pages, device.page
    for number in (*COUNTERS, *TOTP_NUMBERS):
        device.slots.erase(number)
    password = {HASH: page.content[HASH:][:KEY_BYTES]}
    salt = {SALT: page.content[SALT:][:SALT_BYTES]}
    for _ in range(OVERWRITES):
        pages.rewrite(USER, page.with_fields({0: device.random.bytes(RANDOM_BYTES)}))
    pages.rewrite(USER, page.with_fields({STICK: bytes(STICK_BYTES)}))
    for _ in range(OVERWRITES):
        pages.rewrite(SAFE, device.random.bytes(RANDOM_BYTES) * 2 + pages.read(SAFE)[2 * RANDOM_BYTES :])
    for field in (password, salt):
        pages.rewrite(USER, page.with_fields(field))


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
