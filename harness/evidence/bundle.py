"""A bundle: what a run has found, in one file that another machine can replay (docs/field.md).

    manifest.json       what it is, and the SHA-256 of every other file
    run.json, bench.toml, evidence.jsonl, abnormal/ ...     as in a run's folder

It may come from anybody: it is read with limits, and nothing of it is written before all of it was checked.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from harness.base.archive import UNREADABLE, UnreadableArchive, packed, unpacked
from harness.base.errors import CallerError
from harness.base.shape import Shape, misfit

MANIFEST, KIND, SCHEMA = "manifest.json", "keyharness-bundle", 1
BYTES_MAX, FILES_MAX = 64 << 20, 2000
"""Of all files together, unpacked. A run has 15 MB and 300 files at most."""
ARCHIVE_MAX = BYTES_MAX + FILES_MAX * 1000
"""Of the archive itself: of the files as they are, with what it says of each."""
PATH_MAX, NAME_MAX = 1000, 255
"""Bytes of a file's path in it, and of each name of that: what a file system takes."""
MEND = "ask the sender for the bundle again, as `keyharness bundle` wrote it"

_SHAPE: Shape = {
    "kind": str,
    "schema": int,
    "version": str,
    "run": str,
    "seed": int,
    "embargo": bool,
    "scenario": (str, None),
    "replays": [str],
    "files": dict,
}


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself.

    :ivar version: of Keyharness that made it. :ivar replays: ids of the cuts whose state it holds.
    :ivar embargo: private detail is in it, which must not be passed on.
    :ivar files: path -> SHA-256 in hex.
    """

    version: str
    run: str
    seed: int
    embargo: bool = False
    scenario: str | None = None
    replays: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


def bundle(about: Manifest, files: Mapping[str, bytes]) -> bytes:
    """Return a bundle; the same for the same files.

    :param about: `files` in it are filled in.
    """
    table: dict[str, Any] = {"kind": KIND, "schema": SCHEMA, **asdict(about)}
    table["files"] = {name: _digest(body) for name, body in sorted(files.items())}
    return packed({**files, MANIFEST: json.dumps(table, indent=1, sort_keys=True).encode() + b"\n"})


def read_bundle(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Read and check a bundle: (what it says of itself, path -> content).

    :raises CallerError: it is no bundle, larger than one may be, holds a path that leads out of it, a link, a file
        twice or one that its manifest does not name, or a file with another content than that says.
    """
    _check_entries(path)
    try:
        files = unpacked(path, bytes_max=BYTES_MAX, files_max=FILES_MAX)
    except UnreadableArchive as error:
        raise _refused(path, str(error), "an archive that can be read whole") from None
    manifest = _manifest(path, files.pop(MANIFEST, None))
    for name in sorted(files.keys() - manifest.files.keys()):
        raise _refused(path, f"{name}, which the manifest does not name", "only files of the manifest")
    for name, digest in sorted(manifest.files.items()):
        if name not in files:
            raise _refused(path, f"no {name}", "every file of the manifest")
        if (found := _digest(files[name])) != digest:
            raise _refused(path, f"{name} with SHA-256 {found}", f"SHA-256 {digest}")
    return manifest, files


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a bundle that was read into a folder."""
    for name, body in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)


def _check_entries(path: Path) -> None:
    """Look at the names and kinds of an archive's files before any is read."""
    try:
        # A pipe has no end, and the list of an archive's files is read whole.
        if path.exists() and not path.is_file():
            raise ValueError("no plain file")
        if path.exists() and (size := path.stat().st_size) > ARCHIVE_MAX:
            raise ValueError(f"{size:,} bytes")
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except UNREADABLE as error:
        raise _refused(
            path, str(error), f"a bundle: a zip archive of {ARCHIVE_MAX:,} bytes at most"
        ) from None
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        place = PurePosixPath(name)
        if (
            place.is_absolute()
            or not place.parts
            or ".." in place.parts
            or any(sign in name for sign in ("\\", ":", "\0"))
            or str(place) != name
            or len(name.encode("utf-8", "replace")) > PATH_MAX
            or any(len(part.encode("utf-8", "replace")) > NAME_MAX for part in place.parts)
        ):
            raise _refused(path, f"the path {name!r}", "paths that stay inside the bundle")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _refused(path, f"{name}, which is a link or a device", "plain files")
        if name.lower() in seen:
            raise _refused(path, f"{name} twice", "each file once")
        seen.add(name.lower())
    for name in sorted(seen):
        for above in PurePosixPath(name).parents:
            if str(above) in seen:
                raise _refused(
                    path, f"{name} below {above}, which is a file", "paths that can all be written"
                )
    if MANIFEST not in seen:
        raise _refused(path, f"no {MANIFEST}", "a bundle of Keyharness")


def _manifest(path: Path, body: bytes | None) -> Manifest:
    where = f"{MANIFEST} of it"
    try:
        table = json.loads((body or b"").decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"{where}: {error}", "JSON") from None
    if (wrong := misfit(table, _SHAPE, where)) is not None:
        raise _refused(path, wrong, "what a bundle says of itself")
    if (table["kind"], table["schema"]) != (KIND, SCHEMA):
        raise _refused(path, f"{table['kind']} {table['schema']}", f"{KIND} {SCHEMA}")
    if not all(isinstance(digest, str) for digest in table["files"].values()):
        raise _refused(path, f"{where}: a digest that is no text", "SHA-256 in hex")
    known = {name: table[name] for name in ("version", "run", "seed", "embargo", "scenario", "files")}
    return Manifest(**known, replays=tuple(table["replays"]))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _refused(path: Path, found: str, expected: str) -> CallerError:
    return CallerError(f"bundle {path}", found=found, expected=expected, mend=MEND)
