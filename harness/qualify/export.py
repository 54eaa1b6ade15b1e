"""An export for an auditor: every file with its digest, the chained evidence, one head to sign, and what checks it.

`verify.py` inside needs the standard library only. What is signed is head.txt: the plan's digest, the number of rows,
the digest over the last row of each run, and the digest of the manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from harness.base.errors import CallerError
from harness.base.shape import read_fitting
from harness.evidence.case_archive import ARCHIVE
from harness.evidence.chain import digest
from harness.evidence.journal_archive import read_held
from harness.evidence.ledger import Ledger
from harness.evidence.ledger_runs import numbers_of
from harness.evidence.rundir import RunDir
from harness.model.row import Row
from harness.qualify.command import JSON, PAGE, qualify
from harness.qualify.evidence import Evidence
from harness.qualify.plan_file import load_plan
from harness.qualify.redaction import PUBLIC, public_files
from harness.report.load import whole_head

MANIFEST, HEAD, VERIFY, REDACTED = "manifest.json", "head.txt", "verify.py", "redacted.json"
RUNS = "runs"
TITLE = "keyharness audit 1"
NAMING = ("plan.json", "plan.toml", JSON, PAGE)
"""Files that name people and keys: a redacted copy has those of `public/` instead."""
LEFT_OUT = ("abnormal", "logs", "allure-results", "pictures")
"""Folders of a run that may name people, hosts or keys in free text."""
LEFT_OUT_FILES = ("allure-results.zip", "allure.html", "index.html", "junit.xml", "results.jsonl")
SHORTENED = ("host", "asked", "bench", "notes")
"""Fields of run.json that a redacted copy has not."""


def export(plan_path: Path, out: Path, reports: Path) -> Path:
    """Write the export of a plan's qualification as it stands; nothing is run.

    :param out: a folder that is not there yet.
    :returns: the file to sign.
    :raises CallerError: the folder is there, or a run that counts has no folder any more.
    """
    _refuse_there(out)
    done = qualify(plan_path, reports, io.StringIO(), report_only=True)
    gone = [one.run for one in done.evidence.runs if one.folder is None]
    if gone:
        raise CallerError(
            f"run {gone[0]}",
            found="no folder",
            expected="the folder of each run that counts",
            mend="bring it back with `keyharness qualify --merge`, or exclude it with a reason",
        )
    plan = load_plan(plan_path)
    _make(out)
    (out / "plan.json").write_text(plan.frozen(), encoding="utf-8")
    shutil.copyfile(plan_path, out / "plan.toml")
    for name in (JSON, PAGE):
        shutil.copyfile(done.folder / name, out / name)
    (out / PUBLIC).mkdir()
    for path, text in public_files(plan, done.statement).items():
        (out / path).write_text(text, encoding="utf-8")
    (out / VERIFY).write_text(verify_text(), encoding="utf-8")
    runs = [_copied(folder, out) for folder in _folders(done.evidence)]
    manifest = _manifest(done.evidence, runs, out)
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    (out / MANIFEST).write_text(text, encoding="utf-8")
    head = out / HEAD
    head.write_text(_head_text(manifest, text), encoding="utf-8")
    return head


def verify_text() -> str:
    """Return the program that checks an export."""
    return (files("harness.qualify") / "data" / VERIFY).read_text("utf-8")


def _make(out: Path) -> None:
    _refuse_there(out)
    try:
        out.mkdir(parents=True)
    except OSError as error:
        raise CallerError(
            f"--out {out}", found=error.strerror, expected="a folder that can be made"
        ) from None


def _refuse_there(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise CallerError(
            f"--out {out}", found="a file or a folder", expected="a name of its own", mend="name another"
        )


def _folders(evidence: Evidence) -> list[Path]:
    found = {one.run: one.folder for one in evidence.runs if one.folder is not None}
    return list(found.values())


def _copied(folder: Path, out: Path) -> Row:
    """Copy a run's folder; return {"run", "plan", "journals": [{"name", "rows", "head"}]}."""
    run, head = RunDir(folder), whole_head(folder)
    shutil.copytree(folder, out / RUNS / str(head["run"]), symlinks=False)
    names = [run.journal_path(rig, operation).name for rig, operation in head["order"]]
    journals = []
    for name, body in read_held(folder / "journal", names):
        lines = body.splitlines(keepends=True)
        if lines:
            journals.append({"name": name, "rows": len(lines), "head": digest(lines[-1])})
    return {
        "run": head["run"],
        "number": run.number if head.get("series") else None,
        "plan": (head.get("series") or {}).get("digest"),
        "journals": journals,
    }


