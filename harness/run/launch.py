"""Start a run: check the options, then run pytest in a child process."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import TextIO

from harness.base import signals
from harness.base.atomic_file import read_json
from harness.base.errors import CallerError, one_of
from harness.base.visible import shortened, visible
from harness.bench.calibration import complaint
from harness.bench.plugin_api import Suite
from harness.evidence.rundir import new_run_name
from harness.report.verdict import EXIT_CODES, FAIL, INCONCLUSIVE, PASS
from harness.run.notify import notify as tell
from harness.run.plan import Plan, plan_of
from harness.run.session import Session
from harness.run.wanted import Wanted

INCONCLUSIVE_CODE = EXIT_CODES[INCONCLUSIVE]


class Launch:
    """A run that is about to start.

    :param last_failed: a run of which only the cases that failed are asked again.
    :param fail_fast: stop at the first case that fails.
    :param only_plan: only `plan` will be asked, which needs no rig.
    :param series: {"plan": id, "digest": of its frozen text} of the qualification plan that begins the run.
    :ivar path: the folder of the run; None before it is started.
    :raises CallerError: a suite, a bench, a rig or an operation does not exist.
    """

    def __init__(
        self,
        wanted: Wanted,
        suites: list[str],
        reports: Path,
        pytest_args: list[str],
        resume: str | None = None,
        *,
        only_plan: bool = False,
        last_failed: str | None = None,
        fail_fast: bool = False,
        series: Mapping[str, str] | None = None,
    ):
        self.session = Session(wanted)
        self._series = series
        self._wanted, self._reports, self._pytest_args = wanted, reports, pytest_args
        self._resume, self._last_failed, self._fail_fast = resume, last_failed, fail_fast
        self.path: Path | None = None
        self.suites: list[Suite] = (
            [self.session.plugins.suite(name) for name in dict.fromkeys(suites)]
            if suites
            else self._suites_of_the_keys()
        )
        self.session.look_for_rigs(all_may_be_absent=only_plan)

    def _suites_of_the_keys(self) -> list[Suite]:
        """Return the suites that ask what a key of the bench has; all of them if there is none."""
        session = self.session
        keys = {session.bench.key_name(name) for name in session.rig_names}
        offered = {one.name for key in keys for one in session.plugins.keys[key].applications}
        every = list(session.plugins.suites.values())
        return [suite for suite in every if not suite.application or suite.application in offered] or every

    @classmethod
    def resumed(cls, name: str, reports: Path, *, fail_fast: bool = False) -> Launch:
        """Return the rest of a run that was killed or interrupted.

        :raises CallerError: no such run, the run has finished, or its bench has changed.
        :raises RigError: the run is still going on.
        """
        from harness.host.locks import Lock
        from harness.run.resume import read_asked

        path = find_run(name, reports)
        with Lock(f"run {path.absolute()}") as lock:
            lock.take("check whether the run has ended")
        asked = read_asked(path)
        return cls(
            asked.wanted,
            list(asked.suites),
            reports,
            list(asked.pytest_args),
            path.name,
            last_failed=asked.last_failed,
            fail_fast=fail_fast,
        )

    @classmethod
    def of_last_failed(
        cls,
        wanted: Wanted,
        suites: list[str],
        reports: Path,
        pytest_args: list[str],
        *,
        fail_fast: bool = False,
    ) -> Launch:
        """Return a run of the cases that failed in the latest run, with its options.

        :param wanted: options that go before those of that run, where they are not the usual ones.
        :raises CallerError: there is no run, none of its cases failed, or pytest itself was asked for it.
        """
        from harness.run.resume import cases_failed, read_asked

        path = find_run(None, reports)
        if not cases_failed(path):
            raise CallerError(
                "--last-failed",
                found=f"{path}, in which no case failed",
                expected="a latest run with a case that failed",
                mend="run without --last-failed",
            )
        asked = read_asked(path, again=True)
        changed = {
            one.name: value
            for one in fields(Wanted)
            if (value := getattr(wanted, one.name)) != getattr(Wanted(), one.name)
        }
        return cls(
            replace(asked.wanted, **changed),
            suites or list(asked.suites),
            reports,
            pytest_args or list(asked.pytest_args),
            last_failed=path.name,
            fail_fast=fail_fast,
        )

    def complaints(self) -> list[str]:
        """Return what is wrong: rigs that are absent, and calibrations that are missing or old."""
        said = [f'rig "{name}" is left out: {error}' for name, error in self.session.absent.items()]
        for name in self.session.rig_names:
            if name in self.session.absent:
                continue
            rig = self.session.rig(name)
            if rig.expendable and (why := complaint(rig)):
                said.append(f"{why}; `keyharness calibrate {name}`")
        return said

    def run(self, shown: Sequence[str] = (), notify: str | None = None, *, hidden: bool = False) -> int:
        """Run pytest in a child process; return its exit code, which stands for the verdict.

        :param shown: pytest's options for what is shown, such as -v.
        :param notify: a command that is told the path of the summary at the end.
        :param hidden: nothing is written to standard output.
        """
        _require_folder(self._reports)
        for said in self.complaints():
            sys.stderr.write(f"warn: {said}\n")
        name = self._resume or new_run_name()
        path = self.path = self._reports.absolute() / name
        # -P: what stands in the working directory, a serial.py for example, is not imported.
        command = [
            sys.executable,
            "-P",
            "-m",
            "harness.pytest_plugin.main",
            *self._arguments(name, path),
            *shown,
        ]
        code = _ended(command, hidden=hidden)
        if code < 0:
            sys.stderr.write(f"the run ended by {signal.Signals(-code).name}; what was done is in {path}\n")
            code = INCONCLUSIVE_CODE
        else:
            if code == 5 and not (path / "run.json").exists():
                sys.stderr.write("nothing was tested: no test matches what was asked for\n")
            code = checked(code, path)
        if notify is not None:
            tell(notify, path / "summary.json", code)
        return code

    def _arguments(self, name: str, path: Path) -> list[str]:
        wanted = self._wanted
        arguments = ["-c", str(files("harness") / "data" / "pytest.ini")]
        arguments += ["--rootdir", str(self.suites[0].path.parent), "--kh-display"]
        arguments += ["--kh-run", name, "--kh-reports", str(self._reports.absolute())]
        asked = {
            "suites": [suite.name for suite in self.suites],
            "pytest_args": self._pytest_args,
            "absent": sorted(self.session.absent),
            **({"last_failed": self._last_failed} if self._last_failed else {}),
            **({"series": dict(self._series)} if self._series else {}),
        }
        arguments += ["--kh-asked", json.dumps(asked)]
        if self._resume:
            arguments += ["--kh-resume"]
        if self._last_failed:
            arguments += ["--kh-last-failed", self._last_failed]
        if self._fail_fast:
            arguments += ["--exitfirst"]
        arguments += ["--kh-seed", str(self.session.seed)]
        arguments += ["--alluredir", str(path / "allure-results"), "--junitxml", str(path / "junit.xml")]
        if wanted.bench:
            arguments += ["--kh-bench", str(wanted.bench)]
        for rig in wanted.rigs:
            arguments += ["--kh-rig", rig]
        for operation in wanted.operations:
            arguments += ["--kh-operation", operation]
        for home in wanted.homes:
            arguments += ["--kh-home", home]
        if wanted.cuts is not None:
            arguments += ["--kh-cuts", str(wanted.cuts)]
        if wanted.budget_us is not None:
            arguments += ["--kh-budget", f"{wanted.budget_us / 1e6:g}s"]
        if wanted.goal is not None:
            arguments += [
                "--kh-confidence",
                str(wanted.goal.confidence),
                "--kh-below",
                str(wanted.goal.below),
            ]
        if wanted.search is not None:
            arguments += ["--kh-search", wanted.search]
        if wanted.quick:
            arguments += ["--kh-quick"]
        if wanted.require is not None:
            arguments += ["--kh-require", wanted.require]
        return [*arguments, *(str(suite.path) for suite in self.suites), *self._pytest_args]

    def plan(self) -> Plan:
        """Find out what the run would do and cost; do nothing else."""
        return plan_of(self.session, [suite.name for suite in self.suites], self._reports)


def _require_folder(reports: Path) -> None:
    """Make the folder of all runs.

    :raises CallerError: it cannot be made, or not written to.
    """
    try:
        reports.mkdir(parents=True, exist_ok=True)
        found = None if os.access(reports, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)
    except OSError as error:
        found = error.strerror
    if found is not None:
        raise CallerError(
            f"reports {reports}",
            found=found,
            expected="a folder that can be made and written to",
            mend="name another with --reports",
        )


def _ended(command: Sequence[str], *, hidden: bool = False) -> int:
    """Run the process of the run to its end, which it finds itself when a signal asks for it; return its exit code."""
    child: subprocess.Popen[bytes] | None = None
    asked = False

    def pass_on(number: int, frame: object) -> None:
        nonlocal asked
        asked = asked or number != signal.SIGINT
        if asked and child is not None:
            child.send_signal(signal.SIGTERM)

    # The parent must not end before the child. A terminal sends Ctrl-C to the child, too; SIGTERM may come here alone.
    # A handler, unlike SIG_IGN, is not inherited across exec.
    taken = [number for number in signals.ENDING if signal.getsignal(number) != signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, pass_on) for number in taken}
    try:
        out = subprocess.DEVNULL if hidden else None
        child = subprocess.Popen(command, env=_environment(), stdout=out)
        if asked:
            child.send_signal(signal.SIGTERM)
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment() -> dict[str, str]:
    """Return the environment of the run: without what would leave out our own pytest plugin."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_DISABLE_PLUGIN_AUTOLOAD"}
    return {**kept, "KEYHARNESS_PARENT": str(os.getpid())}


