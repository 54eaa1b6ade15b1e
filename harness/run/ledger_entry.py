"""Enter a run into the ledger, from its folder, when it has ended.

A killed run cannot do that itself. So each run is noted when it begins, and the next run (or `keyharness history`)
enters those whose processes are gone.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.base.atomic_file import read_json, write_durably
from harness.base.errors import KeyharnessError, RigError
from harness.base.file_name import file_name
from harness.base.shape import Shape, read_fitting
from harness.evidence.ledger import state_dir
from harness.evidence.rundir import BEGIN_ANEW, RunDir
from harness.host.locks import Lock
from harness.report.files import EVIDENCE, OPERATIONS, Damage, read_rows
from harness.report.load import check_evidence, check_operation, whole_head

KILLED = "killed"
"""The verdict of a run that was killed; if it is resumed and ends, it gets another."""
_IDENTITY: Shape = {"identity": str, "kind": str, "model": str}


def note_identity(run: RunDir, rig: str, identity: str, kind: str, model: str) -> None:
    """Note in the run's folder which key is on a rig. Any worker may do this."""
    path = run.path / "journal" / f"{rig}.key.json"
    if not path.exists():
        path.write_text(json.dumps({"identity": identity, "kind": kind, "model": model}) + "\n")


def number_run(run: RunDir) -> None:
    """Give a run its number in its series, so that a run that is gone leaves a gap. Without a ledger it has none.

    The folder notes it if a plan began the run: an export compares it.
    """
    from harness.evidence.ledger import Ledger, now
    from harness.evidence.ledger_runs import NO_SERIES, next_number

    series = run.head().get("series") or {}
    try:
        with Ledger() as ledger:
            number = next_number(ledger, series.get("plan", NO_SERIES), run.name, series.get("digest"), now())
    except RigError as error:
        sys.stderr.write(f"the run has no number in the ledger: {error}\n")
        return
    if series:
        run.note_number(number)


def began(path: Path) -> None:
    """Note that a run goes on in a folder, in this process or a child of it."""
    write_durably(_note(path), {"run": str(path), "pid": os.getpid(), "born": _born(os.getpid())})


def ended(path: Path) -> None:
    """Note that a run has ended and is in the ledger."""
    _note(path).unlink(missing_ok=True)


def enter_abandoned() -> list[Path]:
    """Enter the runs whose processes are gone; return their folders. Runs that cannot be read are skipped."""
    entered = []
    for file in sorted(_folder().glob("*.json")) if _folder().is_dir() else ():
        noted = read_json(file)
        if noted is None or _goes_on(noted):
            continue
        path = Path(noted["run"])
        try:
            if (path / "run.json").exists():
                RunDir(path).merge_again()
                record(path, KILLED)
                entered.append(path)
        except (KeyharnessError, OSError, ValueError, KeyError) as error:
            sys.stderr.write(f"{path}: a run that was killed, not entered into the ledger: {error}\n")
            continue
        file.unlink(missing_ok=True)
    return entered


def goes_on(path: Path) -> bool:
    """Return whether a process works on the run in a folder now."""
    path = path.absolute()
    if Lock(f"run {path}").holder() is not None:
        return True
    noted = read_json(_note(path))
    return noted is not None and _goes_on(noted)


def _goes_on(noted: dict[str, Any]) -> bool:
    # `keyharness run` holds a lock; a run that pytest itself started has none, and is known by its process.
    if Lock(f"run {noted['run']}").holder() is not None:
        return True
    return noted["born"] is not None and _born(noted["pid"]) == noted["born"]


def _born(pid: int) -> str | None:
    """Return when a process was started, in kernel ticks (proc(5), stat): pids are used again.

    None if there is no such process, or it has exited.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[19] if fields[0] not in "ZX" else None


def _folder() -> Path:
    return state_dir() / "runs"


def _note(path: Path) -> Path:
    return _folder() / file_name(path.name, ".json", unique=str(path))


def record(path: Path, verdict: str) -> None:
    """Enter a run; a second entry replaces the first.

    :raises RigError: the ledger cannot be written.
    """
    from harness.evidence.ledger import Ledger

    head = whole_head(path)
    keys = {rig["name"]: _key(path, head, rig) for rig in head["rigs"]}
    unread = Damage()  # the summary names it
    campaigns = list(read_rows(path / OPERATIONS, unread, check_operation))
    cuts = list(read_rows(path / EVIDENCE, unread, check_evidence))
    campaigns += _cut_short(campaigns, cuts)
    # A twin does not wear: its cuts are counted, not listed.
    real = any(kind != "twin" for _, kind, _ in keys.values())
    cuts = cuts if real else []
    with Ledger() as ledger:
        ledger.note_run(head, verdict, keys, campaigns, cuts, path)


def _cut_short(
    campaigns: Sequence[Mapping[str, Any]], cuts: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Rows for campaigns of which a kill left nothing but judged cuts."""
    known = {(row["rig"], row["operation"]) for row in campaigns}
    found: dict[tuple[str, str], Counter[str]] = {}
    for cut in cuts:
        if (pair := (cut["rig"], cut["operation"])) not in known:
            found.setdefault(pair, Counter())[cut["outcome"]] += 1
    return [
        {"rig": rig, "operation": operation, "outcomes": dict(outcomes)}
        for (rig, operation), outcomes in found.items()
    ]


def _key(path: Path, head: dict[str, Any], rig: dict[str, Any]) -> tuple[str, str, str]:
    noted = read_fitting(path / "journal" / f"{rig['name']}.key.json", _IDENTITY, BEGIN_ANEW)
    if noted is not None:
        return noted["identity"], noted["kind"], noted["model"]
    kind = "twin" if head.get("evidence_kind") == ["twin"] else rig.get("kind") or "twin"
    return f"{kind}:{rig['key']}/{rig['name']}", kind, rig["key"]
