"""Allure's results of a run: a folder while the run goes on, one archive afterwards.

The same results give the same bytes: names are sorted, and no time or owner of a file is kept.
"""

from __future__ import annotations

import io
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from harness.base.atomic_file import replace_file
from harness.report import files
from harness.report.files import Damage

BYTES_MAX, FILES_MAX = 500_000_000, 100_000
"""Of an archive that is unpacked: a report may come from elsewhere."""
_DATE = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16
_UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)
"""Python raises these for damaged, encrypted and unsupported archives."""


def pack(results: Path, run_dir: Path) -> Path:
    """Replace the archive of a run by one of a folder's files, in one step; return it."""
    out = run_dir / files.ALLURE_ARCHIVE
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", compresslevel=9) as zipped:
        for path in sorted(one for one in results.iterdir() if one.is_file()):
            entry = zipfile.ZipInfo(path.name, _DATE)
            entry.external_attr, entry.compress_type = _PLAIN_FILE, zipfile.ZIP_DEFLATED
            zipped.writestr(entry, path.read_bytes())
    replace_file(out, body.getvalue())
    return out


def collect(run_dir: Path, into: Path, damage: Damage) -> None:
    """Copy a run's results into a folder: those of its archive, then those of its own folder of results.

    A run that was continued has both. What is damaged is left out, and named.
    """
    into.mkdir(parents=True, exist_ok=True)
    archive = run_dir / files.ALLURE_ARCHIVE
    if archive.exists():
        try:
            _unpack(archive, into)
        except _UNREADABLE as error:
            damage.add(archive.name, f"unreadable ({error}); its results were left out")
    folder = run_dir / files.ALLURE_RESULTS
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and not path.is_symlink():
            shutil.copyfile(path, into / path.name)


def unpack_for_more(run_dir: Path) -> None:
    """Put the results of an interrupted run back into their folder, because the run goes on."""
    folder = run_dir / files.ALLURE_RESULTS
    if (run_dir / files.ALLURE_ARCHIVE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _unpack(run_dir / files.ALLURE_ARCHIVE, folder)
        except _UNREADABLE:
            return  # `collect` names the damage when the report is made


def _unpack(archive: Path, into: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        entries = zipped.infolist()
        _refuse_the_large(entries)
        for entry in entries:
            # Results are flat. A name that leads elsewhere is none of Allure's.
            if (
                entry.is_dir()
                or entry.filename != Path(entry.filename).name
                or entry.filename in ("", ".", "..")
            ):
                continue
            with zipped.open(entry) as source:
                body = source.read(entry.file_size + 1)
            if len(body) > entry.file_size:
                raise ValueError(f"{entry.filename} is larger than it says")
            (into / entry.filename).write_bytes(body)


def _refuse_the_large(entries: Iterable[zipfile.ZipInfo]) -> None:
    sizes = [entry.file_size for entry in entries]
    if len(sizes) > FILES_MAX or sum(sizes) > BYTES_MAX:
        raise ValueError(f"{len(sizes):,} files of {sum(sizes):,} bytes: more than any run leaves")
