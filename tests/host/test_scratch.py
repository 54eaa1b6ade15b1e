"""Temporary folders: gone with their process, or with the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.base.errors import HostError
from harness.host import scratch

MAKE = """
import sys
from harness.host.scratch import new_file, new_folder
folder, file = new_folder("emu"), new_file("emu", ".log")
(folder / "state").write_text("x")
print(folder, file, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(scratch, "_mine", None)
    return tmp_path / f"keyharness-scratch-{os.getuid()}"


def process(root):
    """A process that has made a folder and a file, and lives until its input ends."""
    made = subprocess.Popen(
        [sys.executable, "-c", MAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    paths = [Path(one) for one in made.stdout.readline().split()]
    assert all(one.is_relative_to(root) and one.exists() for one in paths)
    return made, paths


def folders(root):
    return [one for one in root.iterdir() if one.is_dir()]


def test_a_process_that_ends_leaves_nothing(root):
    made, _ = process(root)
    made.communicate()
    assert folders(root) == []


def test_what_a_killed_process_left_is_removed_by_the_next_one_and_what_lives_is_not(root):
    killed, left = process(root)
    living, used = process(root)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert all(one.exists() for one in left)
    mine = scratch.new_folder("emu")
    assert not any(one.exists() for one in left)
    assert all(one.exists() for one in [*used, mine])
    living.communicate()


def test_a_folder_without_its_lock_is_removed(root):
    first = scratch.new_folder("emu").parent
    (root / "torn").mkdir()
    scratch._mine = None
    scratch.new_folder("emu")
    assert not (root / "torn").exists()
    assert first.exists(), "this process still holds its lock"


def test_a_child_that_was_forked_has_a_folder_of_its_own(root):
    parents = scratch.new_folder("emu")
    child = os.fork()
    if child == 0:
        os._exit(0 if scratch.new_folder("emu").parent != parents.parent and parents.exists() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    scratch._mine, held = None, scratch._mine
    scratch.new_folder("emu")
    assert parents.exists()
    assert held is not None


def test_a_folder_of_another_is_not_used(root, tmp_path):
    root.symlink_to(tmp_path)
    with pytest.raises(HostError, match="keyharness-scratch"):
        scratch.new_folder("emu")
    root.unlink()
    root.mkdir(mode=0o777)
    root.chmod(0o777)
    with pytest.raises(HostError, match="0777"):
        scratch.new_folder("emu")
