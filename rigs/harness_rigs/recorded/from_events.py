"""Make a recording of what a firmware was seen to do to its files."""

from __future__ import annotations

from collections.abc import Sequence

from harness.api import CallerError, Mark, RigError
from harness_rigs.emulator.state import DirectoryState
from harness_rigs.recorded.batches import batches, joined, together, written_back
from harness_rigs.recorded.directory_ops import Entries, FileOp, Op, apply
from harness_rigs.recorded.events import FileEvent
from harness_rigs.recorded.flash_ops import driver_ops, flash_ops
from harness_rigs.recorded.options import FlashOptions
from harness_rigs.recorded.recording import FileRecording

HIDDEN = ".fuse_hidden"
"""How the FUSE library names a file that is removed while it is open."""


def recorded(
    rig: str,
    base: DirectoryState,
    final: DirectoryState,
    events: Sequence[FileEvent],
    flash: FlashOptions,
    tear_seed: bytes,
    marks: tuple[Mark, ...],
    start_us: int,
    end_us: int,
) -> FileRecording:
    """Make a recording of events.

    :raises CallerError: a flash file does not have the geometry that the bench says.
    :raises RigError: the events do not lead from the one state to the other.
    """
    for name in flash.images:
        require_fits(rig, name, base, flash)
    ops: list[Op] = []
    sources: list[int] = []
    runs: list[int | None] = []
    last: FileEvent | None = None
    run = 0
    synced: list[tuple[int, str]] = []
    entries: Entries = dict(base.entries)
    number = 0
    several: set[int] = set()
    for batch in batches(events, flash):
        event = batch[0]
        run += last is None or not together(last, event, flash)
        last = batch[-1]
        if event.kind == "refused":
            number += 1
            continue
        if not event.changes:
            synced.append((len(ops), event.path))
            continue
        if len(batch) > 1:
            several.add(number)
            event = joined(batch, entries)
        for op in ops_of(event, entries, flash):
            apply(entries, op, flash)
            ops.append(op)
            sources.append(number)
            runs.append(run if event.mapped else None)
        number += len(batch)
    if differing := DirectoryState(entries).differing(final):
        raise _unseen(rig, differing, events, final, flash)
    return FileRecording(
        base,
        ops,
        marks,
        start_us,
        end_us,
        final,
        tear_seed,
        tuple(sources),
        tuple(synced),
        flash,
        frozenset(several),
        written_back(ops, runs),
    )


def _unseen(
    rig: str,
    differing: Sequence[str],
    events: Sequence[FileEvent],
    final: DirectoryState,
    flash: FlashOptions,
) -> RigError:
    """The error for files that are not what the recorded changes make of them."""
    for event in events:
        if event.kind == "link" and event.path in final.entries and event.to in final.entries:
            return RigError(
                f'rig "{rig}": {event.to} is a hard link of {event.path}, and both are kept',
                found="one file with two names, which copies of the directory do not keep together",
                expected="one name for each file that is written",
                mend="let the firmware use a symbolic link, or a rename",
            )
    what = f'rig "{rig}": {differing[0]} changed, and nothing was seen that changed it'
    found = f"{len(differing)} files that differ from what the recorded writes make of them"
    if flash.kind == "driver":
        return RigError(
            what,
            found=found,
            expected="state in the flash behind the driver alone: writes to files are not seen there",
            mend='let the firmware write its logs to its output, or outside its directory; or use kind = "files"',
        )
    return RigError(
        what,
        found=found,
        expected="every change by a system call on a file in the working directory",
        mend='a memory map that is never synced writes only when the process ends: use kind = "driver", or sync it',
    )


def ops_of(event: FileEvent, entries: Entries, flash: FlashOptions) -> Sequence[Op]:
    """The operations of one event, on a directory as it is before."""
    if HIDDEN in event.path:
        return []
    if event.kind == "rename" and HIDDEN in event.to:
        return [FileOp(event.path, "unlink", event.start_us, event.end_us)]
    if event.kind in ("program", "erase"):
        return driver_ops(event, flash)
    if event.kind == "write" and event.path in flash.images:
        content = entries.get(event.path, ("file", b"", 0))[1]
        if event.offset + len(event.data) <= len(content):
            return flash_ops(
                event.path, content, event.offset, event.data, event.start_us, event.end_us, flash
            )
    op = FileOp(
        event.path,
        event.kind,
        event.start_us,
        event.end_us,
        event.offset,
        event.data,
        event.size,
        event.mode,
        event.to,
        event.target,
    )
    return [op]


def require_fits(rig: str, name: str, state: DirectoryState, flash: FlashOptions) -> None:
    """Check that a flash file consists of whole pages.

    :raises CallerError: it does not, or it is not there.
    """
    entry = state.entries.get(name)
    if entry is None or entry[0] != "file":
        files = [path for path, (kind, _, _) in state.entries.items() if kind == "file"]
        raise CallerError(
            f'rig "{rig}" · flash.files',
            found=f"no file {name} in its working directory, which has {', '.join(files) or 'none'}",
            expected="the file in which the firmware keeps its flash",
            mend="name the file as the firmware does, relative to where it runs",
        )
    if len(entry[1]) % flash.page_size or not entry[1]:
        raise CallerError(
            f'rig "{rig}" · flash.page_size',
            found=f"{name} has {len(entry[1])} bytes: {len(entry[1]) / flash.page_size:.2f} pages of {flash.page_size}",
            expected="whole pages",
            mend="set page_size to that of the firmware's flash",
        )
