"""`keyharness list`: rigs, keys, operations, suites, drivers, personalities, defects, plugins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TextIO

from harness.base.errors import CallerError, one_of
from harness.bench.bench import LoadedBench, load_bench
from harness.bench.registry import Plugins, discover
from harness.model.key import Key

SECTIONS = ("suites", "drivers", "power", "touch", "transports")


@dataclass(frozen=True)
class Only:
    """What a list is narrowed to; empty means everything.

    :ivar operations: names, or patterns with * and ? ("fido2.client_pin.*").
    """

    keys: tuple[str, ...] = ()
    rigs: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys or self.rigs or self.operations)


def listing(bench: Path | None, only: Only = Only()) -> dict[str, Any]:
    """Return everything, or a part, as one JSON-able table. No rig is opened.

    :raises CallerError: no such bench, key or rig, or no operation that fits.
    """
    plugins = discover()
    loaded = load_bench(bench, plugins)
    _refuse_unknown("key", only.keys, plugins.keys)
    _refuse_unknown("rig", only.rigs, loaded.rigs)
    rigs = [
        name
        for name in loaded.rigs
        if (not only.rigs or name in only.rigs) and (not only.keys or loaded.key_name(name) in only.keys)
    ]
    wanted = set(only.keys or plugins.keys) & (
        {loaded.key_name(name) for name in rigs} if only.rigs else {*plugins.keys}
    )
    keys = [_key(key, plugins, only) for key in plugins.keys.values() if key.name in wanted]
    if only.operations:
        keys = [key for key in keys if key["operations"]]
        if not keys:
            every = sorted({name for key in plugins.keys.values() for name in key.operations})
            said = ", ".join(only.operations)
            raise CallerError(
                "--operation", found=said, expected=one_of(said, every), mend='"fido2.*" fits many'
            )
    return {
        "bench": loaded.shown,
        "rigs": [_rig(loaded, name) for name in rigs],
        "keys": keys,
        **{name: [] if only else _titled(getattr(plugins, name).values()) for name in SECTIONS},
        "plugins": []
        if only
        else [
            {"name": info.name, "distribution": info.distribution, "version": info.version}
            for info in plugins.found
        ],
    }


def _refuse_unknown(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise CallerError(f'{what} "{name}"', found=name, expected=one_of(name, list(known)))


def _titled(found: Iterable[Any]) -> list[dict[str, str]]:
    return [{"name": one.name, "title": one.title} for one in found]


def _rig(bench: LoadedBench, name: str) -> dict[str, Any]:
    entry = bench.settings(name)
    found = {kind: bench.actuator(name, kind) for kind in ("power", "touch")}
    return {
        "name": name,
        "key": entry.key,
        "driver": entry.driver,
        "expendable": entry.expendable,
        "port": bench.usb_port(name),
        **{
            kind: None if one is None else {"driver": one.driver.name, "channel": one.channel}
            for kind, one in found.items()
        },
    }


def _key(key: Key, plugins: Plugins, only: Only) -> dict[str, Any]:
    twin = plugins.twins.get(key.name)
    operations = [{"name": op.name, "title": op.title} for op in _fitting(key, only)]
    if only.operations:
        return {
            "name": key.name,
            "title": key.title,
            "operations": operations,
            "items": [],
            "homes": [],
            "next_actions": [],
            "personalities": {},
            "defects": [],
        }
    return {
        "name": key.name,
        "title": key.title,
        "operations": operations,
        "items": [{"name": item.name, "law": item.law.value} for item in key.items],
        "homes": [
            {"name": name, "title": next((part.title for part in parts if part.title), "")}
            for name, parts in key.homes.items()
        ],
        "next_actions": _titled(key.next_actions),
        "personalities": dict(twin.personalities) if twin else {},
        "defects": [
            {"name": defect.name, "title": defect.title, "source": defect.source}
            for defect in (twin.defects.values() if twin else ())
        ],
    }


def _fitting(key: Key, only: Only) -> Iterator[Any]:
    for operation in key.operations.values():
        if not only.operations or any(fnmatchcase(operation.name, pattern) for pattern in only.operations):
            yield operation


def show(table: dict[str, Any], out: TextIO) -> None:
    """Write the table for a person; what is empty is left out."""
    out.write(f"bench {table['bench']}\n")
    for rig in table["rigs"]:
        expendable = "expendable" if rig["expendable"] else "not expendable: never written to"
        where = f" at {rig['port']}" if rig["port"] else ""
        parts = [f"{rig['key']}{where}", f"driver {rig['driver']}"]
        parts += [f"{kind} {_channel(rig[kind])}" for kind in ("power", "touch") if rig[kind]]
        out.write(f"  {rig['name']:<20} {' · '.join([*parts, expendable])}\n")
    for key in table["keys"]:
        out.write(f"\nkey {key['name']} · {key['title']}\n")
        for title, rows, field in (
            ("operations", key["operations"], "title"),
            ("items", key["items"], "law"),
            ("homes", key["homes"], "title"),
            ("next actions", key["next_actions"], "title"),
            ("defects", key["defects"], "title"),
        ):
            out.write(f"  {title}\n" if rows else "")
            for row in rows:
                out.write(f"    {row['name']:<34} {row[field]}\n")
        if key["personalities"]:
            out.write("  personalities\n")
            for name, version in key["personalities"].items():
                out.write(f"    {name:<34} {version}\n")
    for title in SECTIONS:
        out.write(f"\n{title}\n" if table[title] else "")
        for row in table[title]:
            out.write(f"  {row['name']:<36} {row['title']}\n")
    out.write("\nplugins\n" if table["plugins"] else "")
    for row in table["plugins"]:
        out.write(f"  {row['name']:<36} {row['distribution']} {row['version']}\n")


def _channel(one: dict[str, str]) -> str:
    """The channel, after its driver where it does not begin with that."""
    driver, channel = one["driver"], one["channel"]
    return channel if channel.startswith(driver) else f"{driver}, {channel}"
