"""Find the installed plugins, and what they offer, by the entry-point group `keyharness`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, TypeVar

import pluggy

from harness.base.errors import CallerError, one_of
from harness.bench.ceremony import CeremonyRules
from harness.bench.firmware_updates import FirmwareUpdates
from harness.bench.operator_update import OperatorUpdate
from harness.bench.plugin_api import GROUP, Driver, PowerDriver, Specs, Suite, TouchDriver
from harness.host.scan import Sought
from harness.model.key import Key
from harness.model.transport import TransportKind
from harness.model.update_file import UpdateSupport
from harness.twin.model import TwinModel

T = TypeVar("T")


@dataclass(frozen=True)
class PluginInfo:
    """The distribution that a plugin comes from."""

    name: str
    module: str
    distribution: str
    version: str


@dataclass
class Plugins:
    """What the installed plugins offer, by name."""

    keys: dict[str, Key] = field(default_factory=dict)
    drivers: dict[str, Driver] = field(default_factory=dict)
    suites: dict[str, Suite] = field(default_factory=dict)
    power: dict[str, PowerDriver] = field(default_factory=dict)
    touch: dict[str, TouchDriver] = field(default_factory=dict)
    benches: list[Path] = field(default_factory=list)
    """Folders with bench files, in the order of their plugins."""
    scenarios: list[Path] = field(default_factory=list)
    """Folders with scenario files, in the order of their plugins."""
    field_files: list[Path] = field(default_factory=list)
    """Files with formats of logs and signatures."""
    transports: dict[str, TransportKind[Any]] = field(default_factory=dict)
    twins: dict[str, TwinModel] = field(default_factory=dict)
    """By the name of the key."""
    updates: dict[str, UpdateSupport] = field(default_factory=dict)
    """By the name of the key."""
    update_rules: dict[str, FirmwareUpdates] = field(default_factory=dict)
    """By the name of the key."""
    ceremonies: dict[str, CeremonyRules[Any]] = field(default_factory=dict)
    """By the name of the key."""
    operator_updates: dict[str, OperatorUpdate] = field(default_factory=dict)
    """By the name of the key."""
    found: list[PluginInfo] = field(default_factory=list)

    def bench_file(self, name: str) -> Path | None:
        """The bench file of that name in the first plugin that has one."""
        # Path.is_file() raises for a name that is too long.
        return next((file for folder in self.benches if os.path.isfile(file := folder / name)), None)

    def scenario_files(self) -> dict[str, Path]:
        """The scenario files by their names without ".toml"; of two with one name the first."""
        found: dict[str, Path] = {}
        for folder in self.scenarios:
            for file in sorted(folder.glob("*.toml")):
                found.setdefault(file.stem, file)
        return found

    def sought(self) -> Sought:
        """What makes a HID interface one of a key that a plugin knows."""
        kinds = [kind for kind in self.transports.values() if kind.hid_descriptor]
        faces = [face for key in self.keys.values() for face in key.faces]
        return Sought(
            {kind.hid_descriptor: kind.endpoint_name for kind in kinds},
            frozenset((face.vendor_id, face.product_id) for face in faces if face.vendor_id),
        )

    def key(self, name: str, where: str) -> Key:
        return _named(self.keys, name, where, "the name of a key", "`keyharness list` shows the keys")

    def twin(self, key: str) -> TwinModel:
        """Return how to simulate a key.

        :raises CallerError: no such key, or no plugin offers a twin of it.
        """
        self.key(key, f'key "{key}"')
        if key not in self.twins:
            raise CallerError(f'key "{key}"', found="no twin", expected="a key with a simulated one")
        return self.twins[key]

    def update_support(self, key: str) -> UpdateSupport:
        """Return what is known of the updates of a key.

        :raises CallerError: no such key, or no plugin knows its updates.
        """
        self.key(key, f'key "{key}"')
        if key not in self.updates:
            raise CallerError(
                f'key "{key}"',
                found="nothing that reads its update containers",
                expected="a key whose updates are known",
            )
        return self.updates[key]

    def driver(self, name: str, where: str) -> Driver:
        return _named(
            self.drivers, name, where, "the name of a driver", "`keyharness list` shows the drivers"
        )

    def actuator(self, kind: Literal["power", "touch"], name: str, where: str) -> PowerDriver | TouchDriver:
        """Return the power or touch driver of a name.

        :raises CallerError: there is none.
        """
        table: dict[str, Any] = getattr(self, kind)
        chosen: PowerDriver | TouchDriver = _named(
            table, name, where, f"the name of a {kind} driver", "`keyharness list` shows the drivers"
        )
        return chosen

    def suite(self, name: str) -> Suite:
        return _named(
            self.suites, name, f'suite "{name}"', "the name of a suite", "`keyharness list` shows the suites"
        )


def _named(table: dict[str, T], name: str, where: str, what: str, mend: str) -> T:
    if name not in table:
        raise CallerError(where, found=name, expected=f"{what}: {one_of(name, list(table))}", mend=mend)
    return table[name]


FOLDERS = {"keyharness_benches": "bench files", "keyharness_scenarios": "scenario files"}
"""Hooks that return folders -> what these hold."""


def discover() -> Plugins:
    """Load every plugin and collect what it offers.

    :raises CallerError: a plugin cannot be imported, misuses a hook, or offers a name that is taken.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Specs)
    plugins = Plugins()
    origin: dict[Any, str] = {}
    for entry in sorted(set(entry_points(group=GROUP)), key=lambda e: (e.name, e.value)):
        info = _info(entry)
        module = _load(entry, info)
        if manager.is_registered(module):
            continue
        try:
            manager.register(module, name=f"{info.distribution}:{entry.name}")
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise CallerError(
                f'plugin "{entry.name}" ({entry.value}, from {info.distribution} {info.version})',
                found=str(error).splitlines()[-1].strip(),
                expected="hooks as harness.bench.plugin_api.Specs declares them",
                mend=f"docs/plugins.md shows them; repair or uninstall {info.distribution}",
            ) from None
        origin[module] = f'plugin "{entry.name}" (from {info.distribution} {info.version})'
        plugins.found.append(info)
    tables: list[tuple[str, dict[str, Any], Any]] = [
        ("keyharness_keys", plugins.keys, Key),
        ("keyharness_drivers", plugins.drivers, Driver),
        ("keyharness_suites", plugins.suites, Suite),
        ("keyharness_power", plugins.power, PowerDriver),
        ("keyharness_touch", plugins.touch, TouchDriver),
        ("keyharness_transports", plugins.transports, TransportKind),
    ]
    owners: dict[tuple[str, str], str] = {}
    for hook, table, kind in tables:
        for impl in getattr(manager.hook, hook).get_hookimpls():
            _add(
                table, _ask(impl.function, origin[impl.plugin], hook), kind, origin[impl.plugin], hook, owners
            )
    for hook, folders in zip(FOLDERS, (plugins.benches, plugins.scenarios), strict=True):
        for impl in getattr(manager.hook, hook).get_hookimpls():
            whose = origin[impl.plugin]
            folders += _folders(_ask(impl.function, whose, hook), whose, hook)
    for impl in manager.hook.keyharness_field.get_hookimpls():
        plugins.field_files += _ask(impl.function, origin[impl.plugin], "keyharness_field")
    by_key: list[tuple[str, dict[str, Any]]] = [
        ("keyharness_twins", plugins.twins),
        ("keyharness_updates", plugins.updates),
        ("keyharness_update_rules", plugins.update_rules),
        ("keyharness_ceremonies", plugins.ceremonies),
        ("keyharness_operator_updates", plugins.operator_updates),
    ]
    for hook, table in by_key:
        for impl in getattr(manager.hook, hook).get_hookimpls():
            _add_by_key(table, impl.function, origin[impl.plugin], hook, owners)
    return plugins


