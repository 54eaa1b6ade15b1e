"""What stands in the working directory, or in the environment for another pytest, is none of a run's business."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.mark.long
@pytest.mark.parametrize("workers", [(), ("--", "-n", "1")], ids=["alone", "xdist"])
def test_nothing_is_imported_from_the_working_directory(cli, workers):
    script = Path(sys.executable).with_name("keyharness")
    if not script.exists():
        pytest.skip("the command is not installed beside this Python")
    cli.command = [str(script)]
    for name in ("serial", "secrets", "harness", "pytest", "conftest", "fido2", "json"):
        (cli.cwd / f"{name}.py").write_text(f"raise SystemExit('{name}.py of the working directory')\n")
    (cli.cwd / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    cli.env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = cli("run", "endurance", "--seed", "1", "--operation", "fido2.u2f.register", *workers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS (exhaustive)" in done.stdout
