"""Resume a run that was killed or interrupted: judged cuts stay judged, and nothing is cut twice.

run.json holds the options of the run, the journals the judged cuts, results.jsonl the finished cases. Everything
else of a twin follows from the seed, so it is made again in the same way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.base.atomic_file import parsed_lines, read_json
from harness.base.errors import CallerError
from harness.base.shape import DamagedFile, Shape, misfit, read_fitting, shape_of
from harness.bench.bench import find_bench
from harness.bench.registry import discover
from harness.evidence.case_archive import CASES, packed_cases, unpack_cases
from harness.evidence.journal import read_journal
from harness.evidence.rundir import BEGIN_ANEW, HEAD, KEPT_BACK, LEFT_OUT, NOT_ASKED, RunDir
from harness.model.row import Row
from harness.run.wanted import Wanted
from harness.search.stopping import Goal

_ASKED: Shape = {
    "bench": (str, None),
    "bench_file": str,
    "bench_digest": (str, None),
    "rigs": [str],
    "operations": [str],
    "cuts": (int, None),
    "budget_us": (int, None),
    "goal": (shape_of(Goal), None),
    "search": (str, None),
    "require?": (str, None),
    "homes?": [str],
    "suites": [str],
    "pytest_args": [str],
    "last_failed?": (str, None),
}
_HEAD: Shape = {
    **HEAD,
    "asked?": (dict, None),
    "seed": int,
    "version": str,
    "evidence_kind": [str],
}
_SAME = ("version", "seed", "order", "evidence_kind", "rigs")


@dataclass(frozen=True)
class Asked:
    """The options of a run."""

    wanted: Wanted
    suites: tuple[str, ...]
    pytest_args: tuple[str, ...]
    last_failed: str | None = None


def asked_of(wanted: Wanted, bench_file: Path, more: Mapping[str, Any]) -> Row:
    """Return the options of a run as run.json keeps them; `more` holds those that only the launcher knows."""
    return {
        "bench": str(wanted.bench) if wanted.bench else None,
        "bench_file": str(bench_file.absolute()),
        "bench_digest": _digest(bench_file),
        "rigs": list(wanted.rigs),
        "operations": list(wanted.operations),
        "cuts": wanted.cuts,
        "budget_us": wanted.budget_us,
        "goal": asdict(wanted.goal) if wanted.goal else None,
        "search": wanted.search,
        "require": wanted.require,
        "quick": wanted.quick,
        "homes": list(wanted.homes),
        **more,
    }


def read_asked(path: Path, *, again: bool = False) -> Asked:
    """Read the options of the run in a folder.

    :param again: for another run with them; that run may have finished, and its bench may have changed since.
    :raises CallerError: the run has finished, was not started by `keyharness run`, or its bench has changed.
    """
    head = read_fitting(path / "run.json", _HEAD, BEGIN_ANEW)
    if head is None:
        raise CallerError(f'run "{path.name}"', found="no run.json", expected="the folder of a run")
    asked = head.get("asked")
    if not asked or "suites" not in asked:
        raise CallerError(
            f'run "{path.name}"',
            found="a run that pytest itself was asked for",
            expected="one that `keyharness run` began",
            mend=f"ask pytest again, with --kh-run {path.name} --kh-resume",
        )
    if wrong := misfit(asked, _ASKED, "asked"):
        raise DamagedFile(
            str(path / "run.json"), found=wrong, expected="the options of a run", mend=BEGIN_ANEW
        )
    if not again:
        _refuse_the_finished(path)
    wanted = Wanted(
        _bench_of_then(asked) if again else _bench(path, asked),
        tuple(asked["rigs"]),
        tuple(asked["operations"]),
        head["seed"],
        asked["cuts"],
        budget_us=asked["budget_us"],
        goal=Goal(**asked["goal"]) if asked["goal"] else None,
        search=asked["search"],
        require=asked.get("require"),
        quick=bool(asked.get("quick")),
        homes=tuple(asked.get("homes") or ()),
    )
    return Asked(wanted, tuple(asked["suites"]), tuple(asked["pytest_args"]), asked.get("last_failed"))


def _refuse_the_finished(path: Path) -> None:
    finish = read_json(path / "finish.json")
    if finish and finish.get("complete") is True and finish.get("interrupted") is False:
        raise CallerError(
            f'run "{path.name}"',
            found="a run that came to its end",
            expected="one that was killed or interrupted",
            mend=f"`keyharness report {path.name}` shows it; `keyharness run` makes another",
        )


def _bench(path: Path, asked: Row) -> Path | None:
    """Return the bench file under the name that was given, or where it was then. It must be unchanged."""
    if asked["bench"] is None and _digest(Path(asked["bench_file"])) == asked["bench_digest"]:
        return None
    given = [Path(name) for name in (asked["bench"], asked["bench_file"]) if name]
    for file in given:
        if _digest(file) == asked["bench_digest"]:
            return file
    raise CallerError(
        f"bench {given[0]}",
        found="another bench than the one that the run was begun with" if _digest(given[0]) else "no file",
        expected=f"the bench of {path.name}, unchanged",
        mend="put it back as it was, or begin a new run",
    )


def _bench_of_then(asked: Row) -> Path | None:
    """Return the bench file under the name that was given, or where it was then, whatever is in it now."""
    if asked["bench"] is None:
        return None
    given, then = Path(asked["bench"]), Path(asked["bench_file"])
    # From another working directory the name may lead to nothing; it may also be that of a plugin's bench.
    return given if given.is_file() or find_bench(given, discover()).absolute() == then else then


def _digest(file: Path) -> str | None:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None


def take_up(path: Path) -> None:
    """Prepare a run's folder for writing again; done once, before pytest collects."""
    unpack_cases(path)
    read_journal(path / CASES)
    run = RunDir(path)
    run.make_folders()
    run.unpack()
    before_s = run.worked_before_kill_s
    run.begin_work(_spent_s_of_first_version(path) if before_s is None else before_s)
    # These were made from a part of the run.
    for name in ("finish.json", "summary.json", "index.html", "allure.html"):
        (path / name).unlink(missing_ok=True)


