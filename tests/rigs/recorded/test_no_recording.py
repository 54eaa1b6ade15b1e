"""A host on which nothing can be mounted: what is missing is named, and a way out that needs no mount."""

from __future__ import annotations

import importlib.util
import os

import pytest

from harness.base.errors import RigError
from harness_rigs.emulator.process import ProcessHost
from harness_rigs.emulator.state import DirectoryState
from harness_rigs.recorded import mount
from harness_rigs.recorded.from_events import recorded
from harness_rigs.recorded.options import FlashOptions


def test_without_dev_fuse_another_kind_is_named(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(RigError, match="writes cannot be recorded") as error:
        mount.require_fuse("rig")
    assert "/dev/fuse" in str(error.value.found)
    assert 'kind = "driver"' in error.value.mend


def test_without_the_binding_its_packages_are_named(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RigError, match="writes cannot be recorded") as error:
        mount.require_fuse("rig")
    assert "keyharness[record]" in error.value.mend
    assert "libfuse3-3" in error.value.mend


def test_a_mount_that_is_not_permitted_says_what_the_system_said(monkeypatch, tmp_path):
    program = tmp_path / "refused.py"
    program.write_text('import sys\nsys.exit("fuse: mount failed: Operation not permitted")\n')
    monkeypatch.setattr(mount, "require_fuse", lambda _: None)
    monkeypatch.setattr(mount, "PROGRAM", program)
    host = ProcessHost("none")
    try:
        with pytest.raises(RigError, match="could not be mounted") as error:
            mount.RecordingMount("rig", host, tmp_path)
        assert "Operation not permitted" in str(error.value.found)
        assert "user namespaces" in error.value.mend
    finally:
        host.close()


def test_a_mapping_that_is_never_synced_is_explained():
    flash = FlashOptions(kind="image", files=["flash.bin"], page_size=512)
    before, after = (DirectoryState({"flash.bin": ("file", one * 512, 0o600)}) for one in (b"\xff", b"\0"))
    with pytest.raises(RigError, match="nothing was seen that changed it") as error:
        recorded("rig", before, after, [], flash, b"seed", (), 0, 1)
    assert "never synced" in error.value.mend
