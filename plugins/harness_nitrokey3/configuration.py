"""Operations of the admin application that write: change a setting, and reset the whole key to its factory state.

A factory reset that is broken off has locked people out of their keys (nitrokey-3-firmware #443). Whatever the
instant of the cut, the key is afterwards as it was or as new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fido2.ctap import CtapError

from harness.api import (
    Cost,
    Item,
    KeyGone,
    Law,
    Look,
    Memory,
    Operation,
    Outcome,
    Rig,
    Value,
    World,
    new,
    old,
)
from harness_fido2 import left_behind
from harness_fido2.operations import forget, reset_worlds
from harness_nitrokey3.sdk import open_nk3, unwrapped

SKIP_UP_OFF = "fido.disable_skip_up_timeout"
"""The setting that changes only when a touch is asked for."""
NO_APPLICATION = "keyharness"
_CARD = "openpgp"
OPENPGP_CLIENT = "opcard"
"""The name of the OpenPGP application for the command that resets one (nitrokey-3-firmware, reset_client_id)."""
OFF_SWITCHES = {_CARD: "opcard.disabled"}
"""Application -> the setting that switches it off (opcard-rs's name in nitrokey-3-firmware)."""


@dataclass
class KnownSettings:
    """Settings before the operation, as the host knows them: name -> value."""

    values: dict[str, str] = field(default_factory=dict)


def read_settings(rig: Rig) -> dict[str, str]:
    """Read all settings: name -> value; empty if the key has none."""
    admin = open_nk3(rig).admin
    names = [one.name for one in admin.list_available_fields()] if admin.has_config(SKIP_UP_OFF) else []
    return {name: str(admin.get_config(name)) for name in names if admin.has_config(name)}


def switches_off(rig: Rig) -> set[str]:
    """Return the settings that would switch off an application that is tested on this key."""
    return {OFF_SWITCHES[one.name] for one in rig.key.applications if one.name in OFF_SWITCHES}


def shown(values: Mapping[str, str]) -> Value:
    """Return settings as the item shows them."""
    return " ".join(f"{name}={value}" for name, value in sorted(values.items())) or "not offered"


def _look(look: Look) -> Value:
    return shown(read_settings(look.rig))


SETTINGS = Item("admin.settings", Law.ATOMIC, _look, "the settings")


def set_setting(rig: Rig, name: str, value: str) -> None:
    """Change one setting that asks for no touch."""
    with unwrapped():
        open_nk3(rig).admin.set_config(name, value)


def _prepared(value: str) -> Callable[[Rig, Memory], None]:
    """Arrange this value of the setting; where a state can be restored, another setting is switched on too."""

    def arrange(rig: Rig, memory: Memory) -> None:
        set_setting(rig, SKIP_UP_OFF, value)
        kept = {SKIP_UP_OFF, *switches_off(rig)}
        others = [
            one.name
            for one in open_nk3(rig).admin.list_available_fields()
            if one.name not in kept and not one.requires_touch_confirmation and not one.destructive
        ]
        if rig.vault is not None and others:
            set_setting(rig, others[-1], "true")
        memory.part("admin", KnownSettings).values = read_settings(rig)

    return arrange


def _before_factory_reset(rig: Rig, memory: Memory) -> None:
    _prepared("true")(rig, memory)
    left_behind.note(rig, memory)


def _before_card_reset(rig: Rig, memory: Memory) -> None:
    """Switch one setting on that is none of the card's: the other that `_prepared` would switch on may be one."""
    set_setting(rig, SKIP_UP_OFF, "true")
    memory.part("admin", KnownSettings).values = read_settings(rig)


def _change(value: str) -> Callable[[Rig, Memory], None]:
    return lambda rig, memory: set_setting(rig, SKIP_UP_OFF, value)


def _changed(value: str) -> Callable[[Memory, Memory], list[World]]:
    def worlds(before: Memory, after: Memory) -> list[World]:
        was = before.part("admin", KnownSettings).values
        return [old({SETTINGS.name: shown(was)}), new({SETTINGS.name: shown({**was, SKIP_UP_OFF: value})})]

    return worlds


def lacks_settings(rig: Rig) -> str | None:
    """Say what is missing to change settings; None if nothing is."""
    return None if read_settings(rig) else "no settings"


def _lacks_reset(rig: Rig) -> str | None:
    """Asked for an application that there is not, which is refused before anybody is asked for a touch."""
    if rig.evidence_kind.startswith("emulator"):
        return "a key that reboots instead of answering, which nobody can see of a process"
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
    if _CARD in memory.parts:
        from harness_openpgp.data_operations import forget as forget_card
        from harness_openpgp.home import known

        forget_card(known(memory))


def _reset_worlds(before: Memory, after: Memory) -> list[World]:
    was, *fresh = reset_worlds(before, after)
    values = before.part("admin", KnownSettings).values
    left, none = shown(values), shown(dict.fromkeys(values, "false"))
    card, new_card = _card_values(before)
    return [
        old({**was.values, SETTINGS.name: left, **card}),
        *(World(one.name, one.outcome, {**one.values, SETTINGS.name: none, **new_card}) for one in fresh),
    ]


def _card_values(before: Memory) -> tuple[Mapping[str, Value], Mapping[str, Value]]:
    """What the OpenPGP card shows before and after a factory reset; nothing if the card is not tested."""
    if _CARD not in before.parts:
        return {}, {}
    from harness_openpgp.data_operations import fresh_values, kept_values

    return kept_values(before), fresh_values(before)


# The reset of one application


def _reset_card(rig: Rig, memory: Memory) -> None:
    with rig.touch.pressing(), unwrapped():
        open_nk3(rig).admin.factory_reset_app(OPENPGP_CLIENT)
    if _CARD in memory.parts:
        from harness_openpgp.data_operations import forget as forget_card
        from harness_openpgp.home import known

        forget_card(known(memory))


def _card_reset_worlds(before: Memory, after: Memory) -> list[World]:
    """FIDO2 keeps everything, and each setting that is not the card's its value."""
    was = before.part("admin", KnownSettings).values
    becomes = {
        name: "false" if name.startswith(f"{OPENPGP_CLIENT}.") else value for name, value in was.items()
    }
    card, new_card = _card_values(before)
    return [old({SETTINGS.name: shown(was), **card}), new({SETTINGS.name: shown(becomes), **new_card})]


def _lacks_both(rig: Rig) -> str | None:
    return lacks_settings(rig) or _lacks_reset(rig)


OPERATIONS = (
    *(
        Operation(
            name=f"admin.setting.{word}",
            title=f"switch a setting {word}",
            arrange=_prepared(was),
            act=_change(becomes),
            worlds=_changed(becomes),
            items=(SETTINGS,),
            missing=lacks_settings,
        )
        for word, was, becomes in (("on", "false", "true"), ("off", "true", "false"))
    ),
    Operation(
        name="admin.factory_reset",
        title="reset the whole key to how it left the factory",
        arrange=_before_factory_reset,
        act=_factory_reset,
        worlds=_reset_worlds,
        items=(SETTINGS, left_behind.FILES_OF_BEFORE),
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(touches=1),
        missing=_lacks_both,
    ),
    Operation(
        name="admin.factory_reset.openpgp",
        title="reset the OpenPGP card alone",
        arrange=_before_card_reset,
        act=_reset_card,
        worlds=_card_reset_worlds,
        items=(SETTINGS,),
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=Cost(touches=1),
        missing=_lacks_both,
    ),
)