def find_twin(key: str) -> TwinModel:
    """Return how to simulate a key, without loading what other plugins offer: a twin as a process starts at each boot.

    Plugins with whose name the key's begins are asked first, and no others if one of them offers it.

    :raises CallerError: as `discover`, and as `Plugins.twin`.
    """
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
        if not key.replace("-", "_").startswith(entry.name):
            continue
        info = _info(entry)
        ask = getattr(_load(entry, info), "keyharness_twins", None)
        if ask is None:
            continue
        twins: dict[str, TwinModel] = {}
        whose = f'plugin "{entry.name}" (from {info.distribution} {info.version})'
        _add_by_key(twins, ask, whose, "keyharness_twins", {})
        if key in twins:
            return twins[key]
    return discover().twin(key)


def _info(entry: EntryPoint) -> PluginInfo:
    dist = entry.dist
    return PluginInfo(entry.name, entry.value, dist.name if dist else "?", dist.version if dist else "?")


def _load(entry: EntryPoint, info: PluginInfo) -> Any:
    try:
        return entry.load()
    except Exception as error:
        raise CallerError(
            f'plugin "{entry.name}" ({entry.value}, from {info.distribution} {info.version})',
            found=f"{type(error).__name__}: {error}",
            expected="a module that imports",
            mend=f"repair or uninstall {info.distribution}",
        ) from error


def _ask(function: Callable[..., object], whose: str, hook: str, expected: str = "a list") -> list[Any]:
    try:
        offered = function()
        if not isinstance(offered, Iterable):
            raise TypeError(f"it returned {offered!r}")
        return list(offered)
    except Exception as error:
        raise CallerError(
            f"{whose}: {hook}()",
            found=f"{type(error).__name__}: {error}",
            expected=expected,
            mend="repair or uninstall it",
        ) from error


def _folders(offered: list[Any], whose: str, hook: str) -> list[Path]:
    for folder in offered:
        if not isinstance(folder, Path) or not folder.is_dir():
            raise CallerError(
                f"{whose}: {hook}()",
                found=repr(folder),
                expected=f"paths of folders with {FOLDERS[hook]}",
                mend="repair or uninstall it",
            )
    return offered


def _add_by_key(
    table: dict[str, Any],
    function: Callable[[], Mapping[str, Any]],
    whose: str,
    hook: str,
    owners: dict[tuple[str, str], str],
) -> None:
    """Add what a plugin offers for keys, by the names of these; one offer for each key."""
    pairs = _ask(lambda: function().items(), whose, hook, "a mapping of the names of keys")
    for name, offered in pairs:
        if name in table:
            raise CallerError(
                f"{whose}: {hook}()",
                found=f'key "{name}", for which {owners[hook, name]} offers it too',
                expected="one plugin for each key",
                mend="uninstall one of the two",
            )
        table[name] = offered
        owners[hook, name] = whose


def _add(
    table: dict[str, Any],
    offered: list[Any],
    kind: Any,
    whose: str,
    hook: str,
    owners: dict[tuple[str, str], str],
) -> None:
    for thing in offered:
        if not isinstance(thing, kind):
            raise CallerError(
                f"{whose}: {hook}()", found=repr(thing), expected=f"objects of harness.{kind.__name__}"
            )
        if thing.name in table:
            raise CallerError(
                f"{whose}: {hook}()",
                found=f'the name "{thing.name}", which {owners[hook, thing.name]} has too',
                expected="a name of its own",
                mend="rename it, or uninstall one of the two",
            )
        table[thing.name] = thing
        owners[hook, thing.name] = whose
