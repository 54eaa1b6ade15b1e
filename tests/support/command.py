"""The command line as a user meets it, in a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from support.limits import HUNG_S
from support.paths import ABSENT


class Cli:
    """Runs `keyharness` in an empty directory."""

    def __init__(self, cwd: Path, *, allure: bool = False, pictures: bool = False):
        """Leave out of each run what takes a second or more of it, and what most tests do not look at.

        :param allure: let Allure make the report's page; else our own does. :param pictures: draw those of campaigns.
        """
        self.cwd = cwd
        # Beside it, because a test may want to see that a command writes nothing here.
        self.state = cwd.with_name(f"{cwd.name}-state")
        self.env = {
            **os.environ,
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "XDG_STATE_HOME": str(self.state),
            "KEYHARNESS_RUNTIME": str(self.state / "runtime"),
        }
        if not allure:
            self.env["KEYHARNESS_ALLURE"] = str(ABSENT)
        if not pictures:
            self.env["KEYHARNESS_NO_PICTURES"] = "1"
        # No suite of ours draws examples, and importing what does takes a tenth of a second.
        self.env["PYTEST_ADDOPTS"] = "-p no:hypothesispytest"
        self.command = [sys.executable, "-m", "harness"]

    def __call__(self, *arguments: object, timeout: float = HUNG_S) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *map(str, arguments)],
            cwd=self.cwd,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def inside(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """The same in this process, for commands that start no other one: a process takes a second to start."""
        from harness.cli.main import main

        words = [*map(str, arguments)]
        out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
        os.chdir(self.cwd)
        try:
            with patch.dict(os.environ, self.env), redirect_stdout(out), redirect_stderr(err):
                main(words)
        except SystemExit as end:
            return subprocess.CompletedProcess(words, int(str(end.code)), out.getvalue(), err.getvalue())
        finally:
            os.chdir(before)
        raise AssertionError("the command did not end with an exit code")

    @property
    def run_dir(self) -> Path:
        """The folder of the only run."""
        (run,) = (path.parent for path in self.cwd.glob("reports/*/run.json"))
        return run
