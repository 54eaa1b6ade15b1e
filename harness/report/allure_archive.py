"""Allure's results of a run: a folder while the run goes on, one archive afterwards."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from harness.base.archive import UnreadableArchive, packed, unpacked
from harness.base.atomic_file import replace_file
from harness.report import files
from harness.report.files import Damage

BYTES_MAX, FILES_MAX = 500_000_000, 100_000


def pack(results: Path, run_dir: Path) -> Path:
    """Replace the archive of a run by one of a folder's files, in one step; return it."""
    out = run_dir / files.ALLURE_ARCHIVE
    replace_file(out, packed({path.name: path.read_bytes() for path in results.iterdir() if path.is_file()}))
    return out


def collect(run_dir: Path, into: Path, damage: Damage) -> None:
    """Copy a run's results into a folder: those of its archive, then those of its own folder of results.

    A run that was continued has both. What is damaged is left out, and named.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        _unpack(run_dir / files.ALLURE_ARCHIVE, into)
    except UnreadableArchive as error:
        damage.add(files.ALLURE_ARCHIVE, f"unreadable ({error}); its results were left out")
    folder = run_dir / files.ALLURE_RESULTS
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and not path.is_symlink():
            shutil.copyfile(path, into / path.name)


def unpack_for_more(run_dir: Path) -> None:
    """Put the results of an interrupted run back into their folder, because the run goes on."""
    # `collect` names the damage when the report is made.
    with suppress(UnreadableArchive):
        _unpack(run_dir / files.ALLURE_ARCHIVE, run_dir / files.ALLURE_RESULTS)


def _unpack(archive: Path, into: Path) -> None:
    """Write an archive's files into a folder; do nothing if there is no archive.

    :raises UnreadableArchive: it cannot be read, or holds what cannot be written.
    """
    if not archive.exists():
        return
    into.mkdir(parents=True, exist_ok=True)
    for name, body in unpacked(archive, bytes_max=BYTES_MAX, files_max=FILES_MAX).items():
        # Results are flat. A name that leads elsewhere is none of Allure's.
        if name != Path(name).name or name in ("", ".", ".."):
            continue
        try:
            (into / name).write_bytes(body)
        except (OSError, ValueError) as error:
            raise UnreadableArchive(f"{name!r} cannot be written: {error}") from None