def cases_done(path: Path) -> dict[str, Row]:
    """Return the finished cases by node id. A case that was skipped because of its rig is not finished."""
    held = None if (path / CASES).exists() else packed_cases(path)
    noted = [one.row for one in read_journal(path / CASES)] if held is None else parsed_lines(held)
    rows = [{**dict.fromkeys(LEFT_OUT), **row} for row in noted if isinstance(row.get("nodeid"), str)]
    return {row["nodeid"]: row for row in rows if not str(row.get("reason") or "").startswith(KEPT_BACK)}


def cases_failed(path: Path) -> list[str]:
    """Return the node ids of the cases of a run that failed, or could not be asked because something broke."""
    return [name for name, row in cases_done(path).items() if row.get("outcome") in ("failed", "error")]


def compare(path: Path, head: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Check that a resumed run is still the same run.

    :raises CallerError: plugins, keys or the version have changed.
    """
    # `before` has been through JSON: tuples are lists in it.
    now = json.loads(json.dumps(head))
    for one in now["rigs"]:
        # Another worker has this rig, and compares it.
        if one["firmware"] == NOT_ASKED:
            one.update(next((rig for rig in before["rigs"] if rig["name"] == one["name"]), {}))
    for name in _SAME:
        if now[name] != before[name]:
            raise CallerError(
                f'run "{path.name}" · {name}',
                found=now[name],
                expected=before[name],
                mend="take it up with the version, the plugins and the keys that it was begun with",
            )


def _spent_s_of_first_version(path: Path) -> float:
    """Seconds that a run of the first version of Keyharness has worked, which took them from the times of its files."""
    resumed = read_json(path / "resumed.json")
    before, began = (
        (float(resumed["spent_s"]), float(resumed["at"]))
        if resumed
        else (0.0, (path / "run.json").stat().st_mtime)
    )
    touched = [file.stat().st_mtime for file in (path / "journal").iterdir()]
    touched += [file.stat().st_mtime for file in (path / CASES,) if file.exists()]
    return before + max(0.0, max(touched, default=began) - began)
