"""Describe and make update containers (`keyharness firmware`), and make a bench that installs them (`run --firmware`).

The plugin of a key knows what is in its containers (`harness.model.update_file`).
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from harness.base.atomic_file import create_file, replace_file
from harness.base.errors import CallerError, one_of
from harness.bench.bench import key_name, load_bench, parse_bench
from harness.bench.registry import discover
from harness.bench.toml_file import bench_text
from harness.model.update_file import FirmwareFile, Signer

SUITES = ("endurance",)
LARGE = 256 * 1024
"""Bytes; an update with a larger image takes long."""
CUTS_OF_LARGE = 48
"""Number of cuts into updates with an image above `LARGE` bytes, unless --cuts says another."""


@dataclass(frozen=True)
class UpdateBench:
    """A bench that installs containers, and what to run on it.

    :ivar file: the bench file, below the folder of reports, so that replay ids can name it.
    :ivar operations: the operations to cut, by name.
    :ivar cuts: the usual number of cuts; None means every cut.
    """

    file: Path
    operations: tuple[str, ...]
    cuts: int | None


def describe(files: Sequence[Path], key: str | None, seed: int) -> list[dict[str, Any]]:
    """Describe each file, as JSON-able rows: path, version, size, rows for a person, and what is wrong with it.

    :param key: the key that the containers are for; None means that of the default bench.
    :raises CallerError: no such key, or no plugin knows its updates.
    """
    plugins = discover()
    read = plugins.update_support(key_name(key, plugins)).read
    found = []
    for path in files:
        row: dict[str, Any] = {"path": str(path), "version": None, "size": None, "rows": [], "fault": None}
        try:
            known = read(path, seed)
        except CallerError as error:
            found.append({**row, "fault": str(error)})
            continue
        rows = [{"label": label, "text": text} for label, text in known.rows]
        found.append({**row, "version": known.version, "size": known.size, "rows": rows})
    return found


def show(found: Sequence[Mapping[str, Any]], out: TextIO) -> int:
    """Write the descriptions for a person; return 4 if one of the files is no container, else 0."""
    for one in found:
        out.write(f"{one['fault'] or one['path']}\n")
        for row in one["rows"]:
            out.write(f"  {row['label']:<14} {row['text']}\n")
    return exit_code(found)


def exit_code(found: Sequence[Mapping[str, Any]]) -> int:
    """Return 4 if one of the files is no container, else 0."""
    return 4 if any(one["fault"] for one in found) else 0


def make(version: str, signer: Signer, key: str | None, seed: int, path: Path) -> dict[str, Any]:
    """Write a container with a small image for simulated keys; return its path and rows for a person.

    :param key: the key that it is for; None means that of the default bench.
    :raises CallerError: no such key, no plugin makes containers for it, a version that cannot be, or a file that is
        there already or cannot be written.
    """
    plugins = discover()
    name = key_name(key, plugins)
    maker = plugins.update_support(name).make
    if maker is None:
        raise CallerError(
            f'key "{name}"', found="nothing that makes update containers", expected="another key"
        )
    made = maker(version, signer, seed)
    try:
        is_new = create_file(path, made.data)
    except OSError as error:
        raise CallerError(str(path), found=error.strerror, expected="a file that can be written") from None
    if not is_new:
        raise CallerError(
            str(path), found="a file", expected="a name of its own", mend="remove it, or name another"
        )
    rows = [{"label": label, "text": text} for label, text in made.rows]
    return {"path": str(path), "rows": rows, "fault": None}


def matrix(
    where: Path,
    from_versions: Sequence[str],
    to_versions: Sequence[str],
    bench: Path | None,
    reports: Path,
    rigs: Sequence[str] = (),
) -> UpdateBench:
    """Write a bench with one rig for each simulated rig and pair of versions, and one for each other rig.

    A twin starts from each of `from_versions`; without these from every version in the folder, or from its own if
    the folder has one container. A real key starts from the version that it has, and installs one container.

    :param where: a container, or a folder of containers.
    :param rigs: only these rigs of the bench; all if empty.
    :raises CallerError: no container, no such version, no such rig, or a rig that cannot do what was asked.
    """
    plugins = discover()
    loaded = load_bench(bench, plugins)
    for name in rigs:
        if name not in loaded.rigs:
            raise CallerError(
                f'rig "{name}"',
                found=name,
                expected=f"a rig of {loaded.shown}: {one_of(name, loaded.rigs)}",
                mend="name one of these, or another bench with --bench",
            )
    # From the file, not from the checked bench, which has defaults in it that the file does not name.
    entries = tomllib.loads(loaded.file.read_text(encoding="utf-8"))["rig"]
    made: list[dict[str, Any]] = []
    operations: dict[str, None] = {}
    largest = 0
    # A rig that nobody named takes no part if no update of its key is known, or if it is an extra one: the matrix has
    # its own versions. As long as there is another.
    known = [entry for entry in entries if entry["key"] in plugins.updates]
    known = [entry for entry in known if not entry.get("extra")] or known
    for entry in entries if rigs or not known else known:
        if rigs and entry["name"] not in rigs:
            continue
        support = plugins.update_support(entry["key"])
        containers = [support.read(path, 0) for path in _paths(where)]
        targets = _chosen(where, containers, to_versions)
        if plugins.drivers[entry["driver"]].simulated:
            starts = _starts(containers, from_versions)
            made += [_twin_entry(entry, start, target) for start in starts for target in targets]
        else:
            made.append(_real_entry(entry, where, from_versions, targets))
        operations |= dict.fromkeys(support.operations)
        largest = max(largest, *(target.size for target in targets))
    text = bench_text("update", made, f"Made by `keyharness run --firmware {where}`.")
    file = reports / "benches" / f"update-{hashlib.sha256(text.encode()).hexdigest()[:8]}.toml"
    parse_bench(text, str(file), file, plugins)
    replace_file(file, text)
    return UpdateBench(file, tuple(operations), CUTS_OF_LARGE if largest > LARGE else None)


def _paths(where: Path) -> list[Path]:
    paths = sorted(where.glob("*.zip")) if where.is_dir() else [where]
    if not paths:
        raise CallerError(str(where), found="no *.zip", expected="update containers")
    return paths


def _chosen(where: Path, found: list[FirmwareFile], versions: Sequence[str]) -> list[FirmwareFile]:
    known = {_plain(one.version): one for one in found}
    for version in versions:
        if _plain(version) not in known:
            raise CallerError(
                f"--to {version}",
                found=version,
                expected=f"a version in {where}: {one_of(version, list(known))}",
                mend="name one of these",
            )
    return [known[_plain(version)] for version in versions] or found


def _starts(found: Sequence[FirmwareFile], versions: Sequence[str]) -> Iterable[str | None]:
    """The versions that a twin starts from; None is its own."""
    if versions:
        return [_plain(version) for version in versions]
    return [_plain(one.version) for one in found] if len(found) > 1 else [None]


def _twin_entry(entry: Mapping[str, Any], start: str | None, target: FirmwareFile) -> dict[str, Any]:
    begins = f"{start}-" if start else ""
    name = f"{entry['name']}.{begins}to-{_plain(target.version)}".lower().replace("+", "-")
    twin = {name: value for name, value in entry.get("twin", {}).items() if name != "version"}
    if start is not None:
        twin["version"] = start
    changed = {**_with_target(entry, target), "name": name, "twin": twin}
    return changed if twin else _without(changed, "twin")


def _real_entry(
    entry: Mapping[str, Any], where: Path, from_versions: Sequence[str], targets: Sequence[FirmwareFile]
) -> dict[str, Any]:
    """The entry of a rig under its own name, by which its PIN is found, with the one container to install."""
    rig = f'rig "{entry["name"]}"'
    if from_versions:
        raise CallerError(
            f"--from {from_versions[0]}",
            found=f"{rig}, whose key starts from the version that it has",
            expected="twins only",
            mend="leave --from out, or name the twins with --rig",
        )
    if len(targets) > 1:
        versions = ", ".join(_plain(target.version) for target in targets)
        raise CallerError(
            f"--firmware {where}",
            found=f"{len(targets)} containers ({versions}) for {rig}, which has one key",
            expected="one container for a real key or an emulator",
            mend="name one with --to",
        )
    return _with_target(entry, targets[0])


def _with_target(entry: Mapping[str, Any], target: FirmwareFile) -> dict[str, Any]:
    return {**entry, "firmware": str(target.path.absolute())}


def _without(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != name}


def _plain(version: str) -> str:
    return version.removeprefix("v")
