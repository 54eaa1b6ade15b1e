"""The journals of a run that came to its end, in one archive: evidence.jsonl holds the same rows in plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.base.archive import UnreadableArchive, packed, unpacked
from harness.base.atomic_file import replace_file
from harness.base.shape import DamagedFile
from harness.evidence import chain

NAME, RESULTS = "rows.zip", "results.zip"
"""The archives of the campaigns' rows, and of their results: a file for each campaign, in both."""
ABOVE = 200_000
"""Bytes of all journals, from which they are packed: a small run stays as it was written."""
BYTES_MAX, FILES_MAX = 1 << 31, 10_000


def pack_journals(folder: Path) -> None:
    """Replace the journals in a folder by archives, if they are large. A kill leaves the journals or the archive."""
    journals, results = sorted(folder.glob("*.jsonl")), sorted(folder.glob("*.result.json"))
    # What is packed has to be read again, within these limits.
    if not ABOVE <= _bytes(journals) <= BYTES_MAX or len(journals) > FILES_MAX or _bytes(results) > BYTES_MAX:
        return
    for name, paths in ((NAME, journals), (RESULTS, results)):
        held = {path.name: chain.unlinked(path.read_bytes()) for path in paths}
        replace_file(folder / name, packed(held), durable=True)
        for path in paths:
            path.unlink()


def _bytes(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def unpack_journals(folder: Path, names: Mapping[str, Sequence[str]]) -> None:
    """Put packed journals back, because the run goes on: rows will be added. A kill leaves them, the archive, or both.

    :param names: by archive (NAME, RESULTS) those that it may hold.
    :raises DamagedFile: an archive cannot be read; it stays.
    """
    for archive, known in names.items():
        for name, body in read_packed(folder, known, archive).items():
            if not (folder / name).exists():
                replace_file(folder / name, body, durable=True)
        (folder / archive).unlink(missing_ok=True)


def read_held(folder: Path, names: Sequence[str], archive: str = NAME) -> Iterator[tuple[str, bytes]]:
    """Return (name, journal) of these names, packed or as they were written, in this order; those that there are.

    :raises DamagedFile: see `read_packed`; at once.
    """
    # The archive is whole before the first of its files goes; a kill may leave some of these.
    packed = read_packed(folder, names, archive)
    plain = [name for name in names if (folder / name).exists()]
    return (
        (name, (folder / name).read_bytes() if name in plain else packed[name])
        for name in names
        if name in plain or name in packed
    )


def read_packed(folder: Path, names: Sequence[str], archive: str = NAME) -> dict[str, bytes]:
    """Return the journals of these names that are in a folder's archive, in this order; none without an archive.

    :param archive: NAME or RESULTS.
    :raises DamagedFile: the archive cannot be read, or holds a journal of another name.
    """
    path = folder / archive
    if not path.exists():
        return {}
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
    return {name: chain.linked(held[name]) for name in names if name in held}
