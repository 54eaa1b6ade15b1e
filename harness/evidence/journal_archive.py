"""The journals of a run that came to its end, in one archive: evidence.jsonl holds the same rows in plain text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.base.archive import UnreadableArchive, packed, unpacked
from harness.base.atomic_file import replace_file
from harness.base.shape import DamagedFile

NAME, RESULTS = "rows.zip", "results.zip"
"""The archives of the campaigns' rows, and of their results: a file for each campaign, in both."""
ABOVE = 200_000
"""Bytes of all journals, from which they are packed: a small run stays as it was written."""
BYTES_MAX, FILES_MAX = 1 << 31, 10_000


def pack_journals(folder: Path) -> None:
    """Replace the journals in a folder by archives, if they are large. A kill leaves the journals or the archive."""
    journals = sorted(folder.glob("*.jsonl"))
    if sum(path.stat().st_size for path in journals) < ABOVE:
        return
    for name, paths in ((NAME, journals), (RESULTS, sorted(folder.glob("*.result.json")))):
        replace_file(folder / name, packed({path.name: path.read_bytes() for path in paths}), durable=True)
        for path in paths:
            path.unlink()


def read_packed(folder: Path, names: Sequence[str], archive: str = NAME) -> list[bytes]:
    """Return the journals of these names that are in a folder's archive, in this order; none without an archive.

    :param archive: NAME or RESULTS.
    :raises DamagedFile: the archive cannot be read, or holds a journal of another name.
    """
    path = folder / archive
    if not path.exists():
        return []
    try:
        held = unpacked(path, bytes_max=BYTES_MAX, files_max=FILES_MAX)
        if unknown := sorted(held.keys() - set(names)):
            raise UnreadableArchive(f"{unknown[0]!r} is no journal of this run")
    except UnreadableArchive as error:
        raise DamagedFile(
            str(path),
            found=f"an archive that cannot be read: {error}",
            expected="the journals of the run",
            mend="bring the file back from a copy; evidence.jsonl and operations.jsonl hold the same rows",
        ) from None
    return [held[name] for name in names if name in held]
