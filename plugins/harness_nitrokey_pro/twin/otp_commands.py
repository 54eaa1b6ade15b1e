"""Commands of one-time passwords and of the time."""

from __future__ import annotations

from harness_nitrokey_pro import reports
from harness_nitrokey_pro.codes import hotp
from harness_nitrokey_pro.reports import Status, Value
from harness_nitrokey_pro.twin.device import Device, Done, Values, integer, octets, same
from harness_nitrokey_pro.twin.layout import slot_index
from harness_nitrokey_pro.twin.slots import Slot

WINDOW = 9
"""Codes ahead of the counter that the hidden slot takes."""
HIDDEN = 0x13


def otp_data(device: Device, values: Values) -> Done:
    if not device.is_admin(values):
        return Status.NOT_AUTHORIZED, {}
    data, part = octets(values, "data"), integer(values, "part")
    if integer(values, "kind") == ord("N"):
        device.name = data[: reports.NAME]
    elif integer(values, "kind") == ord("S") and reports.PART * part < reports.SECRET:
        start = reports.PART * part
        before = device.secret if part else bytes(reports.SECRET)
        device.secret = (before[:start] + data + before[start + len(data) :])[: reports.SECRET]
    else:
        return Status.NOT_SUPPORTED, {}
    return Status.OK, {"data": data}


def write_slot(device: Device, values: Values) -> Done:
    if not device.is_admin(values):
        return Status.NOT_AUTHORIZED, {}
    number = integer(values, "slot")
    if slot_index(number) is None:
        return Status.WRONG_SLOT, {}
    if device.name[:1] in (b"", b"\0"):
        return Status.NO_NAME, {}
    before = device.slots.get(number)
    secret = device.secret
    if secret == bytes(reports.SECRET):
        secret = before.secret if before is not None else secret
    slot = Slot(
        number,
        device.name,
        secret,
        integer(values, "config"),
        octets(values, "token"),
        integer(values, "counter"),
    )
    device.slots.put(slot)
    device.name, device.secret = b"", bytes(reports.SECRET)
    return Status.OK, {}


def found(device: Device, values: Values) -> Slot | Status:
    number = integer(values, "slot")
    if slot_index(number) is None:
        return Status.WRONG_SLOT
    return device.slots.get(number) or Status.NOT_PROGRAMMED


def slot_name(device: Device, values: Values) -> Done:
    slot = found(device, values)
    return (Status.OK, {"name": slot.name}) if isinstance(slot, Slot) else (slot, {})


def read_slot(device: Device, values: Values) -> Done:
    slot = found(device, values)
    if not isinstance(slot, Slot):
        return slot, {}
    counter = device.slots.counter(slot.number) if slot.is_hotp else slot.parameter
    return Status.OK, {
        "name": slot.name,
        "config": slot.config,
        "token": slot.token,
        "counter": counter % 2**64,
    }


def code(device: Device, values: Values) -> Done:
    if device.slots.config[3] == 1 and not same(device.user_temporary, octets(values, "temporary")):
        return Status.NOT_AUTHORIZED, {}
    slot = found(device, values)
    if not isinstance(slot, Slot):
        return slot, {}
    if slot.number == HIDDEN:
        return Status.WRONG_SLOT, {}
    about: dict[str, Value] = {"config": slot.config, "token": slot.token}
    if not slot.is_hotp:
        time = told_time(device)
        if time is None:
            return Status.TIMESTAMP, {}
        code = hotp(slot.secret, time // max(1, slot.parameter), slot.digits)
        return finish(device, {"code": code, **about})
    code = hotp(slot.secret, device.slots.counter(slot.number), slot.digits)
    if device.pages.has("hotp-answered-first"):
        device.later = lambda: device.slots.use(slot.number)
    elif not device.slots.use(slot.number):
        code = 0
    return finish(device, {"code": code, **about})


def finish(device: Device, answer: dict[str, Value]) -> Done:
    if device.slots.config[4] == 1:
        device.user_temporary = b""
    return Status.OK, answer


def erase_slot(device: Device, values: Values) -> Done:
    if not device.is_admin(values):
        return Status.NOT_AUTHORIZED, {}
    if slot_index(integer(values, "slot")) is None:
        return Status.WRONG_SLOT, {}
    device.slots.erase(integer(values, "slot"))
    return Status.OK, {}


def verify(device: Device, values: Values) -> Done:
    slot = device.slots.get(HIDDEN)
    if slot is None:
        return Status.NOT_PROGRAMMED, {}
    counter, code = device.slots.counter(HIDDEN), integer(values, "code")
    for offset in range(WINDOW + 1):
        if hotp(slot.secret, counter + offset, slot.digits) == code:
            if not device.pages.has("verified-code-again"):
                device.slots.use(HIDDEN, offset + 1)
            return Status.OK, {"result": 1, "offset": offset}
    return Status.OK, {"result": 0xFE}


def config(device: Device, values: Values) -> Done:
    if not device.is_admin(values):
        return Status.NOT_AUTHORIZED, {}
    names = ("num", "caps", "scroll", "pin_on", "delete")
    device.slots.config = bytes(integer(values, name) for name in names)
    return Status.OK, {}


def told_time(device: Device) -> int | None:
    """The time, if it was told in this boot."""
    if device.told is None:
        return device.times.last if device.pages.has("totp-stale-time") else None
    time, at_us = device.told
    return time + (device.uptime_us() - at_us) // 1_000_000


def time(device: Device, values: Values) -> Done:
    time, last = integer(values, "time"), device.times.last
    forced = integer(values, "set") == 1
    if not forced and (last is None or time // 60 < last // 60):
        return Status.TIMESTAMP, {}
    device.told = time, device.uptime_us()
    if forced:
        device.times.store(time)
    return Status.OK, {}