def checked(code: int, run: Path) -> int:
    """Return the exit code of a run whose pytest process ended with `code`.

    Python and pytest exit with 1 for faults of their own, too: 0 and 1 are a verdict only if summary.json has the
    same one.
    """
    if code not in (EXIT_CODES[PASS], EXIT_CODES[FAIL]):
        return code
    summary = read_json(run / "summary.json") or {}
    if EXIT_CODES.get(str(summary.get("verdict"))) == code:
        return code
    said = summary.get("verdict", "no verdict: it was not written")
    sys.stderr.write(
        f"inconclusive: pytest ended with exit code {code}, and the verdict in {run / 'summary.json'} is not that\n"
        f"  found     {visible(shortened(str(said)))}\n"
        "  mend      the messages above say what failed; it was not the key. "
        f"`keyharness run --resume {run.name}` continues a run that has begun\n"
    )
    return INCONCLUSIVE_CODE


def find_run(name: str | None, reports: Path) -> Path:
    """Return the folder of a run.

    :param name: None means the latest run.
    :raises CallerError: there is no run of that name, or none at all.
    """
    runs = sorted(path.name for path in reports.glob("*") if (path / "run.json").exists())
    if not runs:
        raise CallerError(f"{reports}", found="no run", expected="a run", mend="`keyharness run` makes one")
    chosen = name or runs[-1]
    if chosen not in runs:
        raise CallerError(
            f'run "{chosen}"', found=chosen, expected=one_of(chosen, runs), mend=f"name one of {reports}"
        )
    return reports / chosen


def make_report_of(name: str | None, reports: Path, out: TextIO) -> None:
    """Make the summary and the report of a run again, and show its verdict."""
    from harness.report.verdict_text import verdict_block
    from harness.run.run import make_report

    path = find_run(name, reports)
    summary, _ = make_report(path)
    bench = summary.get("bench")
    block = verdict_block(summary, bench, str(path / "index.html"), width=120)
    out.write("\n".join(block) + "\n")
