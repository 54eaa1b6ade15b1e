"""A run, entered into the ledger: derived from its folder, once it has come to an end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.durable import read_json
from harness.rundir import RunDir


def note_identity(run: RunDir, rig: str, identity: str, kind: str, model: str) -> None:
    """Keep in the run's folder which key was on a rig; any worker may."""
    path = run.path / "journal" / f"{rig}.key.json"
    if not path.exists():
        path.write_text(json.dumps({"identity": identity, "kind": kind, "model": model}) + "\n")


def record(path: Path, verdict: str) -> None:
    """Enter a run; entered again, it takes the place of what was entered before.

    :raises RigError: the ledger cannot be written.
    """
    from harness.ledger import Ledger

    head = RunDir(path).head()
    keys = {rig["name"]: _key(path, head, rig) for rig in head["rigs"]}
    campaigns = _rows(path / "operations.jsonl")
    # Nobody's key wears out by a twin's cuts: those are counted, not listed.
    real = any(kind != "twin" for _, kind, _ in keys.values())
    cuts = _rows(path / "evidence.jsonl") if real else []
    with Ledger() as ledger:
        ledger.note_run(head, verdict, keys, campaigns, cuts)


def _key(path: Path, head: dict[str, Any], rig: dict[str, Any]) -> tuple[str, str, str]:
    noted = read_json(path / "journal" / f"{rig['name']}.key.json")
    if noted is not None:
        return noted["identity"], noted["kind"], noted["model"]
    kind = "twin" if head["evidence_kind"] == ["twin"] else rig.get("kind") or "twin"
    return f"{kind}:{rig['key']}/{rig['name']}", kind, rig["key"]


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
