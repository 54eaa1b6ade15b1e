"""Qualifications that several tests look at: of a weak flash layer and of the safe one. Nobody changes them."""

import json
import shutil
from pathlib import Path

import pytest

from support.command import Cli

PLAN = """
schema = 1
id = "{id}"
not_tested = ["NFC"]

[product]
key = "nitrokey3-mini"
title = "Nitrokey 3A Mini"
hardware = "B"

[firmware]
version = "{version}"

[[bench]]
file = "{bench}"
kind = "twin"

[goal]
operations = ["fido2.client_pin.change"]
{goal}

[roles]
executor = "A.K."
reviewer = "M.R."
approver = "J.D."

[[requirement]]
id = "R-1"
text = "A PIN survives the loss of power"
operations = ["fido2.client_pin.change"]
"""
SAMPLE = 'models = "sample"\ncuts = 20'


class Lab:
    """A folder with a plan and a ledger of its own."""

    def __init__(self, folder: Path):
        folder.mkdir(exist_ok=True)
        self.cli = Cli(folder)
        self.plan = folder / "plan.toml"
        self.ran = ""

    def write(self, **fields: object) -> str:
        values = {
            "id": "Q-1",
            "version": "1.8.3",
            "bench": "late-replay.toml",
            "goal": SAMPLE,
            "more": "",
            **fields,
        }
        self.plan.write_text(PLAN.format(**values) + str(values["more"]))
        return self.plan.read_text()

    def qualify(self, *arguments: object):
        return self.cli("qualify", "plan.toml", *arguments)

    def again(self):
        """The verdict on what is there, without a run."""
        return self.cli.inside("qualify", "plan.toml", "--report-only", "--json")

    @property
    def folder(self) -> Path:
        return self.cli.cwd / "reports" / "qualification-Q-1"

    @property
    def statement(self) -> dict:
        return json.loads((self.folder / "qualification.json").read_text())


@pytest.fixture(scope="session")
def weak(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A qualification of a model whose flash layer is late-replay, without a waiver."""
    lab = Lab(tmp_path_factory.mktemp("weak") / "lab")
    lab.write()
    done = lab.qualify()
    lab.ran = done.stdout + done.stderr
    assert done.returncode == 1, lab.ran
    return lab


@pytest.fixture(scope="session")
def safe(weak: Lab) -> Lab:
    """The same on the safe layer, exhaustively, as plan Q-2 in the same folder and ledger."""
    before = weak.plan.read_text()
    weak.write(id="Q-2", bench="virtual.toml", goal='models = "exhaustive"')
    one_rig = weak.plan.read_text().replace('kind = "twin"', 'kind = "twin"\nrigs = ["nk3-mini"]')
    (weak.cli.cwd / "safe.toml").write_text(one_rig)
    weak.plan.write_text(before)
    done = weak.cli("qualify", "safe.toml", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return weak


@pytest.fixture
def own(weak: Lab, tmp_path: Path) -> Lab:
    """A copy of the weak one, with its ledger, to be changed."""
    for source in (weak.cli.cwd, weak.cli.state):
        shutil.copytree(source, tmp_path / source.name)
    return Lab(tmp_path / weak.cli.cwd.name)
