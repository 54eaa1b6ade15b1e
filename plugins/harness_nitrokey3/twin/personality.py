"""Personalities and defects: personalities.toml, read once and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from harness.api import LAYERS, CallerError, Defect, TwinOptions, layer_called, one_of
from harness_fido2.twin.features import Features

FILE = Path(__file__).parent.parent / "personalities.toml"
BOOT_POLICIES = ("panic", "format")
_OF_A_DEFECT = dict.fromkeys(("layer", "boot", "application", "personality", "home", "next"), str)
_SHIPPING = "1.8.3"
"""Any personality of a shipping version: it stands for their family."""
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?")


@dataclass(frozen=True)
class Personality:
    """One firmware version's behaviour.

    :param boot: what the firmware does with an internal file system that does not mount.
    :param sound: of our sound family; an update stays within the family that the key started in.
    :param layout: how files lie on the internal file system: 2 is today's, 1 what 1.8.2 migrates from.
    :param weaknesses: names of defects that this version is known to have.
    :param status_size: bytes of the answer to STATUS; 0 if the command is not there.
    """

    name: str
    version: str
    layer: str
    boot: str
    fido2: Features
    defects: frozenset[str] = frozenset()
    sound: bool = False
    layout: int = 2
    weaknesses: tuple[str, ...] = ()
    status_size: int = 5
    tells_uuid: bool = True

    @property
    def numbers(self) -> tuple[int, int, int]:
        return numbers(self.version)


@dataclass(frozen=True)
class Book:
    """The content of the file.

    :ivar boots: defect -> its boot policy.
    """

    personalities: Mapping[str, Personality]
    defects: Mapping[str, Defect]
    boots: Mapping[str, str]


def numbers(version: str) -> tuple[int, int, int]:
    """Return major, minor and patch of a version, without its suffix."""
    major, minor, patch = version.partition("-")[0].partition("+")[0].split(".")
    return int(major), int(minor), int(patch)


@cache
def book() -> Book:
    """Read the packaged file, once.

    :raises CallerError: an entry is missing or wrong.
    """
    return read(FILE)


def read(path: Path) -> Book:
    """A file of personalities and defects."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CallerError(f"{path}: cannot be read", found=error, expected="a TOML file") from None
    personalities = {
        name: _personality(f"{path}: personalities.{name}", name, table)
        for name, table in _table(f"{path}", content, "personalities").items()
    }
    defects, boots = {}, {}
    for name, table in _table(f"{path}", content, "defects").items():
        where = f"{path}: defects.{name}"
        _keys(where, table, {"title": str, "source": str}, _OF_A_DEFECT)
        layer = table.get("layer")
        if layer is not None:
            _among(f"{where}.layer", layer, tuple(LAYERS))
        defects[name] = Defect(
            name,
            table["title"],
            table["source"],
            layer,
            application=table.get("application"),
            personality=table.get("personality"),
            home=table.get("home"),
            next_action=table.get("next"),
        )
        if "boot" in table:
            boots[name] = _among(f"{where}.boot", table["boot"], BOOT_POLICIES)
    return Book(personalities, defects, boots)


def chosen(options: TwinOptions) -> Personality:
    """Return the personality for these options, with its defects.

    :raises CallerError: a name that does not exist, or two defects that need different layers.
    """
    known = book()
    if options.personality not in known.personalities and _VERSION.fullmatch(options.personality):
        # A shipping version without a personality of its own.
        return running(replace(options, personality=_SHIPPING), options.personality)
    if options.personality not in known.personalities:
        raise CallerError(
            f'personality "{options.personality}" of the Nitrokey 3 twin',
            found=options.personality,
            expected=one_of(options.personality, list(known.personalities)),
            mend="name one of these",
        )
    base = known.personalities[options.personality]
    layers: dict[str, str] = {}
    boot = base.boot
    for name in options.defects:
        if name not in known.defects:
            raise CallerError(
                f'defect "{name}" of the Nitrokey 3 twin',
                found=name,
                expected=one_of(name, list(known.defects)),
                mend="name one of these",
            )
        layer = known.defects[name].layer
        if layer is not None:
            layers[layer] = name
        boot = known.boots.get(name, boot)
    if len(layers) > 1 and options.layer is None:
        raise CallerError(
            "defects that need different flash layers",
            found=", ".join(f"{name} ({layer})" for layer, name in layers.items()),
            expected="one flash layer",
            mend="choose one of them, or name the layer",
        )
    layer = layer_called(options.layer or next(iter(layers), base.layer)).name
    return replace(base, layer=layer, boot=boot, defects=frozenset((*base.weaknesses, *options.defects)))


