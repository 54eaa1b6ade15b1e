"""What the key is, and its PINs: those of the card."""

from __future__ import annotations

from harness_nitrokey_pro import reports
from harness_nitrokey_pro.reports import Status
from harness_nitrokey_pro.twin.card_side import ADMIN, USER
from harness_nitrokey_pro.twin.device import Device, Done, Values, integer, octets


def status(device: Device, values: Values) -> Done:
    num, caps, scroll, pin_on, delete = device.slots.config
    config = {"num": num, "caps": caps, "scroll": scroll, "pin_on": pin_on, "delete": delete}
    return Status.OK, {"version": device.version, "serial": device.card.serial, **config}


def admin_tries(device: Device, values: Values) -> Done:
    return Status.OK, {"tries": device.card.tries(ADMIN)}


def user_tries(device: Device, values: Values) -> Done:
    return Status.OK, {"tries": device.card.tries(USER)}


def random(device: Device, values: Values) -> Done:
    count = min(integer(values, "count"), reports.RANDOM_MAX)
    return Status.OK, {"done": 1, "count": count, "data": device.random.bytes(count)}


def admin(device: Device, values: Values) -> Done:
    device.admin_temporary = b""
    if not device.card.verify(octets(values, "pin"), ADMIN):
        return Status.WRONG_PASSWORD, {}
    device.admin_temporary = octets(values, "temporary")
    return Status.OK, {}


def user(device: Device, values: Values) -> Done:
    device.user_temporary = b""
    if not device.card.verify(octets(values, "pin"), USER):
        return Status.WRONG_PASSWORD, {}
    device.user_temporary = octets(values, "temporary")
    return Status.OK, {}


def unblock(device: Device, values: Values) -> Done:
    if not device.card.verify(octets(values, "old"), ADMIN):
        return Status.WRONG_PASSWORD, {}
    done = device.card.unblock(octets(values, "new"))
    return (Status.OK if done else Status.UNBLOCK), {}


def change_user(device: Device, values: Values) -> Done:
    done = device.card.change(octets(values, "old"), octets(values, "new"), USER)
    return (Status.OK if done else Status.USER_CHANGE), {}


def change_admin(device: Device, values: Values) -> Done:
    done = device.card.change(octets(values, "old"), octets(values, "new"), ADMIN)
    return (Status.OK if done else Status.ADMIN_CHANGE), {}
