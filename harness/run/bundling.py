"""Make a bundle of a run, and replay one that came from elsewhere."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from harness.base.atomic_file import create_file
from harness.base.errors import CallerError
from harness.bench.bench import load_bench
from harness.bench.registry import discover
from harness.evidence.abnormal import FOLDER, ROW, STATE, TEXTS, redacted
from harness.evidence.bundle import BYTES_MAX, Manifest, bundle, read_bundle, write_files
from harness.evidence.case_archive import CASES, case_lines
from harness.evidence.ledger import state_dir
from harness.field.redact import Redactor
from harness.report.load import whole_head
from harness.run.replay import Replayed, replay
from harness.safety.pins import known_pins

BENCH, PUBLIC = "bench.toml", "-public.json"
KEPT = (
    "finish.json",
    "evidence.jsonl",
    "operations.jsonl",
    "scenario.toml",
    "scenario.json",
)
"""The files of a run's folder that go into a bundle as they are."""
TALK = (".log", ".txt")
"""Texts of kernels, clients and firmware: who somebody is can stand in them."""
HERE = "<here>"
"""Stands in a bundle's bench for a folder of the machine that made it."""


@dataclass(frozen=True)
class Bundled:
    """What was written.

    :ivar public: the summary that may be published; None without an embargo.
    """

    path: Path
    public: Path | None
    manifest: Manifest


@dataclass(frozen=True)
class Again:
    """One cut of a bundle, replayed.

    :ivar kept: what its kept state shows now.
    :ivar cut: what the same cut shows, made anew; None where that is left out.
    """

    id: str
    kept: Replayed
    cut: Replayed | None

    @property
    def violated(self) -> bool:
        return self.kept.violated or (self.cut is not None and self.cut.violated)

    def table(self) -> dict[str, Any]:
        """Return it as a JSON-able table."""
        cut = self.cut.table() if self.cut is not None else None
        return {"id": self.id, "violated": self.violated, "kept": self.kept.table(), "cut_again": cut}


def make_bundle(run: Path, out: Path, *, embargo: bool = False) -> Bundled:
    """Write a bundle of a run that has ended.

    :param embargo: mark it, and write beside it what may be published.
    :raises CallerError: the run's bench is gone, the bundle would be too large, or there is a file of that name.
    """
    if not (run / "run.json").exists() or not (run / "finish.json").exists():
        raise CallerError(f"run {run}", found="no run that has ended", expected="a folder of reports/")
    head = whole_head(run)
    files = {name: (run / name).read_bytes() for name in KEPT if (run / name).is_file()}
    if cases := case_lines(run):
        files[CASES] = cases
    for path in sorted([*(run / "logs").rglob("*"), *(run / FOLDER).rglob("*")]):
        if path.is_file() and not path.is_symlink():
            files[path.relative_to(run).as_posix()] = path.read_bytes()
    named = (head.get("asked") or {}).get("bench_file") or head.get("bench")
    if not named:
        raise CallerError(f"run {run}", found="no bench in its run.json", expected="what a run writes")
    bench, more = _bench(Path(str(named)))
    files |= {BENCH: bench, **more, "run.json": _head(head)}
    files = _without_secrets(files)
    rows = [json.loads(body) for name, body in sorted(files.items()) if name.endswith(f"/{ROW}")]
    about = Manifest(
        str(head.get("version")),
        run.name,
        head["seed"],
        embargo,
        head.get("scenario"),
        tuple(row["id"] for row in rows),
    )
    if (size := sum(map(len, files.values()))) > BYTES_MAX:
        raise CallerError(f"run {run}", found=f"{size:,} bytes", expected=f"at most {BYTES_MAX:,}")
    body = bundle(about, files)
    _write(out, body)
    public = out.with_name(out.name.removesuffix(".zip") + PUBLIC) if embargo else None
    if public is not None:
        _write(public, _public(head, files).encode())
    return Bundled(out, public, read_bundle(out)[0])


def _write(path: Path, body: bytes) -> None:
    try:
        is_new = create_file(path, body)
    except OSError as error:
        raise CallerError(
            f"{path}", found=error.strerror, expected="a folder that can be written to"
        ) from None
    if not is_new:
        raise CallerError(f"{path}", found="a file", expected="a new name", mend="remove it, or name another")


def _bench(path: Path) -> tuple[bytes, dict[str, bytes]]:
    """The bench file of a run, with the containers that it names: (its text, path -> content)."""
    plugins = discover()
    loaded = load_bench(path if path.exists() else Path(path.name), plugins)
    document = tomlkit.parse(loaded.file.read_text(encoding="utf-8"))
    more: dict[str, bytes] = {}
    for rig in document.get("rig", []):
        if named := rig.get("firmware"):
            file = loaded.file.parent / str(named)
            inside = f"firmware/{file.name}"
            if not file.is_file():
                raise CallerError(f"bench {path}", found=f"no file {file}", expected="the container it names")
            more[inside] = file.read_bytes()
            rig["firmware"] = inside
        for name, value in rig.unwrap().items():
            if (elsewhere := _elsewhere(value)) != value:
                rig[name] = elsewhere
    return tomlkit.dumps(document).encode(), more