@lru_cache(maxsize=256)
def running(options: TwinOptions, version: str) -> Personality:
    """Return the personality of a key with this version: the nearest lower one of its family.

    :param options: those that the key left the factory with; its defects and a layer that they name stay.
    """
    known = book().personalities
    if options.personality not in known:
        options = replace(options, personality=_SHIPPING)
    family = [name for name, one in known.items() if one.sound == known[options.personality].sound]
    if numbers(version) == numbers(known[options.personality].version):
        nearest = options.personality
    else:
        # Of two with one version the key stays with its own, else takes the one with the shorter name.
        lower = [name for name in family if known[name].numbers <= numbers(version)]
        key = lambda name: (known[name].numbers, name == options.personality, -len(name))  # noqa: E731 - used twice, right here
        nearest = max(lower, key=key) if lower else min(family, key=key)
    found = chosen(replace(options, personality=nearest))
    # The vendor's manual: an update from 1.0.0 or below deletes what the user has.
    layout = 0 if numbers(version) <= (1, 0, 0) else found.layout
    return replace(found, version=version, layout=layout)


def _personality(where: str, name: str, table: dict[str, Any]) -> Personality:
    _keys(
        where,
        table,
        {"version": str, "layer": str, "boot": str, "fido2": dict},
        {"sound": bool, "layout": int, "weaknesses": list, "status_size": int, "tells_uuid": bool},
    )
    version = table["version"]
    numbers = version.split(".")
    if len(numbers) != 3 or not all(number.isdigit() for number in numbers):
        raise CallerError(f"{where}.version", found=version, expected='"major.minor.patch"')
    _among(f"{where}.layer", table["layer"], tuple(LAYERS))
    _among(f"{where}.boot", table["boot"], BOOT_POLICIES)
    kinds = {"bool": bool, "int": int, "tuple[str, ...]": list}
    members = {item.name: kinds[str(item.type)] for item in fields(Features)}
    allowed = {item.name: members.pop(item.name) for item in fields(Features) if item.default is not MISSING}
    _keys(f"{where}.fido2", table["fido2"], members, allowed)
    features: dict[str, Any] = {
        key: tuple(value) if type(value) is list else value for key, value in table["fido2"].items()
    }
    return Personality(
        name,
        version,
        table["layer"],
        table["boot"],
        Features(**features),
        sound=table.get("sound", False),
        layout=table.get("layout", 2),
        weaknesses=tuple(table.get("weaknesses", ())),
        status_size=table.get("status_size", 5),
        tells_uuid=table.get("tells_uuid", True),
    )


def _table(where: str, content: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    tables = content.get(key)
    if type(tables) is not dict or not all(type(table) is dict for table in tables.values()):
        raise CallerError(f"{where}: {key}", found=tables, expected=f"tables [{key}.<name>]")
    return tables


def _keys(where: str, table: dict[str, Any], needed: Mapping[str, type], allowed: Mapping[str, type]) -> None:
    kinds = {**needed, **allowed}
    for key, value in table.items():
        if key not in kinds:
            raise CallerError(f"{where}.{key}", found=key, expected=one_of(key, list(kinds)))
        if type(value) is not kinds[key]:
            raise CallerError(f"{where}.{key}", found=repr(value), expected=kinds[key].__name__)
    for key in needed:
        if key not in table:
            raise CallerError(f"{where}: {key} is missing", found=", ".join(table), expected=key)


def _among(where: str, found: str, names: tuple[str, ...]) -> str:
    if found not in names:
        raise CallerError(where, found=found, expected=one_of(found, list(names)))
    return found
