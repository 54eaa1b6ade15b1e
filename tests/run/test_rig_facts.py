"""What the report says of a rig: firmware files with digests and signer, identity, calibration."""

from __future__ import annotations

import hashlib
import sys
from types import SimpleNamespace

import pytest

from harness.base.errors import CallerError
from harness.base.shape import misfit
from harness.bench.calibration import Calibration, keep
from harness.model.update_file import FirmwareFile, UpdateSupport
from harness.report import row_shapes
from harness.run.rig_facts import rig_facts
from harness_rigs.emulator.command import files_of
from harness_rigs.emulator.options import EmulatorOptions


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def rig(kind="hardware", **more):
    blank = {"identity": None, "firmware_images": (), "firmware_file": None, "seed": 1, "wiring": "hub 1-1"}
    return SimpleNamespace(
        evidence_kind=kind, name="mini", key=SimpleNamespace(name="acme"), **{**blank, **more}
    )


def facts(made, updates=None):
    found = rig_facts(made, updates or {})
    assert misfit(found, row_shapes.FACTS) is None
    return found


def test_of_an_emulator_the_files_that_run(tmp_path):
    (tmp_path / "firmware.py").write_text("pass")
    options = EmulatorOptions(
        command=[sys.executable, "firmware.py", "{state}", "--port", "absent.bin"],
        directory=tmp_path,
        transport="ctaphid-udp",
    )
    files = files_of(options)
    assert [path.name for path in files] == [sys.executable.rpartition("/")[2], "firmware.py"]
    found = facts(rig("emulator", firmware_images=files[1:]))
    assert found["files"] == [
        {"name": "firmware.py", "sha256": hashlib.sha256(b"pass").hexdigest(), "about": []}
    ]


def test_of_an_update_the_container_with_its_signer(tmp_path):
    container = tmp_path / "firmware.zip"
    container.write_bytes(b"container")

    def read(path, seed):
        if path.read_bytes() != b"container":
            raise CallerError("container", found="no zip")
        return FirmwareFile(path, "v1", 9, [("version", "v1"), ("signed by", f"the test key of seed {seed}")])

    updates = {"acme": UpdateSupport(read, ())}
    (file,) = facts(rig(firmware_file=container), updates)["files"]
    assert file["sha256"] == hashlib.sha256(b"container").hexdigest()
    assert ["signed by", "the test key of seed 1"] in file["about"]
    container.write_bytes(b"damaged")
    (file,) = facts(rig(firmware_file=container), updates)["files"]
    assert file["about"] == [["unreadable", "no zip"]]
    container.unlink()
    assert facts(rig(firmware_file=container))["files"] == [
        {"name": "firmware.zip", "sha256": None, "about": []}
    ]


def test_of_a_real_key_identity_and_calibration():
    assert facts(rig())["calibration"] is None
    keep(Calibration("mini", "hub 1-1", "2026-11-20T09:30:12Z", cycles=50, cut_ms=31.0, back_ms=710.0))
    found = facts(rig(identity="uuid:5d8a"))
    assert found["identity"] == "uuid:5d8a"
    assert (found["calibration"]["at"], found["calibration"]["cut_ms"]) == ("2026-11-20T09:30:12Z", 31.0)
    keep(Calibration("mini", "hub 1-1", "2026-11-21T09:30:12Z", fault="it does not cut"))
    assert facts(rig())["calibration"] is None
    assert facts(rig("twin"))["calibration"] is None
