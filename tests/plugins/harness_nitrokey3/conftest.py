"""What the tests of updates share: a rig with a twin on it, and the genuine container where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.bench.registry import discover
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from support.paths import ROOT
from support.update import MakeRig

GENUINE = "firmware-nk3-v1.7.2.zip"


@pytest.fixture
def make_rig() -> MakeRig:
    """Makes a rig: (personality, seed=1, defects=(), version=None); the key is on."""
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]

    def make(
        personality: str = "reference",
        *,
        seed: int = 1,
        defects: tuple[str, ...] = (),
        version: str | None = None,
    ) -> TwinRig:
        options = TwinOptions(personality, defects=defects, version=version)
        rig = TwinRig("update", key, twin, options, seed, expendable=True)
        rig.power.on()
        return rig

    return make


@pytest.fixture
def genuine() -> Path:
    """The vendor's container of 1.7.2."""
    named = os.environ.get("KEYHARNESS_DATA")
    path = (Path(named) if named else ROOT.parent / "shared" / "data") / GENUINE
    if named is None and not path.is_file():
        pytest.skip(f"no {GENUINE} in {path.parent}: set KEYHARNESS_DATA to a folder that has it")
    assert path.is_file(), f"KEYHARNESS_DATA is set, and {path} is not there"
    return path
