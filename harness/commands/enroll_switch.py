"""The switch and the finger of a rig that is enrolled, from options: --power, --touch, --port, --channel, --set."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.base.errors import CallerError
from harness.bench.registry import Plugins

TABLES = ("power", "touch")


@dataclass(frozen=True)
class SwitchOptions:
    """What the caller says of switch and finger; None and empty leave what the key's driver offers.

    :ivar power: name of a power driver. :ivar touch: name of a touch driver.
    :ivar port: of the switch: a device such as /dev/ttyUSB0, or the number of a port. :ivar channel: its channel.
    :ivar more: further settings, as "power.NAME=VALUE" or "touch.NAME=VALUE".
    """

    power: str | None = None
    touch: str | None = None
    port: str | None = None
    channel: int | None = None
    more: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != AS_OFFERED


AS_OFFERED = SwitchOptions()


def with_switch(
    driver: str, settings: Mapping[str, Any], options: SwitchOptions, plugins: Plugins
) -> dict[str, Any]:
    """Return the settings of a rig with the switch that was asked for.

    :param driver: the rig's driver. :param settings: what it offered for the key that was found.
    :raises CallerError: the driver takes no switch, there is no such power or touch driver, or a setting is malformed.
    """
    if not options:
        return dict(settings)
    if not plugins.drivers[driver].actuated:
        raise CallerError(
            "--power, --touch",
            found=f"driver {driver}, which switches the power itself",
            expected="a key on a USB port",
        )
    tables: dict[str, dict[str, Any]] = {name: dict(settings.get(name, {})) for name in TABLES}
    if options.power is not None:
        tables["power"] = {"driver": plugins.actuator("power", options.power, "--power").name}
    if options.touch is not None:
        tables["touch"] = {"driver": plugins.actuator("touch", options.touch, "--touch").name}
    if options.port is not None:
        tables["power"]["port"] = _value(options.port)
    if options.channel is not None:
        tables["power"]["channel"] = options.channel
    for text in options.more:
        _set(tables, text)
    return {**settings, **{name: table for name, table in tables.items() if table}}


def _set(tables: dict[str, dict[str, Any]], text: str) -> None:
    place, equals, value = text.partition("=")
    table, *names = place.strip().split(".")
    if not equals or table not in TABLES or not names or not all(names):
        raise CallerError("--set", found=text, expected="power.NAME=VALUE or touch.NAME=VALUE")
    inner = tables[table]
    for name in names[:-1]:
        found = inner.setdefault(name, {})
        if not isinstance(found, dict):
            raise CallerError("--set", found=text, expected=f"a table {name}, which is {found!r} already")
        inner = found
    inner[names[-1]] = _value(value.strip())


def _value(text: str) -> Any:
    """A value as a bench file has it; what is no TOML is text: /dev/ttyUSB0 needs no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def channels(given: Sequence[int], picks: int) -> list[int | None]:
    """Return the channel of each key: one for all, or one for each.

    :raises CallerError: another number of them.
    """
    if len(given) not in (0, 1, picks):
        raise CallerError(
            "--channel", found=f"{len(given)} channels for {picks} keys", expected="one for each --pick"
        )
    return [None] * picks if not given else [*given] if len(given) == picks else [given[0]] * picks
