"""Update containers on the command line: what a file is, and a bench that installs it from given versions.

What is in a container is known to the plugin of its key; here is only what is asked about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from harness.base.errors import CallerError, one_of
from harness.bench.registry import discover
from harness.model.update_file import FirmwareFile, FirmwareReader

SUITES, OPERATIONS = ("endurance",), ("update.install", "update.refused")
LARGE = 256 * 1024
CUTS_OF_LARGE = 48
"""So many cuts into updates with an image above `LARGE` bytes, unless the caller says how many."""


def show(files: Sequence[Path], key_name: str, seed: int, out: TextIO) -> int:
    """Say what each file is; 4 if one of them is no container.

    :raises CallerError: no such key, or one whose containers cannot be read.
    """
    reader = discover().firmware_reader(key_name)
    bad = 0
    for path in files:
        try:
            known = reader(path, seed)
        except CallerError as error:
            out.write(f"{error}\n")
            bad += 1
            continue
        out.write(f"{path}\n")
        for label, text in known.rows:
            out.write(f"  {label:<14} {text}\n")
    return 4 if bad else 0


def matrix(
    where: Path, from_versions: Sequence[str], to_versions: Sequence[str], bench: Path | None, reports: Path
) -> tuple[Path, int | None]:
    """A bench with a rig for each pair of versions, and the budget of cuts that goes with it.

    Without `from_versions` every version in the folder is one to start from; one file is installed on what the
    bench has.

    :raises CallerError: no container, no such version in it, or a bench whose keys have no twins.
    """
    import tomllib

    from harness.bench.bench import load_bench

    plugins = discover()
    loaded = load_bench(bench, plugins)
    raw = tomllib.loads(loaded.file.read_text(encoding="utf-8"))
    lines = [f"# Made by `keyharness run --firmware {where}`.", 'name = "update"']
    largest = 0
    for entry in raw["rig"]:
        found = _containers(where, plugins.firmware_reader(entry["key"]))
        wanted = _chosen(where, found, to_versions)
        starts: list[str | None] = [version.removeprefix("v") for version in from_versions]
        if not starts:
            starts = [one.version.removeprefix("v") for one in found] if len(found) > 1 else [None]
        for start in starts:
            for target in wanted:
                lines += _rig(entry, start, target)
                largest = max(largest, target.size)
    text = "\n".join(lines) + "\n"
    folder = reports / "benches"
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"update-{hashlib.sha256(text.encode()).hexdigest()[:8]}.toml"
    made.write_text(text, encoding="utf-8")
    return made, CUTS_OF_LARGE if largest > LARGE else None


def _containers(where: Path, reader: FirmwareReader) -> list[FirmwareFile]:
    paths = sorted(where.glob("*.zip")) if where.is_dir() else [where]
    if not paths:
        raise CallerError(str(where), found="no *.zip", expected="update containers")
    return [reader(path, 0) for path in paths]


def _chosen(where: Path, found: list[FirmwareFile], versions: Sequence[str]) -> list[FirmwareFile]:
    known = {one.version.removeprefix("v"): one for one in found}
    for version in versions:
        if version.removeprefix("v") not in known:
            raise CallerError(
                f"--to {version}",
                found=version,
                expected=f"a version in {where}: {one_of(version, list(known))}",
                mend="name one of these",
            )
    return [known[version.removeprefix("v")] for version in versions] or found


def _rig(entry: dict[str, Any], start: str | None, target: FirmwareFile) -> list[str]:
    twin = {name: value for name, value in entry.get("twin", {}).items() if name != "version"}
    if start is not None:
        twin["version"] = start
    begins = f"{start}-" if start else ""
    name = f"{entry['name']}.{begins}to-{target.version.removeprefix('v')}".lower().replace("+", "-")
    rest = {**entry, "name": name, "firmware": str(target.path.absolute())}
    rest.pop("twin", None)
    lines = ["", "[[rig]]", *(f"{key} = {_toml(value)}" for key, value in rest.items())]
    return lines + [f"twin.{key} = {_toml(value)}" for key, value in twin.items()]


def _toml(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