def _elsewhere(value: object) -> object:
    """A setting without the folders of this machine: they say nothing on another one, and who somebody is here."""
    if isinstance(value, str):
        return f"{HERE}/{Path(value).name}" if _is_own(value) else value
    if isinstance(value, list):
        return [_elsewhere(one) for one in value]
    if isinstance(value, dict):
        return {name: _elsewhere(one) for name, one in value.items()}
    return value


def _is_own(value: str) -> bool:
    """Whether a text is the path of a file or folder of this machine, and no device."""
    return value.startswith("/") and not value.startswith("/dev/") and len(Path(value).parts) > 1


def _head(head: Mapping[str, Any]) -> bytes:
    """run.json without the paths of this machine."""
    asked = head.get("asked")
    table = {**head, "bench": BENCH}
    if isinstance(asked, dict):
        table["asked"] = {**asked, "bench": BENCH, "bench_file": BENCH}
    return json.dumps(table, indent=1, sort_keys=True).encode() + b"\n"


def _without_secrets(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Take known PINs, names of this machine and what tells who somebody is out of all texts."""
    secrets = {**known_pins(), **{str(place): "<folder>" for place in (Path.home(), Path.cwd(), state_dir())}}
    secrets = {secret: shown for secret, shown in secrets.items() if len(secret) > 1}
    redactor = Redactor()
    found = {}
    for name, body in files.items():
        if STATE not in name and name.endswith((*TEXTS, ".jsonl", ".toml")):
            body = redacted(name, body, secrets)
            if name.endswith(TALK):
                lines = body.decode("utf-8", "replace").split("\n")
                body = "\n".join(map(redactor, lines)).encode()
        found[name] = body
    return found


def _public(head: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    """What may be said before a failure is mended: what was lost and how often, and not how to do it."""
    rows = [json.loads(line) for line in files.get("evidence.jsonl", b"").splitlines()]
    told = tomllib.loads(files.get("scenario.toml", b"").decode()).get("scenario", {})
    table = {
        "kind": "keyharness-public-summary",
        "version": head["version"],
        "scenario": told.get("id"),
        "title": told.get("title"),
        "missed": told.get("missed", []),
        "keys": [{name: rig[name] for name in ("title", "firmware")} for rig in head["rigs"]],
        "evidence_kind": head["evidence_kind"],
        "cuts": len(rows),
        "violations": sum(row["blame"] == "key" for row in rows),
        "detail": "under embargo",
    }
    return json.dumps(table, indent=1, sort_keys=True) + "\n"


def replay_bundle(path: Path, bench: Path | None = None) -> tuple[Manifest, list[Again]]:
    """Replay the cuts that a bundle holds, in a folder of its own that is removed at the end.

    Its bench is used for simulated keys only: one of other keys names programs, and it comes from elsewhere.

    :param bench: the caller's own, instead of the bundle's.
    :raises CallerError: it is no bundle, holds no kept state, or its keys are not simulated and no bench is named.
    """
    manifest, files = read_bundle(path)
    if not manifest.replays:
        raise CallerError(
            f"bundle {path}",
            found="no state that a cut has left",
            expected="a bundle of a run in which something was violated",
            mend="its evidence.jsonl can be read; `unzip` it",
        )
    with tempfile.TemporaryDirectory(prefix="keyharness-bundle-") as name:
        folder = Path(name)
        write_files(files, folder)
        if bench is None:
            _require_simulated(path, folder)
        used, found = bench or folder / BENCH, []
        for replay_id in manifest.replays:
            again = replay(replay_id, used) if bench is None else None
            found.append(Again(replay_id, replay(replay_id, used, folder), again))
    return manifest, found


def _require_simulated(path: Path, folder: Path) -> None:
    plugins = discover()
    if not (folder / BENCH).is_file():
        raise CallerError(f"bundle {path}", found=f"no {BENCH}", expected="the bench of its run")
    loaded = load_bench(folder / BENCH, plugins)
    for entry in loaded.bench.rig:
        if not plugins.drivers[entry.driver].simulated:
            raise CallerError(
                f"bundle {path}: rig {entry.name!r}",
                found=f"the driver {entry.driver}, which runs programs or switches power",
                expected="simulated keys: a bench from elsewhere is not trusted with more",
                mend=f"unzip it, read its {BENCH}, write this machine's own folders in place of {HERE}, and name "
                "the file with --bench",
            )
        if entry.firmware is not None and not _is_inside(folder / entry.firmware, folder):
            raise CallerError(
                f"bundle {path}: rig {entry.name!r} · firmware",
                found=str(entry.firmware),
                expected="a container in the bundle",
            )


def _is_inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
