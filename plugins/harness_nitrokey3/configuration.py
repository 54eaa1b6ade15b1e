"""What writes to the admin application: a setting, and the reset of the whole key to how it left the factory.

A factory reset that is broken off has locked people out of their keys (facts: F4): whatever the instant of the
cut, the key is afterwards as it was or as new.
"""

from __future__ import annotations

from collections.abc import Callable

from fido2.ctap import CtapError

from harness.key import Cost, Item, Law, Look, Memory, Operation, Outcome, Value, World, new, old
from harness.rig import KeyGone, Rig
from harness_fido2.operations import forget, reset_worlds
from harness_nitrokey3.sdk import open_nk3, unwrapped

SKIP_UP_OFF = "fido.disable_skip_up_timeout"
"""The setting that changes nothing but how soon a touch is asked for."""
NO_APPLICATION = "keyharness"


def _setting(look: Look) -> Value:
    return _value(look.rig)


def _value(rig: Rig) -> str:
    admin = open_nk3(rig).admin
    return str(admin.get_config(SKIP_UP_OFF)) if admin.has_config(SKIP_UP_OFF) else "not offered"


SETTING = Item("admin.setting", Law.ATOMIC, _setting, "the setting that was changed")


def _set(value: str) -> Callable[[Rig, Memory], None]:
    def act(rig: Rig, memory: Memory) -> None:
        with unwrapped():
            open_nk3(rig).admin.set_config(SKIP_UP_OFF, value)

    return act


def _lacks_settings(rig: Rig) -> str | None:
    return "no such setting" if _value(rig) == "not offered" else None


def _lacks_reset(rig: Rig) -> str | None:
    """Asked for an application that there is not, which is refused before anybody is asked for a touch."""
    try:
        answered = open_nk3(rig).admin.factory_reset_app(NO_APPLICATION)
    except CtapError as error:
        return f"factory reset is answered with {error.code:#04x}"
    except Exception:
        return None
    return None if answered else "no command for a factory reset"


def _factory_reset(rig: Rig, memory: Memory) -> None:
    """The key reboots instead of answering: its first answer after that is its acknowledgement."""
    with rig.touch.pressing():
        try:
            with unwrapped():
                open_nk3(rig).admin.factory_reset()
        except (KeyGone, OSError):
            if not rig.power.is_on:
                raise
    rig.wait_until_up()
    with unwrapped():
        open_nk3(rig).admin.version()
    forget(memory)


def _reset_worlds(before: Memory, after: Memory) -> list[World]:
    was, *fresh = reset_worlds(before, after)
    return [
        old({**was.values, "admin.setting": "true"}),
        *(World(one.name, one.outcome, {**one.values, "admin.setting": "false"}) for one in fresh),
    ]


def _lacks_both(rig: Rig) -> str | None:
    return _lacks_settings(rig) or _lacks_reset(rig)


OPERATIONS = (
    Operation(
        name="admin.setting.on",
        title="switch a setting on",
        arrange=_set("false"),
        act=_set("true"),
        worlds=lambda before, after: [old({"admin.setting": "false"}), new({"admin.setting": "true"})],
        items=(SETTING,),
        missing=_lacks_settings,
    ),
    Operation(
        name="admin.setting.off",
        title="switch a setting off",
        arrange=_set("true"),
        act=_set("false"),
        worlds=lambda before, after: [old({"admin.setting": "true"}), new({"admin.setting": "false"})],
        items=(SETTING,),
        missing=_lacks_settings,
    ),
    Operation(
        name="admin.factory_reset",
        title="reset the whole key to how it left the factory",
        arrange=_set("true"),
        act=_factory_reset,
        worlds=_reset_worlds,
        items=(SETTING,),
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(touches=1),
        missing=_lacks_both,
    ),
)
