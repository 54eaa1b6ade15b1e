"""Starting is quick because heavy modules are imported where they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("allure_commons", "cryptography", "fido2", "littlefs", "matplotlib", "nitrokey", "numpy", "pydantic"),
    *("rich", "serial", "sqlalchemy", "usb", "xdist.scheduler"),
}
HELP = """
import sys
from harness.cli.main import main
try:
    main(["--help"])
except SystemExit:
    print("\\nLOADED", *sys.modules)
"""
COLLECTED = """
import sys
def test_it():
    print("\\nLOADED", *sys.modules)
"""


def loaded(output: str) -> set[str]:
    (line,) = (line for line in output.splitlines() if line.startswith("LOADED "))
    return set(line.split())


def ran(*command: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_help_imports_nothing_heavy(tmp_path):
    found = loaded(ran("-c", HELP, cwd=tmp_path))
    assert not found & (HEAVY | {"pytest"})
    rooms = {name.split(".")[1] for name in found if name.startswith("harness.")}
    assert rooms == {"base", "cli"}


@pytest.mark.parametrize("plugin", ["with it", "without it"])
def test_the_plugin_imports_nothing_heavy(plugin, tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_one.py").write_text(COLLECTED)
    without = ["-p", "no:keyharness"] if plugin == "without it" else []
    others = ["-p", "no:allure_pytest", "-p", "no:hypothesispytest"]
    found = loaded(ran("-m", "pytest", "-q", "-s", *others, *without, cwd=tmp_path))
    assert not found & HEAVY
    ours = {name for name in found if name.startswith("harness.")}
    if plugin == "without it":
        assert ours == set()
        return
    others = {name for name in ours if not name.startswith("harness.pytest_plugin")}
    assert others == {"harness.base", "harness.base.signals"}
