"""A rig that outlives its run: a twin that says that it is hardware, with a switch that stays where it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

BENCH = """\
[[rig]]
name = "real-1"
key = "nitrokey3-mini"
driver = "latched"
expendable = true
identity = "uuid:5C05E7C13054F20C4BF061D1095810AD"
switch = "{switch}"
"""

SUITE = """\
def test_it_answers(rig):
    rig.power.on()
    rig.wait_until_up()
    assert rig.key.identify(rig)["firmware"]
"""


@pytest.fixture
def lab(cli):
    """`cli` with the plugin of `latched_rig.py` installed, and a bench with one such rig."""
    plugin = cli.state / "plugin"
    info = plugin / "latched_rig-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: latched-rig\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[keyharness]\nlatched = latched_rig\n")
    (plugin / "latched_rig.py").write_text((HERE / "latched_rig.py").read_text())
    suite = plugin / "latched" / "small"
    suite.mkdir(parents=True)
    (suite / "test_small.py").write_text(SUITE)
    cli.env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(plugin), os.environ.get("PYTHONPATH")]))
    cli.switch = cli.state / "switch"
    cli.bench = cli.cwd / "lab.toml"
    cli.bench.write_text(BENCH.format(switch=cli.switch))
    return cli


@pytest.fixture
def own_state(tmp_path, monkeypatch):
    """State and locks of this test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.delenv("KEYHARNESS_LEDGER", raising=False)
    return tmp_path
