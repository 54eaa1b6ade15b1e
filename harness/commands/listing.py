"""`keyharness list`: rigs, keys, operations, suites, drivers, personalities, defects, plugins."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TextIO

from harness.bench.bench import load_bench
from harness.bench.registry import discover


def listing(bench: Path | None) -> dict[str, Any]:
    """Return everything as one JSON-able table."""
    plugins = discover()
    loaded = load_bench(bench, plugins)
    return {
        "bench": loaded.shown,
        "rigs": [
            {"name": entry.name, "key": entry.key, "driver": entry.driver, "expendable": entry.expendable}
            for entry in loaded.bench.rig
        ],
        "keys": [
            {
                "name": key.name,
                "title": key.title,
                "operations": [{"name": op.name, "title": op.title} for op in key.operations.values()],
                "items": [{"name": item.name, "law": item.law.value} for item in key.items],
                "personalities": dict(plugins.twins[key.name].personalities)
                if key.name in plugins.twins
                else {},
                "defects": [
                    {"name": defect.name, "title": defect.title, "source": defect.source}
                    for defect in (
                        plugins.twins[key.name].defects.values() if key.name in plugins.twins else ()
                    )
                ],
            }
            for key in plugins.keys.values()
        ],
        "drivers": [{"name": driver.name, "title": driver.title} for driver in plugins.drivers.values()],
        "power": [{"name": one.name, "title": one.title} for one in plugins.power.values()],
        "touch": [{"name": one.name, "title": one.title} for one in plugins.touch.values()],
        "transports": [{"name": one.name, "title": one.title} for one in plugins.transports.values()],
        "suites": [{"name": suite.name, "title": suite.title} for suite in plugins.suites.values()],
        "plugins": [
            {"name": info.name, "distribution": info.distribution, "version": info.version}
            for info in plugins.found
        ],
    }


def show(table: dict[str, Any], out: TextIO) -> None:
    """Write the table for a person."""
    out.write(f"bench {table['bench']}\n")
    for rig in table["rigs"]:
        expendable = "expendable" if rig["expendable"] else "not expendable: never written to"
        out.write(f"  {rig['name']:<20} {rig['key']} · driver {rig['driver']} · {expendable}\n")
    for key in table["keys"]:
        out.write(f"\nkey {key['name']} · {key['title']}\n")
        for title, rows, field in (
            ("operations", key["operations"], "title"),
            ("items", key["items"], "law"),
            ("defects", key["defects"], "title"),
        ):
            out.write(f"  {title}\n")
            for row in rows:
                out.write(f"    {row['name']:<34} {row[field]}\n")
        if key["personalities"]:
            out.write("  personalities\n")
            for name, version in key["personalities"].items():
                out.write(f"    {name:<34} {version}\n")
    for title in ("suites", "drivers", "power", "touch", "transports"):
        out.write(f"\n{title}\n")
        for row in table[title]:
            out.write(f"  {row['name']:<36} {row['title']}\n")
    out.write("\nplugins\n")
    for row in table["plugins"]:
        out.write(f"  {row['name']:<36} {row['distribution']} {row['version']}\n")
