"""The cut maps of a large run in one archive: index.html shows them, so that nobody opens their files.

Those of operations with a violation stay files, as do flash rasters, to which index.html links.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from harness.base.archive import UnreadableArchive, packed, unpacked
from harness.base.atomic_file import replace_file
from harness.report import files
from harness.report.files import Row

NAME = "cut-maps.zip"
ABOVE = 50
"""Operations, from which their cut maps are packed: those of a small run stay files."""
BYTES_MAX, FILES_MAX = 100_000_000, 10_000


def pack_cut_maps(run_dir: Path, summary: Row) -> None:
    """Pack the cut maps of a run that came to its end. A kill leaves the files, the archive, or both."""
    clean = [op for op in summary["operations"] if not op["violations"]]
    if len(clean) < ABOVE:
        return
    paths = [files.picture_path(run_dir, op["rig"], op["operation"], files.CUT_MAP) for op in clean]
    held = {path.name: path.read_bytes() for path in paths if path.is_file()}
    if not held:
        return
    replace_file(run_dir / files.PICTURES / NAME, packed({**read_cut_maps(run_dir), **held}))
    for path in paths:
        path.unlink(missing_ok=True)


def read_cut_maps(run_dir: Path) -> dict[str, bytes]:
    """Return the packed cut maps of a run by their file names; none without an archive that can be read."""
    with suppress(UnreadableArchive):
        path = run_dir / files.PICTURES / NAME
        return unpacked(path, bytes_max=BYTES_MAX, files_max=FILES_MAX) if path.exists() else {}
    return {}
