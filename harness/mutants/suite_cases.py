"""Ask the cases of a suite of a twin in a process of its own, as a run does, and stop at its first failure."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from harness.base.errors import Blame
from harness.bench.plugin_api import Suite
from harness.pytest_plugin.cases import merge_phase
from harness.report.causes import blame_of

RIG = "mutant"


def bench_of(key: str, folder: Path) -> Path:
    """Write a bench with one simulated key into a folder."""
    path = folder / "mutant.toml"
    path.write_text(
        f'name = "mutants"\n\n[[rig]]\nname = "{RIG}"\nkey = "{key}"\ndriver = "virtual"\nexpendable = true\n'
    )
    return path


@dataclass
class Asked:
    """What a suite said.

    :ivar caught: the first failed case that is blamed on the key, with its reason.
    :ivar harness: the first that is blamed on something else.
    """

    caught: str | None = None
    harness: str | None = None
    cases: int = 0


class _Watch:
    """Notes each case; stops at the first one that fails by the key's fault."""

    def __init__(self, asked: Asked):
        self._asked = asked
        self._rows: dict[str, dict[str, Any]] = {}
        self._session: pytest.Session | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not any(name == "rig" for name, _ in report.user_properties):
            return
        row = self._rows[report.nodeid] = merge_phase(report, self._rows.get(report.nodeid))
        self._asked.cases = len(self._rows)
        if row["outcome"] not in ("failed", "error"):
            return
        said = f"{row['nodeid'].rpartition('/')[2]}: {' '.join(str(row['reason'] or '').split())}"
        if blame_of(row) == Blame.KEY:
            self._asked.caught = self._asked.caught or said
            assert self._session is not None
            self._session.shouldfail = "the first failure of the key"
        else:
            self._asked.harness = self._asked.harness or said


class _End:
    """Ends the process before pytest makes the report of the run, which nobody reads."""

    def __init__(self, asked: Asked, then: Callable[[Asked], None]):
        self._asked, self._then = asked, then

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._then(self._asked)
        os._exit(0)


def ask(
    suite: Suite,
    bench: Path,
    seed: int,
    folder: Path,
    then: Callable[[Asked], None],
    operations: Sequence[str] = (),
) -> None:
    """Ask the cases of a suite of the bench's key; it does not return: this process ends.

    :param folder: where the run is written. :param then: is told what the suite said.
    :param operations: only these; all if empty.
    """
    arguments = ["-c", str(files("harness") / "data" / "pytest.ini"), "--rootdir", str(suite.path.parent)]
    arguments += ["--kh-bench", str(bench), "--kh-seed", str(seed), "--kh-quick"]
    arguments += ["--kh-reports", str(folder), "--kh-run", suite.name, "-q", "--no-header", "--tb=line"]
    arguments += [word for name in operations for word in ("--kh-operation", name)]
    asked = Asked()
    pytest.main([*arguments, str(suite.path)], plugins=[_Watch(asked), _End(asked, then)])
    asked.harness = asked.harness or "the suite did not begin"
    then(asked)
    os._exit(0)
