"""What nobody opens of a large run, in archives: the cut maps of clean operations, which index.html shows, and traces.

What belongs to a violation stays a file, as do flash rasters, to which index.html links.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from harness.base.archive import UnreadableArchive, packed, unpacked
from harness.base.atomic_file import replace_file
from harness.report import files
from harness.report.files import Damage, Row, read_object

CUT_MAPS, TRACES = "cut-maps.zip", "traces.zip"
ABOVE = 50
"""Operations without a violation, from which their files are packed: those of a small run stay files."""
BYTES_MAX, FILES_MAX = 100_000_000, 10_000


def pack_clean(run_dir: Path, summary: Row) -> None:
    """Pack what clean operations left, of a run that came to its end. A kill leaves the files, the archive, or both."""
    clean = [(op["rig"], op["operation"]) for op in summary["operations"] if not op["violations"]]
    if len(clean) < ABOVE:
        return
    maps = [files.picture_path(run_dir, *names, files.CUT_MAP) for names in clean]
    for archive, paths in (
        (run_dir / files.PICTURES / CUT_MAPS, maps),
        (run_dir / files.LOGS / TRACES, [files.trace_path(run_dir, *names) for names in clean]),
    ):
        held = {path.name: path.read_bytes() for path in paths if path.is_file()}
        if held:
            replace_file(archive, packed({**_read(archive), **held}))
        for path in paths:
            path.unlink(missing_ok=True)


def read_cut_maps(run_dir: Path) -> dict[str, bytes]:
    """Return the packed cut maps of a run by their file names; none without an archive that can be read."""
    return _read(run_dir / files.PICTURES / CUT_MAPS)


def read_trace(run_dir: Path, rig: str, operation: str, damage: Damage) -> Row | None:
    """Return the trace of an operation, packed or not; None if there is none, or, with damage, if it is not whole."""
    path = files.trace_path(run_dir, rig, operation)
    if path.exists() or (held := _read(path.with_name(TRACES)).get(path.name)) is None:
        return read_object(path, damage)
    try:
        value = json.loads(held)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else None


def _read(archive: Path) -> dict[str, bytes]:
    with suppress(UnreadableArchive):
        return unpacked(archive, bytes_max=BYTES_MAX, files_max=FILES_MAX) if archive.exists() else {}
    return {}
