"""What starting costs: the command beside Python, and pytest with our plugin beside pytest without it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.timing import Beside, beside, seconds

EMPTY = "def test_nothing():\n    pass\n"


def command(repeats: int) -> Beside:
    keyharness = str(Path(sys.executable).with_name("keyharness"))
    return beside(
        "start",
        "keyharness --help",
        lambda: _run(keyharness, "--help"),
        "python -c pass",
        lambda: _run(sys.executable, "-c", "pass"),
        repeats,
    )


def plugin(repeats: int) -> Beside:
    with tempfile.TemporaryDirectory(prefix="keyharness-bench-") as name:
        test = Path(name) / "test_nothing.py"
        test.write_text(EMPTY)
        (Path(name) / "pytest.ini").write_text("[pytest]\n")
        pytest = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test))
        return beside(
            "pytest, one empty test",
            "with the plugin",
            lambda: _run(*pytest, cwd=name),
            "-p no:keyharness",
            lambda: _run(*pytest, "-p", "no:keyharness", cwd=name),
            repeats,
        )


def _run(*command: str, cwd: str | None = None) -> float:
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return seconds(
        lambda: subprocess.run(command, cwd=cwd, env=environ, stdout=subprocess.DEVNULL, check=True)
    )
