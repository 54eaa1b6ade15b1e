"""What run.json says: what is known of a run before its first cut."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import harness
from harness.base.errors import KeyharnessError
from harness.evidence.rundir import NOT_ASKED
from harness.model.rig import EvidenceKind
from harness.model.rig_parts import RigInfo
from harness.run.session import Session
from harness.twin.glass_box import glass_box


def run_head(session: Session) -> dict[str, Any]:
    """Return the content of run.json: what is known before the first cut.

    Of several workers each has its own rigs and touches no other; it adds what it learns about them later.
    """
    session.look_for_rigs()
    infos = [_about(session, name) for name in session.rig_names]
    kinds = {kind for name in session.rig_names if (kind := _kind(session, name))}
    return {
        "version": harness.__version__,
        "seed": session.seed,
        "bench": session.bench.shown,
        "started": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "evidence_kind": sorted(kinds),
        "rigs": [
            {
                "name": info.name,
                "key": info.key,
                "title": info.title,
                "firmware": info.firmware,
                "personality": info.personality,
                "transport": info.transport,
                "expendable": info.expendable,
                **({"flash": info.flash} if info.flash else {}),
            }
            for info in infos
        ],
        "order": [list(pair) for pair in session.pairs],
        **_accepted(session),
        **(_untried(session, infos) if session.wanted.whole else {}),
        **({"notes": session.notes} if session.notes else {}),
    }


def _untried(session: Session, infos: Sequence[RigInfo]) -> dict[str, dict[str, list[str]]]:
    """Return what no rig tries, for run.json of a run that nothing limits; suites only where there are some."""
    suites = _untried_suites(session)
    return {
        "untried_starts": _untried_starts(session, infos),
        **({"untried_suites": suites} if suites else {}),
    }


def _untried_suites(session: Session) -> dict[str, list[str]]:
    """Return the suites that ask what a key has and that the bench asks of no rig with it, by the key's name."""
    found: dict[str, list[str]] = {}
    for key in sorted({session.bench.key_name(name) for name in session.rig_names}):
        rigs = [name for name in session.rig_names if session.bench.key_name(name) == key]
        offered = {application.name for application in session.plugins.keys[key].applications}
        found[key] = [
            suite.name
            for suite in session.plugins.suites.values()
            if suite.application in offered and not any(session.bench.asks(rig, suite.name) for rig in rigs)
        ]
    return {key: names for key, names in found.items() if names}


def _untried_starts(session: Session, infos: Sequence[RigInfo]) -> dict[str, list[str]]:
    """Return the versions from which a key is updated in a way of its own and no rig starts, by the key's name."""
    found = {}
    for key in sorted({info.key for info in infos}):
        if (updates := session.plugins.update_rules.get(key)) is not None:
            has = {str(info.firmware).removeprefix("v") for info in infos if info.key == key}
            found[key] = sorted(set(updates.starts) - has)
    return found


def _accepted(session: Session) -> dict[str, list[dict[str, object]]]:
    """Return the deviations that the bench accepts, for run.json; nothing where it accepts none."""
    rows = [one.model_dump(mode="json", exclude_none=True) for one in session.bench.deviations]
    return {"deviations": rows} if rows else {}


def _kind(session: Session, name: str) -> EvidenceKind | None:
    """Return what kind of evidence tests of the rig give; None if that cannot be said of an absent rig."""
    if session.is_elsewhere(name) or (name in session.absent and session.bench.is_actuated(name)):
        return "hardware"
    return None if name in session.absent else session.rig(name).evidence_kind


def _about(session: Session, name: str) -> RigInfo:
    if session.is_elsewhere(name) or name in session.absent:
        key = session.plugins.keys[session.bench.key_name(name)]
        may = session.bench.is_expendable(name)
        return RigInfo(name, key.name, key.title, NOT_ASKED, None, "hardware", may)
    rig = session.rig(name)
    if glass_box(rig) is None and session.wanted.workers > 1:
        return RigInfo(name, rig.key.name, rig.key.title, NOT_ASKED, None, rig.evidence_kind, rig.expendable)
    if glass_box(rig) is None and rig.expendable:
        # Going home finds out more about the rig; a failure is reported by each test.
        with suppress(KeyharnessError):
            session.homes.home(name)
    return rig.info()