def _manifest(evidence: Evidence, runs: Sequence[Row], out: Path) -> Row:
    with Ledger() as ledger:
        numbers = numbers_of(ledger, evidence.plan.id)
    listed = [
        {"path": str(file.relative_to(out)), "bytes": file.stat().st_size, "sha256": _sha256(file)}
        for file in sorted(out.rglob("*"))
        if file.is_file()
    ]
    last = ""
    for run in runs:
        last = hashlib.sha256(f"{last}{_run_head(run)}".encode()).hexdigest()
    return {
        "schema": 1,
        "id": evidence.plan.id,
        "plan": evidence.plan.digest,
        "states": [row["digest"] for row in evidence.history],
        "numbers": [{"number": row["number"], "run": row["run"]} for row in numbers],
        "excluded": [{"run": row["run"]} for row in evidence.excluded],
        "runs": list(runs),
        "rows": sum(journal["rows"] for run in runs for journal in run["journals"]),
        "head": last,
        "files": listed,
    }


def _run_head(run: Mapping[str, object]) -> str:
    journals = run["journals"]
    assert isinstance(journals, list)
    lines = [str(run["run"]), *(journal["head"] for journal in journals)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _head_text(manifest: Mapping[str, object], text: str) -> str:
    lines = [TITLE, f"plan {manifest['plan']}", f"rows {manifest['rows']}", f"head {manifest['head']}"]
    return "\n".join([*lines, f"manifest {hashlib.sha256(text.encode()).hexdigest()}"]) + "\n"


def redact(source: Path, out: Path) -> list[str]:
    """Copy an export without what may name people, hosts or keys; its digests, head and signature stay.

    :returns: the paths that are left out or shortened.
    :raises CallerError: the source is no export, or one without a public part, or the folder is there.
    """
    if not (source / MANIFEST).exists():
        raise CallerError(f"--redact {source}", found=f"no {MANIFEST}", expected="an export")
    if not (source / PUBLIC).is_dir():
        raise CallerError(
            f"--redact {source}",
            found=f"no folder {PUBLIC}: an earlier version made it, or it is redacted already",
            expected="an export that holds its plan and its page without names",
            mend="make it again with `keyharness export --audit`",
        )
    _make(out)
    redacted: dict[str, str | None] = {}
    for file in sorted(source.rglob("*")):
        if not file.is_file():
            continue
        path = file.relative_to(source)
        target = out / path
        if _is_left_out(path):
            redacted[str(path)] = None
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.parts[0] == RUNS and path.parts[2:] == ("run.json",):
            text = _shortened(file)
            target.write_text(text, encoding="utf-8")
            redacted[str(path)] = hashlib.sha256(text.encode()).hexdigest()
        else:
            shutil.copyfile(file, target)
    (out / REDACTED).write_text(json.dumps(redacted, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return sorted(redacted)


def _is_left_out(path: Path) -> bool:
    parts = path.parts
    if str(path) in NAMING:
        return True
    if parts[0] != RUNS or len(parts) < 3:
        return False
    return (
        parts[2] in LEFT_OUT
        or (len(parts) == 3 and parts[2] in LEFT_OUT_FILES)
        or path.name == Path(ARCHIVE).name
        or path.name.endswith(".facts.json")
    )


def _shortened(file: Path) -> str:
    head = read_fitting(file, {"run": str}, "make the export again")
    kept = {name: value for name, value in (head or {}).items() if name not in SHORTENED}
    return json.dumps(kept, indent=1, sort_keys=True) + "\n"
