"""A plugin from outside: docs/acme_key.py in a distribution of its own, found and tested like ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.installation import ROOT, Environment, keyharness_with, ran

SOURCE = ROOT / "docs" / "acme_key.py"
LINES_MAX = 45
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-key"
version = "0.3"
dependencies = ["keyharness"]

[project.entry-points.keyharness]
acme = "acme_key"

[tool.hatch.build.targets.wheel]
only-include = ["acme_key.py"]
"""
BENCH = """\
[[rig]]
name = "acme-1"
key = "acme-one"
driver = "virtual"
expendable = true
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Keyharness as it is installed here, and a wheel of Acme's beside it."""
    project = tmp_path_factory.mktemp("acme")
    (project / "pyproject.toml").write_text(PROJECT)
    (project / SOURCE.name).write_bytes(SOURCE.read_bytes())
    made = keyharness_with(tmp_path_factory.mktemp("environment") / "venv")
    made.install_project(project)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acme.toml").write_text(BENCH)
    return tmp_path


def test_it_fits_on_a_page():
    assert len(SOURCE.read_text().splitlines()) <= LINES_MAX


def test_the_documentation_shows_what_is_tested_here():
    page = (ROOT / "docs" / "plugins.md").read_text()
    for shown in (SOURCE.read_text(), PROJECT, BENCH):
        assert shown in page


def test_list_shows_it_with_its_distribution(environment, folder):
    table = json.loads(ran(environment.python, "-m", "harness", "list", "--json", cwd=folder))
    assert {"name": "acme", "distribution": "acme-key", "version": "0.3"} in table["plugins"]
    (key,) = (key for key in table["keys"] if key["name"] == "acme-one")
    assert "acme.two_logins" in [operation["name"] for operation in key["operations"]]
    assert {"name": "acme.transports", "law": "kept"} in key["items"]


def test_its_operation_is_cut_and_judged(environment, folder):
    harness = (environment.python, "-m", "harness")
    command = ("run", "endurance", "--bench", "acme.toml", "--operation", "acme.two_logins", "--seed", "1")
    shown = ran(*harness, *command, cwd=folder)
    assert "PASS" in shown
    (path,) = folder.glob("reports/*/summary.json")
    (operation,) = json.loads(path.read_text())["operations"]
    assert operation["operation"] == "acme.two_logins"
    assert operation["exhaustive"]
    assert operation["cuts"] > 100
    assert operation["outcomes"].keys() <= {"old", "new"}
