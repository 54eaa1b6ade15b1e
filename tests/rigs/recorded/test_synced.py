"""Which writes are on the disk by an fsync: those to that file, by whatever name it had when they were made."""

from __future__ import annotations

import pytest

from harness.base.errors import RigError
from harness_rigs.emulator.state import DirectoryState
from harness_rigs.recorded.events import FileEvent
from harness_rigs.recorded.from_events import recorded
from harness_rigs.recorded.options import DRIVER_FILE, FlashOptions
from harness_rigs.recorded.recording import FileRecording

FILES = FlashOptions(kind="files")
DRIVER = FlashOptions(kind="driver", page_size=512, pages=1)
END = ("file", b"new", 0o600)


def recording(final: dict, *events: tuple[str, str, dict]) -> FileRecording:
    made = [FileEvent(kind, path, n, n + 1, **more) for n, (kind, path, more) in enumerate(events)]
    base, end = DirectoryState({"d": ("folder", b"", 0o700)}), DirectoryState(final)
    return recorded("rig", base, end, made, FILES, b"seed", (), 0, len(made))


def late(run: FileRecording) -> set[tuple[int, str]]:
    phases = ("without", "unsynced", "file")
    return {(cut.flash_op, cut.phase) for cut in run.all_cuts(4) if cut.phase.startswith(phases)}


CREATE, WRITE, SYNC = {"mode": 0o600}, {"data": b"new"}, {}
FOLDER = {"d": ("folder", b"", 0o700)}


@pytest.mark.parametrize(
    ("old", "rename", "new"),
    [
        ("a", ("rename", "a", {"to": "b"}), "b"),
        ("d/a", ("rename", "d", {"to": "e"}), "e/a"),
        ("b", ("chmod", "b", {"mode": 0o600}), "b"),
    ],
    ids=["another name", "another name of its folder", "the same name"],
)
def test_a_file_that_is_synced_by_its_new_name_is_on_the_disk(old, rename, new):
    """Nothing that is then missing could be missing on a real disk."""
    events = [("create", old, CREATE), ("write", old, WRITE), rename]
    folder = {"e" if new.startswith("e/") else "d": ("folder", b"", 0o700)}
    final = {**folder, new: END}
    never = late(recording(final, *events))
    assert never == {(3, "without2")}
    assert late(recording(final, *events, ("fsync", new, SYNC))) == set()
    other = {**final, "z": ("file", b"", 0o600)}
    after = recording(other, *events, ("create", "z", CREATE), ("fsync", new, SYNC))
    assert late(after) == never, "it was not on the disk before"


def test_another_file_of_the_old_name_does_not_bring_it_to_the_disk():
    events = [
        *[("create", "a", CREATE), ("write", "a", WRITE), ("rename", "a", {"to": "b"})],
        *[("create", "a", CREATE), ("write", "a", WRITE), ("fsync", "a", SYNC)],
    ]
    run = recording({**FOLDER, "a": END, "b": END}, *events)
    assert (5, "without2") in late(run)
    images = {cut.label: image for cut, image in run.images(run.all_cuts(4))}
    assert images["op5.without2"].entries == {**FOLDER, "a": END, "b": ("file", b"", 0o600)}


def test_a_file_that_is_written_beside_the_flash_of_a_driver_is_explained():
    """The mend for a memory map was to use the kind that the bench already had."""
    blank = {DRIVER_FILE: ("file", b"\xff" * 512, 0o600)}
    with pytest.raises(RigError, match="log changed, and nothing was seen") as error:
        recorded(
            "rig", DirectoryState(blank), DirectoryState({**blank, "log": END}), [], DRIVER, b"seed", (), 0, 1
        )
    assert 'kind = "driver"' not in error.value.mend
    assert "output" in error.value.mend


@pytest.mark.parametrize("faults", [["torn"], []])
def test_without_torn_among_the_faults_an_erase_is_whole(faults):
    flash = FlashOptions(kind="driver", page_size=512, pages=1, faults=faults)
    old, new = ({DRIVER_FILE: ("file", one * 512, 0o600)} for one in (b"\0", b"\xff"))
    erase = FileEvent("erase", DRIVER_FILE, 0, 100, 0, b"", 512)
    run = recorded("rig", DirectoryState(old), DirectoryState(new), [erase], flash, b"seed", (), 0, 100)
    phases = [cut.phase for cut in run.all_cuts(4)]
    assert phases == ["before", *(["torn1", "torn2", "torn3", "torn4"] if faults else []), "after", "end"]
    left = {bytes(image.entries[DRIVER_FILE][1]) for _, image in run.images(run.all_cuts(4))}
    assert (left == {b"\0" * 512, b"\xff" * 512}) is not bool(faults)
