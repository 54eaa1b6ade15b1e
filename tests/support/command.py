"""The command line as a user meets it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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

    @property
    def run_dir(self) -> Path:
        """The folder of the only run."""
        (run,) = (path.parent for path in self.cwd.glob("reports/*/run.json"))
        return run
