"""Commands of the password safe."""

from __future__ import annotations

from harness_nitrokey_pro.reports import Status
from harness_nitrokey_pro.twin.card_side import ADMIN, AES_BYTES, USER
from harness_nitrokey_pro.twin.device import Device, Done, Values, integer, octets
from harness_nitrokey_pro.twin.layout import KEY_BYTES, SAFE
from harness_nitrokey_pro.twin.layout import USER as USER_PAGE
from harness_nitrokey_pro.twin.safe import ENTRIES


def safe_slot(device: Device, values: Values) -> int | Status:
    if device.safe.key is None:
        return Status.NOT_AUTHORIZED
    slot = integer(values, "slot")
    return slot if slot < ENTRIES else Status.WRONG_SLOT


def safe_status(device: Device, values: Values) -> Done:
    if device.safe.key is None:
        return Status.NOT_AUTHORIZED, {}
    used = bytes(device.safe.entry(slot) is not None for slot in range(ENTRIES))
    return Status.OK, {"slots": used}


def part(device: Device, values: Values, name: str, which: int) -> Done:
    slot = safe_slot(device, values)
    if isinstance(slot, Status):
        return slot, {}
    entry = device.safe.entry(slot)
    return Status.OK, {name: entry[which].split(b"\0")[0] if entry is not None else b""}


def safe_name(device: Device, values: Values) -> Done:
    return part(device, values, "name", 0)


def safe_password(device: Device, values: Values) -> Done:
    return part(device, values, "password", 1)


def safe_login(device: Device, values: Values) -> Done:
    return part(device, values, "login", 2)


def safe_put(device: Device, values: Values) -> Done:
    slot = safe_slot(device, values)
    if isinstance(slot, Status):
        return slot, {}
    device.safe.announced = slot, octets(values, "name"), octets(values, "password")
    return Status.OK, {}


def safe_store(device: Device, values: Values) -> Done:
    slot = safe_slot(device, values)
    if isinstance(slot, Status):
        return slot, {}
    _, name, password = device.safe.announced or (slot, b"", b"")
    # The original stores what was announced for any other slot there.
    mixed = device.safe.announced is not None and device.safe.announced[0] != slot
    if mixed and not device.pages.has("safe-slots-mixed"):
        return Status.WRONG_SLOT, {}
    device.safe.put(slot, name, password, octets(values, "login"))
    device.safe.announced = None
    return Status.OK, {}


def safe_erase(device: Device, values: Values) -> Done:
    slot = safe_slot(device, values)
    if isinstance(slot, Status):
        return slot, {}
    device.safe.erase(slot)
    return Status.OK, {}


def safe_enable(device: Device, values: Values) -> Done:
    device.safe.close()
    if not device.card.verify(octets(values, "pin"), USER):
        return Status.WRONG_PASSWORD, {}
    stored = device.page.safe_key
    key = device.card.decrypt(stored) if stored is not None else None
    if key is None:
        return Status.SAFE_KEY, {}
    device.safe.key = key
    return Status.OK, {}


def detect_aes(device: Device, values: Values) -> Done:
    if not device.card.verify(octets(values, "pin"), USER):
        return Status.WRONG_PASSWORD, {}
    return (Status.OK if device.card.has_aes else Status.NOT_SUPPORTED), {}


def new_aes_key(device: Device, values: Values) -> Done:
    fields = device.page.safe_fields(device.random.bytes(KEY_BYTES), device.random.bytes(KEY_BYTES))
    if device.pages.has("safe-key-before-pin"):
        device.page.change(fields)
    if not device.card.verify(octets(values, "pin"), ADMIN):
        return Status.WRONG_PASSWORD, {}
    device.safe.close()
    if not device.pages.has("safe-key-before-pin"):
        device.pages.commit({USER_PAGE: device.page.with_fields(fields), SAFE: None})
    done = device.card.set_aes_key(device.random.bytes(AES_BYTES))
    return (Status.OK if done else Status.AES_CREATE), {}


def lock(device: Device, values: Values) -> Done:
    device.safe.close()
    return Status.OK, {}
