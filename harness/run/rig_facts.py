"""What the report says of a rig and its key: identity, firmware files with their digests, calibration of the switch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from harness.base.errors import KeyharnessError
from harness.bench.calibration import calibration_of
from harness.host.provenance import sha256_of
from harness.model.rig import Rig
from harness.model.row import Row
from harness.model.update_file import UpdateSupport

CALIBRATION = ("at", "cycles", "cut_ms", "cut_p99_ms", "lead_ms", "release_jitter_ms", "back_ms", "off_s")


def rig_facts(rig: Rig, updates: Mapping[str, UpdateSupport]) -> Row:
    """Return {"identity", "files", "calibration"}; unknown ones are None, or an empty list.

    :param updates: what plugins know of the update containers of keys, by the key's name.
    """
    found = calibration_of(rig) if rig.evidence_kind == "hardware" else None
    kept = asdict(found) if found is not None else {}
    return {
        "identity": rig.identity,
        "files": [
            *(_file(path) for path in rig.firmware_images),
            *([_container(rig.firmware_file, rig, updates)] if rig.firmware_file else []),
        ],
        "calibration": {name: kept[name] for name in CALIBRATION} if kept else None,
    }


def _file(path: Path) -> Row:
    return {"name": path.name, "sha256": sha256_of(path), "about": []}


def _container(path: Path, rig: Rig, updates: Mapping[str, UpdateSupport]) -> Row:
    about: list[list[str]] = []
    if (support := updates.get(rig.key.name)) is not None:
        try:
            about = [[label, text] for label, text in support.read(path, rig.seed).rows]
        except KeyharnessError as error:
            about = [["unreadable", str(error.found)]]
    return {**_file(path), "about": about}
